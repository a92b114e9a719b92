//! Trust through the registry: every way that daemons in the field come to it, and none for those who were not asked.

use std::time::Duration;

use pilot_roles::json::json;
use pilot_roles::rendezvous::{Config, RegistryConfig};

use crate::net::{Net, failed};

/// Both can resolve each other, whichever is private.
fn both_reachable(net: &mut Net, a: u8, b: u8) -> bool {
    net.resolve(a, b)["type"] == "resolve_ok" && net.resolve(b, a)["type"] == "resolve_ok"
}

#[test]
fn private_to_private_over_the_relay() {
    let mut net = Net::new(2);
    assert_eq!(net.resolve(1, 2), failed());
    assert_eq!(net.request(1, 2, "hello")["status"], "delivered");
    let (requests, _) = net.poll(2);
    assert_eq!((&requests[0]["from_node_id"], &requests[0]["justification"]), (&json!(1), &json!("hello")));
    // An approval is reported and answered, often twice.
    net.report(2, 1);
    net.respond(2, 1, true);
    net.respond(2, 1, true);
    assert!(net.trusted(1, 2) && both_reachable(&mut net, 1, 2));
    let (_, responses) = net.poll(1);
    assert_eq!(responses.len(), 1);
    assert_eq!((&responses[0]["from_node_id"], &responses[0]["accept"]), (&json!(2), &json!(true)));
}

#[test]
fn private_to_public_directly_with_the_approval_over_the_relay() {
    let mut net = Net::new(2);
    net.publish(2, true);
    // Node 1 looks node 2 up and asks it over a stream that the registry does not see.
    assert_eq!(net.resolve(1, 2)["type"], "resolve_ok");
    // Days later node 2's operator approves. Its daemon cannot resolve node 1 before the registry knows the trust.
    net.host.advance(Duration::from_secs(5 * 86_400));
    net.beat(1);
    net.beat(2);
    net.report(2, 1);
    net.respond(2, 1, true);
    assert!(net.trusted(1, 2) && both_reachable(&mut net, 1, 2));
    // Node 1 learns of it by poll and, as all daemons in the field, reports nothing.
    assert_eq!(net.poll(1).1.len(), 1);
}

#[test]
fn public_to_public_directly() {
    let mut net = Net::new(2);
    net.publish(1, true);
    net.publish(2, true);
    net.report(2, 1);
    assert!(!net.trusted(1, 2));
    net.report(1, 2);
    assert!(net.trusted(1, 2));
}

#[test]
fn both_ask_at_once() {
    let mut net = Net::new(2);
    net.request(1, 2, "");
    net.request(2, 1, "");
    assert!(net.trusted(1, 2) && both_reachable(&mut net, 1, 2));
}

#[test]
fn after_a_registry_without_memory_both_report_again() {
    let mut net = Net::new(2);
    net.report(1, 2);
    net.report(2, 1);
    assert!(net.trusted(2, 1));
}

/// Proves REG-12.
#[test]
fn hazard_08_1_and_05_7_one_side_alone_makes_no_trust() {
    let mut net = Net::new(3);
    for attempt in [Net::report, |net: &mut Net, n, peer| net.respond(n, peer, true)] {
        assert_eq!(attempt(&mut net, 3, 1).get("error"), None);
        assert!(!net.trusted(1, 3));
        assert_eq!(net.resolve(3, 1), failed());
    }
    // Nor does an approval that nobody waits for reach the victim's daemon, which would believe it.
    assert_eq!(net.poll(1), (vec![], vec![]));
}

#[test]
fn hazard_08_1_a_contact_is_consent_for_a_month_and_only_if_configured() {
    let contact_then_report = |config: RegistryConfig, wait: Duration| {
        let mut net = Net::with(Config { registry: config, beacon: None }, 2);
        net.publish(2, true);
        net.resolve(1, 2);
        net.host.advance(wait);
        net.report(2, 1);
        net.trusted(1, 2)
    };
    let default = RegistryConfig::default;
    assert!(contact_then_report(default(), Duration::from_secs(30 * 86_400)));
    assert!(!contact_then_report(default(), Duration::from_secs(30 * 86_400 + 1)));
    let strict = RegistryConfig { contact_counts_as_consent: false, ..default() };
    assert!(!contact_then_report(strict, Duration::ZERO));
}

#[test]
fn a_refused_resolve_is_no_contact() {
    let mut net = Net::new(2);
    assert_eq!(net.resolve(1, 2), failed());
    net.report(2, 1);
    assert!(!net.trusted(1, 2));
}

/// Proves REG-13.
#[test]
fn a_rejection_is_told_and_takes_the_request_back() {
    let mut net = Net::new(2);
    net.request(1, 2, "");
    net.poll(2);
    net.respond(2, 1, false);
    assert_eq!(net.poll(1).1[0]["accept"], false);
    // Were the request still standing, an own request of node 2 would now make trust that node 1 no longer expects.
    net.request(2, 1, "");
    assert!(!net.trusted(1, 2));
}

#[test]
fn hazard_08_6_a_revocation_is_not_undone_by_messages_on_their_way() {
    let mut net = Net::new(2);
    net.request(1, 2, "");
    net.respond(2, 1, true);
    assert!(net.trusted(1, 2));
    assert_eq!(net.revoke(1, 2)["type"], "revoke_trust_ok");
    assert!(!net.trusted(1, 2));
    assert_eq!(net.poll(1), (vec![], vec![]));
    assert_eq!(net.poll(2), (vec![], vec![]));
    assert_eq!(net.revoke(1, 2), failed());
    // The other side alone does not bring it back.
    net.report(2, 1);
    assert!(!net.trusted(1, 2));
}

#[test]
fn hazard_05_28_a_full_inbox_is_polled_in_portions_that_old_clients_can_read() {
    let mut net = Net::new(101);
    for n in 2..=101 {
        assert_eq!(net.request(n, 1, &"<".repeat(1024))["status"], "delivered");
    }
    let mut seen = 0;
    loop {
        let (requests, _) = net.poll(1);
        assert!(json!(requests).to_string().replace('<', "\\u003c").len() < 65_000);
        if requests.is_empty() {
            break;
        }
        seen += requests.len();
    }
    assert_eq!(seen, 100);
}

#[test]
fn hazard_08_14_a_justification_is_at_most_1024_bytes() {
    let mut net = Net::new(2);
    let refusal = net.request(1, 2, &"x".repeat(1025));
    assert_eq!(refusal["error"], "justification too long (max 1024 bytes)");
    assert_eq!(net.request(1, 2, &"x".repeat(1024))["status"], "delivered");
}

/// Proves REG-14.
#[test]
fn hazard_05_30_inboxes_are_bounded() {
    let mut net = Net::new(102);
    let delivered: Vec<bool> = (2..=102).map(|n| net.request(n, 1, "")["status"] == "delivered").collect();
    assert_eq!(delivered.iter().filter(|ok| **ok).count(), 100);
    // Responses: one a sender, and only from those who were asked.
    for _ in 0..300 {
        net.respond(1, 2, true);
        net.respond(1, 102, true);
    }
    assert_eq!(net.poll(2).1.len(), 1);
    assert_eq!(net.poll(102).1.len(), 0);
}
