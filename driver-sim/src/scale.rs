//! How many agents one process holds, and how fast: they all register at once, become pairs that trust each other, and
//! every pair exchanges messages on a stream.

use std::{collections::BTreeSet, fs, iter, mem};

use pilot_proto::{Addr, Instant, SockAddr, time::Duration};
use pilot_roles::{
    client::{Answer, CallId, Event},
    ipc::{HandshakeRequest, JsonKind, Request},
};

use crate::{
    dice::Dice,
    ledger::{Ledger, Stage, content, first_wrong},
    link::LinkConfig,
    net::RealmId,
    people::{CryptoChoice, default_rendezvous},
    program::{Io, Pending, Script, What},
    world::{Counters, World},
};

/// Where everybody listens.
const PORT: u16 = 5000;
/// Between two attempts.
const RETRY: Duration = Duration::from_secs(1);
/// How often the world is asked whether a phase is over.
const LOOK: Duration = Duration::from_millis(50);
/// What a phase may take of the world's time.
const LIMIT: Duration = Duration::from_secs(1200);
/// Lines of what is missing that are kept.
const MISSING: usize = 10;

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// All chance in it.
    pub seed: u64,
    /// Daemons, at least two.
    pub agents: usize,
    /// Pairs of them that come to trust each other and share a stream; no more than there are different ones.
    pub pairs: usize,
    /// Messages that one side of each pair sends and the other sends back; the next leaves when the last is back.
    pub messages: u32,
    /// Bytes of a message, at least one.
    pub bytes: usize,
    /// Which cryptography to compute with.
    pub crypto: CryptoChoice,
}

/// What one phase took.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// `register`, `trust` or `talk`.
    pub name: &'static str,
    /// All of it was done within its limit.
    pub done: bool,
    /// How long it took in the world, to a twentieth of a second.
    pub simulated: Duration,
    /// What happened in it.
    pub counters: Counters,
    /// What happened since the beginning.
    pub total: Counters,
}

/// How it ended.
#[derive(Clone, Debug)]
pub struct Scaled {
    /// Agents that registered.
    pub registered: u64,
    /// Pairs whose asking side was told of their trust.
    pub trusted: u64,
    /// Messages that came back as they were sent.
    pub delivered: u64,
    /// One number for everything that happened.
    pub hash: u64,
    /// The rule that was broken and what is still missing, a few lines; empty when all went well.
    pub missing: Vec<String>,
}

impl Scale {
    /// Runs it; `watch` is told of the end of each phase.
    pub fn run(&self, watch: impl FnMut(&Phase)) -> Scaled {
        let link = LinkConfig { jitter_us: 2_000, ..LinkConfig::default() };
        self.run_in(World::new(self.seed, link), watch)
    }

    fn run_in(&self, mut world: World, mut watch: impl FnMut(&Phase)) -> Scaled {
        world.expect_encryption();
        world.ledger.calm = true;
        // Pairs are counted at one of their two sides; the rendezvous is one more friend.
        world.reserve(self.agents + 1, 1 + (2 * self.pairs).div_ceil(self.agents));
        let rendezvous = world.add_rendezvous(default_rendezvous(), self.crypto);
        let mut talks = self.talks();
        for talk in &mut talks {
            let host = world.add_daemon(rendezvous, RealmId::INTERNET, self.crypto, 0, |config| {
                config.trust_auto_approve = true;
                config.stream_memory = 1 << 20;
            });
            world.add_program(host, Some(Box::new(mem::take(talk))));
        }
        let mut before = world.counters();
        for (name, stage) in [("register", Stage::Register), ("trust", Stage::Trust), ("talk", Stage::Talk)] {
            let began = world.now();
            world.ledger.stage = stage;
            world.rouse();
            let mut done = false;
            while !done && world.breach().is_none() && world.now() < began + LIMIT {
                world.rest_by_hosts(LOOK);
                done = self.is_done(&world.ledger, stage);
            }
            let (now, total) = (world.now(), world.counters());
            let (simulated, counters) = (now.since(began), total.since(&before));
            watch(&Phase { name, done, simulated, counters, total });
            before = total;
            if !done {
                break;
            }
        }
        let missing = world.breach().map(ToString::to_string).into_iter();
        Scaled {
            registered: world.ledger.known(),
            trusted: world.ledger.trusted,
            delivered: world.ledger.answered,
            hash: world.hash(),
            missing: missing
                .chain(world.stuck().to_string().lines().map(ToOwned::to_owned))
                .take(MISSING)
                .collect(),
        }
    }

