//! The bench of a rendezvous under test: the program, agents around it, and the one that proves it still serves others.

use super::agent::{Agent, Place, discover};
use super::link::ANSWER;
use super::rendezvous::endpoint;
use super::run::Run;
use super::trace::Trace;
use crate::process::Session;
use crate::programs::{Catalogue, Flavour};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::time::Duration;

/// The administrator's token of every rendezvous under test.
pub(crate) const ADMIN: &str = "conformance-administrator";

/// The command line of a known implementation; others are given as a text with the same holes.
pub(crate) fn template(catalogue: &Catalogue, flavour: Flavour) -> Option<String> {
    let program = match flavour {
        Flavour::Ours => catalogue.rendezvous(),
        Flavour::Async => catalogue.rendezvous_async(),
        Flavour::April | Flavour::Newest => return None,
    };
    let flags = "-registry-addr {registry_addr} -beacon-addr {beacon_addr} -store {store} -admin-token {admin} {tls} \
                 -stale-after {silence} -beacon-forget-after {silence}";
    Some(format!("{} {flags}", program.display()))
}

/// How a rendezvous is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Usual,
    /// Its registry serves TLS.
    Tls,
    /// It soon takes a silent node for gone.
    Impatient,
}

/// After this silence a node is gone, with a rendezvous that is impatient, and with the others.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);
const USUAL_SILENCE: Duration = Duration::from_secs(180);

/// One rendezvous as a command with holes, with its store and its two ports.
pub(crate) struct Program {
    run: Run,
    pub(crate) store: PathBuf,
    pub(crate) place: Place,
}

impl Program {
    fn new(template: &str, home: PathBuf, mode: Mode) -> Result<Program, String> {
        let place = free_place()?;
        let store = home.join("store");
        let silence = if mode == Mode::Impatient { SILENCE } else { USUAL_SILENCE };
        let tls = if mode == Mode::Tls { "-tls" } else { "" };
        let holes = [
            ("{registry_addr}", place.registry.to_string()),
            ("{beacon_addr}", place.beacon.to_string()),
            ("{store}", store.display().to_string()),
            ("{home}", home.display().to_string()),
            ("{admin}", ADMIN.into()),
            ("{tls}", tls.into()),
            ("{silence}", format!("{}s", silence.as_secs())),
        ];
        Ok(Program { run: Run::new(template, home, &holes)?, store, place })
    }

    /// Starts it and waits until it takes connections.
    pub(crate) fn start(&mut self, session: &Session) -> Result<(), String> {
        let registry = self.place.registry;
        self.run.start_until(session, "the registry's port", || TcpStream::connect(registry).is_ok())
    }
}

impl Deref for Program {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.run
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut Run {
        &mut self.run
    }
}

/// Two ports that nobody uses. Whoever starts again must find the same.
fn free_place() -> Result<Place, String> {
    let fail = |e: std::io::Error| format!("a free port: {e}");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let tcp = TcpListener::bind(any).map_err(fail)?;
    let udp = UdpSocket::bind(any).map_err(fail)?;
    Ok(Place { registry: tcp.local_addr().map_err(fail)?, beacon: udp.local_addr().map_err(fail)? })
}

pub(crate) struct Server<'s> {
    pub(crate) session: &'s Session,
    pub(crate) trace: Trace,
    pub(crate) program: Program,
    template: String,
    control: Option<Agent>,
    next: u32,
}

