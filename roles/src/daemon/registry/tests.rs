//! The registry client against a scripted registry.

use alloc::{boxed::Box, string::String, vec::Vec};

use super::*;
use crate::{
    frames::{self, FrameReader},
    json::{self, json},
};

const KEEPALIVE: Duration = Duration::from_secs(30);

fn settings() -> Settings {
    Settings {
        keepalive: KEEPALIVE,
        patience: Duration::from_secs(20),
        public: true,
        hostname: "agent-a".into(),
        tags: None,
        networks: [3].into(),
    }
}

fn what() -> Registration {
    Registration {
        listen_addr: "203.0.113.7:4000".into(),
        owner: "a@example.com".into(),
        version: "1".into(),
        ..Registration::default()
    }
}

/// A client, its clock, and the registry it talks to.
struct World {
    client: Registry<u32>,
    now: Now,
    conn: Option<ConnId>,
    reader: FrameReader,
    asked: Vec<Value>,
    /// The next requests of this type are refused with these words.
    refuse: Option<(&'static str, &'static str)>,
    node: u32,
    mail: Value,
}

impl World {
    fn new() -> Self {
        let now = Now { instant: Instant::from_millis(1), unix_micros: 1_775_466_487_000_000 };
        World {
            client: Registry::new(now.instant, settings(), "KEY=".into(), Box::new(|_| [7; 64])),
            now,
            conn: None,
            reader: FrameReader::new(70_000),
            asked: Vec::new(),
            refuse: None,
            node: 7,
            mail: json!({"requests": [], "responses": null}),
        }
    }

    fn started() -> Self {
        let mut world = World::new();
        world.client.start(world.now.instant, what());
        world.client.handle_timeout(world.now);
        world.settle();
        world
    }

    fn answer(&mut self, request: &Value) -> Value {
        let kind = request["type"].as_str().unwrap();
        if let Some((refused, words)) = self.refuse
            && refused == kind
        {
            return json!({"type": "error", "error": words});
        }
        match kind {
            "register" => {
                json!({"type": "register_ok", "node_id": self.node, "observed_addr": "203.0.113.7:4000"})
            }
            "poll_handshakes" => core::mem::replace(&mut self.mail, json!({"requests": [], "responses": []})),
            _ => json!({"type": "ok"}),
        }
    }

    /// Performs outputs until there are none; the registry answers at once.
    fn settle(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Connect { conn, .. } => {
                    self.conn = Some(conn);
                    self.reader = FrameReader::new(70_000);
                    self.client.opened(self.now, conn);
                }
                Output::Send { conn, data } if Some(conn) == self.conn => {
                    self.reader.push(&data);
                    let mut answers = Vec::new();
                    while let Some(body) = self.reader.pop().unwrap().map(<[u8]>::to_vec) {
                        let request: Value = serde_json::from_slice(&body).unwrap();
                        answers.extend(frames::frame(json::to_line(&self.answer(&request)).as_bytes()));
                        self.asked.push(request);
                    }
                    self.client.bytes(self.now, conn, &answers);
                }
                _ => {}
            }
        }
    }

    fn run_until(&mut self, end: Instant) {
        while let Some(due) = self.client.poll_timeout().filter(|due| *due <= end) {
            let passed = due.since(self.now.instant);
            self.now = Now {
                instant: due.max(self.now.instant),
                unix_micros: self.now.unix_micros + i64::try_from(passed.as_micros()).unwrap(),
            };
            self.client.handle_timeout(self.now);
            self.settle();
        }
        self.now.instant = end;
    }

    fn run_for(&mut self, time: Duration) {
        self.run_until(self.now.instant + time);
    }

    fn types(&mut self) -> Vec<String> {
        core::mem::take(&mut self.asked).iter().map(|r| r["type"].as_str().unwrap().into()).collect()
    }

    fn events(&mut self) -> Vec<Event<u32>> {
        core::iter::from_fn(|| self.client.poll_event(self.now)).collect()
    }
}

#[test]
fn the_start_registers_signed_then_sets_what_was_configured_then_polls() {
    let mut world = World::started();
    assert_eq!(
        world.asked.first().unwrap(),
        &json!({
            "type": "register", "listen_addr": "203.0.113.7:4000", "public_key": "KEY=",
            "owner": "a@example.com", "version": "1",
            "signature": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==",
        })
    );
    assert_eq!(
        world.types(),
        ["register", "set_visibility", "set_hostname", "join_network", "poll_handshakes"]
    );
    let events = world.events();
    assert!(matches!(
        events[0],
        Event::Registered { node: 7, first: true, forgotten: false, observed: Some(_) }
    ));
    assert_eq!(events[1..], [Event::Joined(3), Event::Polled]);
}

