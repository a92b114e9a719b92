//! Addresses, in six bytes and in text (ADR).

use super::super::case::{Case, Cases, Expect, Strictness};
use super::{WIRE, about, hex, list, text, unhex, vectors};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let golden = vectors(WIRE);
    let mut cases = Cases::new("address");
    binary(&mut cases, &golden);
    parse(&mut cases, &golden);
    sockets(&mut cases, &golden);
    cases.all
}

/// ADR-3, step by step.
fn read(text: &str) -> Result<(u16, u32), &'static str> {
    let (left, right) = text.split_once(':').ok_or("no_colon")?;
    let digits = !left.is_empty() && left.bytes().all(|byte| byte.is_ascii_digit());
    let network: u16 = left.parse().ok().filter(|_| digits).ok_or("bad_network_decimal")?;
    let groups: Vec<&str> = right.split('.').collect();
    let [first, second, third] = groups[..] else { return Err("group_count") };
    if [first, second, third].iter().any(|group| group.len() != 4) {
        return Err("group_length");
    }
    let number = |group: &str| {
        let digits = group.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(group, 16).ok().filter(|_| digits).ok_or("bad_hex")
    };
    if number(first)? != network {
        return Err("network_mismatch");
    }
    Ok((network, u32::from(number(second)?) << 16 | u32::from(number(third)?)))
}

/// ADR-2.
fn write(network: u16, node: u32) -> String {
    format!("{network}:{network:04X}.{:04X}.{:04X}", node >> 16, node & 0xFFFF)
}

fn both(network: &Value, node: &Value) -> Value {
    json!({"network": network, "node": node})
}

fn binary(cases: &mut Cases, golden: &Value) {
    let mut seen: Vec<(u64, u64)> = Vec::new();
    let vectors = list(&golden["addresses_binary"]).iter().chain(list(&golden["addresses_parse_ok"]));
    for vector in vectors {
        let numbers =
            (vector["network"].as_u64().unwrap_or_default(), vector["node"].as_u64().unwrap_or_default());
        if seen.contains(&numbers) {
            continue;
        }
        seen.push(numbers);
        let id = text(&vector["hex"]).to_string();
        let address = both(&vector["network"], &vector["node"]);
        let question = about("decode-address", &unhex(&vector["hex"]));
        let rule = "an address is network and node, big-endian";
        cases.must(&format!("decode/{id}"), "ADR-1", rule, question, Expect::Result(address.clone()));
        let expect = Expect::Result(json!({"hex": vector["hex"]}));
        cases.must(&format!("encode/{id}"), "ADR-1", rule, super::with("encode-address", &address), expect);
        let (network, node) = (numbers.0 as u16, numbers.1 as u32);
        let written = write(network, node);
        let rule = "groups have four upper-case digits, the number in front has no leading zeros";
        let question = super::with("format-address", &address);
        cases.must(
            &format!("format/{id}"),
            "ADR-2",
            rule,
            question,
            Expect::Result(json!({"text": written})),
        );
        let special = json!({"broadcast": node == u32::MAX, "unspecified": (network, node) == (0, 0)});
        let rule = "broadcast is told by the node id alone, unspecified by both numbers";
        let question = super::with("classify-address", &address);
        cases.must(&format!("classify/{id}"), "ADR-5", rule, question, Expect::Result(special));
    }
    for (network, node) in [(5, 0), (65_535, 0), (0, u32::MAX - 1), (1, u32::MAX), (65_534, u32::MAX)] {
        let rule = "broadcast is told by the node id alone, unspecified by both numbers";
        let question = json!({"op": "classify-address", "network": network, "node": node});
        let expect = Expect::Result(json!({"broadcast": node == u32::MAX, "unspecified": false}));
        cases.must(&format!("classify/{network}-{node}"), "ADR-5", rule, question, expect);
    }
    let whole = [1, 2, 3, 4, 5, 6];
    for length in 0..6 {
        let rule = "an address has six bytes";
        let question = about("decode-address", &whole[..length]);
        cases.must(&format!("refuse/bytes-{length}"), "ADR-1", rule, question, Expect::Refusal);
    }
}

fn question(op: &str, text: &str) -> Value {
    json!({"op": op, "text": text})
}

fn first_failure(reason: &str) -> Expect {
    Expect::Reason(reason.into(), Strictness::Reported)
}

