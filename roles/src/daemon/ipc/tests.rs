//! The local socket against a network of scripted streams.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use pilot_proto::{Addr, SockAddr};

use super::{
    client::{COST_PER_TURN, HIGH_WATER},
    delivery::{BATCH, RECV_ROOM},
    streams::{TELL, WINDOW},
    *,
};
use crate::{
    daemon::fake_net::{FakeNet, Wire},
    frames,
    ipc::{HandshakeRequest, Reply, Request, STREAM_WINDOW},
};

/// What one client has received.
#[derive(Debug)]
struct Seen {
    reader: FrameReader,
    open: bool,
    paused: bool,
    bytes: usize,
}

struct World {
    server: Server<u32>,
    net: FakeNet,
    numbers: Numbers,
    seen: BTreeMap<ConnId, Seen>,
    /// The operating system takes what is sent at once.
    prompt: bool,
}

const A: ConnId = ConnId::Accepted(1);
const B: ConnId = ConnId::Accepted(2);

fn peer(node: u32, port: u16) -> SockAddr {
    SockAddr::new(Addr::backbone(node), port)
}

impl World {
    fn new() -> Self {
        let mut world = World {
            server: Server::new(),
            net: FakeNet::default(),
            numbers: Numbers::default(),
            seen: BTreeMap::new(),
            prompt: true,
        };
        for conn in [A, B] {
            world.server.opened(conn);
            world.seen.insert(
                conn,
                Seen { reader: FrameReader::new(MAX_MESSAGE), open: true, paused: false, bytes: 0 },
            );
        }
        world
    }

    fn raw(&mut self, conn: ConnId, data: &[u8]) {
        self.server.bytes(&mut self.net, &mut self.numbers, conn, data);
        self.drain();
    }

    fn say(&mut self, conn: ConnId, request: &Request<'_>) {
        let mut out = Vec::new();
        request.write(&mut out);
        self.raw(conn, &out);
    }

