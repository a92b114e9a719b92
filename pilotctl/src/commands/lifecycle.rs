//! `daemon start`, `stop` and `status`: the background process, its pid file and its log.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pilot_roles::ipc::Request;
use pilot_roles::json::{Value, json};

use super::Context;
use crate::children;
use crate::cli::{DaemonCommand, DaemonGroup, DaemonStart};
use crate::config::{DEFAULT_BEACON, DEFAULT_REGISTRY, env, socket};
use crate::format::{number, quoted, text, uptime};
use crate::ipc::Daemon;
use crate::output::{Code, Failure};
use crate::process;

/// The hidden command that is the daemon.
const CHILD: &str = "_daemon-run";
/// How long a new daemon may take until it answers.
const READY: Duration = Duration::from_secs(15);
/// How long a daemon may take to end by itself.
const STOP: Duration = Duration::from_secs(10);
/// Time between looks at a daemon that should answer.
const POLL: Duration = Duration::from_millis(50);

pub(crate) fn run(ctx: &Context, group: DaemonGroup) -> Result<(), Failure> {
    match group.command {
        Some(DaemonCommand::Start(args)) => start(ctx, &args),
        Some(DaemonCommand::Stop) => stop(ctx),
        Some(DaemonCommand::Status { check }) => status(ctx, check),
        Some(DaemonCommand::Unknown(words)) => Err(Failure::invalid(format!(
            "unknown daemon subcommand: {}",
            words.first().map_or("", String::as_str)
        ))
        .hint("available: start, stop, status")),
        None => {
            Err(Failure::invalid("missing subcommand")
                .hint("available: pilotctl daemon start | stop | status"))
        }
    }
}

/// Everything the background process has to be told.
#[derive(Debug)]
struct Plan {
    socket: String,
    arguments: Vec<String>,
    admin_token: Option<String>,
}

impl Plan {
    /// Flags win over the file; for the registry the file wins over the environment.
    fn new(ctx: &Context, args: &DaemonStart) -> Self {
        let file = |key: &str| ctx.config.get(key).map(String::from);
        let or_file = |flag: &Option<String>, key: &str| flag.clone().or_else(|| file(key));
        let socket = args.socket.clone().unwrap_or_else(|| socket(&ctx.config));
        let registry = or_file(&args.registry, "registry")
            .or_else(|| env("PILOT_REGISTRY"))
            .unwrap_or_else(|| DEFAULT_REGISTRY.into());
        let identity = ctx.home.path("identity.json").to_string_lossy().into_owned();
        let mut arguments = Vec::new();
        let mut flag = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                arguments.extend([format!("--{name}"), value]);
            }
        };
        flag("registry", Some(registry));
        flag("beacon", Some(or_file(&args.beacon, "beacon").unwrap_or_else(|| DEFAULT_BEACON.into())));
        flag("listen", Some(args.listen.clone().unwrap_or_else(|| ":0".into())));
        flag("socket", Some(socket.clone()));
        flag("identity", Some(args.identity.clone().unwrap_or(identity)));
        flag("log-level", Some(args.log_level.clone().unwrap_or_else(|| "info".into())));
        flag("log-format", Some(args.log_format.clone().unwrap_or_else(|| "text".into())));
        flag("email", args.email.clone().or_else(|| args.owner.clone()).or_else(|| file("email")));
        flag("hostname", or_file(&args.hostname, "hostname"));
        flag("config", args.config.clone());
        flag("webhook", or_file(&args.webhook, "webhook"));
        flag("networks", or_file(&args.networks, "networks"));
        for (given, name) in [
            (args.no_encrypt, "--encrypt=false"),
            (args.public, "--public"),
            (args.trust_auto_approve, "--trust-auto-approve"),
        ] {
            if given {
                arguments.push(name.into());
            }
        }
        Plan { socket, arguments, admin_token: or_file(&args.admin_token, "admin_token") }
    }
}

