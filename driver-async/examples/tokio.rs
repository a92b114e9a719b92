//! A node inside a tokio program. Its futures need no particular executor, its streams speak futures' traits, and
//! `tokio_util::compat` makes them tokio's.
//!
//! `cargo run -p pilot-async --example tokio`

use std::io;

use pilot_async::LocalRendezvous;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio_util::compat::FuturesAsyncReadCompatExt;

const PORT: u16 = 1000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let network = LocalRendezvous::start()?;
    let b = network.node().hostname("agent-b").public(true).bind().await?;
    let a = network.node().hostname("agent-a").public(true).bind().await?;
    let listener = b.listen(PORT).await?;
    let server = tokio::spawn(async move {
        let mut stream = BufReader::new(listener.accept().await?.compat());
        let mut line = String::new();
        while stream.read_line(&mut line).await? > 0 {
            let answer = format!("{}\n", line.trim_end().to_uppercase());
            stream.write_all(answer.as_bytes()).await?;
            line.clear();
        }
        stream.shutdown().await
    });
    let mut stream = BufReader::new(a.connect(&format!("agent-b:{PORT}")).await?.compat());
    for line in ["hello from tokio\n", "line by line\n"] {
        stream.write_all(line.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_line(&mut answer).await?;
        print!("{} -> {answer}", line.trim_end());
    }
    stream.shutdown().await?;
    server.await.map_err(io::Error::other)??;
    a.shutdown().await;
    b.shutdown().await;
    Ok(())
}
