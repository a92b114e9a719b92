//! Port 1001: messages into the inbox, files into the received directory, and the answer only once they are durable.

use alloc::{
    collections::{BTreeMap, VecDeque},
    format,
    string::{String, ToString},
    vec::Vec,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pilot_proto::{Addr, Instant, planted, time::Duration};

use super::Act;
use crate::{
    clock,
    daemon::webhook::data,
    json::{self, Map, Value},
    role::{Area, Now, Store},
    services::data_exchange::{Answer, Content, Decoder, Frame, kind_name},
};

/// Content being stored for one connection, in items and bytes; above, nothing more is read from it.
const MAX_STORING: usize = 32;
const MAX_STORING_BYTES: usize = 4 << 20;
/// Bytes of incomplete frames of all connections of one peer, and of everybody; above, the connection is closed.
const MAX_PARTIAL_PER_PEER: usize = 40 << 20;
const MAX_PARTIAL: usize = 256 << 20;
/// Longest file name a file system takes, in bytes.
const MAX_FILE_NAME: usize = 255;
/// How long the id of a tagged message is remembered, and how many are.
const REMEMBER_IDS: Duration = Duration::from_secs(600);
const MAX_IDS: usize = 4096;
/// Longest message id.
const MAX_ID: usize = 128;

/// Something being made durable, or already answered but behind something that is.
#[derive(Debug)]
struct Slot {
    key: u64,
    answer: Option<Answer>,
}

#[derive(Debug)]
struct Conn {
    from: Addr,
    decoder: Decoder,
    /// Bytes of the incomplete frame.
    partial: usize,
    slots: VecDeque<Slot>,
    storing_bytes: usize,
}

/// What is being made durable.
#[derive(Debug)]
struct Job {
    conn: u32,
    area: Area,
    /// The name before and after the part that makes it unique.
    stem: String,
    extension: String,
    counter: u32,
    bytes: Vec<u8>,
    kind: u32,
    size: usize,
    from: Addr,
    /// Base name of the file as the peer named it.
    file: String,
    tag: Option<(Tag, u64)>,
}

/// What a tagged message says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    id: String,
    reply_to: Option<String>,
}

/// The service.
#[derive(Debug)]
pub(crate) struct DataExchange {
    conns: BTreeMap<u32, Conn>,
    jobs: BTreeMap<u64, Job>,
    keys: u64,
    utc_offset: i32,
    /// Directory of received files, as webhook events name it.
    directory: String,
    partial: usize,
    partial_per_peer: BTreeMap<u32, usize>,
    /// Names used in the millisecond of the last one, and how often.
    names: (String, BTreeMap<String, u32>),
    /// Ids of stored tagged messages by sender, with the fingerprint of their content.
    ids: BTreeMap<(u32, String), u64>,
    ids_by_age: VecDeque<(Instant, (u32, String))>,
}

impl DataExchange {
    /// The service in a time zone `utc_offset` minutes east of UTC.
    pub(crate) const fn new(utc_offset: i32, directory: String) -> Self {
        DataExchange {
            conns: BTreeMap::new(),
            jobs: BTreeMap::new(),
            keys: 0,
            utc_offset,
            directory,
            partial: 0,
            partial_per_peer: BTreeMap::new(),
            names: (String::new(), BTreeMap::new()),
            ids: BTreeMap::new(),
            ids_by_age: VecDeque::new(),
        }
    }

    /// A connection was opened.
    pub(crate) fn opened(&mut self, conn: u32, from: Addr) {
        let state =
            Conn { from, decoder: Decoder::default(), partial: 0, slots: VecDeque::new(), storing_bytes: 0 };
        self.conns.insert(conn, state);
    }

    /// Whether the connection may send more.
    pub(crate) fn is_ready(&self, conn: u32) -> bool {
        self.conns
            .get(&conn)
            .is_some_and(|c| c.slots.len() < MAX_STORING && c.storing_bytes < MAX_STORING_BYTES)
    }

    /// Whether everything the connection sent is answered.
    pub(crate) fn is_idle(&self, conn: u32) -> bool {
        self.conns.get(&conn).is_none_or(|c| c.slots.is_empty())
    }

