//! Defects and hazards of the first implementation, numbered as in its description; none of them is here.

use serde_json::Value;

use super::*;

#[test]
fn hazard_08_1_a_relayed_approval_that_nobody_asked_for_makes_no_trust() {
    let mut a = Agent::new(1);
    let now = a.now;
    assert_eq!(a.trust().handle_relayed_response(now, 2, true), Err(Refused::NotAsked));
    assert!(!a.trusts(2));
    a.request(2, "");
    a.drain();
    a.trust().handle_relayed_response(now, 2, true).unwrap();
    assert_eq!(
        a.drain(),
        [
            Action::Persist,
            Action::LookUpKey { node: 2 },
            event(TrustEvent::Accepted(2)),
            Action::Report { node: 2 }
        ]
    );
}

/// Proves TRU-8.
#[test]
fn hazard_08_2_an_unsolicited_accept_is_only_a_request() {
    let mut a = Agent::new(1);
    a.hear(2, Kind::Accept, "").unwrap();
    assert!(a.is_pending(2) && !a.trusts(2));
    // So is one that comes after our request has ended.
    a.request(3, "");
    a.drain();
    a.wait(ASKED_LIFETIME);
    a.drain();
    a.hear(3, Kind::Accept, "").unwrap();
    assert!(a.is_pending(3) && !a.trusts(3));
}

#[test]
fn hazard_08_3_a_message_without_key_or_signature_revokes_nothing() {
    let mut a = Agent::new(1);
    a.trust().restore_trusted(Trusted { node: 2, key: Some(key_of(2)), ..Trusted::EMPTY }).unwrap();
    let text = String::from_utf8(message(2, 1, Kind::Revoke, "", START)).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    for field in ["public_key", "signature"] {
        for absent in [text.replace(json[field].as_str().unwrap(), ""), text.replace(field, "other")] {
            let refused = a.hear_with(2, Some(&key_of(2)), absent.as_bytes());
            assert!(matches!(refused, Err(Refused::Message(MessageError::Missing(_)))), "{refused:?}");
        }
    }
    assert!(a.trusts(2));
}

#[test]
fn hazard_08_4_a_key_of_the_wrong_length_is_refused() {
    let mut a = Agent::new(1);
    let text = String::from_utf8(message(4242, 1, Kind::Request, "", START)).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    for bad in ["AAAA".to_string(), "A".repeat(4000)] {
        let bytes = text.replace(json["public_key"].as_str().unwrap(), &bad);
        let refused = Err(Refused::Message(MessageError::BadBase64(Field::PublicKey)));
        assert_eq!(a.hear_with(4242, None, bytes.as_bytes()), refused);
    }
    assert_eq!(a.hear_with(4242, None, text.as_bytes()), Err(Refused::UnknownKey));
}

/// Proves TRU-10.
#[test]
fn hazard_08_5_the_revocation_is_delivered_before_the_tunnel_is_dropped() {
    let mut a = Agent::new(1);
    a.trust().restore_trusted(Trusted { node: 2, ..Trusted::EMPTY }).unwrap();
    a.revoke(2).unwrap();
    assert!(!a.trusts(2), "the gate closes at once");
    let actions = a.drain();
    assert_eq!(
        actions,
        [
            Action::Persist,
            event(TrustEvent::Revoked(2)),
            send(2, Kind::Revoke, false),
            Action::RevokeAtRegistry { node: 2 }
        ]
    );
    let Action::Send(delivery) = actions[2] else { panic!() };
    a.trust().handle_delivery(delivery, true).unwrap();
    assert_eq!(a.drain(), [Action::DropTunnel { node: 2 }]);
    a.wait(REVOKE_DELIVERY);
    assert_eq!(a.drain(), [], "only once");

    // A peer that cannot be reached does not keep its tunnel.
    a.trust().restore_trusted(Trusted { node: 3, ..Trusted::EMPTY }).unwrap();
    a.revoke(3).unwrap();
    a.drain();
    a.wait(REVOKE_DELIVERY);
    assert_eq!(a.drain(), [Action::DropTunnel { node: 3 }]);

    // The other side gives its keys up as well, so that the next exchange starts clean.
    let mut b = Agent::new(2);
    b.trust().restore_trusted(Trusted { node: 1, key: Some(key_of(1)), ..Trusted::EMPTY }).unwrap();
    let revoke = a.write(2, Kind::Revoke);
    b.hear_with(1, Some(&key_of(1)), &revoke).unwrap();
    assert_eq!(
        b.drain(),
        [
            Action::Persist,
            event(TrustEvent::RevokedByPeer(1)),
            Action::DropTunnel { node: 1 },
            Action::RevokeAtRegistry { node: 1 }
        ]
    );
}

#[test]
fn hazard_08_5_asking_again_after_a_revocation_starts_with_a_new_tunnel() {
    let mut a = Agent::new(1);
    a.trust().restore_trusted(Trusted { node: 2, ..Trusted::EMPTY }).unwrap();
    a.revoke(2).unwrap();
    a.drain();
    a.request(2, "sorry");
    assert_eq!(
        a.drain(),
        [
            Action::Persist,
            Action::DropTunnel { node: 2 },
            Action::RelayRequest { to: 2 },
            send(2, Kind::Request, false)
        ]
    );
    a.hear(2, Kind::Accept, "").unwrap();
    assert!(a.trusts(2));
}

