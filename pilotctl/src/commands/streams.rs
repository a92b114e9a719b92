//! Raw streams and datagrams: `connect`, `send`, `recv`, `listen`.

use std::io::{IsTerminal, Read};
use std::time::{Duration, Instant};

use pilot_proto::Addr;
use pilot_roles::client::Event;
use pilot_roles::ipc::Request;
use pilot_roles::json::{Value, json};

use super::{Context, content, unreachable};
use crate::cli::{Connect, Listen, Recv, Send};
use crate::format::duration;
use crate::ipc::{CallError, Daemon};
use crate::ops::{self, OpError, QUIET};
use crate::output::{Code, Failure};
use crate::resolve;

pub(crate) fn connect(ctx: &Context, args: &Connect) -> Result<(), Failure> {
    let mut daemon = ctx.daemon()?;
    let message = args.message.as_deref().filter(|message| !message.is_empty());
    let stdin = std::io::stdin();
    if message.is_none() && stdin.is_terminal() {
        return Err(Failure::invalid("--message is required (interactive mode not supported)")
            .hint("use --message to send a single message, or pipe data via stdin"));
    }
    let addr = resolve::address(ctx.out, &mut daemon, &args.target)?;
    let data = match message {
        Some(message) => message.as_bytes().to_vec(),
        None => {
            let mut data = Vec::new();
            stdin
                .lock()
                .read_to_end(&mut data)
                .map_err(|error| Failure::internal(format!("read stdin: {error}")))?;
            // The newline that ends the last line belongs to the shell, not to the message.
            if data.last() == Some(&b'\n') {
                data.pop();
            }
            if data.is_empty() {
                return Err(Failure::invalid("no data on stdin — use --message or pipe data"));
            }
            data
        }
    };
    let hint = "increase with --timeout, or check if the target is listening on that port";
    ask(ctx, &mut daemon, (addr, args.port), &data, args.timeout, hint)
}

pub(crate) fn send(ctx: &Context, args: &Send) -> Result<(), Failure> {
    let mut daemon = ctx.daemon()?;
    let addr = resolve::address(ctx.out, &mut daemon, &args.target)?;
    let data = content(&args.data)?;
    let hint = format!("increase with --timeout, or check peer: pilotctl ping {addr}");
    ask(ctx, &mut daemon, (addr, args.port), &data, args.timeout, &hint)
}

/// Sends, waits for the answer, prints it.
fn ask(
    ctx: &Context,
    daemon: &mut Daemon,
    (addr, port): (Addr, u16),
    data: &[u8],
    timeout: Duration,
    hint: &str,
) -> Result<(), Failure> {
    let response =
        ops::ask(daemon, (addr, port), data, Instant::now() + timeout).map_err(|error| match error {
            OpError::Dial(CallError::Late) => Failure::new(
                Code::Timeout,
                format!("cannot connect to {addr} port {port} within {}", duration(timeout)),
            )
            .hint(format!("check that {addr} is reachable: pilotctl ping {addr}")),
            OpError::Dial(_) => unreachable(addr, &format!("cannot connect to {addr} port {port}")),
            OpError::Stream(CallError::Late) => {
                Failure::new(Code::Timeout, format!("no response within {}", duration(timeout))).hint(hint)
            }
            other => Failure::failed(other),
        })?;
    if response.is_empty() {
        ctx.out.note(format!("sent {} bytes (no response)", data.len()));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let data =
        json!({"target": addr.to_string(), "port": port, "sent": text(data), "response": text(&response)});
    if ctx.out.json || !response.is_empty() {
        ctx.out.result(data, |_| text(&response));
    }
    Ok(())
}

pub(crate) fn recv(ctx: &Context, args: &Recv) -> Result<(), Failure> {
    let mut daemon = ctx.daemon()?;
    let deadline = Instant::now() + args.timeout;
    daemon
        .call(&Request::Bind { port: args.port }, deadline)
        .map_err(|error| Failure::failed(format!("listen: bind: {error}")))?;
    let mut messages = Vec::new();
    let mut timeout = false;
    for seq in 0..args.count {
        let (stream, _) = match daemon.accept(Some(deadline)) {
            Ok(accepted) => accepted,
            Err(CallError::Late) => {
                timeout = true;
                break;
            }
            Err(error) => return Err(Failure::failed(format!("accept: {error}"))),
        };
        daemon.drop_datagrams();
        messages.push(match daemon.recv_burst(stream, Some(deadline), QUIET) {
            Ok(data) => {
                let text = String::from_utf8_lossy(&data).into_owned();
                ctx.out.line(&text);
                json!({"seq": seq, "port": args.port, "data": text, "bytes": data.len()})
            }
            Err(error) => json!({"seq": seq, "port": args.port, "error": error.to_string()}),
        });
        let _ = daemon.close(stream);
    }
    finish_list(ctx, "messages", messages, timeout);
    Ok(())
}

pub(crate) fn listen(ctx: &Context, args: &Listen) -> Result<(), Failure> {
    let mut daemon = ctx.daemon()?;
    ctx.out.note(format!("listening on port {} — waiting for datagrams...", args.port));
    let deadline = (!args.timeout.is_zero()).then(|| Instant::now() + args.timeout);
    let mut messages = Vec::new();
    let mut timeout = false;
    let wanted = usize::try_from(args.count).unwrap_or(0);
    while wanted == 0 || messages.len() < wanted {
        match daemon.next_event(deadline) {
            Ok(Event::Datagram { from, port, data }) if port == args.port => {
                let text = String::from_utf8_lossy(&data).into_owned();
                let item = json!({
                    "src_addr": from.addr.to_string(), "src_port": from.port, "data": text, "bytes": data.len()
                });
                if wanted == 0 {
                    ctx.out.item(&item, || format!("[{from}] {text}"));
                } else {
                    ctx.out.line(format!("[{from}] {text}"));
                    messages.push(item);
                }
            }
            Ok(_) => {}
            Err(CallError::Late) => {
                timeout = true;
                break;
            }
            Err(error) => return Err(Failure::failed(format!("recv: {error}"))),
        }
    }
    if wanted > 0 {
        finish_list(ctx, "messages", messages, timeout);
    } else if timeout {
        ctx.out.note("timeout");
    }
    Ok(())
}

/// The end of a bounded list, whose items people have seen already. An empty list is `null` to programs.
pub(super) fn finish_list(ctx: &Context, key: &str, items: Vec<Value>, timeout: bool) {
    if timeout {
        ctx.out.note("timeout");
    }
    if ctx.out.json {
        let items = if items.is_empty() { Value::Null } else { Value::Array(items) };
        ctx.out.object(json!({key: items, "timeout": timeout}));
    }
}
