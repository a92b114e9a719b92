//! The grammar of the command line.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::values::{Since, conn_id, count, duration, network_id, node_id, port, since, size_mb, untrust_id};

/// Everything `pilotctl` understands.
#[derive(Debug, Parser)]
#[command(
    name = "pilotctl",
    version,
    about = "The command line of a Pilot network: addresses, trust, streams, messages and files between agents",
    after_help = "Start here:  pilotctl demo\nEvery command takes --json, anywhere, and --help.",
    disable_help_subcommand = true,
    infer_subcommands = false
)]
pub(crate) struct Cli {
    /// One JSON line instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// See [`Command::Demo`].
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Another daemon than the built-in one; given twice, the first is alice's and the second bob's
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) daemon: Vec<std::path::PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Two agents on this machine, from nothing to encrypted messages and files.
    Demo(Demo),
    /// Write ~/.pilot/config.json.
    #[command(
        override_usage = "pilotctl init [--registry <addr>] [--beacon <addr>] [--hostname <name>] [--socket <path>]"
    )]
    Init(Init),
    /// Show the configuration, or change one key.
    #[command(override_usage = "pilotctl config [--set key=value]")]
    Config(ConfigArgs),
    /// Describe every command for programs.
    #[command(override_usage = "pilotctl context")]
    Context,
    /// Start, stop or check the background daemon.
    #[command(override_usage = "pilotctl daemon start | stop | status")]
    Daemon(DaemonGroup),
    /// What the daemon knows about itself.
    #[command(override_usage = "pilotctl info")]
    Info,
    /// A short sign of life.
    #[command(override_usage = "pilotctl health")]
    Health,
    /// Nodes this daemon has a tunnel to.
    #[command(override_usage = "pilotctl peers [--search <query>]")]
    Peers(Peers),
    /// Streams of this daemon.
    #[command(override_usage = "pilotctl connections")]
    Connections,
    /// Close a stream by its number.
    #[command(override_usage = "pilotctl disconnect <conn_id>")]
    Disconnect(Disconnect),
    /// Look a node up at the registry.
    #[command(override_usage = "pilotctl lookup <node_id>")]
    Lookup(NodeArg),
    /// Find a node by name.
    #[command(override_usage = "pilotctl find <hostname>")]
    Find(Find),
    /// Change this node's name.
    #[command(override_usage = "pilotctl set-hostname <hostname>")]
    SetHostname(Find),
    /// Remove this node's name.
    #[command(override_usage = "pilotctl clear-hostname")]
    ClearHostname,
    /// Let everybody find and reach this node.
    #[command(override_usage = "pilotctl set-public")]
    SetPublic,
    /// Let only trusted nodes find and reach this node.
    #[command(override_usage = "pilotctl set-private")]
    SetPrivate,
    /// Replace this node's tags (at most three).
    #[command(override_usage = "pilotctl set-tags <tag1> [tag2] ...")]
    SetTags(Tags),
    /// Remove this node's tags.
    #[command(override_usage = "pilotctl clear-tags")]
    ClearTags,
    /// Post the daemon's events to a URL.
    #[command(override_usage = "pilotctl set-webhook <url>")]
    SetWebhook(Webhook),
    /// Stop posting events.
    #[command(override_usage = "pilotctl clear-webhook")]
    ClearWebhook,
    /// Remove this node from the registry.
    #[command(override_usage = "pilotctl deregister")]
    Deregister,
    /// Networks, membership and invitations.
    #[command(override_usage = "pilotctl network <subcommand>")]
    Network(NetworkGroup),
    /// Ask a node for trust.
    #[command(override_usage = "pilotctl handshake <node_id|address|hostname> [justification]")]
    Handshake(Handshake),
    /// Trust a node that asked.
    #[command(override_usage = "pilotctl approve <node_id>")]
    Approve(NodeArg),
    /// Turn a node down that asked.
    #[command(override_usage = "pilotctl reject <node_id> [reason]")]
    Reject(Reject),
    /// End trust in a node.
    #[command(override_usage = "pilotctl untrust <node_id>")]
    Untrust(Untrust),
    /// Requests for trust waiting for an answer.
    #[command(override_usage = "pilotctl pending")]
    Pending,
    /// Trusted nodes.
    #[command(override_usage = "pilotctl trust")]
    Trust,
    /// Open a stream, send a message or standard input, print the answer.
    #[command(
        override_usage = "pilotctl connect <address|hostname> [port] [--message <msg>] [--timeout <dur>]"
    )]
    Connect(Connect),
    /// Send data to a port, print the answer.
    #[command(override_usage = "pilotctl send <address|hostname> <port> --data <msg> [--timeout <dur>]")]
    Send(Send),
    /// Wait for streams on a port, print what they bring.
    #[command(override_usage = "pilotctl recv <port> [--count <n>] [--timeout <dur>]")]
    Recv(Recv),
    /// Print datagrams that arrive at a port.
    #[command(override_usage = "pilotctl listen <port> [--count <n>] [--timeout <dur>]")]
    Listen(Listen),
    /// Send a file; done when the peer acknowledged it.
    #[command(override_usage = "pilotctl send-file <address|hostname> <filepath>")]
    SendFile(SendFile),
    /// Send a message to an inbox; done when the peer acknowledged it.
    #[command(
        override_usage = "pilotctl send-message <address|hostname> --data <text> [--type text|json|binary]"
    )]
    SendMessage(SendMessage),
    /// Print events of a topic (`*` for all).
    #[command(
        override_usage = "pilotctl subscribe <address|hostname> <topic> [--count <n>] [--timeout <dur>]"
    )]
    Subscribe(Subscribe),
    /// Publish an event.
    #[command(override_usage = "pilotctl publish <address|hostname> <topic> --data <message>")]
    Publish(Publish),
    /// Messages received.
    #[command(override_usage = "pilotctl inbox [--clear] [--limit <n>] [--latest] [--since <time>]")]
    Inbox(Mailbox),
    /// Files received.
    #[command(override_usage = "pilotctl received [--clear] [--limit <n>] [--latest] [--since <time>]")]
    Received(Mailbox),
    /// Measure the way to a node and back, connection set-up included.
    #[command(override_usage = "pilotctl ping <address|hostname> [--count <n>] [--timeout <dur>]")]
    Ping(Ping),
    /// Measure connection set-up and round trips on one connection.
    #[command(override_usage = "pilotctl traceroute <address> [--timeout <dur>]")]
    Traceroute(Traceroute),
    /// Measure throughput through the peer's echo port.
    #[command(override_usage = "pilotctl bench <address|hostname> [size_mb] [--timeout <dur>]")]
    Bench(Bench),
    /// Not available.
    #[command(hide = true)]
    Broadcast {
        #[arg(num_args = 0.., allow_hyphen_values = true)]
        rest: Vec<String>,
    },
    /// Print the version.
    #[command(hide = true)]
    Version,
    /// Shell completions, on standard output.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// The background process of `daemon start`.
    #[command(name = "_daemon-run", hide = true, disable_help_flag = true)]
    DaemonRun(Child),
    /// The registry and beacon of the demo.
    #[command(name = "_rendezvous-run", hide = true, disable_help_flag = true)]
    RendezvousRun(Child),
    #[command(external_subcommand)]
    Unknown(Vec<String>),
}

