//! Addresses, packets, SACK lists and beacon messages against the captured vectors, and round trips of anything.

use std::net::{IpAddr, SocketAddr};

use pilot_proto::addr::{Addr, AddrError, SockAddr};
use pilot_proto::wire::beacon::{self, Beacon, NodeList};
use pilot_proto::wire::packet::{EmitError, Flags, HEADER_LEN, Header, PacketError, Protocol};
use pilot_proto::wire::sack::{self, Block, Sack};
use proptest::prelude::*;
use serde_json::Value;

const WIRE: &str = include_str!("../../spec/vectors/wire.json");
const BEACON: &str = include_str!("../../spec/vectors/beacon.json");
const VERSIONS: &str = include_str!("../../spec/vectors/versions.json");

fn load(text: &str) -> Value {
    serde_json::from_str(text).expect("vectors are JSON")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value[key].as_array().unwrap_or_else(|| panic!("no list {key}"));
    assert!(!list.is_empty(), "{key} is empty");
    list
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value}"))
}

fn bytes(value: &Value, key: &str) -> Vec<u8> {
    hex::decode(text(value, key)).expect("vectors are hex")
}

fn number<T: TryFrom<u64>>(value: &Value, key: &str) -> T {
    let number = value[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {value}"));
    T::try_from(number).ok().unwrap_or_else(|| panic!("{key} out of range in {value}"))
}

fn addr(value: &Value) -> Addr {
    Addr { network: number(value, "network"), node: number(value, "node") }
}

fn reason(error: AddrError) -> &'static str {
    match error {
        AddrError::NoColon => "no_colon",
        AddrError::BadNetwork => "bad_network_decimal",
        AddrError::GroupCount { .. } => "group_count",
        AddrError::GroupLength { .. } => "group_length",
        AddrError::BadHex { .. } => "bad_hex",
        AddrError::NetworkMismatch { .. } => "network_mismatch",
        AddrError::BadPort => "bad_port",
    }
}

/// Proves ADR-1.
#[test]
fn addresses_in_binary() {
    for vector in list(&load(WIRE), "addresses_binary") {
        let addr = addr(vector);
        assert_eq!(addr.to_bytes().as_slice(), bytes(vector, "hex"));
        assert_eq!(Addr::from_bytes(bytes(vector, "hex").try_into().unwrap()), addr);
        assert_eq!(addr.to_string(), text(vector, "text"));
    }
}

/// Proves ADR-2, ADR-3 and ADR-5.
#[test]
fn addresses_in_text() {
    let vectors = load(WIRE);
    for vector in list(&vectors, "addresses_parse_ok") {
        let parsed: Addr = text(vector, "text").parse().unwrap();
        assert_eq!(parsed, addr(vector), "{vector}");
        assert_eq!(parsed.to_string(), text(vector, "canonical"));
        assert_eq!(parsed.to_bytes().as_slice(), bytes(vector, "hex"));
        assert_eq!(Some(parsed.is_broadcast()), vector["broadcast"].as_bool(), "{vector}");
        assert_eq!(Some(parsed.is_unspecified()), vector["zero"].as_bool(), "{vector}");
    }
    for vector in list(&vectors, "addresses_parse_error") {
        let error = text(vector, "text").parse::<Addr>().unwrap_err();
        assert_eq!(reason(error), text(vector, "reason"), "{vector}");
    }
}

/// Proves ADR-4.
#[test]
fn socket_addresses_in_text() {
    let vectors = load(WIRE);
    for vector in list(&vectors, "socket_addresses_parse_ok") {
        let parsed: SockAddr = text(vector, "text").parse().unwrap();
        assert_eq!(parsed, SockAddr::new(addr(vector), number(vector, "port")), "{vector}");
        assert_eq!(parsed.to_string(), text(vector, "canonical"));
    }
    for vector in list(&vectors, "socket_addresses_parse_error") {
        let error = text(vector, "text").parse::<SockAddr>().unwrap_err();
        assert_eq!(reason(error), text(vector, "reason"), "{vector}");
    }
}

