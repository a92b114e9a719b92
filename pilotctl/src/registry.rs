//! One question to the registry, without a daemon: a TCP connection, a frame each way.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use pilot_roles::frames::{FrameReader, frame};
use pilot_roles::json::{Value, to_line};

use crate::format::text;
use crate::output::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_ANSWER: usize = 64 << 20;

/// Sends `message` to the registry at `place` and returns its answer; `label` starts every error.
pub(crate) fn ask(place: &str, label: &str, message: &Value) -> Result<Value, Failure> {
    let unreachable = || {
        Failure::failed(format!("cannot reach registry at {place}"))
            .hint(format!("check that the registry is running at {place}, or set PILOT_REGISTRY"))
    };
    let mut stream = place
        .to_socket_addrs()
        .map_err(|_| unreachable())?
        .find_map(|addr| TcpStream::connect_timeout(&addr, CONNECT_TIMEOUT).ok())
        .ok_or_else(unreachable)?;
    let answer =
        exchange(&mut stream, message).map_err(|why| Failure::failed(format!("{label}: recv: {why}")))?;
    if text(&answer, "type") == "error" {
        return Err(Failure::failed(format!("{label}: registry: {}", text(&answer, "error"))));
    }
    Ok(answer)
}

fn exchange(stream: &mut TcpStream, message: &Value) -> Result<Value, String> {
    let words = |error: std::io::Error| error.to_string();
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(words)?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(words)?;
    stream.write_all(&frame(to_line(message).as_bytes())).map_err(words)?;
    let mut reader = FrameReader::new(MAX_ANSWER);
    let mut buffer = [0; 16 * 1024];
    loop {
        match reader.pop() {
            Ok(Some(body)) => return serde_json::from_slice(body).map_err(|error| error.to_string()),
            Ok(None) => {}
            Err(e) => return Err(format!("answer of {} bytes (max {})", e.announced, e.allowed)),
        }
        match stream.read(&mut buffer).map_err(words)? {
            0 => return Err("EOF".into()),
            n => reader.push(buffer.get(..n).unwrap_or_default()),
        }
    }
}
