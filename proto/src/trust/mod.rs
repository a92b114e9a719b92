//! Trust: who may talk to this node. The port-444 handshake, its relayed twin, and the lists behind the gate.
//!
//! [`Trust`] joins a [`TrustState`] with lent lists for one call. Its methods are of four kinds:
//!
//! - look: [`is_trusted`](Trust::is_trusted), [`trusted`](Trust::trusted), [`pending`](Trust::pending), ...
//! - act (the operator): [`request`](Trust::request), [`approve`](Trust::approve), [`reject`](Trust::reject),
//!   [`revoke`](Trust::revoke)
//! - feed (the network): [`handle_message`](Trust::handle_message), the `handle_relayed_*`,
//!   [`key_learned`](Trust::key_learned), [`handle_delivery`](Trust::handle_delivery),
//!   [`handle_timeout`](Trust::handle_timeout)
//! - drain: [`poll_action`](Trust::poll_action) until `None` after each call that acts or feeds, then
//!   [`poll_timeout`](Trust::poll_timeout)
//!
//! Four rules keep strangers from making trust (`spec/trust.md`): every message is signed by the key that the
//! registry vouches for and comes through the tunnel of the node it names; an accept counts only while a request of
//! ours is open; trust is bound to a key; after a revocation nothing trusts the node again by itself.

mod action;
mod book;
mod error;
mod incoming;
mod json;
mod message;
mod record;

use core::time::Duration;

use heapless::Deque;

pub use action::{Action, AutoReason, Delivery, TrustEvent};
pub use error::{Refused, TrustError};
pub use json::JsonError;
pub(crate) use json::is_complete;
pub use message::{
    Field, Kind, MESSAGE_MAX, Message, MessageError, NoRoom, TEXT_MAX, Text, WRITTEN_MAX, signed_text,
};
pub use record::{Decision, Intent, Pending, Seen, Trusted};

use crate::time::{Instant, earliest};
use book::Book;

/// Oldest message accepted, in seconds by the wall clock. What the other programs use.
pub const MAX_AGE_SECS: i64 = 300;
/// Most seconds a message may be ahead of our clock. What the other programs use.
pub const MAX_AHEAD_SECS: i64 = 30;
/// How long an accepted message is remembered: longer than it could be accepted again.
pub const REMEMBER_FOR: Duration = Duration::from_secs(600);
/// Messages accepted from one node while they are remembered: several tries of each kind.
pub const SEEN_PER_NODE: usize = 16;
/// Requests that may wait for the operator, if the caller lends that much. What the other programs use.
pub const PENDING_MAX: usize = 256;
/// Requests that may wait per place they came from. What newer programs use.
pub const PENDING_PER_SOURCE: usize = 16;
/// How long a request waits for the operator. What newer programs use.
pub const PENDING_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long an accept counts after we asked. What newer programs use.
pub const ASKED_LIFETIME: Duration = Duration::from_secs(600);
/// How long nothing trusts a node by itself after we revoked. What newer programs use.
pub const COOL_DOWN: Duration = Duration::from_secs(300);
/// How long a revocation may take to be delivered before the tunnel is dropped anyway: several round trips.
pub const REVOKE_DELIVERY: Duration = Duration::from_secs(3);
/// How long the reason of a rejection is kept for its message.
pub const REASON_LIFETIME: Duration = Duration::from_secs(60);
/// How long a change that strangers cause (a pending request) may wait to be made durable, so that they do not
/// decide how often we write.
pub const LAZY_PERSIST: Duration = Duration::from_secs(2);

/// Most actions one call causes; a call is refused unless so many fit.
const ACTIONS_PER_CALL: usize = 10;
const QUEUE: usize = 16;

/// The two clocks at the moment of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub instant: Instant,
    /// Wall clock in Unix seconds; may jump.
    pub unix: i64,
}

