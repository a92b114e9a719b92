//! The handshake in scenarios, and one agent's machine to play them with.

use super::*;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

mod hazards;
mod model;
mod vectors;

const START: i64 = 1_775_433_600;

fn verify(key: &[u8; 32], text: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key)
        .is_ok_and(|key| key.verify_strict(text, &Signature::from_bytes(signature)).is_ok())
}

/// The identities of the vectors: node n has the seed n n n ...
fn identity(node: u32) -> SigningKey {
    SigningKey::from_bytes(&[node as u8; 32])
}

fn key_of(node: u32) -> [u8; 32] {
    identity(node).verifying_key().to_bytes()
}

/// One node's machine with its lists and clock.
struct Agent {
    node: u32,
    state: TrustState,
    trusted: Vec<Trusted>,
    pending: Vec<Pending>,
    intents: Vec<Intent>,
    seen: Vec<Seen>,
    now: Now,
}

impl Agent {
    fn new(node: u32) -> Agent {
        Agent::with(node, TrustState::new(false))
    }

    fn with(node: u32, mut state: TrustState) -> Agent {
        state.set_node(node);
        Agent {
            node,
            state,
            trusted: vec![Trusted::EMPTY; 8],
            pending: vec![Pending::EMPTY; 20],
            intents: vec![Intent::EMPTY; 4],
            seen: vec![Seen::EMPTY; 64],
            now: Now { instant: Instant::from_millis(5000), unix: START },
        }
    }

    fn trust(&mut self) -> Trust<'_> {
        let Agent { state, trusted, pending, intents, seen, .. } = self;
        Trust::new(state, Storage { trusted, pending, intents, seen })
    }

    fn wait(&mut self, time: Duration) {
        self.now.instant = self.now.instant + time;
        self.now.unix += time.as_secs() as i64;
        let now = self.now;
        let mut trust = self.trust();
        trust.handle_timeout(now);
        if let Some(next) = trust.poll_timeout() {
            assert!(next > now.instant, "a due deadline was left behind");
        }
    }

    fn drain(&mut self) -> Vec<Action> {
        let mut trust = self.trust();
        std::iter::from_fn(|| trust.poll_action()).collect()
    }

    fn request(&mut self, node: u32, text: &str) -> Requested {
        let now = self.now;
        self.trust().request(now, node, text).unwrap()
    }

    fn approve(&mut self, node: u32) {
        let now = self.now;
        self.trust().approve(now, node).unwrap();
    }

    fn revoke(&mut self, node: u32) -> Result<(), TrustError> {
        let now = self.now;
        self.trust().revoke(now, node)
    }

    fn write(&mut self, to: u32, kind: Kind) -> Vec<u8> {
        let (now, node) = (self.now, self.node);
        let delivery = Delivery { to, kind, relay_on_failure: false };
        let sign = |text: &[u8]| identity(node).sign(text).to_bytes();
        let mut out = [0xa5; WRITTEN_MAX];
        let len = self.trust().write_message(now, delivery, &key_of(node), sign, &mut out).unwrap();
        out[..len].to_vec()
    }

    /// Feeds bytes that came through the tunnel of `node`, for which the registry has `key`.
    fn hear_with(&mut self, node: u32, key: Option<&[u8; 32]>, bytes: &[u8]) -> Result<(), Refused> {
        let now = self.now;
        let peer = Peer { node, key, source: 0, network: 0 };
        self.trust().handle_message(now, peer, bytes, verify)
    }

    /// Feeds a message of that kind, properly signed.
    fn hear(&mut self, from: u32, kind: Kind, text: &str) -> Result<(), Refused> {
        let bytes = message(from, self.node, kind, text, self.now.unix);
        self.hear_with(from, Some(&key_of(from)), &bytes)
    }

    fn trusts(&mut self, node: u32) -> bool {
        self.trust().is_trusted(node)
    }

    fn is_pending(&mut self, node: u32) -> bool {
        self.trust().pending().iter().any(|waiting| waiting.node == node)
    }
}

fn message(from: u32, to: u32, kind: Kind, text: &str, timestamp: i64) -> Vec<u8> {
    signed_message(from, kind, text, timestamp, &identity(from), signed_text(from, to).as_bytes())
}

