//! The trust lists' paper work: the file, the mail of relayed handshakes, and clients that wait for either.

use alloc::{
    collections::{BTreeMap, VecDeque},
    format,
    string::String,
    vec,
    vec::Vec,
};

use pilot_proto::{
    Instant,
    crypto::Crypto,
    node::TrustErrand,
    planted,
    rng::Rng,
    time::{Duration, earliest},
    trust::TrustEvent,
};

use super::{
    Daemon, StoreFor,
    commands::Tag,
    registry::{Answer, Failure},
    trust_file,
    webhook::data,
};
use crate::{
    json::{Value, json},
    role::{Area, ConnId, Level, Now, Store},
};

/// How long a client that wants to see the lists waits for the mail to be collected.
const MAIL_WAIT: Duration = Duration::from_secs(3);
/// Reports of trust to a forgetful registry that are on their way at once.
const REPORTS: usize = 8;

/// A client's unanswered request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) client: ConnId,
    pub(super) ticket: u64,
}

/// Which list a client wants to see.
#[derive(Clone, Copy, Debug)]
pub(super) enum List {
    Pending,
    Trusted,
}

/// A change an operator made, and what he is told once it is durable.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) waiter: Waiter,
    /// How the command is called in an error.
    pub(super) command: &'static str,
    pub(super) answer: Value,
}

/// What waits for something about trust.
#[derive(Debug, Default)]
pub(super) struct TrustDesk {
    /// The file is being written, and was out of date again since.
    writing: bool,
    dirty: bool,
    /// Answers to changes that no write under way covers, and to those that it covers.
    unsaved: Vec<Done>,
    saving: Vec<Done>,
    /// Clients that wait until a node is trusted.
    waits: Vec<(u32, Instant, Waiter)>,
    /// Clients that want a list as soon as the mail is collected.
    lists: Vec<(List, Instant, Waiter)>,
    /// Clients whose request is being handed in at the registry.
    asked: BTreeMap<u32, Vec<Waiter>>,
    /// Nodes whose trust a forgetful registry must be told again.
    reports: VecDeque<u32>,
}

impl TrustDesk {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let waits = self.waits.iter().map(|(_, until, _)| *until).min();
        earliest(waits, self.lists.iter().map(|(_, until, _)| *until).min())
    }
}

