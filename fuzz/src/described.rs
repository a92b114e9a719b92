//! Two implementations of every binary format: ours, and what a compiler made of the descriptions in `spec/kaitai`. Both
//! take and refuse the same bytes, and what they took they say again with the same bytes.
//!
//! The first byte of an input chooses the format, the rest is the message.

use pilot_kaitai::{
    generated::{
        pilot_address::PilotAddress,
        pilot_beacon::{PilotBeacon, PilotBeacon_Body as Beaconed},
        pilot_data_exchange::{
            PilotDataExchange, PilotDataExchange_Chunked, PilotDataExchange_Chunked_Body as Body,
            PilotDataExchange_Frame_Payload as Exchanged, PilotDataExchange_Step,
        },
        pilot_event_stream::PilotEventStream,
        pilot_frame::{PilotFrame, PilotFrame_Body as Framed},
        pilot_ipc::{PilotIpc, PilotIpc_Body, PilotIpc_Body_Payload as Said},
        pilot_packet::PilotPacket,
        pilot_registry::PilotRegistry,
        pilot_sack::PilotSack,
    },
    read,
};
use pilot_proto::{
    Addr,
    wire::{
        beacon::Beacon,
        frame::{self, Frame},
        packet::{HEADER_LEN, Header},
        sack::{MAX_BLOCKS, Sack},
    },
};
use pilot_roles::{
    frames::{FrameReader, frame},
    ipc::{MAX_MESSAGE, Reply, Request},
    services::{
        data_exchange::{self, Chunked, Content},
        event_stream,
    },
};

use crate::second;

/// See the head of this file.
pub fn described(data: &[u8]) {
    let Some((format, message)) = data.split_first() else { return };
    match format % 9 {
        0 => packet(message),
        1 => tunnel_frame(message),
        2 => beacon(message),
        3 => ipc(message),
        4 => sack(message),
        5 => exchange(message),
        6 => events(message),
        7 => registry(message),
        _ => address(message),
    }
}

/// What the description of a packet takes, with the checksum it leaves to the reader.
fn packet(data: &[u8]) {
    let said = read::<PilotPacket>(data).ok().map(|packet| emitted(&packet));
    let said = said.filter(|said| {
        let sum = second::checksum(said, said.len());
        said[30..34] == sum.to_be_bytes()
    });
    let ours = Header::parse(data).ok().map(|(header, payload)| {
        let mut again = vec![0; payload.end];
        again[HEADER_LEN..].copy_from_slice(&data[payload]);
        header.emit(&mut again).expect("there is room");
        again
    });
    assert_eq!(ours, said);
    if let Ok((_, payload)) = Header::parse(data) {
        let packet = read::<PilotPacket>(data).expect("read above");
        if *packet.is_acknowledgment().expect("only looks") {
            let loose = Sack::parse_loose(&data[payload]);
            assert_eq!(loose.is_some(), *packet.has_sack().expect("only looks"));
        }
    }
}

fn emitted(packet: &PilotPacket) -> Vec<u8> {
    let flags = [packet.syn(), packet.ack(), packet.fin(), packet.rst()];
    let bits = flags.iter().enumerate().map(|(at, on)| u8::from(**on) << at).sum::<u8>();
    let mut out = vec![(*packet.version() as u8) << 4 | bits, i64::from(&*packet.protocol()) as u8];
    out.extend(packet.len_payload().to_be_bytes());
    put(&mut out, &packet.source());
    put(&mut out, &packet.destination());
    out.extend(packet.source_port().to_be_bytes());
    out.extend(packet.destination_port().to_be_bytes());
    out.extend(packet.sequence().to_be_bytes());
    out.extend(packet.acknowledgment().to_be_bytes());
    out.extend(packet.window().to_be_bytes());
    out.extend(packet.checksum().to_be_bytes());
    out.extend(&*packet.payload());
    out
}

fn put(out: &mut Vec<u8>, address: &PilotAddress) {
    out.extend(address.network().to_be_bytes());
    out.extend(address.node().to_be_bytes());
}