/// The node at the end of the tunnel through which a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer<'k> {
    /// Its id, authenticated by the tunnel.
    pub node: u32,
    /// The key the registry has for it; `None` if it could not be asked (an earlier record is used then).
    pub key: Option<&'k [u8; 32]>,
    /// A number for the place it sends from (such as its IP address), to limit requests per place; 0 is no limit.
    pub source: u64,
    /// A network other than 0 of which both are members; 0 if there is none.
    pub network: u16,
}

/// What became of a request of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requested {
    /// It is under way, directly and through the relay.
    Sent,
    /// We trust the node already; the request goes out all the same, in case the other side has forgotten.
    AlreadyTrusted,
    /// The node had asked too: trusted at once.
    Mutual,
}

/// What the machine remembers between calls, apart from the lent lists.
#[derive(Debug, Default)]
pub struct TrustState {
    trusted: usize,
    pending: usize,
    intents: usize,
    core: Core,
}

#[derive(Debug, Default)]
struct Core {
    own: u32,
    auto_approve: bool,
    queue: Deque<Action, QUEUE>,
    persist_now: bool,
    persist_at: Option<Instant>,
    next: Option<Instant>,
    seen_wanted: usize,
    last_justification: Text,
}

impl TrustState {
    /// Nobody is trusted. With `auto_approve` every valid request is approved at once.
    pub fn new(auto_approve: bool) -> Self {
        TrustState { core: Core { auto_approve, ..Core::default() }, ..TrustState::default() }
    }

    /// Tells our own node id, as soon as the registry has assigned it and whenever it changes.
    pub const fn set_node(&mut self, own: u32) {
        self.core.own = own;
    }

    /// Entries in use: trusted, pending, intents.
    pub const fn used(&self) -> [usize; 3] {
        [self.trusted, self.pending, self.intents]
    }

    /// Places for messages seen that are needed to remember one more without forgetting another too early.
    pub const fn seen_wanted(&self) -> usize {
        self.core.seen_wanted
    }

    /// The gate's question, for callers that hold the list shared: is `node` trusted, as far as its key is known?
    pub fn trusts(&self, trusted: &[Trusted], node: u32, key: Option<&[u8; 32]>) -> bool {
        let record = trusted.get(..self.trusted).and_then(|entries| book::find(entries, node));
        record.is_some_and(|record| match (record.key.as_ref(), key) {
            (Some(known), Some(shown)) => known == shown,
            _ => true,
        })
    }

    /// Whether [`Trust::poll_action`] has something.
    pub fn has_actions(&self) -> bool {
        self.core.persist_now || !self.core.queue.is_empty()
    }

    /// When [`Trust::handle_timeout`] must be called next.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.core.next
    }
}

/// Memory for the lists, lent by the caller: the same slices at every call, all `EMPTY` when the state is new.
#[derive(Debug)]
pub struct Storage<'a> {
    /// Nodes we trust.
    pub trusted: &'a mut [Trusted],
    /// Requests waiting for the operator; [`PENDING_MAX`] is the customary number.
    pub pending: &'a mut [Pending],
    /// Our own open requests and recent decisions.
    pub intents: &'a mut [Intent],
    /// Messages accepted lately.
    pub seen: &'a mut [Seen],
}

/// The machine, for one call.
#[derive(Debug)]
pub struct Trust<'a> {
    trusted: Book<'a, Trusted>,
    pending: Book<'a, Pending>,
    intents: Book<'a, Intent>,
    seen: &'a mut [Seen],
    core: &'a mut Core,
}

impl<'a> Trust<'a> {
    /// Joins the state with its lists.
    pub const fn new(state: &'a mut TrustState, storage: Storage<'a>) -> Self {
        let TrustState { trusted, pending, intents, core } = state;
        Trust {
            trusted: Book::new(trusted, storage.trusted),
            pending: Book::new(pending, storage.pending),
            intents: Book::new(intents, storage.intents),
            seen: storage.seen,
            core,
        }
    }

    /// Whether `node` is trusted.
    pub fn is_trusted(&self, node: u32) -> bool {
        self.trusted.get(node).is_some()
    }

    /// Nodes we trust, ascending by id.
    pub fn trusted(&self) -> &[Trusted] {
        self.trusted.entries()
    }

