//! One rendezvous and the daemons under test: start, stop, and everything asked of them through their pilotctl.

use crate::process::{Process, Session, tail};
use crate::programs::{Catalogue, Flavour};
use crate::topology::Place;
use serde_json::Value;
use std::cell::RefCell;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a program may take until its socket answers.
const READY: Duration = Duration::from_secs(20);
/// How long one pilotctl command may take unless a step says otherwise.
pub(crate) const COMMAND: Duration = Duration::from_secs(45);

/// A rendezvous of ours, and the agents' way to it.
#[derive(Debug)]
pub(crate) struct World<'s> {
    pub(crate) session: &'s Session,
    pub(crate) catalogue: &'s Catalogue,
    /// Everything of this world is written here.
    pub(crate) home: PathBuf,
    place: Place,
    registry: u16,
    beacon: u16,
    process: RefCell<Option<Process>>,
}

impl<'s> World<'s> {
    /// Starts a rendezvous at `place` that keeps its store under `<scratch>/<name>`.
    pub(crate) fn start(
        session: &'s Session,
        catalogue: &'s Catalogue,
        place: Place,
        name: &str,
    ) -> Result<World<'s>, String> {
        let home = session.scratch.join(name);
        std::fs::create_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))?;
        let (registry, beacon) = free_ports(place.address)?;
        let process = RefCell::new(None);
        let world = World { session, catalogue, home, place, registry, beacon, process };
        world.start_rendezvous()?;
        Ok(world)
    }

    /// Starts the rendezvous, on the same ports and store as before.
    pub(crate) fn start_rendezvous(&self) -> Result<(), String> {
        let mut command = self.place.command(&self.catalogue.rendezvous());
        clean_environment(&mut command, &self.home);
        command.args(["-registry-addr", &self.registry(), "-beacon-addr", &self.beacon()]);
        command.arg("-store").arg(self.home.join("registry.store"));
        let mut slot = self.process.borrow_mut();
        let process = slot.insert(Process::start(&mut command, &self.home.join("rendezvous"))?);
        let ready = self.session.until(READY, "rendezvous", || {
            let answered = TcpStream::connect((self.place.address, self.registry)).is_ok();
            (answered || !process.is_running()).then_some(answered)
        });
        if ready == Ok(true) { Ok(()) } else { Err(format!("rendezvous: {}", process.last_lines(3))) }
    }

    /// Ends the rendezvous as a crash would.
    pub(crate) fn kill_rendezvous(&self) {
        self.process.replace(None);
    }

    fn registry(&self) -> String {
        format!("{}:{}", self.place.address, self.registry)
    }

    fn beacon(&self) -> String {
        format!("{}:{}", self.place.address, self.beacon)
    }
}

/// Two free ports, one TCP and one UDP. They are free again when this returns, so a neighbour could take them; in a
/// namespace there is none.
fn free_ports(address: Ipv4Addr) -> Result<(u16, u16), String> {
    let tcp = TcpListener::bind((address, 0)).and_then(|socket| socket.local_addr());
    let udp = UdpSocket::bind((address, 0)).and_then(|socket| socket.local_addr());
    let port = |found: std::io::Result<std::net::SocketAddr>| {
        found.map(|address| address.port()).map_err(|e| format!("no free port at {address}: {e}"))
    };
    Ok((port(tcp)?, port(udp)?))
}

/// Nothing inherited: no proxy, no home, no configuration of whoever runs this; and proxies that lead nowhere.
fn clean_environment(command: &mut Command, home: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("HOME", home).current_dir(home);
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"] {
        command.env(proxy, "http://127.0.0.1:9");
    }
}

/// A daemon under test with an identity, a home and a socket of its own.
#[derive(Debug)]
pub(crate) struct Node<'w> {
    world: &'w World<'w>,
    pub(crate) flavour: Flavour,
    /// Whose pilotctl drives it.
    driver: Flavour,
    pub(crate) home: PathBuf,
    place: Place,
    process: Option<Process>,
    /// Its node id, known once it runs.
    pub(crate) id: u64,
    /// Its address as text.
    pub(crate) address: String,
}