fn tunnel_frame(data: &[u8]) {
    let said = read::<PilotFrame>(data);
    let mut bytes = data.to_vec();
    let Ok(ours) = Frame::parse(&mut bytes) else {
        // An unknown magic is a body of bytes; a packet cut short is refused later here, at once there.
        assert!(said.is_err() || matches!(&*said.unwrap().body(), Some(Framed::Bytes(_))));
        return;
    };
    if let Frame::Plain { packet: inner } = ours {
        assert!(said.is_ok() || Header::parse(inner).is_err());
        return packet(inner);
    }
    let said = said.expect("ours takes it");
    let body = said.body();
    match (ours, body.as_ref().expect("a frame has a body")) {
        (Frame::Punch, Framed::PilotFrame_Punch(_)) => {}
        (Frame::Sealed(ours), Framed::PilotFrame_Sealed(said)) => {
            let head = frame::sealed_head(ours.suite, ours.sender, ours.nonce);
            let mut again = data[..4].to_vec();
            again.extend(said.sender().to_be_bytes());
            again.extend(&*said.nonce_prefix());
            again.extend(said.counter().to_be_bytes());
            assert_eq!(again, head);
            assert_eq!([&said.ciphertext()[..], &said.tag()[..]].concat(), ours.body);
        }
        (Frame::KeyAnonymous(ours), Framed::PilotFrame_AnonymousExchange(said)) => {
            assert_eq!((ours.sender, &ours.x25519[..]), (*said.sender(), &said.x25519_public()[..]));
        }
        (Frame::KeyAuthenticated(ours), Framed::PilotFrame_Exchange(said)) => {
            assert_eq!((ours.sender, &ours.x25519[..]), (*said.sender(), &said.x25519_public()[..]));
            assert_eq!(&ours.ed25519[..], &said.ed25519_public()[..]);
            assert_eq!(&ours.signature[..], &said.signature()[..]);
        }
        (ours, said) => panic!("{ours:?} is described as {said:?}"),
    }
}

fn beacon(data: &[u8]) {
    let said = read::<PilotBeacon>(data).ok().and_then(|message| {
        let mut out = vec![data[0]];
        match message.body().as_ref()? {
            Beaconed::PilotBeacon_Register(body) => out.extend(body.node().to_be_bytes()),
            Beaconed::PilotBeacon_Endpoint(body) => {
                out.push(*body.len_ip());
                out.extend(&*body.ip());
                out.extend(body.port().to_be_bytes());
            }
            Beaconed::PilotBeacon_PunchRequest(body) => {
                out.extend(body.requester().to_be_bytes());
                out.extend(body.target().to_be_bytes());
            }
            Beaconed::PilotBeacon_Relay(body) => {
                out.extend(body.sender().to_be_bytes());
                out.extend(body.destination().to_be_bytes());
                out.extend(&*body.frame());
            }
            Beaconed::PilotBeacon_Delivery(body) => {
                out.extend(body.sender().to_be_bytes());
                out.extend(&*body.frame());
            }
            Beaconed::PilotBeacon_Gossip(body) => {
                out.extend(body.beacon().to_be_bytes());
                out.extend(body.num_nodes().to_be_bytes());
                body.nodes().iter().for_each(|node| out.extend(node.to_be_bytes()));
            }
            Beaconed::PilotBeacon_Wake(body) => out.push(i64::from(&*body.reason()) as u8),
        }
        Some(out)
    });
    let ours = Beacon::parse(data);
    assert_eq!(ours.is_some(), said.is_some());
    if let (Some(ours), Some(said)) = (ours, said) {
        let mut out = vec![0; data.len()];
        let len = ours.emit(&mut out).expect("there is room");
        // An IPv4 address in its IPv6 form is said again as what it is.
        if said[..2] == [data[0], 16] && len < said.len() && matches!(data[0], 2 | 4) {
            assert_eq!((&said[2..14], &said[14..]), (&[&[0; 10][..], &[255; 2]].concat()[..], &out[2..len]));
        } else {
            assert_eq!(out[..len], said);
        }
    }
}

/// Commands of programs; the others are a daemon's.
const REQUESTS: [u8; 24] = [
    0x01, 0x03, 0x06, 0x08, 0x0b, 0x0d, 0x0f, 0x11, 0x13, 0x15, 0x17, 0x19, 0x1b, 0x1d, 0x1f, 0x21, 0x2b,
    0x2d, 0x37, 0x39, 0x61, 0x63, 0x65, 0x67,
];