fn header(fields: &Value) -> Header {
    Header {
        flags: Flags::from_bits(number(fields, "flags")),
        protocol: Protocol::from(number::<u8>(fields, "protocol")),
        src: addr(&fields["src"]),
        dst: addr(&fields["dst"]),
        src_port: number(fields, "src_port"),
        dst_port: number(fields, "dst_port"),
        seq: number(fields, "seq"),
        ack: number(fields, "ack"),
        window: number(fields, "window"),
    }
}

fn emit(header: &Header, payload: &[u8]) -> Vec<u8> {
    // A dirty buffer: every byte of the header must be written.
    let mut packet = vec![0xA5; HEADER_LEN];
    packet.extend_from_slice(payload);
    header.emit(&mut packet).unwrap();
    packet
}

/// Proves PKT-1, PKT-2 and PKT-3.
#[test]
fn packets() {
    let vectors = load(WIRE);
    for vector in list(&vectors, "packets_valid") {
        let fields = &vector["fields"];
        let payload = match vector.get("payload_hex") {
            Some(_) => bytes(vector, "payload_hex"),
            None => {
                assert_eq!(text(vector, "payload_rule"), "payload[i] = (i*7 + 3) mod 256");
                (0..number::<usize>(fields, "payload_len")).map(|i| (i * 7 + 3) as u8).collect()
            }
        };
        let packet = emit(&header(fields), &payload);
        match vector.get("hex") {
            Some(_) => assert_eq!(packet, bytes(vector, "hex"), "{vector}"),
            None => assert_eq!(packet[..HEADER_LEN], bytes(vector, "header_hex"), "{vector}"),
        }
        assert_eq!(packet.len(), number::<usize>(vector, "length"));
        let (parsed, range) = Header::parse(&packet).unwrap();
        assert_eq!(parsed, header(fields));
        assert_eq!(packet[range], payload);
        assert_eq!(hex::encode(&packet[30..34]), text(vector, "checksum"));
    }
    for vector in list(&vectors, "packets_accepted_with_extra") {
        let packet = bytes(vector, "hex");
        let (parsed, range) = Header::parse(&packet).unwrap();
        assert_eq!(parsed, header(&vector["fields"]), "{vector}");
        assert_eq!(packet[range], bytes(vector, "payload_hex"), "{vector}");
    }
}

/// Proves PKT-4.
#[test]
fn malformed_packets() {
    let vectors = load(WIRE);
    for vector in list(&vectors, "packets_malformed") {
        let reason = match Header::parse(&bytes(vector, "hex")).unwrap_err() {
            PacketError::TooShort { .. } => "too_short",
            PacketError::Truncated { .. } => "truncated",
            PacketError::Checksum { .. } => "checksum_mismatch",
            PacketError::Version { .. } => "bad_version",
        };
        assert_eq!(reason, text(vector, "reason"), "{vector}");
    }
    let header = Header::new(Protocol::Stream, SockAddr::default(), SockAddr::default());
    for vector in list(&vectors, "packets_encode_error") {
        let len = number(vector, "payload_len");
        let error = header.emit(&mut vec![0; HEADER_LEN + len]).unwrap_err();
        assert_eq!(error, EmitError::PayloadTooLarge { len }, "{vector}");
    }
    assert_eq!(header.emit(&mut [0; 33]), Err(EmitError::NoRoom { len: 33 }));
}

#[test]
fn packets_inside_tunnels_of_later_releases() {
    let vectors = load(VERSIONS);
    let frames = &vectors["tunnel_inner_frames"];
    for keepalive in list(frames, "idle_keepalive") {
        let (header, payload) = Header::parse(&bytes(keepalive, "inner")).unwrap();
        assert_eq!((header.protocol, header.flags, header.dst_port), (Protocol::Control, Flags::NONE, 0));
        assert!(payload.is_empty());
    }
    let probe = bytes(&frames["direct_path_probe"], "inner");
    let (header, _) = Header::parse(&probe).unwrap();
    assert_eq!((header.flags, header.seq), (Flags::ACK, 1));
    assert_eq!(emit(&header, b""), probe);
}