impl<'s> Server<'s> {
    pub(crate) fn start(
        session: &'s Session,
        trace: &Trace,
        template: &str,
        home: PathBuf,
        first_agent: u32,
    ) -> Result<Server<'s>, String> {
        // What an earlier run left behind would be known to this one.
        if home.exists() {
            std::fs::remove_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))?;
        }
        let mut program = Program::new(template, home, Mode::Usual)?;
        program.start(session)?;
        let (trace, template) = (trace.clone(), template.to_string());
        Ok(Server { session, trace, program, template, control: None, next: first_agent })
    }

    /// Another rendezvous of the same kind, not started yet.
    pub(crate) fn another(&mut self, mode: Mode) -> Result<Program, String> {
        let number = self.number();
        let home = self.program.home().join(format!("another-{number}"));
        Program::new(&self.template, home, mode)
    }

    /// Whether its command line has a place for what makes it so.
    pub(crate) fn offers(&self, mode: Mode) -> bool {
        match mode {
            Mode::Usual => true,
            Mode::Tls => self.template.contains("{tls}"),
            Mode::Impatient => self.template.contains("{silence}"),
        }
    }

    /// Another rendezvous in this mode, started; `None` if the program has none.
    pub(crate) fn started(&mut self, mode: Mode) -> Result<Option<Program>, String> {
        if !self.offers(mode) {
            return Ok(None);
        }
        let mut program = self.another(mode)?;
        program.start(self.session)?;
        Ok(Some(program))
    }

    /// Ends the program as a crash would, and starts it again.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        self.program.kill();
        self.program.start(self.session)
    }

    pub(crate) fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// A number that no other case was given.
    pub(crate) fn next_agent(&self) -> u32 {
        self.next
    }

    /// An agent on a host of its own that the registry does not know.
    pub(crate) fn stranger(&mut self) -> Result<Agent, String> {
        Agent::new(self.number(), self.program.place, &self.trace)
    }

    /// A registered agent. Nodes are private by default.
    pub(crate) fn agent(&mut self) -> Result<Agent, String> {
        let mut agent = self.stranger()?;
        agent.register()?;
        Ok(agent)
    }

    /// A registered agent that everybody may find.
    pub(crate) fn public(&mut self) -> Result<Agent, String> {
        let mut agent = self.agent()?;
        agent.set_public(true)?;
        Ok(agent)
    }

    /// Two agents that trust each other.
    pub(crate) fn friends(&mut self) -> Result<(Agent, Agent), String> {
        let (mut a, mut b) = (self.agent()?, self.agent()?);
        a.ask_ok(&a.report_trust(b.node))?;
        b.ask_ok(&b.report_trust(a.node))?;
        Ok((a, b))
    }

    /// The target still serves: an agent that took no part is answered on its standing connection, on a new one, and by
    /// the beacon.
    pub(crate) fn control(&mut self) -> Result<(), String> {
        for attempt in 0..2 {
            match self.try_control() {
                Ok(()) => return Ok(()),
                Err(why) if attempt == 1 => return Err(format!("it no longer serves others: {why}")),
                // The case may have restarted it.
                Err(_) => self.control = None,
            }
        }
        Ok(())
    }

    fn try_control(&mut self) -> Result<(), String> {
        if self.control.is_none() {
            self.control = Some(self.agent()?);
        }
        let Some(agent) = &mut self.control else { return Ok(()) };
        let question = json!({ "type": "get_key_info", "node_id": agent.node });
        agent.ask_ok(&question)?;
        let mut link = agent.another_link()?;
        super::agent::expect_ok(&question, link.ask(&question)?)?;
        agent.drain()?;
        // What a flood before it left no room for is said again, as any node does (NAT-5).
        let expected = endpoint(2, agent.address()?);
        for _ in 0..10 {
            agent.tell(&discover(agent.node))?;
            match agent.hear(ANSWER / 10)? {
                Some(answer) if answer == expected => return Ok(()),
                Some(answer) => return Err(format!("the beacon answered {answer:02x?}")),
                None => {}
            }
        }
        Err("the beacon does not answer".into())
    }

    /// After what was sent to the beacon, `agent` must have heard nothing. The beacon answers the control behind it.
    pub(crate) fn silence(&mut self, agent: &Agent) -> Result<(), String> {
        self.control()?;
        match agent.drain()?.first() {
            Some(heard) => Err(format!("the beacon sent {heard:02x?}, must be silent")),
            None => Ok(()),
        }
    }

    /// Looks at a condition until it holds.
    pub(crate) fn until<T>(&self, what: &str, probe: impl FnMut() -> Option<T>) -> Result<T, String> {
        self.session.until(ANSWER, what, probe)
    }
}
