//! Parsers of texts: the trust message, the trust file of a daemon, a scenario of the simulator.

use std::net::SocketAddr;

use pilot_proto::{
    crypto::Ed25519Seed,
    rng::SeededRng,
    time::Duration,
    trust::{MESSAGE_MAX, Message},
};
use pilot_roles::daemon::{Daemon, DaemonConfig};
use pilot_sim::{NullCrypto, Scenario};

use crate::host::Host;

/// The JSON message of port 444.
pub fn trust_message(data: &[u8]) {
    match Message::parse(data) {
        Ok(message) => {
            // Texts of a stranger may be too long for us to say them again.
            let mut out = vec![0; MESSAGE_MAX];
            if let Ok(len) = message.write(&mut out) {
                assert_eq!(Message::parse(&out[..len]), Ok(message));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The file in which a daemon keeps its trust.
pub fn trust_file(data: &[u8]) {
    let mut config = DaemonConfig::new(Ed25519Seed::from_bytes([1; 32]), String::new());
    config.trust_file = Some(data.to_vec());
    config.stream_memory = 1 << 16;
    config.max_peers = 8;
    config.max_streams = 8;
    config.max_trusted = 8;
    let daemon = Daemon::new(config, NullCrypto, SeededRng::new(1));
    // It is read at the start, and what it asks for comes due.
    Host::new(daemon, SocketAddr::from(([192, 0, 2, 1], 4000))).pass(Duration::from_secs(100));
}

/// A scenario in TOML.
pub fn scenario(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(scenario) = Scenario::parse(text) {
        let written = scenario.to_toml();
        assert_eq!(Scenario::parse(&written).as_ref(), Ok(&scenario), "{written}");
    }
}
