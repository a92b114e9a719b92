//! Plays a conversation written as a packet trace, in the manner of packetdrill.
//!
//! | line | |
//! | --- | --- |
//! | `> SYN ACK seq 0 ack 1 win 144` | leaves the stream now; a window that is not written is not compared |
//! | `< ACK seq 1 ack 1 data 10` | comes to the stream; a window that is not written is 512 |
//! | `+250 > FIN seq 1` | the same 250 ms after the line before, and nothing leaves sooner; alone: only time passes |
//! | `write 10`, `read 10`, `read end`, `read nothing`, `read error`, `finish`, `reset` | the application |
//! | `events CONNECTED READABLE` | what it has been told since it last asked |
//! | `state CLOSE_WAIT`, `closed dial timeout` | what it would see |
//!
//! Numbers count from the initial number of the side they belong to, so that the first byte is 1; a number that is not
//! written is 0 on the wire. Bytes follow from their place, so only lengths are written; `old` is the one byte of a
//! probe, `sack 4-7 9-12` a report. At the end nothing may be left to send and no memory may be missing.

use super::*;
use crate::wire::sack::{Block, Sack};

/// Plays the trace from every pair of initial numbers.
#[track_caller]
pub(super) fn dialer(trace: &str) {
    play(trace, &Config::DEFAULT, |isn, _, config| Stream::connect(START, isn, config));
}

/// The same with other settings.
#[track_caller]
pub(super) fn dialer_with(config: &Config, trace: &str) {
    play(trace, config, |isn, _, config| Stream::connect(START, isn, config));
}

/// The same for a stream that answers a SYN, which is not part of the trace.
#[track_caller]
pub(super) fn acceptor(trace: &str) {
    play(trace, &Config::DEFAULT, |isn, peer, config| {
        Stream::accept(START, isn, &seg(Flags::SYN, peer, 0, 512), config)
    });
}

#[track_caller]
fn play(trace: &str, config: &Config, open: fn(u32, u32, &Config) -> Stream) {
    for isn in ISNS {
        for peer in ISNS {
            let stream = open(isn, peer, config);
            let end = End { stream, memory: Memory::new(1024, MSS), now: START };
            let mut script = Script { end, isn, peer, written: 0, read: 0 };
            for line in trace.lines().map(str::trim).filter(|line| !line.is_empty()) {
                let at = format!("at isn {isn}, peer isn {peer}, line `{line}`");
                script.line(line, &at);
            }
            script.end.quiet();
            script.end.release();
        }
    }
}

struct Script {
    end: End,
    isn: u32,
    peer: u32,
    written: usize,
    read: usize,
}

/// What a line says of a packet.
#[derive(Default)]
struct Packet {
    flags: u8,
    seq: Option<u32>,
    ack: Option<u32>,
    window: Option<u16>,
    data: usize,
    old: bool,
    sack: Vec<(u32, u32)>,
}

impl Packet {
    fn parse(text: &str, at: &str) -> Packet {
        let mut packet = Packet::default();
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            let mut number =
                || words.next().and_then(|n| n.parse::<u32>().ok()).unwrap_or_else(|| panic!("{at}"));
            match word {
                "SYN" => packet.flags |= Flags::SYN.bits(),
                "ACK" => packet.flags |= Flags::ACK.bits(),
                "FIN" => packet.flags |= Flags::FIN.bits(),
                "RST" => packet.flags |= Flags::RST.bits(),
                "seq" => packet.seq = Some(number()),
                "ack" => packet.ack = Some(number()),
                "win" => packet.window = Some(number() as u16),
                "data" => packet.data = number() as usize,
                "old" => packet.old = true,
                "sack" => {}
                range => {
                    let (left, right) = range.split_once('-').unwrap_or_else(|| panic!("{at}"));
                    packet.sack.push((left.parse().unwrap(), right.parse().unwrap()));
                }
            }
        }
        packet
    }

    /// The segment on the wire, from a side that started at `from` to one that started at `to`.
    fn on_wire(&self, from: u32, to: u32, window: u16) -> (Segment, Vec<u8>) {
        let segment = Segment {
            flags: Flags::from_bits(self.flags),
            seq: self.seq.map_or(0, |n| from.wrapping_add(n)),
            ack: self.ack.map_or(0, |n| to.wrapping_add(n)),
            window,
        };
        let payload = if !self.sack.is_empty() {
            let blocks = self
                .sack
                .iter()
                .map(|&(left, right)| Block { left: to.wrapping_add(left), right: to.wrapping_add(right) });
            let mut out = [0; 300];
            let len = Sack::new(blocks).emit(&mut out).unwrap();
            out[..len].to_vec()
        } else if self.old {
            vec![0]
        } else {
            pattern(self.seq.map_or(0, |n| n.saturating_sub(1) as usize), self.data)
        };
        (segment, payload)
    }
}

