//! The tunnel to one peer: which keys there are, which one seals, and when a new one is exchanged (`spec/tunnel.md`).
//!
//! Both sides send an X25519 public key; each pair of keys (ours, theirs) is a `Session`. The rules:
//!
//! - **Make before break.** A key exchange is no proof of freshness: anybody can repeat an old one. It adds a session
//!   and takes none away. Every session opens frames; one seals.
//! - **Which one seals.** The one under which the peer last proved itself by a frame that opened, or the one its key
//!   arrived for when we had asked for it. A key that arrives unasked waits until the one in use falls silent.
//! - **In doubt, both.** While we exchange a key because the peer is silent, frames are sealed with the key in use and
//!   the new one in turn: a release drops the old one as soon as it has the new one, and its answer may be lost.
//! - **Every belief has a way back.** A frame that does not open, or frames that stay unanswered, start a new exchange
//!   with a fresh key, with back-off; it ends when the peer answers, and is given up after five attempts.
//!
//! The caller checks who the peer is ([`KeyAuthenticated::verify`](crate::wire::frame::KeyAuthenticated::verify)) and
//! carries the frames: after each call it drains [`poll_exchange`](Tunnel::poll_exchange) and asks
//! [`poll_timeout`](Tunnel::poll_timeout).

mod error;
mod exchange;
mod offers;
mod replay;
mod schedule;
mod session;
#[cfg(test)]
mod tests;

pub use error::{OpenError, SealError};
pub use exchange::NotGenuine;
pub use replay::{LIVE_PREFIXES, RETIRED_PREFIXES, Refused, Replay, WINDOW, Window};
pub use schedule::{ANSWER_CREDIT, ANSWER_GAP, BACK_OFF, CREDIT_EVERY, REST};
pub use session::{
    CHACHA_INFO, KEY_INFO, REFUSE_AFTER_BYTES, REFUSE_AFTER_PACKETS, REKEY_AFTER, REKEY_AFTER_BYTES,
    REKEY_AFTER_PACKETS, REKEY_PATIENCE,
};

use heapless::Vec;

use crate::crypto::{Crypto, PublicKey, WeakKey, same_key};
use crate::extension::Agreement;
use crate::rng::Rng;
use crate::time::{Duration, Instant, earliest};
use crate::wire::extension::{MAX_WITHDRAWN, Withdrawn};
use crate::wire::frame::{Sealed, TAG_LEN};
use offers::{Known, Offers};
use schedule::{Due, Schedule};
use session::Session;

/// Keys kept for one peer: the one that seals, the one that waits, the one the peer proved itself with, and another.
pub const MAX_SESSIONS: usize = 4;
/// A key that neither seals nor has opened anything for so long is wiped.
pub const SESSION_KEPT: Duration = Duration::from_secs(60);
/// The same key of the peer within this time is a copy (by relay, or PILK after PILA), not a repetition.
pub const COPY_WITHIN: Duration = Duration::from_millis(250);
/// Silence after which a new key that we exchange is tried beside the one in use although it is not answered, and how
/// long the answer is waited for first.
pub const TRY_NEW_AFTER: Duration = Duration::from_millis(500);
/// A key of the peer that arrives so long after our last frame, and after two round trips, may be no answer to it: ours is
/// said again. Before a round trip is known it is [`TRY_NEW_AFTER`].
pub const DOUBT_AFTER: Duration = Duration::from_millis(100);
/// How long a key that the peer has withdrawn still opens what is under way.
pub const WITHDRAWN_KEPT: Duration = Duration::from_secs(3);
/// How long the exchange that a peer has announced may take to arrive.
pub const RENEWAL_PATIENCE: Duration = Duration::from_secs(5);
/// Silence after which a key that seals gives way to one that arrives unasked or that the peer still uses.
pub const GIVE_WAY_AFTER: Duration = Duration::from_secs(1);
/// A peer that proved itself within this time has a key: its repeated key is not answered, and frames that do not
/// open are taken for forgeries.
pub const ALIVE_WITHIN: Duration = Duration::from_secs(2);
/// Silence after which a new key is exchanged, under a key the peer has not proved to have, if two round trips do not
/// take longer. Doubles up to
/// [`SILENCE_MOST`] as long as nothing is heard, and is counted from the next frame sealed.
pub const SILENCE_UNPROVED: Duration = Duration::from_secs(2);
/// The same under a key the peer has proved to have.
pub const SILENCE_PROVED: Duration = Duration::from_secs(10);
/// See [`SILENCE_UNPROVED`].
pub const SILENCE_MOST: Duration = Duration::from_secs(60);

