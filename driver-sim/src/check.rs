//! The judges: what must hold in every run, whatever is broken. Here are those that look at the wire and at tables; the
//! registry has one of its own ([`crate::promise`]), and what arrives is judged by the programs themselves
//! ([`crate::ledger`]).

use std::{
    collections::{BTreeMap, hash_map::Entry},
    fmt,
};

use pilot_proto::{
    Instant,
    wire::{
        beacon::{Beacon, RELAY_HEAD_LEN},
        frame::{Datagram, Frame},
    },
};
use pilot_roles::role::Fill;
use rustc_hash::FxHashMap;

use crate::dice::digest;

/// Relayed frames remembered; then the memory starts anew.
const MAX_RELAYED: usize = 65_536;

/// Something that must never happen has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// When.
    pub at: Instant,
    /// The rule, a word that does not change from run to run.
    pub rule: &'static str,
    /// What exactly.
    pub words: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} us: {}", self.rule, self.at.as_micros(), self.words)
    }
}

impl std::error::Error for Breach {}

/// What a judge found: the rule and the words.
pub(crate) type Verdict = Result<(), (&'static str, String)>;

/// Looks at every datagram a daemon sends.
#[derive(Debug, Default)]
pub(crate) struct WireJudge {
    /// All daemons were told to encrypt.
    pub(crate) encrypted: bool,
    /// The last counter of each sender and prefix.
    counters: FxHashMap<(u32, [u8; 4]), u64>,
}

impl WireJudge {
    /// Makes room for so many tunnels.
    pub(crate) fn reserve(&mut self, tunnels: usize) {
        self.counters.reserve(tunnels);
    }

    pub(crate) fn sent(&mut self, data: &mut [u8]) -> Verdict {
        let frame = match Datagram::parse(data) {
            Ok(Datagram::Frame(frame)) => return self.frame(&frame),
            Ok(Datagram::Beacon(Beacon::Relay { frame, .. })) if !frame.is_empty() => RELAY_HEAD_LEN,
            Ok(Datagram::Beacon(_) | Datagram::Delivered { .. }) => return Ok(()),
            Err(error) => return Err(("malformed datagram sent", error.to_string())),
        };
        match Frame::parse(&mut data[frame..]) {
            Ok(frame) => self.frame(&frame),
            Err(error) => Err(("malformed frame sent through the relay", error.to_string())),
        }
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Verdict {
        match frame {
            Frame::Plain { packet } if self.encrypted => {
                Err(("data in clear", format!("{} bytes in a PILT frame", packet.len())))
            }
            Frame::Sealed(sealed) => {
                let (key, counter) = ((sealed.sender, sealed.nonce.prefix), sealed.nonce.counter);
                match self.counters.entry(key) {
                    Entry::Occupied(last) if counter <= *last.get() => {
                        Err(("nonce used twice", format!("{key:?}: {counter} after {}", last.get())))
                    }
                    Entry::Occupied(mut last) => {
                        last.insert(counter);
                        Ok(())
                    }
                    Entry::Vacant(first) => {
                        first.insert(counter);
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }
}

/// Looks at what the beacon passes on: a frame goes to the node it is for.
#[derive(Debug, Default)]
pub(crate) struct RelayJudge {
    /// Targets of each relayed frame, by sender and content.
    targets: BTreeMap<u64, Vec<u32>>,
}

impl RelayJudge {
    /// A datagram reaches the beacon.
    pub(crate) fn heard(&mut self, data: &[u8]) {
        if let Some(Beacon::Relay { sender, target, frame }) = Beacon::parse(data) {
            if self.targets.len() >= MAX_RELAYED {
                self.targets.clear();
            }
            self.targets.entry(digest(sender.into(), frame)).or_default().push(target);
        }
    }

    /// The beacon sends a datagram to the host of node `to`. Whoever takes an id that no node has (`exists`) takes nothing from
    /// anybody.
    pub(crate) fn said(&self, data: &[u8], to: u32, exists: impl Fn(u32) -> bool) -> Verdict {
        if let Some(Beacon::Deliver { sender, frame }) = Beacon::parse(data)
            && let Some(targets) = self.targets.get(&digest(sender.into(), frame))
            && !targets.contains(&to)
            && targets.iter().all(|node| exists(*node))
        {
            return Err(("relayed to another node", format!("from {sender} for {targets:?}, sent to {to}")));
        }
        Ok(())
    }
}

/// Looks at the events that webhooks bring: strictly in order in each life of a daemon, each taken once, and none left out
/// before one was refused.
#[derive(Debug, Default)]
pub(crate) struct SinkJudge {
    /// Of each host: its life, the last event taken, and whether one was refused in this life.
    taken: BTreeMap<usize, (u64, u64, bool)>,
}

impl SinkJudge {
    pub(crate) fn posted(&mut self, host: usize, life: u64, body: &[u8], taken: bool) -> Verdict {
        let event: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(number) = event["event_id"].as_u64() else {
            return Err(("event without a number", String::from_utf8_lossy(body).into_owned()));
        };
        let entry = self.taken.entry(host).or_default();
        if entry.0 != life {
            *entry = (life, 0, false);
        }
        let (_, last, refused) = entry;
        if number <= *last || (number > *last + 1 && !*refused) {
            return Err(("events out of order", format!("host {host}: {number} after {last}")));
        }
        match taken {
            true => *last = number,
            false => *refused = true,
        }
        Ok(())
    }
}

/// Whether tables keep their bounds; `idle` if everything that uses them for a while has left.
pub(crate) fn judge_tables(host: &str, fills: &[Fill], idle: bool) -> Verdict {
    for Fill { table, used, max, transient } in fills {
        if used > max {
            return Err((
                "table out of bounds",
                format!("{host}: {used} {table}, at most {max} are allowed"),
            ));
        }
        if idle && *transient && *used > 0 {
            return Err(("table not emptied", format!("{host}: {used} {table} when everybody had left")));
        }
    }
    Ok(())
}

/// Jain's index of fairness in thousandths: 1000 if all have the same, 1000 / n if one has all.
pub(crate) fn jain(shares: &[u64]) -> u64 {
    let (sum, squares) = shares.iter().fold((0_u128, 0_u128), |(sum, squares), &share| {
        (sum + u128::from(share), squares + u128::from(share).pow(2))
    });
    (sum.pow(2) * 1000).checked_div(shares.len() as u128 * squares).map_or(1000, |index| index as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilot_proto::wire::frame::{Nonce, Suite, emit_plain, sealed_head};

    fn sealed(counter: u64) -> Vec<u8> {
        let mut frame = sealed_head(Suite::Aes256Gcm, 7, Nonce { prefix: [1; 4], counter }).to_vec();
        frame.extend([0; 32]);
        frame
    }

    #[test]
    fn a_nonce_is_used_once_direct_or_relayed() {
        let mut judge = WireJudge::default();
        assert!(judge.sent(&mut sealed(1)).is_ok());
        assert!(judge.sent(&mut sealed(2)).is_ok());
        let mut relayed = pilot_proto::wire::beacon::relay_head(7, 8).to_vec();
        relayed.extend(sealed(2));
        assert_eq!(judge.sent(&mut relayed).map_err(|found| found.0), Err("nonce used twice"));
    }

    #[test]
    fn a_packet_in_clear_is_seen_where_everybody_encrypts() {
        let mut clear = vec![0; 60];
        emit_plain(&mut clear).unwrap();
        assert!(WireJudge::default().sent(&mut clear.clone()).is_ok());
        let mut judge = WireJudge { encrypted: true, ..WireJudge::default() };
        assert_eq!(judge.sent(&mut clear).map_err(|found| found.0), Err("data in clear"));
    }

    #[test]
    fn a_relayed_frame_goes_to_its_target() {
        let mut judge = RelayJudge::default();
        let relayed = |target| [&pilot_proto::wire::beacon::relay_head(7, target)[..], b"frame"].concat();
        judge.heard(&relayed(8));
        let delivered = [&pilot_proto::wire::beacon::deliver_head(7)[..], b"frame"].concat();
        assert!(judge.said(&delivered, 8, |_| true).is_ok());
        assert_eq!(
            judge.said(&delivered, 9, |_| true).map_err(|found| found.0),
            Err("relayed to another node")
        );
        assert!(judge.said(&delivered, 9, |node| node != 8).is_ok(), "nobody is node 8");
        judge.heard(&relayed(9));
        assert!(judge.said(&delivered, 9, |_| true).is_ok());
    }

    #[test]
    fn events_come_in_order_once_and_without_gaps_unless_one_was_refused() {
        let body = |number: u64| format!("{{\"event_id\":{number}}}").into_bytes();
        let mut judge = SinkJudge::default();
        assert!(judge.posted(1, 1, &body(1), true).is_ok());
        assert_eq!(judge.posted(1, 1, &body(1), true).map_err(|e| e.0), Err("events out of order"));
        assert_eq!(judge.posted(1, 1, &body(3), true).map_err(|e| e.0), Err("events out of order"));
        assert!(judge.posted(1, 1, &body(2), false).is_ok());
        assert!(judge.posted(1, 1, &body(2), false).is_ok(), "tried again");
        assert!(judge.posted(1, 1, &body(3), true).is_ok(), "given up");
        assert!(judge.posted(1, 2, &body(1), true).is_ok(), "another life counts anew");
        assert_eq!(judge.posted(1, 2, b"{}", true).map_err(|e| e.0), Err("event without a number"));
    }

    #[test]
    fn tables_keep_their_bounds_and_empty_when_everybody_has_left() {
        let fill = |used, transient| [Fill { table: "streams", used, max: 4, transient }];
        assert!(judge_tables("host", &fill(4, true), false).is_ok());
        assert_eq!(judge_tables("host", &fill(5, true), false).map_err(|e| e.0), Err("table out of bounds"));
        assert!(judge_tables("host", &fill(1, false), true).is_ok());
        assert_eq!(judge_tables("host", &fill(1, true), true).map_err(|e| e.0), Err("table not emptied"));
    }

    #[test]
    fn fairness_is_one_when_shares_are_equal_and_its_least_when_one_has_all() {
        assert_eq!(jain(&[5, 5, 5, 5]), 1000);
        assert_eq!(jain(&[20, 0, 0, 0]), 250);
        assert_eq!((jain(&[0, 0]), jain(&[])), (1000, 1000));
    }
}