fn blocks(vector: &Value) -> Vec<Block> {
    let pair = |pair: &Value| Block {
        left: pair[0].as_u64().unwrap().try_into().unwrap(),
        right: pair[1].as_u64().unwrap().try_into().unwrap(),
    };
    vector["blocks"].as_array().unwrap().iter().map(pair).collect()
}

#[test]
fn sack_lists() {
    let vectors = load(WIRE);
    for vector in list(&vectors, "sack_encode") {
        let sack = Sack::new(blocks(vector));
        let mut out = [0xA5; sack::MAX_LEN];
        let len = sack.emit(&mut out).unwrap();
        assert_eq!(out[..len], bytes(vector, "hex"), "{vector}");
        assert_eq!(len, sack.encoded_len());
    }
    for vector in list(&vectors, "sack_decode_ok") {
        let payload = bytes(vector, "hex");
        assert_eq!(Sack::parse_loose(&payload).unwrap().blocks(), blocks(vector), "{vector}");
        assert!(sack::must_split(&payload));
    }
    for vector in list(&vectors, "sack_not_sack") {
        let payload = bytes(vector, "hex");
        assert_eq!(Sack::parse_loose(&payload), None, "{vector}");
        assert!(!sack::must_split(&payload), "{vector}");
    }
}

/// User data that looks like a list must reach the application: the reference loses it and then the connection.
#[test]
fn hazard_01_h5_data_that_begins_like_a_sack_list_is_data() {
    let list = Sack::new([Block { left: 200, right: 300 }]);
    let mut payload = [0; 13];
    list.emit(&mut payload).unwrap();
    assert_eq!(Sack::parse_strict(&payload, 100, 300), Some(list.clone()));
    assert_eq!(Sack::parse_strict(&payload, 199, 300), Some(list.clone()));

    assert_eq!(Sack::parse_strict(&payload, 200, 300), None, "the head of the block is already acknowledged");
    assert_eq!(Sack::parse_strict(&payload, 100, 299), None, "acknowledges what was never sent");
    let longer = [payload.as_slice(), b"x"].concat();
    assert_eq!(Sack::parse_strict(&longer, 100, 300), None, "a list has an exact length");
    let mut empty = [0; 13];
    Sack::new([Block { left: 200, right: 200 }]).emit(&mut empty).unwrap();
    assert_eq!(Sack::parse_strict(&empty, 100, 300), None, "an empty block");

    let (head, tail) = payload.split_at(sack::SPLIT_AT);
    assert!(sack::must_split(&payload) && !sack::must_split(head) && !sack::must_split(tail));
}

/// A long list is a list of four to a release, which ignores what follows.
#[test]
fn a_long_sack_list_is_a_list_of_four_to_releases() {
    let blocks: Vec<Block> = (0..40).map(|k| Block { left: 100 + 20 * k, right: 110 + 20 * k }).collect();
    for (room, fit) in [(0, 0), (12, 0), (13, 1), (37, 4), (45, 5), (1152, 32)] {
        let list = Sack::new_long(blocks.iter().copied(), room);
        assert_eq!(list.blocks(), &blocks[..fit]);
        let mut payload = [0; 300];
        let len = list.emit(&mut payload).unwrap();
        let payload = &payload[..len];
        assert!(len <= room);
        if fit == 0 {
            continue;
        }
        assert_eq!(Sack::parse_strict(payload, 99, 1000), Some(list));
        assert_eq!(Sack::parse_loose(payload).unwrap().blocks(), &blocks[..fit.min(4)]);
        assert!(sack::must_split(payload), "so no data looks like it");
        assert_eq!(Sack::parse_strict(&payload[..len - 1], 99, 1000), None);
    }
    let disordered =
        Sack::new_long([1, 2, 3, 4, 1000].map(|k| Block { left: k * 100, right: k * 100 + 50 }), 1152);
    let mut payload = [0; 45];
    disordered.emit(&mut payload).unwrap();
    assert_eq!(Sack::parse_strict(&payload, 99, 1000), None, "the fifth block was never sent");
}