/// Proves TRU-12.
#[test]
fn hazard_08_6_a_revocation_is_not_undone_by_messages_left_behind() {
    let mut a = Agent::with(1, TrustState::new(true));
    a.request(2, "");
    a.drain();
    a.hear(2, Kind::Accept, "").unwrap();
    a.drain();
    a.revoke(2).unwrap();
    a.drain();
    let now = a.now;
    assert_eq!(a.trust().handle_relayed_response(now, 2, true), Err(Refused::NotAsked));
    // Not even automatic approval trusts it again by itself while the revocation is fresh.
    a.trust().handle_relayed_request(now, 2, "left at the registry", 7).unwrap();
    assert!(!a.trusts(2) && a.is_pending(2));
    a.now.unix += 1;
    assert_eq!(a.hear(2, Kind::Accept, ""), Err(Refused::NotAsked));
    a.drain();
    a.wait(COOL_DOWN);
    a.drain();
    a.hear(2, Kind::Request, "").unwrap();
    assert!(a.trusts(2));
}

/// Proves TRU-11.
#[test]
fn hazard_08_13_trust_does_not_pass_to_another_key_under_the_same_id() {
    let old = Some([9; 32]);
    for by_message in [true, false] {
        let mut a = Agent::new(1);
        a.trust().restore_trusted(Trusted { node: 2, key: old, ..Trusted::EMPTY }).unwrap();
        let now = a.now;
        if by_message {
            a.hear(2, Kind::Request, "it is me").unwrap();
        } else {
            a.trust().key_learned(now, 2, &key_of(2)).unwrap();
        }
        assert!(!a.trusts(2) && a.is_pending(2));
        let actions = a.drain();
        assert_eq!(
            actions[..3],
            [Action::Persist, event(TrustEvent::KeyChanged(2)), Action::RevokeAtRegistry { node: 2 }]
        );
    }
    // Nor does a request that waits.
    let mut a = Agent::new(1);
    let now = a.now;
    a.trust().restore_pending(now, 2, old, "", START).unwrap();
    a.trust().key_learned(now, 2, &key_of(2)).unwrap();
    assert!(!a.is_pending(2));
}

#[test]
fn hazard_08_13_the_gate_compares_keys() {
    let mut a = Agent::new(1);
    a.trust().restore_trusted(Trusted { node: 2, key: Some([9; 32]), ..Trusted::EMPTY }).unwrap();
    a.trust().restore_trusted(Trusted { node: 3, key: None, ..Trusted::EMPTY }).unwrap();
    let Agent { state, trusted, .. } = &a;
    assert!(state.trusts(trusted, 2, Some(&[9; 32])));
    assert!(state.trusts(trusted, 2, None));
    assert!(!state.trusts(trusted, 2, Some(&[8; 32])));
    assert!(state.trusts(trusted, 3, Some(&[8; 32])));
    assert!(!state.trusts(trusted, 0, None), "unused slots are nobody");
}

/// Proves TRU-4.
#[test]
fn hazard_08_14_a_message_fits_one_segment_and_a_long_text_is_clipped() {
    let mut a = Agent::new(1);
    a.request(2, &"<".repeat(TEXT_MAX));
    let bytes = a.write(2, Kind::Request);
    assert!(bytes.len() <= WRITTEN_MAX && bytes.len() > WRITTEN_MAX - 6);
    let mut b = Agent::new(2);
    b.hear_with(1, Some(&key_of(1)), &bytes).unwrap();
    let now = b.now;
    b.trust().handle_relayed_request(now, 3, &"\u{1b}[2Jx".repeat(50_000), 0).unwrap();
    let relayed = &b.trust().pending()[1].justification.clone();
    assert_eq!(relayed.len(), TEXT_MAX);
    assert!(!relayed.contains('\u{1b}'));
}

#[test]
fn hazard_08_15_invalid_messages_use_up_no_memory_for_replays() {
    let mut a = Agent::new(1);
    let wrong = identity(5);
    for age in 0..200 {
        let bytes = signed_message(2, Kind::Request, "", START - age, &wrong, b"handshake:2:1");
        assert_eq!(a.hear_with(2, Some(&key_of(2)), &bytes), Err(Refused::WrongKey));
        let unsigned = signed_message(2, Kind::Request, "", START - age, &identity(2), b"something else");
        assert_eq!(a.hear_with(2, Some(&key_of(2)), &unsigned), Err(Refused::BadSignature));
    }
    assert!(a.seen.iter().all(|seen| *seen == Seen::EMPTY));
    // And whoever signs well can use up only its own share.
    for age in 0..SEEN_PER_NODE as i64 {
        a.hear_with(2, Some(&key_of(2)), &message(2, 1, Kind::Request, "", START - age)).unwrap();
        a.drain();
    }
    let more = message(2, 1, Kind::Request, "", START - 100);
    assert_eq!(a.hear_with(2, Some(&key_of(2)), &more), Err(Refused::TooMany { max: SEEN_PER_NODE }));
    a.hear(3, Kind::Request, "").unwrap();
    a.wait(REMEMBER_FOR);
    a.drain();
    a.hear(2, Kind::Request, "").unwrap();
}

