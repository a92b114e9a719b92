//! The program `rendezvous` as an operator meets it: flags, ports, signals, and a store that outlives it.

use std::{
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
};

use super::{PATIENCE, Rendezvous, fail};
use serde_json::{Value, json};

/// One request of the registry's protocol.
fn ask(rendezvous: &Rendezvous, request: &Value) -> Value {
    let mut socket = TcpStream::connect(rendezvous.registry).unwrap();
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

#[test]
fn a_node_keeps_its_id_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("registry");
    let register = json!({"type": "register", "listen_addr": "127.0.0.1:4000",
        "public_key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "owner": "a@b.c"});
    let rendezvous = Rendezvous::start(&store);
    let first = ask(&rendezvous, &register);
    assert_eq!(first["type"], "register_ok", "{first}");
    assert_eq!(rendezvous.program.terminate(), Some(0));
    let rendezvous = Rendezvous::start(&store);
    let found = ask(&rendezvous, &json!({"type": "lookup", "node_id": first["node_id"]}));
    assert_eq!(found["public_key"], register["public_key"], "{found}");
    assert_eq!(ask(&rendezvous, &register)["node_id"], first["node_id"]);
    assert_eq!(rendezvous.program.terminate(), Some(0));
}

#[test]
fn the_beacon_tells_a_node_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let rendezvous = Rendezvous::start(&dir.path().join("registry"));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(&[1, 0, 0, 0, 0], rendezvous.beacon).unwrap();
    let mut answer = [0; 64];
    let (len, from) = socket.recv_from(&mut answer).unwrap();
    assert_eq!(from, rendezvous.beacon);
    let port = socket.local_addr().unwrap().port().to_be_bytes();
    assert_eq!(answer[..len], [&[2, 4, 127, 0, 0, 1][..], &port].concat());
}

#[test]
fn what_cannot_work_is_said_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("registry");
    let rendezvous = Rendezvous::start(&store);
    let store = store.to_str().unwrap();
    let taken = rendezvous.registry.to_string();
    for (args, code, words) in [
        (vec!["-nope"], 2, "--nope"),
        (vec!["-tls=maybe"], 2, "expected true or false"),
        (vec!["-config", "/no/such"], 1, "load config: /no/such"),
        (vec!["-standby", "127.0.0.1:9"], 1, "-standby is not offered"),
        (vec!["-store", store, "-registry-addr", "127.0.0.1:0"], 1, "in use by another process"),
        (vec!["-beacon-addr=127.0.0.1:0", "-log-level=error", "-registry-addr", &taken], 1, "cannot bind"),
        (vec!["-h"], 0, "Flags take one dash or two"),
    ] {
        let (status, said) = fail(crate::RENDEZVOUS, &args);
        assert_eq!(status, Some(code), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    }
}