    fn is_done(&self, ledger: &Ledger, stage: Stage) -> bool {
        match stage {
            Stage::Register => ledger.known() == self.agents as u64,
            Stage::Trust => ledger.trusted == self.pairs as u64,
            Stage::Talk => ledger.answered == self.pairs as u64 * u64::from(self.messages),
        }
    }

    /// The agents' programs: different pairs, as evenly spread as chance will have it.
    fn talks(&self) -> Vec<Talk> {
        let mut dice = Dice::named(self.seed, "scale", &[]);
        let mut talks: Vec<Talk> = (0..self.agents).map(|_| Talk::default()).collect();
        let mut seen = BTreeSet::new();
        for number in 0..self.pairs {
            loop {
                let from = dice.below(self.agents as u64) as usize;
                let to = (from + dice.between(1, self.agents as u64 - 1) as usize) % self.agents;
                if seen.insert((from.min(to), from.max(to))) {
                    // Host 0 is the rendezvous.
                    let (messages, bytes) = (self.messages, self.bytes);
                    talks[from].friends.push(Friend {
                        number,
                        to: to + 1,
                        messages,
                        bytes,
                        state: State::New,
                    });
                    break;
                }
            }
        }
        talks
    }
}

/// The program of an agent: asks its friends for trust, talks to each on a stream, and sends back what others say.
#[derive(Debug, Default)]
struct Talk {
    info: Option<CallId>,
    bound: Option<CallId>,
    friends: Vec<Friend>,
    /// Streams others opened.
    guests: BTreeSet<u32>,
}

#[derive(Debug)]
struct Friend {
    /// Of the pair.
    number: usize,
    /// Index of the other's host.
    to: usize,
    messages: u32,
    bytes: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Asking {
        call: Option<CallId>,
        waits: bool,
    },
    Trusted,
    Dialing(Option<CallId>),
    /// How many bytes came back.
    Talking {
        stream: u32,
        at: u64,
    },
    Done,
}

impl Friend {
    fn move_on(&mut self, io: &mut Io<'_>) {
        match (self.state, io.ledger.stage, io.ledger.node(self.to)) {
            (State::New, Stage::Trust | Stage::Talk, Some(_)) => self.ask(io, false),
            (State::Trusted, Stage::Talk, Some(node)) => {
                let to = SockAddr::new(Addr::backbone(node), PORT);
                self.state = State::Dialing(io.client.call(&Request::Dial { to }));
            }
            _ => {}
        }
    }

    fn ask(&mut self, io: &mut Io<'_>, waits: bool) {
        let Some(node) = io.ledger.node(self.to) else { return };
        let request = match waits {
            true => HandshakeRequest::Wait { node, timeout_ms: 10_000 },
            false => HandshakeRequest::Request { node, justification: "simulated".into() },
        };
        self.state = State::Asking { call: io.client.call(&Request::Handshake(request)), waits };
    }

    fn answered(&mut self, io: &mut Io<'_>, call: CallId, result: &Result<Answer, String>) {
        match self.state {
            State::Asking { call: asked, waits } if asked == Some(call) => match result {
                Ok(Answer::Json(_, answer)) if answer["trusted"] == true => {
                    io.ledger.trusted += 1;
                    self.state = State::Trusted;
                    self.move_on(io);
                }
                Ok(_) => self.ask(io, !waits),
                Err(_) => self.again(io, State::New),
            },
            State::Dialing(dial) if dial == Some(call) => match result {
                Ok(Answer::Connected(stream)) => {
                    self.state = State::Talking { stream: *stream, at: 0 };
                    self.say(io);
                }
                _ => self.again(io, State::Trusted),
            },
            _ => {}
        }
    }

    fn again(&mut self, io: &mut Io<'_>, state: State) {
        self.state = state;
        io.wake_at(io.now + RETRY);
    }

    fn talks_on(&self, on: u32) -> bool {
        matches!(self.state, State::Talking { stream, .. } if stream == on)
    }

    fn say(&self, io: &mut Io<'_>) {
        let State::Talking { stream, at } = self.state else { return };
        // The allocator has memory at hand, but not if it is asked for cleared memory.
        let mut message: Vec<u8> = iter::repeat_n(0, self.bytes).collect();
        content(self.number, at, &mut message);
        io.client.send(stream, &message);
    }

    fn heard(&mut self, io: &mut Io<'_>, on: u32, data: &[u8]) -> bool {
        let State::Talking { stream, at } = &mut self.state else { return false };
        if *stream != on {
            return false;
        }
        if let Some(wrong) = first_wrong(self.number, *at, data) {
            io.ledger.accuse("stream content", format!("pair {} is wrong at byte {wrong}", self.number));
        }
        let (stream, bytes) = (*stream, self.bytes as u64);
        let before = *at / bytes;
        *at += data.len() as u64;
        let (whole, partial) = (*at / bytes, *at % bytes);
        io.ledger.verified += data.len() as u64;
        io.ledger.answered += whole - before;
        if whole == u64::from(self.messages) {
            self.state = State::Done;
            io.client.call(&Request::Close { id: stream });
        } else if partial == 0 {
            self.say(io);
        }
        true
    }
}

