//! The program `rendezvous` as an operator meets it: flags, ports, signals, and a store that outlives it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

struct Program {
    child: Child,
    registry: SocketAddr,
    beacon: SocketAddr,
}

impl Program {
    /// Starts the program on ports the system chooses and reads them from its log.
    fn start(store: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rendezvous"))
            .args([
                "-registry-addr=127.0.0.1:0",
                "--beacon-addr",
                "127.0.0.1:0",
                "-log-format",
                "json",
                "-store",
            ])
            .arg(store)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let running = lines
            .find_map(|line| {
                let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
                (line["msg"] == "rendezvous running").then_some(line)
            })
            .expect("the line scripts wait for");
        // The log goes on; a program must not be stopped by a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let addr = |name: &str| running[name].as_str().unwrap().parse().unwrap();
        Program { registry: addr("registry"), beacon: addr("beacon"), child }
    }

    fn ask(&self, request: &Value) -> Value {
        let mut socket = TcpStream::connect(self.registry).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = request.to_string();
        socket.write_all(&(body.len() as u32).to_be_bytes()).unwrap();
        socket.write_all(body.as_bytes()).unwrap();
        let mut len = [0; 4];
        socket.read_exact(&mut len).unwrap();
        let mut body = vec![0; u32::from_be_bytes(len) as usize];
        socket.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    fn terminate(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

#[test]
fn a_node_keeps_its_id_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("registry");
    let register = json!({"type": "register", "listen_addr": "127.0.0.1:4000",
        "public_key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "owner": "a@b.c"});
    let program = Program::start(&store);
    let first = program.ask(&register);
    assert_eq!(first["type"], "register_ok", "{first}");
    assert_eq!(program.terminate(), Some(0));
    let program = Program::start(&store);
    let found = program.ask(&json!({"type": "lookup", "node_id": first["node_id"]}));
    assert_eq!(found["public_key"], register["public_key"], "{found}");
    assert_eq!(program.ask(&register)["node_id"], first["node_id"]);
    assert_eq!(program.terminate(), Some(0));
}

#[test]
fn the_beacon_tells_a_node_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::start(&dir.path().join("registry"));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(&[1, 0, 0, 0, 0], program.beacon).unwrap();
    let mut answer = [0; 64];
    let (len, from) = socket.recv_from(&mut answer).unwrap();
    assert_eq!(from, program.beacon);
    let port = socket.local_addr().unwrap().port().to_be_bytes();
    assert_eq!(answer[..len], [&[2, 4, 127, 0, 0, 1][..], &port].concat());
    assert_eq!(program.terminate(), Some(0));
}

#[test]
fn what_cannot_work_is_said_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("registry");
    let program = Program::start(&store);
    let store = store.to_str().unwrap();
    let taken = program.registry.to_string();
    for (args, code, words) in [
        (vec!["-nope"], 2, "--nope"),
        (vec!["-tls=maybe"], 2, "expected true or false"),
        (vec!["-config", "/no/such"], 1, "load config: /no/such"),
        (vec!["-standby", "127.0.0.1:9"], 1, "-standby is not offered"),
        (vec!["-store", store, "-registry-addr", "127.0.0.1:0"], 1, "in use by another process"),
        (vec!["-beacon-addr=127.0.0.1:0", "-log-level=error", "-registry-addr", &taken], 1, "cannot bind"),
        (vec!["-h"], 0, "Flags take one dash or two"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_rendezvous")).args(&args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    }
    assert_eq!(program.terminate(), Some(0));
}
