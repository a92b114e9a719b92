//! Many hosts, one after the other: the same as all of them at once, in less time.

use pilot_proto::{
    prefetch::{fetch, fetch_all},
    time::Duration,
};

use super::{Event, World};
use crate::net::HostId;

impl World {
    /// Lets time pass as [`World::rest`] does, but in windows no longer than the shortest way between two hosts: in each of
    /// them hosts have their turns one after the other, in the order of their making, so that what happens is not in the
    /// order of time between them. What programs know beyond the network may be up to a window old or new, and a byte
    /// stream's sender learns at the end of a window that there is room again.
    ///
    /// Where there is an observer, to whom the order matters, or hosts share more than a rendezvous, it is all in order.
    pub(crate) fn rest_by_hosts(&mut self, time: Duration) {
        let Some(window) = self.net.shortest_way().filter(|_| !self.eyes.are_open()) else {
            return self.rest(time);
        };
        let end = self.now + time;
        while self.breach.is_none() && self.queue.open_window(window, end) {
            while let Some(host) = self.queue.next_turn() {
                self.foresee();
                while let Some((at, event)) = self.queue.pop_in_turn() {
                    self.step(at, event);
                }
                self.end_turn(host);
            }
        }
        self.now = end;
    }

    /// Has what the next turns need fetched from memory, each time what can be known without waiting for it: first the host
    /// and its events, then what these lead to, then what that leads to.
    fn foresee(&mut self) {
        if let Some((host, events)) = self.queue.coming(2) {
            fetch_all(&self.hosts[host.0]);
            events.for_each(fetch_all);
        }
        if let Some((host, events)) = self.queue.coming(1) {
            let host = &self.hosts[host.0];
            host.role.iter().for_each(|role| fetch_all(&**role));
            host.program.iter().for_each(|program| fetch_all(&self.programs[program.0]));
            datagrams(events).for_each(|(_, data)| fetch(data, 0..data.len()));
        }
        if let Some((id, events)) = self.queue.coming(0) {
            let host = &mut self.hosts[id.0];
            if let Some(program) = host.program.map(|program| &self.programs[program.0]) {
                program.script.iter().for_each(|script| fetch_all(&**script));
                program
                    .stream
                    .and_then(|stream| self.streams.get(&stream))
                    .iter()
                    .for_each(|s| fetch_all(*s));
            }
            for (from, data) in datagrams(events) {
                host.role.iter_mut().for_each(|role| role.expect(data));
                self.net.known_link(id, from).iter().for_each(|link| fetch_all(*link));
            }
        }
    }
}

fn datagrams<'a>(
    events: impl Iterator<Item = &'a Option<Event>>,
) -> impl Iterator<Item = (HostId, &'a [u8])> {
    events.filter_map(|event| match event {
        Some(Event::Datagram { from, data, .. }) => Some((*from, &**data)),
        _ => None,
    })
}
