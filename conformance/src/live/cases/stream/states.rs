//! Each state of the target's end against each thing that can arrive in it.

use crate::live::bench::{Bench, ECHO};
use crate::live::case::Cases;
use crate::live::client::Client;
use crate::live::peer::{Conn, Heard, PATIENCE, Peer};
use crate::live::wire::{ACK, FIN, Packet, RST, SYN, sack};

/// A state the target's end is brought into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing: nobody listens on the port.
    Closed,
    /// It listens; the peer has not spoken.
    Listen,
    /// It has answered our SYN.
    SynReceived,
    /// It has dialled; we have not answered.
    SynSent,
    Established,
    /// It has sent FIN; we have not answered.
    FinWait,
    /// We have sent FIN; its program has not closed.
    CloseWait,
    /// Both have closed.
    Closing,
}

const STATES: [(State, &str); 8] = [
    (State::Closed, "closed"),
    (State::Listen, "listen"),
    (State::SynReceived, "syn-received"),
    (State::SynSent, "syn-sent"),
    (State::Established, "established"),
    (State::FinWait, "fin-wait"),
    (State::CloseWait, "close-wait"),
    (State::Closing, "closed-by-both"),
];

/// The two ends of a stream brought into a state.
struct Stage {
    peer: Peer,
    conn: Conn,
    client: Option<(Client, u32)>,
}

fn stage(bench: &mut Bench<'_>, state: State) -> Result<Stage, String> {
    let fresh = |bench: &mut Bench<'_>, port: u16| -> Result<Stage, String> {
        let peer = bench.friend()?;
        let conn = Conn { local: 40_000, remote: port, next: 500, expected: 0, window: 512, peer_isn: 0 };
        Ok(Stage { peer, conn, client: None })
    };
    match state {
        State::Closed => fresh(bench, 9_999),
        State::Listen => fresh(bench, ECHO),
        State::SynReceived => {
            let mut stage = fresh(bench, ECHO)?;
            stage.peer.send(&stage.conn.packet(&stage.peer, SYN))?;
            let conn = stage.conn;
            let answer = stage.peer.expect("SYN ACK", |p| conn.is_for(p) && p.is(SYN | ACK))?;
            stage.conn.next += 1;
            stage.conn.peer_isn = answer.sequence;
            stage.conn.expected = answer.sequence.wrapping_add(1);
            Ok(stage)
        }
        State::SynSent => {
            let mut client = bench.client()?;
            let mut peer = bench.friend()?;
            client.dial(peer.node, 80)?;
            let conn = peer.await_syn(80, 500)?;
            Ok(Stage { peer, conn, client: Some((client, 0)) })
        }
        State::Established => {
            let (client, id, peer, conn) = bench.pair(500)?;
            Ok(Stage { peer, conn, client: Some((client, id)) })
        }
        State::FinWait => {
            let (mut client, id, mut peer, conn) = bench.pair(500)?;
            client.close(id)?;
            peer.expect("FIN", |p| conn.is_for(p) && p.has(FIN))?;
            Ok(Stage { peer, conn, client: Some((client, id)) })
        }
        State::CloseWait => {
            let (client, id, mut peer, conn) = bench.pair(500)?;
            peer.send(&conn.packet(&peer, FIN))?;
            peer.expect("answer to FIN", |p| conn.is_for(p) && p.has(ACK))?;
            Ok(Stage { peer, conn, client: Some((client, id)) })
        }
        State::Closing => {
            let (mut client, id, mut peer, conn) = bench.pair(500)?;
            client.close(id)?;
            peer.expect("FIN", |p| conn.is_for(p) && p.has(FIN))?;
            peer.send(&conn.packet(&peer, FIN | ACK))?;
            peer.send(&conn.packet(&peer, FIN))?;
            bench.control()?;
            peer.drain()?;
            Ok(Stage { peer, conn, client: Some((client, id)) })
        }
    }
}

