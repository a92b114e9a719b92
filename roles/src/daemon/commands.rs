//! What local clients ask that is not about their own streams: answered here, or by the registry.

use alloc::{format, string::String, vec::Vec};

use pilot_proto::{
    Addr, SockAddr,
    crypto::Crypto,
    node::TrustErrand,
    rng::Rng,
    time::Duration,
    trust::{Requested, TrustError},
};

use super::{
    Adapter, Daemon,
    ipc::Ask,
    net::Net as _,
    registry::{self, Answer, Failure, number},
    trust::{Done, List, Waiter},
    via,
};
use crate::{
    ipc::{HandshakeRequest, JsonKind, NetworkRequest, Reply, Request},
    json::{self, Value, json},
    role::{ConnId, Level, Now},
};

/// Whose answer it is when the registry answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// The node's: where a node is.
    Locate(u32),
    /// The node's: a node's key.
    Key(u32),
    /// The node's: may a node talk to us.
    MayTalk(u32),
    /// A message about trust.
    Errand(TrustErrand),
    /// A client's.
    Client { client: ConnId, ticket: u64, kind: JsonKind, prefix: &'static str, then: Then },
    /// A client's datagram for a whole network, which needs the list of members.
    Broadcast { client: ConnId, ticket: u64, to: SockAddr, data: Vec<u8> },
}

/// What a request changes here once the registry has agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    Hostname(String),
    Public(bool),
    Tags(Vec<String>),
    Leave,
}

