//! The bench: one daemon under test, the rendezvous around it, and the peer that proves it still serves others.

use super::case::Setup;
use super::client::Client;
use super::peer::{Conn, PATIENCE, Peer};
use super::rendezvous::{Rendezvous, TARGET};
use super::target::Target;
use super::trace::Trace;
use super::trusting::befriend;
use super::wire::{DATAGRAM, Packet, STREAM};
use crate::process::Session;
use std::path::PathBuf;
use std::time::Duration;

/// The port that local programs of the bench take datagrams on.
pub(crate) const DATAGRAMS: u16 = 4242;
/// Where echoes come from.
pub(crate) const ECHO: u16 = 7;

/// A peer with a standing stream to the echo service.
struct Control {
    peer: Peer,
    stream: Conn,
    said: u32,
}

pub(crate) struct Bench<'s> {
    pub(crate) session: &'s Session,
    pub(crate) trace: Trace,
    pub(crate) rendezvous: Rendezvous,
    pub(crate) target: Target,
    pub(crate) setup: Setup,
    control: Option<Control>,
    next_node: u32,
}

impl<'s> Bench<'s> {
    /// Starts the target and waits until it has registered and answers on its local socket.
    pub(crate) fn start(
        session: &'s Session,
        trace: &Trace,
        template: &str,
        setup: Setup,
        home: PathBuf,
        first_node: u32,
    ) -> Result<Bench<'s>, String> {
        // What an earlier run left behind would be trusted by this one.
        if home.exists() {
            std::fs::remove_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))?;
        }
        let rendezvous = Rendezvous::start(trace)?;
        let target = Target::new(template, &rendezvous, home, setup == Setup::Public)?;
        let mut bench = Bench {
            session,
            trace: trace.clone(),
            rendezvous,
            target,
            setup,
            control: None,
            next_node: first_node,
        };
        bench.start_target()?;
        Ok(bench)
    }

    /// Starts the target (again).
    pub(crate) fn start_target(&mut self) -> Result<(), String> {
        let since = self.rendezvous.mark();
        self.target.start(self.session)?;
        self.registered(since)
    }

    /// Waits until the target has registered, asked after `since`.
    pub(crate) fn registered(&mut self, since: usize) -> Result<(), String> {
        self.rendezvous.asked(since, Duration::from_secs(20), "to register", |q| q["type"] == "register")?;
        if self.setup == Setup::Public {
            self.rendezvous.change(TARGET, |record| record.public = true);
        }
        Ok(())
    }

    /// Ends the target as a crash would, and starts it again.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        self.kill();
        self.start_target()?;
        self.seen()
    }

    /// Ends the target as a crash would.
    pub(crate) fn kill(&mut self) {
        self.control = None;
        self.target.kill();
        self.rendezvous.forget_seen(TARGET);
    }

    /// Waits until the beacon knows where the target is.
    pub(crate) fn seen(&self) -> Result<(), String> {
        self.until(PATIENCE, "the beacon sees the target", || self.rendezvous.seen(TARGET)).map(drop)
    }

    /// The number for the next peer.
    pub(crate) fn node(&mut self) -> u32 {
        self.next_node += 1;
        self.next_node
    }

    /// A number that no other case was given.
    pub(crate) fn next_node(&self) -> u32 {
        self.next_node
    }

    /// A peer known to the registry, without a key yet. On a private target it is a trusted one.
    pub(crate) fn peer(&mut self) -> Result<Peer, String> {
        let node = self.node();
        let peer = Peer::new(node, self.target.address(&self.rendezvous)?, &self.rendezvous, &self.trace)?;
        if self.setup == Setup::Private {
            self.rendezvous.trust(TARGET, node);
        }
        Ok(peer)
    }

    /// A peer known to the registry that nobody trusts.
    pub(crate) fn untrusted(&mut self) -> Result<Peer, String> {
        let node = self.node();
        Peer::new(node, self.target.address(&self.rendezvous)?, &self.rendezvous, &self.trace)
    }

    /// A peer the registry does not know.
    pub(crate) fn stranger(&mut self) -> Result<Peer, String> {
        let node = self.node();
        Peer::stranger(node, self.target.address(&self.rendezvous)?, &self.rendezvous, &self.trace)
    }

    /// A peer that has a key with the target.
    pub(crate) fn friend(&mut self) -> Result<Peer, String> {
        let mut peer = self.peer()?;
        peer.meet()?;
        Ok(peer)
    }

    /// A local program of the target.
    pub(crate) fn client(&self) -> Result<Client, String> {
        Client::connect(&self.target.socket, &self.trace)
    }

    /// A local program that takes datagrams.
    pub(crate) fn datagram_client(&mut self) -> Result<Client, String> {
        let mut client = self.client()?;
        client.bind(DATAGRAMS)?;
        Ok(client)
    }

    /// The target still serves: a peer that took no part gets an echo. When this returns, what the target had to say at
    /// once to anything sent before has been sent.
    pub(crate) fn control(&mut self) -> Result<(), String> {
        for attempt in 0..2 {
            let served = self.try_control();
            match served {
                Ok(()) => return Ok(()),
                Err(why) if attempt == 1 => return Err(format!("it no longer serves others: {why}")),
                Err(_) => self.control = None,
            }
        }
        Ok(())
    }

    /// The peer that took no part gets its echo on the stream that it has.
    pub(crate) fn control_standing(&mut self) -> Result<(), String> {
        let Some(control) = &mut self.control else { return Err("there is no standing stream".into()) };
        control.said += 1;
        let text = format!("still standing? {}", control.said);
        control.peer.echo(&mut control.stream, text.as_bytes())
    }

    fn try_control(&mut self) -> Result<(), String> {
        if self.control.is_none() {
            let mut peer = self.friend()?;
            if self.setup == Setup::Private {
                // The registry's word opens the gate; a node's own services may want more.
                befriend(self, &mut peer)?;
            }
            let stream = peer.connect(50_000, ECHO, 1_000_000)?;
            self.control = Some(Control { peer, stream, said: 0 });
        }
        let Some(control) = &mut self.control else { return Ok(()) };
        // Twice: an answer to the case may leave in the same turn as the first.
        for _ in 0..2 {
            control.said += 1;
            let text = format!("still there? {}", control.said);
            control.peer.echo(&mut control.stream, text.as_bytes())?;
        }
        Ok(())
    }

    /// After what `peer` sent, the target must have said nothing that `counts`.
    pub(crate) fn silence(
        &mut self,
        peer: &mut Peer,
        counts: impl Fn(&super::peer::Heard) -> bool,
    ) -> Result<(), String> {
        self.control()?;
        match peer.drain()?.into_iter().find(counts) {
            Some(heard) => Err(format!("answered with {heard:?}, must be silent")),
            None => Ok(()),
        }
    }

    /// After what `peer` sent, no packet of the stream may have come.
    pub(crate) fn no_packet(&mut self, peer: &mut Peer, conn: &Conn) -> Result<(), String> {
        let conn = *conn;
        self.silence(peer, move |heard| heard.packet().is_some_and(|packet| conn.is_for(packet)))
    }

    /// A datagram of `peer` to the bench's datagram port.
    pub(crate) fn datagram(peer: &Peer, payload: &[u8]) -> Packet {
        peer.packet(DATAGRAM).ports(700, DATAGRAMS).payload(payload)
    }

    /// Which of `sealed` frames are delivered, each around a datagram with its number; then a last one is sent that must be.
    pub(crate) fn delivered(
        &mut self,
        peer: &mut Peer,
        frames: &[Vec<u8>],
        client: &mut Client,
    ) -> Result<Vec<usize>, String> {
        for frame in frames {
            peer.send_frame(frame)?;
        }
        let mark = format!("mark {}", self.node());
        let mut other = self.friend()?;
        other.send(&Bench::datagram(&other, mark.as_bytes()))?;
        client.datagram(PATIENCE, |payload| payload == mark.as_bytes())?;
        let arrived = client.datagrams()?;
        let number = |payload: &[u8]| std::str::from_utf8(payload).ok()?.strip_prefix("frame ")?.parse().ok();
        Ok(arrived.iter().filter_map(|payload| number(payload)).collect())
    }

    /// A listening local program and a peer's established stream to it: (client, its connection, peer, stream).
    pub(crate) fn pair(&mut self, isn: u32) -> Result<(Client, u32, Peer, Conn), String> {
        let mut client = self.client()?;
        let port = 6000 + (self.node() % 2000) as u16;
        client.bind(port)?;
        let mut peer = self.friend()?;
        let stream = peer.connect(40_000, port, isn)?;
        let connection = client.accepted(port)?;
        Ok((client, connection, peer, stream))
    }

    /// A stream the target dialled: (client, its connection, peer, stream).
    pub(crate) fn dialled(&mut self, isn: u32) -> Result<(Client, u32, Peer, Conn), String> {
        let mut client = self.client()?;
        let mut peer = self.friend()?;
        client.dial(peer.node, 80)?;
        let stream = peer.accept(80, isn)?;
        let connection = client.dialled(PATIENCE)?;
        Ok((client, connection, peer, stream))
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) -> Result<(), String> {
        self.session.pass(time)
    }

    /// Looks at a condition until it holds.
    pub(crate) fn until<T>(
        &self,
        limit: Duration,
        what: &str,
        probe: impl FnMut() -> Option<T>,
    ) -> Result<T, String> {
        self.session.until(limit, what, probe)
    }
}

/// Whether something heard is a packet of the stream protocol.
pub(crate) fn is_stream(heard: &super::peer::Heard) -> bool {
    heard.is(STREAM)
}