/// Tells the sessions of one tunnel apart; none gets the number of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(u32);

impl SessionId {
    #[cfg(test)]
    pub(crate) const fn new(number: u32) -> Self {
        SessionId(number)
    }
}

/// What a session is between, and what was agreed in it.
#[derive(Debug)]
pub struct SessionInfo<'a> {
    /// Our X25519 key.
    pub own: &'a PublicKey,
    /// The peer's.
    pub peer: &'a PublicKey,
    /// The peer's came signed.
    pub authenticated: bool,
    /// The extensions.
    pub agreement: &'a mut Agreement,
}

/// The keys of one peer. Those of idle times have one session, so that what a frame needs lies in one piece.
#[repr(C)]
pub struct Tunnel<C: Crypto> {
    /// Id of the session that seals.
    sealing: Option<SessionId>,
    /// Id of the session that seals when that one falls silent: its key arrived unasked.
    waiting: Option<SessionId>,
    /// Id of the session that seals every other frame from an instant on: the peer is silent, and may have dropped the key
    /// in use for this one.
    trying: Option<(SessionId, Instant)>,
    /// Whose turn it is.
    tried: bool,
    /// Id of the newest session that opened a frame.
    proved: Option<SessionId>,
    next_id: SessionId,
    /// The peer has been replacing the key that seals since then (EXT-13).
    renewing: Option<Instant>,
    /// We are, and the peer is to be told.
    renewal_due: bool,
    /// The peer will not seal under this session any more (EXT-14): it goes when the frame with this counter has been
    /// opened, or at this instant.
    withdrawn: Option<(SessionId, u64, Instant)>,
    last_received: Option<Instant>,
    /// When silence calls for a new key; `None` until the next frame is sealed.
    silence_due: Option<Instant>,
    /// How often it has since the peer spoke under the key that seals.
    silences: u32,
    /// How long the answer to our last exchange took, counted from its last frame.
    round_trip: Duration,
    /// The same counted from its first frame; zero if nothing was answered yet.
    round_trip_most: Duration,
    schedule: Schedule,
    /// When the oldest of our pairs is to be wiped.
    prune_due: Option<Instant>,
    /// Oldest first.
    sessions: Vec<Session<C::Aead>, MAX_SESSIONS>,
    offers: Offers,
    peer: Option<PeerKey>,
}

/// The last key that arrived from the peer.
#[derive(Clone, Copy)]
struct PeerKey {
    x25519: PublicKey,
    authenticated: bool,
    /// When it last arrived, copies not counted.
    at: Instant,
}

/// What a key that arrived from the peer meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOutcome {
    /// A second copy of the one just handled.
    Copy,
    /// The same key again. It is answered if the peer seems to need it.
    Repeated,
    /// It answers ours: the tunnel is ready. **Seal a packet now**, a keepalive if nothing waits: that is what tells
    /// the peer to use the new key.
    Answered,
    /// The peer begins: our answer is due. The tunnel is ready unless a working one goes on.
    Begun,
    /// Refused: the key is of low order.
    Weak,
    /// Refused: unsigned, while a signed key is in use.
    Downgrade,
}

/// A frame that was opened.
#[derive(Debug)]
pub struct Opened<'a> {
    /// The packet, and whatever the peer put after it.
    pub packet: &'a mut [u8],
    /// Newer than any frame before: the path to the peer may follow where it came from.
    pub newest: bool,
    /// The first frame under its key. Seal a packet if nothing waits, so that the peer knows as well.
    pub confirmed: bool,
    /// The session it was sealed in.
    pub session: SessionId,
}

impl<C: Crypto> Default for Tunnel<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Crypto> Tunnel<C> {
    /// Where what every frame needs ends: in the first session, behind the length of the list.
    pub(crate) const HOT: usize =
        core::mem::offset_of!(Self, sessions) + align_of::<Session<C::Aead>>() + Session::<C::Aead>::HOT;