    /// Requests waiting for the operator, ascending by id.
    pub fn pending(&self) -> &[Pending] {
        self.pending.entries()
    }

    /// Our open requests and recent decisions, ascending by id: what to write down besides the other lists.
    pub fn intents(&self) -> &[Intent] {
        self.intents.entries()
    }

    /// The words of an open request of ours, for handing it in at the registry.
    pub fn asked(&self, node: u32) -> Option<&str> {
        match &self.intents.get(node)?.decision {
            Decision::Asked { justification } => Some(justification),
            _ => None,
        }
    }

    /// Whether we asked anybody less than `within` ago: a reason to look for relayed answers more often.
    pub fn asked_lately(&self, now: Now, within: Duration) -> bool {
        self.intents.entries().iter().any(|intent| {
            matches!(intent.decision, Decision::Asked { .. })
                && intent.until + within > now.instant + ASKED_LIFETIME
        })
    }

    /// The words of the request reported by the latest [`TrustEvent::Received`], until the next one is fed.
    pub fn last_justification(&self) -> &str {
        &self.core.last_justification
    }

    /// Asks `node` for trust, directly and through the relay at once; a receiver takes both as one. Asking again
    /// while a request is open sends it again. If the node has asked us already, it is trusted now.
    pub fn request(&mut self, now: Now, node: u32, justification: &str) -> Result<Requested, TrustError> {
        self.check_room()?;
        self.check_peer(node)?;
        let justification = own_text(justification)?;
        self.finish_revocation(node);
        if self.trusted.get(node).is_none()
            && let Some(waiting) = self.pending.get(node)
        {
            let relayed = waiting.relayed;
            let record = Trusted { node, key: waiting.key, approved_at: now.unix, mutual: true, network: 0 };
            self.trust(record)?;
            self.push(Action::Event(TrustEvent::AutoApproved(node, AutoReason::Mutual)));
            self.tell_yes(node, relayed);
            self.refresh();
            return Ok(Requested::Mutual);
        }
        self.decide(now, node, Decision::Asked { justification }, ASKED_LIFETIME)?;
        self.core.persist_now = true;
        self.push(Action::RelayRequest { to: node });
        self.send(node, Kind::Request, false);
        self.refresh();
        Ok(if self.is_trusted(node) { Requested::AlreadyTrusted } else { Requested::Sent })
    }

    /// The operator's yes to a pending request.
    pub fn approve(&mut self, now: Now, node: u32) -> Result<(), TrustError> {
        self.check_room()?;
        let waiting = self.pending.get(node).ok_or(TrustError::NotPending { node })?;
        let relayed = waiting.relayed;
        let record = Trusted { node, key: waiting.key, approved_at: now.unix, mutual: false, network: 0 };
        self.finish_revocation(node);
        self.trust(record)?;
        self.push(Action::Event(TrustEvent::Approved(node)));
        self.tell_yes(node, relayed);
        self.refresh();
        Ok(())
    }

    /// The operator's no to a pending request.
    pub fn reject(&mut self, now: Now, node: u32, reason: &str) -> Result<(), TrustError> {
        self.check_room()?;
        let reason = own_text(reason)?;
        let relayed = self.pending.get(node).ok_or(TrustError::NotPending { node })?.relayed;
        self.finish_revocation(node);
        self.pending.remove(node);
        if !reason.is_empty() {
            self.decide_now(now, node, Decision::Rejected { reason }, REASON_LIFETIME);
        }
        self.core.persist_now = true;
        self.push(Action::Event(TrustEvent::Rejected(node)));
        if relayed {
            self.push(Action::RelayRespond { to: node, accept: false });
        }
        self.send(node, Kind::Reject, !relayed);
        self.refresh();
        Ok(())
    }

