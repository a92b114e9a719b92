//! Scripts that talk: messages both ways with time to think, datagrams, and knocking at doors that must stay shut.

use pilot_proto::{Addr, Instant, SockAddr, port, time::Duration};
use pilot_roles::{
    client::{Answer, CallId, Event},
    ipc::Request,
};

use crate::{
    ledger::{Ledger, content},
    program::{Io, Pending, Script, What},
    workload::PORT,
};

/// Between two attempts.
const RETRY: Duration = Duration::from_secs(1);
/// How long an answer may take before the stream is given up and another is opened.
const PATIENCE: Duration = Duration::from_secs(30);
/// Marks a datagram of ours: then come the sending host and its number.
const MARK: [u8; 4] = *b"sim!";
/// Attempts of somebody who knocks.
const KNOCKS: u32 = 3;
/// Content of talks is that of transfers nobody has.
const TALKS: usize = 1 << 20;

/// Says something to another agent's echo service, waits for it to come back, thinks, and says the next thing.
#[derive(Debug)]
pub struct Chat {
    number: usize,
    to: usize,
    rounds: u32,
    length: usize,
    think: Duration,
    start: Instant,
    done: u32,
    state: Line,
    last_words: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Shut,
    Dialing(Option<CallId>),
    /// Waits for the rest of what was said, until then.
    Saying {
        stream: u32,
        heard: usize,
        until: Instant,
    },
    Thinking {
        stream: u32,
        until: Instant,
    },
}

impl Chat {
    /// Talk `number` with the agent on host `to`: `rounds` messages of `length` bytes.
    pub const fn new(
        number: usize,
        to: usize,
        rounds: u32,
        length: usize,
        think: Duration,
        start: Instant,
    ) -> Self {
        let last_words = String::new();
        Chat { number, to, rounds, length, think, start, done: 0, state: Line::Shut, last_words }
    }

    fn message(&self, at: usize, out: &mut [u8]) {
        let before = u64::from(self.done) * self.length as u64;
        content(TALKS + self.number, before + at as u64, out);
    }

    fn dial(&mut self, io: &mut Io<'_>) {
        if self.done == self.rounds {
            return;
        }
        if io.now < self.start {
            return io.wake_at(self.start);
        }
        let Some(node) = io.ledger.node(self.to) else { return io.wake_at(io.now + RETRY) };
        let to = SockAddr::new(Addr::backbone(node), port::ECHO);
        self.state = Line::Dialing(io.client.call(&Request::Dial { to }));
    }

    fn say(&mut self, io: &mut Io<'_>, stream: u32) {
        let mut message = vec![0; self.length];
        self.message(0, &mut message);
        io.client.send(stream, &message);
        let until = io.now + PATIENCE;
        self.state = Line::Saying { stream, heard: 0, until };
        io.wake_at(until);
    }

    fn hang_up(&mut self, io: &mut Io<'_>, stream: Option<u32>, why: String) {
        if let Some(id) = stream {
            io.client.call(&Request::Close { id });
        }
        (self.state, self.last_words) = (Line::Shut, why);
        io.wake_at(io.now + RETRY);
    }

    fn heard(&mut self, io: &mut Io<'_>, stream: u32, heard: usize, data: &[u8]) {
        let mut expected = vec![0; data.len()];
        self.message(heard, &mut expected);
        let heard = heard + data.len();
        if expected != data || heard > self.length {
            let words = format!("talk {}, message {}: wrong before byte {heard}", self.number, self.done);
            io.ledger.accuse("stream content", words);
        }
        io.ledger.verified += data.len() as u64;
        if heard < self.length {
            if let Line::Saying { heard: so_far, .. } = &mut self.state {
                *so_far = heard;
            }
            return;
        }
        self.done += 1;
        if self.done == self.rounds {
            return self.hang_up(io, Some(stream), String::new());
        }
        let until = io.now + self.think;
        self.state = Line::Thinking { stream, until };
        io.wake_at(until);
    }
}

