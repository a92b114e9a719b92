//! Extensions in their place: recognising a peer of our kind, stating what we can do, and hearing what it can
//! (`spec/extensions.md`). What is due when is decided in `crate::extension`.

use super::{Ctx, outbound::Wrap};
use crate::{
    Transmit,
    crypto::Crypto,
    extension::{Due, pmtu::Probe},
    path::Route,
    port,
    rng::Rng,
    stream::config::{MAX_MSS, RELEASE_WINDOW},
    tunnel::SessionId,
    wire::{
        extension::{Capabilities, MAX_LEN, MAX_LIST, Message, PROBE_LEN, Signed, Statement},
        packet::{HEADER_LEN, Header, Protocol},
    },
};

impl<C: Crypto, R: Rng> Ctx<'_, C, R> {
    /// Looks at a packet that was opened under `session` for what concerns extensions. Whether it was a message of them.
    pub(super) fn extension_input(
        &mut self,
        slot: u32,
        session: SessionId,
        header: &Header,
        payload: &[u8],
    ) -> bool {
        if !self.config.extensions.enabled {
            return false;
        }
        match header.protocol {
            Protocol::Stream if header.window > RELEASE_WINDOW => self.recognise(slot, session),
            Protocol::Control if header.src_port == port::CONTROL && header.dst_port == port::CONTROL => {
                if header.flags.is_empty()
                    && let Ok(message) = Message::parse(payload)
                {
                    self.extension_message(slot, session, message, payload.len());
                }
                return true;
            }
            _ => {}
        }
        false
    }

    /// The peer has shown in this session that it is one of ours.
    fn recognise(&mut self, slot: u32, session: SessionId) {
        let now = self.now;
        let Some(peer) = self.peer(slot) else { return };
        if peer.tunnel.sealing_session() == Some(session)
            && peer.tunnel.session(session).is_some_and(|session| session.authenticated)
        {
            peer.talk.recognised(now, session);
        }
    }

    fn extension_message(&mut self, slot: u32, session: SessionId, message: Message<'_>, len: usize) {
        let now = self.now;
        match message {
            Message::Statement { list, signature } => {
                if self.believe(slot, session, list, &signature) {
                    if let Some(peer) = self.peer(slot) {
                        peer.talk.stated(session);
                    }
                    self.recognise(slot, session);
                }
            }
            Message::Received => {
                if let Some(peer) = self.peer(slot) {
                    peer.talk.heard(session);
                }
            }
            Message::Probe { number } => {
                let Some(peer) = self.peer(slot) else { return };
                if peer.tunnel.session(session).is_some_and(|session| session.agreement.peer().is_some()) {
                    peer.talk.probed(number, u16::try_from(len).unwrap_or(u16::MAX));
                }
            }
            Message::ProbeReceived { number } => {
                if let Some(peer) = self.peer(slot) {
                    peer.talk.pmtu.on_answer(now, number);
                }
            }
            Message::Renewal => {
                if let Some(peer) = self.peer(slot) {
                    peer.tunnel.handle_renewal(now, session);
                }
            }
        }
    }

    /// Verifies a statement and keeps what it says. Whether the peer has a valid one in this session.
    fn believe(&mut self, slot: u32, id: SessionId, list: &[u8], signature: &[u8; 64]) -> bool {
        let now = self.now;
        let (receiver, own) = (self.core.id, self.config.extensions.capabilities::<C>());
        let Some(peer) = self.parts.peers.get_mut(slot as usize) else { return false };
        let (sender, identity) = (peer.node, peer.key);
        let Some(session) = peer.tunnel.session(id).filter(|session| session.authenticated) else {
            return false;
        };
        if session.agreement.peer().is_some() {
            return true;
        }
        let Some(identity) = identity.filter(|_| session.agreement.may_state()) else { return false };
        let signed = Signed { sender_key: session.peer, receiver_key: session.own, sender, receiver, list };
        let genuine = signed
            .message()
            .is_some_and(|message| self.crypto.ed25519_verify(&identity, &message, signature).is_ok());
        let statement = Statement::parse(list).ok().filter(|_| genuine);
        let Some(statement) = statement else {
            session.agreement.refuse();
            return false;
        };
        session.agreement.conclude(&own, statement.capabilities);
        peer.tunnel.handle_withdrawals(now, id, &statement.withdrawn, self.crypto);
        true
    }

    /// Sends the next extension message to a peer, if one is due.
    pub(super) fn transmit_extension(&mut self, slot: u32, buffer: &mut [u8]) -> Option<Transmit> {
        let now = self.now;
        let peer = self.peer(slot).filter(|peer| peer.talk.is_due(now) || peer.tunnel.renewal_is_due())?;
        let sealing = peer.tunnel.sealing_session().filter(|_| peer.tunnel.is_ready());
        let due = match peer.tunnel.take_renewal() {
            true => Some(Due::Renewal),
            false => peer.talk.poll(now, sealing),
        };
        let transmit = due.and_then(|due| self.say(slot, sealing?, due, buffer));
        self.after_peer(slot);
        transmit
    }

    fn say(&mut self, slot: u32, session: SessionId, due: Due, buffer: &mut [u8]) -> Option<Transmit> {
        let mut message = [0; MAX_LEN];
        let len = match due {
            Due::Statement => self.state(slot, session, &mut message)?,
            Due::Received => Message::Received.emit(&mut message).ok()?,
            Due::ProbeReceived(number) => Message::ProbeReceived { number }.emit(&mut message).ok()?,
            Due::Renewal => Message::Renewal.emit(&mut message).ok()?,
            Due::Probe(probe) => return self.send_probe(slot, &probe, buffer),
        };
        let wrap = self.wrap(slot, None)?;
        self.send_extension(slot, message.get(..len)?, 0, &wrap, buffer)
    }

    /// Writes our statement for a session.
    fn state(&mut self, slot: u32, session: SessionId, out: &mut [u8]) -> Option<usize> {
        let sender = self.core.id;
        let capabilities = self.config.extensions.capabilities::<C>();
        let peer = self.parts.peers.get_mut(slot as usize)?;
        let receiver = peer.node;
        let withdrawn = peer.tunnel.withdraw(self.crypto);
        let session = peer.tunnel.session(session)?;
        let mut list = [0; MAX_LIST];
        let statement = Statement { capabilities, withdrawn };
        let len = statement.emit(&mut list).ok()?;
        let list = list.get(..len)?;
        let signed = Signed { sender_key: session.own, receiver_key: session.peer, sender, receiver, list };
        let signature = self.identity.sign(self.crypto, &signed.message()?);
        Message::Statement { list, signature }.emit(out).ok()
    }

    /// Seals an extension message, with zeros behind it up to `size` bytes, and sends it.
    fn send_extension(
        &mut self,
        slot: u32,
        message: &[u8],
        size: usize,
        wrap: &Wrap,
        buffer: &mut [u8],
    ) -> Option<Transmit> {
        let now = self.now;
        let node = self.peer(slot)?.node;
        let len = HEADER_LEN + message.len().max(size);
        if wrap.front + len + wrap.back > buffer.len() {
            return None;
        }
        let packet = buffer.get_mut(wrap.front..wrap.front + len)?;
        let (head, padding) = packet.get_mut(HEADER_LEN..)?.split_at_mut_checked(message.len())?;
        head.copy_from_slice(message);
        padding.fill(0);
        self.extension_header(node).emit(packet).ok()?;
        let total = self.seal(slot, wrap, buffer, len, false)?;
        if let Some(peer) = self.peer(slot) {
            peer.path.on_sent(now, false);
        }
        self.finish_frame(node, wrap.route, total, 1, buffer)
    }

    fn extension_header(&self, node: u32) -> Header {
        Header { src_port: port::CONTROL, dst_port: port::CONTROL, ..self.control(node, 0, 0) }
    }

    // --- path MTU ------------------------------------------------------------------------------------------------

    fn send_probe(&mut self, slot: u32, probe: &Probe, buffer: &mut [u8]) -> Option<Transmit> {
        let wrap = self.wrap(slot, Some(Route::Direct(probe.to)))?;
        if wrap.route == Route::Relay {
            return None;
        }
        let mut message = [0; PROBE_LEN];
        Message::Probe { number: probe.number }.emit(&mut message).ok()?;
        let transmit = self.send_extension(slot, &message, probe.segment.into(), &wrap, buffer)?;
        Some(Transmit { may_fragment: false, ..transmit })
    }

    /// What the peer stated in the session in use; only a release's abilities if it has not, or if we are switched off.
    fn stated(&self, peer: u32) -> Option<Capabilities> {
        self.parts.peers.get(peer as usize)?.tunnel.agreement().peer().copied()
    }

    /// Tells a stream how large its segments may be, and how large its peer's are.
    pub(super) fn fit_segments(&mut self, stream: u32) {
        let relay = self.relay_available();
        let Some(peer) = self.stream(stream).map(|row| row.peer) else { return };
        let sizes = self.stated(peer).filter(|stated| stated.largest_segment > 0).and_then(|_| {
            let peer = self.parts.peers.get(peer as usize)?;
            let proved = match peer.path.route(relay) {
                Some(Route::Direct(to)) => peer.talk.pmtu.segment(to),
                _ => None,
            };
            Some((proved.unwrap_or(0), peer.talk.answered))
        });
        let (proved, expected) = sizes.unwrap_or((0, 0));
        if let Some(stream) = self.stream(stream).and_then(|row| row.stream.as_mut()) {
            stream.set_segments(proved, expected);
        }
    }

    /// Segments of `payload` bytes go out: if they are as large as they may be without proof, larger ones are worth a
    /// question.
    pub(super) fn question_path(&mut self, peer: u32, route: Route, payload: usize) {
        let now = self.now;
        let base = self.config.stream.mss;
        let Route::Direct(to) = route else { return };
        if payload < base.into() {
            return;
        }
        let Some(stated) = self.stated(peer) else { return };
        let chunk = self.parts.bytes.len().checked_div(self.parts.chunks.len()).unwrap_or(0);
        let limit = stated.largest_segment.min(MAX_MSS).min(u16::try_from(chunk).unwrap_or(u16::MAX));
        if payload < limit.into()
            && let Some(peer) = self.peer(peer)
        {
            peer.talk.pmtu.on_traffic(now, to, base, limit);
        }
    }

    /// A timer of a stream expired: perhaps because its segments have become too large for the path.
    pub(super) fn doubt_path(&mut self, stream: u32) {
        let Some(row) = self.stream(stream) else { return };
        let peer = row.peer;
        if row.stream.as_mut().is_some_and(crate::stream::Stream::take_size_doubt)
            && let Some(row) = self.peer(peer)
        {
            row.talk.pmtu.suspect();
            self.after_peer(peer);
        }
    }
}