fn ipc(message: &[u8]) {
    let Some(command) = message.first().copied() else { return };
    let said = read::<PilotIpc>(&frame(message)).ok().and_then(|stream| {
        let messages = stream.messages();
        let body = messages.first()?.body();
        again(&body, command)
    });
    let mut ours = Vec::new();
    if REQUESTS.contains(&command) {
        match Request::parse(message) {
            // Tags are JSON, which the description leaves to a schema.
            _ if command == 0x19 => return assert_eq!(said.expect("a text"), lossy(message)),
            Ok(request) => request.expect("it is not empty").write(&mut ours),
            Err(_) => return assert_eq!(said, None),
        }
    } else {
        match Reply::parse(message) {
            Ok(reply) => reply.write(&mut ours),
            Err(_) => return assert_eq!(said, None),
        }
    }
    // JSON may be any bytes, as far as the reader of messages is concerned; it is described as a text.
    assert_eq!(said.map(|said| lossy(&said)), Some(lossy(&ours[4..])));
}

fn lossy(message: &[u8]) -> Vec<u8> {
    [&message[..1], String::from_utf8_lossy(&message[1..]).as_bytes()].concat()
}

/// What a body says, as the shortest message that says it; `None` for what is known to nobody.
fn again(body: &PilotIpc_Body, command: u8) -> Option<Vec<u8>> {
    let mut out = vec![command];
    match body.payload().as_ref()? {
        Said::Bytes(_) if matches!(command, 0x0d | 0x17 | 0x21 | 0x2b | 0x3a) => {}
        Said::Bytes(_) => return None,
        Said::PilotIpc_Text(text) if command == 0x11 && text.text().is_empty() => return None,
        Said::PilotIpc_Text(text) => out.extend(text.text().as_bytes()),
        Said::PilotIpc_Port(said) => out.extend(said.port().to_be_bytes()),
        Said::PilotIpc_Node(said) => out.extend(said.node().to_be_bytes()),
        Said::PilotIpc_Connection(said) => out.extend(said.connection().to_be_bytes()),
        Said::PilotIpc_Extended(said) => out.extend(said.window().to_be_bytes()),
        Said::PilotIpc_Extend(said) => out.push(*said.flags() & 1),
        Said::PilotIpc_Switch(said) => out.push(u8::from(*said.value() == 1)),
        Said::PilotIpc_Count(said) => {
            out.extend(said.connection().to_be_bytes());
            out.extend(said.bytes().to_be_bytes());
        }
        Said::PilotIpc_Broken(said) => {
            out.extend(said.connection().to_be_bytes());
            out.extend(said.text().as_bytes());
        }
        Said::PilotIpc_Tagged(said) => {
            out.extend(said.number().to_be_bytes());
            out.extend(&*said.message());
        }
        Said::PilotIpc_ConnectionData(said) => {
            out.extend(said.connection().to_be_bytes());
            out.extend(&*said.data());
        }
        Said::PilotIpc_Error(said) => {
            out.extend(said.code().to_be_bytes());
            out.extend(said.text().as_bytes());
        }
        Said::PilotIpc_Target(said) => {
            put(&mut out, &said.address());
            out.extend(said.port().to_be_bytes());
        }
        Said::PilotIpc_SendTo(said) => {
            put(&mut out, &said.target().address());
            out.extend(said.target().port().to_be_bytes());
            out.extend(&*said.data());
        }
        Said::PilotIpc_RecvFrom(said) => {
            put(&mut out, &said.source());
            out.extend(said.source_port().to_be_bytes());
            out.extend(said.destination_port().to_be_bytes());
            out.extend(&*said.data());
        }
        Said::PilotIpc_Accept(said) => {
            out.extend(said.local_port().to_be_bytes());
            out.extend(said.connection().to_be_bytes());
            put(&mut out, &said.remote());
            out.extend(said.remote_port().to_be_bytes());
        }
        Said::PilotIpc_Handshake(said) => {
            let action = i64::from(&*said.action()) as u8;
            out.push(action);
            match action {
                1 | 3 => {
                    out.extend(said.node().to_be_bytes());
                    out.extend(said.reason().as_bytes());
                }
                2 | 6 => out.extend(said.node().to_be_bytes()),
                4 | 5 => {}
                7 => {
                    out.extend(said.node().to_be_bytes());
                    out.extend(said.timeout_ms().to_be_bytes());
                }
                _ => return None,
            }
        }
        Said::PilotIpc_Network(said) => {
            let (action, rest) = (i64::from(&*said.action()) as u8, said.rest());
            out.push(action);
            if !matches!(action, 1 | 6) {
                out.extend(said.network().to_be_bytes());
            }
            match action {
                1 | 3 | 4 | 6 => {}
                2 => out.extend(String::from_utf8_lossy(&rest).as_bytes()),
                5 => out.extend(rest.first_chunk::<4>()?),
                7 => out.push(u8::from(*rest.first()? == 1)),
                _ => return None,
            }
        }
    }
    Some(out)
}