impl<C: Crypto + Clone + Send + 'static, R: Rng> Daemon<C, R> {
    pub(super) fn command(&mut self, now: Now, ask: &Ask) {
        // It was parsed before; what cannot be read never comes here.
        let Ok(Some(request)) = Request::parse(&ask.message) else { return };
        let waiter = Waiter { client: ask.client, ticket: ask.ticket };
        match request {
            Request::Info => {
                let value = self.info(now);
                self.reply_json(now, waiter, JsonKind::Info, Ok(value));
            }
            Request::Health => {
                let value = self.health(now);
                self.reply_json(now, waiter, JsonKind::Health, Ok(value));
            }
            Request::Handshake(request) => self.handshake(now, waiter, request),
            Request::Network(request) => self.network(now, waiter, request),
            Request::ResolveHostname { name } => {
                let request = self.registry.requests().resolve_hostname(&name);
                self.relay(
                    now,
                    waiter,
                    request,
                    JsonKind::ResolveHostname,
                    "resolve_hostname: ",
                    Then::Nothing,
                );
            }
            Request::SetHostname { name } => {
                let request = self.registry.requests().set_hostname(&name);
                let then = Then::Hostname(name.into_owned());
                self.relay(now, waiter, request, JsonKind::SetHostname, "set_hostname: ", then);
            }
            Request::SetVisibility { public } => {
                let request = self.registry.requests().set_visibility(public);
                let then = Then::Public(public);
                self.relay(now, waiter, request, JsonKind::SetVisibility, "set_visibility: ", then);
            }
            Request::Deregister => {
                let request = self.registry.requests().deregister();
                self.relay(now, waiter, request, JsonKind::Deregister, "deregister: ", Then::Leave);
            }
            Request::SetTags { tags } => {
                let request = self.registry.requests().set_tags(&tags);
                self.relay(now, waiter, request, JsonKind::SetTags, "set_tags: ", Then::Tags(tags));
            }
            Request::SetTaskExec { on } => {
                let request = self.registry.requests().set_task_exec(on);
                self.relay(now, waiter, request, JsonKind::SetTaskExec, "set_task_exec: ", Then::Nothing);
            }
            Request::SetWebhook { url } => {
                self.webhook.set_url(url.clone().into_owned());
                self.reply_json(now, waiter, JsonKind::SetWebhook, Ok(json!({"webhook": url})));
            }
            Request::PreferDirect { node } => {
                let value = self.prefer_direct(now, node);
                self.reply_json(now, waiter, JsonKind::PreferDirect, Ok(value));
            }
            Request::Close { id } => self.services.close(via!(self, now), now, id),
            Request::SendTo { to, data } | Request::SendToConfirmed { to, data } => {
                self.broadcast(now, waiter, to, data);
            }
            // Handled where the clients are.
            Request::Bind { .. }
            | Request::Unbind { .. }
            | Request::Dial { .. }
            | Request::Send { .. }
            | Request::Extend { .. }
            | Request::Tagged { .. }
            | Request::Consumed { .. }
            | Request::Finish { .. }
            | Request::CancelDials => {}
        }
    }

    // --- answers -----------------------------------------------------------------------------------------------

    fn reply_json(&mut self, now: Now, waiter: Waiter, kind: JsonKind, result: Result<Value, String>) {
        let line = result.map(|value| json::to_line(&value));
        let reply = match &line {
            Ok(line) => Ok(Reply::Json { kind, json: line.as_bytes() }),
            Err(words) => Err(words.clone()),
        };
        self.ipc.reply(via!(self, now), &mut self.numbers, waiter.client, waiter.ticket, reply);
    }

    pub(super) fn reply_handshake(&mut self, now: Now, waiter: Waiter, result: Result<Value, String>) {
        self.reply_json(now, waiter, JsonKind::Handshake, result);
    }

    // --- the registry ------------------------------------------------------------------------------------------

    fn relay(
        &mut self,
        now: Now,
        waiter: Waiter,
        request: registry::Request,
        kind: JsonKind,
        prefix: &'static str,
        then: Then,
    ) {
        let tag = Tag::Client { client: waiter.client, ticket: waiter.ticket, kind, prefix, then };
        self.registry.ask(now.instant, request, tag);
    }

    pub(super) fn answered(&mut self, now: Now, tag: Tag, answer: Answer) {
        match tag {
            Tag::Locate(_) | Tag::Key(_) | Tag::MayTalk(_) => self.question_answered(now, &tag, &answer),
            Tag::Errand(errand) => self.errand_done(now, errand, answer),
            Tag::Client { client, ticket, kind, prefix, then } => {
                if answer.is_ok() {
                    self.agreed(then);
                }
                let result = answer.map(Value::Object).map_err(|failure| format!("{prefix}{failure}"));
                self.reply_json(now, Waiter { client, ticket }, kind, result);
            }
            Tag::Broadcast { client, ticket, to, data } => {
                let result = self.broadcast_members(now, to, &data, answer);
                let reply = result.map(|()| Reply::SentTo);
                self.ipc.reply(via!(self, now), &mut self.numbers, client, ticket, reply);
            }
        }
    }

    fn agreed(&mut self, then: Then) {
        match then {
            Then::Nothing => {}
            Then::Hostname(name) => self.registry.settings_mut().hostname = name,
            Then::Public(public) => {
                self.registry.settings_mut().public = public;
                self.node.set_public(public);
            }
            Then::Tags(tags) => self.registry.settings_mut().tags = Some(tags),
            Then::Leave => {
                self.registry.left();
                self.log(Level::Info, "deregistered", Vec::new());
            }
        }
    }

    fn network(&mut self, now: Now, waiter: Waiter, request: NetworkRequest<'_>) {
        let requests = self.registry.requests();
        let token = self.config.admin_token.as_str();
        let (request, prefix) = match request {
            NetworkRequest::List => (requests.list_networks(), "network list: "),
            NetworkRequest::Join { network, token } => {
                (requests.join_network(network, &token), "network join: ")
            }
            NetworkRequest::Leave { network } => (requests.leave_network(network), "network leave: "),
            NetworkRequest::Members { network } => (requests.list_nodes(network, token), "network members: "),
            NetworkRequest::Invite { network, node } => {
                (requests.invite_to_network(network, node, token), "network invite: ")
            }
            NetworkRequest::Invites => (requests.poll_invites(), "network poll-invites: "),
            NetworkRequest::Respond { network, accept } => {
                (requests.respond_invite(network, accept), "network respond-invite: ")
            }
        };
        self.relay(now, waiter, request, JsonKind::Network, prefix, Then::Nothing);
    }

    // --- trust -------------------------------------------------------------------------------------------------

    fn handshake(&mut self, now: Now, waiter: Waiter, request: HandshakeRequest<'_>) {
        let status = |node: u32, status: &str| Ok(json!({"node_id": node, "status": status}));
        let stored = |command, node: u32, status: &str| {
            let answer = json!({"node_id": node, "status": status});
            Done { waiter, command, answer }
        };
        let result = match request {
            HandshakeRequest::Request { node, justification } => {
                match self.node.request_trust(now.instant, node, &justification) {
                    Ok(Requested::Sent) => {
                        self.registry.expect_mail(now.instant);
                        return self.wait_for_errand(node, waiter);
                    }
                    Ok(Requested::AlreadyTrusted | Requested::Mutual) => status(node, "sent"),
                    Err(error) => Err(format!("handshake request: {error}")),
                }
            }
            HandshakeRequest::Approve { node } => match self.node.approve(now.instant, node) {
                Ok(()) => {
                    return self.reply_when_stored(now, stored("handshake approve", node, "approved"));
                }
                Err(TrustError::NotPending { .. }) => status(node, "approved"),
                Err(error) => Err(format!("handshake approve: {error}")),
            },
            HandshakeRequest::Reject { node, reason } => match self.node.reject(now.instant, node, &reason) {
                Ok(()) => {
                    return self.reply_when_stored(now, stored("handshake reject", node, "rejected"));
                }
                Err(TrustError::NotPending { .. }) => status(node, "rejected"),
                Err(error) => Err(format!("handshake reject: {error}")),
            },
            HandshakeRequest::Revoke { node } => match self.node.revoke(now.instant, node) {
                Ok(()) => {
                    return self.reply_when_stored(now, stored("handshake revoke", node, "revoked"));
                }
                Err(TrustError::NotTrusted { node }) => {
                    Err(format!("handshake revoke: node {node} was not trusted"))
                }
                Err(error) => Err(format!("handshake revoke: {error}")),
            },
            HandshakeRequest::Pending => return self.wait_for_list(now, List::Pending, waiter),
            HandshakeRequest::Trusted => return self.wait_for_list(now, List::Trusted, waiter),
            HandshakeRequest::Wait { node, timeout_ms } => {
                let timeout = Duration::from_millis(timeout_ms.into());
                return self.wait_for_trust(now, node, timeout, waiter);
            }
        };
        self.reply_handshake(now, waiter, result);
    }

    // --- the rest ----------------------------------------------------------------------------------------------

    fn prefer_direct(&mut self, now: Now, node: u32) -> Value {
        let peer = self.node.peers().find(|peer| peer.node == node);
        self.node.introduce(now.instant, node);
        json!({
            "node_id": node,
            "had_tunnel": peer.is_some_and(|peer| peer.encrypted),
            "was_relay_active": peer.is_some_and(|peer| peer.relay),
            "was_relay_pinned": false,
            "pila_pushed": true,
            "resolve_error": "",
        })
    }

    fn broadcast(&mut self, now: Now, waiter: Waiter, to: SockAddr, data: &[u8]) {
        if to.addr.network == 0 {
            let words = String::from("sendto: broadcast on backbone network is not permitted");
            let Waiter { client, ticket } = waiter;
            return self.ipc.reply(via!(self, now), &mut self.numbers, client, ticket, Err(words));
        }
        let request = self.registry.requests().list_nodes(to.addr.network, "");
        let tag = Tag::Broadcast { client: waiter.client, ticket: waiter.ticket, to, data: data.to_vec() };
        self.registry.ask(now.instant, request, tag);
    }

    fn broadcast_members(
        &mut self,
        now: Now,
        to: SockAddr,
        data: &[u8],
        answer: Answer,
    ) -> Result<(), String> {
        let network = to.addr.network;
        let answer =
            answer.map_err(|failure: Failure| format!("sendto: list nodes for broadcast: {failure}"))?;
        let own = self.registry.node();
        let members: Vec<u32> =
            registry::entries(&answer, "nodes").filter_map(|entry| number(entry, "node_id")).collect();
        if !members.contains(&own) {
            return Err(format!("sendto: broadcast denied: node {own} is not a member of network {network}"));
        }
        let mut result = Ok(());
        for node in members.into_iter().filter(|node| *node != own) {
            let to = SockAddr::new(Addr { network, node }, to.port);
            if let Err(words) = via!(self, now).send_datagram(to, data) {
                result = Err(format!("sendto: {words}"));
            }
        }
        result
    }
}
