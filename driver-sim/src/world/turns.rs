//! Turns of roles: one thing in, everything out, what they want done, and what becomes of it. Here the contract is judged.

use pilot_proto::{Instant, time::Duration};
use pilot_roles::{Input, Now, Output, Role, role::Store};

use super::{End, Event, Told, World, streams::FLUSH_TIMEOUT};
use crate::{
    check::{Verdict, judge_tables},
    dice::Dice,
    host::Stopping,
    net::HostId,
    trace::Kind,
    watch::Seen,
};

/// Outputs and transmits of one turn of a role; more is a role that never comes to rest.
const MAX_TURNS: u32 = 100_000;
/// Timeouts of one host at one instant; more is a role that asks for the past.
const MAX_SPINS: u32 = 1000;
/// What a sync of the disk takes, at least and at most, in microseconds.
const SYNC: (u64, u64) = (200, 5000);
/// How long a role that ended by itself with a failure stays down before it is started again.
const SUPERVISOR: Duration = Duration::from_secs(5);
/// How often a role is looked at after it did something, in parts per million.
const SUSPICION_PPM: u32 = 10_000;
/// Lines of log kept of each host.
const MAX_LOG: usize = 200;
/// What an HTTP post takes: endpoints are near.
const POST: Duration = Duration::from_millis(5);

impl World {
    pub(super) fn bear(&mut self, id: HostId) {
        let dice = Dice::named(self.seed, "role", &[id.0 as u64, self.hosts[id.0].life]);
        self.counters.births += 1;
        self.trace.note(self.now, Kind::Birth, id.0, &[]);
        self.show(id, &Seen::Born);
        let host = &mut self.hosts[id.0];
        host.bear(self.now, dice);
        let udp = Some(host.bound());
        self.feed(id, |role, now| role.handle_input(now, Input::Started { udp }));
    }

    /// One thing in, everything out.
    pub(super) fn feed(&mut self, id: HostId, input: impl FnOnce(&mut dyn Role, Now)) {
        let host = &mut self.hosts[id.0];
        let Some(mut role) = host.role.take() else { return };
        let now = host.clock.read(self.now);
        self.turn = Some(id);
        input(&mut *role, now);
        self.drain(id, &mut *role, now);
        // What an operating system takes at once, a driver tells at once.
        while let Some((conn, bytes)) = self.taken.pop_front() {
            role.handle_input(now, Input::Sent { conn, bytes });
            self.drain(id, &mut *role, now);
        }
        self.turn = None;
        if self.eyes.are_open() {
            self.eyes.look(self.moment(id), &mut *role);
        }
        let host = &mut self.hosts[id.0];
        match host.exit {
            Some(status) => self.ended(id, status),
            None => {
                let next = role.poll_timeout().map(|at| host.clock.when(at).max(self.now));
                host.role = Some(role);
                self.arm(id, next);
                self.suspect(id);
            }
        }
    }

    /// Looks at the tables of a role now and then, and calls it later when it did not ask.
    fn suspect(&mut self, id: HostId) {
        let host = &mut self.hosts[id.0];
        if host.suspicion.chance(SUSPICION_PPM) {
            let fills = host.role.as_ref().map_or(Vec::new(), |role| role.fills());
            let later = host.suspicion.between(1000, 3_000_000);
            let (verdict, life) = (judge_tables(&host.spec.name, &fills, false), host.life);
            self.judge(verdict);
            let at = self.now + Duration::from_micros(later);
            self.queue.push(at, id, Event::Probe { host: id, life });
        }
    }

    /// Calls a role that has nothing due. If it does something, it had forgotten to ask to be called.
    pub(super) fn probe(&mut self, id: HostId, life: u64) {
        let host = &mut self.hosts[id.0];
        if host.life != life {
            return;
        }
        let now = host.clock.read(self.now);
        let Some(role) = &mut host.role else { return };
        let due = role.poll_timeout();
        if due.is_some_and(|at| at <= now.instant) {
            return;
        }
        role.handle_timeout(now);
        if host.spec.misbehaves {
            return;
        }
        let sent = role.poll_transmit(now, &mut self.buffer).map(|transmit| format!("sends {transmit:?}"));
        let did = sent.or_else(|| role.poll_output(now).map(|output| format!("does {output:?}")));
        let then = role.poll_timeout();
        let moved = (then != due).then(|| format!("then wants to be called at {then:?}"));
        if let Some(did) = did.or(moved) {
            let words = format!(
                "{} is called at {:?}, wanted to be at {due:?}, and {did}",
                host.spec.name, now.instant
            );
            self.judge(Err(("works without having asked", words)));
        }
    }

