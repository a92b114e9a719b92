//! Packets and what rides in them: header, checksum, SACK lists (PKT, STR-12).

use super::super::case::{Case, Cases, Expect, Strictness};
use super::{STREAM, WIRE, about, flipped, hex, list, pattern, slug, text, unhex, vectors, with};
use crate::live::wire::{self, Packet};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let golden = vectors(WIRE);
    let mut cases = Cases::new("packet");
    valid(&mut cases, &golden);
    malformed(&mut cases, &golden);
    generated(&mut cases);
    checksums(&mut cases);
    let mut all = cases.all;
    all.extend(sack(&golden));
    all
}

/// Payloads of every length up to where implementations of the checksum change from bytes to words to vectors.
fn checksums(cases: &mut Cases) {
    let rule = "the checksum is CRC-32 as in IEEE 802.3, over header and payload";
    for length in (1..=70).chain([127, 128, 129, 222, 223, 255, 256, 511, 512, 1023, 1152, 1400, 4095]) {
        let packet = sample().payload(pattern(length));
        let (bytes, members) = (packet.encode(), members(&packet));
        let question = with("encode-packet", &members);
        let expect = Expect::Result(json!({"hex": hex(&bytes)}));
        cases.must(&format!("encode/payload-{length:04}"), "PKT-3", rule, question, expect);
        let question = about("decode-packet", &bytes);
        cases.must(&format!("decode/payload-{length:04}"), "PKT-3", rule, question, Expect::Result(members));
        let question = about("decode-packet", &flipped(&bytes, 8 * bytes.len() - 1));
        let rule = "a wrong last bit is found";
        cases.must(
            &format!("refuse/payload-{length:04}"),
            "PKT-3",
            rule,
            question,
            refused_for("checksum_mismatch"),
        );
    }
}

/// The members by which an adapter tells a packet.
fn members(packet: &Packet) -> Value {
    json!({
        "flags": packet.flags, "protocol": packet.protocol,
        "source_network": packet.source.0, "source_node": packet.source.1,
        "destination_network": packet.destination.0, "destination_node": packet.destination.1,
        "source_port": packet.source_port, "destination_port": packet.destination_port,
        "sequence": packet.sequence, "acknowledgment": packet.acknowledgment, "window": packet.window,
        "payload": hex(&packet.payload),
    })
}

/// The members of a packet in the vectors.
fn golden_members(vector: &Value, payload: &[u8]) -> Value {
    let fields = &vector["fields"];
    json!({
        "flags": fields["flags"], "protocol": fields["protocol"],
        "source_network": fields["src"]["network"], "source_node": fields["src"]["node"],
        "destination_network": fields["dst"]["network"], "destination_node": fields["dst"]["node"],
        "source_port": fields["src_port"], "destination_port": fields["dst_port"],
        "sequence": fields["seq"], "acknowledgment": fields["ack"], "window": fields["window"],
        "payload": hex(payload),
    })
}

/// Releases know three protocols; what is done with others is not the codec's business (PKT-2).
fn decoded(protocol: &Value, members: Value) -> Expect {
    if matches!(protocol.as_u64(), Some(1..=3)) { Expect::Result(members) } else { Expect::Either(members) }
}

fn valid(cases: &mut Cases, golden: &Value) {
    for vector in list(&golden["packets_valid"]) {
        let name = slug(text(&vector["name"]));
        let (bytes, payload) = if vector["hex"].is_string() {
            (unhex(&vector["hex"]), unhex(&vector["payload_hex"]))
        } else {
            let length = vector["fields"]["payload_len"].as_u64().unwrap_or_default() as usize;
            ([unhex(&vector["header_hex"]), pattern(length)].concat(), pattern(length))
        };
        let members = golden_members(vector, &payload);
        let expect = decoded(&members["protocol"], members.clone());
        let rule = "a valid packet is read field by field";
        cases.must(&format!("decode/{name}"), "PKT-1", rule, about("decode-packet", &bytes), expect);
        let expect = Expect::Result(json!({"hex": hex(&bytes)}));
        let rule = "a packet is written byte for byte as releases write it, checksum included";
        cases.must(&format!("encode/{name}"), "PKT-1", rule, with("encode-packet", &members), expect);
    }
    for vector in list(&golden["packets_accepted_with_extra"]) {
        let members = golden_members(vector, &unhex(&vector["payload_hex"]));
        let id = format!("decode/{}", slug(text(&vector["name"])));
        let rule = "bytes after the payload are ignored and not covered by the checksum";
        let question = about("decode-packet", &unhex(&vector["hex"]));
        cases.must(&id, "PKT-4", rule, question, Expect::Result(members));
    }
    for vector in list(&golden["packets_encode_error"]) {
        let length = vector["payload_len"].as_u64().unwrap_or_default() as usize;
        let mut question = with("encode-packet", &members(&Packet::new(wire::STREAM, 1, 2)));
        question["payload"] = hex(&pattern(length)).into();
        let rule = "a payload that the length field cannot state is refused";
        cases.must(&format!("encode/payload-of-{length}"), "PKT-11", rule, question, Expect::Refusal);
    }
}

