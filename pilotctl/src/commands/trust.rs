//! Who may talk to whom: `handshake`, `approve`, `reject`, `untrust`, `pending`, `trust`.

use pilot_roles::ipc::{HandshakeRequest, Request};
use pilot_roles::json::json;

use super::{Context, ask, table};
use crate::cli::{Handshake, NodeArg, Reject, Untrust};
use crate::format::{flag, list, local_time, number, seconds, text};
use crate::output::Failure;
use crate::resolve;

pub(crate) fn handshake(ctx: &Context, args: &Handshake) -> Result<(), Failure> {
    let mut daemon = ctx.daemon()?;
    let node = resolve::node(ctx.out, &mut daemon, &args.target)?;
    let justification = args.justification.as_str().into();
    let request = Request::Handshake(HandshakeRequest::Request { node, justification });
    let answer = ask(&mut daemon, "handshake: handshake", &request)?;
    ctx.out.result(answer, |answer| {
        if text(answer, "status") == "already_trusted" {
            return format!("already trusted with node {node} — ready to communicate");
        }
        format!(
            "handshake request sent to node {node}\n  next: node {node} must approve — or send a handshake back for \
             auto-approval\n  check: pilotctl trust"
        )
    });
    Ok(())
}

pub(crate) fn approve(ctx: &Context, args: &NodeArg) -> Result<(), Failure> {
    let node = args.node_id;
    let request = Request::Handshake(HandshakeRequest::Approve { node });
    let answer = ask(&mut ctx.daemon()?, "approve: approve", &request)?;
    ctx.out.result(answer, |_| format!("trust established with node {node}\n  try: pilotctl ping {node}"));
    Ok(())
}

pub(crate) fn reject(ctx: &Context, args: &Reject) -> Result<(), Failure> {
    let node = args.node_id;
    let request = Request::Handshake(HandshakeRequest::Reject { node, reason: args.reason.as_str().into() });
    let answer = ask(&mut ctx.daemon()?, "reject: reject", &request)?;
    ctx.out.result(answer, |_| format!("handshake from node {node} rejected"));
    Ok(())
}

pub(crate) fn untrust(ctx: &Context, args: &Untrust) -> Result<(), Failure> {
    let request = Request::Handshake(HandshakeRequest::Revoke { node: args.node_id });
    ask(&mut ctx.daemon()?, "untrust: revoke", &request)?;
    ctx.out.object(json!({"node_id": args.node_id}));
    Ok(())
}

pub(crate) fn pending(ctx: &Context) -> Result<(), Failure> {
    let request = Request::Handshake(HandshakeRequest::Pending);
    let answer = ask(&mut ctx.daemon()?, "pending: pending", &request)?;
    ctx.out.result(answer, |answer| {
        let row = |node: &str, why: &str, when: &str| format!("{node:<10}  {why:<40}  {when}");
        let rows = list(answer, "pending").iter().map(|request| {
            row(
                &number(request, "node_id").to_string(),
                text(request, "justification"),
                &local_time(seconds(request, "received_at")),
            )
        });
        table(row("NODE ID", "JUSTIFICATION", "RECEIVED"), rows).unwrap_or_else(|| {
            "no pending handshake requests\n  requests appear here when another node sends: pilotctl handshake \
             <your-node-id>"
                .into()
        })
    });
    Ok(())
}

pub(crate) fn trust(ctx: &Context) -> Result<(), Failure> {
    let request = Request::Handshake(HandshakeRequest::Trusted);
    let answer = ask(&mut ctx.daemon()?, "trust: trusted", &request)?;
    ctx.out.result(answer, |answer| {
        let row = |node: &str, mutual: &str, network: &str, when: &str| {
            format!("{node:<10}  {mutual:<10}  {network:<10}  {when}")
        };
        let rows = list(answer, "trusted").iter().map(|peer| {
            let network = match number(peer, "network") {
                0 => "-".into(),
                network => network.to_string(),
            };
            row(
                &number(peer, "node_id").to_string(),
                if flag(peer, "mutual") { "yes" } else { "no" },
                &network,
                &local_time(seconds(peer, "approved_at")),
            )
        });
        table(row("NODE ID", "MUTUAL", "NETWORK", "APPROVED AT"), rows).unwrap_or_else(|| {
            "no trusted peers\n  establish trust: pilotctl handshake <node_id|hostname> \"reason\"".into()
        })
    });
    Ok(())
}