impl Script for Chat {
    fn handle(&mut self, io: &mut Io<'_>, what: What) {
        match (what, self.state) {
            (What::Connected, _) | (What::Woken, Line::Shut) => self.dial(io),
            (What::Disconnected, _) => self.state = Line::Shut,
            (What::Woken, Line::Thinking { stream, until }) if io.now >= until => self.say(io, stream),
            (What::Woken, Line::Saying { stream, until, .. }) if io.now >= until => {
                self.hang_up(io, Some(stream), "no answer came".into());
            }
            (What::Woken, Line::Thinking { until, .. } | Line::Saying { until, .. }) => io.wake_at(until),
            (What::Event(Event::Answer { call, result }), Line::Dialing(dial)) if dial == Some(call) => {
                match result {
                    Ok(Answer::Connected(stream)) => self.say(io, stream),
                    Ok(other) => self.hang_up(io, None, format!("{other:?}")),
                    Err(words) => self.hang_up(io, None, words),
                }
            }
            (What::Event(Event::Data { stream: of, data }), Line::Saying { stream, heard, .. })
                if of == stream =>
            {
                self.heard(io, stream, heard, &data);
            }
            (
                What::Event(Event::End { stream: of }),
                Line::Saying { stream, .. } | Line::Thinking { stream, .. },
            ) if of == stream => self.hang_up(io, None, "the stream ended".into()),
            _ => {}
        }
    }

    fn pending(&self, _: &Ledger) -> Option<Pending> {
        let Chat { number, done, rounds, state, last_words, .. } = self;
        (done < rounds).then(|| Pending {
            work: format!("talk {number}"),
            with: Some(self.to),
            since: self.start,
            state: format!("{done} of {rounds} messages, {state:?}, last words {last_words:?}"),
        })
    }
}

/// Sends datagrams to another agent. They may be lost; none may come twice or to somebody else.
#[derive(Debug)]
pub struct Scatter {
    to: usize,
    left: u32,
    every: Duration,
    start: Instant,
}

impl Scatter {
    /// Sends `count` datagrams to the agent on host `to`.
    pub const fn new(to: usize, count: u32, every: Duration, start: Instant) -> Self {
        Scatter { to, left: count, every, start }
    }
}

impl Script for Scatter {
    fn handle(&mut self, io: &mut Io<'_>, what: What) {
        if !matches!(what, What::Connected | What::Woken) || self.left == 0 || !io.connected {
            return;
        }
        if io.now < self.start {
            return io.wake_at(self.start);
        }
        if let Some(node) = io.ledger.node(self.to) {
            self.left -= 1;
            send_datagram(io, node);
        }
        self.start = io.now + self.every;
        io.wake_at(self.start);
    }

    fn pending(&self, _: &Ledger) -> Option<Pending> {
        (self.left > 0).then(|| Pending {
            work: "datagrams".into(),
            with: Some(self.to),
            since: self.start,
            state: format!("{} left", self.left),
        })
    }
}

fn send_datagram(io: &mut Io<'_>, node: u32) {
    let data = datagram(io.host, io.ledger.next_datagram());
    io.client.post(&Request::SendTo { to: SockAddr::new(Addr::backbone(node), PORT), data: &data });
}

/// A datagram that says whose it is.
pub(crate) fn datagram(host: usize, number: u64) -> Vec<u8> {
    let mut data = MARK.to_vec();
    data.extend((host as u32).to_be_bytes());
    data.extend(number.to_be_bytes());
    let mut rest = vec![0; (number % 900) as usize];
    content(TALKS, number, &mut rest);
    data.extend(rest);
    data
}

