//! What two agents do with each other: one function a step, from client `a` to target `b`.

use crate::node::{COMMAND, Node};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a step measured, or why it failed.
pub(crate) type Outcome = Result<String, String>;
/// A step.
pub(crate) type Step = fn(&Node<'_>, &Node<'_>) -> Outcome;

/// The steps in the order they are taken; each needs those before it only as far as trust.
pub(crate) const STEPS: [(&str, Step); 7] = [
    ("register", register),
    ("trust", trust),
    ("ping", ping),
    ("message", message),
    ("file", file),
    ("pubsub", pubsub),
    ("bench", bench),
];

/// How long trust may take; released daemons poll for requests and answers every two seconds here.
const TRUST: Duration = Duration::from_secs(40);
/// How long data may take to lie where the target keeps it, after the sender was told it arrived.
const ARRIVAL: Duration = Duration::from_secs(5);
const FILE_BYTES: usize = 200_000;
const BENCH_BYTES: u64 = 1 << 20;

/// Both are known to the registry under the keys they say they have.
fn register(a: &Node<'_>, b: &Node<'_>) -> Outcome {
    if a.id == b.id {
        return Err(format!("both have node id {}", a.id));
    }
    for (asker, target) in [(a, b), (b, a)] {
        let entry = asker.ctl(&["lookup", &target.id.to_string()])?;
        let own = target.ctl(&["info"])?;
        if entry["public_key"] != own["public_key"] || !own["public_key"].is_string() {
            return Err(format!("registry has {entry} for {own}"));
        }
    }
    Ok(String::new())
}

/// Each asks the other; both end up trusting.
pub(crate) fn trust(a: &Node<'_>, b: &Node<'_>) -> Outcome {
    let ask = |asker: &Node<'_>, target: &Node<'_>| {
        asker.ctl_start(&["handshake", &target.id.to_string(), "conformance"])
    };
    // At the same moment: a released daemon that knows where the other is, but not that it is trusted, dials it for
    // half a minute before it asks through the registry.
    let asked = [ask(a, b)?, ask(b, a)?];
    let mut notes = Vec::new();
    for (asker, process) in [a, b].into_iter().zip(asked) {
        // A request may find the other's waiting, or trust already there: only the result counts.
        if let Err(why) = asker.ctl_end("handshake", process, COMMAND) {
            notes.push(why);
        }
    }
    for (asker, target) in [(a, b), (b, a)] {
        let what = format!("{} trusting {}", asker.flavour.name(), target.flavour.name());
        let trusted = a.session().until(TRUST, &what, || trusts(asker, target.id).then_some(()));
        trusted.map_err(|why| format!("{why}; {}", notes.join("; ")))?;
    }
    Ok(notes.join("; "))
}

/// Whether `node` lists `peer` as trusted.
pub(crate) fn trusts(node: &Node<'_>, peer: u64) -> bool {
    node.ctl(&["trust"]).is_ok_and(|list| lists(&list["trusted"], peer))
}

/// Whether a list of objects has one with this node id.
pub(crate) fn lists(list: &Value, peer: u64) -> bool {
    list.as_array().is_some_and(|entries| entries.iter().any(|entry| entry["node_id"] == peer))
}

/// Three echoes.
fn ping(a: &Node<'_>, b: &Node<'_>) -> Outcome {
    let data = a.ctl(&["ping", &b.address, "--count", "3", "--timeout", "30s"])?;
    let results = data["results"].as_array().ok_or(format!("no results in {data}"))?;
    let times: Vec<f64> = results.iter().filter_map(answered).collect();
    if times.len() != 3 {
        return Err(format!("{} of 3 answered: {data}", times.len()));
    }
    let best = times.iter().copied().fold(f64::INFINITY, f64::min);
    Ok(format!("best {best:.2} ms"))
}

fn answered(result: &Value) -> Option<f64> {
    if result.get("error").is_some() {
        return None;
    }
    result["rtt_ms"].as_f64()
}

/// A text lies in the target's inbox.
fn message(a: &Node<'_>, b: &Node<'_>) -> Outcome {
    deliver(a, b, &format!("hello from {} to {}", a.flavour.name(), b.flavour.name()))?;
    Ok(String::new())
}

/// Sends a text and waits until the target's inbox has it.
pub(crate) fn deliver(a: &Node<'_>, b: &Node<'_>, text: &str) -> Result<(), String> {
    let sent = a.ctl(&["send-message", &b.address, "--data", text])?;
    let what = format!("{text:?} in the inbox after {sent}");
    a.session().until(ARRIVAL, &what, || in_inbox(b, text).then_some(()))
}

/// Whether the target's inbox holds a text.
pub(crate) fn in_inbox(node: &Node<'_>, text: &str) -> bool {
    files_below(&node.home.join(".pilot/inbox")).iter().any(|path| {
        let stored = std::fs::read(path).unwrap_or_default();
        serde_json::from_slice::<Value>(&stored).is_ok_and(|message| message["data"] == text)
    })
}

/// A file arrives with its content.
fn file(a: &Node<'_>, b: &Node<'_>) -> Outcome {
    let content = noise(FILE_BYTES, a.id);
    let path = a.home.join("sample.bin");
    std::fs::write(&path, &content).map_err(|e| format!("{}: {e}", path.display()))?;
    let sent = a.ctl(&["send-file", &b.address, &path.display().to_string()])?;
    let what = format!("the file in received/ after {sent}");
    a.session().until(ARRIVAL, &what, || received(b, &content).then_some(()))?;
    Ok(String::new())
}

/// Whether the node received a file with exactly this content.
pub(crate) fn received(node: &Node<'_>, content: &[u8]) -> bool {
    let files = files_below(&node.home.join(".pilot/received"));
    files.iter().any(|path| std::fs::read(path).is_ok_and(|stored| stored == content))
}

/// A subscriber at the target's broker gets what is published there.
pub(crate) fn pubsub(a: &Node<'_>, b: &Node<'_>) -> Outcome {
    let mut subscriber =
        a.ctl_start(&["subscribe", &b.address, "news", "--count", "1", "--timeout", "20s"])?;
    // Nobody says when a subscription is active, and events before that are lost: publish until one came.
    let mut published = 0;
    a.session().until(Duration::from_secs(25), "an event at the subscriber", || {
        if subscriber.is_running() {
            let outcome = a.ctl(&["publish", &b.address, "news", "--data", "flash"]);
            published += usize::from(outcome.is_ok());
        }
        (!subscriber.is_running()).then_some(())
    })?;
    let data = a.ctl_end("subscribe", subscriber, Duration::from_secs(1))?;
    let event = &data["events"][0];
    if event["data"] == "flash" && event["topic"] == "news" {
        Ok(String::new())
    } else {
        Err(format!("{published} published, the subscriber says {data}"))
    }
}

/// One MiB through the target's echo service and back.
fn bench(a: &Node<'_>, b: &Node<'_>) -> Outcome {
    let data = a.ctl(&["bench", &b.address, "1", "--timeout", "40s"])?;
    match (data["sent_bytes"].as_u64(), data["recv_bytes"].as_u64()) {
        (Some(BENCH_BYTES), Some(BENCH_BYTES)) => {
            let speed = data["total_mbps"].as_f64().unwrap_or_default();
            Ok(format!("{speed:.2} MiB/s"))
        }
        _ => Err(format!("not all came back: {data}")),
    }
}

/// All files below a directory; none when it does not exist.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Bytes no compressor or zero-fill could produce by accident; the same for the same seed (xorshift64*).
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