    /// A tunnel without keys. Its size is fixed.
    pub const fn new() -> Self {
        Tunnel {
            sealing: None,
            waiting: None,
            trying: None,
            tried: false,
            proved: None,
            next_id: SessionId(0),
            renewing: None,
            renewal_due: false,
            withdrawn: None,
            last_received: None,
            silence_due: None,
            silences: 0,
            round_trip: Duration::ZERO,
            round_trip_most: Duration::ZERO,
            schedule: Schedule::new(),
            prune_due: None,
            sessions: Vec::new(),
            offers: Offers::new(),
            peer: None,
        }
    }

    /// Something waits for the peer: starts an exchange if there is no key to seal with, none is being exchanged, and
    /// none was given up within [`REST`].
    pub fn want(&mut self, now: Instant) {
        if !self.is_ready() {
            self.schedule.want(now);
        }
    }

    /// The peer evidently lost our key, or the path to it changed: exchanges a new one soon. Can be called on any
    /// suspicion: it does nothing while an exchange runs, and keeps [`ANSWER_GAP`] from the last frame sent.
    pub fn renew(&mut self, now: Instant) {
        self.schedule.suspect(now);
    }

    /// The peer asked for our key by a frame that was not accepted (an anonymous exchange): sends it ours, unless that
    /// has been done within [`ANSWER_GAP`].
    pub fn answer(&mut self, now: Instant) {
        if self.schedule.last_sent().is_none_or(|sent| now.since(sent) >= ANSWER_GAP) {
            self.schedule.answer(now);
        }
    }

    /// Whether [`poll_exchange`](Self::poll_exchange) has something now.
    pub fn exchange_is_due(&self, now: Instant) -> bool {
        self.schedule.due(now).is_some()
    }

    /// The X25519 public key to send to the peer now, in a signed exchange frame, over every path there is. Drain it
    /// after each call.
    pub fn poll_exchange(&mut self, now: Instant, crypto: &C, rng: &mut impl Rng) -> Option<PublicKey> {
        let due = self.schedule.due(now)?;
        if due == Due::Attempt || !self.offers.newest_is_young(now) {
            self.offers.add(now, crypto, rng);
            self.prune_due = self.offers.next_prune();
            // The releases have one key for their whole life, so the new session can be had before the answer.
            if let Some(peer) = self.peer {
                // The key was not weak with another pair of ours, so it is not with this one.
                let newest =
                    self.pair(now, peer.x25519, peer.authenticated, due == Due::Attempt, crypto, rng);
                let silent = self.sealing().is_some_and(|session| session.silent_for(now, TRY_NEW_AFTER));
                if due == Due::Attempt && silent {
                    // A peer that answers has answered by then, and nothing is sealed with what it may not have yet.
                    let from = now + TRY_NEW_AFTER.max(self.round_trip.saturating_mul(2));
                    self.trying = newest.ok().flatten().map(|id| (id, from));
                }
            }
        }
        self.schedule.sent(now, due);
        let offer = self.offers.newest_mut()?;
        match (due, offer.known) {
            (Due::Attempt, _) => offer.known = Known::Asked,
            (Due::Answer, Known::Unsent) => offer.known = Known::Sent,
            (Due::Answer, _) => {}
        }
        Some(offer.public)
    }

