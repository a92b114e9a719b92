//! Byte streams between hosts, and between a host and its programs: dialling, moving bytes, closing.

use std::net::SocketAddr;

use pilot_proto::time::Duration;
use pilot_roles::{
    ConnId, Input, Listener,
    role::{Closed, Dial},
};

use super::{End, Event, Stream, Told, World};
use crate::{
    net::HostId,
    pipe::{Half, Heard, Segment},
    trace::Kind,
    watch::Seen,
};

/// What a message between two processes of one host takes.
const LOCAL: Duration = Duration::from_micros(20);
/// A connection attempt that nobody answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a closed connection may make no progress with what is queued.
pub(super) const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

impl World {
    pub(super) fn dial(&mut self, from: HostId, conn: ConnId, to: Dial) {
        let host = &mut self.hosts[from.0];
        let life = host.life;
        host.dialing.insert(conn);
        let Some(&to) = host.spec.dials.get(&to) else {
            let reason = Closed::Failed("no such address".into());
            return self.tell(from, self.now, Told::Closed { conn, reason });
        };
        let at = self.now + self.net.stream_delay((from, to), 0);
        self.queue.push(at, to, Event::Connect { from, life, conn, to });
    }

    pub(super) fn connect(&mut self, from: HostId, life: u64, conn: ConnId, to: HostId) {
        let dialer = &self.hosts[from.0];
        if dialer.life != life || !dialer.dialing.contains(&conn) {
            return;
        }
        if self.net.is_cut((from, to)) || self.net.is_cut((to, from)) {
            let reason = Closed::Failed("connection timed out".into());
            return self.tell(from, self.now + CONNECT_TIMEOUT, Told::Closed { conn, reason });
        }
        if !self.hosts[to.0].listening.contains(&Listener::Registry) {
            let reason = Closed::Failed("connection refused".into());
            let at = self.now + self.net.stream_delay((to, from), 0);
            return self.tell(from, at, Told::Closed { conn, reason });
        }
        self.hosts[from.0].dialing.remove(&conn);
        let (stream, there) = self.accept(End::Host(from, conn), from, to);
        let port = self.hosts[to.0].dice.between(32_768, 60_999) as u16;
        let peer = Some(SocketAddr::new(self.net.public_ip(from), port));
        let local = Some(SocketAddr::new(self.net.ip(to), 9000));
        self.signal(stream, 1, Segment::Opened);
        let input = Input::Opened { conn: there, listener: Some(Listener::Registry), peer, local };
        self.feed(to, |role, now| role.handle_input(now, input));
    }

    pub(super) fn accept(&mut self, end: End, from: HostId, to: HostId) -> (u64, ConnId) {
        self.accepted += 1;
        self.counters.streams += 1;
        let (stream, conn) = (self.accepted, ConnId::Accepted(self.accepted));
        let ends = [end, End::Host(to, conn)];
        for (side, end) in ends.into_iter().enumerate() {
            self.ends.insert(end, (stream, side));
        }
        let halves = [Half::default(), Half::default()];
        self.streams.insert(stream, Stream { ends, hosts: [from, to], halves, waits: [false; 2] });
        (stream, conn)
    }

    pub(super) fn pause(&mut self, end: End, paused: bool) {
        let Some((stream, side)) = self.ends.get(&end).copied() else { return };
        let Some(s) = self.streams.get_mut(&stream) else { return };
        s.halves[1 - side].paused = paused;
        if !paused {
            // What waits is read in a turn of its own, not while outputs are drained.
            self.queue.push(self.now, s.hosts[side], Event::Read { stream, side: 1 - side });
        }
    }

    pub(super) fn close(&mut self, id: HostId, conn: ConnId) {
        let Some((stream, side)) = self.ends.get(&End::Host(id, conn)).copied() else {
            if self.hosts[id.0].dialing.remove(&conn) {
                self.tell(id, self.now, Told::Closed { conn, reason: Closed::Eof });
            }
            return;
        };
        let Some(s) = self.streams.get_mut(&stream) else { return };
        if s.halves[1 - side].deaf {
            return;
        }
        s.halves[1 - side].deaf = true;
        s.halves[side].close();
        s.waits[side] = true;
        self.queue.push(self.now + FLUSH_TIMEOUT, id, Event::Flush { stream, side });
        self.pump(stream, side);
    }

    pub(super) fn flush_timeout(&mut self, stream: u64, side: usize) {
        if self.streams.get(&stream).is_some_and(|s| !s.halves[side].is_finished()) {
            self.signal(stream, side, Segment::Reset);
            self.closed_for_good(stream, side);
        }
    }

    /// A side that closed hears that it is closed.
    pub(super) fn closed_for_good(&mut self, stream: u64, side: usize) {
        let Some(s) = self.streams.get_mut(&stream) else { return };
        let waits = std::mem::take(&mut s.waits[side]);
        if let (End::Host(host, conn), true) = (s.ends[side], waits) {
            self.tell(host, self.now, Told::Closed { conn, reason: Closed::Eof });
        }
    }

