//! The judge of the registry: who has which address, name and key, and that whatever it says yes to is on its disk. It
//! hears what the registry hears, so it knows which request each answer is for.

use std::collections::{BTreeMap, VecDeque};

use pilot_roles::{
    frames::FrameReader,
    role::{Change, ConnId},
};
use serde_json::Value;

use crate::{check::Verdict, disk::Disk};

/// Longest message in either direction.
const MAX_MESSAGE: usize = 1 << 20;
/// Rule: what was said is not on the disk.
const TOO_SOON: &str = "acknowledged before durable";

/// What a durable record of a node says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    hostname: String,
    key: String,
    rotations: u64,
}

/// A request that is not answered yet.
#[derive(Debug)]
struct Asked {
    order: u64,
    request: Value,
}

/// What was said on one connection.
#[derive(Debug)]
struct Dialogue {
    requests: FrameReader,
    answers: FrameReader,
    asked: VecDeque<Asked>,
    /// Somebody says what no client says; nothing follows from the answers.
    nonsense: bool,
}

/// The judge.
#[derive(Debug, Default)]
pub(crate) struct RegistryJudge {
    /// Durable records, and names the other way round.
    by_node: BTreeMap<Vec<u8>, Known>,
    hostnames: BTreeMap<String, Vec<u8>>,
    /// The id each key was given first; it keeps it for ever.
    ids: BTreeMap<String, Vec<u8>>,
    /// The last key of each address ever handed out.
    keys: BTreeMap<Vec<u8>, (String, u64)>,
    dialogues: BTreeMap<ConnId, Dialogue>,
    /// Requests so far, and the last about each subject: a later one may undo what an earlier one was promised.
    order: u64,
    latest: BTreeMap<String, u64>,
    /// Promises that were found kept.
    pub(crate) kept: u64,
}

impl RegistryJudge {
    /// A transaction became durable.
    pub(crate) fn stored(&mut self, changes: &[Change]) -> Verdict {
        // All that goes goes first: within a transaction a name may change hands.
        let nodes = || changes.iter().filter(|change| change.table == "nodes");
        for change in nodes() {
            if let Some(known) = self.by_node.remove(&change.key) {
                self.hostnames.remove(&known.hostname);
            }
        }
        let last: BTreeMap<_, _> = nodes().map(|change| (&change.key, &change.value)).collect();
        for (node, value) in last {
            let Some(value) = value else { continue };
            let record: Value = serde_json::from_slice(value).unwrap_or_default();
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            let rotations = record["rotations"].as_u64().unwrap_or_default();
            let known = Known { hostname: text("hostname"), key: text("key"), rotations };
            self.judge_node(node, &known)?;
            self.by_node.insert(node.clone(), known);
        }
        Ok(())
    }

    fn judge_node(&mut self, node: &Vec<u8>, known: &Known) -> Verdict {
        let Known { hostname, key, rotations } = known;
        if let Some(other) = self.ids.insert(key.clone(), node.clone())
            && other != *node
        {
            return Err(("a key has two ids", format!("{key}: {other:?} and {node:?}")));
        }
        if let Some((other, before)) = self.keys.insert(node.clone(), (key.clone(), *rotations))
            && other != *key
            && before == *rotations
        {
            return Err(("an address has two keys", format!("{node:?}: {other} and {key}")));
        }
        if !hostname.is_empty()
            && let Some(other) = self.hostnames.insert(hostname.clone(), node.clone())
        {
            return Err(("a hostname has two nodes", format!("{hostname:?}: {other:?} and {node:?}")));
        }
        Ok(())
    }

    fn dialogue(&mut self, conn: ConnId) -> &mut Dialogue {
        self.dialogues.entry(conn).or_insert_with(|| Dialogue {
            requests: FrameReader::new(MAX_MESSAGE),
            answers: FrameReader::new(MAX_MESSAGE),
            asked: VecDeque::new(),
            nonsense: false,
        })
    }

    /// The registry hears something on a connection.
    pub(crate) fn heard(&mut self, conn: ConnId, data: &[u8]) {
        let dialogue = self.dialogue(conn);
        let mut new = Vec::new();
        dialogue.requests.push(data);
        loop {
            match dialogue.requests.pop() {
                Ok(None) => break,
                Ok(Some(body)) => match serde_json::from_slice::<Value>(body) {
                    Ok(request) if request.is_object() => new.push(request),
                    _ => dialogue.nonsense = true,
                },
                Err(_) => {
                    dialogue.nonsense = true;
                    break;
                }
            }
        }
        for request in new {
            self.order += 1;
            let order = self.order;
            for subject in subjects(&request) {
                self.latest.insert(subject, order);
            }
            self.dialogue(conn).asked.push_back(Asked { order, request });
        }
    }

