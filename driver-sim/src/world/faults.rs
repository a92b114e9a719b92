//! What can be done to a world: crash, restart, stop, partition, clog, heal, rebind, jump.

use pilot_roles::Input;

use super::{Event, World};
use crate::{
    host::Stopping, link::LinkConfig, net::HostId, pipe::Segment, scenario::Verb, trace::Kind, watch::Seen,
};

impl World {
    fn show_fault(&mut self, verb: Verb, hosts: &[HostId]) {
        let first = hosts.first().copied().unwrap_or(HostId(0));
        self.show(first, &Seen::Fault { verb, hosts: hosts.iter().map(|host| host.0).collect() });
    }

    /// The host loses power: the role, its connections and its unsynced writes are gone.
    pub fn crash(&mut self, id: HostId) {
        self.trace.note(self.now, Kind::Crash, id.0, &[]);
        self.show_fault(Verb::Crash, &[id]);
        if self.eyes.are_open() {
            self.eyes.forget(self.moment(id));
        }
        let streams = self.streams_of(id);
        let host = &mut self.hosts[id.0];
        host.end();
        host.disk.crash(&mut host.dice);
        for (stream, side) in streams {
            let Some(s) = self.streams.get_mut(&stream) else { continue };
            self.ends.remove(&s.ends[side]);
            s.halves[1 - side].deaf = true;
            self.signal(stream, side, Segment::Reset);
        }
    }

    /// Starts a host that is down, from what its disk holds; one that is ending is started when it has ended.
    pub fn restart(&mut self, id: HostId) {
        let host = &mut self.hosts[id.0];
        if host.role.is_none() {
            self.show_fault(Verb::Restart, &[id]);
            self.bear(id);
        } else if host.stopping != Stopping::No {
            host.stopping = Stopping::ForRestart;
        }
    }

    /// Asks a role to end, as the operator does.
    pub fn stop(&mut self, id: HostId) {
        self.show_fault(Verb::Stop, &[id]);
        self.hosts[id.0].stopping = Stopping::Yes;
        self.feed(id, |role, now| role.handle_input(now, Input::Shutdown));
    }

    /// Nothing passes between two hosts.
    pub fn partition(&mut self, a: HostId, b: HostId) {
        self.show_fault(Verb::Partition, &[a, b]);
        self.net.cut((a, b));
        self.net.cut((b, a));
    }

    /// Nothing passes from one host to another.
    pub fn partition_oneway(&mut self, from: HostId, to: HostId) {
        self.show_fault(Verb::PartitionOneway, &[from, to]);
        self.net.cut((from, to));
    }

    /// What one host sends to another waits, and comes all at once when it is healed.
    pub fn clog(&mut self, from: HostId, to: HostId) {
        self.show_fault(Verb::Clog, &[from, to]);
        self.net.clog((from, to));
    }

    /// Ends all partitions and clogs.
    pub fn heal(&mut self) {
        if !self.net.is_whole() {
            self.show_fault(Verb::Heal, &[]);
        }
        self.net.heal();
        for (from, passage, to, data) in std::mem::take(&mut self.held) {
            self.queue.push(self.now, to, Event::Datagram { from, passage, data, inside: true });
        }
        let mut streams: Vec<_> = self.streams.iter_mut().collect();
        streams.sort_unstable_by_key(|(stream, _)| **stream);
        for (&stream, s) in streams {
            for (side, half) in s.halves.iter_mut().enumerate() {
                for _ in 0..std::mem::take(&mut half.stalled) {
                    self.queue.push(self.now, s.hosts[1 - side], Event::Segment { stream, side });
                }
            }
        }
    }

    /// The NAT in front of a host forgets all its mappings.
    pub fn rebind(&mut self, host: HostId) {
        self.show_fault(Verb::Rebind, &[host]);
        self.net.rebind(host, false);
    }

    /// The provider's NAT in front of a host's NAT forgets all its mappings.
    pub fn rebind_carrier(&mut self, host: HostId) {
        self.show_fault(Verb::RebindCarrier, &[host]);
        self.net.rebind(host, true);
    }

    /// The wall clock of a host jumps.
    pub fn jump_clock(&mut self, host: HostId, micros: i64) {
        self.show_fault(Verb::JumpClock, &[host]);
        self.hosts[host.0].clock.wall_offset += micros;
    }

    /// Writes of a host fail, or work again.
    pub fn fail_disk(&mut self, host: HostId, failing: bool) {
        if self.hosts[host.0].disk.failing != failing {
            self.show_fault(if failing { Verb::FailDisk } else { Verb::MendDisk }, &[host]);
        }
        self.hosts[host.0].disk.failing = failing;
    }

    /// The endpoint of a host's webhook takes nothing, or takes events again.
    pub fn fail_sink(&mut self, host: HostId, failing: bool) {
        if self.hosts[host.0].sink_fails != failing {
            self.show_fault(if failing { Verb::FailSink } else { Verb::MendSink }, &[host]);
        }
        self.hosts[host.0].sink_fails = failing;
    }

    /// Puts a router in front of hosts: what passes between them and all others shares its rate, in bytes per second, and its
    /// queue, in bytes, one in each direction. Byte streams do not wait for it.
    pub fn add_router(&mut self, hosts: impl IntoIterator<Item = HostId>, rate: u64, queue: u64) {
        self.net.add_router(hosts, rate, queue);
    }

    /// Gives both directions between two hosts a shape of their own.
    pub fn shape(&mut self, a: HostId, b: HostId, config: &LinkConfig) {
        self.net.shape(a, b, config.clone());
        self.net.shape(b, a, config.clone());
    }
}
