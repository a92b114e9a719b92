//! What nodes of this implementation agree on beyond the releases (EXT): another cipher, statements, names of sessions.

use super::super::case::{Case, Cases, Expect};
use super::{EXTENSIONS, about, flipped, hex, list, slug, text, unhex, vectors, with};
use crate::live::case::Grade;
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let golden = vectors(EXTENSIONS);
    let mut cases = Cases::new("extension");
    for (number, session) in list(&golden["sessions"]).iter().enumerate() {
        cipher(&mut cases, number, session);
        statements(&mut cases, number, session);
    }
    broken(&mut cases, &golden["sessions"][0]);
    messages(&mut cases);
    items(&mut cases);
    cases.all
}

fn cipher(cases: &mut Cases, number: usize, session: &Value) {
    for (own, peer) in [("a", "b"), ("b", "a")] {
        let question = json!({
            "op": "derive-chacha", "private": session[own]["x25519_private"],
            "peer": session[peer]["x25519_public"],
        });
        let rule = "the key for the other cipher has an info of its own";
        let expect = Expect::Result(json!({"key": session["chacha_key"]}));
        cases.must(&format!("derive/{number}-{own}"), "EXT-8", rule, question, expect);
    }
    for vector in list(&session["frames"]) {
        let name = format!("{number}-{}", slug(text(&vector["name"])));
        let mut question =
            json!({"op": "seal-chacha", "key": session["chacha_key"], "sender": vector["from"]});
        question["prefix"] = vector["prefix"].clone();
        question["counter"] = vector["counter"].clone();
        question["plaintext"] = vector["inner"].clone();
        let rule = "a PILC is a PILS with ChaCha20-Poly1305";
        let expect = Expect::Result(json!({"hex": vector["frame"]}));
        cases.must(&format!("seal/{name}"), "EXT-8", rule, question, expect);
        let question = json!({"op": "open-chacha", "key": session["chacha_key"], "hex": vector["frame"]});
        let expect = Expect::Result(json!({
            "sender": vector["from"], "counter": vector["counter"], "plaintext": vector["inner"],
        }));
        cases.must(&format!("open/{name}"), "EXT-8", rule, question, expect);
    }
    for vector in list(&session["names"]) {
        let (own, peer) = if vector["sender"] == "a" { ("a", "b") } else { ("b", "a") };
        let question = json!({
            "op": "name-session", "sender_key": session[own]["x25519_public"],
            "receiver_key": session[peer]["x25519_public"],
        });
        let rule = "a session's name is the first 8 bytes of SHA-256 over both keys, the sender's first";
        let expect = Expect::Result(json!({"hex": vector["name"]}));
        cases.must(&format!("name/{number}-{own}"), "EXT-14", rule, question, expect);
    }
}

/// What a statement is about, as members of a question.
fn stated(session: &Value, vector: &Value) -> Value {
    let (own, peer) = (&session[text(&vector["sender"])], &session[text(&vector["receiver"])]);
    json!({
        "sender_key": own["x25519_public"], "receiver_key": peer["x25519_public"], "sender": own["node"],
        "receiver": peer["node"], "list": vector["list"],
    })
}

fn verifying(session: &Value, vector: &Value) -> Value {
    let mut question = with("verify-statement", &stated(session, vector));
    question["public"] = session[text(&vector["sender"])]["ed25519_public"].clone();
    question["signature"] = vector["signature"].clone();
    question
}

fn statements(cases: &mut Cases, number: usize, session: &Value) {
    for (index, vector) in list(&session["statements"]).iter().enumerate() {
        let id = format!("{number}-{}-{index:02}", text(&vector["sender"]));
        let mut question = with("sign-statement", &stated(session, vector));
        question["seed"] = session[text(&vector["sender"])]["ed25519_seed"].clone();
        let rule = "a statement is signed for this session and this receiver";
        let expect = Expect::Result(json!({"signature": vector["signature"]}));
        cases.must(&format!("statement/sign-{id}"), "EXT-4", rule, question, expect);
        let expect = Expect::Result(json!({}));
        cases.must(&format!("statement/verify-{id}"), "EXT-4", rule, verifying(session, vector), expect);
        let members = json!({"kind": "statement", "list": vector["list"], "signature": vector["signature"]});
        both_ways(cases, &format!("statement-{id}"), &unhex(&vector["message"]), &members);
    }
}