/// Something that arrives.
type Event = (&'static str, fn(&Stage) -> Packet);

const EVENTS: [Event; 14] = [
    ("no-flag", |s| s.conn.packet(&s.peer, 0)),
    ("no-flag-with-data", |s| s.conn.packet(&s.peer, 0).payload(*b"silent data")),
    ("ack", |s| s.conn.packet(&s.peer, ACK)),
    ("ack-of-the-future", |s| {
        s.conn.packet(&s.peer, ACK).numbers(s.conn.next, s.conn.expected.wrapping_add(100_000), 512)
    }),
    ("ack-of-the-past", |s| {
        s.conn.packet(&s.peer, ACK).numbers(s.conn.next, s.conn.expected.wrapping_sub(100_000), 512)
    }),
    ("data-of-the-past", |s| {
        s.conn
            .packet(&s.peer, ACK)
            .numbers(s.conn.next.wrapping_sub(50), s.conn.expected, 512)
            .payload([b'p'; 50])
    }),
    ("data-far-ahead", |s| {
        s.conn
            .packet(&s.peer, ACK)
            .numbers(s.conn.next.wrapping_add(0x4000_0000), s.conn.expected, 512)
            .payload(*b"far")
    }),
    ("syn-ack-of-nothing", |s| {
        s.conn.packet(&s.peer, SYN | ACK).numbers(77, s.conn.expected.wrapping_add(4711), 512)
    }),
    ("fin-ack", |s| s.conn.packet(&s.peer, FIN | ACK)),
    ("fin-ahead-of-data", |s| {
        s.conn.packet(&s.peer, FIN).numbers(s.conn.next.wrapping_add(10), s.conn.expected, 512)
    }),
    ("all-flags", |s| s.conn.packet(&s.peer, 15)),
    ("sack-lie", |s| {
        s.conn
            .packet(&s.peer, ACK)
            .payload(sack(&[(s.conn.expected.wrapping_add(5000), s.conn.expected.wrapping_add(9000))]))
    }),
    ("sack-malformed", |s| s.conn.packet(&s.peer, ACK).payload(*b"SACK\x09")),
    ("rst", |s| s.conn.packet(&s.peer, RST)),
];

/// Packets in answer to one event must be few, or two such ends would never be silent.
const MOST_ANSWERS: usize = 4;

pub(super) fn states(cases: &mut Cases) {
    for (state, state_name) in STATES {
        for (event_name, event) in EVENTS {
            cases.must(
                &format!("state/{state_name}/{event_name}"),
                "STR-1",
                "whatever arrives in whatever state, the answer is short, no data is made up, and the target goes on",
                move |bench| one_event(bench, state, event_name, event),
            );
        }
    }
}

fn one_event(
    bench: &mut Bench<'_>,
    state: State,
    name: &str,
    event: fn(&Stage) -> Packet,
) -> Result<(), String> {
    let mut stage = stage(bench, state)?;
    let packet = event(&stage);
    for _ in 0..3 {
        stage.peer.send(&packet)?;
    }
    bench.control()?;
    let conn = stage.conn;
    let answers: Vec<Packet> = stage
        .peer
        .drain()?
        .into_iter()
        .filter_map(|heard| match heard {
            Heard::Packet { packet, .. } if conn.is_for(&packet) => Some(packet),
            _ => None,
        })
        .collect();
    if answers.len() > 3 * MOST_ANSWERS {
        return Err(format!("{} packets in answer to three", answers.len()));
    }
    // What only begins like a SACK list is data (STR-12), and an echo service sends it back.
    let may_be_data = name.starts_with("sack");
    if let Some(data) = answers
        .iter()
        .filter(|_| !may_be_data)
        .find(|p| !p.payload.is_empty() && !p.payload.starts_with(b"SACK") && p.payload.len() > 1)
    {
        return Err(format!("data nobody wrote: {}", data.describe()));
    }
    match state {
        State::Closed | State::Listen => {
            let opens = name == "all-flags";
            match answers.iter().find(|p| p.has(SYN | ACK)) {
                Some(answer) if !opens => Err(format!("a stream opened: {}", answer.describe())),
                _ => Ok(()),
            }
        }
        State::Established if may_be_data => Ok(()),
        State::Established
            if name != "rst" && name != "all-flags" && name != "fin-ack" && name != "fin-ahead-of-data" =>
        {
            // The stream stands: bytes go both ways as if nothing had come.
            let Some((client, id)) = &mut stage.client else { return Ok(()) };
            stage.peer.write(&mut stage.conn, b"inwards")?;
            let got = client.read_bytes(*id, 7)?;
            if got != b"inwards" {
                return Err(format!("the program read {got:?}"));
            }
            client.write(*id, b"outwards")?;
            match stage.peer.read(&mut stage.conn, 8)? {
                bytes if bytes == b"outwards" => Ok(()),
                bytes => Err(format!("the peer read {bytes:?}")),
            }
        }
        State::Established if name == "rst" => {
            let Some((client, id)) = &mut stage.client else { return Ok(()) };
            client.ended(*id, PATIENCE)
        }
        _ => Ok(()),
    }
}
