//! An echo server and its client, as futures. Both nodes and their rendezvous are in this process:
//!
//! `cargo run -p pilot-async --example echo`
//!
//! With a daemon, `Endpoint::local("/tmp/pilot.sock")` takes the place of `network.node()...bind()`; nothing else changes.

use std::io;

use futures_lite::{AsyncReadExt, AsyncWriteExt, io as copying};
use pilot_async::{Endpoint, Listener, LocalRendezvous, block_on};

const PORT: u16 = 1000;

async fn serve(listener: Listener) -> io::Result<()> {
    loop {
        let stream = listener.accept().await?;
        let bytes = copying::copy(&stream, &stream).await?;
        (&stream).close().await?;
        println!("server: {bytes} bytes from {}", stream.peer().addr);
    }
}

async fn ask(endpoint: &Endpoint, words: &str) -> io::Result<String> {
    let mut stream = endpoint.connect(&format!("agent-b:{PORT}")).await?;
    stream.write_all(words.as_bytes()).await?;
    stream.close().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn main() -> io::Result<()> {
    block_on(async {
        let network = LocalRendezvous::start()?;
        let b = network.node().hostname("agent-b").public(true).bind().await?;
        let a = network.node().hostname("agent-a").public(true).bind().await?;
        println!("agent-a is {}, agent-b is {}", a.addr(), b.addr());
        let server = serve(b.listen(PORT).await?);
        let client = async {
            for words in ["hello", "a pilot stream ends one way at a time"] {
                println!("client: {:?}", ask(&a, words).await?);
            }
            Ok(())
        };
        futures_lite::future::or(client, server).await?;
        a.shutdown().await;
        b.shutdown().await;
        Ok(())
    })
}
