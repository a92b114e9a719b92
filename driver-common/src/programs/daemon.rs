//! The program `pilot-daemon`: one agent's node.

use std::{
    collections::BTreeMap, ffi::OsString, io, os::unix::net::UnixStream, path::PathBuf, process::ExitCode,
    time::Duration,
};

use clap::{ArgAction, Parser, ValueEnum};
use pilot_proto::extension::Cipher;
use pilot_roles::Listener;

use super::{
    Run,
    flags::{self, Common, Flags},
    host, identity,
    node::{self, Ready, Spec},
};
use crate::{DialTls, Place, Setup, Target, raise_descriptor_limit};

#[derive(Debug, Parser)]
#[command(name = "pilot-daemon", about = "One agent's node of a Pilot network. Flags take one dash or two.")]
struct Options {
    /// Registry, host:port
    #[arg(long, env = "PILOT_REGISTRY", default_value = "34.71.57.205:9000")]
    registry: String,
    /// Beacon, host:port; empty for none
    #[arg(long, env = "PILOT_BEACON", default_value = "34.71.57.205:9001")]
    beacon: String,
    /// UDP address of the tunnels
    #[arg(long, default_value = ":0")]
    listen: String,
    /// Unix socket for applications
    #[arg(long, default_value = "/tmp/pilot.sock")]
    socket: PathBuf,
    /// Fixed public host:port, instead of asking the beacon
    #[arg(long, default_value = "")]
    endpoint: String,
    /// Encrypt tunnels
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "true",
        default_missing_value = "true", value_parser = flags::boolean)]
    encrypt: bool,
    /// Do nothing that the Go releases do not do
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_parser = flags::boolean)]
    no_extensions: bool,
    /// Cipher of tunnels to peers that can do both; auto asks for chacha if this processor has no instructions for AES
    #[arg(long, value_enum, default_value_t = Suite::Auto)]
    suite: Suite,
    /// Reach the registry over TLS; needs -registry-fingerprint
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_parser = flags::boolean)]
    registry_tls: bool,
    /// SHA-256 of the registry's certificate, hex
    #[arg(long, default_value = "")]
    registry_fingerprint: String,
    /// File of the node's key; without one the node is another at every start
    #[arg(long, value_name = "FILE", default_value = "")]
    identity: String,
    /// Account address, for key recovery
    #[arg(long, default_value = "")]
    email: String,
    /// Deprecated name of -email
    #[arg(long, default_value = "")]
    owner: String,
    /// Heartbeat interval [0: 30s]
    #[arg(long, value_parser = flags::duration, default_value = "0")]
    keepalive: Duration,
    /// Silence after which a stream is over [0: 120s]
    #[arg(long, value_parser = flags::duration, default_value = "0")]
    idle_timeout: Duration,
    /// Stream requests per second [0: 100]
    #[arg(long, default_value_t = 0)]
    syn_rate_limit: u32,
    /// Streams per port [0: 1024]
    #[arg(long, default_value_t = 0)]
    max_conns_per_port: u32,
    /// Streams in total [0: 4096]
    #[arg(long, default_value_t = 0)]
    max_conns_total: u32,
    /// How long an ended stream is remembered [0: 10s]
    #[arg(long, value_parser = flags::duration, default_value = "0")]
    time_wait: Duration,
    /// Let everybody find this node and connect to it
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_parser = flags::boolean)]
    public: bool,
    /// Name of this node
    #[arg(long, default_value = "")]
    hostname: String,
    /// No echo service (port 7)
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_parser = flags::boolean)]
    no_echo: bool,
    /// No data exchange service (port 1001)
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_parser = flags::boolean)]
    no_dataexchange: bool,
    /// No event stream service (port 1002)
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_parser = flags::boolean)]
    no_eventstream: bool,
    /// Accepted for old start scripts; there is no task service
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_parser = flags::boolean)]
    no_tasksubmit: bool,
    /// Approve every trust request
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_parser = flags::boolean)]
    trust_auto_approve: bool,
    /// Reach and be reached through the beacon only
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_parser = flags::boolean)]
    relay_only: bool,
    /// URL to post events to
    #[arg(long, default_value = "")]
    webhook: String,
    /// The registry's admin token
    #[arg(long, env = "PILOT_ADMIN_TOKEN", hide_env_values = true, default_value = "")]
    admin_token: String,
    /// Networks to join at the start, ids with commas between
    #[arg(long, default_value = "")]
    networks: String,
    /// FOR DEBUGGING ONLY: write the keys of all sessions into FILE, for Wireshark. Whoever reads it reads all traffic of
    /// this node and its peers, recorded or to come
    #[arg(long, value_name = "FILE", default_value = "")]
    keylog: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suite {
    Auto,
    Aes,
    Chacha,
}

