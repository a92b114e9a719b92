//! Beacon messages (NAT-1).

use super::super::case::{Case, Cases, Expect};
use super::{BEACON, VERSIONS, about, hex, list, slug, text, unhex, vectors, with};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A message, what an adapter tells of it, and from which length on it is whole.
struct Message {
    name: String,
    bytes: Vec<u8>,
    members: Value,
    shortest: usize,
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("beacon");
    for message in messages() {
        let Message { name, bytes, members, shortest } = message;
        let rule = "a message is read by its first byte";
        let expect = Expect::Result(members.clone());
        cases.must(&format!("decode/{name}"), "NAT-1", rule, about("decode-beacon", &bytes), expect);
        let rule = "a message is written byte for byte";
        let expect = Expect::Result(json!({"hex": hex(&bytes)}));
        cases.must(&format!("encode/{name}"), "NAT-1", rule, with("encode-beacon", &members), expect);
        for length in 1..shortest {
            let rule = "a message that is cut short is ignored";
            let question = about("decode-beacon", &bytes[..length]);
            cases.must(
                &format!("refuse/{name}-cut-at-{length:02}"),
                "NAT-1",
                rule,
                question,
                Expect::Refusal,
            );
        }
        if shortest == bytes.len() {
            let longer = [bytes, vec![0xA5; 3]].concat();
            let rule = "bytes after a message are ignored";
            let expect = Expect::Result(members);
            cases.must(
                &format!("decode/{name}-and-3-more"),
                "NAT-1",
                rule,
                about("decode-beacon", &longer),
                expect,
            );
        }
    }
    addresses(&mut cases);
    kinds(&mut cases);
    golden(&mut cases);
    cases.all
}

fn with_address(kind: u8, name: &str, id: &str, at: &str) -> Message {
    let at: SocketAddr = at.parse().expect("an address written here");
    let ip = match at.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let bytes = [&[kind, ip.len() as u8][..], &ip, &at.port().to_be_bytes()].concat();
    let members = json!({"kind": name, "ip": at.ip().to_string(), "port": at.port()});
    Message { name: id.into(), shortest: bytes.len(), bytes, members }
}

fn messages() -> Vec<Message> {
    let fixed = |name: &str, bytes: &[u8], members: Value, shortest: usize| Message {
        name: name.into(),
        bytes: bytes.to_vec(),
        members,
        shortest,
    };
    let mut all = vec![
        fixed("register", b"\x01\xDE\xAD\xBE\xEF", json!({"kind": "register", "node": 0xDEAD_BEEF_u32}), 5),
        fixed(
            "punch-request",
            b"\x03\x01\x02\x03\x04\x05\x06\x07\x08",
            json!({"kind": "punch-request", "requester": 0x0102_0304, "target": 0x0506_0708}),
            9,
        ),
        fixed(
            "relay",
            b"\x05\x01\x02\x03\x04\x05\x06\x07\x08PILP",
            json!({"kind": "relay", "sender": 0x0102_0304, "destination": 0x0506_0708, "frame": hex(b"PILP")}),
            9,
        ),
        fixed(
            "delivery",
            b"\x06\x01\x02\x03\x04PILP",
            json!({"kind": "delivery", "sender": 0x0102_0304, "frame": hex(b"PILP")}),
            5,
        ),
        fixed(
            "gossip",
            b"\x07\0\0\0\x63\0\x02\x01\x02\x03\x04\xFF\xFF\xFF\xFE",
            json!({"kind": "gossip", "beacon": 99, "nodes": [0x0102_0304, 0xFFFF_FFFE_u32]}),
            15,
        ),
        fixed(
            "gossip-of-none",
            b"\x07\0\0\0\x63\0\0",
            json!({"kind": "gossip", "beacon": 99, "nodes": []}),
            7,
        ),
        fixed("wake", b"\x0A\x01", json!({"kind": "wake", "value": 1}), 2),
    ];
    let addresses = [
        ("ipv4", "203.0.113.7:4000"),
        ("ipv4-port-1", "10.0.0.1:1"),
        ("ipv4-port-65535", "198.51.100.255:65535"),
        ("ipv6", "[2001:db8::1]:4000"),
        ("ipv6-link-local", "[fe80::1]:49152"),
        ("ipv6-loopback", "[::1]:29111"),
    ];
    for (id, at) in addresses {
        all.push(with_address(2, "your-address", &format!("your-address-{id}"), at));
        all.push(with_address(4, "punch", &format!("punch-{id}"), at));
    }
    let nodes: Vec<u32> = (1..=300).map(|i| i * 0x0001_0203).collect();
    let mut bytes = b"\x07\0\0\x01\x02\x01\x2C".to_vec();
    nodes.iter().for_each(|node| bytes.extend(node.to_be_bytes()));
    let members = json!({"kind": "gossip", "beacon": 0x0102, "nodes": nodes});
    all.push(Message { name: "gossip-of-300".into(), shortest: 0, bytes, members });
    all
}

