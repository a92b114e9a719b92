//! The captures of the reference's command line, replayed: same words, same fields, same exit status.

use std::ops::RangeInclusive;
use std::path::Path;

use pilot_roles::json::Value;

use crate::support::{Fake, Mode, pilotctl};

/// What to replay: ids, and the world they were captured in. Missing daemon: no mode.
const RUNS: [(RangeInclusive<u32>, Option<Mode>); 35] = [
    (24..=26, None),
    (33..=34, None),
    (40..=45, None),
    (48..=59, None),
    (62..=80, None),
    (90..=91, None),
    (202..=207, None),
    (229..=232, None),
    (235..=239, Some(Mode::Alone)),
    (240..=251, Some(Mode::Alone)),
    (261..=262, Some(Mode::Alone)),
    (264..=264, Some(Mode::Alone)),
    (266..=277, Some(Mode::Alone)),
    (282..=283, Some(Mode::Alone)),
    (286..=306, Some(Mode::Alone)),
    (308..=308, Some(Mode::Peered)),
    (310..=314, Some(Mode::Peered)),
    (316..=319, Some(Mode::Peered)),
    (323..=325, Some(Mode::Peered)),
    (330..=339, Some(Mode::Peered)),
    (342..=355, Some(Mode::Peered)),
    (358..=358, Some(Mode::Peered)),
    (360..=400, Some(Mode::Peered)),
    (413..=432, Some(Mode::Peered)),
    (82..=89, None),
    (454..=455, Some(Mode::Alone)),
    (467..=467, Some(Mode::Peered)),
    (469..=470, Some(Mode::Peered)),
    (472..=472, Some(Mode::Peered)),
    (474..=474, Some(Mode::Peered)),
    (476..=476, Some(Mode::Peered)),
    (478..=479, Some(Mode::Peered)),
    (484..=484, Some(Mode::Peered)),
    (485..=487, Some(Mode::Alone)),
    (520..=520, Some(Mode::Peered)),
];

/// Captures we answer better, on purpose.
const BETTER: [(u32, &str); 4] =
    [(380, "a value may look like a flag"), (419, "endless"), (420, "endless"), (429, "endless")];

#[test]
fn captures_replay() {
    let file: Value = serde_json::from_str(include_str!("../../../spec/vectors/cli.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    let results: Vec<Vec<Result<(), String>>> = std::thread::scope(|scope| {
        let runs = RUNS.map(|(ids, mode)| scope.spawn(move || replay_all(vectors, ids, mode)));
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let wrong: Vec<&str> =
        results.iter().flatten().filter_map(|r| r.as_ref().err()).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(results.iter().flatten().count() > 180, "{}", results.iter().flatten().count());
}

fn replay_all(vectors: &[Value], ids: RangeInclusive<u32>, mode: Option<Mode>) -> Vec<Result<(), String>> {
    let directory = tempfile::tempdir().unwrap();
    let fake = mode.map(|mode| Fake::start(directory.path(), mode));
    let socket = fake.map_or_else(|| directory.path().join("none"), |fake| fake.socket);
    ids.filter(|id| BETTER.iter().all(|(better, _)| better != id))
        .map(|id| vectors.iter().find(|vector| vector["id"] == format!("cli-{id:03}")).unwrap())
        .filter(|vector| {
            vector["program"] == "pilotctl" && !vector["stdout"].as_str().unwrap().contains("<see ")
        })
        .map(|vector| {
            replay(vector, directory.path(), &socket).map_err(|why| format!("{}: {why}", vector["id"]))
        })
        .collect()
}

fn replay(vector: &Value, home: &Path, socket: &Path) -> Result<(), String> {
    std::fs::write(home.join("f.txt"), "0123456789").unwrap();
    let known = |text: &str| {
        ["<HOME_A>", "<HOME_B>", "<HOME_C>", "<TMP>"]
            .iter()
            .fold(text.to_string(), |text, name| text.replace(name, &home.to_string_lossy()))
            .replace("<DEAD_REGISTRY>", "127.0.0.1:1")
    };
    let argv: Vec<String> =
        vector["argv"].as_array().unwrap().iter().map(|word| known(word.as_str().unwrap())).collect();
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let socket = vector["env"]["PILOT_SOCKET"].is_string().then_some(socket);
    let (exit, stdout, stderr) = pilotctl(home, socket, &words, vector["stdin"].as_str());
    if exit.map(Value::from) != Some(vector["exit"].clone()) {
        return Err(format!("{words:?} ends with {exit:?}: {stdout}{stderr}"));
    }
    for (name, ours) in [("stdout", &stdout), ("stderr", &stderr)] {
        let parsed = &vector[format!("{name}_json")];
        let same = if parsed.is_object() {
            let ours: Value =
                serde_json::from_str(ours).map_err(|error| format!("{words:?}: {name} {ours:?}: {error}"))?;
            same_json(&ours, parsed, &known)
        } else {
            same_text(ours, &known(vector[name].as_str().unwrap()))
        };
        if !same {
            return Err(format!(
                "{words:?} {name}\n  ours:   {ours:?}\n  theirs: {:?}",
                vector[name].as_str().unwrap()
            ));
        }
    }
    Ok(())
}

/// Same fields with the same values; placeholders stand for anything. We may have more fields.
fn same_json(ours: &Value, theirs: &Value, known: &impl Fn(&str) -> String) -> bool {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => theirs.iter().all(|(key, theirs)| {
            let ours = ours.get(key);
            ours.is_some_and(|ours| key == "conn_list" || same_json(ours, theirs, known))
        }),
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same_json(a, b, known))
        }
        (Value::Number(_), Value::String(text)) => {
            matches!(text.as_str(), "<INT>" | "<NUM>" | "<PORT>" | "<PID>")
        }
        (Value::String(ours), Value::String(theirs)) => same_text(ours, &known(theirs)),
        (ours, theirs) => ours == theirs,
    }
}

/// Same text; `<PLACEHOLDER>` stands for anything, and so do the last words of the reference's run-time library.
fn same_text(ours: &str, theirs: &str) -> bool {
    let theirs = ["strconv.", "time: "]
        .iter()
        .find_map(|tail| theirs.find(tail))
        .map_or_else(|| theirs.to_string(), |at| format!("{}<REST>", &theirs[..at]));
    let mut parts = Vec::new();
    let mut rest = theirs.as_str();
    while let Some(start) = rest.find('<') {
        let end = rest[start..].find('>').map(|length| start + length + 1);
        match end {
            Some(end)
                if rest[start + 1..end - 1]
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || ":0123456789_".contains(c))
                    && end - start > 2 =>
            {
                parts.push(&rest[..start]);
                rest = &rest[end..];
            }
            _ => break,
        }
    }
    let Some((first, middle)) = parts.split_first() else { return ours == theirs };
    let Some(mut ours) = ours.strip_prefix(first) else { return false };
    for part in middle {
        match ours.find(part) {
            Some(at) => ours = &ours[at + part.len()..],
            None => return false,
        }
    }
    ours.ends_with(rest)
}