impl<'w> Node<'w> {
    /// Starts a private daemon and waits until its socket answers.
    pub(crate) fn start(
        world: &'w World<'w>,
        flavour: Flavour,
        place: Place,
        name: &str,
    ) -> Result<Node<'w>, String> {
        Node::start_driven_by(world, flavour, flavour, place, name)
    }

    /// The same, with the pilotctl of another origin.
    pub(crate) fn start_driven_by(
        world: &'w World<'w>,
        flavour: Flavour,
        driver: Flavour,
        place: Place,
        name: &str,
    ) -> Result<Node<'w>, String> {
        let home = world.home.join(name);
        let pilot = home.join(".pilot");
        std::fs::create_dir_all(&pilot).map_err(|e| format!("{}: {e}", pilot.display()))?;
        let address = String::new();
        let mut node = Node { world, flavour, driver, home, place, process: None, id: 0, address };
        node.run()?;
        Ok(node)
    }

    /// Starts the daemon of this node (again).
    pub(crate) fn run(&mut self) -> Result<(), String> {
        let mut command = self.place.command(&self.world.catalogue.daemon(self.flavour));
        clean_environment(&mut command, &self.home);
        command.args(["-registry", &self.world.registry(), "-beacon", &self.world.beacon()]);
        // A released daemon that is told a host and port 0 registers port 0, except on the loopback.
        let any = self.flavour.is_ours() || self.place.address.is_loopback();
        let port = if any { 0 } else { 4000 };
        command.args(["-listen", &format!("{}:{port}", self.place.address), "-email", "agent@example.com"]);
        command
            .arg("-socket")
            .arg(self.socket())
            .arg("-identity")
            .arg(self.home.join(".pilot/identity.json"));
        match self.flavour {
            Flavour::Ours | Flavour::Async => drop(command.args(&self.world.catalogue.flags)),
            // Released daemons learn of handshakes by polling once a heartbeat.
            Flavour::April => drop(command.args(["-keepalive", "2s"])),
            Flavour::Newest => drop(command.args([
                "-keepalive",
                "2s",
                "-no-skillinject",
                "-telemetry-url",
                "",
                "-motd-feed-url",
                "",
                "-proxy",
                "off",
            ])),
        }
        self.process = Some(Process::start(&mut command, &self.home.join("daemon"))?);
        let mut seen = String::from("no answer");
        let session = self.world.session;
        let ready = session.until(READY, "daemon socket", || {
            let running = self.process.as_mut().is_some_and(Process::is_running);
            let info = self.socket().exists().then(|| self.info());
            match info {
                Some(Ok(info)) => Some(Ok(info)),
                Some(Err(why)) => {
                    seen = why;
                    (!running).then(|| Err(seen.clone()))
                }
                None => (!running).then(|| Err("the daemon ended".into())),
            }
        });
        match ready.and_then(|info| info) {
            Ok((id, address)) => {
                (self.id, self.address) = (id, address);
                Ok(())
            }
            Err(why) => Err(format!("{why} ({seen}): {}", self.log(3))),
        }
    }

    fn info(&self) -> Result<(u64, String), String> {
        let info = self.ctl(&["info"])?;
        let id = info["node_id"].as_u64().filter(|id| *id > 0).ok_or(format!("no node id in {info}"))?;
        let address = info["address"].as_str().ok_or(format!("no address in {info}"))?;
        Ok((id, address.to_string()))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home.join("s")
    }

    /// The daemon's process id, 0 when it does not run.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::pid)
    }

    /// Ends the daemon as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Asks the daemon to end.
    pub(crate) fn terminate(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate();
        }
    }

    /// The last lines of the daemon's log.
    pub(crate) fn log(&self, lines: usize) -> String {
        self.process.as_ref().map_or_else(String::new, |process| process.last_lines(lines))
    }

    /// A pilotctl command for this node's daemon.
    pub(crate) fn pilotctl(&self, driver: Flavour, args: &[&str]) -> Command {
        // The registry is asked directly by some commands, so they run where the daemon runs.
        let mut command = self.place.command(&self.world.catalogue.pilotctl(driver));
        clean_environment(&mut command, &self.home);
        command.env("PILOT_SOCKET", self.socket()).env("PILOT_REGISTRY", self.world.registry());
        command.arg("--json").args(args);
        command
    }

    /// Runs a pilotctl command; its `data`, or why there is none.
    pub(crate) fn ctl(&self, args: &[&str]) -> Result<Value, String> {
        self.ctl_of(self.driver, args, COMMAND)
    }

    /// The same with a pilotctl of another origin and a limit of its own.
    pub(crate) fn ctl_of(&self, driver: Flavour, args: &[&str], limit: Duration) -> Result<Value, String> {
        let outcome = self.world.session.run(&mut self.pilotctl(driver, args), limit)?;
        data_of(&args.join(" "), &outcome)
    }

    /// Starts a pilotctl command that waits for something.
    pub(crate) fn ctl_start(&self, args: &[&str]) -> Result<Process, String> {
        self.world.session.spawn(&mut self.pilotctl(self.driver, args))
    }

    /// Waits for what [`Node::ctl_start`] started.
    pub(crate) fn ctl_end(&self, what: &str, process: Process, limit: Duration) -> Result<Value, String> {
        data_of(what, &process.outcome(self.world.session, limit)?)
    }

    pub(crate) fn session(&self) -> &'w Session {
        self.world.session
    }
}

/// The `data` of a successful command.
fn data_of(what: &str, outcome: &crate::process::Outcome) -> Result<Value, String> {
    if outcome.timed_out {
        return Err(format!("`{what}` did not end in {:.0} s", outcome.elapsed.as_secs_f64()));
    }
    let parse = |text: &str| -> Option<Value> { serde_json::from_str(text.trim().lines().last()?).ok() };
    if outcome.code != Some(0) {
        let message = parse(&outcome.stderr).or_else(|| parse(&outcome.stdout));
        let message = message.and_then(|error| Some(error["message"].as_str()?.to_string()));
        let message = message.unwrap_or_else(|| tail(&format!("{}{}", outcome.stdout, outcome.stderr), 3));
        let code = outcome.code.map_or("a signal".to_string(), |code| code.to_string());
        return Err(format!("`{what}` exit {code}: {message}"));
    }
    let mut reply =
        parse(&outcome.stdout).ok_or(format!("`{what}` printed {:?}", tail(&outcome.stdout, 2)))?;
    Ok(reply["data"].take())
}