fn addresses(cases: &mut Cases) {
    for length in (0..=255u8).filter(|length| ![4, 16].contains(length)) {
        let bytes = [&[2, length][..], &vec![1; 300]].concat();
        let rule = "an address has 4 or 16 bytes";
        let id = format!("refuse/address-length-{length:03}");
        cases.must(&id, "NAT-1", rule, about("decode-beacon", &bytes), Expect::Refusal);
    }
    let mapped: Ipv6Addr = "::ffff:203.0.113.7".parse().expect("an address written here");
    for (kind, name) in [(2, "your-address"), (4, "punch")] {
        let bytes = [&[kind, 16][..], &mapped.octets(), &[0x0F, 0xA0]].concat();
        let rule = "an IPv4-mapped address is the IPv4 address";
        let expect = Expect::Result(json!({"kind": name, "ip": "203.0.113.7", "port": 4000}));
        let id = format!("decode/{name}-mapped");
        cases.should(&id, "NAT-1", rule, about("decode-beacon", &bytes), expect);
        let rule = "an IPv4-mapped address is written with four bytes";
        let fields = json!({"kind": name, "ip": "::ffff:203.0.113.7", "port": 4000});
        let expect = Expect::Result(json!({"hex": hex(&[kind, 4, 203, 0, 113, 7, 0x0F, 0xA0])}));
        cases.must(&format!("encode/{name}-mapped"), "NAT-1", rule, with("encode-beacon", &fields), expect);
    }
}

fn kinds(cases: &mut Cases) {
    cases.must(
        "refuse/empty",
        "NAT-1",
        "nothing is no message",
        about("decode-beacon", b""),
        Expect::Refusal,
    );
    for kind in (0..=0xFFu8).filter(|kind| !(1..=10).contains(kind)) {
        let bytes = [&[kind, 4][..], &[1; 40]].concat();
        let rule = "unknown types are ignored";
        let id = format!("refuse/type-{kind:02x}");
        cases.must(&id, "NAT-1", rule, about("decode-beacon", &bytes), Expect::Refusal);
    }
    for kind in [8u8, 9] {
        let bytes = [&[kind][..], &[0; 8], b"PILP"].concat();
        let rule = "08 and 09 are ignored as unknown types";
        let id = format!("refuse/type-{kind:02x}");
        cases.should(&id, "NAT-17", rule, about("decode-beacon", &bytes), Expect::Refusal);
    }
    for (announced, there) in [(1u16, 0usize), (2, 1), (300, 299), (65_535, 10)] {
        let bytes = [&[7, 0, 0, 0, 1][..], &announced.to_be_bytes(), &vec![0; 4 * there]].concat();
        let rule = "a list that announces more than is there is ignored";
        let id = format!("refuse/gossip-{announced}-of-{there}");
        cases.must(&id, "NAT-1", rule, about("decode-beacon", &bytes), Expect::Refusal);
    }
    let paged = b"\x07\0\0\0\x01\0\x01\0\0\0\x05\x00\x02";
    let rule = "what follows the node ids is no node";
    let expect = Expect::Result(json!({"kind": "gossip", "beacon": 1, "nodes": [5]}));
    cases.must("decode/gossip-with-page", "NAT-16", rule, about("decode-beacon", paged), expect);
}

/// Messages that releases sent or took.
fn golden(cases: &mut Cases) {
    let golden = vectors(BEACON);
    for vector in list(&golden["daemon_discover_reply"]) {
        let id = slug(text(&vector["what"]));
        let question = about("decode-beacon", &unhex(&vector["hex"]));
        let bytes = unhex(&vector["hex"]);
        if vector["error"] == true && bytes.first() == Some(&2) {
            let rule = "wrong lengths are ignored";
            cases.must(&format!("refuse/captured-{id}"), "NAT-1", rule, question, Expect::Refusal);
        } else if let Ok(at) = text(&vector["endpoint"]).parse::<SocketAddr>() {
            let rule = "what releases read is read";
            let expect =
                Expect::Result(json!({"kind": "your-address", "ip": at.ip().to_string(), "port": at.port()}));
            cases.must(&format!("decode/captured-{id}"), "NAT-1", rule, question, expect);
        }
    }
    for (number, vector) in list(&golden["punch_command_encode"]).iter().enumerate() {
        let fields = json!({"kind": "punch", "ip": vector["ip"], "port": vector["port"]});
        let rule = "a message is written as releases write it";
        let expect = Expect::Result(json!({"hex": vector["hex"]}));
        cases.must(
            &format!("encode/captured-{number}"),
            "NAT-1",
            rule,
            with("encode-beacon", &fields),
            expect,
        );
    }
    for (number, vector) in list(&golden["daemon_emits"]).iter().enumerate() {
        let rule = "what releases send is read";
        let bytes = unhex(&vector["hex"]);
        let node = &vector["node"];
        let members = match bytes.first() {
            Some(1) => json!({"kind": "register", "node": node}),
            Some(3) => json!({"kind": "punch-request", "requester": node}),
            Some(5) => json!({"kind": "relay", "sender": node, "frame": hex(&bytes[9..])}),
            _ => continue,
        };
        let id = format!("decode/emitted-{number}");
        cases.must(&id, "NAT-1", rule, about("decode-beacon", &bytes), Expect::Result(members));
    }
    let versions = vectors(VERSIONS);
    for (number, vector) in list(&versions["beacon"]["list"]).iter().enumerate() {
        let bytes = unhex(&vector["hex"]);
        let members = match bytes.first() {
            Some(1) => json!({"kind": "register"}),
            Some(3) => json!({"kind": "punch-request", "requester": 5, "target": 7}),
            Some(10) => json!({"kind": "wake", "value": bytes[1]}),
            _ => continue,
        };
        let rule = "what newer releases append is ignored";
        let id = format!("decode/newer-{number}");
        cases.must(&id, "NAT-1", rule, about("decode-beacon", &bytes), Expect::Result(members));
    }
}
