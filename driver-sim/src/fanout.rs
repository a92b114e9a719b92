//! Scripts of the event stream: one agent publishes, a broker passes on, others get each event in its order.

use pilot_proto::{Addr, Instant, SockAddr, port, time::Duration};
use pilot_roles::{
    client::{Answer, CallId, Event},
    ipc::Request,
    services::event_stream::{Decoder, encode},
};

use crate::{
    ledger::Ledger,
    program::{Io, Pending, Script, What},
};

/// Between two attempts.
const RETRY: Duration = Duration::from_secs(1);
/// How long a subscriber hears nothing before it subscribes again.
const PATIENCE: Duration = Duration::from_secs(30);

/// A publisher or subscriber of a topic at a broker.
#[derive(Debug)]
pub struct Follow {
    topic: usize,
    broker: usize,
    start: Instant,
    /// `Some` for the publisher: time between events.
    every: Option<Duration>,
    /// Place among the subscribers.
    place: usize,
    dial: Option<CallId>,
    stream: Option<u32>,
    decoder: Decoder,
    /// The last event of this subscription.
    last: Option<u64>,
    /// When to do the next thing: publish, or lose patience.
    next: Instant,
    last_words: String,
}

impl Follow {
    /// Publishes events of `topic` at the broker on host `broker` until all subscribers have enough.
    pub fn publisher(topic: usize, broker: usize, every: Duration, start: Instant) -> Self {
        Follow::new(topic, broker, Some(every), 0, start)
    }

    /// Subscriber number `place` of `topic`.
    pub fn subscriber(topic: usize, broker: usize, place: usize, start: Instant) -> Self {
        Follow::new(topic, broker, None, place, start)
    }

    fn new(topic: usize, broker: usize, every: Option<Duration>, place: usize, start: Instant) -> Self {
        Follow {
            topic,
            broker,
            start,
            every,
            place,
            dial: None,
            stream: None,
            decoder: Decoder::default(),
            last: None,
            next: start,
            last_words: String::new(),
        }
    }

    fn name(&self) -> Vec<u8> {
        format!("topic {}", self.topic).into_bytes()
    }

    fn is_done(&self, ledger: &Ledger) -> bool {
        ledger.topic(self.topic).is_none_or(|topic| match self.every {
            Some(_) => topic.is_done(),
            None => topic.heard.get(self.place).is_none_or(|heard| *heard >= topic.wanted),
        })
    }

    fn go_on(&mut self, io: &mut Io<'_>) {
        if self.is_done(io.ledger) || self.dial.is_some() {
            return;
        }
        if io.now < self.start {
            return io.wake_at(self.start);
        }
        let Some(stream) = self.stream else {
            let Some(node) = io.ledger.node(self.broker) else { return io.wake_at(io.now + RETRY) };
            let to = SockAddr::new(Addr::backbone(node), port::EVENT_STREAM);
            self.dial = io.client.call(&Request::Dial { to });
            return;
        };
        if io.now < self.next {
            return io.wake_at(self.next);
        }
        match self.every {
            Some(every) => {
                let number = io.ledger.publish(self.topic);
                if let Ok(event) = encode(&self.name(), &payload(number)) {
                    io.client.send(stream, &event);
                }
                self.next = io.now + every;
                io.wake_at(self.next);
            }
            None => {
                io.client.call(&Request::Close { id: stream });
                self.again(io, "nothing came".into());
            }
        }
    }

    fn again(&mut self, io: &mut Io<'_>, why: String) {
        (self.stream, self.dial, self.last, self.last_words) = (None, None, None, why);
        self.decoder = Decoder::default();
        io.wake_at(io.now + RETRY);
    }

    fn connected(&mut self, io: &mut Io<'_>, stream: u32) {
        self.stream = Some(stream);
        // The publisher says so too, of a topic nobody publishes.
        let own = if self.every.is_some() { b"silence".to_vec() } else { self.name() };
        if let Ok(event) = encode(&own, b"") {
            io.client.send(stream, &event);
        }
        self.next = io.now + self.every.unwrap_or(PATIENCE);
        io.wake_at(self.next);
    }

    fn heard(&mut self, io: &mut Io<'_>, mut data: &[u8]) {
        self.next = io.now + PATIENCE;
        loop {
            let event = match self.decoder.feed(&mut data) {
                Ok(Some(event)) => event,
                Ok(None) => return,
                Err(wrong) => return io.ledger.accuse("event content", wrong.to_string()),
            };
            let number = event.payload.first_chunk::<8>().map_or(0, |number| u64::from_be_bytes(*number));
            if event.topic != self.name() || event.payload != payload(number) {
                let words =
                    format!("host {} of topic {} got {} bytes", io.host, self.topic, event.payload.len());
                return io.ledger.accuse("event content", words);
            }
            if self.last.is_some_and(|last| number <= last || io.ledger.calm && number != last + 1) {
                let words = format!("topic {}: event {number} after {:?}", self.topic, self.last);
                return io.ledger.accuse("events out of order", words);
            }
            self.last = Some(number);
            io.ledger.event_heard(self.topic, self.place);
        }
    }
}

/// What event `number` says: 8 bytes of number, then as many as chance of the number has it.
fn payload(number: u64) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    let mut rest = vec![0; (crate::dice::mix(number) % 3000) as usize];
    crate::ledger::content(0, number, &mut rest);
    payload.extend(rest);
    payload
}

impl Script for Follow {
    fn handle(&mut self, io: &mut Io<'_>, what: What) {
        match what {
            What::Connected => {
                self.again(io, String::new());
                self.go_on(io);
            }
            What::Woken => self.go_on(io),
            What::Disconnected => (self.stream, self.dial) = (None, None),
            What::Event(Event::Answer { call, result }) if self.dial == Some(call) => {
                self.dial = None;
                match result {
                    Ok(Answer::Connected(stream)) => self.connected(io, stream),
                    Ok(other) => self.again(io, format!("{other:?}")),
                    Err(words) => self.again(io, words),
                }
            }
            What::Event(Event::Data { stream, data })
                if self.stream == Some(stream) && self.every.is_none() =>
            {
                self.heard(io, &data);
            }
            What::Event(Event::End { stream }) if self.stream == Some(stream) => {
                self.again(io, "the stream ended".into());
            }
            What::Event(_) | What::Room => {}
        }
    }

    fn pending(&self, ledger: &Ledger) -> Option<Pending> {
        let topic = ledger.topic(self.topic)?;
        let who = || match self.every {
            Some(_) => "publisher".into(),
            None => format!("subscriber {}", self.place),
        };
        (!self.is_done(ledger)).then(|| Pending {
            work: format!("{} of topic {}", who(), self.topic),
            with: Some(self.broker),
            since: self.start,
            state: format!("{topic:?}, stream {:?}, last words {:?}", self.stream, self.last_words),
        })
    }
}