fn sack(payload: &[u8]) {
    let said = read::<PilotSack>(payload).ok();
    let ours = Sack::parse_loose(payload);
    assert_eq!(ours.is_some(), said.is_some());
    let (Some(ours), Some(said)) = (ours, said) else { return };
    let ranges = |list: &[pilot_kaitai::runtime::OptRc<_>]| -> Vec<(u32, u32)> {
        let range =
            |range: &pilot_kaitai::generated::pilot_sack::PilotSack_Range| (*range.first(), *range.after());
        list.iter().map(|item| range(item)).collect()
    };
    let pairs = |sack: &Sack| -> Vec<(u32, u32)> {
        sack.blocks().iter().map(|block| (block.left, block.right)).collect()
    };
    assert_eq!(pairs(&ours), ranges(&said.ranges())[..ours.blocks().len().min(MAX_BLOCKS)]);
    // Anything is between what was acknowledged and itself: every list is one that could have been sent.
    let Some(first) = said.ranges().first().map(|range| *range.first()) else { return };
    if let Some(strict) = Sack::parse_strict(payload, first.wrapping_sub(1), first.wrapping_sub(2)) {
        let all = [ranges(&said.ranges()), ranges(&said.more())].concat();
        assert_eq!(pairs(&strict), all[..strict.blocks().len()]);
    }
}

fn exchange(stream: &[u8]) {
    let (mut decoder, mut rest, mut ours) = (data_exchange::Decoder::new(1 << 20), stream, Vec::new());
    while let Ok(Some(frame)) = decoder.feed(&mut rest) {
        ours.push(frame);
    }
    let whole = rest.is_empty() && decoder.is_idle();
    let said = read::<PilotDataExchange>(stream);
    assert_eq!(said.is_ok(), whole);
    let Ok(said) = said else { return };
    assert_eq!(said.frames().len(), ours.len());
    for (said, ours) in said.frames().iter().zip(ours) {
        assert_eq!(
            (i64::from(&*said.kind()), *said.len_payload() as usize),
            (ours.kind.into(), ours.payload.len())
        );
        let content = ours.content();
        match said.payload().as_ref().expect("it was read") {
            Exchanged::Bytes(payload) => assert_eq!(*payload, ours.payload),
            Exchanged::PilotDataExchange_File(file) => {
                let named = *file.has_name().expect("only looks") && !file.name().is_empty();
                match content {
                    Content::File { name, data } => {
                        assert!(named);
                        assert_eq!((name, data), (&file.name()[..], &file.content()[..]));
                    }
                    other => assert!(!named, "{other:?}"),
                }
            }
            Exchanged::PilotDataExchange_Traced(said) => match content {
                Content::Traced { inner, sent_at_ns, data } => {
                    assert_eq!((i64::from(inner), sent_at_ns), (i64::from(&*said.inner()), *said.sent_at()));
                    assert_eq!(data, &said.content()[..]);
                }
                other => assert!(!*said.has_form().expect("only looks"), "{other:?}"),
            },
            Exchanged::PilotDataExchange_Tagged(said) => match content {
                Content::Tagged { header, inner, data } => {
                    assert_eq!((header, i64::from(inner)), (&said.header()[..], i64::from(&*said.inner())));
                    assert_eq!(data, &said.content()[..]);
                }
                other => assert!(!*said.has_form().expect("only looks"), "{other:?}"),
            },
            Exchanged::PilotDataExchange_Chunked(said) => match content {
                Content::Chunked { transfer, step } => {
                    assert_eq!(transfer[..], said.transfer()[..]);
                    step_of_a_file(&step, said);
                }
                other => assert!(!has_form(said), "{other:?}"),
            },
        }
    }
}

