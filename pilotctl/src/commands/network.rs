//! `network`: the networks of the registry, membership and invitations, through the daemon.

use pilot_roles::ipc::{NetworkRequest, Request};
use pilot_roles::json::Value;

use super::{Context, ask, table};
use crate::cli::{NetworkCommand, NetworkGroup};
use crate::format::{flag, list, local_time, number, seconds, text};
use crate::output::Failure;

const AVAILABLE: &str = "list, join, leave, members, invite, invites, accept, reject";

pub(crate) fn run(ctx: &Context, group: NetworkGroup) -> Result<(), Failure> {
    let Some(command) = group.command else {
        return Err(
            Failure::invalid("usage: pilotctl network <subcommand>").hint(format!("available: {AVAILABLE}"))
        );
    };
    let (label, request) = match &command {
        NetworkCommand::List => ("network list: network list", NetworkRequest::List),
        NetworkCommand::Join(args) => {
            let token = args.token.as_deref().unwrap_or_default().into();
            ("network join: network join", NetworkRequest::Join { network: args.network_id, token })
        }
        NetworkCommand::Leave(args) => {
            ("network leave: network leave", NetworkRequest::Leave { network: args.network_id })
        }
        NetworkCommand::Members(args) => {
            ("network members: network members", NetworkRequest::Members { network: args.network_id })
        }
        NetworkCommand::Invite(args) => (
            "network invite: network invite",
            NetworkRequest::Invite { network: args.network_id, node: args.node_id },
        ),
        NetworkCommand::Invites => ("network invites: network poll-invites", NetworkRequest::Invites),
        NetworkCommand::Accept(args) => (
            "network accept: network respond-invite",
            NetworkRequest::Respond { network: args.network_id, accept: true },
        ),
        NetworkCommand::Reject(args) => (
            "network reject: network respond-invite",
            NetworkRequest::Respond { network: args.network_id, accept: false },
        ),
        NetworkCommand::Unknown(words) => {
            let name = words.first().map_or("", String::as_str);
            return Err(Failure::invalid(format!("unknown network subcommand: {name}"))
                .hint(format!("available: {AVAILABLE}")));
        }
    };
    let answer = ask(&mut ctx.daemon()?, label, &Request::Network(request))?;
    ctx.out.result(answer, |answer| match command {
        NetworkCommand::Join(args) => format!("joined network {}", args.network_id),
        NetworkCommand::Leave(args) => format!("left network {}", args.network_id),
        NetworkCommand::Invite(args) => {
            format!("invited node {} to network {}", args.node_id, args.network_id)
        }
        NetworkCommand::Accept(args) => format!("accepted invite to network {}", args.network_id),
        NetworkCommand::Reject(args) => format!("rejected invite to network {}", args.network_id),
        NetworkCommand::Members(_) => members(answer),
        NetworkCommand::Invites => invites(answer),
        _ => networks(answer),
    });
    Ok(())
}

fn networks(answer: &Value) -> String {
    let row =
        |id: &str, name: &str, rule: &str, members: &str| format!("{id:<8} {name:<30} {rule:<10} {members}");
    let rows = list(answer, "networks").iter().map(|network| {
        row(
            &number(network, "id").to_string(),
            text(network, "name"),
            text(network, "join_rule"),
            &number(network, "members").to_string(),
        )
    });
    table(row("ID", "NAME", "JOIN RULE", "MEMBERS"), rows).unwrap_or_else(|| "no networks".into())
}

fn members(answer: &Value) -> String {
    let row = |node: &str, name: &str, public: &str| format!("{node:<12} {name:<20} {public:<10}");
    let rows = list(answer, "nodes").iter().map(|node| {
        let name = match text(node, "hostname") {
            "" => "-",
            name => name,
        };
        let public = if flag(node, "public") { "public" } else { "private" };
        row(&number(node, "node_id").to_string(), name, public)
    });
    table(row("NODE ID", "HOSTNAME", "PUBLIC"), rows).unwrap_or_else(|| "no members".into())
}

fn invites(answer: &Value) -> String {
    let row = |network: &str, inviter: &str, when: &str| format!("{network:<12} {inviter:<12} {when}");
    let rows = list(answer, "invites").iter().map(|invite| {
        row(
            &number(invite, "network_id").to_string(),
            &number(invite, "inviter_id").to_string(),
            &local_time(seconds(invite, "timestamp")),
        )
    });
    match table(row("NETWORK", "INVITER", "TIMESTAMP"), rows) {
        Some(table) => format!(
            "{table}\n\naccept: pilotctl network accept <network_id>\nreject: pilotctl network reject <network_id>"
        ),
        None => "no pending invites".into(),
    }
}
