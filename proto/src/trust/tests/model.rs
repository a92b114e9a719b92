//! What always holds, whatever happens in whatever order.

use proptest::prelude::*;

use super::*;

/// Anything that can happen to one agent, with a handful of peers.
#[derive(Clone, Debug)]
enum Step {
    Request(u32),
    Approve(u32),
    Reject(u32),
    Revoke(u32),
    Hear(u32, Kind),
    RelayedRequest(u32),
    RelayedResponse(u32, bool),
    Key(u32),
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let node = 2..6_u32;
    let kind = proptest::sample::select(vec![Kind::Request, Kind::Accept, Kind::Reject, Kind::Revoke]);
    prop_oneof![
        node.clone().prop_map(Step::Request),
        node.clone().prop_map(Step::Approve),
        node.clone().prop_map(Step::Reject),
        node.clone().prop_map(Step::Revoke),
        (node.clone(), kind).prop_map(|(node, kind)| Step::Hear(node, kind)),
        node.clone().prop_map(Step::RelayedRequest),
        (node.clone(), any::<bool>()).prop_map(|(node, accept)| Step::RelayedResponse(node, accept)),
        node.prop_map(Step::Key),
        (0..700_u16).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn trust_comes_only_from_the_operator_and_every_change_is_told(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let mut a = Agent::new(1);
        // Nodes our operator has said yes to since it last said no: by asking or by approving.
        let mut wanted = std::collections::BTreeSet::new();
        for step in steps {
            let now = a.now;
            let before: Vec<u32> = a.trust().trusted().iter().map(|record| record.node).collect();
            match step {
                Step::Request(node) => {
                    if a.trust().request(now, node, "").is_ok() {
                        wanted.insert(node);
                    }
                }
                Step::Approve(node) => {
                    if a.trust().approve(now, node).is_ok() {
                        wanted.insert(node);
                    }
                }
                Step::Reject(node) => {
                    let _ = a.trust().reject(now, node, "no");
                }
                Step::Revoke(node) => {
                    let _ = a.trust().revoke(now, node);
                    wanted.remove(&node);
                }
                Step::Hear(node, kind) => {
                    a.now.unix += 1;
                    let _ = a.hear(node, kind, "");
                }
                Step::RelayedRequest(node) => {
                    let _ = a.trust().handle_relayed_request(now, node, "", 0);
                }
                Step::RelayedResponse(node, accept) => {
                    let _ = a.trust().handle_relayed_response(now, node, accept);
                }
                Step::Key(node) => a.trust().key_learned(now, node, &key_of(node)).unwrap(),
                Step::Wait(secs) => a.wait(Duration::from_secs(secs.into())),
            }
            let actions = a.drain();
            let after: Vec<u32> = a.trust().trusted().iter().map(|record| record.node).collect();
            prop_assert!(after.iter().all(|node| wanted.contains(node)));
            for node in after.iter().filter(|node| !before.contains(node)) {
                let told = |action: &Action| matches!(action, Action::Event(e) if e.is_gain() && e.node() == *node);
                prop_assert!(actions.iter().any(told), "{:?}", actions);
            }
            if before != after {
                prop_assert_eq!(actions.first(), Some(&Action::Persist));
            }
            for node in before.iter().filter(|node| !after.contains(node)) {
                let cleared = actions.contains(&Action::RevokeAtRegistry { node: *node });
                prop_assert!(cleared, "{:?}", actions);
            }
            let trust = a.trust();
            prop_assert!(trust.pending().iter().all(|waiting| !trust.is_trusted(waiting.node)));
        }
    }
}
