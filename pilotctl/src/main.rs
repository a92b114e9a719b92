//! The command line of a Pilot network.
//!
//! `cli` is the grammar, `commands` what each command does and prints, `ops` what they do with a daemon, `ipc` the
//! connection to it. `demo` walks two agents through a whole life on one machine.
#![forbid(unsafe_code)]

mod children;
mod cli;
mod commands;
mod config;
mod demo;
mod format;
mod grammar;
mod ipc;
mod ops;
mod output;
mod process;
mod registry;
mod resolve;
mod values;

use std::process::ExitCode;

use clap::CommandFactory;
use cli::{Cli, Command};
use commands::{
    Context, context, diagnostics, discovery, exchange, lifecycle, mailbox, network, probes, pubsub, setup,
    streams, trust,
};
use output::Failure;

fn main() -> ExitCode {
    let (json, parsed) = grammar::parse(std::env::args_os());
    let ctx = Context::new(json);
    let out = ctx.out;
    let result = match parsed {
        grammar::Parsed::Command(command) => run(ctx, command),
        grammar::Parsed::Wrong(failure) => Err(failure),
        grammar::Parsed::Exit(code) => return code,
    };
    result.unwrap_or_else(|failure| {
        out.failure(&failure);
        ExitCode::FAILURE
    })
}

fn run(ctx: Context, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Init(args) => setup::init(ctx, &args),
        Command::Config(args) => setup::config(ctx, &args),
        Command::Context => {
            context::context(&ctx);
            Ok(())
        }
        Command::Daemon(group) => lifecycle::run(&ctx, group),
        Command::Info => diagnostics::info(&ctx),
        Command::Health => diagnostics::health(&ctx),
        Command::Peers(args) => diagnostics::peers(&ctx, &args),
        Command::Connections => diagnostics::connections(&ctx),
        Command::Disconnect(args) => diagnostics::disconnect(&ctx, &args),
        Command::Lookup(args) => discovery::lookup(&ctx, &args),
        Command::Find(args) => discovery::find(&ctx, &args),
        Command::SetHostname(args) => discovery::set_hostname(ctx, &args),
        Command::ClearHostname => discovery::clear_hostname(ctx),
        Command::SetPublic => discovery::set_visibility(&ctx, true),
        Command::SetPrivate => discovery::set_visibility(&ctx, false),
        Command::SetTags(args) => discovery::set_tags(&ctx, &args),
        Command::ClearTags => discovery::clear_tags(&ctx),
        Command::SetWebhook(args) => discovery::set_webhook(ctx, &args),
        Command::ClearWebhook => discovery::clear_webhook(ctx),
        Command::Deregister => discovery::deregister(&ctx),
        Command::Network(group) => network::run(&ctx, group),
        Command::Handshake(args) => trust::handshake(&ctx, &args),
        Command::Approve(args) => trust::approve(&ctx, &args),
        Command::Reject(args) => trust::reject(&ctx, &args),
        Command::Untrust(args) => trust::untrust(&ctx, &args),
        Command::Pending => trust::pending(&ctx),
        Command::Trust => trust::trust(&ctx),
        Command::Connect(args) => streams::connect(&ctx, &args),
        Command::Send(args) => streams::send(&ctx, &args),
        Command::Recv(args) => streams::recv(&ctx, &args),
        Command::Listen(args) => streams::listen(&ctx, &args),
        Command::SendFile(args) => exchange::send_file(&ctx, &args),
        Command::SendMessage(args) => exchange::send_message(&ctx, &args),
        Command::Subscribe(args) => pubsub::subscribe(&ctx, &args),
        Command::Publish(args) => pubsub::publish(&ctx, &args),
        Command::Inbox(args) => mailbox::inbox(&ctx, &args),
        Command::Received(args) => mailbox::received(&ctx, &args),
        Command::Ping(args) => probes::ping(&ctx, &args),
        Command::Traceroute(args) => probes::traceroute(&ctx, &args),
        Command::Bench(args) => probes::bench(&ctx, &args),
        Command::Broadcast { .. } => Err(Failure::new(
            output::Code::Unavailable,
            "broadcast is not available yet — custom networks are WIP",
        )),
        Command::Version => {
            ctx.out.result(pilot_roles::json::json!({"version": env!("CARGO_PKG_VERSION")}), |_| {
                env!("CARGO_PKG_VERSION").into()
            });
            Ok(())
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "pilotctl", &mut std::io::stdout());
            Ok(())
        }
        Command::Demo(demo) => demo::run(ctx.out, &demo.daemon),
        Command::DaemonRun(child) => return Ok(children::daemon(child.arguments)),
        Command::RendezvousRun(child) => return Ok(children::rendezvous(child.arguments)),
        Command::Unknown(words) => Err(grammar::unknown_command(words.first().map_or("", String::as_str))),
    }?;
    Ok(ExitCode::SUCCESS)
}
