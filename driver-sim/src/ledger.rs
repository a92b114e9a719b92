//! What programs know beyond the network: who is who, and what of each transfer has arrived. Content is computed from its
//! place, so every byte is checked and none is stored.

use std::collections::BTreeSet;

use pilot_proto::Instant;

use crate::{check::jain, dice::mix};

/// Least fairness among streams that compete for one path, in thousandths (see [`jain`]).
const FAIR: u64 = 700;

/// One transfer of the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes to pass.
    pub bytes: u64,
    /// Most that arrived in one stream.
    pub received: u64,
    /// Streams that were accepted for it.
    pub streams: u32,
    /// All arrived in one stream.
    pub done: bool,
    /// When a stream for it was accepted first.
    pub began_at: Option<Instant>,
    /// When all had arrived in one stream first.
    pub done_at: Option<Instant>,
    /// Those of the same contest share one path and begin together.
    pub contest: Option<usize>,
    /// Who sends it, if that is known.
    pub from: Option<usize>,
}

/// One topic of the event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Events published so far.
    pub published: u64,
    /// Events each subscriber has heard.
    pub heard: Vec<u64>,
    /// How many each is to hear.
    pub wanted: u64,
}

impl Topic {
    /// Every subscriber has heard enough.
    pub fn is_done(&self) -> bool {
        self.heard.iter().all(|heard| *heard >= self.wanted)
    }
}

/// Shared by all programs of a world.
#[derive(Debug, Default)]
pub struct Ledger {
    nodes: Vec<Option<u32>>,
    transfers: Vec<Transfer>,
    topics: Vec<Topic>,
    /// Of each host that is not public: who may talk to it.
    shut: Vec<Option<BTreeSet<usize>>>,
    /// Datagrams sent, and those that arrived.
    datagrams: u64,
    arrived: BTreeSet<u64>,
    fairness: Vec<u64>,
    /// Everybody encrypts, so nothing is believed twice.
    pub(crate) encrypted: bool,
    /// What a program saw that must not be: the rule and the words.
    pub(crate) breach: Option<(&'static str, String)>,
    /// Nothing is broken on purpose, so nothing may be cut short.
    pub(crate) calm: bool,
    /// Bytes of content that were checked.
    pub(crate) verified: u64,
    /// How far a run at scale is.
    pub(crate) stage: Stage,
    /// Pairs of a run at scale whose asking side was told of their trust.
    pub(crate) trusted: u64,
    /// Messages of a run at scale that came back as they were sent.
    pub(crate) answered: u64,
}

/// What the programs of a run at scale may begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    #[default]
    Register,
    Trust,
    Talk,
}

impl Ledger {
    /// Adds a transfer; its number.
    pub fn add_transfer(&mut self, bytes: u64) -> usize {
        self.transfers.push(Transfer {
            bytes,
            received: 0,
            streams: 0,
            done: false,
            began_at: None,
            done_at: None,
            contest: None,
            from: None,
        });
        self.transfers.len() - 1
    }

    /// A transfer, if there is one of this number.
    pub fn transfer(&self, number: usize) -> Option<&Transfer> {
        self.transfers.get(number)
    }

    pub(crate) fn transfer_mut(&mut self, number: usize) -> Option<&mut Transfer> {
        self.transfers.get_mut(number)
    }

    /// The node id of a host's daemon, once it is known.
    pub fn node(&self, host: usize) -> Option<u32> {
        self.nodes.get(host).copied().flatten()
    }

    /// Hosts whose node id is known.
    pub(crate) fn known(&self) -> u64 {
        self.nodes.iter().flatten().count() as u64
    }

    /// Notes the id of a host's daemon, which never changes.
    pub fn learn(&mut self, host: usize, node: u32) {
        if self.nodes.len() <= host {
            self.nodes.resize(host + 1, None);
        }
        match self.nodes[host] {
            Some(before) if before != node => {
                self.accuse("a node changed its id", format!("host {host}: {before}, then {node}"));
            }
            _ => self.nodes[host] = Some(node),
        }
    }

    /// Whose node this is, if it is known.
    pub fn host_of(&self, node: u32) -> Option<usize> {
        self.nodes.iter().position(|known| *known == Some(node))
    }

    // --- who may talk to whom ------------------------------------------------------------------------------------

    /// Nobody may talk to a host.
    pub(crate) fn shut(&mut self, host: usize) {
        if self.shut.len() <= host {
            self.shut.resize(host + 1, None);
        }
        self.shut[host] = Some(BTreeSet::new());
    }

