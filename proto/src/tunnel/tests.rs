//! What cannot be reached from outside in a test's time: volume limits, and prefixes that coincide.

use super::*;
use crate::crypto::RustCrypto;
use crate::rng::SeededRng;
use crate::wire::frame::Frame;

const START: Instant = Instant::from_millis(1000);
/// When the limit on answers no longer stands in the way.
const LATER: Instant = Instant::from_millis(6000);

/// Two tunnels that have just proved themselves to each other.
fn ready(rng: &mut SeededRng) -> (Tunnel<RustCrypto>, Tunnel<RustCrypto>) {
    let (mut a, mut b) = (Tunnel::new(), Tunnel::new());
    a.want(START);
    exchange(START, &mut a, &mut b, rng);
    send(START, &mut a, &mut b).unwrap();
    send(START, &mut b, &mut a).unwrap();
    (a, b)
}

/// Carries exchange frames until both are silent.
fn exchange(now: Instant, a: &mut Tunnel<RustCrypto>, b: &mut Tunnel<RustCrypto>, rng: &mut SeededRng) {
    loop {
        let (from_a, from_b) =
            (a.poll_exchange(now, &RustCrypto, rng), b.poll_exchange(now, &RustCrypto, rng));
        if from_a.is_none() && from_b.is_none() {
            return;
        }
        if let Some(key) = from_a {
            b.handle_key(now, &key, true, &RustCrypto, rng);
        }
        if let Some(key) = from_b {
            a.handle_key(now, &key, true, &RustCrypto, rng);
        }
    }
}

fn send(
    now: Instant,
    from: &mut Tunnel<RustCrypto>,
    to: &mut Tunnel<RustCrypto>,
) -> Result<[u8; 4], SealError> {
    let mut frame = [0; 40];
    frame[20..24].copy_from_slice(b"data");
    let len = from.seal(now, 1, &mut frame, 4, &RustCrypto)?;
    let prefix = frame[8..12].try_into().unwrap();
    let Ok(Frame::Sealed(sealed)) = Frame::parse(&mut frame[..len]) else { panic!("not a sealed frame") };
    assert_eq!(to.open(now, sealed, &RustCrypto).unwrap().packet, b"data");
    Ok(prefix)
}

fn sealing(tunnel: &mut Tunnel<RustCrypto>) -> &mut Session<crate::crypto::Aes256Gcm> {
    find(&mut tunnel.sessions, tunnel.sealing).unwrap()
}

/// A release takes a new key at once and drops the old one; here its answer is lost as well.
/// Proves TUN-19.
#[test]
fn in_silence_the_old_and_the_new_key_seal_in_turn_until_the_peer_speaks() {
    let mut rng = SeededRng::new(1);
    let (mut a, mut b) = ready(&mut rng);
    let old = send(LATER, &mut a, &mut b).unwrap();
    let renewed = LATER + TRY_NEW_AFTER;
    a.renew(renewed);
    let offered = a.poll_exchange(renewed, &RustCrypto, &mut rng).unwrap();
    b.handle_key(renewed, &offered, true, &RustCrypto, &mut rng);
    assert_eq!(send(renewed, &mut a, &mut b), Ok(old), "the answer is waited for");
    let tried = renewed + TRY_NEW_AFTER;
    let mut keys = [[0; 4]; 4];
    for prefix in &mut keys {
        *prefix = send(tried, &mut a, &mut b).unwrap();
    }
    assert_eq!(keys.iter().filter(|prefix| **prefix == old).count(), 2, "{keys:?}");
    assert!(keys.windows(2).all(|two| two[0] != two[1]), "{keys:?}");
    send(tried, &mut b, &mut a).unwrap();
    let key = send(tried, &mut a, &mut b).unwrap();
    assert_eq!(send(tried, &mut a, &mut b), Ok(key), "one key is enough");
}

/// Ours was lost in a cut; the peer, which cannot know that, sends one of its own when the way is back.
/// Proves TUN-20.
#[test]
fn hazard_02_d8_a_late_answer_may_be_an_attempt_that_crossed_one_that_was_lost() {
    for late in [true, false] {
        let mut rng = SeededRng::new(1);
        let (mut a, mut b) = ready(&mut rng);
        a.renew(LATER);
        let offered = a.poll_exchange(LATER, &RustCrypto, &mut rng).unwrap();
        let now = if late { LATER + TRY_NEW_AFTER } else { LATER };
        if late {
            b.renew(now);
        } else {
            b.handle_key(now, &offered, true, &RustCrypto, &mut rng);
        }
        let key = b.poll_exchange(now, &RustCrypto, &mut rng).unwrap();
        assert_eq!(a.handle_key(now, &key, true, &RustCrypto, &mut rng), KeyOutcome::Answered);
        let again = a.poll_exchange(now, &RustCrypto, &mut rng);
        assert_eq!(again.is_some(), late, "nothing is said twice to a peer that answers in time");
        if let Some(again) = again {
            assert_eq!(b.handle_key(now, &again, true, &RustCrypto, &mut rng), KeyOutcome::Answered);
        }
        send(now, &mut a, &mut b).unwrap();
        send(now, &mut b, &mut a).unwrap();
    }
}

