//! What programs know beyond the network: who is who, and what of each transfer has arrived. Content is computed from its
//! place, so every byte is checked and none is stored.

use pilot_proto::Instant;

use crate::dice::mix;

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
}

/// Shared by all programs of a world.
#[derive(Debug, Default)]
pub struct Ledger {
    nodes: Vec<Option<u32>>,
    transfers: Vec<Transfer>,
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

    /// A program saw what must not be.
    pub fn accuse(&mut self, rule: &'static str, words: String) {
        self.breach.get_or_insert((rule, words));
    }
}

/// Bytes `at..at + out.len()` of the content of transfer `number`.
pub fn content(number: usize, at: u64, out: &mut [u8]) {
    let mut word_at = u64::MAX;
    let mut word = [0; 8];
    for (byte, place) in out.iter_mut().zip(at..) {
        if place / 8 != word_at {
            word_at = place / 8;
            word = mix(word_at ^ (number as u64 + 1) << 40).to_le_bytes();
        }
        *byte = word[(place % 8) as usize];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut other = [0; 100];
        content(4, 5, &mut other);
        assert_ne!(other, whole);
    }
}