fn refused_for(reason: &str) -> Expect {
    Expect::Reason(reason.into(), Strictness::Hidden)
}

fn malformed(cases: &mut Cases, golden: &Value) {
    for vector in list(&golden["packets_malformed"]) {
        let id = format!("refuse/{}", slug(text(&vector["name"])));
        let rule = "length, checksum and version are checked, in this order";
        let question = about("decode-packet", &unhex(&vector["hex"]));
        cases.must(&id, "PKT-4", rule, question, refused_for(text(&vector["reason"])));
    }
}

fn sample() -> Packet {
    Packet::new(wire::STREAM, 0x0102_0304, 0x1122_3344)
        .ports(49_152, 1000)
        .flags(wire::ACK)
        .numbers(0x89AB_CDEF, 0x0123_4567, 502)
        .payload(*b"hello")
}

fn generated(cases: &mut Cases) {
    let whole = sample().encode();
    for length in 0..whole.len() {
        let reason = if length < 34 { "too_short" } else { "truncated" };
        let rule = "a packet that is cut short is refused";
        let question = about("decode-packet", &whole[..length]);
        cases.must(&format!("refuse/cut-at-{length:02}"), "PKT-4", rule, question, refused_for(reason));
    }
    for bit in 0..8 * whole.len() {
        let bytes = flipped(&whole, bit);
        // A turned bit of the length that leaves enough bytes is found by the checksum.
        let rule = "a packet with one wrong bit is refused";
        let id = format!("refuse/byte-{:02}-bit-{}", bit / 8, bit % 8);
        cases.must(&id, "PKT-4", rule, about("decode-packet", &bytes), Expect::Refusal);
    }
    for version in (0..16).filter(|version| *version != 1) {
        let bytes = Packet { version, ..sample() }.encode();
        let rule = "a version other than 1 is refused though its checksum is right";
        let id = format!("refuse/version-{version}");
        cases.must(&id, "PKT-4", rule, about("decode-packet", &bytes), refused_for("bad_version"));
    }
    let lies = [0usize, 4, 6, 256, 65_535];
    for length in lies {
        // The length is a lie and the checksum is right for what it says is there.
        let mut bytes = whole.clone();
        bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        bytes[30..34].fill(0);
        let sum = wire::crc32(&bytes[..bytes.len().min(34 + length)]).to_be_bytes();
        bytes[30..34].copy_from_slice(&sum);
        let question = about("decode-packet", &bytes);
        if let Ok(packet) = Packet::decode(&bytes) {
            let rule = "the length field says where the payload ends";
            let expect = Expect::Result(members(&packet));
            cases.must(&format!("decode/length-{length}-of-5"), "PKT-4", rule, question, expect);
        } else {
            let rule = "more payload is announced than is there";
            cases.must(
                &format!("refuse/length-{length}-of-5"),
                "PKT-4",
                rule,
                question,
                refused_for("truncated"),
            );
        }
    }
    for (name, fill, length) in
        [("zeros", 0, 34), ("zeros", 0, 4096), ("ones", 0xFF, 34), ("ones", 0xFF, 65_569)]
    {
        let rule = "nothing but a packet is read as one";
        let id = format!("refuse/only-{name}-{length}");
        let question = about("decode-packet", &vec![fill; length]);
        cases.must(&id, "PKT-4", rule, question, Expect::Refusal);
    }
    for (name, packet) in one_field_at_a_time() {
        let members = members(&packet);
        let rule = "each field has its place and its byte order";
        let question = about("decode-packet", &packet.encode());
        cases.must(&format!("decode/{name}"), "PKT-1", rule, question, Expect::Result(members.clone()));
        let expect = Expect::Result(json!({"hex": hex(&packet.encode())}));
        cases.must(&format!("encode/{name}"), "PKT-1", rule, with("encode-packet", &members), expect);
    }
}

