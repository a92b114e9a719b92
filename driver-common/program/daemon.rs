//! The program `pilot-daemon` as an operator and an application meet it, beside a real rendezvous.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
};

use super::{PATIENCE, Program, Rendezvous, fail};
use pilot_proto::{Addr, SockAddr};
use pilot_roles::{
    client::{Answer, Client, Event},
    ipc::Request,
};
use tempfile::TempDir;

/// A rendezvous and the directory in which daemons live.
struct Network {
    rendezvous: Rendezvous,
    dir: TempDir,
}

impl Network {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Network { rendezvous: Rendezvous::start(&dir.path().join("registry")), dir }
    }

    /// The arguments of a daemon that lives in the directory `name`.
    fn args(&self, name: &str) -> Vec<String> {
        let home = self.dir.path().join(name);
        fs::create_dir_all(&home).unwrap();
        [
            ("-registry", self.rendezvous.registry.to_string()),
            ("-beacon", self.rendezvous.beacon.to_string()),
            ("-listen", "127.0.0.1:0".to_owned()),
            ("-socket", home.join("s").display().to_string()),
            ("-identity", home.join("identity.json").display().to_string()),
            ("-email", "a@b.c".to_owned()),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .chain(["-public".to_owned()])
        .collect()
    }

    fn daemon(&self, name: &str) -> (Program, PathBuf) {
        let home = self.dir.path().join(name);
        let mut command = Command::new(crate::DAEMON);
        command.args(self.args(name)).env("HOME", &home);
        let (program, _) = Program::start(&mut command, "daemon running");
        (program, home.join("s"))
    }
}

/// An application on the daemon's socket.
struct Application {
    socket: UnixStream,
    client: Client,
}

impl Application {
    fn connect(path: &Path) -> Self {
        let socket = UnixStream::connect(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Application { socket, client: Client::new() }
    }

    fn event(&mut self) -> Event {
        loop {
            self.socket.write_all(self.client.output()).unwrap();
            self.client.wrote(self.client.output().len());
            if let Some(event) = self.client.poll_event() {
                return event;
            }
            let mut bytes = [0; 4096];
            let n = self.socket.read(&mut bytes).unwrap();
            assert!(n > 0, "the daemon hung up");
            self.client.handle_bytes(&bytes[..n]).unwrap();
        }
    }

    fn call(&mut self, request: &Request<'_>) -> Answer {
        self.client.call(request).unwrap();
        match self.event() {
            Event::Answer { result, .. } => result.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn node_id(&mut self) -> u32 {
        match self.call(&Request::Info) {
            Answer::Json(_, info) => u32::try_from(info["node_id"].as_u64().unwrap()).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn two_daemons_carry_a_stream() {
    let network = Network::start();
    let (first, socket) = network.daemon("first");
    let (second, other) = network.daemon("second");
    let node = Application::connect(&other).node_id();
    let mut application = Application::connect(&socket);
    let echo = SockAddr { addr: Addr { network: 0, node }, port: 7 };
    let Answer::Connected(stream) = application.call(&Request::Dial { to: echo }) else {
        panic!("no stream")
    };
    let data: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    assert_eq!(application.client.send(stream, &data), data.len());
    let mut echoed = Vec::new();
    while echoed.len() < data.len() {
        match application.event() {
            Event::Data { data, .. } => echoed.extend_from_slice(&data),
            other => panic!("{other:?}"),
        }
    }
    assert!(echoed == data);
    assert_eq!((first.terminate(), second.terminate()), (Some(0), Some(0)));
    assert!(!socket.exists());
    assert_eq!(network.rendezvous.program.terminate(), Some(0));
}

#[test]
fn a_node_is_the_same_after_a_restart() {
    let network = Network::start();
    let (daemon, socket) = network.daemon("it");
    let node = Application::connect(&socket).node_id();
    let (daemon2, socket2) = network.daemon("other");
    assert_ne!(Application::connect(&socket2).node_id(), node);
    assert_eq!(daemon.terminate(), Some(0));
    let (daemon, socket) = network.daemon("it");
    assert_eq!(Application::connect(&socket).node_id(), node);
    assert_eq!((daemon.terminate(), daemon2.terminate()), (Some(0), Some(0)));
}

#[test]
fn what_cannot_work_is_said_in_one_sentence() {
    let network = Network::start();
    let (_daemon, _) = network.daemon("it");
    let program = crate::DAEMON;
    let with = |name: &str, more: &[&str]| {
        let mut args = network.args(name);
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        args
    };
    let other = network.dir.path().join("s2").display().to_string();
    let damaged = network.dir.path().join("damaged.json");
    fs::write(&damaged, "{}").unwrap();
    let damaged = damaged.display().to_string();
    let config = network.dir.path().join("c.json");
    fs::write(&config, r#"{"encrypt":"yes"}"#).unwrap();
    let config = config.display().to_string();
    for (args, code, words) in [
        (with("it", &[]), 1, "another daemon answers"),
        (with("it", &["-socket", &other]), 1, "another daemon uses it"),
        (with("x", &["-email", "nobody"]), 1, "invalid email"),
        (with("x", &["-identity", &damaged]), 1, "private_key is missing"),
        (with("x", &["-registry-tls"]), 1, "requires -registry-fingerprint"),
        (with("x", &["-listen", "nowhere"]), 1, "cannot bind nowhere"),
        (with("x", &["-keepalive", "2"]), 2, "expected a duration"),
        (with("x", &["-config", &config]), 1, "expected true or false"),
        (vec!["-version".to_owned(), "-no-tasksubmit".to_owned()], 0, ""),
    ] {
        let (status, said) = fail(program, &args);
        assert_eq!(status, Some(code), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    }
    assert_eq!(fs::read_to_string(&damaged).unwrap(), "{}");
}