impl Suite {
    fn cipher(self, aes_instructions: bool) -> Cipher {
        match self {
            Suite::Aes => Cipher::Aes,
            Suite::Chacha => Cipher::ChaCha,
            Suite::Auto if aes_instructions => Cipher::Either,
            Suite::Auto => Cipher::ChaCha,
        }
    }
}

impl Flags for Options {
    fn common(&self) -> &Common {
        &self.common
    }
}

/// Runs the program on `driver` with its arguments, without its name.
pub fn main(args: impl IntoIterator<Item = OsString>, driver: impl Run) -> ExitCode {
    flags::program(args, |options| run(options, driver))
}

fn run(options: &Options, driver: impl Run) -> Result<u8, String> {
    let words = |e: io::Error| e.to_string();
    raise_descriptor_limit();
    if UnixStream::connect(&options.socket).is_ok() {
        return Err(format!(
            "another daemon answers on {}; choose another -socket",
            options.socket.display()
        ));
    }
    let identity = Some(&options.identity).filter(|path| !path.is_empty()).map(PathBuf::from);
    let state = identity.as_deref().map(identity::directory);
    let home = node::home();
    if home.is_none() {
        tracing::warn!("without a home directory, messages and files from peers are refused");
    }
    let spec = Spec {
        registry: Target { addr: options.registry.clone(), tls: registry_tls(options)? },
        beacon: options.beacon.clone(),
        listen: options.listen.clone(),
        identity,
        email: identity::email([&options.email, &options.owner], state.as_deref())?,
        home,
        keylog: Some(&options.keylog).filter(|path| !path.is_empty()).map(PathBuf::from),
    };
    let Ready { role, clock, setup, lock: _lock } = node::prepare(spec, |config| {
        config.hostname.clone_from(&options.hostname);
        config.public = options.public;
        config.encrypt = options.encrypt;
        config.extensions.enabled = !options.no_extensions;
        config.extensions.cipher = options.suite.cipher(host::has_aes());
        config.trust_auto_approve = options.trust_auto_approve;
        config.relay_only = options.relay_only;
        config.endpoint.clone_from(&options.endpoint);
        set(&mut config.keepalive, options.keepalive);
        set(&mut config.idle_timeout, options.idle_timeout);
        set(&mut config.time_wait, options.time_wait);
        set(&mut config.syn_rate, options.syn_rate_limit);
        set(&mut config.max_streams_per_port, options.max_conns_per_port);
        set(&mut config.max_streams, options.max_conns_total);
        config.services.echo = !options.no_echo;
        config.services.data_exchange = !options.no_dataexchange;
        config.services.event_stream = !options.no_eventstream;
        config.webhook.clone_from(&options.webhook);
        config.admin_token.clone_from(&options.admin_token);
        config.networks = networks(&options.networks);
    })?;
    let setup = Setup {
        listeners: BTreeMap::from([(Listener::Ipc, Place::Unix(options.socket.clone()))]),
        signals: true,
        ..setup
    };
    driver.run(role, clock, setup).map_err(words)
}

/// Zero means the default.
fn set<T: Default + PartialEq>(setting: &mut T, flag: T) {
    if flag != T::default() {
        *setting = flag;
    }
}

fn registry_tls(options: &Options) -> Result<Option<DialTls>, String> {
    match (options.registry_tls, options.registry_fingerprint.as_str()) {
        (false, _) => Ok(None),
        (true, "") => {
            Err("registry TLS requires -registry-fingerprint for certificate pinning: the rendezvous logs it at its start"
                .into())
        }
        (true, hex) => DialTls::pinned(hex).map(Some),
    }
}

fn networks(list: &str) -> Vec<u16> {
    let mut networks = Vec::new();
    for id in list.split(',').map(str::trim).filter(|id| !id.is_empty()) {
        match id.parse() {
            Ok(id) => networks.push(id),
            Err(_) => tracing::warn!(%id, "not a network id (0 to 65535), skipped"),
        }
    }
    networks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cipher_follows_the_flag_and_then_the_processor() {
        for (suite, aes, cipher) in [
            (Suite::Auto, true, Cipher::Either),
            (Suite::Auto, false, Cipher::ChaCha),
            (Suite::Aes, false, Cipher::Aes),
            (Suite::Chacha, true, Cipher::ChaCha),
        ] {
            assert_eq!(suite.cipher(aes), cipher);
        }
    }
}
