//! Topics: `subscribe`, `publish`.

use std::time::Instant;

use pilot_proto::Addr;
use pilot_roles::json::json;

use super::streams::finish_list;
use super::{Context, content, unreachable};
use crate::cli::{Publish, Subscribe};
use crate::format::quoted;
use crate::ipc::{CallError, PATIENCE};
use crate::ops::{self, OpError, Subscription};
use crate::output::Failure;
use crate::resolve;

pub(crate) fn subscribe(ctx: &Context, args: &Subscribe) -> Result<(), Failure> {
    let mut daemon = ctx.daemon()?;
    let addr = resolve::address(ctx.out, &mut daemon, &args.target)?;
    let deadline = (!args.timeout.is_zero()).then(|| Instant::now() + args.timeout);
    let opened = Subscription::open(
        &mut daemon,
        addr,
        args.topic.as_bytes(),
        deadline.unwrap_or_else(|| Instant::now() + PATIENCE),
    );
    let mut subscription = opened.map_err(|error| failure(addr, "subscribe on", &error))?;
    ctx.out.note(format!("subscribed to {} on {addr} — waiting for events...", quoted(&args.topic)));
    let mut events = Vec::new();
    let mut timeout = false;
    let wanted = usize::try_from(args.count).unwrap_or(0);
    while wanted == 0 || events.len() < wanted {
        match subscription.next(&mut daemon, deadline) {
            Ok(event) => {
                let topic = String::from_utf8_lossy(&event.topic).into_owned();
                let data = String::from_utf8_lossy(&event.payload).into_owned();
                let item = json!({"topic": topic, "data": data, "bytes": event.payload.len()});
                if wanted == 0 {
                    ctx.out.item(&item, || format!("[{topic}] {data}"));
                } else {
                    ctx.out.line(format!("[{topic}] {data}"));
                    events.push(item);
                }
            }
            Err(OpError::Stream(CallError::Late)) => {
                timeout = true;
                break;
            }
            Err(error) if events.is_empty() => return Err(Failure::failed(format!("recv: {error}"))),
            Err(error) => {
                ctx.out.note(format!("recv: {error}"));
                ctx.out.object(json!({"events": events, "timeout": false, "error": error.to_string()}));
                return Ok(());
            }
        }
    }
    if wanted > 0 {
        finish_list(ctx, "events", events, timeout);
    } else if timeout {
        ctx.out.note("timeout");
    }
    subscription.close(&mut daemon);
    Ok(())
}

pub(crate) fn publish(ctx: &Context, args: &Publish) -> Result<(), Failure> {
    let mut daemon = ctx.daemon()?;
    let addr = resolve::address(ctx.out, &mut daemon, &args.target)?;
    let data = content(&args.data)?;
    ops::publish(&mut daemon, addr, args.topic.as_bytes(), &data, args.timeout)
        .map_err(|error| failure(addr, "connect to", &error))?;
    ctx.out.object(json!({"target": addr.to_string(), "topic": args.topic, "bytes": data.len()}));
    Ok(())
}

fn failure(addr: Addr, verb: &str, error: &OpError) -> Failure {
    match error {
        OpError::Dial(_) => unreachable(addr, &format!("cannot {verb} {addr} (event stream port 1002)")),
        OpError::Garbled(why) => Failure::invalid(why),
        other => Failure::failed(format!("send failed: {other}")),
    }
}
