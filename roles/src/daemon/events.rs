//! What the node reports, passed on to whom it concerns.

use alloc::{format, string::String, vec};

use pilot_proto::{
    SockAddr,
    crypto::Crypto,
    node::{Answer, Event, MAX_DATAGRAM, Question, StreamId, TrustErrand},
    rng::Rng,
    stream::{CloseReason, Unanswered},
};

use super::{Adapter, Daemon, commands::Tag, net::Net as _, via, webhook::data};
use crate::role::{Level, Now};

impl<C: Crypto + Clone + Send + 'static, R: Rng> Daemon<C, R> {
    pub(super) fn node_event(&mut self, now: Now, event: Event) {
        match event {
            Event::Ask(question) => self.question(now, question),
            Event::Incoming { stream, port, remote } => self.incoming(now, stream, port, remote),
            Event::Connected { stream } => self.ipc.connected(via!(self, now), &mut self.numbers, stream),
            Event::Readable { stream } if self.services.has(stream) => {
                self.services.ready(via!(self, now), now, stream);
            }
            Event::Readable { stream } => self.ipc.readable(stream),
            Event::Writable { stream } if self.services.has(stream) => {
                self.services.ready(via!(self, now), now, stream);
            }
            Event::Writable { stream } => self.ipc.writable(via!(self, now), &mut self.numbers, stream),
            Event::Closed { stream, reason } => self.stream_over(now, stream, reason),
            Event::Unreachable { stream } => {
                let node = self.node.stream_info(stream).map_or(0, |info| info.remote.addr.node);
                let words = self.places.words(node);
                self.ipc.over(via!(self, now), &mut self.numbers, stream, words.clone(), Some(words));
            }
            Event::Datagrams => self.datagrams(now),
            Event::Trust(event) => self.trust_event(now, event),
            Event::PersistTrust => self.persist_trust(now),
            Event::Errand(errand) => self.errand(now, errand),
            Event::HandshakeRefused { node, reason } => {
                let fields = vec![("node", format!("{node}")), ("reason", format!("{reason}"))];
                self.log(Level::Warn, "handshake message refused", fields);
            }
            Event::PublicAddress(addr) => self.public_address(now, addr),
            Event::Mail => self.registry.poll_soon(now.instant),
            Event::TunnelUp { node, relay, rekeyed } => self.webhook.emit(
                now,
                "tunnel.established",
                data([
                    ("peer_node_id", node.into()),
                    ("authenticated", self.config.encrypt.into()),
                    ("relay", relay.into()),
                    ("rekeyed", rekeyed.into()),
                ]),
            ),
            Event::PathChanged { node, relay } => {
                let event = if relay { "tunnel.relay_activated" } else { "tunnel.direct_activated" };
                self.webhook.emit(now, event, data([("peer_node_id", node.into())]));
            }
            Event::Rejected { from, port, datagram } => self.webhook.emit(
                now,
                if datagram { "datagram.rejected" } else { "syn.rejected" },
                data([
                    ("src_node_id", from.addr.node.into()),
                    ("src_addr", format!("{}", from.addr).into()),
                    ("dst_port", port.into()),
                ]),
            ),
            Event::RateLimited { from } => self.webhook.emit(
                now,
                "security.syn_rate_limited",
                data([("src_addr", format!("{}", from.addr).into()), ("src_port", from.port.into())]),
            ),
            Event::Replay { node, counter } => self.webhook.emit(
                now,
                "security.nonce_replay",
                data([("peer_node_id", node.into()), ("counter", counter.into())]),
            ),
            Event::Malformed { from, problem } => self.log(
                Level::Warn,
                "datagram ignored",
                vec![("from", format!("{from}")), ("problem", format!("{problem}"))],
            ),
            Event::Impostor { node } => {
                self.log(
                    Level::Warn,
                    "a key exchange does not match the registered key",
                    vec![("node", format!("{node}"))],
                );
            }
        }
    }

    fn question(&mut self, now: Now, question: Question) {
        let requests = self.registry.requests();
        let todo = match question {
            // The key comes first, so that it is there when the place comes.
            Question::Locate { node } => [
                self.places.key(node).is_none().then(|| (requests.lookup(node), Tag::Key(node))),
                Some((requests.resolve(node), Tag::Locate(node))),
            ],
            Question::Key { node } => [Some((requests.lookup(node), Tag::Key(node))), None],
            Question::MayTalk { node } => [Some((requests.check_trust(node), Tag::MayTalk(node))), None],
        };
        for (request, tag) in todo.into_iter().flatten() {
            self.registry.ask(now.instant, request, tag);
        }
    }

    /// The registry answered a question of the node.
    pub(super) fn question_answered(&mut self, now: Now, tag: &Tag, answer: &super::registry::Answer) {
        match *tag {
            Tag::Key(node) => {
                let key = self.places.key_learned(node, answer);
                self.node.handle_answer(now.instant, Answer::Key { node, key });
            }
            Tag::Locate(node) => match self.places.located(node, answer, &self.here) {
                Some(place) => {
                    let key = self.places.key(node);
                    self.node.handle_answer(
                        now.instant,
                        Answer::Located {
                            node,
                            candidates: &place.candidates,
                            key,
                            relay_only: place.relay_only,
                        },
                    );
                }
                None => self.node.handle_answer(now.instant, Answer::NotLocated { node }),
            },
            Tag::MayTalk(node) => {
                let trusted = answer.as_ref().ok().and_then(|answer| answer.get("trusted")?.as_bool());
                let allowed = trusted.unwrap_or(false);
                self.node.handle_answer(now.instant, Answer::MayTalk { node, allowed });
            }
            _ => {}
        }
    }

    fn errand(&mut self, now: Now, errand: TrustErrand) {
        let requests = self.registry.requests();
        let request = match errand {
            TrustErrand::Request { to } => {
                let words =
                    self.node.with_trust(|trust| trust.asked(to).map(String::from)).unwrap_or_default();
                requests.request_handshake(to, &words)
            }
            TrustErrand::Respond { to, accept } => requests.respond_handshake(to, accept),
            TrustErrand::Report { node } => requests.report_trust(node),
            TrustErrand::Revoke { node } => requests.revoke_trust(node),
        };
        self.registry.ask(now.instant, request, Tag::Errand(errand));
    }

    fn incoming(&mut self, now: Now, id: StreamId, port: u16, remote: SockAddr) {
        let number = self.numbers.next();
        let taken = self.services.incoming(number, id, port, remote)
            || self.ipc.incoming(via!(self, now), number, id, port, remote);
        if !taken {
            let adapter = via!(self, now);
            adapter.reset(id);
            adapter.release(id);
            return;
        }
        if self.webhook.is_on() {
            for event in ["conn.syn_received", "conn.established"] {
                let fields = data([
                    ("src_addr", format!("{}", remote.addr).into()),
                    ("src_port", remote.port.into()),
                    ("dst_port", port.into()),
                    ("conn_id", number.into()),
                ]);
                self.webhook.emit(now, event, fields);
            }
        }
    }

    /// The number a stream has for clients and the operator.
    pub(super) fn number(&self, id: StreamId) -> Option<u32> {
        self.ipc.number(id).or_else(|| self.services.number(id))
    }

    fn stream_over(&mut self, now: Now, id: StreamId, reason: CloseReason) {
        let info = self.node.stream_info(id);
        if let (Some(info), Some(number)) = (&info, self.number(id)) {
            let event = match reason {
                CloseReason::Clean => Some("conn.fin"),
                CloseReason::Reset => Some("conn.rst"),
                CloseReason::TimedOut(Unanswered::Idle | Unanswered::Keepalive) => Some("conn.idle_timeout"),
                _ => None,
            };
            if let Some(event) = event {
                let fields = data([
                    ("remote_addr", format!("{}", info.remote.addr).into()),
                    ("remote_port", info.remote.port.into()),
                    ("local_port", info.local_port.into()),
                    ("conn_id", number.into()),
                ]);
                self.webhook.emit(now, event, fields);
            }
        }
        if self.services.has(id) {
            return self.services.over(via!(self, now), now, id);
        }
        let words = match reason {
            CloseReason::Refused | CloseReason::Reset => "connection refused",
            _ => "dial timeout",
        };
        let broken = (reason != CloseReason::Clean).then(|| alloc::format!("{reason}"));
        self.ipc.over(via!(self, now), &mut self.numbers, id, String::from(words), broken);
    }

    fn datagrams(&mut self, now: Now) {
        // Most daemons never get one.
        self.scratch.resize(MAX_DATAGRAM, 0);
        while let Some((from, port, len)) = self.node.read_datagram(&mut self.scratch) {
            let payload = self.scratch.get(..len).unwrap_or_default();
            self.ipc.datagram(from, port, payload);
            if self.webhook.is_on() {
                let fields = data([
                    ("src_addr", format!("{}", from.addr).into()),
                    ("src_port", from.port.into()),
                    ("dst_port", port.into()),
                    ("size", len.into()),
                ]);
                self.webhook.emit(now, "data.datagram", fields);
            }
        }
    }
}
