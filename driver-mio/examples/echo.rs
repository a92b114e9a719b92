//! An echo server and its client, with threads. Both nodes and their rendezvous are in this process:
//!
//! `cargo run -p pilot-mio --example echo`
//!
//! With a daemon, `Endpoint::local("/tmp/pilot.sock")` takes the place of `network.node()...bind()`; nothing else changes.

use std::{
    io::{self, Read, Write},
    net::Shutdown,
    thread,
};

use pilot_mio::{Endpoint, Listener, LocalRendezvous};

const PORT: u16 = 1000;

fn serve(listener: &Listener) -> io::Result<()> {
    for stream in listener.incoming() {
        let mut stream = stream?;
        thread::spawn(move || -> io::Result<()> {
            let mut back = stream.try_clone()?;
            let bytes = io::copy(&mut stream, &mut back)?;
            back.shutdown(Shutdown::Write)?;
            println!("server: {bytes} bytes from {}", stream.peer().addr);
            Ok(())
        });
    }
    Ok(())
}

fn ask(endpoint: &Endpoint, words: &str) -> io::Result<String> {
    let mut stream = endpoint.connect(&format!("agent-b:{PORT}"))?;
    stream.write_all(words.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn main() -> io::Result<()> {
    let network = LocalRendezvous::start()?;
    let b = network.node().hostname("agent-b").public(true).bind()?;
    let a = network.node().hostname("agent-a").public(true).bind()?;
    println!("agent-a is {}, agent-b is {}", a.addr(), b.addr());
    let listener = b.listen(PORT)?;
    thread::spawn(move || serve(&listener));
    for words in ["hello", "a pilot stream ends one way at a time"] {
        println!("client: {:?}", ask(&a, words)?);
    }
    a.shutdown();
    b.shutdown();
    Ok(())
}
