//! The demo walks to its end and leaves nothing behind, however it ends.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pilot_roles::json::Value;

fn demo(temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilotctl"));
    command.args(["demo", "--json"]).env("TMPDIR", temporary).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn assert_empty(directory: &Path) {
    let left: Vec<_> = std::fs::read_dir(directory).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn it_walks_to_its_end() {
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(temporary.path()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = result["data"]["steps"].as_array().unwrap();
    assert_eq!(steps.first().unwrap()["name"], "registry and beacon");
    assert_eq!(steps.last().unwrap()["name"], "clean stop");
    assert_eq!(steps.len(), 12);
    assert_empty(temporary.path());
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let child = demo(temporary.path()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    // Interrupt it once its daemons are at work.
    let at_work = || {
        std::fs::read_dir(temporary.path()).unwrap().flatten().any(|entry| entry.path().join("bob").exists())
    };
    while !at_work() {
        assert!(Instant::now() < deadline, "the demo did not start");
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_empty(temporary.path());
}

#[test]
fn a_failure_names_its_step() {
    let temporary = tempfile::tempdir().unwrap();
    // Too long for the path of a socket.
    let deep = temporary.path().join("x".repeat(100));
    std::fs::create_dir(&deep).unwrap();
    let output = demo(&deep).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("demo failed at \"two agents register\": "), "{message}");
    assert!(error["hint"].as_str().unwrap().contains("alice: "), "{error}");
    assert_empty(&deep);
}