    /// The registry says something on a connection: what it promises must be on the disk.
    pub(crate) fn said(&mut self, conn: ConnId, data: &[u8], disk: &Disk) -> Verdict {
        let dialogue = self.dialogue(conn);
        dialogue.answers.push(data);
        let mut answers = Vec::new();
        loop {
            match dialogue.answers.pop() {
                Ok(None) => break,
                Err(_) => return Err(("registry answer too long", format!("{conn:?}"))),
                Ok(Some(body)) => {
                    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
                    answers.push((answer, dialogue.asked.pop_front()));
                }
            }
        }
        if dialogue.nonsense {
            return Ok(());
        }
        for (answer, asked) in answers {
            let kind = answer["type"].as_str().unwrap_or_default();
            let Some(operation) = kind.strip_suffix("_ok") else { continue };
            let Some(asked) = asked.filter(|asked| asked.request["type"] == operation) else {
                let words = format!("{conn:?}: {operation} is answered and was not asked next");
                return Err(("answers out of order", words));
            };
            self.judge_promise(operation, &asked, &answer, disk)?;
        }
        Ok(())
    }

    fn judge_promise(&mut self, operation: &str, asked: &Asked, answer: &Value, disk: &Disk) -> Verdict {
        if subjects(&asked.request).iter().any(|subject| self.latest.get(subject) > Some(&asked.order)) {
            return Ok(());
        }
        let request = &asked.request;
        let id = |name: &str| request[name].as_u64().unwrap_or_default() as u32;
        let record = |node: u32| -> Option<Value> {
            serde_json::from_slice(disk.record("nodes", &node.to_be_bytes())?).ok()
        };
        let field = |name: &str, wanted: &Value| {
            let node = id("node_id");
            let found = record(node).map(|record| record[name].clone());
            let kept = found.as_ref() == Some(wanted);
            (kept, format!("node {node}: {name} is to be {wanted}, the disk has {found:?}"))
        };
        let consent = |from: u32, to: u32| {
            let key = [from.to_be_bytes(), to.to_be_bytes()].concat();
            disk.record("consents", &key).is_some()
        };
        let (kept, words) = match operation {
            "register" => {
                let node = answer["node_id"].as_u64().unwrap_or_default() as u32;
                (record(node).is_some(), format!("node {node} was told its id"))
            }
            "deregister" => {
                (record(id("node_id")).is_none(), format!("node {} was to be gone", id("node_id")))
            }
            "set_hostname" => field("hostname", &request["hostname"]),
            "set_visibility" => field("public", &request["public"]),
            "set_task_exec" => field("task_exec", &request["enabled"]),
            "set_tags" => {
                let text = |tag: &Value| tag.as_str().map(|tag| tag.trim_start_matches('#').to_owned());
                let mut tags: Vec<String> = Vec::new();
                for tag in request["tags"].as_array().into_iter().flatten().filter_map(text) {
                    if !tags.contains(&tag) {
                        tags.push(tag);
                    }
                }
                field("tags", &tags.into())
            }
            "report_trust" => (consent(id("node_id"), id("peer_id")), format!("consent {request}")),
            "respond_handshake" => {
                let (from, to) = (id("node_id"), id("peer_id"));
                (consent(from, to) == (request["accept"] == true), format!("consent {request}"))
            }
            "request_handshake" => {
                (consent(id("from_node_id"), id("to_node_id")), format!("consent {request}"))
            }
            "revoke_trust" => {
                let (a, b) = (id("node_id"), id("peer_id"));
                (!consent(a, b) && !consent(b, a), format!("consent {request}"))
            }
            _ => return Ok(()),
        };
        if !kept {
            return Err((TOO_SOON, format!("{operation} was acknowledged: {words}")));
        }
        self.kept += 1;
        Ok(())
    }

    pub(crate) fn closed(&mut self, conn: ConnId) {
        self.dialogues.remove(&conn);
    }
}