fn signed_message(
    from: u32,
    kind: Kind,
    text: &str,
    timestamp: i64,
    by: &SigningKey,
    over: &[u8],
) -> Vec<u8> {
    let message = Message {
        kind,
        node: from,
        key: by.verifying_key().to_bytes(),
        justification: clip(text),
        signature: by.sign(over).to_bytes(),
        reason: Text::new(),
        timestamp,
    };
    let mut out = vec![0; MESSAGE_MAX];
    let len = message.write(&mut out).unwrap();
    out.truncate(len);
    out
}

fn send(to: u32, kind: Kind, relay_on_failure: bool) -> Action {
    Action::Send(Delivery { to, kind, relay_on_failure })
}

fn event(event: TrustEvent) -> Action {
    Action::Event(event)
}

/// Proves TRU-1.
#[test]
fn a_request_is_approved_and_both_sides_trust_each_other() {
    let (mut a, mut b) = (Agent::new(1), Agent::new(2));
    assert_eq!(a.request(2, "let me in"), Requested::Sent);
    // The operator was told that we ask: a crash must not forget it (TRU-16).
    let asks = [Action::Persist, Action::RelayRequest { to: 2 }, send(2, Kind::Request, false)];
    assert_eq!(a.drain(), asks);
    assert_eq!(a.trust().asked(2), Some("let me in"));

    let request = a.write(2, Kind::Request);
    b.hear_with(1, Some(&key_of(1)), &request).unwrap();
    assert_eq!(b.drain(), [event(TrustEvent::Received(1)), event(TrustEvent::Pending(1))]);
    assert_eq!(b.trust().pending()[0].justification, "let me in");

    b.approve(1);
    assert_eq!(
        b.drain(),
        [
            Action::Persist,
            event(TrustEvent::Approved(1)),
            Action::Report { node: 1 },
            send(1, Kind::Accept, true)
        ]
    );
    let accept = b.write(1, Kind::Accept);
    a.hear_with(2, Some(&key_of(2)), &accept).unwrap();
    assert_eq!(a.drain(), [Action::Persist, event(TrustEvent::Accepted(2)), Action::Report { node: 2 }]);
    assert!(a.trusts(2) && b.trusts(1));
    assert!(a.trust().trusted()[0].mutual && !b.trust().trusted()[0].mutual);
    assert_eq!(a.trust().intents(), []);
}

/// Proves TRU-7.
#[test]
fn both_sides_asking_is_enough_whichever_message_comes_first() {
    let mut a = Agent::new(1);
    a.request(2, "");
    a.drain();
    a.hear(2, Kind::Request, "me too").unwrap();
    assert_eq!(
        a.drain(),
        [
            Action::Persist,
            event(TrustEvent::Received(2)),
            event(TrustEvent::AutoApproved(2, AutoReason::Mutual)),
            Action::Report { node: 2 },
            send(2, Kind::Accept, true)
        ]
    );
    assert_eq!(a.trust().last_justification(), "me too");

    let mut b = Agent::new(2);
    b.hear(1, Kind::Request, "").unwrap();
    assert_eq!(b.request(1, ""), Requested::Mutual);
    assert!(b.trusts(1) && !b.is_pending(1));
    assert!(b.drain().contains(&send(1, Kind::Accept, true)));
}

#[test]
fn a_relayed_no_to_an_earlier_question_does_not_answer_the_next_one() {
    let mut a = Agent::new(1);
    a.request(2, "first");
    a.request(2, "second");
    a.drain();
    let now = a.now;
    a.trust().handle_relayed_response(now, 2, false).unwrap();
    a.drain();
    assert_eq!(a.hear(2, Kind::Accept, ""), Ok(()));
    assert!(a.trusts(2));
}

/// Proves TRU-9: also within the second in which we ask again.
#[test]
fn a_direct_no_to_an_earlier_question_does_not_answer_the_next_one() {
    let mut a = Agent::new(1);
    a.request(2, "");
    let no = message(2, 1, Kind::Reject, "", a.now.unix);
    a.request(2, "please");
    a.drain();
    a.hear_with(2, Some(&key_of(2)), &no).unwrap();
    assert_eq!(a.drain(), [event(TrustEvent::RejectedByPeer(2))]);
    assert_eq!(a.trust().asked(2), Some("please"));
    a.wait(Duration::from_secs(1));
    a.hear(2, Kind::Reject, "").unwrap();
    assert_eq!(a.drain(), [Action::Persist, event(TrustEvent::RejectedByPeer(2))]);
    assert_eq!(a.trust().asked(2), None);
}

