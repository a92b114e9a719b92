//! Port 1001 against a scripted disk.

use alloc::collections::BTreeSet;

use super::*;
use crate::services::data_exchange::kind;

const NOW: Now = Now { instant: Instant::from_millis(10), unix_micros: 1_775_459_287_065_432 };
const STAMP: &str = "20260406-090807.065";
const FROM: Addr = Addr { network: 0, node: 1 };

struct World {
    service: DataExchange,
    files: BTreeMap<String, Vec<u8>>,
    acts: Vec<Act>,
    written: BTreeMap<u32, Vec<u8>>,
    events: Vec<(&'static str, Value)>,
    disk: Result<(), String>,
    held: Vec<(u64, Store)>,
}

impl World {
    fn new() -> Self {
        let mut service = DataExchange::new(120, "/home/u/.pilot/received".into());
        for conn in 1..=3 {
            service.opened(conn, FROM);
        }
        World {
            service,
            files: BTreeMap::new(),
            acts: Vec::new(),
            written: BTreeMap::new(),
            events: Vec::new(),
            disk: Ok(()),
            held: Vec::new(),
        }
    }

    fn say(&mut self, conn: u32, bytes: &[u8]) -> bool {
        let open = self.service.input(NOW, conn, bytes, &mut self.acts);
        self.collect();
        open
    }

    fn collect(&mut self) {
        for act in core::mem::take(&mut self.acts) {
            match act {
                Act::Store { key, store } => self.held.push((key, store)),
                Act::Write { to, data } => self.written.entry(to[0]).or_default().extend(data),
                Act::Event(name, data) => self.events.push((name, data)),
            }
        }
    }

    /// The disk does what waits, latest first.
    fn settle(&mut self) {
        while let Some((key, store)) = self.held.pop() {
            let Store::Create { name, bytes, .. } = store else { panic!("{store:?}") };
            let result = match &self.disk {
                Ok(()) if self.files.contains_key(&name) => Err("exists".into()),
                Ok(()) => {
                    self.files.insert(name, bytes);
                    Ok(())
                }
                Err(words) => Err(words.clone()),
            };
            self.service.stored(NOW, key, &result, &mut self.acts);
            self.collect();
        }
    }