/// Packets of zeros with one field of asymmetric bytes.
fn one_field_at_a_time() -> Vec<(&'static str, Packet)> {
    let blank = || Packet::new(wire::CONTROL, 0, 0);
    vec![
        ("only-source-network", Packet { source: (0x0102, 0), ..blank() }),
        ("only-source-node", Packet { source: (0, 0x0102_0304), ..blank() }),
        ("only-destination-network", Packet { destination: (0x0102, 0), ..blank() }),
        ("only-destination-node", Packet { destination: (0, 0x0102_0304), ..blank() }),
        ("only-source-port", Packet { source_port: 0x0102, ..blank() }),
        ("only-destination-port", Packet { destination_port: 0x0102, ..blank() }),
        ("only-sequence", Packet { sequence: 0x0102_0304, ..blank() }),
        ("only-acknowledgment", Packet { acknowledgment: 0x0102_0304, ..blank() }),
        ("only-window", Packet { window: 0x0102, ..blank() }),
    ]
}

fn sack(golden: &Value) -> Vec<Case> {
    let mut cases = Cases::new("sack");
    for (number, vector) in list(&golden["sack_decode_ok"]).iter().enumerate() {
        let rule = "a list is recognised by its shape; what follows it does not matter";
        let expect = Expect::Result(json!({"ranges": vector["blocks"]}));
        let question = about("decode-sack", &unhex(&vector["hex"]));
        cases.must(&format!("decode/vector-{number}"), "STR-12", rule, question, expect);
    }
    for (number, vector) in list(&golden["sack_encode"]).iter().enumerate() {
        let rule = "at most four ranges are written, none as nothing";
        let expect = Expect::Result(json!({"hex": vector["hex"]}));
        let question = json!({"op": "encode-sack", "ranges": vector["blocks"]});
        cases.must(&format!("encode/vector-{number}"), "STR-12", rule, question, expect);
    }
    for (number, vector) in list(&golden["sack_not_sack"]).iter().enumerate() {
        let question = about("decode-sack", &unhex(&vector["hex"]));
        let rule = "anything else is data";
        cases.must(&format!("refuse/vector-{number}"), "STR-12", rule, question, Expect::Refusal);
    }
    let ranges: Vec<(u32, u32)> = (1..=4).map(|i| (i * 0x0102_0304, i * 0x0102_0304 + 77)).collect();
    for count in 1..=4 {
        let bytes = wire::sack(&ranges[..count]);
        let rule = "as many ranges are read as the count says";
        let expect = Expect::Result(json!({"ranges": ranges[..count]}));
        cases.must(&format!("decode/ranges-{count}"), "STR-12", rule, about("decode-sack", &bytes), expect);
        for length in 0..bytes.len() {
            let rule = "a list that is cut short is data";
            let id = format!("refuse/ranges-{count}-cut-at-{length:02}");
            cases.must(&id, "STR-12", rule, about("decode-sack", &bytes[..length]), Expect::Refusal);
        }
    }
    let whole = wire::sack(&ranges);
    for bit in 0..32 {
        let rule = "a list begins with SACK";
        let id = format!("refuse/magic-bit-{bit:02}");
        cases.must(&id, "STR-12", rule, about("decode-sack", &flipped(&whole, bit)), Expect::Refusal);
    }
    for count in (0..=255).filter(|count| !(1..=4).contains(count)) {
        let mut bytes = [whole.clone(), vec![0; 8 * 256]].concat();
        bytes[4] = count;
        let rule = "a count is 1 to 4";
        let question = about("decode-sack", &bytes);
        cases.must(&format!("refuse/count-{count:03}"), "STR-12", rule, question, Expect::Refusal);
    }
    captured(&mut cases);
    cases.all
}

/// Lists that releases sent.
fn captured(cases: &mut Cases) {
    let golden = vectors(STREAM);
    let mut seen = std::collections::BTreeSet::new();
    for trace in list(&golden["traces"]) {
        for event in list(&trace["events"]) {
            let payload = text(&event["payload_hex"]);
            let blocks = &event["sack"];
            // Some of the packets to a release were made to mislead it.
            let sent_by_a_release = event["dir"] == "R>P";
            if sent_by_a_release
                && blocks.is_array()
                && payload.starts_with("5341434b")
                && seen.insert(payload.to_string())
            {
                let rule = "lists of releases are read";
                let id = format!("decode/captured-{:02}", seen.len());
                let question = json!({"op": "decode-sack", "hex": payload});
                cases.must(&id, "STR-12", rule, question, Expect::Result(json!({"ranges": blocks})));
            }
        }
    }
}