    /// Everybody has left: looks for what was forgotten.
    pub fn expect_empty_tables(&mut self) {
        let verdict = self.judge_idle_tables();
        self.judge(verdict);
    }

    /// Whether tables are empty that must be when everybody has left.
    pub(crate) fn judge_idle_tables(&self) -> Verdict {
        self.hosts.iter().try_for_each(|host| {
            let fills = host.role.as_ref().map_or(Vec::new(), |role| role.fills());
            judge_tables(&host.spec.name, &fills, true)
        })
    }

    fn arm(&mut self, id: HostId, next: Option<Instant>) {
        let Some(at) = next else { return };
        if self.queue.closes_before(at, id) {
            // Most timers are put off again before the turn ends.
            self.unarmed = true;
            return;
        }
        self.wake_by(id, at);
    }

    fn wake_by(&mut self, id: HostId, at: Instant) {
        let host = &mut self.hosts[id.0];
        if host.wake.is_none_or(|wake| at < wake) {
            host.wake = Some(at);
            self.queue.push(at, id, Event::Timer(id));
        }
    }

    /// The host has had its turn in the window.
    pub(super) fn end_turn(&mut self, id: HostId) {
        if !std::mem::take(&mut self.unarmed) {
            return;
        }
        let host = &self.hosts[id.0];
        if let Some(at) = host.role.as_ref().and_then(|role| role.poll_timeout()) {
            self.wake_by(id, host.clock.when(at));
        }
    }

    pub(super) fn timer(&mut self, id: HostId) {
        let host = &mut self.hosts[id.0];
        if host.wake != Some(self.now) {
            return;
        }
        host.wake = None;
        let now = host.clock.read(self.now);
        let due = host.role.as_ref().and_then(|role| role.poll_timeout());
        if due.is_none_or(|at| at > now.instant) {
            let next = due.map(|at| host.clock.when(at));
            return self.arm(id, next);
        }
        host.spins = if host.spins.0 == self.now { (self.now, host.spins.1 + 1) } else { (self.now, 0) };
        if host.spins.1 > MAX_SPINS {
            let words = format!("{} asks to be called at {due:?}, which is past", host.spec.name);
            return self.judge(Err(("timer in the past", words)));
        }
        self.trace.note(self.now, Kind::Timeout, id.0, &[]);
        self.show(id, &Seen::Timeout);
        self.feed(id, |role, now| role.handle_timeout(now));
    }