/// Proves TRU-9.
#[test]
fn a_rejection_carries_its_reason_and_closes_the_request() {
    let (mut a, mut b) = (Agent::new(1), Agent::new(2));
    a.request(2, "");
    a.drain();
    b.hear(1, Kind::Request, "").unwrap();
    b.drain();
    let now = b.now;
    b.trust().reject(now, 1, "no <thanks>").unwrap();
    assert_eq!(b.drain(), [Action::Persist, event(TrustEvent::Rejected(1)), send(1, Kind::Reject, true)]);
    let reject = b.write(1, Kind::Reject);
    assert_eq!(Message::parse(&reject).unwrap().reason, "no <thanks>");
    a.hear_with(2, Some(&key_of(2)), &reject).unwrap();
    assert_eq!(a.drain(), [Action::Persist, event(TrustEvent::RejectedByPeer(2))]);
    assert_eq!(a.hear(2, Kind::Accept, ""), Ok(()), "a change of mind later is as good as a request");
    assert!(a.is_pending(2) && !a.trusts(2));
}

#[test]
fn automatic_approval_approves_direct_and_relayed_requests() {
    let mut a = Agent::with(1, TrustState::new(true));
    a.hear(2, Kind::Request, "").unwrap();
    let now = a.now;
    assert_eq!(
        a.drain(),
        [
            Action::Persist,
            event(TrustEvent::Received(2)),
            event(TrustEvent::AutoApproved(2, AutoReason::Flag)),
            Action::Report { node: 2 },
            send(2, Kind::Accept, true)
        ]
    );
    a.trust().handle_relayed_request(now, 3, "", 0).unwrap();
    assert_eq!(
        a.drain(),
        [
            Action::Persist,
            Action::LookUpKey { node: 3 },
            event(TrustEvent::Received(3)),
            event(TrustEvent::AutoApproved(3, AutoReason::Flag)),
            Action::Report { node: 3 },
            Action::RelayRespond { to: 3, accept: true },
            send(3, Kind::Accept, false)
        ]
    );
    a.trust().key_learned(now, 3, &key_of(3)).unwrap();
    assert_eq!(a.trust().trusted()[1].key, Some(key_of(3)));
    assert_eq!(a.drain(), [Action::Persist]);
}

#[test]
fn an_answer_that_cannot_be_delivered_goes_through_the_relay() {
    let mut a = Agent::new(1);
    a.hear(2, Kind::Request, "").unwrap();
    a.approve(2);
    let Some(Action::Send(delivery)) = a.drain().pop() else { panic!("the accept comes last") };
    a.trust().handle_delivery(delivery, true).unwrap();
    assert_eq!(a.drain(), []);
    a.trust().handle_delivery(delivery, false).unwrap();
    assert_eq!(a.drain(), [Action::RelayRespond { to: 2, accept: true }]);
}

#[test]
fn a_request_that_nobody_answers_ends() {
    let mut a = Agent::new(1);
    a.request(2, "");
    a.drain();
    assert!(
        a.trust()
            .asked_lately(Now { instant: Instant::from_millis(6000), unix: 0 }, Duration::from_secs(120))
    );
    a.wait(LAZY_PERSIST);
    assert_eq!(a.drain(), []);
    let now = a.now;
    assert!(!a.trust().asked_lately(now, Duration::from_secs(1)));
    assert_eq!(a.trust().poll_timeout(), Some(Instant::from_millis(5000) + ASKED_LIFETIME));
    a.wait(ASKED_LIFETIME - LAZY_PERSIST);
    assert_eq!(a.drain(), [Action::Persist, event(TrustEvent::Unanswered(2))]);
    assert_eq!(a.trust().poll_timeout(), None);
}

