//! Frames on the tunnel socket: key exchange, sealed frames, replay, rekey, restart, forgery, roaming.

use super::super::bench::{Bench, ECHO};
use super::super::case::{Case, Cases, Grade, Level, Setup};
use super::super::peer::{Heard, PATIENCE, secret};
use super::super::wire::{ACK, CONTROL, Key, SYN, exchange};
use super::{slug, vectors};
use ed25519_dalek::SigningKey;
use std::time::Duration;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("tunnel", Setup::Public);
    frames(&mut cases);
    exchanges(&mut cases);
    sealed(&mut cases);
    replay(&mut cases);
    sessions(&mut cases);
    cases.all
}

fn is_exchange(heard: &Heard) -> bool {
    matches!(heard, Heard::Exchange { .. })
}

fn frames(cases: &mut Cases) {
    let junk: [(&str, &[u8]); 12] = [
        ("empty", b""),
        ("one-byte", b"P"),
        ("three-bytes", b"PIL"),
        ("unknown-magic", b"PILX0000000000000000000000000000"),
        ("lower-case", b"pils000000000000000000000000000000000000"),
        ("pils-of-4", b"PILS"),
        ("pils-of-35", b"PILS0000000000000000000000000000000"),
        ("pila-of-135", &[b'P', b'I', b'L', b'A', 0, 0, 0, 9, 0, 0, 0]),
        ("pilk-of-4", b"PILK"),
        ("pilt-of-4", b"PILT"),
        ("zero", &[0; 64]),
        ("text", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ];
    for (name, bytes) in junk {
        cases.must(
            &format!("junk/{name}"),
            "TUN-1",
            "a datagram that is no frame is ignored without an answer",
            move |bench| {
                let mut peer = bench.peer()?;
                peer.send_raw(peer.target, bytes)?;
                bench.silence(&mut peer, |_| true)
            },
        );
    }
    cases.must("punch", "TUN-1", "a punch frame of 4 or 8 bytes is not answered", |bench| {
        let mut peer = bench.peer()?;
        peer.send_frame(b"PILP")?;
        peer.send_frame(b"PILP\x00\x00\x00\x07")?;
        bench.silence(&mut peer, |_| true)
    });
    cases.must("plaintext", "TUN-3", "with encryption on, a plaintext packet is dropped", |bench| {
        let mut client = bench.datagram_client()?;
        let mut peer = bench.friend()?;
        let frame = [b"PILT", &Bench::datagram(&peer, b"in clear").encode()[..]].concat();
        peer.send_frame(&frame)?;
        peer.send(&Bench::datagram(&peer, b"sealed"))?;
        client.datagram(PATIENCE, |payload| payload == b"sealed")?;
        match client.datagrams()?.iter().any(|payload| payload == b"in clear") {
            true => Err("it was delivered".into()),
            false => Ok(()),
        }
    });
    cases.must("plaintext-syn", "TUN-3", "a plaintext SYN is not answered", |bench| {
        let mut peer = bench.peer()?;
        let syn = peer.segment(40_000, ECHO, SYN).numbers(1, 0, 512);
        peer.send_frame(&[b"PILT", &syn.encode()[..]].concat())?;
        bench.silence(&mut peer, |heard| matches!(heard, Heard::Plain(_) | Heard::Packet { .. }))
    });
    cases.must(
        "nothing-in-clear",
        "TUN-3",
        "nothing is ever sent in clear while a key is missing",
        |bench| {
            let mut client = bench.client()?;
            let mut peer = bench.peer()?;
            client.dial(peer.node, 80)?;
            client.send(0x0B, &[&[0, 0][..], &peer.node.to_be_bytes(), &[0, 9], b"secret"].concat())?;
            bench.pass(Duration::from_millis(1500))?;
            match peer.drain()?.into_iter().find(|heard| matches!(heard, Heard::Plain(_) | Heard::Unknown(_)))
            {
                Some(heard) => Err(format!("it sent {heard:?}")),
                None => Ok(()),
            }
        },
    );
}

fn exchanges(cases: &mut Cases) {
    cases.must(
        "exchange",
        "TUN-11",
        "a signed key exchange of a known node is answered by a signed one",
        |bench| {
            let mut peer = bench.peer()?;
            peer.meet()?;
            peer.ping(1).map(drop)
        },
    );
    for extra in [1usize, 100, 300] {
        cases.must(
            &format!("exchange-and-more/{extra}"),
            "TUN-2",
            "bytes after a key exchange frame are ignored",
            move |bench| {
                let mut peer = bench.peer()?;
                let frame = [peer.exchange_frame(), vec![7; extra]].concat();
                peer.send_frame(&frame)?;
                peer.expect_exchange(PATIENCE)?;
                peer.ping(1).map(drop)
            },
        );
    }
    cases.must(
        "exchange-cut",
        "TUN-1",
        "a key exchange frame that lacks its last byte is dropped",
        |bench| {
            let mut peer = bench.peer()?;
            let mut frame = peer.exchange_frame();
            frame.pop();
            peer.send_frame(&frame)?;
            bench.silence(&mut peer, |_| true)
        },
    );
    for (name, at) in [("signature", 72), ("last-byte", 135), ("x25519", 8), ("sender", 7)] {
        cases.must(
            &format!("exchange-forged/{name}"),
            "TUN-9",
            "a key exchange whose signature does not match is refused",
            move |bench| {
                let mut peer = bench.peer()?;
                let mut frame = peer.exchange_frame();
                frame[at] ^= 1;
                peer.send_frame(&frame)?;
                // The registry may have to be asked first.
                bench.pass(Duration::from_millis(100))?;
                bench.silence(&mut peer, is_exchange)
            },
        );
    }
    cases.must(
        "exchange-of-another-key",
        "TUN-9",
        "a key exchange under a key that the registry does not have is refused",
        |bench| {
            let mut peer = bench.peer()?;
            peer.identity = SigningKey::from_bytes(&secret("impostor", peer.node, 0));
            peer.send_frame(&peer.exchange_frame())?;
            bench.pass(Duration::from_millis(100))?;
            bench.silence(&mut peer, is_exchange)
        },
    );
    cases.must(
        "exchange-forged-id-kills-nothing",
        "TUN-9",
        "a forged key exchange does not end a session that stands",
        |bench| {
            let mut peer = bench.friend()?;
            let mut conn = peer.connect(40_000, ECHO, 0)?;
            let impostor = SigningKey::from_bytes(&secret("impostor", peer.node, 1));
            let frame = exchange(peer.node, &secret("any", peer.node, 2), &impostor);
            let mut attacker = bench.stranger()?;
            attacker.send_frame(&frame)?;
            peer.echo(&mut conn, b"still mine")?;
            bench.silence(&mut attacker, is_exchange)
        },
    );
    cases.must(
        "exchange-of-unknown-node",
        "TUN-9",
        "a key exchange of a node the registry does not know is refused",
        |bench| {
            let mut peer = bench.stranger()?;
            peer.send_frame(&peer.exchange_frame())?;
            bench.silence(&mut peer, is_exchange)
        },
    );
    cases.must(
        "exchange-of-itself",
        "TUN-4",
        "a frame that names the receiver as sender is dropped",
        |bench| {
            let mut peer = bench.stranger()?;
            peer.node = super::super::rendezvous::TARGET;
            peer.send_frame(&peer.exchange_frame())?;
            peer.send_frame(&peer.anonymous_frame())?;
            bench.silence(&mut peer, is_exchange)
        },
    );
    for (name, first) in [("zero", 0u8), ("one", 1)] {
        cases.must(
            &format!("exchange-weak/{name}"),
            "TUN-6",
            "an X25519 key of low order is refused although it is signed",
            move |bench| {
                let mut peer = bench.peer()?;
                let mut weak = [0; 32];
                weak[0] = first;
                peer.send_frame(&exchange(peer.node, &weak, &peer.identity))?;
                bench.silence(&mut peer, is_exchange)
            },
        );
    }
    cases.must(
        "anonymous-refused",
        "TUN-10",
        "an anonymous key exchange of a node whose key the registry has makes no tunnel",
        |bench| {
            let mut peer = bench.peer()?;
            peer.send_frame(&peer.anonymous_frame())?;
            bench.control()?;
            let heard = peer.drain()?;
            if heard.iter().any(|heard| matches!(heard, Heard::Exchange { signed: false, .. })) {
                return Err("it was answered with an anonymous one".into());
            }
            if peer.sessions.is_empty() {
                return Ok(());
            }
            // It answered with a signed one, as it should: its key must not be in use with us.
            let ping = peer.packet(CONTROL).ports(9, 0).numbers(1, 0, 0).payload(*b"ping");
            peer.send(&ping)?;
            bench.silence(&mut peer, |heard| heard.packet().is_some())
        },
    );
    cases.should(
        "anonymous-answered-signed",
        "TUN-10",
        "the answer to an anonymous key exchange of a known node is a signed one",
        |bench| {
            let mut peer = bench.peer()?;
            for _ in 0..3 {
                peer.send_frame(&peer.anonymous_frame())?;
                match peer.expect_exchange(Duration::from_secs(1)) {
                    Ok((_, true)) => return Ok(()),
                    Ok((_, false)) => return Err("it is anonymous".into()),
                    Err(_) => {}
                }
            }
            Err("no answer within 3 s".into())
        },
    );
    cases.must(
        "exchange-fresh-is-answered",
        "TUN-11",
        "a key exchange with a fresh X25519 key is answered",
        |bench| {
            let mut peer = bench.friend()?;
            peer.ping(1)?;
            peer.fresh_key();
            peer.meet()?;
            peer.ping(2).map(drop)
        },
    );
    cases.should("exchange-identical-is-answered", "TUN-11", "an identical key exchange is answered too, a second later, as long as the key has not been used: the answer may be lost", |bench| {
        let mut peer = bench.peer()?;
        peer.meet()?;
        bench.pass(Duration::from_millis(1200))?;
        peer.drain()?;
        peer.send_frame(&peer.exchange_frame())?;
        peer.expect_exchange(PATIENCE).map(drop)
    });
    cases.must(
        "exchange-identical-keeps-the-session",
        "TUN-7",
        "an identical key exchange changes neither key nor counter",
        |bench| {
            let mut peer = bench.friend()?;
            let mut conn = peer.connect(40_000, ECHO, 9)?;
            for round in 0..3u8 {
                peer.send_frame(&peer.exchange_frame())?;
                peer.echo(&mut conn, &[b'a' + round; 10])?;
            }
            Ok(())
        },
    );
    cases.must("exchange-repeated", "TUN-13", "an unanswered key exchange is repeated", |bench| {
        let mut client = bench.client()?;
        let mut peer = bench.peer()?;
        peer.obliging = false;
        client.dial(peer.node, 80)?;
        peer.expect_exchange(PATIENCE)?;
        peer.expect_exchange(Duration::from_secs(6)).map(drop)
    });
    cases.should("exchange-repeated-fresh", "TUN-13", "each repetition has a fresh X25519 key", |bench| {
        let mut client = bench.client()?;
        let mut peer = bench.peer()?;
        client.dial(peer.node, 80)?;
        let (first, _) = peer.expect_exchange(PATIENCE)?;
        bench.pass(Duration::from_millis(2500))?;
        let later = peer.drain()?;
        let later: Vec<_> = later
            .iter()
            .filter_map(|h| match h {
                Heard::Exchange { x25519, .. } => Some(*x25519),
                _ => None,
            })
            .collect();
        match later.iter().any(|key| *key != first) {
            true => Ok(()),
            false => Err(format!("{} repetitions, all with the first key", later.len())),
        }
    });
    cases.should(
        "exchange-rate",
        "TUN-13",
        "no more than five key exchange frames a second go to one address",
        |bench| {
            let mut peer = bench.friend()?;
            peer.drain()?;
            for _ in 0..40 {
                peer.fresh_key();
                peer.send_frame(&peer.exchange_frame())?;
            }
            bench.control()?;
            let answers = peer.drain()?.iter().filter(|heard| is_exchange(heard)).count();
            if answers <= 6 { Ok(()) } else { Err(format!("{answers} answers to 40 at once")) }
        },
    );
    cases.must(
        "registry-silent",
        "TUN-9",
        "a question to the registry does not delay packets of others",
        |bench| {
            bench.rendezvous.mute("lookup", true);
            let peer = bench.peer()?;
            let sent = peer.send_frame(&peer.exchange_frame());
            let served = bench.control();
            bench.rendezvous.mute("lookup", false);
            // What the target waits for will not come on this connection any more.
            bench.rendezvous.cut(false);
            sent?;
            served
        },
    );
}

/// A change to a sealed frame: its name, in words, and itself.
type Change = (&'static str, &'static str, fn(Vec<u8>) -> Vec<u8>);

fn sealed(cases: &mut Cases) {
    let variants: [Change; 6] = [
        ("tag", "whose tag is changed", |mut f| {
            let n = f.len();
            f[n - 1] ^= 1;
            f
        }),
        ("ciphertext", "whose ciphertext is changed", |mut f| {
            f[21] ^= 1;
            f
        }),
        ("prefix", "whose nonce prefix is changed", |mut f| {
            f[8] ^= 1;
            f
        }),
        ("counter", "whose counter is changed", |mut f| {
            f[19] ^= 0x40;
            f
        }),
        ("one-more", "with a byte after the tag", |mut f| {
            f.push(0);
            f
        }),
        ("one-less", "without its last byte", |mut f| {
            f.pop();
            f
        }),
    ];
    for (name, text, change) in variants {
        cases.must(
            &format!("sealed-changed/{name}"),
            "TUN-16",
            &format!("a sealed frame {text} is dropped and changes nothing"),
            move |bench| {
                let mut client = bench.datagram_client()?;
                let mut peer = bench.friend()?;
                let inner = Bench::datagram(&peer, b"frame 0").encode();
                let frame = change(peer.seal(&inner)?);
                let after = Bench::datagram(&peer, b"frame 1").encode();
                let after = peer.seal(&after)?;
                let arrived = bench.delivered(&mut peer, &[frame, after], &mut client)?;
                if arrived == [1] {
                    Ok(())
                } else {
                    Err(format!("delivered were {arrived:?}, should be [1]"))
                }
            },
        );
    }
    cases.must(
        "sealed-aad",
        "TUN-6",
        "the associated data are the sender's id: a frame sealed with another is dropped",
        |bench| {
            let mut client = bench.datagram_client()?;
            let mut peer = bench.friend()?;
            let inner = Bench::datagram(&peer, b"frame 0").encode();
            let node = peer.node;
            let session = peer.session()?;
            let frame = session.key.seal_with(node, 1, session.prefix, 50, &inner);
            let after = Bench::datagram(&peer, b"frame 1").encode();
            let after = peer.seal_at(51, &after)?;
            let arrived = bench.delivered(&mut peer, &[frame, after], &mut client)?;
            if arrived == [1] { Ok(()) } else { Err(format!("delivered were {arrived:?}, should be [1]")) }
        },
    );
    cases.must("sealed-empty", "TUN-16", "an authentic frame with nothing in it is dropped", |bench| {
        let mut peer = bench.friend()?;
        peer.send_inner(b"")?;
        bench.silence(&mut peer, |heard| heard.packet().is_some())?;
        peer.ping(1).map(drop)
    });
    cases.should(
        "sealed-from-unknown",
        "TUN-12",
        "a sealed frame from a sender without a key is answered by a key exchange",
        |bench| {
            let mut peer = bench.peer()?;
            let key = Key::derive(&x25519_dalek::StaticSecret::from([7; 32]), &[9; 32]);
            let frame = key.seal(peer.node, [1, 2, 3, 4], 1, b"who am I to you?");
            peer.send_frame(&frame)?;
            peer.expect_exchange(PATIENCE).map(drop)
        },
    );
    cases.should("sealed-unopenable-is-answered", "TUN-12", "sealed frames that do not open are answered by a key exchange, at the latest when the peer has been silent otherwise for five seconds", |bench| {
        let mut peer = bench.friend()?;
        peer.ping(1)?;
        bench.pass(Duration::from_millis(1200))?;
        peer.drain()?;
        let key = Key::derive(&x25519_dalek::StaticSecret::from([7; 32]), &[9; 32]);
        for counter in 1..=12 {
            let frame = key.seal(peer.node, [1, 2, 3, 4], counter, b"I have forgotten you");
            peer.send_frame(&frame)?;
            if peer.expect_exchange(Duration::from_millis(500)).is_ok() {
                return Ok(());
            }
        }
        Err("no key exchange within 6 s".into())
    });
    cases.should(
        "sealed-flood-is-not-answered",
        "TUN-12",
        "at most one such answer a second goes to a node",
        |bench| {
            let mut peer = bench.friend()?;
            peer.ping(1)?;
            peer.drain()?;
            let key = Key::derive(&x25519_dalek::StaticSecret::from([7; 32]), &[9; 32]);
            for counter in 1..=50 {
                peer.send_frame(&key.seal(peer.node, [1, 2, 3, 4], counter, b"flood"))?;
            }
            bench.control()?;
            let answers = peer.drain()?.iter().filter(|heard| is_exchange(heard)).count();
            if answers <= 2 { Ok(()) } else { Err(format!("{answers} answers to 50 at once")) }
        },
    );
    cases.must("counter-zero", "TUN-7", "a first frame with counter 0 is accepted", |bench| {
        let mut client = bench.datagram_client()?;
        let mut peer = bench.friend()?;
        let inner = Bench::datagram(&peer, b"frame 0").encode();
        let frame = peer.seal_at(0, &inner)?;
        let arrived = bench.delivered(&mut peer, &[frame], &mut client)?;
        if arrived == [0] { Ok(()) } else { Err("it was not delivered".into()) }
    });
    cases.must("nonces-differ", "TUN-7", "the target never uses a nonce twice", |bench| {
        let mut peer = bench.friend()?;
        let mut conn = peer.connect(40_000, ECHO, 3)?;
        let mut seen = std::collections::BTreeSet::new();
        let socket = peer.socket.try_clone().map_err(|e| e.to_string())?;
        // More than a key's first few frames, and their repetitions.
        for part in 0..20u8 {
            peer.write(&mut conn, &[part; 1000])?;
        }
        let mut buffer = [0; 65536];
        socket.set_read_timeout(Some(Duration::from_millis(300))).map_err(|e| e.to_string())?;
        while let Ok(length) = socket.recv(&mut buffer) {
            if buffer.starts_with(b"PILS") && length >= 20 && !seen.insert(buffer[8..20].to_vec()) {
                return Err(format!("nonce {:02x?} came twice", &buffer[8..20]));
            }
        }
        if seen.is_empty() { Err("nothing was sent".into()) } else { Ok(()) }
    });
}

/// The vectors' replay sequences, as frames around datagrams.
fn replay(cases: &mut Cases) {
    for vector in vectors(include_str!("../../../../spec/vectors/tunnel.json"))["replay_sequences"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let name = vector["name"].as_str().unwrap_or_default().to_string();
        let steps: Vec<(u64, bool, bool)> = vector["steps"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|step| {
                let counter = step["counter"].as_str().and_then(|c| c.parse().ok()).unwrap_or_default();
                let forged = step["forged"].as_bool().unwrap_or_default()
                    || step["tag"] == "forged"
                    || step["authentic"] == false;
                (counter, step["accept"].as_bool().unwrap_or_default(), forged)
            })
            .collect();
        cases.graded(
            Level::Must,
            &format!("replay/{}", slug(&name)),
            "TUN-17",
            "no counter is accepted twice; a new one at most 255 below the highest is accepted",
            move |bench| {
                let mut client = bench.datagram_client()?;
                let mut peer = bench.friend()?;
                let mut frames = Vec::new();
                for (number, (counter, _, forged)) in steps.iter().enumerate() {
                    let inner = Bench::datagram(&peer, format!("frame {number}").as_bytes()).encode();
                    let mut frame = peer.seal_at(*counter, &inner)?;
                    if *forged {
                        let last = frame.len() - 1;
                        frame[last] ^= 0xFF;
                    }
                    frames.push(frame);
                }
                let arrived = bench.delivered(&mut peer, &frames, &mut client)?;
                let mut accepted = std::collections::BTreeSet::new();
                let mut highest = None::<u64>;
                for (number, (counter, expected, forged)) in steps.iter().enumerate() {
                    let came = arrived.contains(&number);
                    if came && *forged {
                        return Err(format!("step {number}: a forged frame was delivered"));
                    }
                    if came && !accepted.insert(*counter) {
                        return Err(format!("step {number}: counter {counter} was accepted twice"));
                    }
                    let fresh = !accepted.contains(counter) && highest.is_none_or(|h| counter.saturating_add(255) >= h || *counter > h);
                    if !came && !*forged && fresh && *expected {
                        return Err(format!("step {number}: counter {counter} is new and within 255 of {highest:?}, and was dropped"));
                    }
                    if came {
                        highest = Some(highest.map_or(*counter, |h| h.max(*counter)));
                    }
                }
                let as_vector = steps.iter().enumerate().all(|(number, (_, expected, _))| arrived.contains(&number) == *expected);
                Ok(if as_vector { Grade::Strict } else { Grade::Seen("a larger window than April's, as the clause allows".into()) })
            },
        );
    }
    cases.must(
        "replay-of-the-last",
        "TUN-17",
        "a captured frame sent again is not delivered again",
        |bench| {
            let mut client = bench.datagram_client()?;
            let mut peer = bench.friend()?;
            let inner = Bench::datagram(&peer, b"frame 0").encode();
            let frame = peer.seal(&inner)?;
            let frames = vec![frame; 5];
            let arrived = bench.delivered(&mut peer, &frames, &mut client)?;
            if arrived == [0] { Ok(()) } else { Err(format!("delivered {} times", arrived.len())) }
        },
    );
    cases.must(
        "replay-from-another-address",
        "TUN-18",
        "a captured frame sent from elsewhere does not move the peer",
        |bench| {
            let (mut client, id, mut peer, mut conn) = bench.pair(3)?;
            let segment = conn.packet(&peer, ACK).payload(*b"once");
            let frame = peer.seal(&segment.encode())?;
            conn.next = conn.next.wrapping_add(4);
            peer.send_frame(&frame)?;
            client.read_bytes(id, 4)?;
            let mut thief = bench.stranger()?;
            thief.send_frame(&frame)?;
            // The target speaks first: a word of the peer's would move it back.
            bench.control()?;
            client.write(id, b"are you there?")?;
            peer.read(&mut conn, 14)?;
            bench.silence(&mut thief, |_| true)
        },
    );
    cases.must(
        "replay-of-an-exchange",
        "TUN-14",
        "a captured key exchange sent again later does not end the session in use",
        |bench| {
            let mut peer = bench.friend()?;
            let old = peer.exchange_frame();
            peer.ping(1)?;
            peer.fresh_key();
            peer.meet()?;
            let mut conn = peer.connect(40_000, ECHO, 3)?;
            peer.obliging = false;
            for _ in 0..3 {
                peer.send_frame(&old)?;
                peer.echo(&mut conn, b"goes on")?;
            }
            Ok(())
        },
    );
}

fn sessions(cases: &mut Cases) {
    cases.must("rekey-in-use", "TUN-14", "a stream goes on over a new key", |bench| {
        let mut peer = bench.friend()?;
        let mut conn = peer.connect(40_000, ECHO, 3)?;
        for round in 0..3u8 {
            peer.echo(&mut conn, &[b'a' + round; 20])?;
            peer.fresh_key();
            peer.meet()?;
        }
        peer.echo(&mut conn, b"last")
    });
    cases.should(
        "old-key-still-opens",
        "TUN-14",
        "until a frame opens under the new key, the old one opens frames",
        |bench| {
            let mut peer = bench.friend()?;
            let mut conn = peer.connect(40_000, ECHO, 3)?;
            peer.obliging = false;
            peer.fresh_key();
            peer.send_frame(&peer.exchange_frame())?;
            peer.expect_exchange(PATIENCE)?;
            // The newest session is put aside: this peer has not understood yet.
            let newest = peer.sessions.pop();
            peer.sessions.truncate(1);
            let result = peer.echo(&mut conn, b"under the old key");
            peer.sessions.extend(newest);
            result
        },
    );
    cases.must(
        "restart-of-the-peer",
        "TUN-12",
        "a peer that lost its keys is served again after its own exchange",
        |bench| {
            let mut peer = bench.friend()?;
            peer.connect(40_000, ECHO, 3)?;
            peer.sessions.clear();
            peer.fresh_key();
            peer.meet()?;
            let mut conn = peer.connect(40_001, ECHO, 900)?;
            peer.echo(&mut conn, b"new life")
        },
    );
    cases.must(
        "roaming",
        "TUN-18",
        "a peer whose address changes is followed by its next sealed frame",
        |bench| {
            let mut peer = bench.friend()?;
            let mut conn = peer.connect(40_000, ECHO, 3)?;
            peer.echo(&mut conn, b"here")?;
            peer.move_socket()?;
            bench.rendezvous.register(peer.node, peer.record()?);
            let segment = conn.packet(&peer, ACK).payload(*b"there");
            conn.next = conn.next.wrapping_add(5);
            for _ in 0..6 {
                peer.send(&segment)?;
                let at = conn;
                if peer
                    .expect_within(Duration::from_millis(700), "echo", |p| {
                        at.is_for(p) && !p.payload.is_empty()
                    })
                    .is_ok()
                {
                    return Ok(());
                }
            }
            Err("no answer at the new address within 4 s".into())
        },
    );
    cases.must(
        "exchange-does-not-move",
        "TUN-18",
        "a captured key exchange sent from elsewhere does not move the peer's address",
        |bench| {
            let (mut client, id, mut peer, mut conn) = bench.pair(3)?;
            let captured = peer.exchange_frame();
            let mut thief = bench.stranger()?;
            thief.send_frame(&captured)?;
            // The target speaks first: a word of the peer's would move it back.
            bench.control()?;
            client.write(id, b"are you there?")?;
            peer.read(&mut conn, 14)?;
            bench.silence(&mut thief, |heard| *heard == Heard::Closed)
        },
    );
    cases.must(
        "restart-of-the-target",
        "TUN-12",
        "after a restart the target finds back to a peer that sends under the old key",
        |bench| {
            let mut peer = bench.friend()?;
            peer.ping(1)?;
            bench.restart()?;
            peer.target = bench.target.address(&bench.rendezvous)?;
            let ping = peer.packet(CONTROL).ports(9, 0).numbers(2, 0, 0).payload(*b"ping");
            for _ in 0..10 {
                // It need not answer a key that it has lost (TUN-12); then a fresh exchange of ours must do.
                peer.send(&ping)?;
                if peer
                    .expect_within(Duration::from_millis(500), "pong", |p| {
                        p.protocol == CONTROL && p.has(ACK)
                    })
                    .is_ok()
                {
                    return Ok(());
                }
                peer.fresh_key();
                peer.send_frame(&peer.exchange_frame())?;
            }
            Err("no pong within 5 s".into())
        },
    );
}