fn broken(cases: &mut Cases, session: &Value) {
    let frame = &session["frames"][0];
    let whole = unhex(&frame["frame"]);
    for at in 0..whole.len() {
        let changed = flipped(&whole, 8 * at + at % 8);
        let question = json!({"op": "open-chacha", "key": session["chacha_key"], "hex": hex(&changed)});
        let rule = "no byte of a sealed frame can be changed";
        cases.must(&format!("open/changed-byte-{at:02}"), "EXT-8", rule, question, Expect::Refusal);
    }
    let Some(vector) = list(&session["statements"]).iter().find(|vector| text(&vector["list"]).len() > 10)
    else {
        return;
    };
    let rule = "a statement holds for its keys, its nodes and its list only";
    let genuine = verifying(session, vector);
    for name in ["sender_key", "receiver_key", "list", "signature", "public"] {
        let bytes = unhex(&genuine[name]);
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut question = genuine.clone();
            question[name] = hex(&flipped(&bytes, 8 * at)).into();
            let id = format!("statement/verify-{}-byte-{at:02}", slug(name));
            cases.must(&id, "EXT-4", rule, question, Expect::Refusal);
        }
    }
    for name in ["sender", "receiver"] {
        let mut question = genuine.clone();
        question[name] = 77.into();
        cases.must(&format!("statement/verify-other-{name}"), "EXT-4", rule, question, Expect::Refusal);
    }
    let mut question = genuine.clone();
    (question["sender_key"], question["receiver_key"]) =
        (genuine["receiver_key"].clone(), genuine["sender_key"].clone());
    cases.must("statement/verify-keys-exchanged", "EXT-4", rule, question, Expect::Refusal);
}

fn both_ways(cases: &mut Cases, name: &str, bytes: &[u8], members: &Value) {
    let rule = "a message is version, kind and what the kind needs";
    let question = about("decode-extension", bytes);
    cases.must(&format!("message/decode-{name}"), "EXT-2", rule, question, Expect::Result(members.clone()));
    let expect = Expect::Result(json!({"hex": hex(bytes)}));
    cases.must(&format!("message/encode-{name}"), "EXT-2", rule, with("encode-extension", members), expect);
}

fn messages(cases: &mut Cases) {
    for (name, bytes, members) in [
        ("received", &b"\x01\x02"[..], json!({"kind": "received"})),
        ("probe", b"\x01\x03\x01\x02\x03\x04", json!({"kind": "probe", "number": 0x0102_0304})),
        (
            "probe-received",
            b"\x01\x04\x01\x02\x03\x04",
            json!({"kind": "probe-received", "number": 0x0102_0304}),
        ),
        ("renewal", b"\x01\x05", json!({"kind": "renewal"})),
    ] {
        both_ways(cases, name, bytes, &members);
        for length in 0..bytes.len() {
            let rule = "a message that is cut short is ignored";
            let question = about("decode-extension", &bytes[..length]);
            let id = format!("message/refuse-{name}-cut-at-{length}");
            cases.must(&id, "EXT-2", rule, question, Expect::Refusal);
        }
        let longer = [bytes, &[0; 40]].concat();
        let rule = "bytes after what the kind needs are ignored";
        let id = format!("message/decode-{name}-and-more");
        cases.must(&id, "EXT-2", rule, about("decode-extension", &longer), Expect::Result(members));
    }
    for version in [0, 2, 255] {
        let rule = "other versions are ignored";
        let question = about("decode-extension", &[version, 2]);
        cases.must(&format!("message/refuse-version-{version}"), "EXT-2", rule, question, Expect::Refusal);
    }
    for kind in [0, 6, 7, 128, 255] {
        let rule = "unknown kinds are ignored";
        let question = about("decode-extension", &[&[1, kind][..], &[0; 100]].concat());
        cases.must(&format!("message/refuse-kind-{kind}"), "EXT-2", rule, question, Expect::Refusal);
    }
    let statement = [&b"\x01\x01\x00\x03\x01\x01\x03"[..], &[7; 64]].concat();
    for length in 2..statement.len() {
        let rule = "a statement that is cut short is ignored";
        let question = about("decode-extension", &statement[..length]);
        let id = format!("message/refuse-statement-cut-at-{length:02}");
        cases.must(&id, "EXT-2", rule, question, Expect::Refusal);
    }
    for length in [256u16, 300, u16::MAX] {
        let bytes = [&[1, 1][..], &length.to_be_bytes(), &vec![0; usize::from(length) + 64]].concat();
        let rule = "a list has at most 255 bytes";
        let id = format!("message/refuse-list-of-{length}");
        cases.must(&id, "EXT-4", rule, about("decode-extension", &bytes), Expect::Refusal);
    }
}