    /// Ends trust in `node`: the gate closes at once, the peer is told over the tunnel that still stands, and only
    /// then (or after [`REVOKE_DELIVERY`]) is the tunnel dropped. An open request of either side is forgotten too,
    /// even when the node was not trusted.
    pub fn revoke(&mut self, now: Now, node: u32) -> Result<(), TrustError> {
        self.check_room()?;
        if self.pending.remove(node) {
            self.core.persist_now = true;
        }
        if self.asked(node).is_some() {
            self.intents.remove(node);
            self.core.persist_now = true;
        }
        let was_trusted = self.trusted.remove(node);
        if was_trusted {
            let drop_tunnel_at = Some(now.instant + REVOKE_DELIVERY);
            self.decide_now(now, node, Decision::Revoked { drop_tunnel_at }, COOL_DOWN);
            self.core.persist_now = true;
            self.push(Action::Event(TrustEvent::Revoked(node)));
            self.send(node, Kind::Revoke, false);
            self.push(Action::RevokeAtRegistry { node });
        }
        self.refresh();
        if was_trusted { Ok(()) } else { Err(TrustError::NotTrusted { node }) }
    }

    /// We left `network`: forgets a node whose trust rested on it. Call again, draining in between, until `false`.
    pub fn network_left(&mut self, network: u16) -> Result<bool, TrustError> {
        self.check_room()?;
        let rested = |record: &&Trusted| network != 0 && record.network == network;
        let Some(node) = self.trusted().iter().find(rested).map(|record| record.node) else {
            return Ok(false);
        };
        self.trusted.remove(node);
        self.core.persist_now = true;
        self.push(Action::Event(TrustEvent::Revoked(node)));
        self.push(Action::RevokeAtRegistry { node });
        Ok(true)
    }

    /// Tells whether a message was delivered: all of it acknowledged, or given up.
    pub fn handle_delivery(&mut self, delivery: Delivery, delivered: bool) -> Result<(), TrustError> {
        self.check_room()?;
        let to = delivery.to;
        if !delivered && delivery.relay_on_failure {
            match delivery.kind {
                Kind::Accept if self.is_trusted(to) => self.push(Action::RelayRespond { to, accept: true }),
                Kind::Reject if !self.is_trusted(to) => self.push(Action::RelayRespond { to, accept: false }),
                _ => {}
            }
        }
        if delivery.kind == Kind::Revoke {
            self.finish_revocation(to);
        }
        self.refresh();
        Ok(())
    }

