//! Defects of older releases in packets and streams (`spec/hazards.md`), looked for in whole nodes: over a simulated
//! network, and against a peer that says whatever it likes.

mod common;

use common::{MS, Net, SECOND, pattern, public, read_all, rogue::Rogue, transfer};
use pilot_proto::{
    Addr,
    node::{Config, Event, Question, StreamId},
    port,
    stream::CloseReason,
    wire::packet::{Flags, Header, Protocol},
};

fn backbone(node: u32) -> Addr {
    Addr { network: 0, node }
}

/// Datagrams between the first two hosts since `net.wire` was cleared, the beacon's left out.
fn between_hosts(net: &Net) -> usize {
    net.wire.iter().filter(|(from, to, _)| *from != net.beacon && *to != net.beacon).count()
}

fn closed(net: &Net, host: usize, id: StreamId) -> Option<CloseReason> {
    net.hosts[host].events.iter().find_map(|event| match event {
        Event::Closed { stream, reason } if *stream == id => Some(*reason),
        _ => None,
    })
}

#[test]
fn hazard_01_h1_and_07_5_and_07_6_after_a_close_nothing_is_sent_and_nothing_stays() {
    let mut net = Net::new(1);
    let (a, b) = (public(&mut net), public(&mut net));
    net.record = true;
    for _ in 0..20 {
        transfer(&mut net, a, b, b"x", 10 * SECOND);
    }
    net.run_for(SECOND);
    net.wire.clear();
    net.run_for(20 * SECOND);
    assert_eq!(between_hosts(&net), 0, "20 streams were closed, and none of them speaks");
    for host in [a, b] {
        assert_eq!(net.hosts[host].node.streams().count(), 0);
    }
}

/// Proves PKT-6.
#[test]
fn hazard_01_h2_and_04_19_packets_for_another_node_are_dropped() {
    let mut net = Net::new(2);
    let a = public(&mut net);
    net.hosts[a].node.listen(7).unwrap();
    let mut rogue = Rogue::new(&mut net);
    rogue.meet(&mut net, a);
    let mut syn = rogue.header(&net, a, Protocol::Stream, 50_000, 7);
    (syn.flags, syn.window, syn.dst) = (Flags::SYN, 512, backbone(77));
    rogue.send(&mut net, a, &syn, b"");
    let mut datagram = rogue.header(&net, a, Protocol::Datagram, 50_000, 7);
    datagram.dst = backbone(77);
    rogue.send(&mut net, a, &datagram, b"not for you");
    let mut ping = rogue.header(&net, a, Protocol::Control, 50_000, port::PING);
    ping.dst = backbone(77);
    rogue.send(&mut net, a, &ping, b"?");
    net.run_for(SECOND);
    assert_eq!(rogue.received(&mut net), []);
    assert_eq!(net.incoming(a, 7), None);
    assert_eq!(net.hosts[a].node.read_datagram(&mut [0; 100]), None);
}

/// Proves ADR-6.
#[test]
fn hazard_01_h3_and_04_29_and_07_17_a_node_is_dialled_by_any_of_its_addresses() {
    let mut net = Net::new(3);
    let (a, b) = (public(&mut net), public(&mut net));
    net.hosts[b].node.listen(1000).unwrap();
    let to = Addr { network: 5, node: net.hosts[b].id };
    let id = net.hosts[a].node.connect(net.now, to, 1000).unwrap();
    let took =
        net.run_until_done(10 * SECOND, |net| net.hosts[a].events.contains(&Event::Connected { stream: id }));
    assert!(took < SECOND, "{took:?}");
    let closed_port = net.hosts[a].node.connect(net.now, to, 9).unwrap();
    net.run_for(SECOND);
    assert_eq!(closed(&net, a, closed_port), Some(CloseReason::Refused));
    // A dialler that compares whole addresses is answered from the one it dialled.
    let mut rogue = Rogue::new(&mut net);
    rogue.meet(&mut net, b);
    let mut syn = rogue.header(&net, b, Protocol::Stream, 50_000, 1000);
    (syn.flags, syn.window, syn.dst) = (Flags::SYN, 512, to);
    rogue.send(&mut net, b, &syn, b"");
    net.run_for(100 * MS);
    let answers = rogue.received(&mut net);
    assert_eq!(answers.first().map(|(h, _)| (h.flags, h.src)), Some((Flags::SYN_ACK, to)));
}