    /// Two hosts may trust each other.
    pub(crate) fn befriend(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            if let Some(Some(friends)) = self.shut.get_mut(to) {
                friends.insert(from);
            }
        }
    }

    /// Whether data of host `from` may reach programs on host `to`.
    pub(crate) fn may_talk(&self, from: usize, to: usize) -> bool {
        self.shut.get(to).and_then(Option::as_ref).is_none_or(|friends| friends.contains(&from))
    }

    // --- datagrams and events ------------------------------------------------------------------------------------

    /// The number of the next datagram.
    pub(crate) fn next_datagram(&mut self) -> u64 {
        self.datagrams += 1;
        self.datagrams
    }

    /// Notes that a datagram arrived; whether that is news.
    pub(crate) fn is_new_datagram(&mut self, number: u64) -> bool {
        self.arrived.insert(number) || !self.encrypted
    }

    /// Adds a topic with as many subscribers, each of which is to hear so many events.
    pub fn add_topic(&mut self, subscribers: usize, wanted: u64) -> usize {
        self.topics.push(Topic { published: 0, heard: vec![0; subscribers], wanted });
        self.topics.len() - 1
    }

    pub(crate) fn topic(&self, number: usize) -> Option<&Topic> {
        self.topics.get(number)
    }

    /// The number of the next event of a topic.
    pub(crate) fn publish(&mut self, number: usize) -> u64 {
        self.topics.get_mut(number).map_or(0, |topic| {
            topic.published += 1;
            topic.published
        })
    }

    pub(crate) fn event_heard(&mut self, number: usize, place: usize) {
        if let Some(heard) = self.topics.get_mut(number).and_then(|topic| topic.heard.get_mut(place)) {
            *heard += 1;
        }
    }

    // --- fairness ------------------------------------------------------------------------------------------------

    /// The first of a contest has arrived: the others must have had their share.
    pub(crate) fn judge_contest(&mut self, number: usize) {
        let Some(contest) = self.transfers.get(number).and_then(|transfer| transfer.contest) else { return };
        let members = || self.transfers.iter().filter(|transfer| transfer.contest == Some(contest));
        if members().filter(|transfer| transfer.done).count() != 1 {
            return;
        }
        let shares: Vec<u64> = members().map(|transfer| transfer.received).collect();
        let index = jain(&shares);
        self.fairness.push(index);
        if index < FAIR {
            let words =
                format!("contest {contest}: shares {shares:?} when the first was done, index {index}/1000");
            self.accuse("unfair", words);
        }
    }

    /// Jain's indexes of all contests so far, in thousandths.
    pub fn fairness(&self) -> &[u64] {
        &self.fairness
    }

    /// A program saw what must not be.
    pub fn accuse(&mut self, rule: &'static str, words: String) {
        self.breach.get_or_insert((rule, words));
    }
}

/// Bytes `at..at + out.len()` of the content of transfer `number`.
pub fn content(number: usize, at: u64, out: &mut [u8]) {
    let word = |at: u64| mix(at ^ (number as u64 + 1) << 40).to_le_bytes();
    // The first word may be begun, the last cut short.
    let begun = (at % 8) as usize;
    let (head, rest) = out.split_at_mut(out.len().min((8 - begun) % 8));
    head.copy_from_slice(&word(at / 8)[begun % 8..][..head.len()]);
    let (words, tail) = rest.as_chunks_mut::<8>();
    let mut place = at.div_ceil(8)..;
    for (chunk, at) in words.iter_mut().zip(&mut place) {
        *chunk = word(at);
    }
    tail.copy_from_slice(&word(place.start)[..tail.len()]);
}

/// Where `data`, which begins at byte `at`, is first not what [`content`] says.
pub(crate) fn first_wrong(number: usize, at: u64, data: &[u8]) -> Option<u64> {
    let mut expected = [0; 256];
    data.chunks(expected.len()).zip((at..).step_by(expected.len())).find_map(|(part, at)| {
        let expected = &mut expected[..part.len()];
        content(number, at, expected);
        // Most often all of it is right, which is seen faster than byte by byte.
        if expected == part {
            return None;
        }
        let wrong = expected.iter().zip(part).position(|(a, b)| a != b)?;
        Some(at + wrong as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contest_is_fair_when_all_have_had_about_the_same() {
        let contest = |second: u64| {
            let mut ledger = Ledger::default();
            for received in [1000, second] {
                let number = ledger.add_transfer(1000);
                let transfer = ledger.transfer_mut(number).unwrap();
                (transfer.contest, transfer.received, transfer.done) = (Some(0), received, received == 1000);
            }
            ledger.judge_contest(0);
            ledger.breach.map(|found| found.0)
        };
        assert_eq!(contest(600), None);
        assert_eq!(contest(150), Some("unfair"));
    }

    #[test]
    fn content_is_the_same_however_it_is_cut() {
        let mut whole = [0; 100];
        content(3, 5, &mut whole);
        for cut in 0..=100 {
            let mut parts = [0; 100];
            let (a, b) = parts.split_at_mut(cut);
            content(3, 5, a);
            content(3, 5 + cut as u64, b);
            assert_eq!(parts, whole);
        }
        let mut long = [0; 700];
        content(3, 5, &mut long);
        assert_eq!((first_wrong(3, 5, &long), first_wrong(3, 7, &long[2..])), (None, None));
        long[600] ^= 1;
        assert_eq!(first_wrong(3, 5, &long), Some(605));
        let mut other = [0; 100];
        content(4, 5, &mut other);
        assert_ne!(other, whole);
    }
}