fn parse(cases: &mut Cases, golden: &Value) {
    for (number, vector) in list(&golden["addresses_parse_ok"]).iter().enumerate() {
        let expect = Expect::Result(both(&vector["network"], &vector["node"]));
        let rule = "lower case and leading zeros of the decimal number are accepted";
        let id = format!("parse/vector-{number:02}");
        cases.must(&id, "ADR-3", rule, question("parse-address", text(&vector["text"])), expect);
    }
    let rule = "what is no address is refused, for the first thing that is wrong";
    for (number, vector) in list(&golden["addresses_parse_error"]).iter().enumerate() {
        let id = format!("refuse/vector-{number:02}");
        let question = question("parse-address", text(&vector["text"]));
        cases.must(&id, "ADR-3", rule, question, first_failure(text(&vector["reason"])));
    }
    let sample = "291:0123.45AB.CDEF";
    for length in 0..sample.len() {
        let cut = &sample[..length];
        let Err(reason) = read(cut) else { continue };
        let id = format!("refuse/cut-at-{length:02}");
        cases.must(&id, "ADR-3", rule, question("parse-address", cut), first_failure(reason));
    }
    let others =
        [' ', ':', '.', 'G', 'g', '-', '+', '_', 'x', '\0', '\n', '/', '@', '`', 'é', '٣', '０', '0', 'f'];
    for at in 0..sample.len() {
        for other in others {
            let changed = format!("{}{other}{}", &sample[..at], &sample[at + 1..]);
            let id = format!("{:02}-u{:04x}", at, u32::from(other));
            let question = question("parse-address", &changed);
            match read(&changed) {
                Ok((network, node)) => {
                    let expect = Expect::Result(json!({"network": network, "node": node}));
                    let rule = "the numbers in the text are those of the address";
                    cases.must(&format!("parse/changed-{id}"), "ADR-3", rule, question, expect);
                }
                Err(reason) => {
                    cases.must(
                        &format!("refuse/changed-{id}"),
                        "ADR-3",
                        rule,
                        question,
                        first_failure(reason),
                    );
                }
            }
        }
    }
}

fn sockets(cases: &mut Cases, golden: &Value) {
    for (number, vector) in list(&golden["socket_addresses_parse_ok"]).iter().enumerate() {
        let mut address = both(&vector["network"], &vector["node"]);
        address["port"] = vector["port"].clone();
        let rule = "the port stands after the last colon, leading zeros are accepted";
        let question = question("parse-socket-address", text(&vector["text"]));
        let expect = Expect::Result(address.clone());
        cases.must(&format!("socket/parse-{number}"), "ADR-4", rule, question, expect);
        let expect = Expect::Result(json!({"text": vector["canonical"]}));
        let rule = "a socket address is written as address, colon, port";
        let question = super::with("format-socket-address", &address);
        cases.must(&format!("socket/format-{number}"), "ADR-4", rule, question, expect);
    }
    for (number, vector) in list(&golden["socket_addresses_parse_error"]).iter().enumerate() {
        let id = format!("socket/refuse-{number:02}");
        let rule = "what is no socket address is refused, for the first thing that is wrong";
        let question = question("parse-socket-address", text(&vector["text"]));
        cases.must(&id, "ADR-4", rule, question, first_failure(text(&vector["reason"])));
    }
    for port in ["65536", "99999999999999999999", "٣", "0x50", "8 0", "80\n", "\t80", "8_0"] {
        let id = format!("socket/refuse-port-{}", hex(port.as_bytes()));
        let rule = "a port is decimal digits, at most 65535";
        let question = question("parse-socket-address", &format!("0:0000.0000.0001:{port}"));
        cases.must(&id, "ADR-4", rule, question, first_failure("bad_port"));
    }
}

#[cfg(test)]
mod tests {
    use super::{read, write};
    use crate::vectors::cases::{WIRE, list, text, vectors};

    #[test]
    fn the_second_reading_of_addresses_agrees_with_the_vectors() {
        let golden = vectors(WIRE);
        for vector in list(&golden["addresses_parse_error"]) {
            assert_eq!(read(text(&vector["text"])), Err(text(&vector["reason"])), "{vector}");
        }
        for vector in list(&golden["addresses_parse_ok"]) {
            let (network, node) = read(text(&vector["text"])).expect("valid");
            assert_eq!(u64::from(node), vector["node"].as_u64().expect("a number"));
            assert_eq!(write(network, node), text(&vector["canonical"]));
        }
    }
}