/// Proves TUN-8.
#[test]
fn hazard_02_d9_a_key_is_replaced_before_it_is_spent() {
    for (packets, bytes) in [(REKEY_AFTER_PACKETS - 2, 0), (0, REKEY_AFTER_BYTES - 5)] {
        let mut rng = SeededRng::new(1);
        let (mut a, mut b) = ready(&mut rng);
        sealing(&mut a).wear(packets, bytes);
        send(LATER, &mut a, &mut b).unwrap();
        assert!(!a.is_exchanging(), "one below the limit");
        send(LATER, &mut a, &mut b).unwrap();
        send(LATER, &mut a, &mut b).unwrap();
        assert!(a.is_exchanging());
        let old = sealing(&mut a).id;
        exchange(LATER, &mut a, &mut b, &mut rng);
        assert_ne!(sealing(&mut a).id, old);
        send(LATER, &mut a, &mut b).unwrap();
    }
}

#[test]
fn a_spent_key_seals_nothing() {
    for (packets, bytes) in [(REFUSE_AFTER_PACKETS - 1, 0), (0, REFUSE_AFTER_BYTES - 4)] {
        let mut rng = SeededRng::new(1);
        let (mut a, mut b) = ready(&mut rng);
        sealing(&mut a).wear(packets, bytes);
        send(LATER, &mut a, &mut b).unwrap();
        assert!(!a.is_ready());
        assert_eq!(send(LATER, &mut a, &mut b), Err(SealError::KeySpent));
        send(LATER, &mut b, &mut a).unwrap();
        exchange(LATER, &mut a, &mut b, &mut rng);
        send(LATER, &mut a, &mut b).unwrap();
    }
}

/// An attacker repeats the peer's exchange as often as he likes, between all that is sent.
/// Proves TUN-7.
#[test]
fn hazard_02_d6_a_repeated_exchange_never_repeats_a_nonce() {
    let mut rng = SeededRng::new(1);
    let (mut a, mut b) = (Tunnel::<RustCrypto>::new(), Tunnel::<RustCrypto>::new());
    a.want(START);
    let to_b = a.poll_exchange(START, &RustCrypto, &mut rng).unwrap();
    b.handle_key(START, &to_b, true, &RustCrypto, &mut rng);
    let captured = b.poll_exchange(START, &RustCrypto, &mut rng).unwrap();
    a.handle_key(START, &captured, true, &RustCrypto, &mut rng);
    let mut last = std::collections::BTreeMap::new();
    let mut now = START;
    for _ in 0..300 {
        now = now + Duration::from_millis(300);
        a.handle_key(now, &captured, true, &RustCrypto, &mut rng);
        let mut frame = [0; 40];
        a.seal_unanswered(now, 1, &mut frame, 4, &RustCrypto).unwrap();
        let (prefix, counter): ([u8; 4], [u8; 8]) =
            (frame[8..12].try_into().unwrap(), frame[12..20].try_into().unwrap());
        let key = (sealing(&mut a).own, sealing(&mut a).peer);
        let (before, counted) = last.insert(key, (prefix, counter)).unwrap_or((prefix, [0; 8]));
        assert!(before == prefix && counted < counter, "{counted:?} then {counter:?} under one key");
        a.poll_exchange(now, &RustCrypto, &mut rng);
    }
    assert!(last.values().any(|(_, counter)| *counter > 5u64.to_be_bytes()));
}

#[test]
fn a_prefix_used_by_both_sides_ends_the_key() {
    let mut rng = SeededRng::new(1);
    let (mut a, mut b) = ready(&mut rng);
    let prefix = send(START, &mut a, &mut b).unwrap();
    sealing(&mut b).set_prefix(prefix);
    send(LATER, &mut a, &mut b).unwrap();
    let old = sealing(&mut b).id;
    exchange(LATER, &mut a, &mut b, &mut rng);
    assert_ne!(sealing(&mut b).id, old);
    assert_ne!(send(LATER, &mut a, &mut b).unwrap(), send(LATER, &mut b, &mut a).unwrap());
}

#[test]
fn a_tunnel_has_a_known_size() {
    assert!(size_of::<Tunnel<RustCrypto>>() <= 9 * 1024, "{} bytes", size_of::<Tunnel<RustCrypto>>());
}

