//! The program `rendezvous`: registry and beacon in one process.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{ArgAction, Parser};
use pilot_proto::planted;
use pilot_roles::{
    Listener,
    rendezvous::{BeaconConfig, Config, RegistryConfig, Rendezvous},
};

use super::{
    Run,
    flags::{self, Common, Flags},
};
use crate::{
    Clock, Place, RecordStore, ServeTls, Setup, StoreError, bind_tcp, bind_udp, raise_descriptor_limit,
};

#[derive(Debug, Parser)]
#[command(
    name = "rendezvous",
    about = "Registry (TCP) and beacon (UDP) of a Pilot network. Flags take one dash or two."
)]
struct Options {
    /// TCP address of the registry
    #[arg(long, default_value = ":9000")]
    registry_addr: String,
    /// UDP address of the beacon
    #[arg(long, default_value = ":9001")]
    beacon_addr: String,
    /// Database of the registry; without one everything is forgotten at the end
    #[arg(long, value_name = "FILE", default_value = "")]
    store: String,
    /// Serve the registry over TLS; without -tls-cert with a certificate of our own, kept beside the store
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", value_parser = flags::boolean)]
    tls: bool,
    /// PEM file with the certificate chain
    #[arg(long, value_name = "FILE", default_value = "")]
    tls_cert: String,
    /// PEM file with the key of the certificate
    #[arg(long, value_name = "FILE", default_value = "")]
    tls_key: String,
    /// Silence after which the registry takes a node for offline and no longer gives out where it is; nodes that are
    /// well send a heartbeat every 30 or 60 s
    #[arg(long, value_name = "DURATION", value_parser = silence, default_value = "180s")]
    stale_after: Duration,
    /// Silence after which the beacon forgets a node and relays nothing to it; nodes that are well speak every 25 to 60 s
    #[arg(long, value_name = "DURATION", value_parser = silence, default_value = "10m")]
    beacon_forget_after: Duration,
    /// Not offered: address of a primary registry to follow
    #[arg(long, default_value = "")]
    standby: String,
    /// Not offered: address of a dashboard
    #[arg(long, default_value = "")]
    http: String,
    /// Secret that administrators must send; without one there is no administration
    #[arg(long, env = "PILOT_ADMIN_TOKEN", hide_env_values = true, default_value = "")]
    admin_token: String,
    #[command(flatten)]
    common: Common,
}

impl Flags for Options {
    fn common(&self) -> &Common {
        &self.common
    }
}

/// A silence that ends: with less than a second nobody would be there.
fn silence(text: &str) -> Result<Duration, String> {
    let silence = flags::duration(text)?;
    if silence < Duration::from_secs(1) {
        return Err(format!("expected 1s or more, not {text:?}"));
    }
    Ok(silence)
}

/// Runs the program on `driver` with its arguments, without its name.
pub fn main(args: impl IntoIterator<Item = OsString>, driver: impl Run) -> ExitCode {
    flags::program(args, |options| run(options, driver))
}

fn run(options: &Options, driver: impl Run) -> Result<u8, String> {
    for (flag, value) in [("-standby", &options.standby), ("-http", &options.http)] {
        if !value.is_empty() {
            return Err(format!("{flag} is not offered by this rendezvous"));
        }
    }
    let words = |e: std::io::Error| e.to_string();
    raise_descriptor_limit();
    let clock = Clock::start();
    let (store, records) = match options.store.as_str() {
        "" => (None, Vec::new()),
        path => {
            let open = || RecordStore::open(Path::new(path));
            let opened = open().or_else(|error| match error {
                StoreError::Damaged(file, _) if planted!(StoreReplaced) => std::fs::remove_file(file)
                    .map_err(|e| StoreError::Io(path.into(), e))
                    .and_then(|()| open()),
                error => Err(error),
            });
            let (store, records) = opened.map_err(|e| e.to_string())?;
            (Some(store), records)
        }
    };
    let admin_token = Some(options.admin_token.clone()).filter(|token| !token.is_empty());
    let udp = bind_udp(&options.beacon_addr).map_err(words)?;
    let tcp = bind_tcp(&options.registry_addr).map_err(words)?;
    let registry_addr = tcp.local_addr().map_err(words)?;
    let beacon_addr = udp.local_addr().map_err(words)?;
    let config = Config {
        registry: RegistryConfig {
            admin_token,
            stale_after: options.stale_after,
            ..RegistryConfig::default()
        },
        beacon: Some(BeaconConfig { forget_after: options.beacon_forget_after, ..BeaconConfig::default() }),
    };
    let loaded = records.into_iter().map(|record| (record.table, record.key, record.value));
    let role = Rendezvous::new(config, pilot_proto::crypto::RustCrypto, clock.now().unix_secs(), loaded)
        .map_err(|e| format!("store {}: {e}", options.store))?;
    let setup = Setup {
        udp: Some(udp),
        listeners: BTreeMap::from([(Listener::Registry, Place::Bound(tcp, tls(options)?))]),
        store,
        areas: BTreeMap::<_, PathBuf>::new(),
        signals: true,
        ..Setup::default()
    };
    tracing::info!(addr = %beacon_addr, "beacon listening");
    tracing::info!(registry = %registry_addr, beacon = %beacon_addr, "rendezvous running");
    driver.run(role, clock, setup).map_err(words)
}

/// How the registry's connections are secured, if they are.
fn tls(options: &Options) -> Result<Option<ServeTls>, String> {
    let tls = match (options.tls, options.tls_cert.as_str(), options.tls_key.as_str()) {
        (false, "", "") => return Ok(None),
        (false, ..) => return Err("-tls-cert and -tls-key need -tls".into()),
        (true, "", "") if options.store.is_empty() => {
            tracing::warn!(
                "without -store the certificate changes at every start, and with it its fingerprint"
            );
            ServeTls::self_signed(None)?
        }
        (true, "", "") => {
            let mut file = OsString::from(&options.store);
            file.push(".tls.pem");
            ServeTls::self_signed(Some(Path::new(&file)))?
        }
        (true, cert, key) => ServeTls::from_files(Path::new(cert), Path::new(key))?,
    };
    tracing::info!(fingerprint = %tls.fingerprint, "registry certificate");
    Ok(Some(tls))
}

#[cfg(test)]
mod tests {
    use super::{Duration, silence};

    #[test]
    fn nobody_can_be_told_to_speak_all_the_time() {
        assert_eq!(silence("3m"), Ok(Duration::from_secs(180)));
        assert_eq!(silence("1s"), Ok(Duration::from_secs(1)));
        for wrong in ["0", "999ms", "-1s", "180", ""] {
            let why = silence(wrong).expect_err(wrong);
            assert!(why.contains("expected") && why.contains(&format!("{wrong:?}")), "{why}");
        }
    }
}
