//! `info`, `health`, `peers`, `connections`, `disconnect`: what the daemon says about itself.

use std::fmt::Write;

use pilot_roles::ipc::Request;
use pilot_roles::json::{Value, json};

use super::{Context, ask};
use crate::cli::{Disconnect, Peers};
use crate::format::{flag, list, number, quoted, size, text, uptime};
use crate::output::Failure;

/// Rows of a table people still read.
const MAX_ROWS: usize = 50;

pub(crate) fn info(ctx: &Context) -> Result<(), Failure> {
    let data = ask(&mut ctx.daemon()?, "info: info", &Request::Info)?;
    ctx.out.result(data, info_text);
    Ok(())
}

fn info_text(info: &Value) -> String {
    let mut lines = vec!["Pilot Protocol Daemon".to_string()];
    let mut line = |label: &str, value: String| lines.push(format!("  {:<13}{value}", format!("{label}:")));
    if !text(info, "version").is_empty() {
        line("Version", text(info, "version").into());
    }
    line("Node ID", number(info, "node_id").to_string());
    line("Address", text(info, "address").into());
    if !text(info, "hostname").is_empty() {
        line("Hostname", text(info, "hostname").into());
    }
    line("Uptime", uptime(number(info, "uptime_secs")));
    for (label, key) in [("Connections", "connections"), ("Ports", "ports"), ("Peers", "peers")] {
        line(label, number(info, key).to_string());
    }
    line(
        "Encryption",
        if flag(info, "encrypt") {
            format!(
                "enabled (X25519 + AES-256-GCM), {}/{} peers encrypted, {} authenticated",
                number(info, "encrypted_peers"),
                number(info, "peers"),
                number(info, "authenticated_peers")
            )
        } else {
            "disabled".into()
        },
    );
    line(
        "Identity",
        if flag(info, "identity") {
            let key: String = text(info, "public_key").chars().take(16).collect();
            format!("persistent (Ed25519 {key}...)")
        } else {
            "ephemeral (not persisted)".into()
        },
    );
    if !text(info, "email").is_empty() {
        line("Email", text(info, "email").into());
    }
    line(
        "Traffic",
        format!("{} sent / {} recv", size(number(info, "bytes_sent")), size(number(info, "bytes_recv"))),
    );
    line("Packets", format!("{} sent / {} recv", number(info, "pkts_sent"), number(info, "pkts_recv")));

    let connections = list(info, "conn_list");
    if !connections.is_empty() {
        lines.push(format!("\nActive connections: {}", connections.len()));
        let row = |cells: [&str; 8]| {
            let [id, local, remote, port, state, cwnd, flight, srtt] = cells;
            format!(
                "  {id:<4}  {local:<6}  {remote:<22}  {port:<6}  {state:<11}  {cwnd:<8}  {flight:<8}  {srtt}"
            )
        };
        lines.push(row(["ID", "LOCAL", "REMOTE ADDR", "RPORT", "STATE", "CWND", "FLIGHT", "SRTT  "]));
        for connection in connections.iter().take(MAX_ROWS) {
            let cell = |key| number(connection, key).to_string();
            let bytes = |key| size(number(connection, key));
            let recovery = if flag(connection, "in_recovery") { " [RECOVERY]" } else { "" };
            lines.push(row([
                &cell("id"),
                &cell("local_port"),
                text(connection, "remote_addr"),
                &cell("remote_port"),
                text(connection, "state"),
                &bytes("cong_win"),
                &bytes("in_flight"),
                &format!("{}ms{recovery}", cell("srtt_ms")),
            ]));
        }
        if let Some(more) = connections.len().checked_sub(MAX_ROWS).filter(|more| *more > 0) {
            lines.push(format!("  ... and {more} more connections (showing first {MAX_ROWS})"));
        }
    }
    lines.join("\n")
}

pub(crate) fn health(ctx: &Context) -> Result<(), Failure> {
    let data = ask(&mut ctx.daemon()?, "health: health", &Request::Health)?;
    ctx.out.result(data, |health| {
        format!(
            "Daemon Health\n  Status:      {}\n  Uptime:      {}\n  Connections: {}\n  Peers:       {}\n  \
             Bytes Sent:  {}\n  Bytes Recv:  {}",
            text(health, "status"),
            uptime(number(health, "uptime_seconds")),
            number(health, "connections"),
            number(health, "peers"),
            size(number(health, "bytes_sent")),
            size(number(health, "bytes_recv")),
        )
    });
    Ok(())
}

pub(crate) fn peers(ctx: &Context, args: &Peers) -> Result<(), Failure> {
    let info = ask(&mut ctx.daemon()?, "peers: info", &Request::Info)?;
    let query = args.search.as_deref().unwrap_or_default();
    let needle = query.to_lowercase();
    let found: Vec<Value> = list(&info, "peer_list")
        .iter()
        .filter(|peer| {
            number(peer, "node_id").to_string().contains(&needle)
                || text(peer, "endpoint").to_lowercase().contains(&needle)
        })
        .cloned()
        .collect();
    let total = found.len();
    let peers = if found.is_empty() { Value::Null } else { Value::Array(found) };
    ctx.out.result(json!({"peers": peers, "total": total}), |data| peers_text(data, query));
    Ok(())
}