    fn drain(&mut self, id: HostId, role: &mut dyn Role, now: Now) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut turns = 0;
        loop {
            let mut silent = true;
            while let Some(transmit) = role.poll_transmit(now, &mut buffer) {
                (silent, turns) = (false, turns + 1);
                let size = transmit.segment_size.unwrap_or(transmit.len).max(1);
                for data in buffer[..transmit.len].chunks_mut(size) {
                    self.transmit(id, transmit.to, data);
                }
                if turns > MAX_TURNS {
                    break;
                }
            }
            while let Some(output) = role.poll_output(now) {
                (silent, turns) = (false, turns + 1);
                self.perform(id, output);
                if turns > MAX_TURNS {
                    break;
                }
            }
            if turns > MAX_TURNS {
                let name = &self.hosts[id.0].spec.name;
                self.judge(Err(("never comes to rest", format!("{name} has {turns} things to do at once"))));
            }
            if silent || turns > MAX_TURNS {
                break;
            }
        }
        self.buffer = buffer;
    }

    fn perform(&mut self, id: HostId, output: Output) {
        match output {
            Output::Listen(listener) => {
                self.hosts[id.0].listening.insert(listener);
                self.tell(id, self.now, Told::Listening(listener));
            }
            Output::Connect { conn, to } => self.dial(id, conn, to),
            Output::Send { conn, data } => {
                if !self.hosts[id.0].spec.is_daemon {
                    let verdict = self.registry.said(conn, &data, &self.hosts[id.0].disk);
                    self.judge(verdict);
                }
                if let Some((stream, side)) = self.ends.get(&End::Host(id, conn)).copied() {
                    if let Some(s) = self.streams.get_mut(&stream) {
                        s.halves[side].send(data);
                    }
                    self.pump(stream, side);
                }
            }
            Output::Pause(conn) => self.pause(End::Host(id, conn), true),
            Output::Resume(conn) => self.pause(End::Host(id, conn), false),
            Output::Close(conn) => self.close(id, conn),
            Output::Store { ticket, store } => {
                let host = &mut self.hosts[id.0];
                let at = self.now + Duration::from_micros(host.dice.between(SYNC.0, SYNC.1));
                let life = host.life;
                let at = host.disk.submit(at, ticket, store);
                self.queue.push(at, id, Event::Synced { host: id, life });
            }
            Output::Post { ticket, body, .. } => self.post(id, ticket, body),
            Output::Log(record) => {
                let mut words = record.message.to_owned();
                for (name, value) in &record.fields {
                    words.push_str(&format!(" {name}={value}"));
                }
                self.show(id, &Seen::Log { level: record.level, words: &words });
                let log = &mut self.hosts[id.0].log;
                if log.len() >= MAX_LOG {
                    log.remove(0);
                }
                log.push((self.now, record.level, words));
            }
            Output::Exit(status) => self.hosts[id.0].exit = self.hosts[id.0].exit.or(Some(status)),
        }
    }

    /// The webhook's endpoint takes an event, answers that it cannot, or does not answer.
    fn post(&mut self, id: HostId, ticket: u64, body: Vec<u8>) {
        let host = &mut self.hosts[id.0];
        let result = match host.sink_fails {
            false => Ok(200),
            true if host.dice.chance(500_000) => Ok(503),
            true => Err("connection refused".into()),
        };
        let verdict = self.sinks.posted(id.0, host.life, &body, result == Ok(200));
        self.judge(verdict);
        if result == Ok(200) {
            self.posts.push(body);
        }
        self.tell(id, self.now + POST, Told::Posted { ticket, result });
    }

    pub(super) fn tell(&mut self, host: HostId, at: Instant, told: Told) {
        let life = self.hosts[host.0].life;
        self.queue.push(at, host, Event::Tell { host, life, told });
    }

    pub(super) fn told(&mut self, id: HostId, life: u64, told: Told) {
        if self.hosts[id.0].life != life {
            return;
        }
        self.trace.note(self.now, Kind::Tell, id.0, &[]);
        let input = match told {
            Told::Listening(listener) => Input::Listening { listener, result: Ok(()) },
            Told::Sent { conn, bytes } => Input::Sent { conn, bytes },
            Told::Closed { conn, reason } => {
                self.hosts[id.0].dialing.remove(&conn);
                Input::Closed { conn, reason }
            }
            Told::Posted { ticket, result } => Input::Posted { ticket, result },
        };
        self.feed(id, |role, now| role.handle_input(now, input));
    }

    pub(super) fn synced(&mut self, id: HostId, life: u64) {
        if self.hosts[id.0].life != life {
            return;
        }
        let Some((ticket, store, result)) = self.hosts[id.0].disk.sync() else { return };
        self.trace.note(self.now, Kind::Synced, id.0, &ticket.to_le_bytes());
        if let (Store::Records(changes), Ok(())) = (&store, &result) {
            let verdict = self.registry.stored(changes);
            self.judge(verdict);
        }
        self.feed(id, |role, now| role.handle_input(now, Input::Stored { ticket, result }));
    }

    /// A role ended by itself: what it wrote still reaches disk and peers.
    fn ended(&mut self, id: HostId, status: u8) {
        self.show(id, &Seen::Ended { status });
        if self.eyes.are_open() {
            self.eyes.forget(self.moment(id));
        }
        while let Some((_, store, result)) = self.hosts[id.0].disk.sync() {
            if let (Store::Records(changes), Ok(())) = (&store, &result) {
                let verdict = self.registry.stored(changes);
                self.judge(verdict);
            }
        }
        for (stream, side) in self.streams_of(id) {
            if let Some(s) = self.streams.get_mut(&stream) {
                s.halves[side].close();
                s.halves[1 - side].deaf = true;
            }
            self.pump(stream, side);
            self.queue.push(self.now + FLUSH_TIMEOUT, id, Event::Flush { stream, side });
        }
        let host = &mut self.hosts[id.0];
        host.end();
        let life = host.life;
        if status != 0 {
            self.queue.push(self.now + SUPERVISOR, id, Event::Birth(id, life));
        } else if host.stopping == Stopping::ForRestart {
            self.queue.push(self.now, id, Event::Birth(id, life));
        }
    }

    pub(super) fn streams_of(&self, id: HostId) -> Vec<(u64, usize)> {
        let own = |(end, at): (&End, &(u64, usize))| match end {
            End::Host(host, conn) if *host == id => Some((*conn, *at)),
            _ => None,
        };
        let mut streams: Vec<_> = self.ends.iter().filter_map(own).collect();
        streams.sort_unstable();
        streams.into_iter().map(|(_, at)| at).collect()
    }
}