    fn answers(&mut self, conn: u32) -> Vec<String> {
        let mut decoder = Decoder::default();
        let bytes = self.written.remove(&conn).unwrap_or_default();
        let mut input = &bytes[..];
        core::iter::from_fn(|| decoder.feed(&mut input).unwrap())
            .map(|frame| String::from_utf8(frame.payload).unwrap())
            .collect()
    }
}

fn wire(kind: u32, payload: &[u8]) -> Vec<u8> {
    Frame::message(kind, payload).unwrap().to_bytes()
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../spec/vectors/services.json")).unwrap()
}

#[test]
fn inbox_files_are_those_of_the_vectors() {
    for case in vectors()["data_exchange"]["inbox_files"].as_array().unwrap() {
        let payload = hex::decode(case["payload_hex"].as_str().unwrap()).unwrap();
        if core::str::from_utf8(&payload).is_err() {
            continue;
        }
        let local = case["local_time"].as_str().unwrap();
        let offset = if local.ends_with('Z') { 0 } else { 120 };
        let fraction = local
            .split_once('.')
            .map_or("0", |(_, rest)| rest.trim_end_matches(|c: char| !c.is_ascii_digit()));
        let fraction = format!("{:0<6}", fraction.split(['+', 'Z']).next().unwrap());
        let micros = clock::parse_rfc3339(local).unwrap() * 1_000_000 + fraction[..6].parse::<i64>().unwrap();
        let mut service = DataExchange::new(offset, String::new());
        service.opened(1, case["from"].as_str().unwrap().parse().unwrap());
        let mut acts = Vec::new();
        let frame = wire(u32::try_from(case["type"].as_u64().unwrap()).unwrap(), &payload);
        assert!(service.input(Now { unix_micros: micros, ..NOW }, 1, &frame, &mut acts));
        let expected = Store::Create {
            area: Area::Inbox,
            name: case["file_name"].as_str().unwrap().into(),
            bytes: case["file_content"].as_str().unwrap().into(),
        };
        assert_eq!(acts, [Act::Store { key: 1, store: expected }]);
    }
}

#[test]
fn received_names_are_those_of_the_vectors() {
    let mut seen = 0;
    for case in vectors()["data_exchange"]["saved_file_names"].as_array().unwrap() {
        let Some(expected) = case["saved_as"].as_str() else { continue };
        let name = hex::decode(case["filename_hex"].as_str().unwrap()).unwrap();
        let mut world = World::new();
        assert!(world.say(1, &Frame::file(&name, b"data").unwrap().to_bytes()));
        world.settle();
        let names: Vec<_> = world.files.keys().cloned().collect();
        assert_eq!(names, [expected.replacen("-T", &format!("-{STAMP}"), 1)]);
        seen += 1;
    }
    assert!(seen > 10);
}

#[test]
fn a_file_is_acknowledged_and_reported_when_it_is_durable() {
    let mut world = World::new();
    let frame = Frame::file(b"../f1.tar.gz", b"12345").unwrap().to_bytes();
    let (head, tail) = frame.split_at(11);
    assert!(world.say(1, head) && world.say(1, tail));
    assert!(!world.service.is_idle(1));
    assert_eq!(world.answers(1), Vec::<String>::new());
    world.settle();
    assert_eq!(world.answers(1), ["ACK FILE 5 bytes"]);
    assert!(world.service.is_idle(1));
    let path = format!("/home/u/.pilot/received/f1.tar-{STAMP}.gz");
    assert_eq!(
        world.events,
        [(
            "file.received",
            data([("filename", "f1.tar.gz".into()), ("path", path.into()), ("size", 5.into())])
        )]
    );
}

#[test]
fn hazard_09_11_messages_of_one_millisecond_do_not_overwrite_each_other() {
    let mut world = World::new();
    world.files.insert(format!("TEXT-{STAMP}-000001.json"), Vec::new());
    for conn in 1..=3 {
        for n in 0..20u8 {
            assert!(world.say(conn, &wire(kind::TEXT, &[b'a' + n])));
        }
    }
    world.settle();
    assert_eq!(world.files.len(), 61);
    for conn in 1..=3 {
        assert_eq!(world.answers(conn), ["ACK TEXT 1 bytes"; 20]);
    }
}

#[test]
fn answers_keep_the_order_of_frames_whatever_the_disk_does() {
    let mut world = World::new();
    for (kind, payload) in [(kind::TEXT, "1"), (kind::JSON, "22"), (99, "x"), (kind::BINARY, "333")] {
        assert!(world.say(1, &wire(kind, payload.as_bytes())));
    }
    world.settle();
    assert_eq!(
        world.answers(1),
        [
            "ACK TEXT 1 bytes",
            "ACK JSON 2 bytes",
            "ERR UNKNOWN(99) save failed: unsupported frame type 99",
            "ACK BINARY 3 bytes",
        ]
    );
}

#[test]
fn hazard_09_12_bytes_that_are_not_text_are_kept() {
    let mut world = World::new();
    world.say(1, &wire(kind::BINARY, &[0, 0xff, 0x80]));
    world.settle();
    let file = String::from_utf8(world.files.into_values().next().unwrap()).unwrap();
    assert_eq!(
        file,
        r#"{"bytes":3,"data_b64":"AP+A","data_encoding":"base64","from":"0:0000.0000.0001","received_at":"2026-04-06T09:08:07+02:00","type":"BINARY"}"#
    );
}

#[test]
fn hazard_09_13_a_file_without_name_and_hazard_09_5_a_failing_disk_are_refused_without_paths() {
    let mut world = World::new();
    world.say(1, &wire(kind::FILE, &[0]));
    world.say(1, &Frame::file(b"a\0b", b"").unwrap().to_bytes());
    world.say(1, &Frame::file(&[b'n'; 300], b"").unwrap().to_bytes());
    assert_eq!(
        world.answers(1),
        [
            "ERR FILE save failed: no file name",
            "ERR FILE save failed: write: invalid argument",
            "ERR FILE save failed: write: file name too long",
        ]
    );
    world.disk = Err("open /home/u/.pilot/inbox/x: no space left on device".into());
    world.say(1, &wire(kind::TEXT, b"x"));
    world.settle();
    assert_eq!(world.answers(1), ["ERR TEXT save failed: write failed"]);
    assert_eq!(world.events, []);
}

fn tagged(id: &str, kind: u32, payload: &[u8]) -> Vec<u8> {
    let header = format!("{{\"message_id\":\"{id}\"}}");
    let mut body = u16::try_from(header.len()).unwrap().to_be_bytes().to_vec();
    body.extend(header.as_bytes());
    body.extend(kind.to_be_bytes());
    body.extend(payload);
    wire(kind::TAGGED, &body)
}

#[test]
fn a_tagged_message_is_stored_once_and_forgotten_after_ten_minutes() {
    let mut world = World::new();
    for _ in 0..2 {
        assert!(world.say(1, &tagged("ab:1", kind::TEXT, b"hello")));
        world.settle();
    }
    assert!(world.say(1, &tagged("ab:1", kind::TEXT, b"other")));
    world.settle();
    assert_eq!(world.answers(1), ["ACK TEXT 5 bytes", "ACK TEXT 5 bytes (duplicate)", "ACK TEXT 5 bytes"]);
    assert_eq!(world.files.len(), 2);
    assert!(world.files.values().all(|f| String::from_utf8_lossy(f).contains(r#""message_id":"ab:1""#)));
    let later = Now { instant: NOW.instant + REMEMBER_IDS, ..NOW };
    assert!(world.service.input(later, 1, &tagged("ab:1", kind::TEXT, b"other"), &mut world.acts));
    world.collect();
    assert_eq!(world.held.len(), 1);
}

#[test]
fn malformed_tags_and_frames_over_the_limit_close_the_connection() {
    for bad in [
        wire(kind::TAGGED, b""),
        tagged("", kind::TEXT, b"x"),
        tagged("with space", kind::TEXT, b"x"),
        [0, 0, 0, 1, 1, 0, 0, 1].to_vec(),
    ] {
        assert!(!World::new().say(1, &bad), "{bad:?}");
    }
}

#[test]
fn the_vectors_answers_are_ours_where_something_is_stored() {
    for case in vectors()["data_exchange"]["decode"].as_array().unwrap() {
        let stored: BTreeSet<_> = ["inbox", "received"].into();
        let (Some(bytes), Some(area)) = (case["wire_hex"].as_str(), case["daemon_stores_in"].as_str()) else {
            continue;
        };
        if case["ok"] != true || !stored.contains(area) {
            continue;
        }
        let mut world = World::new();
        assert!(world.say(1, &hex::decode(bytes).unwrap()), "{}", case["name"]);
        world.settle();
        let answers = hex::encode(world.written.remove(&1).unwrap());
        assert!(answers.starts_with(case["daemon_ack_wire_hex"].as_str().unwrap()), "{}", case["name"]);
    }
}

#[test]
fn a_connection_with_much_to_store_is_not_read_further_and_a_peer_cannot_fill_our_memory() {
    let mut world = World::new();
    for n in 0..32 {
        assert!(world.service.is_ready(1), "{n}");
        world.say(1, &wire(kind::TEXT, b"x"));
    }
    assert!(!world.service.is_ready(1));
    world.settle();
    assert!(world.service.is_ready(1));
    let part =
        [&wire(kind::TEXT, &[0; 1 << 20])[..4], &(16u32 << 20).to_be_bytes(), &vec![0; 15 << 20]].concat();
    assert!(world.say(1, &part) && world.say(2, &part));
    assert!(!world.say(3, &part));
    for conn in 1..=3 {
        world.service.closed(conn);
    }
    assert_eq!((world.service.partial, world.service.partial_per_peer.len()), (0, 0));
}
