//! HTTP over a pilot stream, with hyper on both ends: a stream is all that hyper needs.
//!
//! `cargo run -p pilot-async --example http`

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_lite::{AsyncRead, AsyncWrite};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    rt::{Read, ReadBufCursor, Write},
    service::service_fn,
};
use pilot_async::{LocalRendezvous, Stream, block_on};

const PORT: u16 = 80;

/// A stream as hyper's traits, which are not those of futures.
struct Io(Stream);

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 16 * 1024];
        let room = buffer.remaining().min(bytes.len());
        let len = ready!(Pin::new(&mut self.0).poll_read(cx, &mut bytes[..room]))?;
        buffer.put_slice(&bytes[..len]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Failure> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let words = format!("{} {} with {} bytes\n", head.method, head.uri.path(), body.len());
    Ok(Response::new(Full::new(words.into())))
}

fn main() -> Result<(), Failure> {
    block_on(async {
        let network = LocalRendezvous::start()?;
        let b = network.node().hostname("agent-b").public(true).bind().await?;
        let a = network.node().hostname("agent-a").public(true).bind().await?;
        let listener = b.listen(PORT).await?;
        let server = async {
            let stream = listener.accept().await?;
            hyper::server::conn::http1::Builder::new()
                .serve_connection(Io(stream), service_fn(answer))
                .await?;
            Ok::<_, Failure>(())
        };
        let client = async {
            let stream = a.connect(&format!("agent-b:{PORT}")).await?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(Io(stream)).await?;
            let ask = async {
                for (path, bytes) in [("/", 0), ("/upload", 1_000_000)] {
                    let body = Full::new(Bytes::from(vec![7; bytes]));
                    let request = Request::post(path).header("host", "agent-b").body(body)?;
                    let response = sender.send_request(request).await?;
                    let status = response.status();
                    let words = response.into_body().collect().await?.to_bytes();
                    print!("{status}: {}", String::from_utf8_lossy(&words));
                }
                drop(sender);
                Ok::<_, Failure>(())
            };
            let (asked, connected) = futures_lite::future::zip(ask, connection).await;
            connected?;
            asked
        };
        let (served, asked) = futures_lite::future::zip(server, client).await;
        served.and(asked)?;
        a.shutdown().await;
        b.shutdown().await;
        Ok(())
    })
}