/// Proves PKT-7 and PKT-9.
#[test]
fn hazard_01_h4_and_04_39_no_answer_is_answered() {
    let mut net = Net::new(4);
    let a = public(&mut net);
    let mut rogue = Rogue::new(&mut net);
    rogue.meet(&mut net, a);
    for (from, to, flags, payload) in [
        (0, port::PING, Flags::ACK, &b""[..]),
        (0, port::PING, Flags::ACK, b"pathprobe.v1"),
        (50_000, port::PING, Flags::ACK, b"x"),
        (0, port::PING, Flags::NONE, b""),
        (50_000, 9, Flags::NONE, b"x"),
    ] {
        let mut header = rogue.header(&net, a, Protocol::Control, from, to);
        header.flags = flags;
        rogue.send(&mut net, a, &header, payload);
        net.run_for(SECOND);
        assert_eq!(rogue.received(&mut net), [], "{from} to {to}, {flags:?}");
    }
    let mut ping = rogue.header(&net, a, Protocol::Control, 50_000, port::PING);
    ping.seq = u32::MAX;
    rogue.send(&mut net, a, &ping, b"hello");
    net.run_for(SECOND);
    let answers = rogue.received(&mut net);
    let [(pong, payload)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!((pong.flags, pong.src_port, pong.dst_port), (Flags::ACK, port::PING, 50_000));
    assert_eq!((pong.seq, pong.ack, &payload[..]), (u32::MAX, 0, &b"hello"[..]));
}

/// Proves ADR-7.
#[test]
fn hazard_01_h6_and_04_31_source_ports_stay_in_the_dynamic_range() {
    let mut net = Net::new(5);
    let (a, b) = (public(&mut net), public(&mut net));
    transfer(&mut net, a, b, b"x", 10 * SECOND);
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..40_000 {
        let to = backbone(net.hosts[b].id);
        let port = net.hosts[a].node.send_datagram(net.now, to, 9, b"x").unwrap();
        assert!(port >= *port::EPHEMERAL.start(), "round {round}: {port}");
        seen.insert(port);
        if round % 50 == 0 {
            net.run_for(MS);
        }
    }
    assert_eq!(seen.len(), port::EPHEMERAL.len());
}

#[test]
fn hazard_04_32_a_port_of_a_living_stream_is_not_given_again() {
    let mut net = Net::new(6);
    let (a, b) = (public(&mut net), public(&mut net));
    net.hosts[b].node.listen(1000).unwrap();
    let first = net.connect(a, b, 1000);
    net.run_for(SECOND);
    let port = net.hosts[a].node.stream_info(first).unwrap().local_port;
    let to = backbone(net.hosts[b].id);
    for round in 0..port::EPHEMERAL.len() * 2 {
        assert_ne!(net.hosts[a].node.send_datagram(net.now, to, 1000, b"x"), Ok(port));
        if round % 50 == 0 {
            net.run_for(MS);
        }
    }
}

#[test]
fn hazard_01_h7_initial_numbers_are_not_to_be_guessed() {
    let mut net = Net::new(7);
    let a = public(&mut net);
    net.hosts[a].node.listen(7).unwrap();
    let mut rogue = Rogue::new(&mut net);
    rogue.meet(&mut net, a);
    for _ in 0..8 {
        net.hosts[a].node.connect(net.now, backbone(rogue.id), 7).unwrap();
    }
    for from in 0..8 {
        rogue.syn(&mut net, a, 50_000 + from, 7);
    }
    net.run_for(10 * MS);
    let first = |flags: Flags, packets: &[(Header, Vec<u8>)]| {
        let found = packets.iter().filter(|(h, _)| h.flags == flags).map(|(h, _)| h.seq);
        found.collect::<std::collections::BTreeSet<_>>()
    };
    let sent = rogue.received(&mut net);
    for flags in [Flags::SYN, Flags::SYN_ACK] {
        let numbers = first(flags, &sent);
        assert_eq!(numbers.len(), 8, "{flags:?}");
        assert!(!numbers.contains(&0));
    }
}

/// Proves STR-6 and PKT-11. What the path has proved to carry whole is another matter (EXT-10, tests/path_mtu.rs).
#[test]
fn hazard_01_h11_streams_need_no_fragments() {
    for relayed in [false, true] {
        let mut net = Net::new(8);
        let a = public(&mut net);
        let b = net.add(|config| (config.public, config.extensions.enabled) = (true, false));
        net.set_direct(a, b, !relayed);
        net.run_for(SECOND);
        net.record = true;
        let data = pattern(100_000);
        let (got, _) = transfer(&mut net, a, b, &data, 20 * SECOND);
        assert!(got == data);
        let longest = net.wire.iter().map(|(_, _, data)| data.len()).max();
        // What an IPv6 link must carry, less the headers of IPv6 and UDP.
        assert!(longest <= Some(1280 - 48), "{longest:?}");
    }
}

#[test]
fn hazard_01_h12_data_for_a_stream_that_is_gone_is_reset() {
    let mut net = Net::new(9);
    let a = public(&mut net);
    let mut rogue = Rogue::new(&mut net);
    rogue.meet(&mut net, a);
    let mut data = rogue.header(&net, a, Protocol::Stream, 50_000, 7);
    (data.flags, data.seq, data.ack, data.window) = (Flags::ACK, 5, 9, 512);
    rogue.send(&mut net, a, &data, b"where were we?");
    net.run_for(SECOND);
    let answers = rogue.received(&mut net);
    assert_eq!(
        answers.first().map(|(h, _)| (h.flags, h.src_port, h.dst_port)),
        Some((Flags::RST, 7, 50_000))
    );
    // A reset, or an acknowledgment without data, is never answered: two nodes could go on for ever.
    for flags in [Flags::RST, Flags::ACK, Flags::FIN_ACK, Flags::SYN_ACK, Flags::RST | Flags::ACK] {
        data.flags = flags;
        rogue.send(&mut net, a, &data, b"");
        net.run_for(SECOND);
        assert_eq!(rogue.received(&mut net), [], "{flags:?}");
    }
}

/// The registry falls silent: whoever is known goes on, and a stranger costs one question.
#[test]
fn hazard_01_h17_and_04_21_and_08_9_a_silent_registry_stops_nobody_else() {
    let mut net = Net::new(10);
    let a = public(&mut net);
    let b = net.add(|_| {});
    net.allowed.insert((net.hosts[a].id, net.hosts[b].id));
    let mut rogue = Rogue::new(&mut net);
    rogue.meet(&mut net, b);
    transfer(&mut net, a, b, b"known", 10 * SECOND);
    net.hosts[b].registry_down = true;
    net.asked.clear();
    for at in 0..100 {
        rogue.syn(&mut net, b, 50_000 + at, 1000);
        let datagram = rogue.header(&net, b, Protocol::Datagram, 50_000, 9);
        rogue.send(&mut net, b, &datagram, b"stranger");
        net.run_for(MS);
    }
    let data = pattern(50_000);
    let (got, took) = transfer(&mut net, a, b, &data, 10 * SECOND);
    assert!(got == data && took < SECOND, "{took:?}");
    let questions =
        net.asked.iter().filter(|asked| **asked == (b, Question::MayTalk { node: rogue.id })).count();
    assert_eq!(questions, 1);
    assert_eq!(net.hosts[b].node.read_datagram(&mut [0; 100]), None);
}

#[test]
fn hazard_04_3_and_02_d18_and_07_2_a_stream_that_nobody_reads_stops_no_other() {
    let mut net = Net::new(11);
    let (a, b) = (public(&mut net), public(&mut net));
    net.hosts[b].node.listen(2000).unwrap();
    let stuck = net.connect(a, b, 2000);
    let data = pattern(64 * 1024);
    let all = pattern(16_000_000);
    let mut taken = 0;
    net.run_until(net.now + 20 * SECOND, |net| {
        let now = net.now;
        while let Ok(n @ 1..) = net.hosts[a].node.write(now, stuck, &all[taken..]) {
            taken += n;
        }
        false
    });
    assert!((100_000..all.len()).contains(&taken), "the writer was held back after {taken} bytes");
    let (got, took) = transfer(&mut net, a, b, &data, 10 * SECOND);
    assert!(got == data && took < SECOND, "{took:?}");
    assert_eq!(closed(&net, a, stuck), None, "a stuck stream is not a broken one");
    let incoming = net.incoming(b, 2000).unwrap_or_else(|| {
        let mut streams = net.hosts[b].node.streams();
        streams.find(|stream| stream.local_port == 2000).unwrap().id
    });
    let mut late = Vec::new();
    net.run_until_done(60 * SECOND, |net| {
        let now = net.now;
        read_all(&mut net.hosts[b].node, now, incoming, &mut late);
        late.len() == taken
    });
    assert!(late == all[..taken], "and it goes on where it stopped");
}

#[test]
fn hazard_04_5_datagrams_that_nobody_reads_stop_no_stream() {
    let mut net = Net::new(12);
    let (a, b) = (public(&mut net), public(&mut net));
    transfer(&mut net, a, b, b"x", 10 * SECOND);
    let to = backbone(net.hosts[b].id);
    for _ in 0..2000 {
        net.hosts[a].node.send_datagram(net.now, to, 9, &[0; 1000]).unwrap();
        net.run_for(MS);
    }
    assert!(net.hosts[b].node.counters().overflowed > 0, "more than the queue holds");
    let data = pattern(100_000);
    let (got, took) = transfer(&mut net, a, b, &data, 10 * SECOND);
    assert!(got == data && took < SECOND, "{took:?}");
}

#[test]
fn hazard_04_11_and_07_3_a_port_may_be_closed_while_a_request_for_it_waits() {
    let mut net = Net::new(13);
    let b = net.add(|_| {});
    net.hosts[b].node.listen(2000).unwrap();
    let mut rogue = Rogue::new(&mut net);
    rogue.meet(&mut net, b);
    net.hosts[b].registry_down = true;
    rogue.syn(&mut net, b, 50_000, 2000);
    net.run_for(100 * MS);
    net.hosts[b].node.unlisten(2000);
    let allowed = pilot_proto::node::Answer::MayTalk { node: rogue.id, allowed: true };
    net.hosts[b].node.handle_answer(net.now, allowed);
    net.run_for(SECOND);
    let answers = rogue.received(&mut net);
    assert_eq!(answers.iter().map(|(h, _)| h.flags).collect::<Vec<_>>(), [Flags::RST]);
    assert_eq!(net.hosts[b].node.streams().count(), 0);
}

#[test]
fn hazard_04_18_who_has_a_tunnel_speaks_for_itself_only() {
    let mut net = Net::new(14);
    let (a, b) = (public(&mut net), public(&mut net));
    net.hosts[b].node.listen(1000).unwrap();
    let id = net.connect(a, b, 1000);
    net.run_for(SECOND);
    let ours = net.hosts[a].node.stream_info(id).unwrap().local_port;
    let mut rogue = Rogue::new(&mut net);
    rogue.meet(&mut net, b);
    let mut forged = rogue.header(&net, b, Protocol::Stream, ours, 1000);
    // With the right ports, and the sequence number that any release accepts.
    forged.flags = Flags::RST;
    forged.src = backbone(net.hosts[a].id);
    rogue.send(&mut net, b, &forged, b"");
    forged.flags = Flags::SYN;
    rogue.send(&mut net, b, &forged, b"");
    net.run_for(SECOND);
    assert_eq!(closed(&net, b, net.incoming(b, 1000).unwrap()), None);
    assert_eq!(net.hosts[b].node.streams().count(), 1);
    assert_eq!(rogue.received(&mut net), []);
}

#[test]
fn hazard_04_22_one_node_does_not_use_up_the_rate_of_all() {
    let mut net = Net::new(15);
    let (a, b) = (public(&mut net), public(&mut net));
    let mut rogue = Rogue::new(&mut net);
    rogue.meet(&mut net, b);
    transfer(&mut net, a, b, b"x", 10 * SECOND);
    for at in 0..1000u16 {
        rogue.syn(&mut net, b, 10_000 + at, 1000);
    }
    let (got, took) = transfer(&mut net, a, b, b"and me?", 10 * SECOND);
    assert_eq!(got, b"and me?");
    assert!(took < 200 * MS, "{took:?}");
    rogue.received(&mut net);
}

#[test]
fn hazard_04_28_a_greeting_and_the_end_right_after_the_opening_are_not_lost() {
    let mut net = Net::new(16);
    let (a, b) = (public(&mut net), public(&mut net));
    net.hosts[b].node.listen(1000).unwrap();
    let id = net.connect(a, b, 1000);
    let (mut greeted, mut got) = (false, Vec::new());
    let took = net.run_until_done(10 * SECOND, |net| {
        let now = net.now;
        if let Some(incoming) = net.incoming(b, 1000).filter(|_| !greeted) {
            greeted = true;
            assert_eq!(net.hosts[b].node.write(now, incoming, b"welcome").unwrap(), 7);
            net.hosts[b].node.release(now, incoming);
        }
        net.hosts[a].events.contains(&Event::Connected { stream: id })
            && read_all(&mut net.hosts[a].node, now, id, &mut got)
    });
    assert_eq!(got, b"welcome");
    assert!(took < SECOND, "{took:?}");
}

#[test]
fn hazard_04_35_who_is_refused_was_never_connected() {
    let mut net = Net::new(17);
    let a = public(&mut net);
    let b = net.add(|config: &mut Config| {
        config.public = true;
        config.max_streams_per_port = 2;
    });
    net.hosts[b].node.listen(1000).unwrap();
    let dialled: Vec<StreamId> = (0..4).map(|_| net.connect(a, b, 1000)).collect();
    net.run_for(2 * SECOND);
    let is_connected =
        |net: &Net, id: StreamId| net.hosts[a].events.contains(&Event::Connected { stream: id });
    let connected = dialled.iter().filter(|id| is_connected(&net, **id)).count();
    assert_eq!(connected, 2);
    for id in dialled {
        let refused = closed(&net, a, id) == Some(CloseReason::Refused);
        assert_ne!(is_connected(&net, id), refused);
    }
}

/// Whoever opens the trust port and says nothing.
#[test]
fn hazard_08_21_a_handshake_that_never_comes_is_not_waited_for() {
    let mut net = Net::new(18);
    let a = public(&mut net);
    let mut rogue = Rogue::new(&mut net);
    rogue.meet(&mut net, a);
    for from in 0..20 {
        rogue.syn(&mut net, a, 50_000 + from, port::TRUST);
    }
    net.run_for(10 * MS);
    for (syn_ack, _) in rogue.received(&mut net) {
        let mut ack = rogue.header(&net, a, Protocol::Stream, syn_ack.dst_port, port::TRUST);
        (ack.flags, ack.seq, ack.ack, ack.window) = (Flags::ACK, 1001, syn_ack.seq.wrapping_add(1), 512);
        rogue.send(&mut net, a, &ack, b"");
    }
    net.run_for(20 * SECOND);
    let ended = rogue.received(&mut net).into_iter().filter(|(h, _)| h.flags == Flags::RST).count();
    assert_eq!(ended, 20);
}

/// Releases read the first segment of a trust message only; longer ones are lost (08-14). We collect.
/// Proves TRU-4.
#[test]
fn hazard_08_14_a_trust_message_of_several_segments_is_collected() {
    let mut net = Net::new(19);
    let a = public(&mut net);
    for (from, part, finishes) in
        [(50_000u16, 2000, false), (50_001, 400, false), (50_002, 7, false), (50_003, 400, true)]
    {
        let mut rogue = Rogue::new(&mut net);
        rogue.meet(&mut net, a);
        let request = rogue.trust_request(&net, a, &"why ".repeat(250));
        net.hosts[a].events.clear();
        rogue.syn(&mut net, a, from, port::TRUST);
        net.run_for(10 * MS);
        let (syn_ack, _) = rogue.received(&mut net).pop().unwrap();
        let mut segment = rogue.header(&net, a, Protocol::Stream, from, port::TRUST);
        (segment.flags, segment.ack, segment.window) = (Flags::ACK, syn_ack.seq.wrapping_add(1), 512);
        segment.seq = 1001;
        // The one that finishes too early is told so, not waited for.
        let message = if finishes { &request[..1000] } else { &request[..] };
        for part in message.as_bytes().chunks(part) {
            assert!(!net.hosts[a].events.iter().any(|event| matches!(event, Event::Trust(_))));
            rogue.send(&mut net, a, &segment, part);
            segment.seq += part.len() as u32;
            net.run_for(10 * MS);
        }
        if finishes {
            segment.flags = Flags::FIN;
            rogue.send(&mut net, a, &segment, b"");
            net.run_for(10 * MS);
        }
        rogue.received(&mut net);
        let asked = net.hosts[a].node.pending().any(|request| request.node == rogue.id);
        assert_eq!(asked, !finishes, "parts of {part}");
        let events = &net.hosts[a].events;
        let refused = events.iter().any(|event| matches!(event, Event::HandshakeRefused { .. }));
        assert_eq!(refused, finishes, "parts of {part}: {events:?}");
    }
}

/// Somebody with a tunnel pings as fast as he can. Proves PKT-9.
#[test]
fn pings_of_one_peer_are_answered_at_a_limited_rate_and_those_of_others_as_before() {
    let mut net = Net::new(20);
    let a = net.add(|_| {});
    let (mut loud, mut modest) = (Rogue::new(&mut net), Rogue::new(&mut net));
    let mut answers = [0, 0];
    loud.meet(&mut net, a);
    modest.meet(&mut net, a);
    for second in 0..10 {
        for _ in 0..100 {
            let ping = loud.header(&net, a, Protocol::Control, 0, port::PING);
            loud.send(&mut net, a, &ping, b"pathprobe.v1");
            net.run_for(10 * MS);
        }
        // What 1.18.0 does, and three times what it may do in ten seconds.
        let probe = modest.header(&net, a, Protocol::Control, 0, port::PING);
        modest.send(&mut net, a, &probe, b"pathprobe.v1");
        net.run_for(10 * MS);
        let pongs = |packets: Vec<(Header, Vec<u8>)>| {
            packets
                .iter()
                .filter(|(header, payload)| header.flags == Flags::ACK && payload == b"pathprobe.v1")
                .count()
        };
        answers[0] += pongs(loud.received(&mut net));
        answers[1] += pongs(modest.received(&mut net));
        assert_eq!(answers[1], second + 1);
    }
    assert!((115..=125).contains(&answers[0]), "{} of 1000 answered", answers[0]);
}