impl Plan {
    fn apply(&self, mut command: Command) -> Command {
        command.args(&self.arguments);
        if let Some(token) = &self.admin_token {
            // Not on the command line, where everybody on the machine could read it.
            command.env("PILOT_ADMIN_TOKEN", token);
        }
        command
    }
}

fn start(ctx: &Context, args: &DaemonStart) -> Result<(), Failure> {
    let running = |what: String| {
        Failure::new(Code::AlreadyExists, format!("daemon is already running ({what})"))
            .hint("stop it first with: pilotctl daemon stop")
    };
    let pid_file = ctx.home.path("pilot.pid");
    if let Some(pid) = process::read_pid(&pid_file) {
        if process::is_daemon(pid) {
            return Err(running(format!("pid {pid}")));
        }
        let _ = std::fs::remove_file(&pid_file);
    }
    let plan = Plan::new(ctx, args);
    if Daemon::connect(Path::new(&plan.socket)).is_ok() {
        return Err(running(format!("socket {} is active", plan.socket)));
    }
    if args.foreground {
        // In this very process: whoever started us watches this pid.
        let error = children::command(CHILD).map_or_else(|error| error, |command| plan.apply(command).exec());
        return Err(Failure::internal(format!("start daemon: {error}")));
    }
    ctx.home.create().map_err(|error| Failure::internal(format!("create ~/.pilot: {error}")))?;
    let log_file = ctx.home.path("pilot.log");
    let mut child = spawn(&plan, &log_file)?;
    let pid = child.id();
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&pid_file)
        .and_then(|mut file| file.write_all(pid.to_string().as_bytes()))
        .map_err(|error| Failure::internal(format!("write {}: {error}", pid_file.display())))?;
    ctx.out.note(format!("starting daemon (pid {pid})..."));
    let info = match wait_ready(&mut child, Path::new(&plan.socket), &log_file) {
        Ok(info) => info,
        Err(failure) => {
            if failure.code != Code::Timeout {
                let _ = std::fs::remove_file(&pid_file);
            }
            return Err(failure);
        }
    };
    let data = json!({
        "pid": pid,
        "node_id": number(&info, "node_id"),
        "address": text(&info, "address"),
        "hostname": text(&info, "hostname"),
        "socket": plan.socket,
        "log_file": log_file.to_string_lossy(),
    });
    ctx.out.result(data, |data| {
        let mut lines =
            vec![format!("Daemon running (pid {pid})"), format!("  Address:  {}", text(data, "address"))];
        if !text(data, "hostname").is_empty() {
            lines.push(format!("  Hostname: {}", text(data, "hostname")));
        }
        lines.push(format!("  Socket:   {}", plan.socket));
        lines.push(format!("  Logs:     {}", log_file.display()));
        lines.join("\n")
    });
    Ok(())
}

fn spawn(plan: &Plan, log_file: &Path) -> Result<Child, Failure> {
    let failed = |error: std::io::Error| Failure::internal(format!("start daemon: {error}"));
    let log =
        std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(log_file).map_err(failed)?;
    let mut command = plan.apply(children::detached(CHILD).map_err(failed)?);
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
    command.spawn().map_err(failed)
}

/// Waits until the daemon answers; notices at once when it dies.
fn wait_ready(child: &mut Child, socket: &Path, log_file: &Path) -> Result<Value, Failure> {
    let pid = child.id();
    let deadline = Instant::now() + READY;
    let see_log = format!("check logs: tail -f {}", log_file.display());
    while Instant::now() < deadline {
        if let Ok(Ok(info)) = Daemon::connect(socket).map(|mut daemon| daemon.object(&Request::Info)) {
            return Ok(info);
        }
        if let Ok(Some(status)) = child.try_wait() {
            let why = last_line(log_file).unwrap_or_else(|| "it logged nothing".into());
            return Err(
                Failure::internal(format!("daemon (pid {pid}) ended at once, {status}: {why}")).hint(see_log)
            );
        }
        std::thread::sleep(POLL);
    }
    Err(Failure::new(
        Code::Timeout,
        format!("daemon started (pid {pid}) but did not become ready within {}s", READY.as_secs()),
    )
    .hint(see_log))
}