    pub(super) fn pump(&mut self, stream: u64, side: usize) {
        let (mut taken, mut finished) = (0, false);
        while let Some(s) = self.streams.get_mut(&stream)
            && let Some(bytes) = s.halves[side].pump()
        {
            (taken, finished) = (taken + bytes, bytes == 0);
            self.fly(stream, side, bytes);
        }
        if taken > 0
            && let Some(s) = self.streams.get(&stream)
        {
            match s.ends[side] {
                End::Host(host, conn) if self.turn == Some(host) => self.taken.push_back((conn, taken)),
                End::Host(host, conn) => self.tell(host, self.now, Told::Sent { conn, bytes: taken }),
                End::Program(program) if self.programs[program.0].waits_for_room() => {
                    self.queue.push(self.now + LOCAL, s.hosts[side], Event::Taken(program));
                }
                End::Program(_) => {}
            }
        }
        if finished {
            self.closed_for_good(stream, side);
        }
    }

    pub(super) fn signal(&mut self, stream: u64, side: usize, segment: Segment) {
        if let Some(s) = self.streams.get_mut(&stream) {
            s.halves[side].signal(segment);
            self.fly(stream, side, 0);
        }
    }

    pub(super) fn fly(&mut self, stream: u64, side: usize, bytes: usize) {
        let Some(s) = self.streams.get_mut(&stream) else { return };
        let way = (s.hosts[side], s.hosts[1 - side]);
        let delay = if way.0 == way.1 { LOCAL } else { self.net.stream_delay(way, bytes) };
        let at = s.halves[side].arrival(self.now, delay);
        self.queue.push(at, way.1, Event::Segment { stream, side });
    }

    pub(super) fn segment(&mut self, stream: u64, side: usize) {
        let Some(s) = self.streams.get_mut(&stream) else { return };
        let way = (s.hosts[side], s.hosts[1 - side]);
        let half = &mut s.halves[side];
        if self.net.is_cut(way) || self.net.is_clogged(way) || half.stalled > 0 {
            half.stalled += 1;
            return;
        }
        half.arrive();
        self.hear(stream, side);
    }

    /// Lets the receiver of a half read what it will.
    pub(super) fn hear(&mut self, stream: u64, side: usize) {
        while let Some(s) = self.streams.get_mut(&stream) {
            let Some(heard) = s.halves[side].hear() else { break };
            match s.ends[1 - side] {
                End::Host(host, conn) => {
                    if matches!(heard, Heard::Closed(_)) {
                        s.halves[1 - side].close();
                    }
                    self.heard(host, conn, heard);
                }
                End::Program(program) => self.program_heard(program, heard),
            }
        }
        let Some(s) = self.streams.get(&stream) else { return };
        if !s.halves.iter().any(|half| half.has_more() || half.is_over()) {
            return;
        }
        for side in [side, 1 - side] {
            self.pump(stream, side);
        }
        if let Some(s) = self.streams.get(&stream)
            && s.halves.iter().all(Half::is_over)
        {
            for end in s.ends {
                if self.ends.get(&end).is_some_and(|(of, _)| *of == stream) {
                    self.ends.remove(&end);
                }
                if let End::Host(_, conn) = end {
                    self.registry.closed(conn);
                }
            }
            self.streams.remove(&stream);
        }
    }

    fn show_conn(&mut self, id: HostId, conn: ConnId, what: &'static str, bytes: usize) {
        if self.eyes.are_open() {
            let conn = match conn {
                ConnId::Accepted(n) => format!("accepted {n}"),
                ConnId::Dialed(n) => format!("dialed {n}"),
            };
            self.show(id, &Seen::Conn { conn, what, bytes });
        }
    }

    pub(super) fn heard(&mut self, id: HostId, conn: ConnId, heard: Heard) {
        match heard {
            Heard::Opened => {
                let local = Some(SocketAddr::new(self.net.ip(id), 50_000));
                self.trace.note(self.now, Kind::Opened, id.0, &[]);
                self.show_conn(id, conn, "opened", 0);
                let input = Input::Opened { conn, listener: None, peer: None, local };
                self.feed(id, |role, now| role.handle_input(now, input));
            }
            Heard::Bytes(bytes) => {
                self.trace.note(self.now, Kind::Bytes, id.0, &bytes);
                self.show_conn(id, conn, "bytes", bytes.len());
                if !self.hosts[id.0].spec.is_daemon {
                    self.registry.heard(conn, &bytes);
                }
                // Byte streams are cut anywhere.
                let dice = &mut self.hosts[id.0].dice;
                let cut = if dice.chance(200_000) { dice.below(bytes.len() as u64) } else { 0 } as usize;
                for data in [&bytes[..cut], &bytes[cut..]] {
                    if !data.is_empty() {
                        self.feed(id, |role, now| role.handle_input(now, Input::Bytes { conn, data }));
                    }
                }
            }
            Heard::Closed(reason) => {
                self.trace.note(self.now, Kind::Closed, id.0, &[]);
                self.show_conn(id, conn, "closed", 0);
                self.feed(id, |role, now| role.handle_input(now, Input::Closed { conn, reason }));
            }
        }
    }
}
