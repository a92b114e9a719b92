//! The suite of endpoints every driver must pass, on this driver.

#[path = "../../driver-common/suite/embed.rs"]
mod embed;

use embed::{Spec, Start};
use pilot_async::{Endpoint, LocalRendezvous, block_on};

const START: Start = Start {
    rendezvous: || {
        let rendezvous = LocalRendezvous::start().unwrap();
        (rendezvous.registry(), rendezvous.beacon(), Box::new(rendezvous))
    },
    node: |Spec { registry, beacon, name, public, socket }| {
        let mut node = Endpoint::builder().registry(registry.to_string()).beacon(beacon.to_string());
        if let Some(socket) = socket {
            node = node.socket(socket);
        }
        let endpoint =
            block_on(node.listen("127.0.0.1:0").hostname(name).public(public).accept_rate(100_000).bind())?;
        Ok((*endpoint).clone())
    },
    local: |socket| Ok((*block_on(Endpoint::local(socket))?).clone()),
};

embed::tests!(START);
