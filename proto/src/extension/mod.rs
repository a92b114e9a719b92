//! What two nodes of this implementation do for each other beyond the releases (`spec/extensions.md`).
//!
//! It is all said in packets inside the session (EXT-3 tells why). Here is what is decided and when something is due; `wire::extension` has the bytes, `tunnel` keeps for each session
//! what was agreed in it, `node/extension.rs` joins them.
//!
//! ```text
//! announcement.rs   saying what we can do, until the peer has heard it
//! pmtu.rs           how large a segment the path carries
//! ```

mod announcement;
pub mod pmtu;

pub use announcement::{REPEAT_AFTER, REPEATS};

use crate::crypto::Crypto;
use crate::stream::config::MAX_MSS;
use crate::time::{Instant, earliest};
use crate::tunnel::SessionId;
use crate::wire::extension::Capabilities;
use announcement::Announcement;
use pmtu::{Pmtu, Probe};

/// Statements of a peer in one session whose signature was wrong, after which no other is looked at.
pub const MAX_REFUSED: u8 = 8;

/// What the owner of a node decides about extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extensions {
    /// Off: the node behaves as if there were none.
    pub enabled: bool,
    /// Which cipher is preferred.
    pub cipher: Cipher,
}

impl Default for Extensions {
    fn default() -> Self {
        Extensions { enabled: true, cipher: Cipher::Either }
    }
}

/// Which cipher a node wants in its tunnels, as far as the peer is able.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cipher {
    /// AES-256-GCM only.
    Aes,
    /// AES-256-GCM, unless the peer asks for the other: for processors with instructions for AES.
    #[default]
    Either,
    /// ChaCha20-Poly1305: for processors without.
    ChaCha,
}

impl Extensions {
    /// What a node with these settings can do.
    pub fn capabilities<C: Crypto>(&self) -> Capabilities {
        if !self.enabled {
            return Capabilities::default();
        }
        let opens_chacha = C::CHACHA && self.cipher != Cipher::Aes;
        Capabilities {
            opens_chacha,
            asks_for_chacha: opens_chacha && self.cipher == Cipher::ChaCha,
            largest_segment: MAX_MSS,
            renewals: true,
        }
    }
}

/// What the two sides have agreed on in one session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Agreement {
    /// What the peer stated.
    peer: Option<Capabilities>,
    /// Statements that did not verify.
    refused: u8,
    /// Frames are sealed with ChaCha20-Poly1305.
    chacha: bool,
}

impl Agreement {
    /// Nothing: the rules of the releases.
    pub const NONE: Agreement = Agreement { peer: None, refused: 0, chacha: false };

    /// What the peer stated in this session, if it has.
    pub const fn peer(&self) -> Option<&Capabilities> {
        self.peer.as_ref()
    }

    /// Whether frames are sealed with ChaCha20-Poly1305.
    pub const fn seals_with_chacha(&self) -> bool {
        self.chacha
    }

    /// Whether another statement is worth a look.
    pub(crate) const fn may_state(&self) -> bool {
        self.peer.is_none() && self.refused < MAX_REFUSED
    }

    pub(crate) fn refuse(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    /// The peer's statement has been verified.
    pub(crate) fn conclude(&mut self, own: &Capabilities, peer: Capabilities) {
        let asked_for = own.asks_for_chacha || peer.asks_for_chacha;
        self.chacha = own.opens_chacha && peer.opens_chacha && asked_for;
        self.peer = Some(peer);
    }
}

/// A message that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// What we can do.
    Statement,
    /// The peer's statement has arrived.
    Received,
    /// The peer's probe with this number has arrived.
    ProbeReceived(u32),
    /// Does the path carry this?
    Probe(Probe),
    /// We replace the key.
    Renewal,
}

/// What is to be said to one peer.
#[derive(Clone, Debug)]
pub(crate) struct Talk {
    announcement: Announcement,
    /// The session in which the peer's statement is to be confirmed.
    received: Option<SessionId>,
    /// The probe of the peer that is to be answered.
    probe: Option<u32>,
    /// The largest segment the peer may have found out that we take.
    pub(crate) answered: u16,
    pub(crate) pmtu: Pmtu,
}

impl Talk {
    pub(crate) const fn new() -> Self {
        Talk {
            announcement: Announcement::new(),
            received: None,
            probe: None,
            answered: 0,
            pmtu: Pmtu::new(),
        }
    }

    /// The peer has shown in `session`, which seals, that it is one of ours.
    pub(crate) fn recognised(&mut self, now: Instant, session: SessionId) {
        self.announcement.begin(now, session);
    }

    /// The peer's statement in `session` arrived.
    pub(crate) fn stated(&mut self, session: SessionId) {
        self.received = Some(session);
    }

    /// The peer says that ours in `session` arrived.
    pub(crate) fn heard(&mut self, session: SessionId) {
        self.announcement.heard(session);
    }

    /// A probe arrived that would be a segment of so much payload.
    pub(crate) fn probed(&mut self, number: u32, segment: u16) {
        self.probe = Some(number);
        self.answered = self.answered.max(segment.min(MAX_MSS));
    }

    /// The next message; `sealing` is the session in which it would go.
    pub(crate) fn poll(&mut self, now: Instant, sealing: Option<SessionId>) -> Option<Due> {
        if self.received.take().is_some_and(|session| Some(session) == sealing) {
            return Some(Due::Received);
        }
        if let Some(number) = self.probe.take() {
            return Some(Due::ProbeReceived(number));
        }
        if self.announcement.poll(now, sealing) {
            return Some(Due::Statement);
        }
        self.pmtu.poll(now).map(Due::Probe)
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.received.is_some() || self.probe.is_some() || self.poll_timeout().is_some_and(|at| at <= now)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.announcement.poll_timeout(), self.pmtu.poll_timeout())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::RustCrypto;

    /// Proves EXT-9: who uses which cipher, for every pair of settings.
    #[test]
    fn chacha_is_used_when_both_open_it_and_one_asks() {
        let all = [Cipher::Aes, Cipher::Either, Cipher::ChaCha];
        for (own, peer) in all.into_iter().flat_map(|own| all.map(|peer| (own, peer))) {
            let capabilities = |cipher| Extensions { enabled: true, cipher }.capabilities::<RustCrypto>();
            let mut agreement = Agreement::NONE;
            agreement.conclude(&capabilities(own), capabilities(peer));
            let expected = own != Cipher::Aes
                && peer != Cipher::Aes
                && (own == Cipher::ChaCha || peer == Cipher::ChaCha);
            assert_eq!(agreement.seals_with_chacha(), expected, "{own:?} {peer:?}");
        }
    }

    #[test]
    fn switched_off_nothing_is_stated() {
        let off = Extensions { enabled: false, cipher: Cipher::ChaCha };
        assert_eq!(off.capabilities::<RustCrypto>(), Capabilities::default());
    }
}