/// EXT-4: what the items of a list say; `None` if it ends inside one.
fn read(list: &[u8]) -> Option<Value> {
    let (mut rest, mut seen, mut withdrawn) = (list, Vec::new(), Vec::new());
    let mut told =
        json!({"opens_chacha": false, "asks_for_chacha": false, "largest_segment": 0, "renewals": false});
    while let Some((kind, after)) = rest.split_first() {
        let (length, after) = after.split_first()?;
        let (value, after) = after.split_at_checked(usize::from(*length))?;
        rest = after;
        let first = !seen.contains(kind);
        seen.push(*kind);
        match (kind, first) {
            (1, true) => {
                told["opens_chacha"] = (value.first()? & 1 != 0).into();
                told["asks_for_chacha"] = (value.first()? & 2 != 0).into();
            }
            (2, true) => told["largest_segment"] = u16::from_be_bytes(*value.first_chunk()?).into(),
            (3, true) => told["renewals"] = true.into(),
            (4, _) if withdrawn.len() < 3 => {
                let (session, counter) = value.split_first_chunk::<8>()?;
                let counter = u64::from_be_bytes(*counter.first_chunk()?);
                withdrawn.push(json!({"session": hex(session), "last": counter.to_string()}));
            }
            _ => {}
        }
    }
    told["withdrawn"] = withdrawn.into();
    Some(told)
}

fn items(cases: &mut Cases) {
    let withdrawal = |byte: u8| [&[4, 16][..], &[byte; 8], &[0, 0, 0, 1, 0, 0, 0, byte]].concat();
    let full = [&b"\x01\x01\x03\x02\x02\x10\x00\x03\x00"[..], &withdrawal(1), &withdrawal(2)].concat();
    let lists: Vec<(&str, Vec<u8>, bool)> = vec![
        ("empty", vec![], true),
        ("cipher", vec![1, 1, 1], true),
        ("cipher-asked-for", vec![1, 1, 3], true),
        ("segment", vec![2, 2, 0x10, 0], true),
        ("renewals", vec![3, 0], true),
        ("everything", full.clone(), true),
        ("unknown-first", [&[200, 3, 1, 2, 3][..], &full].concat(), false),
        ("longer-items", vec![1, 3, 1, 9, 9, 2, 4, 0x04, 0xD2, 9, 9, 3, 1, 9], false),
        ("other-bits", vec![1, 1, 0xFD], false),
        ("cipher-twice", vec![1, 1, 1, 1, 1, 3], false),
        ("segment-twice", vec![2, 2, 0x04, 0xD2, 2, 2, 0x10, 0], false),
        ("empty-cipher", vec![1, 0], false),
        ("short-segment", vec![2, 1, 9], false),
        ("short-withdrawal", vec![4, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], false),
    ];
    for (name, list, writable) in lists {
        let question = about("decode-statement", &list);
        match read(&list) {
            Some(members) => {
                let rule = "of two items of one type the first counts, unknown ones are skipped";
                let expect = Expect::Result(members.clone());
                cases.must(&format!("list/decode-{name}"), "EXT-4", rule, question, expect);
                if writable {
                    let rule = "a list that is written says what it was to say";
                    let question = with("encode-statement", &members);
                    let judge = move |result: &Value| match read(&unhex(&result["hex"])) {
                        _ if !result["hex"].is_string() => Err("hex is missing".into()),
                        Some(said) if said == members => Ok(Grade::Strict),
                        Some(said) => Err(format!("it says {said}")),
                        None => Err("it ends inside an item".into()),
                    };
                    let expect = Expect::Rule(Box::new(judge));
                    cases.must(&format!("list/encode-{name}"), "EXT-4", rule, question, expect);
                }
            }
            None => {
                let rule = "a list that ends inside an item is refused whole";
                cases.must(&format!("list/refuse-{name}"), "EXT-4", rule, question, Expect::Refusal);
            }
        }
    }
    for length in 0..full.len() {
        let question = about("decode-statement", &full[..length]);
        let id = format!("list/cut-at-{length:02}");
        let rule = "a list that ends inside an item is refused whole";
        let expect = read(&full[..length]).map_or(Expect::Refusal, Expect::Result);
        cases.must(&id, "EXT-4", rule, question, expect);
    }
}

#[cfg(test)]
mod tests {
    use super::{EXTENSIONS, list, read, unhex, vectors};

    #[test]
    fn the_second_reading_of_statements_takes_those_of_the_vectors() {
        for session in list(&vectors(EXTENSIONS)["sessions"]) {
            for vector in list(&session["statements"]) {
                assert!(read(&unhex(&vector["list"])).is_some(), "{}", vector["list"]);
            }
        }
    }
}