fn peers_text(data: &Value, query: &str) -> String {
    let peers = list(data, "peers");
    if peers.is_empty() {
        return if query.is_empty() {
            "no peers connected\n  peers appear when you communicate with other nodes".into()
        } else {
            format!("no peers matching {}", quoted(query))
        };
    }
    let row = |id: &str, endpoint: &str, encrypted: &str, auth: &str| {
        format!("{id:<10}  {endpoint:<30}  {encrypted:<20}  {auth}")
    };
    let mut lines = vec![row("NODE ID", "ENDPOINT", "ENCRYPTED", "AUTH")];
    for peer in peers.iter().take(MAX_ROWS) {
        lines.push(row(
            &number(peer, "node_id").to_string(),
            text(peer, "endpoint"),
            &match (flag(peer, "encrypted"), text(peer, "cipher")) {
                (true, "") => "yes (AES-256-GCM)".into(),
                (true, cipher) => format!("yes ({cipher})"),
                (false, _) => String::from("no"),
            },
            if flag(peer, "authenticated") { "yes (Ed25519)" } else { "no" },
        ));
    }
    if let Some(more) = peers.len().checked_sub(MAX_ROWS).filter(|more| *more > 0) {
        lines.push(format!("... and {more} more peers (showing first {MAX_ROWS})"));
    }
    lines.join("\n")
}

pub(crate) fn connections(ctx: &Context) -> Result<(), Failure> {
    let info = ask(&mut ctx.daemon()?, "connections: info", &Request::Info)?;
    let connections = list(&info, "conn_list").to_vec();
    let total = connections.len();
    ctx.out.result(json!({"connections": connections, "total": total}), connections_text);
    Ok(())
}

fn connections_text(data: &Value) -> String {
    let connections = list(data, "connections");
    if connections.is_empty() {
        return "no active connections\n  connect to a peer: pilotctl connect <address|hostname> --message \
                \"hello\""
            .into();
    }
    let row = |cells: [&str; 12]| {
        let [id, local, remote, port, state, cwnd, flight, srtt, unacked, ooo, peer_window, window] = cells;
        format!(
            "{id:<4}  {local:<6}  {remote:<22}  {port:<6}  {state:<11}  {cwnd:<8}  {flight:<8}  {srtt:<8}  \
             {unacked:<6}  {ooo:<6}  {peer_window:<8}  {window:<8}"
        )
    };
    let mut text_out = format!("Active connections: {}\n\n", connections.len());
    text_out += &row([
        "ID",
        "LOCAL",
        "REMOTE ADDR",
        "RPORT",
        "STATE",
        "CWND",
        "FLIGHT",
        "SRTT",
        "UNACK",
        "OOO",
        "PEERWIN",
        "RCVWIN",
    ]);
    for connection in connections.iter().take(MAX_ROWS) {
        let cell = |key| number(connection, key).to_string();
        let bytes = |key| size(number(connection, key));
        text_out.push('\n');
        text_out += &row([
            &cell("id"),
            &cell("local_port"),
            text(connection, "remote_addr"),
            &cell("remote_port"),
            text(connection, "state"),
            &bytes("cong_win"),
            &bytes("in_flight"),
            &format!("{:<6}ms", cell("srtt_ms")),
            &cell("unacked"),
            &cell("ooo_buf"),
            &bytes("peer_recv_win"),
            &bytes("recv_win"),
        ]);
        let _ = write!(
            text_out,
            "\n      tx: {} ({} segs)  rx: {} ({} segs)  retx: {}  fast-retx: {}  sack: {}/{}  dup-ack: {}",
            bytes("bytes_sent"),
            cell("segs_sent"),
            bytes("bytes_recv"),
            cell("segs_recv"),
            cell("retransmits"),
            cell("fast_retx"),
            cell("sack_recv"),
            cell("sack_sent"),
            cell("dup_acks"),
        );
    }
    if let Some(more) = connections.len().checked_sub(MAX_ROWS).filter(|more| *more > 0) {
        let _ = write!(text_out, "\n... and {more} more connections (showing first {MAX_ROWS})");
    }
    text_out
}

pub(crate) fn disconnect(ctx: &Context, args: &Disconnect) -> Result<(), Failure> {
    let mut daemon = ctx.daemon()?;
    daemon.close(args.conn_id).map_err(|error| Failure::failed(format!("disconnect: {error}")))?;
    ctx.out.object(json!({"conn_id": args.conn_id}));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let connections: Vec<Value> = (0..60).map(|id| json!({"id": id})).collect();
        let info = json!({"conn_list": connections});
        assert!(info_text(&info).ends_with("... and 10 more connections (showing first 50)"));
        assert!(connections_text(&json!({"connections": connections})).contains("and 10 more"));
    }
}