/// Judges a datagram that reached `host` in the name of `node`.
pub(crate) fn judge_datagram(ledger: &mut Ledger, host: usize, node: u32, data: &[u8]) {
    let parsed = data.strip_prefix(&MARK).and_then(|rest| {
        let (from, rest) = rest.split_first_chunk::<4>()?;
        let (number, _) = rest.split_first_chunk::<8>()?;
        Some((u32::from_be_bytes(*from) as usize, u64::from_be_bytes(*number)))
    });
    let Some((from, number)) = parsed.filter(|&(from, number)| data == datagram(from, number)) else {
        return ledger
            .accuse("datagram content", format!("host {host} got {} bytes from {node}", data.len()));
    };
    if ledger.node(from).is_some_and(|real| real != node) {
        let words = format!("host {host} got a datagram of host {from} in the name of node {node}");
        return ledger.accuse("data from a spoofed node", words);
    }
    if !ledger.may_talk(from, host) {
        return ledger
            .accuse("data from an untrusted node", format!("host {host} got a datagram of host {from}"));
    }
    if !ledger.is_new_datagram(number) {
        ledger.accuse("datagram twice", format!("host {host} got datagram {number} of host {from} again"));
    }
}

/// Tries to reach an agent that must not let it in, by stream and by datagram.
#[derive(Debug)]
pub struct Knock {
    to: usize,
    start: Instant,
    tries: u32,
    dial: Option<CallId>,
}

impl Knock {
    /// Knocks at the agent on host `to` from `start` on.
    pub const fn new(to: usize, start: Instant) -> Self {
        Knock { to, start, tries: 0, dial: None }
    }
}

impl Script for Knock {
    fn handle(&mut self, io: &mut Io<'_>, what: What) {
        match what {
            What::Connected | What::Woken => {
                if what_is_due(self, io)
                    && let Some(node) = io.ledger.node(self.to)
                {
                    send_datagram(io, node);
                    let to = SockAddr::new(Addr::backbone(node), PORT);
                    self.dial = io.client.call(&Request::Dial { to });
                }
            }
            What::Disconnected => self.dial = None,
            What::Event(Event::Answer { call, result }) if self.dial == Some(call) => {
                self.dial = None;
                self.tries += 1;
                if matches!(result, Ok(Answer::Connected(_))) && !io.ledger.may_talk(io.host, self.to) {
                    let words = format!("host {} let host {} in", self.to, io.host);
                    io.ledger.accuse("data from an untrusted node", words);
                }
                io.wake_at(io.now + RETRY);
            }
            What::Event(_) | What::Room => {}
        }
    }

    fn pending(&self, _: &Ledger) -> Option<Pending> {
        (self.tries < KNOCKS).then(|| Pending {
            work: "knocks".into(),
            with: Some(self.to),
            since: self.start,
            state: format!("{} of {KNOCKS} answered", self.tries),
        })
    }
}

/// Whether it is time to knock; asks to be woken if it is not yet.
fn what_is_due(knock: &Knock, io: &mut Io<'_>) -> bool {
    if knock.tries >= KNOCKS || knock.dial.is_some() {
        return false;
    }
    if io.now < knock.start || io.ledger.node(knock.to).is_none() {
        io.wake_at(knock.start.max(io.now + RETRY));
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(ledger: &mut Ledger, node: u32, data: &[u8]) -> Option<&'static str> {
        judge_datagram(ledger, 2, node, data);
        ledger.breach.take().map(|found| found.0)
    }

    #[test]
    fn a_datagram_comes_once_whole_and_in_its_own_name() {
        let mut ledger = Ledger::default();
        ledger.encrypted = true;
        ledger.learn(1, 11);
        assert_eq!(rule(&mut ledger, 11, &datagram(1, 1)), None);
        assert_eq!(rule(&mut ledger, 11, &datagram(1, 1)), Some("datagram twice"));
        assert_eq!(rule(&mut ledger, 12, &datagram(1, 2)), Some("data from a spoofed node"));
        assert_eq!(rule(&mut ledger, 11, &datagram(1, 2)[1..]), Some("datagram content"));
        ledger.shut(2);
        assert_eq!(rule(&mut ledger, 11, &datagram(1, 3)), Some("data from an untrusted node"));
        ledger.befriend(1, 2);
        assert_eq!(rule(&mut ledger, 11, &datagram(1, 4)), None);
    }
}
