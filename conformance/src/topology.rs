//! Where programs run: all on the loopback, or two agents behind a router whose path between them can be cut.
//!
//! ```text
//!   agent-a 10.77.1.2 ──┐
//!                       router 10.77.0.1 (rendezvous)
//!   agent-b 10.77.2.2 ──┘
//! ```
//!
//! The router is this process's own network namespace; each agent has one beneath it. A cut is a routing rule that
//! drops silently, as a firewall or a dead mapping does; the rendezvous stays reachable for both.

use crate::process::{Session, tail};
use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Where one program runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    namespace: Option<&'static str>,
    /// The address its sockets bind.
    pub(crate) address: Ipv4Addr,
}

impl Place {
    pub(crate) const LOOPBACK: Place = Place { namespace: None, address: Ipv4Addr::LOCALHOST };
    const ROUTER: Place = Place { namespace: None, address: Ipv4Addr::new(10, 77, 0, 1) };
    const A: Place = Place { namespace: Some("agent-a"), address: Ipv4Addr::new(10, 77, 1, 2) };
    const B: Place = Place { namespace: Some("agent-b"), address: Ipv4Addr::new(10, 77, 2, 2) };

    /// A command that runs `program` here.
    pub(crate) fn command(self, program: &Path) -> Command {
        match self.namespace {
            None => Command::new(program),
            Some(name) => {
                let mut command = Command::new("ip");
                command.args([
                    OsStr::new("netns"),
                    OsStr::new("exec"),
                    OsStr::new(name),
                    program.as_os_str(),
                ]);
                command
            }
        }
    }
}

/// Two agents behind a router.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) router: Place,
    pub(crate) a: Place,
    pub(crate) b: Place,
}

impl Routed {
    /// Builds the namespaces, which takes an isolated run; they vanish with it.
    pub(crate) fn build(session: &Session) -> Result<Routed, String> {
        let routed = Routed { router: Place::ROUTER, a: Place::A, b: Place::B };
        ip(session, &format!("addr add {}/32 dev lo", routed.router.address))?;
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").map_err(|e| format!("ip_forward: {e}"))?;
        for (place, net) in [(routed.a, 1), (routed.b, 2)] {
            let name = place.namespace.ok_or("an agent without a namespace")?;
            ip(session, &format!("netns add {name}"))?;
            ip(session, &format!("link add to-{name} type veth peer name up netns {name}"))?;
            ip(session, &format!("addr add 10.77.{net}.1/24 dev to-{name}"))?;
            ip(session, &format!("link set to-{name} up"))?;
            ip(session, &format!("-n {name} addr add {}/24 dev up", place.address))?;
            ip(session, &format!("-n {name} link set lo up"))?;
            ip(session, &format!("-n {name} link set dev up up"))?;
            ip(session, &format!("-n {name} route add default via 10.77.{net}.1"))?;
        }
        Ok(routed)
    }

    /// Datagrams forwarded from one agent to the other so far; what goes through the relay is not among them.
    pub(crate) fn forwarded() -> Result<u64, String> {
        counter("/proc/self/net/snmp", "Ip", "ForwDatagrams")
    }

    /// From now on no packet gets from one agent to the other.
    pub(crate) fn cut(session: &Session) -> Result<(), String> {
        Self::rules("add", session)
    }

    /// The path is whole again.
    pub(crate) fn restore(session: &Session) -> Result<(), String> {
        Self::rules("del", session)
    }

    fn rules(verb: &str, session: &Session) -> Result<(), String> {
        let (a, b) = (Place::A.address, Place::B.address);
        ip(session, &format!("rule {verb} from {a} to {b} priority 100 blackhole"))?;
        ip(session, &format!("rule {verb} from {b} to {a} priority 100 blackhole"))
    }
}

fn ip(session: &Session, arguments: &str) -> Result<(), String> {
    let outcome = session.run(Command::new("ip").args(arguments.split(' ')), Duration::from_secs(5))?;
    if outcome.code == Some(0) {
        Ok(())
    } else {
        Err(format!("ip {arguments}: {}", tail(&outcome.stderr, 1)))
    }
}

/// One number of a `/proc/.../net/snmp` table, which has a line of names and a line of values for each protocol.
pub(crate) fn counter(table: &str, protocol: &str, name: &str) -> Result<u64, String> {
    let text = std::fs::read_to_string(table).map_err(|e| format!("{table}: {e}"))?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let position = names.split(' ').position(|found| found == name);
    let value = position.and_then(|position| values.split(' ').nth(position)?.parse().ok());
    value.ok_or(format!("no {protocol} {name} in {table}"))
}
