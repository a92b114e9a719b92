//! `init` and `config`: the file `~/.pilot/config.json`.

use pilot_roles::json::{Value, json};

use super::Context;
use crate::cli::{ConfigArgs, Init};
use crate::config::{DEFAULT_BEACON, DEFAULT_REGISTRY, DEFAULT_SOCKET, registry, socket};
use crate::output::Failure;

pub(crate) fn init(mut ctx: Context, args: &Init) -> Result<(), Failure> {
    let or = |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.into());
    let (registry, beacon, socket) = (
        or(&args.registry, DEFAULT_REGISTRY),
        or(&args.beacon, DEFAULT_BEACON),
        or(&args.socket, DEFAULT_SOCKET),
    );
    ctx.config.set("registry", &registry);
    ctx.config.set("beacon", &beacon);
    ctx.config.set("socket", &socket);
    let hostname = args.hostname.clone().unwrap_or_default();
    if !hostname.is_empty() {
        ctx.config.set("hostname", &hostname);
    }
    ctx.config.save(&ctx.home)?;
    ctx.out.object(json!({
        "config_path": ctx.config.path().to_string_lossy(),
        "registry": registry,
        "beacon": beacon,
        "socket": socket,
        "hostname": hostname,
    }));
    Ok(())
}

pub(crate) fn config(mut ctx: Context, args: &ConfigArgs) -> Result<(), Failure> {
    if let Some(assignment) = &args.set {
        let Some((key, value)) = assignment.split_once('=') else {
            return Err(Failure::invalid("usage: pilotctl config --set key=value"));
        };
        ctx.config.set(key, value);
        ctx.config.save(&ctx.home)?;
        ctx.out.object(json!({"key": key, "value": value}));
        return Ok(());
    }
    let mut shown = ctx.config.values().clone();
    let mut add = |key: &str, value: String| shown.insert(key.into(), Value::from(value));
    add("config_path", ctx.config.path().to_string_lossy().into_owned());
    add("pid_file", ctx.home.path("pilot.pid").to_string_lossy().into_owned());
    add("log_file", ctx.home.path("pilot.log").to_string_lossy().into_owned());
    for (key, effective) in [("registry", registry(&ctx.config)), ("socket", socket(&ctx.config))] {
        shown.entry(key).or_insert_with(|| Value::from(effective));
    }
    ctx.out.object(Value::Object(shown));
    Ok(())
}