impl<C: Crypto + Clone + Send + 'static, R: Rng> Daemon<C, R> {
    // --- the file ----------------------------------------------------------------------------------------------

    pub(super) fn restore_trust(&mut self, now: Now) {
        let Some(bytes) = self.config.trust_file.take() else { return };
        let Some(file) = trust_file::read(&bytes) else {
            return self.log(
                Level::Error,
                "trust.json cannot be read; starting with empty lists",
                Vec::new(),
            );
        };
        let mut refused = 0;
        for record in file.trusted {
            refused += usize::from(self.node.restore_trusted(record).is_err());
        }
        for (node, key, words, received_at) in file.pending {
            refused +=
                usize::from(self.node.restore_pending(now.instant, node, key, &words, received_at).is_err());
        }
        for (node, decision, until) in file.intents {
            refused += usize::from(self.node.restore_intent(now.instant, node, decision, until).is_err());
        }
        if refused > 0 {
            self.log(
                Level::Error,
                "trust.json holds more than fits",
                vec![("left_out", format!("{refused}"))],
            );
        }
    }

    pub(super) fn persist_trust(&mut self, now: Now) {
        if !self.config.persistent {
            return;
        }
        if planted!(TrustNotStored) {
            self.trust.saving.append(&mut self.trust.unsaved);
            return self.trust_stored(now, &Ok(()));
        }
        if self.trust.writing {
            self.trust.dirty = true;
            return;
        }
        self.trust.writing = true;
        let unsaved = core::mem::take(&mut self.trust.unsaved);
        self.trust.saving.extend(unsaved);
        let offset = self.config.utc_offset;
        let bytes = self
            .node
            .with_trust(|trust| trust_file::write(trust.trusted(), trust.pending(), trust.intents(), offset));
        let store = Store::Replace { area: Area::State, name: String::from("trust.json"), bytes };
        self.store(store, StoreFor::Trust);
    }

    /// Answers a client when the change it made is durable: the node tells in this turn that there is something to write.
    pub(super) fn reply_when_stored(&mut self, now: Now, done: Done) {
        if self.config.persistent {
            self.trust.unsaved.push(done);
        } else {
            self.reply_handshake(now, done.waiter, Ok(done.answer));
        }
    }

    pub(super) fn trust_stored(&mut self, now: Now, result: &Result<(), String>) {
        self.trust.writing = false;
        for Done { waiter, command, answer } in core::mem::take(&mut self.trust.saving) {
            let answer = match result {
                Ok(()) => Ok(answer),
                Err(error) => Err(format!("{command}: done, but lost if this daemon ends now: {error}")),
            };
            self.reply_handshake(now, waiter, answer);
        }
        if core::mem::take(&mut self.trust.dirty) {
            self.persist_trust(now);
        }
    }

    // --- events ------------------------------------------------------------------------------------------------

    pub(super) fn trust_event(&mut self, now: Now, event: TrustEvent) {
        let node = event.node();
        let peer = ("peer_node_id", node.into());
        let words = |text: String| ("justification", Value::String(text));
        let fields = match event {
            TrustEvent::Received(_) => {
                let text = self.node.with_trust(|trust| String::from(trust.last_justification()));
                data([peer, words(text)])
            }
            TrustEvent::Pending(_) => {
                let text = self.node.with_trust(|trust| {
                    let request = trust.pending().iter().find(|request| request.node == node);
                    request.map(|request| String::from(request.justification.as_str())).unwrap_or_default()
                });
                data([peer, words(text)])
            }
            TrustEvent::AutoApproved(_, reason) => data([peer, ("reason", reason.as_str().into())]),
            _ => data([peer]),
        };
        self.log(Level::Info, event.name(), vec![("node", format!("{node}"))]);
        self.webhook.emit(now, event.name(), fields);
        if event.is_gain() {
            let (ready, waits): (Vec<_>, Vec<_>) = self.trust.waits.drain(..).partition(|(n, ..)| *n == node);
            self.trust.waits = waits;
            for (_, _, waiter) in ready {
                self.answer_wait(now, node, true, waiter);
            }
        }
        let waiting = self.node.with_trust(|trust| {
            !trust.pending().is_empty() || trust.asked_lately(wall(now), Duration::from_secs(120))
        });
        if !waiting {
            self.registry.expect_nothing();
        }
    }

    // --- mail and errands --------------------------------------------------------------------------------------

    pub(super) fn mail(&mut self, now: Now, requests: Vec<(u32, String)>, responses: Vec<(u32, bool)>) {
        for (node, words) in requests {
            if let Err(reason) = self.node.handle_relayed_request(now.instant, node, &words, 0) {
                let fields = vec![("node", format!("{node}")), ("reason", format!("{reason}"))];
                self.log(Level::Warn, "relayed handshake refused", fields);
            }
            self.settle_trust(now);
        }
        for (node, accept) in responses {
            if let Err(reason) = self.node.handle_relayed_response(now.instant, node, accept) {
                let fields = vec![("node", format!("{node}")), ("reason", format!("{reason}"))];
                self.log(Level::Info, "relayed answer ignored", fields);
            }
            self.settle_trust(now);
        }
    }

    /// Takes what the trust machine has to say, which must happen before it is fed again.
    fn settle_trust(&mut self, now: Now) {
        while let Some(event) = self.node.poll_event(now.instant) {
            self.node_event(now, event);
        }
    }

    pub(super) fn mail_polled(&mut self, now: Now) {
        for (list, _, waiter) in core::mem::take(&mut self.trust.lists) {
            self.answer_list(now, list, waiter);
        }
    }

    pub(super) fn errand_done(&mut self, now: Now, errand: TrustErrand, answer: Answer) {
        if let TrustErrand::Request { to } = errand {
            // The direct message is under way in any case: only a plain no is worth telling.
            let refused = match &answer {
                Err(Failure::Refused(text)) if !text.contains("already pending") => {
                    Some(format!("handshake request: handshake relay: registry: {text}"))
                }
                _ => None,
            };
            for waiter in self.trust.asked.remove(&to).unwrap_or_default() {
                let result = match &refused {
                    None => Ok(json!({"node_id": to, "status": "sent"})),
                    Some(words) => Err(words.clone()),
                };
                self.reply_handshake(now, waiter, result);
            }
        }
        if let (TrustErrand::Report { .. }, false) = (errand, self.trust.reports.is_empty()) {
            self.report_next(now);
        }
        if let Err(failure) = answer {
            let fields = vec![("errand", format!("{errand:?}")), ("error", format!("{failure}"))];
            self.log(Level::Info, "the registry did not take a message about trust", fields);
        }
    }

    /// Tells a registry that forgot us whom we trust.
    pub(super) fn report_all_trust(&mut self, now: Now) {
        self.trust.reports = self.node.trusted().map(|record| record.node).collect();
        for _ in 0..REPORTS {
            self.report_next(now);
        }
    }

    fn report_next(&mut self, now: Now) {
        if let Some(node) = self.trust.reports.pop_front() {
            let request = self.registry.requests().report_trust(node);
            self.registry.ask(now.instant, request, Tag::Errand(TrustErrand::Report { node }));
        }
    }

    // --- clients -----------------------------------------------------------------------------------------------

    /// A client asked for trust; it is answered when the registry has taken the request.
    pub(super) fn wait_for_errand(&mut self, node: u32, waiter: Waiter) {
        self.trust.asked.entry(node).or_default().push(waiter);
    }

    pub(super) fn wait_for_trust(&mut self, now: Now, node: u32, timeout: Duration, waiter: Waiter) {
        let trusted = self.node.with_trust(|trust| trust.is_trusted(node));
        if trusted || timeout.is_zero() {
            return self.answer_wait(now, node, trusted, waiter);
        }
        self.registry.expect_mail(now.instant);
        self.trust.waits.push((node, now.instant + timeout, waiter));
    }

    pub(super) fn wait_for_list(&mut self, now: Now, list: List, waiter: Waiter) {
        if self.registry.refresh_mail(now.instant) {
            self.trust.lists.push((list, now.instant + MAIL_WAIT, waiter));
        } else {
            self.answer_list(now, list, waiter);
        }
    }

    pub(super) fn trust_due(&mut self, now: Now) {
        let (due, waits): (Vec<_>, Vec<_>) =
            self.trust.waits.drain(..).partition(|(_, until, _)| *until <= now.instant);
        self.trust.waits = waits;
        for (node, _, waiter) in due {
            let trusted = self.node.with_trust(|trust| trust.is_trusted(node));
            self.answer_wait(now, node, trusted, waiter);
        }
        let (due, lists): (Vec<_>, Vec<_>) =
            self.trust.lists.drain(..).partition(|(_, until, _)| *until <= now.instant);
        self.trust.lists = lists;
        for (list, _, waiter) in due {
            self.answer_list(now, list, waiter);
        }
    }

    /// A client is gone and waits for nothing.
    pub(super) fn forget_waits(&mut self, conn: ConnId) {
        self.trust.unsaved.retain(|done| done.waiter.client != conn);
        self.trust.saving.retain(|done| done.waiter.client != conn);
        self.trust.waits.retain(|(_, _, waiter)| waiter.client != conn);
        self.trust.lists.retain(|(_, _, waiter)| waiter.client != conn);
        for waiters in self.trust.asked.values_mut() {
            waiters.retain(|waiter| waiter.client != conn);
        }
    }

    fn answer_wait(&mut self, now: Now, node: u32, trusted: bool, waiter: Waiter) {
        self.reply_handshake(now, waiter, Ok(json!({"node_id": node, "trusted": trusted})));
    }

    fn answer_list(&mut self, now: Now, list: List, waiter: Waiter) {
        let value = match list {
            List::Pending => self.pending_list(),
            List::Trusted => self.trusted_list(),
        };
        self.reply_handshake(now, waiter, Ok(value));
    }
}

/// The trust machine's clock.
fn wall(now: Now) -> pilot_proto::trust::Now {
    pilot_proto::trust::Now { instant: now.instant, unix: now.unix_secs() }
}
