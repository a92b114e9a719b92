//! Who is who: `find`, `lookup`, and the node's own name, tags, visibility and webhook.

use pilot_roles::ipc::Request;
use pilot_roles::json::{Value, json};

use super::{Context, ask};
use crate::cli::{Find, NodeArg, Tags, Webhook};
use crate::config::registry;
use crate::format::{flag, list, number, quoted, text};
use crate::output::{Code, Failure};

pub(crate) fn find(ctx: &Context, args: &Find) -> Result<(), Failure> {
    let name = &args.hostname;
    let found = ctx.daemon()?.object(&Request::ResolveHostname { name: name.into() }).map_err(|_| {
        Failure::new(
            Code::NotFound,
            format!("cannot find {} — hostname not found or no mutual trust", quoted(name)),
        )
        .hint(format!("establish trust first: pilotctl handshake {name} \"reason\""))
    })?;
    let data = json!({
        "hostname": name,
        "node_id": number(&found, "node_id"),
        "address": text(&found, "address"),
        "public": flag(&found, "public"),
    });
    ctx.out.result(data, |data| {
        format!(
            "Hostname:  {}\nNode ID:   {}\nAddress:   {}\nVisible:   {}",
            text(data, "hostname"),
            number(data, "node_id"),
            text(data, "address"),
            if flag(data, "public") { "public" } else { "private" }
        )
    });
    Ok(())
}

pub(crate) fn lookup(ctx: &Context, args: &NodeArg) -> Result<(), Failure> {
    let question = json!({"type": "lookup", "node_id": args.node_id});
    ctx.out.object(crate::registry::ask(&registry(&ctx.config), "lookup", &question)?);
    Ok(())
}

pub(crate) fn set_hostname(mut ctx: Context, args: &Find) -> Result<(), Failure> {
    let request = Request::SetHostname { name: args.hostname.as_str().into() };
    let answer = ask(&mut ctx.daemon()?, "set-hostname: set_hostname", &request)?;
    remember_hostname(&mut ctx, &args.hostname)?;
    let data = json!({"hostname": text(&answer, "hostname"), "node_id": number(&answer, "node_id")});
    ctx.out.result(data, |data| match text(data, "hostname") {
        "" => "hostname cleared".into(),
        name => format!("hostname set: {name}"),
    });
    Ok(())
}

pub(crate) fn clear_hostname(mut ctx: Context) -> Result<(), Failure> {
    ask(&mut ctx.daemon()?, "clear-hostname: set_hostname", &Request::SetHostname { name: "".into() })?;
    remember_hostname(&mut ctx, "")?;
    ctx.out.result(json!({"hostname": ""}), |_| "hostname cleared".into());
    Ok(())
}

fn remember_hostname(ctx: &mut Context, name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        ctx.config.remove("hostname");
    } else {
        ctx.config.set("hostname", name);
    }
    ctx.config.save(&ctx.home)
}

pub(crate) fn set_visibility(ctx: &Context, public: bool) -> Result<(), Failure> {
    let label = if public { "set-public: set_visibility" } else { "set-private: set_visibility" };
    ctx.out.object(ask(&mut ctx.daemon()?, label, &Request::SetVisibility { public })?);
    Ok(())
}

pub(crate) fn set_tags(ctx: &Context, args: &Tags) -> Result<(), Failure> {
    if args.tags.len() > 3 {
        let got = args.tags.len();
        return Err(Failure::invalid(format!("set-tags: maximum 3 tags allowed, got {got}")));
    }
    let request = Request::SetTags { tags: args.tags.clone() };
    let answer = ask(&mut ctx.daemon()?, "set-tags: set_tags", &request)?;
    let data = json!({"node_id": number(&answer, "node_id"), "tags": list(&answer, "tags")});
    ctx.out.result(data, |data| {
        let tags: Vec<String> =
            list(data, "tags").iter().filter_map(Value::as_str).map(|tag| format!("#{tag}")).collect();
        format!("tags set: {}", if tags.is_empty() { "none".into() } else { tags.join(" ") })
    });
    Ok(())
}

pub(crate) fn clear_tags(ctx: &Context) -> Result<(), Failure> {
    ask(&mut ctx.daemon()?, "clear-tags: set_tags", &Request::SetTags { tags: Vec::new() })?;
    ctx.out.result(json!({"tags": []}), |_| "tags cleared".into());
    Ok(())
}

pub(crate) fn set_webhook(mut ctx: Context, args: &Webhook) -> Result<(), Failure> {
    if !(args.url.starts_with("http://") || args.url.starts_with("https://")) {
        return Err(Failure::invalid("webhook URL must start with http:// or https://"));
    }
    ctx.config.set("webhook", &args.url);
    apply_webhook(&ctx, &args.url)
}

pub(crate) fn clear_webhook(mut ctx: Context) -> Result<(), Failure> {
    ctx.config.remove("webhook");
    apply_webhook(&ctx, "")
}

/// Keeps the URL for the next start, and tells a running daemon.
fn apply_webhook(ctx: &Context, url: &str) -> Result<(), Failure> {
    ctx.config.save(&ctx.home)?;
    let applied = match ctx.daemon() {
        Ok(mut daemon) => daemon.object(&Request::SetWebhook { url: url.into() }).is_ok(),
        Err(_) => false,
    };
    ctx.out.result(json!({"webhook": url, "applied": applied}), |_| {
        let what = if url.is_empty() { "webhook cleared".into() } else { format!("webhook set: {url}") };
        let when =
            if applied { "applied to running daemon" } else { "will take effect on next daemon start" };
        format!("{what}\n{when}")
    });
    Ok(())
}

pub(crate) fn deregister(ctx: &Context) -> Result<(), Failure> {
    ctx.out.object(ask(&mut ctx.daemon()?, "deregister: deregister", &Request::Deregister)?);
    Ok(())
}