/// What a request is about. A later request about the same may change what this one did.
fn subjects(request: &Value) -> Vec<String> {
    let id = |name: &str| request[name].as_u64().unwrap_or_default();
    let pair = |a: u64, b: u64| format!("pair {} {}", a.min(b), a.max(b));
    match request["type"].as_str().unwrap_or_default() {
        // Whoever registers may be whoever left; whoever leaves takes all its settings along.
        "register" => vec!["presence".into()],
        "deregister" => vec!["presence".into(), format!("settings {}", id("node_id"))],
        "set_hostname" => vec![format!("hostname {}", id("node_id")), format!("settings {}", id("node_id"))],
        "set_visibility" | "set_task_exec" | "set_tags" => {
            vec![format!("{} {}", request["type"], id("node_id")), format!("settings {}", id("node_id"))]
        }
        "report_trust" | "revoke_trust" | "respond_handshake" => vec![pair(id("node_id"), id("peer_id"))],
        "request_handshake" => vec![pair(id("from_node_id"), id("to_node_id"))],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilot_proto::Instant;
    use pilot_roles::{frames::frame, role::Store};

    const CONN: ConnId = ConnId::Accepted(1);

    fn node(id: u32, key: &str, hostname: &str) -> Change {
        let value = serde_json::json!({"key": key, "hostname": hostname, "tags": ["b"]}).to_string();
        Change { table: "nodes", key: id.to_be_bytes().to_vec(), value: Some(value.into_bytes()) }
    }

    fn disk(changes: Vec<Change>) -> Disk {
        let mut disk = Disk::default();
        disk.submit(Instant::ORIGIN, 1, Store::Records(changes));
        disk.sync();
        disk
    }

    /// What the judge says when `request` is answered by `answer`.
    fn rule(disk: &Disk, request: &str, answer: &str) -> Option<&'static str> {
        let mut judge = RegistryJudge::default();
        judge.heard(CONN, &frame(request.as_bytes()));
        judge.said(CONN, &frame(answer.as_bytes()), disk).err().map(|found| found.0)
    }

    #[test]
    fn names_keys_and_addresses_belong_to_one_node() {
        let mut judge = RegistryJudge::default();
        assert!(judge.stored(&[node(1, "aa", "alice"), node(2, "bb", "")]).is_ok());
        // A name changes hands within one transaction.
        assert!(judge.stored(&[node(1, "aa", ""), node(2, "bb", "alice")]).is_ok());
        assert_eq!(judge.stored(&[node(1, "aa", "alice")]).map_err(|e| e.0), Err("a hostname has two nodes"));
        assert_eq!(judge.stored(&[node(3, "bb", "")]).map_err(|e| e.0), Err("a key has two ids"));
        assert_eq!(judge.stored(&[node(2, "cc", "")]).map_err(|e| e.0), Err("an address has two keys"));
    }

    #[test]
    fn an_id_is_told_only_when_the_disk_has_it() {
        let (request, answer) = (r#"{"type":"register"}"#, r#"{"type":"register_ok","node_id":1}"#);
        let mut disk = Disk::default();
        assert_eq!(rule(&disk, request, answer), Some(TOO_SOON));
        disk.submit(Instant::ORIGIN, 1, Store::Records(vec![node(1, "aa", "")]));
        assert_eq!(rule(&disk, request, answer), Some(TOO_SOON));
        disk.sync();
        assert_eq!(rule(&disk, request, answer), None);
    }

    #[test]
    fn a_setting_is_acknowledged_only_when_the_disk_has_it() {
        let disk = disk(vec![node(1, "aa", "alice")]);
        let name = |name: &str| format!(r#"{{"type":"set_hostname","node_id":1,"hostname":"{name}"}}"#);
        assert_eq!(rule(&disk, &name("alice"), r#"{"type":"set_hostname_ok"}"#), None);
        assert_eq!(rule(&disk, &name("bob"), r#"{"type":"set_hostname_ok"}"#), Some(TOO_SOON));
        assert_eq!(rule(&disk, &name("bob"), r#"{"type":"error"}"#), None);
        let tags = r##"{"type":"set_tags","node_id":1,"tags":["#b","b"]}"##;
        assert_eq!(rule(&disk, tags, r#"{"type":"set_tags_ok"}"#), None);
        let tags = r#"{"type":"set_tags","node_id":1,"tags":[]}"#;
        assert_eq!(rule(&disk, tags, r#"{"type":"set_tags_ok"}"#), Some(TOO_SOON));
    }

    #[test]
    fn trust_is_acknowledged_only_when_the_disk_has_it_and_undone_only_when_it_has_it_no_more() {
        let key = [1_u32.to_be_bytes(), 2_u32.to_be_bytes()].concat();
        let given = disk(vec![Change { table: "consents", key, value: Some(b"{}".to_vec()) }]);
        let none = Disk::default();
        let report = r#"{"type":"report_trust","node_id":1,"peer_id":2}"#;
        let revoke = r#"{"type":"revoke_trust","node_id":1,"peer_id":2}"#;
        assert_eq!(rule(&given, report, r#"{"type":"report_trust_ok"}"#), None);
        assert_eq!(rule(&none, report, r#"{"type":"report_trust_ok"}"#), Some(TOO_SOON));
        assert_eq!(rule(&given, revoke, r#"{"type":"revoke_trust_ok"}"#), Some(TOO_SOON));
        assert_eq!(rule(&none, revoke, r#"{"type":"revoke_trust_ok"}"#), None);
    }

    #[test]
    fn an_answer_is_to_the_oldest_question_and_a_later_question_excuses() {
        let disk = disk(vec![node(1, "aa", "carol")]);
        let report = r#"{"type":"report_trust","node_id":1,"peer_id":2}"#;
        assert_eq!(rule(&disk, report, r#"{"type":"set_hostname_ok"}"#), Some("answers out of order"));
        let mut judge = RegistryJudge::default();
        for name in ["bob", "carol"] {
            let request = format!(r#"{{"type":"set_hostname","node_id":1,"hostname":"{name}"}}"#);
            judge.heard(CONN, &frame(request.as_bytes()));
        }
        assert!(judge.said(CONN, &frame(br#"{"type":"set_hostname_ok"}"#), &disk).is_ok());
        assert!(judge.said(CONN, &frame(br#"{"type":"set_hostname_ok"}"#), &disk).is_ok());
        assert_eq!(judge.kept, 1);
    }
}