/// The last line of a log that says something.
fn last_line(path: &Path) -> Option<String> {
    let log = std::fs::read(path).ok()?;
    let log = String::from_utf8_lossy(&log);
    log.lines().rev().find(|line| !line.trim().is_empty()).map(Into::into)
}

fn stop(ctx: &Context) -> Result<(), Failure> {
    let pid_file = ctx.home.path("pilot.pid");
    let not_running = |message: &str| Failure::new(Code::NotRunning, message);
    let Some(pid) = process::read_pid(&pid_file) else {
        let socket = socket(&ctx.config);
        return Err(if Daemon::connect(Path::new(&socket)).is_ok() {
            not_running("daemon socket is active but PID file is missing")
                .hint(format!("find and kill the process manually: lsof -U | grep {socket}"))
        } else {
            not_running("daemon is not running")
        });
    };
    if !process::is_daemon(pid) {
        let _ = std::fs::remove_file(&pid_file);
        return Err(not_running("daemon is not running (cleaned up stale state)"));
    }
    let forced = process::stop(pid, STOP)
        .map_err(|error| Failure::internal(format!("stop daemon (pid {pid}): {error}")))?;
    let _ = std::fs::remove_file(&pid_file);
    let data = if forced { json!({"pid": pid, "forced": true}) } else { json!({"pid": pid}) };
    ctx.out.result(data, |_| {
        if forced {
            format!("daemon force-stopped (pid {pid})")
        } else {
            format!("daemon stopped (pid {pid})")
        }
    });
    Ok(())
}

fn status(ctx: &Context, check: bool) -> Result<(), Failure> {
    let socket = socket(&ctx.config);
    let info = Daemon::connect(Path::new(&socket)).map(|mut daemon| daemon.object(&Request::Info));
    if check {
        return match info {
            Ok(Ok(_)) => Ok(()),
            _ => std::process::exit(1),
        };
    }
    let pid_file = ctx.home.path("pilot.pid");
    let pid = process::read_pid(&pid_file);
    let alive = pid.is_some_and(process::is_daemon);
    let mut data = json!({
        "running": alive, "responsive": false, "pid": pid.unwrap_or(0),
        "pid_file": pid_file.to_string_lossy(), "socket": socket,
    });
    match info {
        Err(_) => {
            if pid.is_some() && !alive {
                let _ = std::fs::remove_file(&pid_file);
            }
            ctx.out.result(data, |_| "Daemon: stopped\n  start with: pilotctl daemon start".into());
        }
        Ok(Err(error)) => {
            ctx.out.note(format!("the daemon does not answer: {}", quoted(&error.to_string())));
            ctx.out.object(data);
        }
        Ok(Ok(info)) => {
            let Some(fields) = data.as_object_mut() else { return Ok(()) };
            fields.insert("running".into(), true.into());
            fields.insert("responsive".into(), true.into());
            for key in ["node_id", "address", "hostname", "uptime_secs", "peers", "connections"] {
                fields.insert(key.into(), info[key].clone());
            }
            ctx.out.result(data, |data| status_text(data, pid));
        }
    }
    Ok(())
}

fn status_text(data: &Value, pid: Option<i32>) -> String {
    let mut lines = vec![match pid {
        Some(pid) => format!("Daemon: running (pid {pid})"),
        None => "Daemon: running".into(),
    }];
    let mut line = |label: &str, value: String| lines.push(format!("  {:<13}{value}", format!("{label}:")));
    line("Node ID", number(data, "node_id").to_string());
    line("Address", text(data, "address").into());
    if !text(data, "hostname").is_empty() {
        line("Hostname", text(data, "hostname").into());
    }
    line("Uptime", uptime(number(data, "uptime_secs")));
    line("Peers", number(data, "peers").to_string());
    line("Connections", number(data, "connections").to_string());
    lines.join("\n")
}