fn step_of_a_file(ours: &Chunked<'_>, said: &PilotDataExchange_Chunked) {
    assert!(has_form(said), "{ours:?}");
    match (ours, said.body().as_ref().expect("it was read")) {
        (Chunked::Init { size, sha256, chunk, name }, Body::PilotDataExchange_Init(said)) => {
            assert_eq!((*size, *chunk), (*said.len_file(), *said.len_chunk()));
            assert_eq!((&sha256[..], *name), (&said.sha256()[..], &said.name()[..]));
        }
        (Chunked::Data { offset, data }, Body::PilotDataExchange_Piece(said)) => {
            assert_eq!((*offset, *data), (*said.offset(), &said.content()[..]));
        }
        (
            Chunked::Ack { contiguous: at } | Chunked::InitAck { resume: at },
            Body::PilotDataExchange_Position(said),
        ) => {
            assert_eq!(*at, *said.offset());
        }
        (Chunked::Complete { ok, text }, Body::PilotDataExchange_Complete(said)) => {
            assert_eq!((*ok, *text), (*said.status() == 0, &said.text()[..]));
        }
        (Chunked::Abort { text }, Body::Bytes(said)) => assert_eq!(*text, &said[..]),
        (Chunked::Done, Body::Bytes(_)) => {}
        (ours, _) => panic!("{ours:?} is described as another step"),
    }
}

/// Whether the description finds room for all fields of a step, and knows it.
fn has_form(said: &PilotDataExchange_Chunked) -> bool {
    *said.has_head().expect("only looks")
        && match said.body().as_ref().expect("it was read") {
            Body::PilotDataExchange_Init(said) => *said.has_name().expect("only looks"),
            Body::PilotDataExchange_Piece(said) => *said.has_form().expect("only looks"),
            Body::PilotDataExchange_Position(said) => *said.has_form().expect("only looks"),
            Body::PilotDataExchange_Complete(said) => *said.has_form().expect("only looks"),
            Body::Bytes(_) => !matches!(*said.step(), PilotDataExchange_Step::Unknown(_)),
        }
}

fn events(stream: &[u8]) {
    let (mut decoder, mut rest, mut ours) = (event_stream::Decoder::new(1 << 20), stream, Vec::new());
    while let Ok(Some(event)) = decoder.feed(&mut rest) {
        ours.push(event);
    }
    let whole = rest.is_empty() && decoder.is_idle();
    let Ok(said) = read::<PilotEventStream>(stream) else { return assert!(!whole) };
    // A description has no longest topic.
    if !whole {
        return assert!(
            said.events().iter().any(|event| usize::from(*event.len_topic()) > event_stream::MAX_TOPIC)
        );
    }
    assert_eq!(said.events().len(), ours.len());
    for (said, ours) in said.events().iter().zip(ours) {
        assert_eq!(*said.topic(), String::from_utf8_lossy(&ours.topic));
        assert_eq!(*said.payload(), ours.payload);
    }
}

fn registry(stream: &[u8]) {
    let mut reader = FrameReader::new(MAX_MESSAGE);
    reader.push(stream);
    let mut ours = Vec::new();
    while let Ok(Some(body)) = reader.pop() {
        ours.push(String::from_utf8_lossy(body).into_owned());
    }
    let said = read::<PilotRegistry>(stream);
    assert_eq!(said.is_ok(), reader.pending() == 0);
    if let Ok(said) = said {
        assert_eq!(said.messages().iter().map(|message| message.text().clone()).collect::<Vec<_>>(), ours);
    }
}

fn address(data: &[u8]) {
    let said = read::<PilotAddress>(data).ok().map(|address| (*address.network(), *address.node()));
    let ours = data.first_chunk::<6>().map(|bytes| Addr::from_bytes(*bytes));
    assert_eq!(said, ours.map(|addr| (addr.network, addr.node)));
}
