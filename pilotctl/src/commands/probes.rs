//! How far and how fast: `ping`, `traceroute`, `bench`, all through the peer's echo port.

use std::time::{Duration, Instant};

use pilot_proto::{Addr, port};
use pilot_roles::json::{Value, json};

use super::exchange::progress;
use super::{Context, unreachable};
use crate::cli::{Bench, Ping, Traceroute};
use crate::format::{duration, millis, size};
use crate::ipc::CallError;
use crate::ops::{self, OpError};
use crate::output::{Code, Failure};
use crate::resolve;

/// Silence that ends one probe.
const PROBE: Duration = Duration::from_secs(5);
/// Time between probes.
const INTERVAL: Duration = Duration::from_secs(1);
/// Round trips of a traceroute.
const SAMPLES: usize = 3;

pub(crate) fn ping(ctx: &Context, args: &Ping) -> Result<(), Failure> {
    let mut daemon = ctx.daemon()?;
    let addr = resolve::address(ctx.out, &mut daemon, &args.target)?;
    ctx.out.line(format!("PING {addr}"));
    let pauses = INTERVAL * u32::try_from(args.count.max(1) - 1).unwrap_or(u32::MAX);
    let deadline = Instant::now() + args.timeout.unwrap_or(PROBE.saturating_add(pauses));
    let mut results = Vec::new();
    let mut timeout = false;
    for seq in 0..args.count {
        let start = Instant::now();
        if start >= deadline {
            timeout = true;
            ctx.out.line("timeout");
            break;
        }
        let outcome = ops::ping(&mut daemon, addr, seq, deadline.min(start + PROBE));
        let rtt = start.elapsed();
        match outcome {
            Ok(bytes) => {
                ctx.out.line(format!("seq={seq} bytes={bytes} time={}", duration(rtt)));
                results.push(json!({"seq": seq, "rtt_ms": millis(rtt), "bytes": bytes}));
            }
            Err(error) => {
                ctx.out.line(format!("seq={seq} error: {error}"));
                results.push(match error {
                    OpError::Dial(_) => json!({"seq": seq, "error": error.to_string()}),
                    _ => json!({"seq": seq, "rtt_ms": millis(rtt), "error": error.to_string()}),
                });
                // A dial that was given up on still blocks this connection to the daemon; later probes take a new one.
                daemon = ctx.daemon()?;
            }
        }
        if seq + 1 < args.count {
            std::thread::sleep(INTERVAL.min(deadline.saturating_duration_since(Instant::now())));
        }
    }
    if ctx.out.json {
        let results = if results.is_empty() { Value::Null } else { Value::Array(results) };
        ctx.out.object(json!({"target": addr.to_string(), "results": results, "timeout": timeout}));
    }
    Ok(())
}

pub(crate) fn traceroute(ctx: &Context, args: &Traceroute) -> Result<(), Failure> {
    let addr: Addr = args.address.parse().map_err(|_| {
        let text = crate::format::quoted(&args.address);
        Failure::invalid(format!("parse address: invalid address: {text} (expected N:XXXX.YYYY.YYYY)"))
    })?;
    let mut daemon = ctx.daemon()?;
    ctx.out.line(format!("TRACEROUTE {addr}"));
    let start = Instant::now();
    let deadline = start + args.timeout;
    let dialled = daemon.dial(addr, port::ECHO, deadline);
    let setup = start.elapsed();
    let stream = match dialled {
        Ok(stream) => stream,
        Err(CallError::Late) => return Err(Failure::new(Code::Timeout, "dial timeout")),
        Err(error) => {
            let words = format!("dial: {error}");
            let data = json!({"target": addr.to_string(), "setup_ms": millis(setup), "error": words});
            ctx.out.result(data, |_| format!("  1  {addr}  connection failed: {words}"));
            return Ok(());
        }
    };
    ctx.out.line(format!("  1  {addr}  setup={}", duration(setup)));
    let mut samples = Vec::new();
    for sample in 0..SAMPLES {
        let start = Instant::now();
        let outcome = ops::echo(&mut daemon, stream, format!("trace-{sample}").as_bytes(), deadline);
        let rtt = start.elapsed();
        samples.push(match outcome {
            Ok(bytes) => {
                ctx.out.line(format!("     rtt={} bytes={bytes}", duration(rtt)));
                json!({"rtt_ms": millis(rtt), "bytes": bytes})
            }
            Err(error) => {
                ctx.out.line(format!("     error: {error}"));
                json!({"rtt_ms": millis(rtt), "error": error.to_string()})
            }
        });
    }
    let _ = daemon.close(stream);
    let data = json!({"target": addr.to_string(), "setup_ms": millis(setup), "rtt_samples": samples});
    ctx.out.result(data, |_| {
        "\nsetup includes: tunnel negotiation + SYN/ACK handshake\nrtt is: data round-trip over established connection"
            .into()
    });
    Ok(())
}

pub(crate) fn bench(ctx: &Context, args: &Bench) -> Result<(), Failure> {
    let mut daemon = ctx.daemon()?;
    let addr = resolve::address(ctx.out, &mut daemon, &args.target)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be 0..=65536 MiB"
    )]
    let wanted = (args.size_mb * f64::from(1u32 << 20)) as u64;
    ctx.out.line(format!("BENCH {addr} — sending {} via echo port", size(wanted)));
    let bar = progress(ctx.out, wanted);
    let outcome =
        ops::bench(&mut daemon, addr, wanted, Instant::now() + args.timeout, |back| bar.set_position(back));
    bar.finish_and_clear();
    let measured = outcome.map_err(|(measured, error)| match error {
        OpError::Dial(_) => unreachable(addr, &format!("cannot connect to {addr} echo port")),
        OpError::Stream(CallError::Late) => Failure::new(
            Code::Timeout,
            format!(
                "bench incomplete: {} of {} came back within {}",
                size(measured.received),
                size(wanted),
                duration(args.timeout)
            ),
        )
        .hint("increase with --timeout, or send less"),
        error => Failure::failed(format!(
            "bench incomplete: {} of {} came back: {error}",
            size(measured.received),
            size(wanted)
        )),
    })?;
    let whole_ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let rate = |time: Duration| {
        let seconds = time.as_secs_f64();
        if seconds > 0.0 { args.size_mb / seconds } else { 0.0 }
    };
    let data = json!({
        "target": addr.to_string(),
        "sent_bytes": measured.sent,
        "recv_bytes": measured.received,
        "send_duration_ms": whole_ms(measured.send_time),
        "total_duration_ms": whole_ms(measured.total_time),
        "send_mbps": rate(measured.send_time),
        "total_mbps": rate(measured.total_time),
        "complete": true,
    });
    ctx.out.result(data, |_| {
        format!(
            "  Sent:     {} in {} ({:.1} MB/s)\n  Echoed:   {} in {} ({:.1} MB/s round-trip)",
            size(measured.sent),
            duration(measured.send_time),
            rate(measured.send_time),
            size(measured.received),
            duration(measured.total_time),
            rate(measured.total_time)
        )
    });
    Ok(())
}