impl Script {
    #[track_caller]
    fn line(&mut self, line: &str, at: &str) {
        let mut line = line;
        if let Some(rest) = line.strip_prefix('+') {
            let (millis, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            self.pass(Duration::from_millis(millis.parse().unwrap()), at);
            line = rest.trim();
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" => {}
            ">" => self.leaves(rest, at),
            "<" => {
                let packet = Packet::parse(rest, at);
                let (segment, payload) = packet.on_wire(self.peer, self.isn, packet.window.unwrap_or(512));
                self.end.feed(segment, &payload);
            }
            "write" => {
                let len = rest.parse().unwrap();
                assert_eq!(self.end.write(&pattern(self.written, len)), len, "{at}");
                self.written += len;
            }
            "read" => match (rest, self.end.read()) {
                ("end", Ok(None)) | ("error", Err(_)) => {}
                ("nothing", Ok(Some(bytes))) if bytes.is_empty() => {}
                (len, Ok(Some(bytes))) => {
                    assert_eq!(bytes.len().to_string(), len, "{at}");
                    assert!(bytes == pattern(self.read, bytes.len()), "{at}: other bytes");
                    self.read += bytes.len();
                }
                (_, other) => panic!("{at}: {other:?}"),
            },
            "finish" => self.end.stream.finish(self.end.now),
            "reset" => self.end.stream.reset(self.end.now, &mut self.end.memory.pool()),
            "events" => {
                let expected = rest.split_whitespace().fold(Events::NONE, |all, name| {
                    all | match name {
                        "CONNECTED" => Events::CONNECTED,
                        "READABLE" => Events::READABLE,
                        "WRITABLE" => Events::WRITABLE,
                        "PEER_FINISHED" => Events::PEER_FINISHED,
                        "CLOSED" => Events::CLOSED,
                        _ => panic!("{at}"),
                    }
                });
                assert_eq!(self.end.stream.take_events(), expected, "{at}");
            }
            "state" => assert_eq!(self.end.stream.state().to_string(), rest, "{at}"),
            "closed" => {
                let reason = self.end.stream.close_reason().map(|reason| reason.to_string());
                assert_eq!(reason.as_deref(), Some(rest), "{at}");
            }
            _ => panic!("no such line: {at}"),
        }
    }

    #[track_caller]
    fn leaves(&mut self, text: &str, at: &str) {
        let packet = Packet::parse(text, at);
        let Some((segment, payload)) = self.end.poll() else { panic!("nothing leaves {at}") };
        let window = packet.window.unwrap_or(segment.window);
        let (expected, bytes) = packet.on_wire(self.isn, self.peer, window);
        assert_eq!(segment, expected, "{at}");
        assert!(payload == bytes, "{at}: other bytes: {payload:?}, expected {bytes:?}");
    }

    /// Lets time pass, waking the stream exactly when it asks; nothing may leave before the end.
    #[track_caller]
    fn pass(&mut self, by: Duration, at: &str) {
        let until = self.end.now + by;
        loop {
            let due = self.end.stream.poll_timeout().filter(|&due| due <= until);
            if due != Some(until) || self.end.now != until {
                assert_eq!(self.end.poll(), None, "{at}: leaves after {:?} of {by:?}", self.end.now);
            }
            let Some(due) = due else { break };
            assert!(due > self.end.now, "{at}: time must move");
            self.end.now = due;
            self.end.stream.handle_timeout(due, &mut self.end.memory.pool());
            if due == until {
                return;
            }
        }
        self.end.now = until;
    }
}
