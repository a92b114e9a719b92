//! Datagrams between hosts: what becomes of each on its way.

use std::net::SocketAddr;

use pilot_proto::wire::beacon::Beacon;

use super::{Event, World};
use crate::{
    net::{HostId, Passage},
    trace::Kind,
    watch::{Loss, Seen},
};

impl World {
    pub(super) fn transmit(&mut self, id: HostId, to: SocketAddr, data: &mut [u8]) {
        self.counters.datagrams += 1;
        self.counters.bytes += data.len() as u64;
        self.trace.note(self.now, Kind::Send, id.0, data);
        let host = &self.hosts[id.0];
        let port = host.spec.udp_port;
        let is_daemon = host.spec.is_daemon;
        if is_daemon && !host.spec.misbehaves {
            let verdict = self.wire.sent(data);
            self.judge(verdict);
        }
        // The link may corrupt it; who looks sees what was sent.
        let sent = self.eyes.are_open().then(|| data.to_vec());
        let departed = self.net.depart(self.now, id, port, to);
        if let Some((_, target)) = departed.filter(|_| !is_daemon) {
            self.judge_relay(target, data);
        }
        let fate = match departed {
            Some((_, target)) => self.net.send(self.now, (id, target), data),
            None => Err(Loss::NoRoute),
        };
        if let Some(data) = &sent {
            let target = departed.map(|(_, target)| target);
            let queued = target.map_or(0, |target| self.net.queued(self.now, (id, target)));
            let from = SocketAddr::new(self.net.ip(id), port);
            self.show(id, &Seen::Sent { from, to, target, data, queued, lost: fate.err() });
        }
        let (Some((passage, target)), Ok((at, twin))) = (departed, fate) else { return };
        for at in [Some(at), twin].into_iter().flatten() {
            let mut copy = self.spare.pop().unwrap_or_default();
            copy.clear();
            copy.extend_from_slice(data);
            self.queue.push(at, target, Event::Datagram { from: id, passage, data: copy, inside: false });
        }
    }

    /// The beacon sends something to a host.
    fn judge_relay(&mut self, target: HostId, data: &[u8]) {
        if matches!(Beacon::parse(data), Some(Beacon::Deliver { .. })) {
            self.counters.relayed += 1;
            // Who shares a NAT may get a neighbour's frame after the NAT forgot who is who.
            if let Some(node) = self.ledger.node(target.0).filter(|_| !self.net.has_neighbours(target)) {
                let exists = |node| self.ledger.host_of(node).is_some();
                let verdict = self.relay.said(data, node, exists);
                self.judge(verdict);
            }
        }
    }

    pub(super) fn datagram(&mut self, from: HostId, passage: Passage, mut data: Vec<u8>, inside: bool) {
        let arrived = match self.net.arrive(self.now, passage) {
            None => Err(Loss::Nat),
            Some((host, port)) if self.hosts[host.0].spec.udp_port != port => Err(Loss::NobodyThere),
            Some((host, _)) if self.net.is_cut((from, host)) => Err(Loss::Cut),
            Some((host, _)) => Ok(host),
        };
        let arrived = match arrived {
            Ok(host) if !inside => match self.net.enter(self.now, (from, host), data.len()) {
                Ok(at) if at > self.now => {
                    return self.queue.push(at, host, Event::Datagram { from, passage, data, inside: true });
                }
                passed => passed.map(|_| host),
            },
            arrived => arrived,
        };
        match arrived {
            Ok(host) if self.net.is_clogged((from, host)) => {
                self.held.push((from, passage, host, data));
                return;
            }
            Ok(host) => {
                self.counters.delivered += 1;
                self.trace.note(self.now, Kind::Receive, host.0, &data);
                if !self.hosts[host.0].spec.is_daemon {
                    self.relay.heard(&data);
                }
                if self.hosts[host.0].role.is_none() {
                    self.lost(from, passage, data.len(), Loss::NobodyThere);
                } else if self.eyes.are_open() {
                    let to = SocketAddr::new(self.net.ip(host), self.hosts[host.0].spec.udp_port);
                    self.show(host, &Seen::Received { from: passage.src, to, data: &data });
                }
                self.feed(host, |role, now| role.handle_datagram(now, passage.src, &mut data));
            }
            Err(why) => self.lost(from, passage, data.len(), why),
        }
        if self.spare.len() < 1024 {
            self.spare.push(data);
        }
    }

    fn lost(&mut self, from: HostId, passage: Passage, bytes: usize, why: Loss) {
        self.show(from, &Seen::Lost { to: passage.dst, bytes, why });
    }
}