    /// Feeds the X25519 key that arrived from the peer, after the check of who sent it.
    pub fn handle_key(
        &mut self,
        now: Instant,
        x25519: &PublicKey,
        authenticated: bool,
        crypto: &C,
        rng: &mut impl Rng,
    ) -> KeyOutcome {
        if !authenticated && (self.is_authenticated() || self.peer.is_some_and(|peer| peer.authenticated)) {
            return KeyOutcome::Downgrade;
        }
        let same = self.peer.filter(|peer| same_key(&peer.x25519, x25519));
        if same.is_some_and(|peer| {
            let asked_since = self.schedule.last_sent().is_some_and(|sent| sent >= peer.at);
            now.since(peer.at) < COPY_WITHIN && !asked_since && (peer.authenticated || !authenticated)
        }) {
            return KeyOutcome::Copy;
        }
        if crate::planted!(WedgedRekey) && same.is_none() && self.proved.is_some() {
            return KeyOutcome::Copy;
        }
        let asked = self.offers.awaits_answer(now);
        if !asked && same.is_none() && !self.offers.newest_is_young(now) {
            self.offers.add(now, crypto, rng);
            self.prune_due = self.offers.next_prune();
        }
        let Ok(newest) = self.pair(now, *x25519, authenticated, asked, crypto, rng) else {
            return KeyOutcome::Weak;
        };
        self.peer = Some(PeerKey { x25519: *x25519, authenticated, at: now });
        if asked {
            self.schedule.done();
            let took = self.schedule.last_sent().map_or(Duration::ZERO, |sent| now.since(sent));
            let doubt_after = self.doubt_after();
            if took >= doubt_after {
                // So late it may be no answer but an attempt of the peer's own, which lacks our key: ours was lost.
                self.schedule.answer(now);
            }
            self.round_trip = took.min(doubt_after);
            self.round_trip_most = self.schedule.round_trip(now).unwrap_or(self.round_trip_most);
            self.take_offer_as_answered();
            self.seal_with(newest);
            return KeyOutcome::Answered;
        }
        if same.is_none() {
            self.waiting = newest;
            self.relieve(now);
            self.schedule.answer(now);
            return KeyOutcome::Begun;
        }
        // A release says its key again once it has accepted a fresh one of ours.
        if self.take_offer_as_answered() {
            self.waiting = newest;
            self.relieve(now);
        }
        let alive = self.sessions.iter().filter_map(|session| session.opened).max();
        if alive.is_none_or(|opened| now.since(opened) >= ALIVE_WITHIN) {
            self.answer(now);
        }
        KeyOutcome::Repeated
    }

    /// Seals the packet at `frame[20..20 + inner_len]` in place, as node `own_node`: writes what goes before it and
    /// the tag after it. The length of the whole frame.
    ///
    /// The peer is expected to say something afterwards; when it does not, its key is suspect.
    pub fn seal(
        &mut self,
        now: Instant,
        own_node: u32,
        frame: &mut [u8],
        inner_len: usize,
        crypto: &C,
    ) -> Result<usize, SealError> {
        let total = self.seal_unanswered(now, own_node, frame, inner_len, crypto)?;
        let Some(session) = find(&mut self.sessions, self.sealing) else { return Ok(total) };
        session.unanswered.get_or_insert(now);
        // A key that answers must not be suspected before its proof can have come back.
        let unproved = SILENCE_UNPROVED.max(self.round_trip.saturating_mul(2));
        let first = if session.confirmed { SILENCE_PROVED } else { unproved };
        let silence = first.saturating_mul(1 << self.silences.min(5)).min(SILENCE_MOST);
        self.silence_due.get_or_insert(now + silence);
        Ok(total)
    }

    /// The same for a packet that nobody answers: a keepalive, a bare acknowledgment.
    pub fn seal_unanswered(
        &mut self,
        now: Instant,
        own_node: u32,
        frame: &mut [u8],
        inner_len: usize,
        crypto: &C,
    ) -> Result<usize, SealError> {
        self.relieve(now);
        let running = self.schedule.is_running();
        let trying = self.trying.filter(|(_, from)| running && *from <= now).map(|(id, _)| id);
        self.tried = !self.tried && trying.is_some();
        let trying = trying.filter(|id| self.tried && self.sessions.iter().any(|session| session.id == *id));
        let Some(session) = find(&mut self.sessions, trying.or(self.sealing)) else {
            self.schedule.want(now);
            return Err(SealError::NoKey);
        };
        let told = self.renewing.map(|at| now.since(at));
        let wanted = told.map_or_else(|| session.is_worn(now), |since| since >= RENEWAL_PATIENCE);
        if wanted {
            self.schedule.want(now);
            let tell = session.agreement.peer().is_some_and(|peer| peer.renewals) && !session.renewal_told;
            session.renewal_told |= tell;
            self.renewal_due |= tell;
        }
        session.seal(own_node, frame, inner_len, crypto)
    }