impl Script for Talk {
    fn handle(&mut self, io: &mut Io<'_>, what: What) {
        match what {
            What::Connected => {
                self.info = io.client.call(&Request::Info);
                self.bound = io.client.call(&Request::Bind { port: PORT });
            }
            What::Woken => self.friends.iter_mut().for_each(|friend| friend.move_on(io)),
            What::Event(Event::Answer { call, result }) if self.info == Some(call) => {
                if let Ok(Answer::Json(JsonKind::Info, info)) = result {
                    io.ledger.learn(io.host, info["node_id"].as_u64().unwrap_or_default() as u32);
                }
            }
            What::Event(Event::Answer { call, result }) => {
                self.friends.iter_mut().for_each(|friend| friend.answered(io, call, &result));
            }
            What::Event(Event::Accept { stream, .. }) => {
                self.guests.insert(stream);
            }
            What::Event(Event::Data { stream, data }) => {
                if self.guests.contains(&stream) {
                    io.client.send(stream, &data);
                } else {
                    let _ = self.friends.iter_mut().any(|friend| friend.heard(io, stream, &data));
                }
            }
            What::Event(Event::End { stream }) => {
                if !self.guests.remove(&stream)
                    && let Some(friend) = self.friends.iter().find(|friend| friend.talks_on(stream))
                {
                    let words = format!("pair {} ended as {:?}", friend.number, friend.state);
                    io.ledger.accuse("stream cut short", words);
                }
            }
            // These programs do not ask for the messages of IPC-1.
            What::Event(Event::Writable { .. } | Event::Broken { .. } | Event::Notice(_)) => {}
            What::Event(Event::Datagram { .. } | Event::SendFailed(_)) | What::Room | What::Disconnected => {}
        }
    }

    fn pending(&self, _: &Ledger) -> Option<Pending> {
        let friend = self.friends.iter().find(|friend| friend.state != State::Done)?;
        Some(Pending {
            work: format!("pair {}", friend.number),
            with: Some(friend.to),
            since: Instant::ORIGIN,
            state: format!("{:?}", friend.state),
        })
    }
}

/// The most memory this process ever had in use, in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Processor time this thread has used, where the system tells: on a busy machine it is less than what a clock shows.
pub fn processor_time() -> Option<std::time::Duration> {
    let status = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    status.split_whitespace().next()?.parse().ok().map(std::time::Duration::from_nanos)
}

/// The processor's name, where the system tells.
pub fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.trim().strip_prefix(':'))?;
    Some(name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::{Moment, Observer, Seen};

    #[test]
    fn every_pair_comes_to_trust_and_every_message_comes_back() {
        let scale =
            Scale { seed: 1, agents: 12, pairs: 20, messages: 5, bytes: 300, crypto: CryptoChoice::Null };
        let mut phases = Vec::new();
        let scaled = scale.run(|phase| phases.push((phase.name, phase.done)));
        assert_eq!(phases, [("register", true), ("trust", true), ("talk", true)], "{:?}", scaled.missing);
        assert_eq!((scaled.registered, scaled.trusted, scaled.delivered), (12, 20, 100));
        assert_eq!(scaled.missing, [""; 0]);
        assert_eq!(scaled.hash, scale.run(|_| ()).hash);
    }

    #[derive(Debug)]
    struct Nobody;

    impl Observer for Nobody {
        fn see(&mut self, _: Moment, _: &Seen<'_>) {}
    }

    #[test]
    fn hosts_that_have_turns_do_the_same_as_all_of_them_at_once() {
        for seed in 1..=5 {
            let scale =
                Scale { seed, agents: 9, pairs: 14, messages: 4, bytes: 300, crypto: CryptoChoice::Null };
            let run = |in_order: bool| {
                let mut world = World::new(seed, LinkConfig { jitter_us: 2_000, ..LinkConfig::default() });
                if in_order {
                    // Who is watched has no windows.
                    world.watch(Box::new(Nobody));
                }
                let mut phases = Vec::new();
                // In turns fewer timers are set in vain.
                let scaled = scale.run_in(world, |phase| phases.push(Counters { events: 0, ..phase.total }));
                assert_eq!(scaled.missing, [""; 0]);
                phases
            };
            assert_eq!(run(true), run(false), "seed {seed}");
        }
    }
}
