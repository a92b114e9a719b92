//! The services on scripted streams.

use pilot_proto::{Addr, Instant};

use super::*;
use crate::{
    daemon::fake_net::{FakeNet, Wire},
    services::{data_exchange::Frame, event_stream::encode},
};

const NOW: Now = Now { instant: Instant::from_millis(1), unix_micros: 1_775_459_287_065_432 };

struct World {
    services: Services<u32>,
    net: FakeNet,
}

impl World {
    fn new() -> Self {
        let services = Services::new(Enabled::default(), 0, "dir".into());
        let mut net = FakeNet::default();
        services.start(&mut net);
        World { services, net }
    }

    fn open(&mut self, id: u32, port: u16) {
        self.net.wires.insert(id, Wire { window: 1 << 20, ..Wire::default() });
        assert!(self.services.incoming(id + 100, id, port, SockAddr::new(Addr::backbone(2), 50_000)));
    }

    fn say(&mut self, id: u32, bytes: &[u8]) {
        self.wire(id).incoming.extend_from_slice(bytes);
        self.services.ready(&mut self.net, NOW, id);
    }

    fn finish(&mut self, id: u32) {
        self.wire(id).peer_finished = true;
        self.services.ready(&mut self.net, NOW, id);
    }

    fn wire(&mut self, id: u32) -> &mut Wire {
        self.net.wires.get_mut(&id).unwrap()
    }
}

#[test]
fn echo_answers_as_fast_as_the_peer_reads_and_ends_when_it_ends() {
    let mut world = World::new();
    world.open(1, port::ECHO);
    world.wire(1).window = 1000;
    let data: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    world.say(1, &data);
    assert!(world.wire(1).incoming.len() > data.len() - MAX_ANSWERS - 2 * ROOM);
    world.finish(1);
    while !world.wire(1).finished {
        world.wire(1).window = 30_000;
        world.services.ready(&mut world.net, NOW, 1);
    }
    assert_eq!(world.wire(1).written, data);
    assert!(world.wire(1).released && !world.services.has(1));
}

#[test]
fn a_disabled_service_does_not_listen() {
    let enabled = Enabled { echo: false, ..Enabled::default() };
    let mut services = Services::<u32>::new(enabled, 0, String::new());
    let mut net = FakeNet::default();
    services.start(&mut net);
    assert_eq!(net.listening, [1001, 1002]);
    assert!(!services.incoming(1, 1, port::ECHO, SockAddr::default()));
}

#[test]
fn a_message_is_answered_after_it_is_stored_and_the_stream_ends_after_the_answer() {
    let mut world = World::new();
    world.open(1, port::DATA_EXCHANGE);
    world.say(1, &Frame::message(1, b"hi").unwrap().to_bytes());
    world.finish(1);
    assert!(!world.wire(1).finished);
    let Some(Act::Store { key, .. }) = world.services.poll_act() else { panic!("nothing to store") };
    world.services.stored(&mut world.net, NOW, key, &Ok(()));
    assert_eq!(world.wire(1).written[8..], b"ACK TEXT 2 bytes"[..]);
    assert!(world.wire(1).finished);
    assert!(matches!(world.services.poll_act(), Some(Act::Event("message.received", _))));
}

#[test]
fn a_frame_over_the_limit_ends_the_stream_without_an_answer() {
    let mut world = World::new();
    world.open(1, port::DATA_EXCHANGE);
    world.say(1, &[0, 0, 0, 1, 1, 0, 0, 1]);
    assert!(world.wire(1).finished && world.wire(1).written.is_empty());
}

#[test]
fn the_last_event_before_the_end_is_delivered() {
    let mut world = World::new();
    world.open(1, port::EVENT_STREAM);
    world.open(2, port::EVENT_STREAM);
    world.say(1, &encode(b"a", b"").unwrap());
    world.wire(2).peer_finished = true;
    let events = [encode(b"a", b"").unwrap(), encode(b"a", b"one").unwrap(), encode(b"a", b"two").unwrap()];
    world.say(2, &events.concat());
    assert_eq!(world.wire(1).written, events[1..].concat());
    assert!(world.wire(2).finished && !world.wire(1).finished);
}

#[test]
fn hazard_09_25_a_subscriber_that_does_not_read_is_cut_off_and_stops_nobody() {
    let mut world = World::new();
    for id in 1..=3 {
        world.open(id, port::EVENT_STREAM);
        world.say(id, &encode(b"a", b"").unwrap());
    }
    world.wire(1).window = 0;
    world.wire(2).window = usize::MAX;
    let event = encode(b"a", &vec![1; 1 << 20]).unwrap();
    for _ in 0..6 {
        world.say(3, &event);
    }
    assert_eq!(world.wire(2).written.len(), 6 * event.len());
    assert!(world.wire(1).reset && world.wire(1).released);
    assert_eq!(world.services.cut_off(), 1);
}

#[test]
fn an_administrator_closes_a_stream_by_its_number() {
    let mut world = World::new();
    world.open(1, port::ECHO);
    world.services.close(&mut world.net, NOW, 101);
    assert!(world.wire(1).finished && world.wire(1).released);
}