    /// Opens a frame of the peer in place. If it does not open, its bytes stay as they were.
    pub fn open<'b>(
        &mut self,
        now: Instant,
        sealed: Sealed<'b>,
        crypto: &C,
    ) -> Result<Opened<'b>, OpenError> {
        let mut sealed = sealed;
        let mut error = OpenError::NoKey;
        // Nearly always the first key tried: the one under which this prefix is known.
        for known in [true, false] {
            for at in (0..self.sessions.len()).rev() {
                let Some(session) = self.sessions.get_mut(at) else { continue };
                if session.knows(sealed.nonce.prefix) != known {
                    continue;
                }
                let confirmed = !session.confirmed;
                match session.open(now, &mut sealed, crypto) {
                    Ok(newest) => {
                        let (id, shared) = (session.id, session.shares_prefix(sealed.nonce.prefix));
                        let newest = self.opened(now, id, newest, confirmed, shared);
                        if self
                            .withdrawn
                            .is_some_and(|(of, last, _)| of == id && sealed.nonce.counter >= last)
                        {
                            self.wipe_withdrawn();
                        }
                        let (packet, _) =
                            sealed.body.split_last_chunk_mut::<TAG_LEN>().ok_or(OpenError::Forged)?;
                        return Ok(Opened { packet, newest, confirmed, session: id });
                    }
                    // A repetition is not a sign of a lost key.
                    Err(refused @ OpenError::Replay(_)) => error = refused,
                    Err(_) if matches!(error, OpenError::Replay(_)) => {}
                    Err(other) => error = other,
                }
            }
        }
        self.did_not_open(now, error);
        Err(error)
    }

    /// Must be called at [`poll_timeout`](Self::poll_timeout); then drain [`poll_exchange`](Self::poll_exchange).
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.silence_due.is_some_and(|due| due <= now) {
            self.silence_due = None;
            self.silences = self.silences.saturating_add(1);
            self.renew(now);
        }
        if self.prune_due.is_some_and(|due| due <= now) {
            self.offers.prune(now);
            self.prune_due = self.offers.next_prune();
        }
        if self.withdrawn.is_some_and(|(_, _, until)| until <= now) {
            self.wipe_withdrawn();
        }
        let sealing = self.sealing;
        self.sessions
            .retain(|session| sealing == Some(session.id) || now.since(session.last_use()) < SESSION_KEPT);
        self.schedule.handle_timeout(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called; `None` if only something from outside can change
    /// anything.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let aside = self.sessions.iter().filter(|session| self.sealing != Some(session.id));
        let wipe = aside.map(|session| session.last_use() + SESSION_KEPT).min();
        let wipe = earliest(wipe, self.withdrawn.map(|(_, _, until)| until));
        let keys = earliest(wipe, self.prune_due);
        earliest(earliest(self.schedule.poll_timeout(), self.silence_due), keys)
    }

    /// Whether there is a key to seal with.
    pub fn is_ready(&self) -> bool {
        self.sealing().is_some_and(|session| !session.is_spent())
    }

    /// Whether the key that seals was exchanged with signatures.
    pub fn is_authenticated(&self) -> bool {
        self.sealing().is_some_and(|session| session.authenticated)
    }

    /// Whether the peer has proved to have the key that seals.
    pub fn is_confirmed(&self) -> bool {
        self.sealing().is_some_and(|session| session.confirmed)
    }

    /// Whether an exchange of ours is running.
    pub const fn is_exchanging(&self) -> bool {
        self.schedule.is_running()
    }

    /// When the next exchange frame is due, or an exchange is given up.
    pub fn next_exchange(&self) -> Option<Instant> {
        self.schedule.poll_timeout()
    }

    /// How long the last key exchange took, at most: from our first frame to the peer's answer or proof. Zero before.
    pub const fn round_trip_most(&self) -> Duration {
        self.round_trip_most
    }

    /// The session that seals.
    pub const fn sealing_session(&self) -> Option<SessionId> {
        self.sealing
    }

    /// A session, while it lasts.
    pub fn session(&mut self, id: SessionId) -> Option<SessionInfo<'_>> {
        find(&mut self.sessions, Some(id)).map(|session| SessionInfo {
            own: &session.own,
            peer: &session.peer,
            authenticated: session.authenticated,
            agreement: &mut session.agreement,
        })
    }

    /// Whether the peer is to be told that we replace the key in use.
    pub const fn renewal_is_due(&self) -> bool {
        self.renewal_due
    }

    /// The same, and it is being told.
    pub fn take_renewal(&mut self) -> bool {
        core::mem::take(&mut self.renewal_due)
    }

    /// The peer says that it replaces the key of this session (EXT-13): we do not, unless its exchange does not arrive.
    pub fn handle_renewal(&mut self, now: Instant, id: SessionId) {
        if self.sealing == Some(id) {
            self.renewing.get_or_insert(now);
        }
    }

    /// The sessions before the one that seals: from now on nothing is sealed under them (EXT-14). To be stated in the
    /// session that seals, which proves that it replaces them.
    pub fn withdraw(&mut self, crypto: &C) -> Vec<Withdrawn, MAX_WITHDRAWN> {
        let kept = [self.waiting, self.trying.map(|(id, _)| id)];
        let at =
            self.sessions.iter().position(|session| self.sealing == Some(session.id) && session.confirmed);
        let older = self.sessions.iter_mut().take(at.unwrap_or(0));
        older
            .filter(|session| !kept.contains(&Some(session.id)))
            .take(MAX_WITHDRAWN)
            .map(|session| {
                session.withdrawn = true;
                let (name, last) = session.own_end(crypto);
                Withdrawn { session: name, last }
            })
            .collect()
    }

    /// The peer has stated in session `id` that it will not seal under these any more: their keys go as soon as what is
    /// under way has been opened.
    pub fn handle_withdrawals(&mut self, now: Instant, id: SessionId, withdrawn: &[Withdrawn], crypto: &C) {
        for Withdrawn { session: name, last } in withdrawn {
            let named = self.sessions.iter().find(|session| session.peer_name(crypto) == *name);
            let Some(session) = named.filter(|session| session.id != id) else { continue };
            // Not before our own statement, which leaves in this turn, has named it too.
            let until = if session.newest() >= *last { now } else { now + WITHDRAWN_KEPT };
            let pending = (session.id, *last, until);
            self.wipe_withdrawn();
            self.withdrawn = Some(pending);
        }
    }

    /// Wipes what the peer has withdrawn, unless we still use it.
    fn wipe_withdrawn(&mut self) {
        let Some((id, _, _)) = self.withdrawn.take() else { return };
        let used = [self.sealing, self.waiting, self.trying.map(|(id, _)| id)];
        if !used.contains(&Some(id)) {
            self.sessions.retain(|session| session.id != id);
        }
    }

    /// What was agreed in the session that seals.
    pub fn agreement(&self) -> Agreement {
        self.sealing().map_or(Agreement::NONE, |session| session.agreement)
    }

    /// How long the answer to an exchange takes at most, as far as is known.
    fn doubt_after(&self) -> Duration {
        if self.round_trip.is_zero() { TRY_NEW_AFTER } else { DOUBT_AFTER.max(self.round_trip * 2) }
    }

    fn sealing(&self) -> Option<&Session<C::Aead>> {
        self.sessions.iter().find(|session| self.sealing == Some(session.id))
    }

    fn seal_with(&mut self, id: Option<SessionId>) {
        self.trying = None;
        // What was promised to the peer is kept (EXT-14).
        let withdrawn = self.sessions.iter().any(|session| Some(session.id) == id && session.withdrawn);
        if id.is_some() && self.sealing != id && !withdrawn {
            self.sealing = id;
            self.renewing = None;
            // The new key has a silence of its own.
            self.silence_due = None;
        }
    }

    /// Lets the waiting session seal, if nothing works that it would replace.
    fn relieve(&mut self, now: Instant) {
        let gives_way = self.sealing().is_none_or(|session| {
            session.silent_for(now, GIVE_WAY_AFTER) || !session.confirmed && session.unanswered.is_none()
        });
        if gives_way && let Some(id) = self.waiting.take() {
            self.seal_with(Some(id));
        }
    }

    /// Notes that a key of the peer arrived after our newest was sent, if it was. Whether that is news.
    fn take_offer_as_answered(&mut self) -> bool {
        match self.offers.newest_mut() {
            Some(offer) if matches!(offer.known, Known::Sent | Known::Asked) => {
                offer.known = Known::Answered;
                true
            }
            _ => false,
        }
    }

    /// Makes a session of the peer's key with each of our young pairs, which may all be what the peer has. The id of the one
    /// with our newest pair, if we have any.
    fn pair(
        &mut self,
        now: Instant,
        peer: PublicKey,
        authenticated: bool,
        initiated: bool,
        crypto: &C,
        rng: &mut impl Rng,
    ) -> Result<Option<SessionId>, WeakKey> {
        let mut newest = None;
        for at in 0..offers::MAX_OFFERS {
            let Some(offer) = self.offers.young(now).nth(at) else { break };
            let known = self
                .sessions
                .iter_mut()
                .find(|session| same_key(&session.own, &offer.public) && same_key(&session.peer, &peer));
            if let Some(session) = known {
                session.authenticated |= authenticated;
                newest = Some(session.id);
                continue;
            }
            let mut session =
                Session::derive(self.next_id, now, &offer.secret, offer.public, peer, crypto, rng)?;
            self.next_id = SessionId(self.next_id.0.wrapping_add(1));
            (session.authenticated, session.initiated) = (authenticated, initiated);
            newest = Some(session.id);
            self.insert(session);
        }
        Ok(newest)
    }

    /// Adds a session, in place of the one that is missed least if need be: never the one that seals, the one that
    /// waits, or the newest the peer has proved to have.
    fn insert(&mut self, session: Session<C::Aead>) {
        if self.sessions.is_full() {
            let candidates =
                self.sessions.iter().enumerate().filter(|(_, session)| {
                    self.sealing != Some(session.id) && self.proved != Some(session.id)
                });
            let least =
                candidates.min_by_key(|(_, session)| (session.confirmed, session.last_use(), session.id));
            if let Some((at, _)) = least {
                self.sessions.remove(at);
            }
        }
        let kept = self.sessions.push(session);
        debug_assert!(kept.is_ok());
    }

    /// A frame was opened under session `id`. Whether it is the newest of the tunnel.
    fn opened(
        &mut self,
        now: Instant,
        id: SessionId,
        newest: bool,
        confirmed: bool,
        shares_prefix: bool,
    ) -> bool {
        self.last_received = Some(now);
        self.trying = None;
        self.schedule.restore_credit();
        let age = |id: SessionId| self.sessions.iter().position(|session| session.id == id);
        let newer_than =
            |other: Option<SessionId>| other.and_then(age).is_none_or(|other| age(id) > Some(other));
        let newest = newest && (self.proved == Some(id) || newer_than(self.proved));
        let switch = newer_than(self.sealing)
            || self.sealing().is_some_and(|sealing| {
                !sealing.confirmed && (confirmed || sealing.silent_for(now, GIVE_WAY_AFTER))
            });
        if newer_than(self.proved) {
            self.proved = Some(id);
        }
        if switch {
            self.seal_with(Some(id));
        }
        if self.sealing == Some(id) {
            self.silence_due = None;
        }
        if confirmed {
            self.schedule.done();
            self.round_trip_most = self.schedule.round_trip(now).unwrap_or(self.round_trip_most);
        } else if self.sealing == Some(id) {
            // The first frame only confirms the exchange that silence called for.
            self.silences = 0;
        }
        if shares_prefix {
            self.renew(now);
        }
        newest
    }

    /// A frame did not open. Perhaps the peer has a key that we lack, perhaps anybody forged it.
    fn did_not_open(&mut self, now: Instant, error: OpenError) {
        let alive = self.last_received.is_some_and(|last| now.since(last) < ALIVE_WITHIN);
        match error {
            OpenError::Replay(Refused::TooManyPrefixes) => self.renew(now),
            OpenError::Replay(_) => {}
            OpenError::NoKey | OpenError::Forged if alive => {}
            OpenError::NoKey | OpenError::Forged => self.renew(now),
        }
    }
}

fn find<A>(sessions: &mut [Session<A>], id: Option<SessionId>) -> Option<&mut Session<A>> {
    sessions.iter_mut().find(|session| id == Some(session.id))
}