    /// The next thing to do; call until `None`.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        if core::mem::take(&mut self.core.persist_now) {
            self.core.persist_at = None;
            self.refresh();
            return Some(Action::Persist);
        }
        self.core.queue.pop_front()
    }

    /// When [`Trust::handle_timeout`] must be called next; `None` is never.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.core.next
    }

    /// Does what is due. A call with nothing due changes nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.core.next.is_none_or(|next| next > now.instant) {
            return;
        }
        if self.core.persist_at.is_some_and(|at| at <= now.instant) {
            self.core.persist_at = None;
            self.core.persist_now = true;
        }
        while self.core.queue.len() < QUEUE
            && let Some(node) = self.due_intent(now.instant)
        {
            self.end_intent(now.instant, node);
        }
        let due = |waiting: &&Pending| waiting.until <= now.instant;
        while let Some(node) = self.pending().iter().find(due).map(|waiting| waiting.node) {
            self.pending.remove(node);
            self.core.persist_now = true;
        }
        self.refresh();
    }

    /// Writes the message of a [`Action::Send`] into `out` ([`WRITTEN_MAX`] bytes hold any) and returns its length.
    /// `key` is our own key, `sign` signs with it.
    pub fn write_message(
        &self,
        now: Now,
        delivery: Delivery,
        key: &[u8; 32],
        sign: impl FnOnce(&[u8]) -> [u8; 64],
        out: &mut [u8],
    ) -> Result<usize, NoRoom> {
        let decision = self.intents.get(delivery.to).map(|intent| &intent.decision);
        let (justification, reason) = match (delivery.kind, decision) {
            (Kind::Request, Some(Decision::Asked { justification })) => (justification.clone(), Text::new()),
            (Kind::Reject, Some(Decision::Rejected { reason })) => (Text::new(), reason.clone()),
            (Kind::Revoke, _) => (Text::new(), clip("trust revoked")),
            _ => (Text::new(), Text::new()),
        };
        let message = Message {
            kind: delivery.kind,
            node: self.core.own,
            key: *key,
            justification,
            signature: sign(signed_text(self.core.own, delivery.to).as_bytes()),
            reason,
            timestamp: now.unix,
        };
        let room = out.len().min(WRITTEN_MAX);
        message.write(out.get_mut(..room).unwrap_or_default())
    }

    /// Puts back a trusted node from durable memory. Causes no action.
    pub fn restore_trusted(&mut self, record: Trusted) -> Result<(), TrustError> {
        let full = TrustError::TableFull { table: "trusted", capacity: self.trusted.capacity() };
        if self.trusted.insert(record) { Ok(()) } else { Err(full) }
    }

    /// Puts back a pending request from durable memory, unless it has expired. Causes no action.
    pub fn restore_pending(
        &mut self,
        now: Now,
        node: u32,
        key: Option<[u8; 32]>,
        justification: &str,
        received_at: i64,
    ) -> Result<(), TrustError> {
        let expires = received_at.saturating_add(PENDING_LIFETIME.as_secs() as i64);
        let Some(until) = instant_of(now, expires) else { return Ok(()) };
        let justification = clip(justification);
        // Which way it came is not written down; an answer to a node that did not ask there does no harm.
        let waiting = Pending { node, key, justification, received_at, relayed: true, source: 0, until };
        let full = TrustError::TableFull { table: "pending", capacity: self.pending.capacity() };
        let stored = self.pending.insert(waiting);
        self.refresh();
        if stored { Ok(()) } else { Err(full) }
    }

    /// Puts back an intent from durable memory, unless it has expired. Causes no action.
    pub fn restore_intent(
        &mut self,
        now: Now,
        node: u32,
        decision: Decision,
        until_unix: i64,
    ) -> Result<(), TrustError> {
        let Some(until) = instant_of(now, until_unix) else { return Ok(()) };
        // However the clock was set when it was written: no decision outlives its kind.
        let longest = match decision {
            Decision::Asked { .. } => ASKED_LIFETIME,
            Decision::Rejected { .. } => REASON_LIFETIME,
            Decision::Revoked { .. } => COOL_DOWN,
        };
        let decision = match decision {
            Decision::Revoked { .. } => Decision::Revoked { drop_tunnel_at: None },
            other => other,
        };
        let until = until.min(now.instant + longest);
        let full = TrustError::TableFull { table: "requests", capacity: self.intents.capacity() };
        let stored = self.intents.insert(Intent { node, decision, until_unix, until, again: false });
        self.refresh();
        if stored { Ok(()) } else { Err(full) }
    }

    /// Records trust. Everything still open about the node is settled by it.
    fn trust(&mut self, record: Trusted) -> Result<(), TrustError> {
        self.restore_trusted(record)?;
        self.pending.remove(record.node);
        self.intents.remove(record.node);
        self.core.persist_now = true;
        if record.key.is_none() {
            self.push(Action::LookUpKey { node: record.node });
        }
        Ok(())
    }

    /// New trust: the registry must know the pair before the peer can resolve us, so it is told first.
    fn tell_yes(&mut self, node: u32, relayed: bool) {
        self.push(Action::Report { node });
        self.answer_yes(node, relayed);
    }

    fn answer_yes(&mut self, node: u32, relayed: bool) {
        if relayed {
            self.push(Action::RelayRespond { to: node, accept: true });
        }
        self.send(node, Kind::Accept, !relayed);
    }

    fn send(&mut self, to: u32, kind: Kind, relay_on_failure: bool) {
        self.push(Action::Send(Delivery { to, kind, relay_on_failure }));
    }

    fn decide(&mut self, now: Now, node: u32, decision: Decision, lasts: Duration) -> Result<(), TrustError> {
        let until_unix = now.unix.saturating_add(lasts.as_secs() as i64);
        let full = TrustError::TableFull { table: "requests", capacity: self.intents.capacity() };
        let again = matches!(decision, Decision::Asked { .. }) && self.asked(node).is_some();
        let stored =
            self.intents.insert(Intent { node, decision, until_unix, until: now.instant + lasts, again });
        if stored { Ok(()) } else { Err(full) }
    }

    /// As [`Trust::decide`], at the cost of the decision that would end first: what the operator takes back must
    /// not fail for want of room.
    fn decide_now(&mut self, now: Now, node: u32, decision: Decision, lasts: Duration) {
        if self.intents.is_full() && self.intents.get(node).is_none() {
            let first =
                self.intents.entries().iter().min_by_key(|intent| intent.until).map(|intent| intent.node);
            if let Some(first) = first {
                self.finish_revocation(first);
                self.intents.remove(first);
            }
        }
        // Fails only if no memory at all was lent.
        let _ = self.decide(now, node, decision, lasts);
    }

    /// Drops the tunnel of a revoked node if that is still to be done.
    fn finish_revocation(&mut self, node: u32) {
        if let Some(intent) = self.intents.get_mut(node)
            && let Decision::Revoked { drop_tunnel_at } = &mut intent.decision
            && drop_tunnel_at.take().is_some()
        {
            self.push(Action::DropTunnel { node });
        }
    }

    fn due_intent(&self, now: Instant) -> Option<u32> {
        self.intents.entries().iter().find(|intent| intent.deadline() <= now).map(|intent| intent.node)
    }

    /// Does the due part of an intent: dropping the tunnel, or ending.
    fn end_intent(&mut self, now: Instant, node: u32) {
        self.finish_revocation(node);
        let Some(intent) = self.intents.get(node).filter(|intent| intent.until <= now) else { return };
        if matches!(intent.decision, Decision::Asked { .. }) && !self.is_trusted(node) {
            self.push(Action::Event(TrustEvent::Unanswered(node)));
        }
        self.intents.remove(node);
        self.core.persist_now = true;
    }

    fn check_peer(&self, node: u32) -> Result<(), TrustError> {
        let is_peer = node != 0 && node != u32::MAX && node != self.core.own;
        if is_peer { Ok(()) } else { Err(TrustError::NotAPeer { node }) }
    }

    fn check_room(&self) -> Result<(), TrustError> {
        let room = QUEUE - self.core.queue.len();
        if room >= ACTIONS_PER_CALL { Ok(()) } else { Err(TrustError::Busy) }
    }

    /// Every call has made sure of the room it needs.
    fn push(&mut self, action: Action) {
        let pushed = self.core.queue.push_back(action);
        debug_assert!(pushed.is_ok(), "more than ACTIONS_PER_CALL actions in one call");
    }

    fn persist_soon(&mut self, now: Now) {
        self.core.persist_at = self.core.persist_at.or(Some(now.instant + LAZY_PERSIST));
    }

    fn refresh(&mut self) {
        let intents = self.intents.entries().iter().map(Intent::deadline).min();
        let pending = self.pending.entries().iter().map(|waiting| waiting.until).min();
        self.core.next = earliest(self.core.persist_at, earliest(intents, pending));
    }
}

impl Intent {
    fn deadline(&self) -> Instant {
        match self.decision {
            Decision::Revoked { drop_tunnel_at: Some(at) } => at.min(self.until),
            _ => self.until,
        }
    }
}

/// A text of somebody else, cut to what is kept, without characters that could command a terminal.
fn clip(text: &str) -> Text {
    let mut clipped = Text::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        if clipped.push(c).is_err() {
            break;
        }
    }
    clipped
}

/// A text of our own, which is refused rather than cut.
fn own_text(text: &str) -> Result<Text, TrustError> {
    Text::try_from(text).map_err(|_| TrustError::TextTooLong { len: text.len(), max: TEXT_MAX })
}

/// The instant at which the wall clock will show `unix`; `None` if that is past.
fn instant_of(now: Now, unix: i64) -> Option<Instant> {
    let left = u64::try_from(unix.saturating_sub(now.unix)).ok().filter(|left| *left > 0)?;
    Some(now.instant + Duration::from_secs(left))
}

#[cfg(test)]
mod tests;
