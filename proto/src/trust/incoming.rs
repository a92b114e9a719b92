//! What other nodes say: the checks of a message, and what each kind does to the lists.

use super::record::Heard;
use super::{
    ASKED_LIFETIME, Action, AutoReason, Decision, Intent, Kind, MAX_AGE_SECS, MAX_AHEAD_SECS, Message, Now,
    PENDING_LIFETIME, PENDING_PER_SOURCE, Peer, Pending, REMEMBER_FOR, Refused, SEEN_PER_NODE, Seen, Text,
    Trust, TrustError, TrustEvent, Trusted, clip, signed_text,
};

/// A request that reached us, on either way.
struct Incoming<'k> {
    node: u32,
    key: Option<&'k [u8; 32]>,
    source: u64,
    network: u16,
    relayed: bool,
}

impl Trust<'_> {
    /// Feeds one message from port 444. `verify` checks an Ed25519 signature (key, text, signature).
    ///
    /// The checks come in order of their cost, and only a message that passes all of them is remembered, so that
    /// invalid ones cannot use up the memory for replays.
    pub fn handle_message(
        &mut self,
        now: Now,
        peer: Peer<'_>,
        bytes: &[u8],
        verify: impl FnOnce(&[u8; 32], &[u8], &[u8; 64]) -> bool,
    ) -> Result<(), Refused> {
        self.check_room()?;
        let message = Message::parse(bytes)?;
        let node = message.node;
        if node != peer.node {
            return Err(Refused::NotTheSender { claimed: node, peer: peer.node });
        }
        self.check_peer(node)?;
        let age = now.unix.saturating_sub(message.timestamp);
        if age > MAX_AGE_SECS && !crate::planted!(OldMessageTaken) {
            return Err(Refused::TooOld { age, max: MAX_AGE_SECS });
        }
        if age < -MAX_AHEAD_SECS {
            return Err(Refused::TooEarly { ahead: age.saturating_neg(), max: MAX_AHEAD_SECS });
        }
        let recorded = || self.trusted.get(node).and_then(|record| record.key);
        let known = peer.key.copied().or_else(recorded).ok_or(Refused::UnknownKey)?;
        if message.key != known {
            return Err(Refused::WrongKey);
        }
        let signed = signed_text(node, self.core.own);
        if !verify(&known, signed.as_bytes(), &message.signature) && !crate::planted!(SignatureIgnored) {
            return Err(Refused::BadSignature);
        }
        self.remember(now, &message)?;
        self.notice_key(now, node, &known);
        let incoming =
            Incoming { node, key: Some(&known), source: peer.source, network: peer.network, relayed: false };
        let result = match message.kind {
            Kind::Request => self.incoming_request(now, &incoming, &message.justification),
            Kind::Accept => self.incoming_accept(now, &incoming),
            Kind::Reject => self.incoming_reject(node, message.timestamp),
            Kind::Revoke => {
                self.incoming_revoke(node);
                Ok(())
            }
        };
        self.refresh();
        result
    }

    /// Feeds a request that was collected at the registry, which has checked its signature. `network` as in
    /// [`Peer::network`].
    pub fn handle_relayed_request(
        &mut self,
        now: Now,
        node: u32,
        justification: &str,
        network: u16,
    ) -> Result<(), Refused> {
        self.check_room()?;
        self.check_peer(node)?;
        let incoming = Incoming { node, key: None, source: 0, network, relayed: true };
        let result = self.incoming_request(now, &incoming, justification);
        self.refresh();
        result
    }

    /// Feeds an answer that was collected at the registry.
    pub fn handle_relayed_response(&mut self, now: Now, node: u32, accept: bool) -> Result<(), Refused> {
        self.check_room()?;
        self.check_peer(node)?;
        if self.asked(node).is_none() && !crate::planted!(UnaskedAccept) {
            return Err(Refused::NotAsked);
        }
        let result = if accept {
            self.accepted(now, node, None).map_err(Refused::from)
        } else {
            // It may have waited at the registry while we asked again, so the question stays open for its time; a no
            // that comes directly ends it.
            self.push(Action::Event(TrustEvent::RejectedByPeer(node)));
            Ok(())
        };
        self.refresh();
        result
    }

    /// Tells the verified key of `node`: an answer to [`Action::LookUpKey`], or what a key exchange has proved. Fills
    /// in what is missing; a node trusted under another key is no longer trusted and has to be approved anew.
    pub fn key_learned(&mut self, now: Now, node: u32, key: &[u8; 32]) -> Result<(), TrustError> {
        self.check_room()?;
        self.notice_key(now, node, key);
        self.refresh();
        Ok(())
    }

    fn incoming_request(&mut self, now: Now, from: &Incoming<'_>, text: &str) -> Result<(), Refused> {
        let node = from.node;
        let text = clip(text);
        if self.is_trusted(node) {
            self.answer_yes(node, from.relayed);
            return Ok(());
        }
        let decision = self.intents.get(node).map(|intent| &intent.decision);
        let reason = match decision {
            Some(Decision::Asked { .. }) => Some(AutoReason::Mutual),
            Some(Decision::Revoked { .. }) => None,
            _ if from.network != 0 => Some(AutoReason::SameNetwork),
            _ if self.core.auto_approve => Some(AutoReason::Flag),
            _ => None,
        };
        let Some(reason) = reason else { return self.hold(now, from, text) };
        let record = Trusted {
            node,
            key: from.key.copied(),
            approved_at: now.unix,
            mutual: reason == AutoReason::Mutual,
            network: if reason == AutoReason::SameNetwork { from.network } else { 0 },
        };
        self.trust(record)?;
        self.core.last_justification = text;
        self.push(Action::Event(TrustEvent::Received(node)));
        self.push(Action::Event(TrustEvent::AutoApproved(node, reason)));
        self.tell_yes(node, from.relayed);
        Ok(())
    }

    /// Keeps a request for the operator. A copy of one that waits already (the direct and the relayed message are
    /// usually both received) only completes it.
    fn hold(&mut self, now: Now, from: &Incoming<'_>, text: Text) -> Result<(), Refused> {
        let node = from.node;
        let until = now.instant + PENDING_LIFETIME;
        if let Some(waiting) = self.pending.get_mut(node) {
            waiting.key = from.key.copied().or(waiting.key);
            waiting.relayed |= from.relayed;
            // The direct copy may have been cut to what fits a segment.
            if waiting.justification.starts_with(text.as_str()) {
                return Ok(());
            }
            let completed =
                !waiting.justification.is_empty() && text.starts_with(waiting.justification.as_str());
            waiting.justification = text.clone();
            waiting.received_at = now.unix;
            waiting.until = until;
            if completed {
                return Ok(());
            }
        } else {
            let same_source = |other: &&Pending| from.source != 0 && other.source == from.source;
            if self.pending().iter().filter(same_source).count() >= PENDING_PER_SOURCE {
                return Err(Refused::SourceFull { max: PENDING_PER_SOURCE });
            }
            let waiting = Pending {
                node,
                key: from.key.copied(),
                justification: text.clone(),
                received_at: now.unix,
                relayed: from.relayed,
                source: from.source,
                until,
            };
            if !self.pending.insert(waiting) {
                let capacity = self.pending.capacity();
                return Err(TrustError::TableFull { table: "pending", capacity }.into());
            }
        }
        self.persist_soon(now);
        self.core.last_justification = text;
        self.push(Action::Event(TrustEvent::Received(node)));
        self.push(Action::Event(TrustEvent::Pending(node)));
        Ok(())
    }

    fn incoming_accept(&mut self, now: Now, from: &Incoming<'_>) -> Result<(), Refused> {
        if self.asked(from.node).is_some() || crate::planted!(UnaskedAccept) {
            return Ok(self.accepted(now, from.node, from.key)?);
        }
        if self.is_trusted(from.node) {
            return Ok(());
        }
        if self.intents.get(from.node).is_some() {
            return Err(Refused::NotAsked);
        }
        // It trusts us and we do not know why (our request has expired, or was lost with our memory): as good as a
        // request, and the operator decides.
        self.incoming_request(now, from, "")
    }

    fn accepted(&mut self, now: Now, node: u32, key: Option<&[u8; 32]>) -> Result<(), TrustError> {
        let known = self.trusted.get(node).and_then(|record| record.key);
        let key = key.copied().or(known);
        self.trust(Trusted { node, key, approved_at: now.unix, mutual: true, network: 0 })?;
        self.push(Action::Event(TrustEvent::Accepted(node)));
        self.push(Action::Report { node });
        Ok(())
    }

    fn incoming_reject(&mut self, node: u32, timestamp: i64) -> Result<(), Refused> {
        let asked = |intent: &&Intent| matches!(intent.decision, Decision::Asked { .. });
        let open = self.intents.get(node).filter(asked).ok_or(Refused::NotAsked)?;
        // Written before we asked again: it answers the earlier question, and this one stays open.
        let asked_at = open.until_unix.saturating_sub(ASKED_LIFETIME.as_secs() as i64);
        if !(open.again && timestamp <= asked_at) {
            self.intents.remove(node);
            self.core.persist_now = true;
        }
        self.push(Action::Event(TrustEvent::RejectedByPeer(node)));
        Ok(())
    }

    fn incoming_revoke(&mut self, node: u32) {
        let was_trusted = self.trusted.remove(node);
        let was_pending = self.pending.remove(node);
        let was_asked = self.asked(node).is_some() && self.intents.remove(node);
        if was_trusted || was_pending || was_asked {
            self.core.persist_now = true;
            self.push(Action::Event(TrustEvent::RevokedByPeer(node)));
            // The revoker forgets its keys; whoever kept them could not be reached any more.
            self.push(Action::DropTunnel { node });
        }
        if was_trusted {
            self.push(Action::RevokeAtRegistry { node });
        }
    }

    fn notice_key(&mut self, now: Now, node: u32, key: &[u8; 32]) {
        if let Some(waiting) = self.pending.get_mut(node) {
            if waiting.key.is_some_and(|known| known != *key) {
                // Asked by whoever had the id before.
                self.pending.remove(node);
                self.persist_soon(now);
            } else {
                waiting.key = Some(*key);
            }
        }
        let Some(record) = self.trusted.get_mut(node).filter(|record| record.key != Some(*key)) else {
            return;
        };
        self.core.persist_now = true;
        if record.key.is_none() {
            record.key = Some(*key);
            return;
        }
        self.trusted.remove(node);
        self.push(Action::Event(TrustEvent::KeyChanged(node)));
        self.push(Action::RevokeAtRegistry { node });
        let waiting = Pending {
            node,
            key: Some(*key),
            received_at: now.unix,
            until: now.instant + PENDING_LIFETIME,
            ..Pending::EMPTY
        };
        // If the list is full the node has to ask again, as any other.
        let _ = self.pending.insert(waiting);
    }

    fn remember(&mut self, now: Now, message: &Message) -> Result<(), Refused> {
        let heard = Heard {
            node: message.node,
            kind: message.kind,
            timestamp: message.timestamp,
            texts: fingerprint([message.justification.as_str(), message.reason.as_str()]),
            until: now.instant + REMEMBER_FOR,
        };
        let mut of_node = 0;
        let live = self.seen.iter().filter_map(|seen| seen.0).filter(|old| old.until > now.instant);
        for old in live.filter(|old| old.node == heard.node) {
            if (Heard { until: heard.until, ..old }) == heard {
                return Err(Refused::Replayed);
            }
            of_node += 1;
        }
        if of_node >= SEEN_PER_NODE {
            return Err(Refused::TooMany { max: SEEN_PER_NODE });
        }
        // An unused or the oldest place: `None` sorts before every instant.
        if let Some(place) = self.seen.iter_mut().min_by_key(|seen| seen.0.map(|old| old.until)) {
            *place = Seen(Some(heard));
        }
        let is_free = |seen: &Seen| seen.0.is_none_or(|old| old.until <= now.instant);
        let used = self.seen.len();
        self.core.seen_wanted = if self.seen.iter().any(is_free) { used } else { used + 1 };
        Ok(())
    }
}

/// FNV-1a over texts and their ends.
fn fingerprint<const N: usize>(texts: [&str; N]) -> u64 {
    let bytes = texts.into_iter().flat_map(|text| text.bytes().chain([0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