#[test]
fn a_pending_request_ends_after_thirty_days() {
    let mut a = Agent::new(1);
    a.hear(2, Kind::Request, "").unwrap();
    a.wait(PENDING_LIFETIME);
    assert!(!a.is_pending(2));
    assert_eq!(a.trust().poll_timeout(), None);
}

#[test]
fn the_relayed_copy_of_a_request_completes_the_direct_one_in_silence() {
    let mut a = Agent::new(1);
    a.hear(2, Kind::Request, "a long st").unwrap();
    a.drain();
    let now = a.now;
    a.trust().handle_relayed_request(now, 2, "a long story", 0).unwrap();
    a.trust().handle_relayed_request(now, 2, "a lo", 0).unwrap();
    assert_eq!(a.drain(), []);
    assert_eq!(a.trust().pending()[0].justification, "a long story");
    a.approve(2);
    assert!(a.drain().contains(&Action::RelayRespond { to: 2, accept: true }), "answered on both ways");
}

#[test]
fn own_calls_about_nobody_or_with_too_much_text_are_refused() {
    let mut a = Agent::new(1);
    let now = a.now;
    for node in [0, 1, u32::MAX] {
        assert_eq!(a.trust().request(now, node, ""), Err(TrustError::NotAPeer { node }));
    }
    let refused = TrustError::TextTooLong { len: TEXT_MAX + 1, max: TEXT_MAX };
    assert_eq!(a.trust().request(now, 2, &"x".repeat(TEXT_MAX + 1)), Err(refused));
    assert_eq!(a.request(2, &"x".repeat(TEXT_MAX)), Requested::Sent);
    for node in 3..6 {
        a.drain();
        a.request(node, "");
    }
    a.drain();
    let full = TrustError::TableFull { table: "requests", capacity: 4 };
    assert_eq!(a.trust().request(now, 6, ""), Err(full));
}

#[test]
fn a_caller_that_never_drains_is_told_to() {
    let mut a = Agent::new(1);
    let now = a.now;
    let refused = (2..20).find_map(|_| a.trust().request(now, 2, "").err());
    assert_eq!(refused, Some(TrustError::Busy));
}

#[test]
fn what_is_written_down_is_put_back() {
    let mut a = Agent::new(1);
    a.trust().restore_trusted(Trusted { node: 9, ..Trusted::EMPTY }).unwrap();
    a.hear(2, Kind::Request, "why").unwrap();
    a.request(3, "please");
    a.trust().restore_trusted(Trusted { node: 4, ..Trusted::EMPTY }).unwrap();
    a.drain();
    a.revoke(4).unwrap();

    let mut b = Agent::new(1);
    b.now.unix += 60;
    let now = b.now;
    let mut trust = b.trust();
    let old = a.trust();
    for record in old.trusted() {
        trust.restore_trusted(*record).unwrap();
    }
    for waiting in old.pending() {
        trust
            .restore_pending(now, waiting.node, waiting.key, &waiting.justification, waiting.received_at)
            .unwrap();
    }
    for intent in old.intents() {
        trust.restore_intent(now, intent.node, intent.decision.clone(), intent.until_unix).unwrap();
    }
    assert_eq!(trust.trusted(), old.trusted());
    assert_eq!(trust.pending()[0].justification, "why");
    assert_eq!(trust.asked(3), Some("please"));
    assert_eq!(trust.poll_timeout(), Some(now.instant + Duration::from_secs(240)), "the cool-down of node 4");
    assert_eq!(trust.poll_action(), None);
    b.wait(Duration::from_secs(240));
    assert_eq!(b.drain(), [Action::Persist], "no tunnel is dropped for what was revoked before the restart");
}

#[test]
fn an_agent_without_memory_refuses_instead_of_failing() {
    let mut a = Agent::new(1);
    (a.trusted, a.pending, a.intents, a.seen) = (vec![], vec![], vec![], vec![]);
    let now = a.now;
    assert!(matches!(a.trust().request(now, 2, ""), Err(TrustError::TableFull { .. })));
    assert!(matches!(a.hear(2, Kind::Request, ""), Err(Refused::Trust(TrustError::TableFull { .. }))));
    assert_eq!(a.revoke(2), Err(TrustError::NotTrusted { node: 2 }));
}
