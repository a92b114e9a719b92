//! Messages and files to a peer's inbox: `send-message`, `send-file`. Done means the peer acknowledged.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use pilot_proto::Addr;
use pilot_roles::json::json;
use pilot_roles::services::data_exchange::{Answer, Frame, kind};

use super::{Context, content, read_file, unreachable};
use crate::cli::{SendFile, SendMessage};
use crate::format::{duration, quoted};
use crate::ipc::{CallError, Daemon};
use crate::ops::{self, OpError};
use crate::output::{Code, Failure, Output};
use crate::resolve;

/// Frames shorter than this are gone before anybody could read a progress bar.
const PROGRESS_FROM: u64 = 1 << 20;

pub(crate) fn send_message(ctx: &Context, args: &SendMessage) -> Result<(), Failure> {
    let mut daemon = ctx.daemon()?;
    let addr = resolve::address(ctx.out, &mut daemon, &args.target)?;
    let data = content(&args.data)?;
    let kind = match args.kind.as_str() {
        "text" => kind::TEXT,
        "json" => kind::JSON,
        "binary" => kind::BINARY,
        other => {
            return Err(Failure::invalid(format!(
                "unknown type {} (use text, json, or binary)",
                quoted(other)
            )));
        }
    };
    let frame = Frame::message(kind, &data).map_err(Failure::invalid)?;
    let ack = deliver(ctx.out, &mut daemon, addr, &frame, args.timeout)?;
    ctx.out.object(json!({"target": addr.to_string(), "type": args.kind, "bytes": data.len(), "ack": ack}));
    Ok(())
}

pub(crate) fn send_file(ctx: &Context, args: &SendFile) -> Result<(), Failure> {
    let mut daemon = ctx.daemon()?;
    let addr = resolve::address(ctx.out, &mut daemon, &args.target)
        .map_err(|failure| Failure { code: Code::InvalidArgument, ..failure })?;
    let data = read_file(&args.path)?;
    let name = Path::new(&args.path).file_name().unwrap_or_default();
    let frame = Frame::file(name.as_encoded_bytes(), &data).map_err(Failure::invalid)?;
    let ack = deliver(ctx.out, &mut daemon, addr, &frame, args.timeout)?;
    ctx.out.object(json!({
        "filename": name.to_string_lossy(), "bytes": data.len(), "destination": addr.to_string(), "ack": ack
    }));
    Ok(())
}

/// Sends a frame; returns the words of the peer's acknowledgement. Anything else is a failure.
fn deliver(
    out: Output,
    daemon: &mut Daemon,
    addr: Addr,
    frame: &Frame,
    idle: Duration,
) -> Result<String, Failure> {
    let bar = progress(out, frame.payload.len() as u64);
    let answer = ops::exchange(daemon, addr, frame, idle, |sent| bar.set_position(sent));
    bar.finish_and_clear();
    match answer {
        Ok(answer @ Answer::Ack { .. }) => {
            let words = answer.to_string();
            match answer {
                Answer::Ack { name, .. } if name.starts_with("UNKNOWN") => {
                    Err(Failure::failed(format!("refused by {addr}: it does not know this type ({words})")))
                }
                _ => Ok(words),
            }
        }
        Ok(Answer::Err(words) | Answer::Other(words)) => {
            Err(Failure::failed(format!("refused by {addr}: {words}")))
        }
        Err(OpError::Dial(CallError::Late)) => Err(Failure::new(
            Code::Timeout,
            format!("cannot connect to {addr} (data exchange port 1001) within {}", duration(idle)),
        )
        .hint(format!("check that {addr} is reachable: pilotctl ping {addr}"))),
        Err(OpError::Dial(_)) => {
            Err(unreachable(addr, &format!("cannot connect to {addr} (data exchange port 1001)")))
        }
        Err(OpError::Stream(CallError::Late)) => Err(Failure::new(
            Code::Timeout,
            format!("no acknowledgement from {addr} within {}: delivery is uncertain", duration(idle)),
        )
        .hint("increase with --timeout, or ask the receiver: pilotctl inbox")),
        Err(OpError::Ended) => {
            Err(Failure::failed(format!("{addr} closed without acknowledgement: delivery is uncertain")))
        }
        Err(error) => Err(Failure::failed(format!("send failed: {error}"))),
    }
}

/// A bar for people who watch a long transfer, invisible to everybody else.
pub(super) fn progress(out: Output, length: u64) -> ProgressBar {
    if out.json || length < PROGRESS_FROM || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}  {bytes_per_sec}  {eta}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