    fn drain(&mut self) {
        while let Some(output) = self.server.poll_output(&mut self.net) {
            match output {
                Output::Send { conn, data } => {
                    let seen = self.seen.get_mut(&conn).unwrap();
                    seen.reader.push(&data);
                    seen.bytes += data.len();
                    if self.prompt {
                        self.server.sent(&mut self.net, &mut self.numbers, conn, data.len());
                    }
                }
                Output::Log(_) => {}
                Output::Close(conn) => self.seen.get_mut(&conn).unwrap().open = false,
                Output::Pause(conn) => self.seen.get_mut(&conn).unwrap().paused = true,
                Output::Resume(conn) => self.seen.get_mut(&conn).unwrap().paused = false,
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    fn asks(&mut self) -> Vec<Ask> {
        let mut asks = Vec::new();
        while let Some(ask) = self.server.poll_ask() {
            self.server.process(&mut self.net, &mut self.numbers, ask.client);
            asks.push(ask);
        }
        asks
    }

    /// What a daemon does: answers what is asked, each with `json`, as long as anybody may ask.
    fn answer_all(&mut self, json: &[u8]) {
        while self.server.has_more() || !self.server.asks.is_empty() {
            self.server.next_turn(&mut self.net, &mut self.numbers);
            self.answer_turn(json);
        }
    }

    /// The same, in one turn.
    fn answer_turn(&mut self, json: &[u8]) {
        while let Some(ask) = self.server.poll_ask() {
            let reply = Reply::Json { kind: crate::ipc::JsonKind::Info, json };
            self.server.reply(&mut self.net, &mut self.numbers, ask.client, ask.ticket, Ok(reply));
            self.server.process(&mut self.net, &mut self.numbers, ask.client);
        }
        self.drain();
    }

    fn heard(&mut self, conn: ConnId) -> Vec<Vec<u8>> {
        self.drain();
        let reader = &mut self.seen.get_mut(&conn).unwrap().reader;
        let mut out = Vec::new();
        while let Some(message) = reader.pop().unwrap() {
            out.push(message.to_vec());
        }
        out
    }

    fn expect(&mut self, conn: ConnId, replies: &[Reply<'_>]) {
        let heard = self.heard(conn);
        let heard: Vec<_> = heard.iter().map(|message| Reply::parse(message).unwrap()).collect();
        assert_eq!(heard, replies);
    }

    fn dial(&mut self, conn: ConnId, node: u32) -> (u32, u32) {
        self.say(conn, &Request::Dial { to: peer(node, 1000) });
        let wire = *self.net.wires.keys().last().unwrap();
        self.server.connected(&mut self.net, &mut self.numbers, wire);
        let heard = self.heard(conn);
        match Reply::parse(heard.last().unwrap()).unwrap() {
            Reply::DialOk { id } => (id, wire),
            other => panic!("expected DialOk, got {other:?}"),
        }
    }

    fn wire(&mut self, id: u32) -> &mut Wire {
        self.net.wires.get_mut(&id).unwrap()
    }

    fn over(&mut self, wire: u32, words: &str) {
        self.wire(wire).over = true;
        self.server.over(&mut self.net, &mut self.numbers, wire, words.into(), Some(words.into()));
    }
}

#[test]
fn a_dialled_stream_carries_data_both_ways_and_ends_once() {
    let mut world = World::new();
    let (id, wire) = world.dial(A, 2);
    assert_eq!(id, 1);
    world.say(A, &Request::Send { id, data: b"hello" });
    world.expect(A, &[]);
    assert_eq!(world.wire(wire).written, b"hello");
    world.wire(wire).incoming = b"world".to_vec();
    world.wire(wire).peer_finished = true;
    world.server.readable(wire);
    world.expect(A, &[Reply::Recv { id, data: b"world" }, Reply::CloseOk { id }]);
    world.say(A, &Request::Close { id });
    world.expect(A, &[Reply::CloseOk { id }]);
    assert!(world.wire(wire).finished && world.wire(wire).released);
    world.say(A, &Request::Close { id });
    world.expect(A, &[Reply::CloseOk { id }]);
}

#[test]
fn a_bound_port_announces_streams_and_is_free_after_unbind_or_disconnect() {
    let mut world = World::new();
    world.say(A, &Request::Bind { port: 1000 });
    world.say(B, &Request::Bind { port: 1000 });
    world.say(B, &Request::Bind { port: 7 });
    world.expect(A, &[Reply::BindOk { port: 1000 }]);
    world.expect(B, &[Reply::error("port 1000 already bound"), Reply::error("port 7 already bound")]);
    world.net.wires.insert(1, Wire { incoming: b"hi".to_vec(), ..Wire::default() });
    let number = world.numbers.next();
    assert!(world.server.incoming(&mut world.net, number, 1, 1000, peer(2, 50_000)));
    world.server.readable(1);
    world.expect(
        A,
        &[
            Reply::Accept { local_port: 1000, id: number, remote: peer(2, 50_000) },
            Reply::Recv { id: number, data: b"hi" },
        ],
    );
    assert!(!world.server.incoming(&mut world.net, 9, 9, 1001, peer(2, 50_001)));
    world.say(B, &Request::Unbind { port: 1000 });
    world.expect(B, &[Reply::error("unbind: port is not owned by this client")]);
    world.say(A, &Request::Unbind { port: 1000 });
    world.expect(A, &[Reply::UnbindOk { port: 1000 }]);
    world.say(A, &Request::Bind { port: 2000 });
    world.server.closed(&mut world.net, &mut world.numbers, A);
    assert!(world.net.listening.is_empty());
    assert!(world.wire(1).finished && world.wire(1).released);
    world.say(B, &Request::Bind { port: 2000 });
    world.expect(B, &[Reply::BindOk { port: 2000 }]);
}

#[test]
fn hazard_07_7_a_slow_dial_delays_no_other_kind_of_request() {
    let mut world = World::new();
    world.say(A, &Request::Dial { to: peer(2, 1000) });
    world.say(A, &Request::Info);
    world.say(A, &Request::Health);
    let asks = world.asks();
    assert_eq!(asks.len(), 2);
    let json = Reply::Json { kind: crate::ipc::JsonKind::Health, json: b"{}" };
    world.server.reply(&mut world.net, &mut world.numbers, A, asks[1].ticket, Ok(json.clone()));
    world.expect(A, &[json]);
    world.over(100, "dial timeout");
    world.expect(A, &[Reply::error("dial timeout")]);
}

#[test]
fn answers_of_one_kind_keep_the_order_of_the_requests() {
    let mut world = World::new();
    for node in [5, 6] {
        world.say(A, &Request::Handshake(HandshakeRequest::Approve { node }));
    }
    let asks = world.asks();
    let json =
        |text: &'static str| Reply::Json { kind: crate::ipc::JsonKind::Handshake, json: text.as_bytes() };
    world.server.reply(&mut world.net, &mut world.numbers, A, asks[1].ticket, Ok(json("2")));
    world.expect(A, &[]);
    world.server.reply(&mut world.net, &mut world.numbers, A, asks[0].ticket, Ok(json("1")));
    world.expect(A, &[json("1"), json("2")]);
}

#[test]
fn hazard_07_8_and_04_40_streams_belong_to_their_client_except_for_closing() {
    let mut world = World::new();
    let (id, wire) = world.dial(A, 2);
    world.say(B, &Request::Send { id, data: b"evil" });
    world.expect(B, &[Reply::error("connection 1 not found")]);
    assert!(world.wire(wire).written.is_empty());
    world.say(B, &Request::Close { id });
    world.expect(B, &[Reply::CloseOk { id }]);
    world.expect(A, &[Reply::CloseOk { id }]);
    world.say(A, &Request::Send { id, data: b"late" });
    world.expect(A, &[Reply::error("send: connection not established")]);
}

#[test]
fn hazard_07_4_close_right_after_send_loses_nothing() {
    let mut world = World::new();
    let (id, wire) = world.dial(A, 2);
    world.wire(wire).window = 10_000;
    let data = vec![7; 100_000];
    world.say(A, &Request::Send { id, data: &data });
    world.say(A, &Request::Close { id });
    world.expect(A, &[Reply::CloseOk { id }]);
    assert!(!world.wire(wire).finished);
    world.server.closed(&mut world.net, &mut world.numbers, A);
    while !world.wire(wire).finished {
        world.wire(wire).window = 7_000;
        world.server.writable(&mut world.net, &mut world.numbers, wire);
    }
    assert_eq!(world.wire(wire).written, data);
    assert!(world.wire(wire).released);
}

#[test]
fn a_client_whose_peer_does_not_read_is_paused_and_a_disconnect_still_delivers() {
    let mut world = World::new();
    let (id, wire) = world.dial(A, 2);
    world.wire(wire).window = 0;
    let data: Vec<u8> = (0..=250).cycle().take(100_000).collect();
    for _ in 0..10 {
        world.say(A, &Request::Send { id, data: &data });
    }
    world.say(A, &Request::Info);
    assert!(world.seen[&A].paused);
    assert_eq!(world.server.poll_ask(), None);
    world.server.closed(&mut world.net, &mut world.numbers, A);
    for _ in 0..40 {
        world.wire(wire).window = 50_000;
        world.server.writable(&mut world.net, &mut world.numbers, wire);
        world.asks();
    }
    assert_eq!(world.wire(wire).written, data.repeat(10));
    assert!(world.wire(wire).finished && world.wire(wire).released);
    assert!(!world.server.clients.contains_key(&A));
}

#[test]
fn a_paused_client_goes_on_when_there_is_room() {
    let mut world = World::new();
    let (id, wire) = world.dial(A, 2);
    world.wire(wire).window = 0;
    let data = vec![1; 300_000];
    world.say(A, &Request::Send { id, data: &data });
    world.say(A, &Request::Info);
    assert!(world.seen[&A].paused);
    world.wire(wire).window = 300_000;
    world.server.writable(&mut world.net, &mut world.numbers, wire);
    world.drain();
    assert!(!world.seen[&A].paused);
    assert!(world.server.poll_ask().is_some());
}

#[test]
fn hazard_07_1_a_client_that_never_reads_costs_others_nothing_and_its_streams_wait() {
    let mut world = World::new();
    world.prompt = false;
    let (id, wire) = world.dial(A, 2);
    world.wire(wire).incoming = vec![3; 5 << 20];
    world.server.readable(wire);
    world.drain();
    assert!(world.seen[&A].bytes < HIGH_WATER + BATCH + RECV_ROOM, "{}", world.seen[&A].bytes);
    for n in 0..2000u16 {
        world.server.datagram(peer(2, 9), n, &[0; 1000]);
    }
    world.drain();
    assert!(world.seen[&B].bytes < 2 * DATAGRAM_WATER);
    assert!(world.server.dropped_datagrams() > 2000);
    let before: usize = world.heard(A).iter().map(Vec::len).sum();
    // Now it reads: everything comes, in order.
    world.prompt = true;
    let unread = world.seen[&A].bytes;
    world.server.sent(&mut world.net, &mut world.numbers, A, unread);
    let mut received = before;
    world.wire(wire).peer_finished = true;
    let heard = world.heard(A);
    received += heard.iter().map(Vec::len).sum::<usize>();
    assert_eq!(Reply::parse(heard.last().unwrap()).unwrap(), Reply::CloseOk { id });
    assert!(received > 5 << 20);
}

#[test]
fn what_arrived_before_the_end_is_delivered_before_the_end_is_told() {
    let mut world = World::new();
    let (id, wire) = world.dial(A, 2);
    world.wire(wire).incoming = vec![3; 100_000];
    world.over(wire, "reset");
    let heard = world.heard(A);
    assert_eq!(Reply::parse(heard.last().unwrap()).unwrap(), Reply::CloseOk { id });
    assert_eq!(heard.iter().map(|m| m.len() - 5).sum::<usize>(), 100_000);
    assert!(world.wire(wire).released);
    world.say(A, &Request::Send { id, data: b"x" });
    world.expect(A, &[Reply::error("send: connection not established")]);
}

#[test]
fn cancelling_dials_frees_them_and_a_disconnect_resets_them() {
    let mut world = World::new();
    world.say(A, &Request::Dial { to: peer(2, 1000) });
    world.say(A, &Request::CancelDials);
    world.expect(A, &[Reply::error("dial cancelled")]);
    assert!(world.wire(100).reset && world.wire(100).released);
    world.say(A, &Request::Dial { to: peer(99, 1000) });
    world.expect(A, &[Reply::error("connection refused")]);
    world.say(B, &Request::Dial { to: peer(2, 1000) });
    world.server.closed(&mut world.net, &mut world.numbers, B);
    assert!(world.wire(101).reset && world.wire(101).released);
}

#[test]
fn datagrams_go_out_at_once_and_come_to_everybody() {
    let mut world = World::new();
    world.say(A, &Request::SendTo { to: peer(2, 5000), data: b"x" });
    world.expect(A, &[]);
    world.say(A, &Request::SendTo { to: peer(2, 5000), data: &[0; 2000] });
    world.expect(A, &[Reply::error("sendto: message too long")]);
    world.say(A, &Request::SendToConfirmed { to: peer(2, 5000), data: b"y" });
    world.expect(A, &[Reply::SentTo]);
    assert_eq!(world.net.datagrams.len(), 2);
    world.server.datagram(peer(2, 9), 5000, b"in");
    let expected = [Reply::RecvFrom { from: peer(2, 9), to_port: 5000, data: b"in" }];
    world.expect(A, &expected);
    world.expect(B, &expected);
    world.say(A, &Request::SendTo { to: SockAddr::new(Addr::broadcast(3), 1), data: b"all" });
    assert_eq!(world.server.poll_ask().unwrap().ticket, 0);
}

#[test]
fn hazard_07_21_a_message_over_one_mebibyte_ends_the_connection_and_one_of_exactly_that_does_not() {
    let mut world = World::new();
    let (id, wire) = world.dial(A, 2);
    world.wire(wire).window = 2 << 20;
    world.say(A, &Request::Send { id, data: &vec![9; crate::ipc::MAX_SEND] });
    assert_eq!(world.wire(wire).written.len(), crate::ipc::MAX_SEND);
    world.raw(A, &(1u32 << 20 | 1).to_be_bytes());
    assert!(!world.seen[&A].open);
    assert!(world.wire(wire).finished);
}

#[test]
fn empty_and_unknown_messages() {
    let mut world = World::new();
    world.raw(A, &frames::frame(b""));
    world.raw(A, &frames::frame(&[0x44]));
    world.raw(A, &frames::frame(&[0x06, 0, 0]));
    world.expect(A, &[Reply::error("unknown command: 0x44"), Reply::error("send: missing conn_id")]);
}

#[test]
fn hazard_07_14_nothing_is_kept_of_closed_streams() {
    let mut world = World::new();
    for _ in 0..100 {
        let (id, wire) = world.dial(A, 2);
        world.say(A, &Request::Close { id });
        world.over(wire, "closed");
    }
    assert!(world.server.clients[&A].streams.is_empty());
    assert_eq!(world.server.streams.len(), 0);
}

/// The peer does not read; somebody else ends it.
#[test]
fn hazard_07_19_a_send_that_is_stuck_ends_with_its_stream() {
    let mut world = World::new();
    let (id, wire) = world.dial(A, 2);
    world.wire(wire).window = 0;
    world.say(A, &Request::Send { id, data: &vec![1; 300_000] });
    assert!(world.seen[&A].paused);
    world.over(wire, "connection reset by peer");
    world.drain();
    assert!(!world.seen[&A].paused);
    world.say(A, &Request::Info);
    assert!(world.server.poll_ask().is_some());
}

impl World {
    fn extend(&mut self, conn: ConnId, events: bool) {
        self.say(conn, &Request::Extend { events });
        self.expect(conn, &[Reply::Extended { window: STREAM_WINDOW }]);
    }

    /// Says `request` with the number `tag`.
    fn tagged(&mut self, conn: ConnId, tag: u32, request: &Request<'_>) {
        let mut message = Vec::new();
        request.write(&mut message);
        self.say(conn, &Request::Tagged { tag, message: &message[frames::PREFIX..] });
    }

    /// The numbers of the tagged answers heard, each with whether it is an error.
    fn answers(&mut self, conn: ConnId) -> Vec<(u32, bool)> {
        let heard = self.heard(conn);
        let answer = |message: &Vec<u8>| match Reply::parse(message).unwrap() {
            Reply::Tagged { tag, message } => (tag, message[0] == 0x0A),
            other => panic!("expected an answer, got {other:?}"),
        };
        heard.iter().map(answer).collect()
    }
}

/// IPC-2
#[test]
fn tagged_calls_are_answered_when_their_answer_is_known() {
    let mut world = World::new();
    world.extend(A, false);
    world.tagged(A, 7, &Request::Dial { to: peer(2, 1000) });
    world.tagged(A, 8, &Request::Bind { port: 5 });
    world.tagged(A, 9, &Request::Bind { port: 5 });
    assert_eq!(world.answers(A), [(8, false), (9, true)]);
    world.raw(A, &frames::frame(&[0x63, 0, 0, 0, 10, 0x77]));
    world.tagged(A, 11, &Request::Tagged { tag: 1, message: &[0x0D] });
    assert_eq!(world.answers(A), [(10, true), (11, true)]);
    world.server.connected(&mut world.net, &mut world.numbers, 100);
    world.drain();
    assert_eq!(world.answers(A), [(7, false)]);
}

/// IPC-3
#[test]
fn streams_of_an_extended_client_have_windows_of_their_own() {
    let mut world = World::new();
    world.extend(A, false);
    let (slow, slow_wire) = world.dial(A, 2);
    let (quick, quick_wire) = world.dial(A, 3);
    world.wire(slow_wire).window = 0;
    world.say(A, &Request::Send { id: slow, data: &vec![1; WINDOW] });
    world.say(A, &Request::Send { id: quick, data: &vec![2; TELL] });
    assert_eq!(world.wire(quick_wire).written.len(), TELL, "the client is read on");
    world.expect(A, &[Reply::Taken { id: quick, bytes: TELL as u32 }]);
    world.wire(slow_wire).window = WINDOW;
    world.server.writable(&mut world.net, &mut world.numbers, slow_wire);
    world.drain();
    world.expect(A, &[Reply::Taken { id: slow, bytes: WINDOW as u32 }]);

    world.wire(slow_wire).incoming = vec![3; WINDOW + 100];
    world.server.readable(slow_wire);
    world.drain();
    let received = |world: &mut World| world.heard(A).iter().map(|m| m.len() - 5).sum::<usize>();
    assert_eq!(received(&mut world), WINDOW);
    world.say(A, &Request::Consumed { id: slow, bytes: 60 });
    assert_eq!(received(&mut world), 60);
    world.say(B, &Request::Consumed { id: slow, bytes: 60 });
    assert_eq!(received(&mut world), 0, "the stream of somebody else");
}

/// IPC-4, IPC-5
#[test]
fn a_finished_stream_is_read_on_and_a_broken_one_says_why() {
    let mut world = World::new();
    world.extend(A, false);
    let (id, wire) = world.dial(A, 2);
    world.wire(wire).window = 2;
    world.say(A, &Request::Send { id, data: b"abcd" });
    world.say(A, &Request::Finish { id });
    assert!(!world.wire(wire).finished, "two bytes wait");
    world.wire(wire).window = 9;
    world.server.writable(&mut world.net, &mut world.numbers, wire);
    assert!(world.wire(wire).finished);
    world.say(A, &Request::Send { id, data: b"more" });
    world.expect(A, &[Reply::error("send: connection not established")]);
    world.wire(wire).incoming = b"late".to_vec();
    world.over(wire, "connection reset by peer");
    let text = "connection reset by peer".into();
    world.expect(A, &[Reply::Recv { id, data: b"late" }, Reply::Broken { id, text }]);
    assert!(world.wire(wire).released);
}

/// IPC-6
#[test]
fn events_reach_who_asked_for_them() {
    let mut world = World::new();
    world.extend(A, true);
    assert!(world.server.is_watched());
    world.server.notice(b"{}");
    world.drain();
    world.expect(A, &[Reply::Event { json: b"{}" }]);
    world.expect(B, &[]);
}

/// IPC-8
#[test]
fn a_client_that_asks_without_end_has_its_turn_and_no_more() {
    let mut world = World::new();
    let mut all = Vec::new();
    for port in 1000..1200 {
        Request::Bind { port }.write(&mut all);
    }
    world.raw(A, &all);
    assert_eq!(world.heard(A).len(), COST_PER_TURN);
    assert!(world.seen[&A].paused && world.server.has_more());
    world.say(B, &Request::Bind { port: 2000 });
    world.expect(B, &[Reply::BindOk { port: 2000 }]);
    for rest in [COST_PER_TURN, COST_PER_TURN, 200 - 3 * COST_PER_TURN] {
        world.server.next_turn(&mut world.net, &mut world.numbers);
        assert_eq!(world.heard(A).len(), rest);
    }
    assert!(!world.seen[&A].paused && !world.server.has_more());
}

/// IPC-8
#[test]
fn what_a_client_wrote_before_it_left_is_handled_in_turns_too() {
    let mut world = World::new();
    let (id, wire) = world.dial(A, 2);
    let mut all = Vec::new();
    for number in 0..200_u8 {
        Request::Send { id, data: &[number] }.write(&mut all);
    }
    world.raw(A, &all);
    world.server.closed(&mut world.net, &mut world.numbers, A);
    assert!(world.wire(wire).written.len() <= COST_PER_TURN && !world.wire(wire).finished);
    while world.server.has_more() {
        world.server.next_turn(&mut world.net, &mut world.numbers);
    }
    assert_eq!(world.wire(wire).written, (0..200).collect::<Vec<u8>>());
    assert!(world.wire(wire).finished);
}

/// IPC-8
#[test]
fn answers_are_not_made_for_a_client_that_takes_none() {
    let mut world = World::new();
    world.prompt = false;
    let mut all = Vec::new();
    for _ in 0..50 {
        Request::Info.write(&mut all);
    }
    world.raw(A, &all);
    world.answer_all(&[b' '; 900 << 10]);
    assert!(world.seen[&A].paused && world.seen[&A].bytes < 3 << 20, "{} bytes", world.seen[&A].bytes);
    world.prompt = true;
    let bytes = world.seen[&A].bytes;
    world.server.sent(&mut world.net, &mut world.numbers, A, bytes);
    world.answer_all(b"{}");
    assert_eq!(world.heard(A).len(), 50);
    assert!(!world.seen[&A].paused);
}

/// IPC-8
#[test]
fn a_long_answer_costs_more_of_a_turn_than_a_short_one() {
    for (bytes, answered) in [(2, 8), (4 << 10, 3), (64 << 10, 1)] {
        let mut world = World::new();
        let mut all = Vec::new();
        for _ in 0..20 {
            Request::Info.write(&mut all);
        }
        world.raw(A, &all);
        world.answer_turn(&vec![b' '; bytes]);
        assert_eq!(world.heard(A).len(), answered, "{bytes} bytes each");
        world.answer_all(b"{}");
        assert_eq!(world.heard(A).len(), 20 - answered);
    }
}
