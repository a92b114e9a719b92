//! Local programs: their connections to the daemon, their scripts, and what a test does in the place of one.

use pilot_proto::time::Duration;
use pilot_roles::{
    Input, Listener,
    client::{self, Answer, CallId, Client},
    ipc::Request,
};

use super::{End, Event, World};
use crate::{
    dice::Dice,
    net::HostId,
    pipe::Heard,
    program::{CROWDED, Io, Program, ProgramId, Script, What},
    trace::Kind,
};

/// How often a program looks whether the daemon listens.
const RECONNECT: Duration = Duration::from_millis(500);

impl World {
    /// Starts a program on a daemon's host; without a script it is moved by the caller.
    pub fn add_program(&mut self, host: HostId, script: Option<Box<dyn Script>>) -> ProgramId {
        let id = ProgramId(self.programs.len());
        self.programs.push(Program {
            host,
            client: Client::new(),
            script,
            inbox: std::collections::VecDeque::new(),
            stream: None,
            dice: Dice::named(self.seed, "program", &[id.0 as u64]),
            wake: None,
            crowded: false,
            gone: false,
        });
        self.hosts[host.0].program = Some(id);
        self.queue.push(self.now, host, Event::Program(id));
        id
    }

    /// The programs of a host take at most `rate` bytes a second from their daemon; 0 is without limit.
    pub fn slow_programs(&mut self, host: HostId, rate: u64) {
        self.hosts[host.0].read_rate = rate;
    }

    /// A program that has read this much reads on when its rate allows.
    fn rest_from_reading(&mut self, id: ProgramId, bytes: usize) {
        let program = &self.programs[id.0];
        let host = program.host;
        let rate = self.hosts[host.0].read_rate;
        let (Some(micros), Some(stream)) = ((bytes as u64 * 1_000_000).checked_div(rate), program.stream)
        else {
            return;
        };
        if let Some(s) = self.streams.get_mut(&stream) {
            s.halves[1].paused = true;
            self.queue.push(self.now + Duration::from_micros(micros), host, Event::Awake(id, stream));
        }
    }

    /// Reads on, if the connection is still the same.
    pub(super) fn read_on(&mut self, id: ProgramId, stream: u64) {
        if self.programs[id.0].stream == Some(stream)
            && let Some(s) = self.streams.get_mut(&stream)
        {
            s.halves[1].paused = false;
            self.hear(stream, 1);
        }
    }

    /// The program ends.
    pub fn leave(&mut self, program: ProgramId) {
        let p = &mut self.programs[program.0];
        p.gone = true;
        if let Some(stream) = p.stream.take()
            && let Some(s) = self.streams.get_mut(&stream)
        {
            s.halves[0].close();
            s.halves[1].deaf = true;
            self.pump(stream, 0);
        }
    }

    /// All programs leave.
    pub fn dismiss(&mut self) {
        (0..self.programs.len()).for_each(|program| self.leave(ProgramId(program)));
    }

    /// Wakes every script at once, whatever it wished.
    pub fn rouse(&mut self) {
        for (id, program) in self.programs.iter_mut().enumerate() {
            program.wake = Some(self.now);
            self.queue.push(self.now, program.host, Event::Program(ProgramId(id)));
        }
    }

    pub(super) fn woken(&mut self, id: ProgramId) {
        let program = &self.programs[id.0];
        if program.gone {
            return;
        }
        if program.stream.is_none() {
            if self.is_ready(program.host) {
                self.connect_program(id);
            } else {
                self.queue.push(self.now + RECONNECT, program.host, Event::Program(id));
            }
            return;
        }
        if program.wake.is_some_and(|at| at <= self.now) {
            self.programs[id.0].wake = None;
            self.play(id, What::Woken);
        }
    }

    pub(super) fn connect_program(&mut self, id: ProgramId) {
        let host = self.programs[id.0].host;
        let (stream, conn) = self.accept(End::Program(id), host, host);
        let program = &mut self.programs[id.0];
        program.stream = Some(stream);
        program.client = Client::new();
        let input = Input::Opened { conn, listener: Some(Listener::Ipc), peer: None, local: None };
        self.feed(host, |role, now| role.handle_input(now, input));
        self.play(id, What::Connected);
    }