#[test]
fn a_known_node_beats_and_polls_once_a_period_and_is_otherwise_silent() {
    let mut world = World::started();
    world.types();
    world.run_for(Duration::from_secs(96));
    let types = world.types();
    let count = |kind: &str| types.iter().filter(|t| *t == kind).count();
    assert_eq!((count("heartbeat"), count("poll_handshakes"), types.len()), (4, 3, 7));
}

#[test]
fn mail_is_polled_eagerly_while_expected_and_at_once_when_it_waits() {
    let mut world = World::started();
    world.types();
    world.run_for(Duration::from_secs(1));
    world.mail = json!({
        "requests": [{"from_node_id": 9.0, "justification": "hi", "timestamp": 1}, {"from_node_id": -1}],
        "responses": [{"from_node_id": 4, "accept": true}, {"from_node_id": 5}],
    });
    world.client.poll_soon(world.now.instant);
    world.settle();
    assert!(world.events().contains(&Event::Mail {
        requests: [(9, "hi".into())].into(),
        responses: [(4, true), (5, false)].into()
    }));
    world.types();
    world.client.expect_mail(world.now.instant);
    world.settle();
    world.run_for(Duration::from_secs(10));
    let polls = world.types().iter().filter(|t| *t == "poll_handshakes").count();
    assert!((5..=7).contains(&polls), "{polls} polls in 10 s");
    world.run_for(Duration::from_secs(130));
    world.types();
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.types().iter().filter(|t| *t == "poll_handshakes").count(), 2);
}

#[test]
fn a_forgetful_registry_is_told_everything_again() {
    let mut world = World::started();
    world.run_for(Duration::from_secs(20));
    world.types();
    world.events();
    world.refuse = Some(("heartbeat", "node 7: node not found"));
    world.node = 8;
    world.run_for(Duration::from_secs(20));
    world.refuse = None;
    let types = world.types();
    let at = types.iter().position(|t| t == "register").unwrap();
    assert_eq!(types[at..at + 3], ["register", "set_visibility", "set_hostname"]);
    assert!(
        world
            .events()
            .iter()
            .any(|e| matches!(e, Event::Registered { node: 8, first: false, forgotten: true, .. }))
    );
}

#[test]
fn a_new_connection_registers_before_anything_else() {
    let mut world = World::started();
    world.types();
    let conn = world.conn.unwrap();
    world.client.closed(world.now, conn, Closed::Eof);
    let request = world.client.requests().lookup(3);
    world.client.ask(world.now.instant, request, 42);
    world.run_for(Duration::from_secs(2));
    let types = world.types();
    assert_eq!(types[..2], ["register", "lookup"]);
    let events = world.events();
    assert!(events.iter().any(|e| matches!(e, Event::Answer(42, Ok(_)))));
    assert!(events.iter().any(|e| matches!(e, Event::Registered { first: false, forgotten: true, .. })));
}

#[test]
fn a_refused_first_registration_is_fatal_and_a_rate_limit_is_not() {
    let mut world = World::new();
    world.refuse = Some(("register", "request failed"));
    world.client.start(world.now.instant, what());
    world.client.handle_timeout(world.now);
    world.settle();
    assert_eq!(world.events(), [Event::Fatal("registry: request failed".into())]);

    let mut world = World::new();
    world.refuse = Some(("register", "rate limited: too many registrations from 1.2.3.4"));
    world.client.start(world.now.instant, what());
    world.client.handle_timeout(world.now);
    world.settle();
    world.refuse = None;
    world.run_for(Duration::from_secs(8));
    assert!(world.events().iter().any(|e| matches!(e, Event::Registered { node: 7, first: true, .. })));
}

#[test]
fn an_unreachable_registry_is_fatal_after_the_patience_and_only_at_the_start() {
    let mut client = Registry::<u32>::new(Instant::ORIGIN, settings(), "KEY=".into(), Box::new(|_| [7; 64]));
    client.start(Instant::ORIGIN, what());
    let mut now = Now { instant: Instant::ORIGIN, unix_micros: 0 };
    let mut fatal = None;
    while fatal.is_none() && now.instant < Instant::from_millis(60_000) {
        now.instant = client.poll_timeout().unwrap().max(now.instant);
        client.handle_timeout(now);
        while let Some(output) = client.poll_output() {
            if let Output::Connect { conn, .. } = output {
                client.closed(now, conn, Closed::Failed("connection refused".into()));
            }
        }
        fatal = core::iter::from_fn(|| client.poll_event(now)).find(|e| matches!(e, Event::Fatal(_)));
    }
    assert_eq!(fatal, Some(Event::Fatal("connection refused".into())));
    assert_eq!(now.instant, Instant::from_millis(20_000));
}

#[test]
fn hazard_07_15_a_node_that_left_stays_away() {
    let mut world = World::started();
    world.types();
    world.client.left();
    world.run_for(Duration::from_secs(200));
    assert_eq!(world.types(), Vec::<String>::new());
    assert_eq!(world.client.poll_timeout(), None);
}
