//! `context`: every command described for programs, made from the grammar itself.

use clap::CommandFactory;
use pilot_roles::json::{Map, Value, json};

use super::Context;
use crate::cli::Cli;
use crate::output::Code;

/// What the result of each command holds.
const RETURNS: [(&str, &str); 40] = [
    ("approve", "status, node_id"),
    (
        "bench",
        "target, sent_bytes, recv_bytes, send_duration_ms, total_duration_ms, send_mbps, total_mbps, complete",
    ),
    ("clear-hostname", "hostname"),
    ("clear-tags", "tags"),
    ("clear-webhook", "webhook, applied"),
    ("config", "current configuration, or key and value set"),
    ("connect", "target, port, sent, response"),
    ("connections", "connections [{id, local_port, remote_addr, remote_port, state, ...}], total"),
    ("daemon start", "node_id, address, pid, socket, hostname, log_file"),
    (
        "daemon status",
        "running (bool), responsive (bool), pid, pid_file, socket, node_id, address, hostname, uptime_secs, peers, connections",
    ),
    ("daemon stop", "pid, forced (true, only if it had to be killed)"),
    ("demo", "steps [{name, ms, detail}], total_ms"),
    ("deregister", "type"),
    ("disconnect", "conn_id"),
    ("find", "hostname, node_id, address, public"),
    ("handshake", "status, node_id"),
    ("health", "status, uptime_seconds, connections, peers, bytes_sent, bytes_recv"),
    ("inbox", "messages [{type, from, data, bytes, received_at}], total, dir"),
    (
        "info",
        "node_id, address, hostname, uptime_secs, connections, ports, peers, encrypt, bytes_sent, bytes_recv, conn_list, peer_list",
    ),
    ("init", "config_path, registry, beacon, socket, hostname"),
    (
        "listen",
        "messages [{src_addr, src_port, data, bytes}], timeout (bool); without --count one object a line",
    ),
    ("lookup", "node_id, address, networks, public_key, public, hostname, real_addr"),
    ("network invites", "invites [{network_id, inviter_id, timestamp}]"),
    ("network join", "network_id, address"),
    ("network list", "networks [{id, name, join_rule, members, enterprise, created}]"),
    ("network members", "nodes [{node_id, address, hostname, public, role, last_seen}]"),
    ("peers", "peers [{node_id, endpoint, encrypted, authenticated}], total"),
    ("pending", "pending [{node_id, public_key, justification, received_at}]"),
    ("ping", "target, results [{seq, bytes, rtt_ms, error}], timeout (bool)"),
    ("publish", "target, topic, bytes"),
    ("received", "files [{name, bytes, modified, path}], total, dir"),
    ("recv", "messages [{seq, port, data, bytes}], timeout (bool)"),
    ("reject", "status, node_id"),
    ("send", "target, port, sent, response"),
    ("send-file", "filename, bytes, destination, ack"),
    ("send-message", "target, type, bytes, ack"),
    ("subscribe", "events [{topic, data, bytes}], timeout (bool); without --count one object a line"),
    ("traceroute", "target, setup_ms, rtt_samples [{rtt_ms, bytes}]"),
    ("trust", "trusted [{node_id, public_key, mutual, network, approved_at}]"),
    ("untrust", "node_id"),
];

pub(crate) fn context(ctx: &Context) {
    let mut commands = Map::new();
    for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        if command.has_subcommands() {
            for sub in command.get_subcommands() {
                commands.insert(format!("{name} {}", sub.get_name()), describe(&format!("{name} "), sub));
            }
        } else {
            commands.insert(name.into(), describe("", command));
        }
    }
    let codes = [
        (Code::InvalidArgument, "an argument is missing or wrong; do not retry"),
        (Code::NotFound, "no such name, file or message"),
        (Code::AlreadyExists, "the daemon runs already"),
        (Code::NotRunning, "no daemon answers; start it"),
        (Code::ConnectionFailed, "the registry, the daemon or the peer refused or cannot be reached"),
        (Code::Timeout, "no answer in time; the outcome may be unknown"),
        (Code::Internal, "something on this machine failed"),
    ];
    let codes: Map<String, Value> =
        codes.map(|(code, text)| (code.name().to_string(), text.into())).into_iter().collect();
    ctx.out.object(json!({
        "version": "1.2",
        "commands": commands,
        "error_codes": codes,
        "global_flags": {"--json": "one JSON line: {\"data\":..,\"status\":\"ok\"} or an error object on standard error"},
        "environment": {
            "PILOT_REGISTRY": "registry, host:port",
            "PILOT_SOCKET": "the daemon's socket",
        },
        "config_file": "~/.pilot/config.json",
    }));
}

fn describe(prefix: &str, command: &clap::Command) -> Value {
    let name = format!("{prefix}{}", command.get_name());
    let returns = match name.as_str() {
        "set-public" | "set-private" => "type, node_id, visibility",
        "set-hostname" => "hostname, node_id",
        "set-tags" => "node_id, tags",
        "set-webhook" => "webhook, applied",
        "network leave" => "network_id",
        "network invite" => "network_id, target_node_id, status",
        "network accept" | "network reject" => "accepted, network_id",
        name => RETURNS.iter().find(|(known, _)| *known == name).map_or("", |(_, returns)| returns),
    };
    json!({
        "args": command.get_arguments().filter(|arg| is_shown(arg)).map(argument).collect::<Vec<_>>(),
        "description": command.get_about().map(ToString::to_string).unwrap_or_default(),
        "returns": returns,
    })
}

fn is_shown(arg: &clap::Arg) -> bool {
    !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version" | "json")
}

/// `<node_id>`, `[port]`, `--data <msg>`, `[--timeout <timeout>]`.
fn argument(arg: &clap::Arg) -> String {
    let value = arg.get_id().as_str();
    let required = arg.is_required_set();
    match arg.get_long() {
        None if required => format!("<{value}>"),
        None => format!("[{value}]"),
        Some(flag) if !arg.get_action().takes_values() => format!("[--{flag}]"),
        Some(flag) if required => format!("--{flag} <{value}>"),
        Some(flag) => format!("[--{flag} <{value}>]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_says_what_it_returns() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            if matches!(command.get_name(), "daemon" | "network" | "context" | "completions") {
                continue;
            }
            assert_ne!(describe("", command)["returns"], "", "{}", command.get_name());
        }
    }
}
