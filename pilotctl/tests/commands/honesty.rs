//! Exit status 0 means that the peer said yes, whatever a peer does.

use pilot_roles::json::Value;

use crate::support::{Fake, Mode, pilotctl};

fn fails(mode: Mode, argv: &[&str]) -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(directory.path(), mode);
    let (exit, stdout, stderr) = pilotctl(directory.path(), Some(&fake.socket), argv, None);
    assert_eq!(exit, Some(1), "{argv:?} in {mode:?}: {stdout}{stderr}");
    assert_eq!(stdout, "");
    let error: Value = serde_json::from_str(&stderr).unwrap();
    (error["code"].as_str().unwrap().into(), error["message"].as_str().unwrap().into())
}

const MESSAGE: [&str; 5] = ["--json", "send-message", "2", "--data", "x"];

#[test]
fn a_missing_acknowledgement_is_an_error() {
    let (code, message) = fails(Mode::Mute, &MESSAGE);
    assert_eq!(code, "connection_failed");
    assert!(message.ends_with("closed without acknowledgement: delivery is uncertain"), "{message}");
}

#[test]
fn a_peer_that_could_not_store_is_an_error() {
    let (code, message) = fails(Mode::Full, &MESSAGE);
    assert_eq!(code, "connection_failed");
    assert!(message.contains("ERR TEXT save failed: write: no space left on device"), "{message}");
}

#[test]
fn a_peer_that_does_not_know_the_type_is_an_error() {
    let (_, message) = fails(Mode::Old, &MESSAGE);
    assert!(message.contains("UNKNOWN(99)"), "{message}");
}

#[test]
fn a_stream_that_closes_at_once_is_an_error() {
    fails(Mode::Closing, &MESSAGE);
}

#[test]
fn an_incomplete_bench_is_an_error() {
    let (code, message) = fails(Mode::Lossy, &["--json", "bench", "2", "0.1"]);
    assert_eq!(code, "connection_failed");
    assert!(message.starts_with("bench incomplete: "), "{message}");
}

#[test]
fn the_longest_file_is_split_and_a_longer_one_is_refused_before_it_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(directory.path(), Mode::Peered);
    let path = directory.path().join("big");
    let longest = (1 << 24) - 2 - 3;
    std::fs::write(&path, vec![7; longest]).unwrap();
    let path = path.to_string_lossy();
    let argv = ["--json", "send-file", "2", &path];
    let (exit, stdout, stderr) = pilotctl(directory.path(), Some(&fake.socket), &argv, None);
    assert_eq!(exit, Some(0), "{stderr}");
    assert!(stdout.contains(&format!("\"ack\":\"ACK FILE {longest} bytes\"")), "{stdout}");
    let before = *fake.taken.lock().unwrap();

    std::fs::write(&*path, vec![7; longest + 1]).unwrap();
    let (exit, _, stderr) = pilotctl(directory.path(), Some(&fake.socket), &argv, None);
    assert_eq!(exit, Some(1));
    assert!(stderr.contains("frame too large: 16777217 (max 16777216)"), "{stderr}");
    assert_eq!(*fake.taken.lock().unwrap(), before);
}

#[test]
fn content_comes_from_standard_input_and_from_files() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(directory.path(), Mode::Peered);
    let run = |argv: &[&str], stdin| pilotctl(directory.path(), Some(&fake.socket), argv, stdin);
    let (_, stdout, _) = run(&["--json", "send-message", "2", "--data", "-"], Some("from stdin\n"));
    assert!(stdout.contains("ACK TEXT 11 bytes"), "{stdout}");
    let path = directory.path().join("m");
    std::fs::write(&path, "from a file").unwrap();
    let (_, stdout, _) = run(&["--json", "send-message", "2", "--data-file", &path.to_string_lossy()], None);
    assert!(stdout.contains("ACK TEXT 11 bytes"), "{stdout}");
}

#[test]
fn a_damaged_configuration_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    std::fs::create_dir(home.join(".pilot")).unwrap();
    let path = home.join(".pilot/config.json");
    std::fs::write(&path, "{\"a\":").unwrap();
    let (exit, _, stderr) = pilotctl(home, None, &["config", "--set", "b=c"], None);
    assert_eq!(exit, Some(1), "{stderr}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":");
    std::fs::write(&path, "null").unwrap();
    assert_eq!(pilotctl(home, None, &["config", "--set", "b=c"], None).0, Some(0));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\n  \"b\": \"c\"\n}\n");
}

#[test]
fn completions_and_help_are_no_errors() {
    let home = tempfile::tempdir().unwrap();
    for argv in [&["completions", "bash"][..], &["--help"], &["ping", "--help"], &["version"]] {
        let (exit, stdout, _) = pilotctl(home.path(), None, argv, None);
        assert_eq!(exit, Some(0), "{argv:?}");
        assert!(!stdout.is_empty());
    }
    assert_eq!(pilotctl(home.path(), None, &[], None).0, Some(2));
    assert_eq!(pilotctl(home.path(), None, &["nosuch"], None).0, Some(2));
}