/// Two tunnels with a second key, which both have proved, and the names of both: (a's id of the new one, b's).
fn renewed(rng: &mut SeededRng) -> (Tunnel<RustCrypto>, Tunnel<RustCrypto>) {
    let (mut a, mut b) = ready(rng);
    a.renew(LATER);
    exchange(LATER, &mut a, &mut b, rng);
    send(LATER, &mut a, &mut b).unwrap();
    send(LATER, &mut b, &mut a).unwrap();
    assert!(a.sessions.len() > 1 && b.sessions.len() > 1);
    (a, b)
}

/// Proves EXT-14: what a side withdraws, the other wipes at once if nothing is under way.
#[test]
fn a_withdrawn_key_is_wiped_at_once_on_both_sides() {
    let mut rng = SeededRng::new(21);
    let (mut a, mut b) = renewed(&mut rng);
    let names = [a.withdraw(&RustCrypto), b.withdraw(&RustCrypto)];
    for (tunnel, names) in [&mut b, &mut a].into_iter().zip(names) {
        assert!(!names.is_empty());
        let id = tunnel.sealing_session().unwrap();
        tunnel.handle_withdrawals(LATER, id, &names, &RustCrypto);
        assert_eq!(tunnel.poll_timeout(), Some(LATER));
        tunnel.handle_timeout(LATER);
        assert_eq!(tunnel.sessions.len(), 1);
    }
    send(LATER, &mut a, &mut b).unwrap();
    send(LATER, &mut b, &mut a).unwrap();
}

/// Proves EXT-14: a frame under way is still opened; what never arrives is waited for no longer than three seconds.
#[test]
fn a_withdrawn_key_opens_what_is_under_way() {
    for arrives in [true, false] {
        let mut rng = SeededRng::new(22);
        let (mut a, mut b) = ready(&mut rng);
        let mut late = [0; 40];
        late[20..24].copy_from_slice(b"late");
        let len = a.seal(START, 1, &mut late, 4, &RustCrypto).unwrap();
        a.renew(LATER);
        exchange(LATER, &mut a, &mut b, &mut rng);
        send(LATER, &mut a, &mut b).unwrap();
        send(LATER, &mut b, &mut a).unwrap();
        let names = a.withdraw(&RustCrypto);
        let id = b.sealing_session().unwrap();
        b.handle_withdrawals(LATER, id, &names, &RustCrypto);
        assert_eq!(b.sessions.len(), 2, "one frame is missing");
        if arrives {
            let Ok(Frame::Sealed(sealed)) = Frame::parse(&mut late[..len]) else { panic!("not sealed") };
            assert_eq!(b.open(LATER, sealed, &RustCrypto).unwrap().packet, b"late");
        } else {
            assert!(b.poll_timeout().is_some_and(|at| at <= LATER + WITHDRAWN_KEPT));
            b.handle_timeout(LATER + WITHDRAWN_KEPT);
        }
        assert_eq!(b.sessions.len(), 1, "{arrives}");
    }
}

#[test]
fn a_key_in_use_and_an_unknown_one_are_not_wiped() {
    let mut rng = SeededRng::new(23);
    let (mut a, mut b) = renewed(&mut rng);
    let in_use = sealing(&mut a).own_end(&RustCrypto);
    let names = [in_use, ([9; 8], 1)].map(|(session, last)| Withdrawn { session, last });
    let (id, other) = (b.sealing_session().unwrap(), b.sessions.first().unwrap().id);
    let before = b.sessions.len();
    b.handle_withdrawals(LATER, id, &names, &RustCrypto);
    b.handle_withdrawals(LATER, other, &names, &RustCrypto);
    assert_eq!(b.sessions.len(), before);
}

/// Proves EXT-13: whoever begins says so, the other leaves it to him, and steps in when nothing comes.
#[test]
fn one_side_renews_a_worn_key_and_the_other_waits() {
    let mut rng = SeededRng::new(24);
    let (mut a, mut b) = ready(&mut rng);
    let able = crate::wire::extension::Capabilities { renewals: true, ..Default::default() };
    for tunnel in [&mut a, &mut b] {
        sealing(tunnel).agreement.conclude(&able, able);
        sealing(tunnel).wear(REKEY_AFTER_PACKETS, 0);
    }
    let id = b.sealing_session().unwrap();
    b.handle_renewal(LATER, id);
    send(LATER, &mut b, &mut a).unwrap();
    assert!(!b.exchange_is_due(LATER) && !b.renewal_is_due(), "the peer has begun");
    send(LATER, &mut a, &mut b).unwrap();
    assert!(a.exchange_is_due(LATER) && a.take_renewal() && !a.take_renewal());
    let patience_ends = LATER + RENEWAL_PATIENCE;
    b.handle_renewal(patience_ends, id);
    send(patience_ends, &mut b, &mut a).unwrap();
    assert!(b.exchange_is_due(patience_ends), "what was announced has not come");
}