    /// Bytes came. False: close the connection without an answer.
    pub(crate) fn input(&mut self, now: Now, conn: u32, mut bytes: &[u8], acts: &mut Vec<Act>) -> bool {
        loop {
            let Some(state) = self.conns.get_mut(&conn) else { return false };
            let before = bytes.len();
            let result = state.decoder.feed(&mut bytes);
            let taken = before - bytes.len();
            state.partial += taken;
            let (node, partial) = (state.from.node, state.partial);
            match result {
                Ok(None) => return self.count_partial(node, taken),
                Ok(Some(frame)) => {
                    state.partial = 0;
                    self.uncount_partial(node, partial - taken);
                    if !self.frame(now, conn, &frame, acts) {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
    }

    fn count_partial(&mut self, node: u32, bytes: usize) -> bool {
        self.partial += bytes;
        let peer = self.partial_per_peer.entry(node).or_default();
        *peer += bytes;
        *peer <= MAX_PARTIAL_PER_PEER && self.partial <= MAX_PARTIAL
    }

    fn uncount_partial(&mut self, node: u32, bytes: usize) {
        self.partial = self.partial.saturating_sub(bytes);
        if let Some(peer) = self.partial_per_peer.get_mut(&node) {
            *peer = peer.saturating_sub(bytes);
            if *peer == 0 {
                self.partial_per_peer.remove(&node);
            }
        }
    }

    fn frame(&mut self, now: Now, conn: u32, frame: &Frame, acts: &mut Vec<Act>) -> bool {
        match frame.content() {
            Content::Tagged { header, inner, data } => {
                let Some(tag) = parse_tag(header) else { return false };
                let Some(from) = self.conns.get(&conn).map(|c| c.from) else { return false };
                let print = fingerprint(inner, data);
                self.forget_ids(now.instant);
                let inner = Frame { kind: inner, payload: data.to_vec() };
                if self.ids.get(&(from.node, tag.id.clone())) == Some(&print) {
                    let bytes = content_len(&inner) as u64;
                    let name = kind_name(inner.kind).into_owned();
                    self.answer(conn, Answer::Ack { name, bytes, duplicate: true }, acts);
                } else {
                    self.store(now, conn, &inner, Some((tag, print)), acts);
                }
                true
            }
            Content::Malformed(_) => false,
            _ => {
                self.store(now, conn, frame, None, acts);
                true
            }
        }
    }

    /// Starts to make the content of a frame durable, or refuses it.
    fn store(&mut self, now: Now, conn: u32, frame: &Frame, tag: Option<(Tag, u64)>, acts: &mut Vec<Act>) {
        let Some(from) = self.conns.get(&conn).map(|c| c.from) else { return };
        let kind = frame.kind;
        let stamp = clock::stamp(now.unix_micros, self.utc_offset);
        let (area, stem, extension, bytes, size, file) = match frame.content() {
            Content::Message(data) => {
                let body = self.message(now, kind, from, data, tag.as_ref().map(|(tag, _)| tag));
                let name = kind_name(kind);
                (
                    Area::Inbox,
                    format!("{name}-{stamp}"),
                    ".json".into(),
                    body.into_bytes(),
                    data.len(),
                    String::new(),
                )
            }
            Content::File { name, data } => {
                if name.contains(&0) {
                    let answer = Answer::save_failed(kind, "write: invalid argument");
                    return self.answer(conn, answer, acts);
                }
                let base = base_name(&String::from_utf8_lossy(name)).to_string();
                let (stem, extension) = base.rfind('.').map_or((base.as_str(), ""), |dot| base.split_at(dot));
                if base.len() + stamp.len() + 8 > MAX_FILE_NAME {
                    let answer = Answer::save_failed(kind, "write: file name too long");
                    return self.answer(conn, answer, acts);
                }
                let stem = if base == "/" { String::new() } else { String::from(stem) };
                (Area::Received, format!("{stem}-{stamp}"), extension.into(), data.to_vec(), data.len(), base)
            }
            Content::UnnamedFile(_) => {
                return self.answer(conn, Answer::save_failed(kind, "no file name"), acts);
            }
            _ => {
                let reason = format!("unsupported frame type {kind}");
                return self.answer(conn, Answer::save_failed(kind, &reason), acts);
            }
        };
        let counter = self.claim(&stamp, &format!("{stem}{extension}"));
        self.keys += 1;
        let key = self.keys;
        if let Some(state) = self.conns.get_mut(&conn) {
            state.slots.push_back(Slot { key, answer: None });
            state.storing_bytes += bytes.len();
        }
        let job = Job { conn, area, stem, extension, counter, bytes, kind, size, from, file, tag };
        acts.push(Act::Store { key, store: job.store() });
        self.jobs.insert(key, job);
    }

    /// How often this name was used in this millisecond.
    fn claim(&mut self, stamp: &str, name: &str) -> u32 {
        if self.names.0 != stamp {
            self.names = (stamp.into(), BTreeMap::new());
        }
        let used = self.names.1.entry(name.into()).or_default();
        let counter = *used;
        *used += 1;
        counter
    }

    /// The inbox file of a message: one line of JSON, keys ascending.
    fn message(&self, now: Now, kind: u32, from: Addr, data: &[u8], tag: Option<&Tag>) -> String {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| map.insert(key.into(), value);
        put("bytes", data.len().into());
        put("from", from.to_string().into());
        put("received_at", clock::rfc3339(now.unix_micros, self.utc_offset).into());
        put("type", kind_name(kind).into_owned().into());
        match core::str::from_utf8(data) {
            Ok(text) => {
                put("data", text.into());
            }
            Err(_) => {
                put("data_b64", STANDARD.encode(data).into());
                put("data_encoding", "base64".into());
            }
        }
        if let Some(tag) = tag {
            put("message_id", tag.id.clone().into());
            if let Some(reply_to) = &tag.reply_to {
                put("reply_to", reply_to.clone().into());
            }
        }
        json::to_line(&Value::Object(map))
    }

    /// A store of ours is durable, or failed.
    pub(crate) fn stored(&mut self, now: Now, key: u64, result: &Result<(), String>, acts: &mut Vec<Act>) {
        let Some(mut job) = self.jobs.remove(&key) else { return };
        let answer = match result {
            Err(words) if words == "exists" && job.counter < 999_999 => {
                job.counter += 1;
                acts.push(Act::Store { key, store: job.store() });
                self.jobs.insert(key, job);
                return;
            }
            Ok(()) => Answer::ack(job.kind, job.size),
            // The operating system's words may name local paths, which are none of the peer's business.
            Err(_) => Answer::save_failed(job.kind, "write failed"),
        };
        if result.is_ok() {
            acts.push(match job.area {
                Area::Received => Act::Event(
                    "file.received",
                    data([
                        ("filename", job.file.clone().into()),
                        ("size", job.size.into()),
                        ("path", format!("{}/{}", self.directory, job.name()).into()),
                    ]),
                ),
                _ => Act::Event(
                    "message.received",
                    data([
                        ("type", kind_name(job.kind).into_owned().into()),
                        ("from", job.from.to_string().into()),
                        ("size", job.size.into()),
                    ]),
                ),
            });
            if let Some((tag, print)) = job.tag {
                self.remember_id(now.instant, (job.from.node, tag.id), print);
            }
        }
        if let Some(state) = self.conns.get_mut(&job.conn) {
            state.storing_bytes = state.storing_bytes.saturating_sub(job.bytes.len());
            if let Some(slot) = state.slots.iter_mut().find(|slot| slot.key == key) {
                slot.answer = Some(answer);
            }
            state.flush(job.conn, acts);
        }
    }

    fn answer(&mut self, conn: u32, answer: Answer, acts: &mut Vec<Act>) {
        if let Some(state) = self.conns.get_mut(&conn) {
            state.slots.push_back(Slot { key: 0, answer: Some(answer) });
            state.flush(conn, acts);
        }
    }

    fn remember_id(&mut self, now: Instant, id: (u32, String), print: u64) {
        while self.ids_by_age.len() >= MAX_IDS
            && let Some((_, oldest)) = self.ids_by_age.pop_front()
        {
            self.ids.remove(&oldest);
        }
        if self.ids.insert(id.clone(), print).is_none() {
            self.ids_by_age.push_back((now, id));
        }
    }

    fn forget_ids(&mut self, now: Instant) {
        while self.ids_by_age.front().is_some_and(|(at, _)| now.since(*at) >= REMEMBER_IDS)
            && let Some((_, id)) = self.ids_by_age.pop_front()
        {
            self.ids.remove(&id);
        }
    }

    /// A connection is over; what it sent is still stored.
    pub(crate) fn closed(&mut self, conn: u32) {
        if let Some(state) = self.conns.remove(&conn) {
            self.uncount_partial(state.from.node, state.partial);
        }
    }
}

impl Conn {
    /// Sends the answers that are due: they keep the order of the frames.
    fn flush(&mut self, conn: u32, acts: &mut Vec<Act>) {
        while self.slots.front().is_some_and(|slot| slot.answer.is_some())
            && let Some(answer) = self.slots.pop_front().and_then(|slot| slot.answer)
        {
            let untold = matches!(&answer, Answer::Ack { name, .. } if name == "JSON");
            if !(untold && planted!(DataUnacknowledged)) {
                acts.push(Act::Write { to: [conn].into(), data: answer.to_frame().to_bytes() });
            }
        }
    }
}

impl Job {
    fn name(&self) -> String {
        match self.counter {
            0 => format!("{}{}", self.stem, self.extension),
            n => format!("{}-{n:06}{}", self.stem, self.extension),
        }
    }

    fn store(&self) -> Store {
        Store::Create { area: self.area, name: self.name(), bytes: self.bytes.clone() }
    }
}

/// Last element of a path, as the reference takes it: `/` separates, trailing ones do not count.
fn base_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return "/";
    }
    trimmed.rsplit('/').next().unwrap_or(trimmed)
}

/// Bytes of content, as the answer counts them.
fn content_len(frame: &Frame) -> usize {
    match frame.content() {
        Content::File { data, .. } => data.len(),
        _ => frame.payload.len(),
    }
}

fn parse_tag(header: &[u8]) -> Option<Tag> {
    let Value::Object(map) = serde_json::from_slice::<Value>(header).ok()? else { return None };
    let id = |key: &str| map.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let valid = |text: &str| {
        text.len() <= MAX_ID && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    let tag = Tag { id: String::from(id("message_id")?), reply_to: id("reply_to").map(String::from) };
    (valid(&tag.id) && tag.reply_to.as_deref().is_none_or(valid)).then_some(tag)
}

/// FNV-1a over type and content. Whoever makes two of its own messages collide loses one of its own messages.
fn fingerprint(kind: u32, data: &[u8]) -> u64 {
    kind.to_be_bytes()
        .iter()
        .chain(data)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
#[path = "data_exchange_tests.rs"]
mod tests;