#[test]
fn hazard_01_h9_sack_blocks_across_the_wrap() {
    let list = Sack::new([Block { left: 0xFFFF_F000, right: 0x0FFF }]);
    let mut payload = [0; 13];
    list.emit(&mut payload).unwrap();
    assert_eq!(Sack::parse_strict(&payload, 0xFFFF_E000, 0x1000), Some(list));
    assert_eq!(Sack::parse_strict(&payload, 0xFFFF_E000, 0xFFF), Some(Sack::parse_loose(&payload).unwrap()));
    assert_eq!(Sack::parse_strict(&payload, 0xFFFF_E000, 0xFFE), None);
}

fn beacon_round_trip(message: &[u8]) {
    let parsed = Beacon::parse(message).unwrap_or_else(|| panic!("{} refused", hex::encode(message)));
    let mut out = [0xA5; 600];
    let len = parsed.emit(&mut out).unwrap();
    assert_eq!(hex::encode(&out[..len]), hex::encode(message));
}

/// Proves NAT-1.
#[test]
fn beacon_messages() {
    let vectors = load(BEACON);
    for vector in list(&vectors, "daemon_discover_reply") {
        let message = bytes(vector, "hex");
        let observed = match Beacon::parse(&message) {
            Some(Beacon::DiscoverReply { observed }) => Some(observed),
            _ => None,
        };
        let expected = vector.get("endpoint").map(|_| text(vector, "endpoint").parse().unwrap());
        assert_eq!(observed, expected, "{vector}");
    }
    for vector in list(&vectors, "punch_command_encode") {
        let ip: IpAddr = text(vector, "ip").parse().unwrap();
        let mut out = [0xA5; 20];
        let len = Beacon::Punch { peer: SocketAddr::new(ip, number(vector, "port")) }.emit(&mut out).unwrap();
        assert_eq!(out[..len], bytes(vector, "hex"), "{vector}");
    }
    for vector in list(&vectors, "daemon_emits") {
        beacon_round_trip(&bytes(vector, "hex"));
    }
    for vector in list(&vectors, "daemon_receives") {
        let obeyed = vector["sent_to_target"].as_array().unwrap().len() == 3;
        let message = bytes(vector, "hex");
        assert_eq!(matches!(Beacon::parse(&message), Some(Beacon::Punch { .. })), obeyed, "{vector}");
    }
    for vector in list(&vectors, "daemon_receives_relay") {
        beacon_round_trip(&bytes(vector, "hex"));
    }
    for scenario in list(&vectors, "scenarios") {
        for step in list(scenario, "steps") {
            for sent in step["beacon_sends"].as_array().into_iter().flatten() {
                beacon_round_trip(&bytes(sent, "hex"));
            }
        }
    }
}

#[test]
fn beacon_messages_of_later_releases() {
    let vectors = load(VERSIONS);
    let parse = |name: &str| {
        let vector = list(&vectors["beacon"], "list").iter().find(|vector| text(vector, "name") == name);
        bytes(vector.unwrap_or_else(|| panic!("no vector {name}")), "hex")
    };
    let message = parse("discover with public key (accepted by newest beacon; first key wins)");
    assert_eq!(Beacon::parse(&message), Some(Beacon::Discover { node: 7 }));
    let message = parse("punch request with grant trailer (beacon that requires grants)");
    assert_eq!(Beacon::parse(&message), Some(Beacon::PunchRequest { requester: 5, target: 7 }));
    let message = parse("notify with trailing bytes (accepted)");
    assert_eq!(Beacon::parse(&message), Some(Beacon::Wake { kind: beacon::WAKE_HANDSHAKE }));
    let message = parse("notify of unknown kind (ignored)");
    assert_eq!(Beacon::parse(&message), Some(Beacon::Wake { kind: 2 }));
    assert_eq!(Beacon::parse(&[0x0a]), None);
    beacon_round_trip(&parse("notify: relayed handshake waiting"));
}

