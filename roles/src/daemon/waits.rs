//! What a daemon waits for, in words: for whoever wants to explain why something does not finish.

use alloc::{format, string::String, vec::Vec};

use pilot_proto::{
    Instant,
    crypto::Crypto,
    node::{Due, StreamInfo},
    rng::Rng,
    stream::Hold,
};

use super::{Daemon, Phase};
use crate::role::{Wait, Whom};

impl<C: Crypto + Clone + Send + 'static, R: Rng> Daemon<C, R> {
    pub(super) fn all_waits(&mut self) -> Vec<Wait> {
        let wait = |whom, what, since, next| Wait { whom, what, since, next };
        let mut all = Vec::new();
        if let Phase::Discovering { until } = self.phase {
            all.push(wait(Whom::Beacon, String::from("its own address"), None, Some(until)));
        }
        all.extend(self.registry.waits());
        self.node.waits(|due| all.push(in_words(due.node, due.what)));
        if !self.stores.is_empty() {
            all.push(wait(Whom::Disk, format!("{} writes", self.stores.len()), None, None));
        }
        if !self.webhook.is_idle() {
            let next = self.webhook.poll_timeout();
            all.push(wait(Whom::Sink, String::from("its answer to an event"), None, next));
        }
        all
    }
}

fn in_words(node: u32, due: Due) -> Wait {
    let wait = |whom, what, since, next| Wait { whom, what, since, next };
    match due {
        Due::Location { asked } => {
            wait(Whom::Registry, format!("the place of node {node}"), Some(asked), None)
        }
        Due::Key { asked } => wait(Whom::Registry, format!("the key of node {node}"), Some(asked), None),
        Due::Verdict { asked } => {
            wait(Whom::Registry, format!("whether node {node} may talk to it"), Some(asked), None)
        }
        Due::Exchange { sent: 0, next } => {
            wait(Whom::Node(node), String::from("keys, exchange not sent yet"), None, next)
        }
        Due::Exchange { sent, next } => {
            let given_up = if next.is_none() { ", given up" } else { "" };
            wait(Whom::Node(node), format!("keys, exchange sent {sent} times{given_up}"), None, next)
        }
        Due::Path => {
            wait(Whom::Node(node), String::from("a path: neither address nor relay is known"), None, None)
        }
        Due::Keys { stream } => wait(Whom::Node(node), format!("keys for {}", name(&stream)), None, None),
        Due::Stream { stream, hold } => on_hold(node, &stream, hold),
        Due::Consent => wait(Whom::Node(node), String::from("its answer to a trust request"), None, None),
        Due::Decision { .. } => {
            wait(Whom::Programs, format!("a decision about the trust request of node {node}"), None, None)
        }
    }
}

fn name(stream: &StreamInfo) -> String {
    format!("stream {} to port {} ({})", stream.local_port, stream.remote.port, stream.state)
}

fn on_hold(node: u32, stream: &StreamInfo, hold: Hold) -> Wait {
    let stream = name(stream);
    let of_peer = |what: String, next: Option<Instant>| Wait {
        whom: Whom::Node(node),
        what: format!("{what}, {stream}"),
        since: None,
        next,
    };
    match hold {
        Hold::Handshake { sent, next } => of_peer(format!("an answer, asked {sent} times"), Some(next)),
        Hold::Acknowledgment { segments, next } => {
            of_peer(format!("acknowledgment of {segments} segments"), next)
        }
        Hold::Window { segments, next } => {
            of_peer(format!("room for {segments} segments, its window is closed"), next)
        }
        Hold::Turn { segments, next } => of_peer(format!("its own turn to send {segments} segments"), next),
        Hold::End { sent, next } => of_peer(format!("the answer to its end, sent {sent} times"), Some(next)),
        Hold::Gap { until } => of_peer(String::from("bytes before the end"), Some(until)),
        Hold::Reader { bytes } => Wait {
            whom: Whom::Programs,
            what: format!("somebody to read {bytes} bytes of node {node}, {stream}"),
            since: None,
            next: None,
        },
    }
}
