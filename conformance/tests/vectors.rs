//! `pilot-conformance vectors` as people run it: with adapters that are programs of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/adapters/example.py");

fn vectors(args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_pilot-conformance");
    Command::new(program).arg("vectors").args(args).output().expect("it runs")
}

/// The count of a verdict in the table.
fn count(output: &Output, verdict: &str) -> usize {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(verdict));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {verdict} in {text}"))
}

#[test]
fn our_adapter_fails_nothing_and_lacks_nothing() {
    // Examples are built with the tests, two folders above this program.
    let own = std::env::current_exe().expect("own path");
    let adapter = own.parent().and_then(Path::parent).expect("folder").join("examples/pilot_adapter");
    let output = vectors(&["--timeout", "60", "--adapter", &adapter.display().to_string()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    for verdict in ["FAILED", "NON-STRICT", "UNIMPLEMENTED", "NOT-RUN"] {
        assert_eq!(count(&output, verdict), 0, "{verdict}");
    }
}

#[test]
fn the_example_in_python_fails_nothing() {
    let output = vectors(&["--timeout", "60", "--adapter", &format!("python3 {EXAMPLE}")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(count(&output, "FAILED"), 0);
    assert!(count(&output, "OK") > 1000 && count(&output, "UNIMPLEMENTED") > 1000);
}

/// The example with one line changed, in a file that goes with the value.
struct Changed(PathBuf);

impl Changed {
    fn new(name: &str, from: &str, to: &str) -> Changed {
        let text = std::fs::read_to_string(EXAMPLE).expect("the example");
        assert_eq!(text.matches(from).count(), 1, "{from}");
        let path = std::env::temp_dir().join(format!("pilot-adapter-{}-{name}.py", std::process::id()));
        std::fs::write(&path, text.replace(from, to)).expect("written");
        Changed(path)
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn one_wrong_line_in_python_is_found() {
    let mistakes = [
        ("checksum", "!= checksum: raise", "!= checksum and False: raise", "packet/refuse/byte-"),
        ("version", "if first >> 4 != 1: raise", "if first >> 4 > 15: raise", "packet/refuse/version-"),
        ("bits", "flags=first & 15", "flags=first & 7", "packet/decode/"),
        ("sum", "struct.pack(\">I\", zlib", "struct.pack(\"<I\", zlib", "packet/encode/"),
        ("network", "int(groups[0], 16) != int(left)", "False", "address/refuse/"),
        ("window", "counter + 255 >=", "counter + 63 >=", "replay/"),
        ("twice", " and counter not in counters", "", "replay/"),
        ("forged", "step[\"authentic\"] and ", "", "replay/"),
        ("letters", "{network:04X}", "{network:04x}", "address/format/"),
        ("unknown", "{\"unsupported\": True}", "{\"error\": \"what?\"}", "adapter/unknown-operation"),
        (
            "echo",
            "**answer}), flush",
            "**answer}), question, sep=\"\\n\", flush",
            "adapter/one-line-one-answer",
        ),
    ];
    for (name, from, to, found) in mistakes {
        let adapter = Changed::new(name, from, to);
        let command = format!("python3 {}", adapter.0.display());
        let args = ["--timeout", "60", "--adapter", &command];
        let output = vectors(&args);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{name}: {text}");
        let is_found = |line: &str| line.contains(" FAILED ") && line.contains(found);
        assert!(text.lines().any(is_found), "{name}: {text}");
    }
}

#[test]
fn reports_and_lists_are_those_of_the_live_suite() {
    let scratch = std::env::temp_dir().join(format!("pilot-vectors-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).expect("scratch");
    let path = |name: &str| scratch.join(name).display().to_string();
    let (json, junit, html) = (path("r.json"), path("r.xml"), path("r.html"));
    let adapter = format!("python3 {EXAMPLE}");
    let output = vectors(&[
        "--timeout",
        "60",
        "--adapter",
        &adapter,
        "--section",
        "replay",
        "--json-file",
        &json,
        "--junit",
        &junit,
        "--html",
        &html,
    ]);
    assert!(output.status.success());
    let text = std::fs::read_to_string(&json).expect("JSON");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["cases"][0]["clause"], "TUN-17");
    assert_eq!(report["cases"][0]["outcomes"][adapter.as_str()]["verdict"], "OK");
    assert!(std::fs::read_to_string(&junit).expect("JUnit").contains("<testcase classname=\"replay\""));
    assert!(std::fs::read_to_string(&html).expect("HTML").contains("<h2 id=replay>replay</h2>"));
    let listed = vectors(&["--list", "--section", "replay"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("replay/in-order"));
    std::fs::remove_dir_all(&scratch).expect("removed");
}

#[test]
fn what_cannot_be_run_is_told_by_the_exit_code() {
    for (args, code) in [
        (&["--target", "ours"][..], 2),
        (&["--timeout", "soon"], 2),
        (&["--adapter", "true", "--section", "nothing"], 1),
        (&["--adapter", "exit 7", "--section", "limits"], 1),
    ] {
        assert_eq!(vectors(args).status.code(), Some(code), "{args:?}");
    }
}