#[test]
fn node_lists_take_what_the_lent_memory_holds() {
    let mut memory = [0xA5; 4 * 3 + 1];
    let nodes = NodeList::new(&mut memory, 10..20);
    assert_eq!(nodes.iter().collect::<Vec<_>>(), [10, 11, 12]);
    beacon_round_trip(&[7, 0, 0, 0, 1, 0, 2, 0, 0, 0, 5, 0, 0, 0, 6]);
    assert_eq!(Beacon::parse(&[7, 0, 0, 0, 1, 0, 2, 0, 0, 0, 5, 0, 0, 0]), None, "a node id cut short");
}

fn any_addr() -> impl Strategy<Value = Addr> {
    any::<(u16, u32)>().prop_map(|(network, node)| Addr { network, node })
}

prop_compose! {
    fn any_header()(
        flags in 0u8..16, protocol: u8, src in any_addr(), dst in any_addr(),
        src_port: u16, dst_port: u16, seq: u32, ack: u32, window: u16,
    ) -> Header {
        let (flags, protocol) = (Flags::from_bits(flags), Protocol::from(protocol));
        Header { flags, protocol, src, dst, src_port, dst_port, seq, ack, window }
    }
}

proptest! {
    #[test]
    fn any_address_survives_text_and_bytes(addr in any_addr(), port: u16) {
        prop_assert_eq!(addr.to_string().parse::<Addr>(), Ok(addr));
        prop_assert_eq!(addr.to_string().to_lowercase().parse::<Addr>(), Ok(addr));
        prop_assert_eq!(Addr::from_bytes(addr.to_bytes()), addr);
        let socket = SockAddr::new(addr, port);
        prop_assert_eq!(socket.to_string().parse::<SockAddr>(), Ok(socket));
    }

    #[test]
    fn any_text_is_an_address_or_an_error(text in "[0-9A-Fa-f:.é+ ]{0,24}") {
        if let Ok(addr) = text.parse::<Addr>() {
            prop_assert_eq!(addr.to_string().parse::<Addr>(), Ok(addr));
        }
        let _ = text.parse::<SockAddr>();
    }

    #[test]
    fn any_packet_survives_the_wire(header in any_header(), payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let packet = emit(&header, &payload);
        let (parsed, range) = Header::parse(&packet).unwrap();
        prop_assert_eq!(parsed, header);
        prop_assert_eq!(&packet[range], &payload);
        for len in 0..packet.len() {
            prop_assert!(Header::parse(&packet[..len]).is_err());
        }
    }

    #[test]
    fn one_flipped_bit_is_noticed(header in any_header(), payload in prop::collection::vec(any::<u8>(), 0..40), at: usize) {
        let mut packet = emit(&header, &payload);
        let bit = at % (packet.len() * 8);
        packet[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Header::parse(&packet).is_err());
    }

    #[test]
    fn any_bytes_are_a_beacon_message_or_none(message in prop::collection::vec(any::<u8>(), 0..64), kind in 0u8..16) {
        let message = [&[kind], message.as_slice()].concat();
        if let Some(parsed) = Beacon::parse(&message) {
            let mut out = [0xA5; 128];
            let len = parsed.emit(&mut out).unwrap();
            prop_assert_eq!(Beacon::parse(&out[..len]), Some(parsed));
        }
    }

    #[test]
    fn any_blocks_survive_the_wire(blocks in prop::collection::vec(any::<(u32, u32)>(), 0..7)) {
        let sack = Sack::new(blocks.iter().map(|&(left, right)| Block { left, right }));
        let mut out = [0xA5; sack::MAX_LEN];
        let len = sack.emit(&mut out).unwrap();
        let expected = (!blocks.is_empty()).then_some(sack);
        prop_assert_eq!(Sack::parse_loose(&out[..len]), expected);
    }
}