#[test]
fn hazard_08_15_relayed_requests_count_and_one_place_cannot_fill_the_list() {
    let mut a = Agent::new(1);
    let now = a.now;
    for node in 100..100 + PENDING_PER_SOURCE as u32 + 1 {
        let peer = Peer { node, key: Some(&key_of(node)), source: 77, network: 0 };
        let bytes = message(node, 1, Kind::Request, "", START);
        let result = a.trust().handle_message(now, peer, &bytes, verify);
        let allowed = node < 100 + PENDING_PER_SOURCE as u32;
        assert_eq!(
            result,
            if allowed { Ok(()) } else { Err(Refused::SourceFull { max: PENDING_PER_SOURCE }) }
        );
        a.drain();
    }
    for node in 2..6 {
        a.trust().handle_relayed_request(now, node, "", 0).unwrap();
        a.drain();
    }
    let full = Refused::Trust(TrustError::TableFull { table: "pending", capacity: 20 });
    assert_eq!(a.trust().handle_relayed_request(now, 6, "", 0), Err(full));
    assert_eq!(a.drain(), [], "no event for what is not kept");
    a.trust().handle_relayed_request(now, 2, "again", 0).unwrap();
}

#[test]
fn hazard_08_16_answering_a_request_that_does_not_exist_is_an_error() {
    let mut a = Agent::new(1);
    let now = a.now;
    assert_eq!(a.trust().approve(now, 2), Err(TrustError::NotPending { node: 2 }));
    assert_eq!(a.trust().reject(now, 2, ""), Err(TrustError::NotPending { node: 2 }));
    assert_eq!(a.trust().revoke(now, 2), Err(TrustError::NotTrusted { node: 2 }));
    assert_eq!(a.drain(), []);
}

/// Proves TRU-16.
#[test]
fn hazard_08_17_strangers_do_not_decide_how_often_we_write() {
    let mut a = Agent::new(1);
    let mut writes = 0;
    for node in 2..12 {
        a.hear(node, Kind::Request, "").unwrap();
        writes += a.drain().iter().filter(|action| **action == Action::Persist).count();
        a.wait(Duration::from_millis(100));
    }
    a.wait(LAZY_PERSIST);
    writes += a.drain().iter().filter(|action| **action == Action::Persist).count();
    assert_eq!(writes, 1);
}

/// Proves TRU-17.
#[test]
fn hazard_08_18_relayed_messages_are_told_to_the_operator() {
    let mut a = Agent::new(1);
    let now = a.now;
    a.trust().handle_relayed_request(now, 2, "hello", 0).unwrap();
    assert_eq!(a.drain(), [event(TrustEvent::Received(2)), event(TrustEvent::Pending(2))]);
    assert_eq!(a.trust().last_justification(), "hello");
    a.request(3, "");
    a.drain();
    a.trust().handle_relayed_response(now, 3, false).unwrap();
    assert_eq!(a.drain(), [event(TrustEvent::RejectedByPeer(3))]);
}

#[test]
fn hazard_08_19_trust_that_rests_on_a_network_ends_with_it() {
    let mut a = Agent::new(1);
    for (node, network) in [(2, 7), (3, 8), (4, 7)] {
        a.trust().restore_trusted(Trusted { node, network, ..Trusted::EMPTY }).unwrap();
    }
    let mut actions = Vec::new();
    while a.trust().network_left(7).unwrap() {
        actions.extend(a.drain());
    }
    assert!(a.trusts(3) && !a.trusts(2) && !a.trusts(4));
    assert_eq!(actions.iter().filter(|action| matches!(action, Action::RevokeAtRegistry { .. })).count(), 2);
    assert!(!a.trust().network_left(0).unwrap(), "network 0 is everybody's");
}

/// Proves TRU-13.
#[test]
fn hazard_08_20_a_request_goes_both_ways_at_once() {
    let mut a = Agent::new(1);
    a.request(2, "");
    let actions = a.drain();
    assert!(actions.contains(&Action::RelayRequest { to: 2 }));
    assert!(actions.contains(&send(2, Kind::Request, false)));
}

#[test]
fn hazard_08_22_an_open_request_survives_a_restart() {
    let mut a = Agent::new(1);
    let now = a.now;
    let asked = Decision::Asked { justification: Text::new() };
    a.trust().restore_intent(now, 2, asked.clone(), START + 100).unwrap();
    a.trust().restore_intent(now, 3, asked, START).unwrap();
    a.hear(2, Kind::Request, "").unwrap();
    assert!(a.trusts(2), "mutual");
    a.drain();
    a.hear(3, Kind::Request, "").unwrap();
    assert!(!a.trusts(3), "that one had expired");
}