    pub(super) fn program_heard(&mut self, id: ProgramId, heard: Heard) {
        let program = &mut self.programs[id.0];
        if program.gone {
            return;
        }
        match heard {
            Heard::Opened => {}
            Heard::Bytes(bytes) => {
                self.trace.note(self.now, Kind::Program, program.host.0, &bytes);
                if let Err(broken) = program.client.handle_bytes(&bytes) {
                    self.judge(Err(("local protocol broken", broken.to_string())));
                }
                self.rest_from_reading(id, bytes.len());
                self.listen(id);
            }
            Heard::Closed(reason) => {
                let host = program.host;
                program.client.handle_end(&format!("{reason:?}"));
                if let Some(stream) = program.stream.take()
                    && let Some(s) = self.streams.get_mut(&stream)
                {
                    s.halves[0].close();
                }
                self.listen(id);
                self.play(id, What::Disconnected);
                self.queue.push(self.now + RECONNECT, host, Event::Program(id));
            }
        }
    }

    /// Passes on what the client understood.
    pub(super) fn listen(&mut self, id: ProgramId) {
        while let Some(event) = self.programs[id.0].client.poll_event() {
            if self.programs[id.0].script.is_some() {
                self.play(id, What::Event(event));
            } else {
                self.programs[id.0].inbox.push_back(event);
            }
        }
    }

    pub(super) fn play(&mut self, id: ProgramId, what: What) {
        let program = &mut self.programs[id.0];
        if program.gone {
            return;
        }
        if let Some(script) = &mut program.script {
            let mut io = Io {
                now: self.now,
                host: program.host.0,
                client: &mut program.client,
                connected: program.stream.is_some(),
                dice: &mut program.dice,
                ledger: &mut self.ledger,
                wake: &mut program.wake,
            };
            script.handle(&mut io, what);
            if let Some(at) = program.wake {
                self.queue.push(at, program.host, Event::Program(id));
            }
        }
        self.write(id);
    }

    /// Hands the client's output to the operating system, as far as that takes it.
    pub(super) fn write(&mut self, id: ProgramId) {
        let program = &mut self.programs[id.0];
        let Some(stream) = program.stream else { return };
        let Some(s) = self.streams.get_mut(&stream) else { return };
        if s.halves[0].queued() == 0 && !program.client.output().is_empty() {
            let output = program.client.output().to_vec();
            program.crowded = output.len() > CROWDED;
            program.client.wrote(output.len());
            s.halves[0].send(output);
            self.pump(stream, 0);
        }
    }

    /// What [`World::add_program`] without a script is for: asks, and waits for the answer.
    ///
    /// # Errors
    /// The daemon's words, or that there was no answer within `limit`.
    pub fn ask(
        &mut self,
        program: ProgramId,
        request: &Request<'_>,
        limit: Duration,
    ) -> Result<Answer, String> {
        let ready = self.run(limit, |world| world.programs[program.0].stream.is_some());
        let call = self.programs[program.0].client.call(request);
        let (true, Some(call)) = (ready, call) else { return Err("cannot ask".into()) };
        self.write(program);
        self.hear_event(program, limit, |event| match event {
            client::Event::Answer { call: of, result } if *of == call => Some(result.clone()),
            _ => None,
        })
        .unwrap_or_else(|| Err("no answer".into()))
    }

    /// Says something that is not answered.
    pub fn say(&mut self, program: ProgramId, request: &Request<'_>) {
        self.programs[program.0].client.post(request);
        self.write(program);
    }

    /// Starts a call without waiting; the answer is an event.
    pub fn call(&mut self, program: ProgramId, request: &Request<'_>) -> Option<CallId> {
        let call = self.programs[program.0].client.call(request);
        self.write(program);
        call
    }

    /// Waits for the first event that `wanted` takes; others stay where they are.
    pub fn hear_event<T>(
        &mut self,
        program: ProgramId,
        limit: Duration,
        mut wanted: impl FnMut(&client::Event) -> Option<T>,
    ) -> Option<T> {
        let mut found = None;
        self.run(limit, |world| {
            let inbox = &mut world.programs[program.0].inbox;
            let at = inbox.iter().position(|event| {
                found = wanted(event);
                found.is_some()
            });
            if let Some(at) = at {
                inbox.remove(at);
            }
            at.is_some()
        });
        found
    }
}