/// Arguments of another program that runs inside this one.
#[derive(Debug, Args)]
pub(crate) struct Child {
    #[arg(num_args = 0.., allow_hyphen_values = true, trailing_var_arg = true)]
    pub(crate) arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Registry, host:port.
    #[arg(long)]
    pub(crate) registry: Option<String>,
    /// Beacon, host:port.
    #[arg(long)]
    pub(crate) beacon: Option<String>,
    /// Name of this node.
    #[arg(long)]
    pub(crate) hostname: Option<String>,
    /// The daemon's socket.
    #[arg(long)]
    pub(crate) socket: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// key=value.
    #[arg(long, num_args = 0..=1, default_missing_value = "")]
    pub(crate) set: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DaemonGroup {
    #[command(subcommand)]
    pub(crate) command: Option<DaemonCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DaemonCommand {
    /// Start a daemon in the background and wait until it answers.
    Start(Box<DaemonStart>),
    /// Stop the daemon started with `daemon start`.
    Stop,
    /// Is it running?
    Status {
        /// Print nothing; exit status 0 if it answers.
        #[arg(long)]
        check: bool,
    },
    #[command(external_subcommand)]
    Unknown(Vec<String>),
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct DaemonStart {
    /// Registry, host:port.
    #[arg(long)]
    pub(crate) registry: Option<String>,
    /// Beacon, host:port.
    #[arg(long)]
    pub(crate) beacon: Option<String>,
    /// UDP address of the tunnels.
    #[arg(long)]
    pub(crate) listen: Option<String>,
    /// The socket for programs.
    #[arg(long)]
    pub(crate) socket: Option<String>,
    /// Key file.
    #[arg(long)]
    pub(crate) identity: Option<String>,
    /// Whose node this is.
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// Old name of --email.
    #[arg(long, hide = true)]
    pub(crate) owner: Option<String>,
    /// Name of this node.
    #[arg(long)]
    pub(crate) hostname: Option<String>,
    /// Where to post events.
    #[arg(long)]
    pub(crate) webhook: Option<String>,
    /// Token for what only administrators may do.
    #[arg(long)]
    pub(crate) admin_token: Option<String>,
    /// Networks to join, comma separated ids.
    #[arg(long)]
    pub(crate) networks: Option<String>,
    /// debug, info, warn or error.
    #[arg(long)]
    pub(crate) log_level: Option<String>,
    /// text or json.
    #[arg(long)]
    pub(crate) log_format: Option<String>,
    /// A further configuration file of the daemon.
    #[arg(long)]
    pub(crate) config: Option<String>,
    /// Let everybody find and reach this node.
    #[arg(long)]
    pub(crate) public: bool,
    /// Send in the clear.
    #[arg(long)]
    pub(crate) no_encrypt: bool,
    /// Trust everybody who asks.
    #[arg(long)]
    pub(crate) trust_auto_approve: bool,
    /// Stay in the foreground.
    #[arg(long)]
    pub(crate) foreground: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NetworkGroup {
    #[command(subcommand)]
    pub(crate) command: Option<NetworkCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NetworkCommand {
    /// All networks of the registry.
    #[command(override_usage = "pilotctl network list")]
    List,
    /// Become a member.
    #[command(override_usage = "pilotctl network join <network_id> [--token TOKEN]")]
    Join(NetworkJoin),
    /// Stop being a member.
    #[command(override_usage = "pilotctl network leave <network_id>")]
    Leave(NetworkArg),
    /// Who is a member.
    #[command(override_usage = "pilotctl network members <network_id>")]
    Members(NetworkArg),
    /// Invite a node.
    #[command(override_usage = "pilotctl network invite <network_id> <node_id>")]
    Invite(NetworkInvite),
    /// Invitations for this node.
    #[command(override_usage = "pilotctl network invites")]
    Invites,
    /// Accept an invitation.
    #[command(override_usage = "pilotctl network accept <network_id>")]
    Accept(NetworkArg),
    /// Decline an invitation.
    #[command(override_usage = "pilotctl network reject <network_id>")]
    Reject(NetworkArg),
    #[command(external_subcommand)]
    Unknown(Vec<String>),
}

#[derive(Debug, Args)]
pub(crate) struct NetworkArg {
    #[arg(value_parser = network_id, allow_hyphen_values = true)]
    pub(crate) network_id: u16,
}

#[derive(Debug, Args)]
pub(crate) struct NetworkJoin {
    #[arg(value_parser = network_id, allow_hyphen_values = true)]
    pub(crate) network_id: u16,
    /// What the network asks of new members.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NetworkInvite {
    #[arg(value_parser = network_id, allow_hyphen_values = true)]
    pub(crate) network_id: u16,
    #[arg(value_parser = node_id, allow_hyphen_values = true)]
    pub(crate) node_id: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Peers {
    /// Part of a node id or endpoint.
    #[arg(long)]
    pub(crate) search: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Disconnect {
    #[arg(value_parser = conn_id, allow_hyphen_values = true)]
    pub(crate) conn_id: u32,
}

#[derive(Debug, Args)]
pub(crate) struct NodeArg {
    #[arg(value_parser = node_id, allow_hyphen_values = true)]
    pub(crate) node_id: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Untrust {
    #[arg(value_parser = untrust_id, allow_hyphen_values = true)]
    pub(crate) node_id: u32,
}

#[derive(Debug, Args)]
pub(crate) struct Find {
    pub(crate) hostname: String,
}

#[derive(Debug, Args)]
pub(crate) struct Tags {
    #[arg(required = true)]
    pub(crate) tags: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Webhook {
    pub(crate) url: String,
}

#[derive(Debug, Args)]
pub(crate) struct Handshake {
    /// Node id, address or hostname.
    pub(crate) target: String,
    /// Why, for the person who decides.
    #[arg(default_value = "")]
    pub(crate) justification: String,
}

#[derive(Debug, Args)]
pub(crate) struct Reject {
    #[arg(value_parser = node_id, allow_hyphen_values = true)]
    pub(crate) node_id: u32,
    #[arg(default_value = "")]
    pub(crate) reason: String,
}

/// Where the content of a message comes from.
#[derive(Debug, Args)]
pub(crate) struct Data {
    /// The content; `-` reads standard input.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) data: Option<String>,
    /// A file with the content.
    #[arg(long, conflicts_with = "data")]
    pub(crate) data_file: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// Address, node id or hostname.
    pub(crate) target: String,
    #[arg(value_parser = port, default_value = "1000")]
    pub(crate) port: u16,
    /// What to send; without it standard input is sent.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) message: Option<String>,
    /// Longest time for everything.
    #[arg(long, value_parser = duration, default_value = "30s", allow_hyphen_values = true)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// Address, node id or hostname.
    pub(crate) target: String,
    #[arg(value_parser = port)]
    pub(crate) port: u16,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Longest time for everything.
    #[arg(long, value_parser = duration, default_value = "30s", allow_hyphen_values = true)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Recv {
    #[arg(value_parser = port)]
    pub(crate) port: u16,
    /// How many streams.
    #[arg(long, value_parser = count, default_value = "1", allow_hyphen_values = true)]
    pub(crate) count: i64,
    /// Longest time for everything.
    #[arg(long, value_parser = duration, default_value = "30s", allow_hyphen_values = true)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Listen {
    #[arg(value_parser = port)]
    pub(crate) port: u16,
    /// How many datagrams; 0 goes on.
    #[arg(long, value_parser = count, default_value = "0", allow_hyphen_values = true)]
    pub(crate) count: i64,
    /// Longest time; 0 goes on.
    #[arg(long, value_parser = duration, default_value = "0", allow_hyphen_values = true)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct SendFile {
    /// Address, node id or hostname.
    pub(crate) target: String,
    pub(crate) path: String,
    /// Longest time without progress.
    #[arg(long, value_parser = duration, default_value = "60s", allow_hyphen_values = true)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct SendMessage {
    /// Address, node id or hostname.
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) data: Data,
    /// text, json or binary.
    #[arg(long = "type", default_value = "text")]
    pub(crate) kind: String,
    /// Longest time without progress.
    #[arg(long, value_parser = duration, default_value = "30s", allow_hyphen_values = true)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Subscribe {
    /// Address, node id or hostname.
    pub(crate) target: String,
    /// Exact topic, or `*` for all.
    pub(crate) topic: String,
    /// How many events; 0 goes on.
    #[arg(long, value_parser = count, default_value = "0", allow_hyphen_values = true)]
    pub(crate) count: i64,
    /// Longest time; 0 goes on.
    #[arg(long, value_parser = duration, default_value = "0", allow_hyphen_values = true)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// Address, node id or hostname.
    pub(crate) target: String,
    pub(crate) topic: String,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Longest time without progress.
    #[arg(long, value_parser = duration, default_value = "30s", allow_hyphen_values = true)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Mailbox {
    /// Delete all of them.
    #[arg(long)]
    pub(crate) clear: bool,
    /// Show at most so many.
    #[arg(long, value_parser = count, allow_hyphen_values = true)]
    pub(crate) limit: Option<i64>,
    /// Newest first.
    #[arg(long)]
    pub(crate) latest: bool,
    /// Only what came after: RFC 3339 time, or a duration ago such as 10m.
    #[arg(long, value_parser = since)]
    pub(crate) since: Option<Since>,
}

#[derive(Debug, Args)]
pub(crate) struct Ping {
    /// Address, node id or hostname.
    pub(crate) target: String,
    /// How many probes, one a second.
    #[arg(long, value_parser = count, default_value = "4", allow_hyphen_values = true)]
    pub(crate) count: i64,
    /// Longest time for all probes; without it, 5 s of silence end each.
    #[arg(long, value_parser = duration, allow_hyphen_values = true)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Traceroute {
    pub(crate) address: String,
    /// Longest time for everything.
    #[arg(long, value_parser = duration, default_value = "30s", allow_hyphen_values = true)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Address, node id or hostname.
    pub(crate) target: String,
    /// MiB to send there and back.
    #[arg(value_parser = size_mb, default_value = "1", allow_hyphen_values = true)]
    pub(crate) size_mb: f64,
    /// Longest time for everything.
    #[arg(long, value_parser = duration, default_value = "120s", allow_hyphen_values = true)]
    pub(crate) timeout: Duration,
}
