//! Watching a run: the files say what happened, and looking changes nothing.

use std::{collections::BTreeMap, fs};

use pilot_sim::{Outputs, Scenario};
use serde_json::Value;

const STORY: &str = r#"
link = { delay_us = 20000, loss_ppm = 20000, rate = 500000, queue = 50000 }
agents = [{}, { nat = { filtering = "port" } }]
transfers = [{ from = 1, to = 2, bytes = 200000 }]
faults = [{ at_ms = 1500, verb = "rebind", hosts = [2] }]
"#;

#[test]
fn a_watched_run_is_the_same_run_and_its_files_agree_with_its_counters() {
    let scenario = Scenario::parse(STORY).unwrap();
    let plain = scenario.run(None);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| Some(folder.path().join(name));
    let outputs = Outputs {
        trace: path("trace.jsonl"),
        pcap: path("out.pcapng"),
        keys: path("out.keys"),
        report: path("out.html"),
    };
    let watched = outputs.run("<story>", &scenario).unwrap();
    assert_eq!((plain.breach, plain.hash, plain.counters), (None, watched.hash, watched.counters));

    let trace = fs::read_to_string(outputs.trace.unwrap()).unwrap();
    let lines: Vec<Value> = trace.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.is_sorted_by_key(|line| line["time_us"].as_u64()));
    let mut kinds = BTreeMap::new();
    for line in &lines {
        *kinds.entry(line["kind"].as_str().unwrap()).or_insert(0) += 1;
    }
    assert_eq!((kinds["sent"], kinds["received"]), (watched.counters.datagrams, watched.counters.delivered));
    let of = |kind: &'static str| lines.iter().filter(move |line| line["kind"] == kind);
    assert!(of("fault").any(|fault| fault["verb"] == "rebind"));
    assert!(of("path").any(|path| path["via"] == "direct"));
    assert!(of("stream").any(|stream| stream["state"] == "ESTABLISHED"));
    assert_eq!(of("sample").filter_map(|sample| sample["acked"].as_u64()).max(), Some(200_008));
    assert!(of("sent").any(|sent| sent["lost"] == "random"));

    // Type of block, length of block, body, length again.
    let capture = fs::read(outputs.pcap.unwrap()).unwrap();
    let (mut left, mut packets) = (capture.as_slice(), 0);
    while !left.is_empty() {
        let word = |at: usize| u32::from_le_bytes(left[at..at + 4].try_into().unwrap());
        packets += u64::from(word(0) == 6);
        left = &left[word(4) as usize..];
    }
    assert_eq!(packets, watched.counters.datagrams + watched.counters.delivered);

    let keys = fs::read_to_string(outputs.keys.unwrap()).unwrap();
    assert!(keys.lines().skip(1).count() > 0);
    for line in keys.lines().skip(1) {
        let fields: Vec<&str> = line.split(' ').collect();
        assert_eq!(fields[0], "PILOT_KEY");
        assert!(["aes-256-gcm", "chacha20-poly1305"].contains(&fields[1]), "{line}");
        assert!(fields[2..].len() == 3 && fields[2..].iter().all(|key| key.len() == 64));
    }

    let page = fs::read_to_string(outputs.report.unwrap()).unwrap();
    for part in
        ["&lt;story&gt;", "Every rule was kept", "the NAT of host 2 forgets", "congestion window", "queue"]
    {
        assert!(page.contains(part), "{part} is missing");
    }
    for foreign in ["<script", "http:", "https:", "<story>"] {
        assert!(!page.contains(foreign), "{foreign} in a page that needs nothing else");
    }
}
