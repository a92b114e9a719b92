//! Two tunnels and somebody between them who holds back, copies, reorders and forges frames: what opens is what was
//! sealed, once.

use std::collections::BTreeSet;

use arbitrary::Unstructured;
use pilot_proto::{
    Instant,
    rng::SeededRng,
    time::Duration,
    tunnel::Tunnel,
    wire::frame::{Frame, SEALED_HEAD_LEN, TAG_LEN},
};
use pilot_sim::NullCrypto;

struct End {
    tunnel: Tunnel<NullCrypto>,
    rng: SeededRng,
    /// Numbers of packets opened.
    opened: BTreeSet<u32>,
}

enum Flying {
    Key([u8; 32], bool),
    Frame(Vec<u8>),
}

/// See the head of this file.
pub fn tunnel(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let _ = run(&mut bytes);
}

fn run(bytes: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let crypto = NullCrypto;
    let mut now = Instant::from_millis(1000);
    let mut ends =
        [1, 2].map(|seed| End { tunnel: Tunnel::new(), rng: SeededRng::new(seed), opened: BTreeSet::new() });
    let mut flying: [Vec<Flying>; 2] = [Vec::new(), Vec::new()];
    let mut sealed = 0u32;
    let mut nonces = BTreeSet::new();
    while !bytes.is_empty() {
        let action: u8 = bytes.arbitrary()?;
        let (side, pick) = (usize::from(action >> 7), usize::from(action >> 4 & 7));
        let other = 1 - side;
        match action & 15 {
            0 => ends[side].tunnel.want(now),
            1 => ends[side].tunnel.renew(now),
            2 => ends[side].tunnel.answer(now),
            3..=6 => {
                let mut frame = vec![0; SEALED_HEAD_LEN + 4 + TAG_LEN];
                frame[SEALED_HEAD_LEN..SEALED_HEAD_LEN + 4].copy_from_slice(&sealed.to_be_bytes());
                let node = side as u32 + 1;
                let result = match pick & 1 {
                    0 => ends[side].tunnel.seal(now, node, &mut frame, 4, &crypto),
                    _ => ends[side].tunnel.seal_unanswered(now, node, &mut frame, 4, &crypto),
                };
                if let Ok(len) = result {
                    assert_eq!(len, frame.len());
                    let nonce: [u8; 12] = frame[8..20].try_into().expect("twelve bytes");
                    assert!(nonces.insert((side, nonce)), "a nonce is used twice");
                    sealed += 1;
                    flying[other].push(Flying::Frame(frame));
                }
            }
            // Arrives; arrives and stays; is lost.
            kind @ 7..=11 if !flying[side].is_empty() => {
                let at = if kind < 9 { 0 } else { pick % flying[side].len() };
                match &mut flying[side][at] {
                    Flying::Key(key, signed) => {
                        let End { tunnel, rng, .. } = &mut ends[side];
                        tunnel.handle_key(now, key, *signed, &crypto, rng);
                    }
                    Flying::Frame(frame) if kind != 11 => {
                        let mut frame = frame.clone();
                        open(&mut ends[side], now, &mut frame, true);
                    }
                    Flying::Frame(_) => {}
                }
                if kind != 10 {
                    flying[side].remove(at);
                }
            }
            // Somebody changes a byte, or says something of his own.
            12 => {
                let Some(Flying::Frame(frame)) = flying[side].first() else { continue };
                let mut frame = frame.clone();
                let at = usize::from(bytes.arbitrary::<u8>()?) % frame.len();
                let change = bytes.arbitrary::<u8>()?.max(1);
                frame[at] ^= change;
                open(&mut ends[side], now, &mut frame, false);
            }
            13 => {
                let key: [u8; 32] = bytes.arbitrary()?;
                let End { tunnel, rng, .. } = &mut ends[side];
                tunnel.handle_key(now, &key, false, &crypto, rng);
            }
            _ => {
                let until = now + Duration::from_millis(u64::from(bytes.arbitrary::<u16>()?));
                let tunnel = &mut ends[side].tunnel;
                let mut turns = 0;
                while let Some(due) = tunnel.poll_timeout().filter(|due| *due <= until) {
                    turns += 1;
                    assert!(turns < 1000, "a tunnel that never comes to rest");
                    tunnel.handle_timeout(due.max(now));
                    if tunnel.exchange_is_due(due.max(now)) {
                        break;
                    }
                }
                now = until;
                ends[other].tunnel.handle_timeout(now);
                ends[side].tunnel.handle_timeout(now);
            }
        }
        for side in 0..2 {
            let mut sent = 0;
            let End { tunnel, rng, .. } = &mut ends[side];
            while let Some(key) = tunnel.poll_exchange(now, &crypto, rng) {
                sent += 1;
                assert!(sent < 16, "an exchange that never ends");
                flying[1 - side].push(Flying::Key(key, true));
            }
        }
    }
    Ok(())
}

/// Opens a frame; `genuine` ones were sealed by the peer, the others must not open.
fn open(end: &mut End, now: Instant, frame: &mut [u8], genuine: bool) {
    let before = frame.to_vec();
    let Ok(Frame::Sealed(sealed)) = Frame::parse(frame) else { return };
    match end.tunnel.open(now, sealed, &NullCrypto) {
        Ok(opened) => {
            assert!(genuine, "a forged frame opens");
            let number: [u8; 4] = (&*opened.packet).try_into().expect("four bytes");
            assert!(end.opened.insert(u32::from_be_bytes(number)), "a frame opens twice");
        }
        Err(_) => assert_eq!(frame, before, "what does not open stays as it was"),
    }
}
