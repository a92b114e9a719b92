//! A peer that does exactly what a case tells it to, right or wrong.

use super::rendezvous::{Record, Rendezvous, TARGET};
use super::trace::{Trace, hex};
use super::wire::{ACK, CONTROL, Frame, Key, Packet, STREAM, SYN, anonymous, exchange};
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::{Duration, Instant};
use x25519_dalek::{PublicKey, StaticSecret};

/// How long an answer may take that a case waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes that differ for each use and are the same in each run.
pub(crate) fn secret(what: &str, node: u32, number: u32) -> [u8; 32] {
    Sha256::digest(format!("pilot-conformance {what} {node} {number}")).into()
}

/// A host of its own for each peer, so that nothing meant for a peer of an earlier case reaches a later one.
pub(crate) fn host(node: u32) -> Ipv4Addr {
    let [_, high, middle, low] = node.to_be_bytes();
    if cfg!(target_os = "linux") { Ipv4Addr::new(127, 1 + high, middle, low) } else { Ipv4Addr::LOCALHOST }
}

/// One key of the tunnel, with what is sent under it.
pub(crate) struct Session {
    pub(crate) key: Rc<Key>,
    pub(crate) own: [u8; 32],
    pub(crate) theirs: [u8; 32],
    pub(crate) prefix: [u8; 4],
    pub(crate) counter: u64,
}

/// Something the target sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A packet that opened, and whether it came by the relay.
    Packet { packet: Packet, relayed: bool },
    /// A sealed frame of no key this peer has.
    Closed,
    /// A key exchange frame; the key it carries, and whether it is signed.
    Exchange { x25519: [u8; 32], signed: bool, relayed: bool },
    /// A plaintext packet.
    Plain(Vec<u8>),
    /// A punch frame.
    Punch,
    /// A beacon message that is not a delivery.
    Beacon(Vec<u8>),
    /// Anything else.
    Unknown(Vec<u8>),
}

impl Heard {
    /// A packet that says something. Keepalives (PKT-8) may come at any time and answer nothing.
    pub(crate) fn packet(&self) -> Option<&Packet> {
        match self {
            Heard::Packet { packet, .. } if !packet.is_keepalive() => Some(packet),
            _ => None,
        }
    }

    /// Such a packet of `protocol`.
    pub(crate) fn is(&self, protocol: u8) -> bool {
        self.packet().is_some_and(|packet| packet.protocol == protocol)
    }
}

/// Which way frames go to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Direct,
    Relay,
}

pub(crate) struct Peer {
    pub(crate) node: u32,
    pub(crate) identity: SigningKey,
    pub(crate) socket: UdpSocket,
    pub(crate) target: SocketAddr,
    pub(crate) beacon: SocketAddr,
    pub(crate) way: Way,
    /// Answers key exchanges by itself; off when a case is about them.
    pub(crate) obliging: bool,
    pub(crate) sessions: Vec<Session>,
    secrets: u32,
    secret: StaticSecret,
    heard: VecDeque<Heard>,
    trace: Trace,
}

impl Peer {
    /// A peer the registry knows.
    pub(crate) fn new(
        node: u32,
        target: SocketAddr,
        rendezvous: &Rendezvous,
        trace: &Trace,
    ) -> Result<Peer, String> {
        let peer = Peer::stranger(node, target, rendezvous, trace)?;
        rendezvous.register(node, peer.record()?);
        Ok(peer)
    }

    /// A peer the registry does not know.
    pub(crate) fn stranger(
        node: u32,
        target: SocketAddr,
        rendezvous: &Rendezvous,
        trace: &Trace,
    ) -> Result<Peer, String> {
        let socket = UdpSocket::bind((host(node), 0)).map_err(|e| format!("peer {node}: {e}"))?;
        Ok(Peer {
            node,
            identity: SigningKey::from_bytes(&secret("identity", node, 0)),
            socket,
            target,
            beacon: rendezvous.beacon(),
            way: Way::Direct,
            obliging: true,
            sessions: Vec::new(),
            secrets: 1,
            secret: StaticSecret::from(secret("x25519", node, 0)),
            heard: VecDeque::new(),
            trace: trace.clone(),
        })
    }

    /// What the registry is to know of it.
    pub(crate) fn record(&self) -> Result<Record, String> {
        Ok(Record {
            key: self.identity.verifying_key().to_bytes(),
            address: self.address()?.to_string(),
            hostname: String::new(),
            public: true,
            relay_only: false,
        })
    }

    pub(crate) fn address(&self) -> Result<SocketAddr, String> {
        self.socket.local_addr().map_err(|e| format!("peer {}: {e}", self.node))
    }

    pub(crate) fn x25519(&self) -> [u8; 32] {
        PublicKey::from(&self.secret).to_bytes()
    }

    /// A new X25519 key for the next exchange.
    pub(crate) fn fresh_key(&mut self) {
        self.secret = StaticSecret::from(secret("x25519", self.node, self.secrets));
        self.secrets += 1;
    }

    /// A new socket, as behind a NAT that changed its mind.
    pub(crate) fn move_socket(&mut self) -> Result<(), String> {
        self.socket = UdpSocket::bind((host(self.node), 0)).map_err(|e| format!("peer: {e}"))?;
        Ok(())
    }

    /// Sends a datagram as it is.
    pub(crate) fn send_raw(&self, to: SocketAddr, bytes: &[u8]) -> Result<(), String> {
        let own = self.address()?;
        self.trace.datagram(own, to, bytes);
        self.socket.send_to(bytes, to).map(drop).map_err(|e| format!("peer {}: {e}", self.node))
    }

    /// Sends a frame the way this peer uses.
    pub(crate) fn send_frame(&self, frame: &[u8]) -> Result<(), String> {
        match self.way {
            Way::Direct => self.send_raw(self.target, frame),
            Way::Relay => {
                let relayed = [&[5][..], &self.node.to_be_bytes(), &TARGET.to_be_bytes(), frame].concat();
                self.send_raw(self.beacon, &relayed)
            }
        }
    }

    /// Registers at the beacon, so that relayed frames reach it.
    pub(crate) fn register_at_beacon(&self) -> Result<(), String> {
        let message = [&[1][..], &self.node.to_be_bytes()].concat();
        self.send_raw(self.beacon, &message)
    }

    /// Its key exchange frame.
    pub(crate) fn exchange_frame(&self) -> Vec<u8> {
        exchange(self.node, &self.x25519(), &self.identity)
    }

    pub(crate) fn anonymous_frame(&self) -> Vec<u8> {
        anonymous(self.node, &self.x25519())
    }

    /// Sends a key exchange frame and waits until there is a key. Like any peer it tries again with a fresh key (TUN-13):
    /// a target may limit how many strangers it looks up in a second.
    pub(crate) fn meet(&mut self) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            self.note("> key exchange");
            self.send_frame(&self.exchange_frame())?;
            let (own, again) = (self.x25519(), Instant::now() + Duration::from_millis(400));
            while self.receive(again.saturating_duration_since(Instant::now()))?.is_some() {
                if self.sessions.iter().any(|session| session.own == own) {
                    return Ok(());
                }
            }
            self.fresh_key();
        }
        Err(format!("no answer to the key exchange of node {}", self.node))
    }

    /// The session in use.
    pub(crate) fn session(&mut self) -> Result<&mut Session, String> {
        let node = self.node;
        self.sessions.last_mut().ok_or(format!("node {node} has no key with the target"))
    }

    /// A packet from this peer to the target.
    pub(crate) fn packet(&self, protocol: u8) -> Packet {
        Packet::new(protocol, self.node, TARGET)
    }

    /// A stream packet from this peer to the target.
    pub(crate) fn segment(&self, source_port: u16, destination_port: u16, flags: u8) -> Packet {
        self.packet(STREAM).ports(source_port, destination_port).flags(flags)
    }

    /// Seals and sends a packet.
    pub(crate) fn send(&mut self, packet: &Packet) -> Result<(), String> {
        self.note(&format!("> {}, key {}", packet.describe(), self.sessions.len().saturating_sub(1)));
        self.send_inner(&packet.encode())
    }

    /// Seals and sends whatever is to be inside.
    pub(crate) fn send_inner(&mut self, inner: &[u8]) -> Result<(), String> {
        let frame = self.seal(inner)?;
        self.send_frame(&frame)
    }

    /// A sealed frame with the next counter.
    pub(crate) fn seal(&mut self, inner: &[u8]) -> Result<Vec<u8>, String> {
        let node = self.node;
        let session = self.session()?;
        session.counter += 1;
        Ok(session.key.seal(node, session.prefix, session.counter, inner))
    }

    /// A sealed frame with this counter.
    pub(crate) fn seal_at(&mut self, counter: u64, inner: &[u8]) -> Result<Vec<u8>, String> {
        let node = self.node;
        let session = self.session()?;
        Ok(session.key.seal(node, session.prefix, counter, inner))
    }

    fn note(&self, line: &str) {
        self.trace.note(format!("node {} {line}", self.node));
    }

    /// Takes the next thing heard, waiting at most `limit`.
    pub(crate) fn receive(&mut self, limit: Duration) -> Result<Option<Heard>, String> {
        let end = Instant::now() + limit;
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Ok(Some(heard));
            }
            let left = end.saturating_duration_since(Instant::now());
            if !self.listen(left)? {
                return Ok(None);
            }
        }
    }

    /// Takes one datagram from the socket; false when there is none within `limit`.
    fn listen(&mut self, limit: Duration) -> Result<bool, String> {
        let fail = |e: std::io::Error| format!("peer: {e}");
        let mut buffer = [0; 65536];
        if limit.is_zero() {
            self.socket.set_nonblocking(true).map_err(fail)?;
        } else {
            self.socket.set_read_timeout(Some(limit.max(Duration::from_millis(1)))).map_err(fail)?;
        }
        let received = self.socket.recv_from(&mut buffer);
        if limit.is_zero() {
            self.socket.set_nonblocking(false).map_err(fail)?;
        }
        let (length, from) = match received {
            Ok(received) => received,
            // A peer that closed its socket answers by ICMP; that is no news here.
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => return Ok(true),
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(e) => return Err(fail(e)),
        };
        let bytes = buffer[..length].to_vec();
        self.trace.datagram(from, self.address()?, &bytes);
        self.take(&bytes, from)?;
        Ok(true)
    }

    fn take(&mut self, bytes: &[u8], from: SocketAddr) -> Result<(), String> {
        if from == self.beacon && bytes.first() == Some(&6) && bytes.len() > 5 {
            return self.take_frame(&bytes[5..], true);
        }
        self.take_frame(bytes, false)
    }

    fn take_frame(&mut self, bytes: &[u8], relayed: bool) -> Result<(), String> {
        let by = if relayed { " (relayed)" } else { "" };
        let heard = match Frame::decode(bytes) {
            Frame::Sealed { sender, nonce, body } => {
                let opened =
                    self.sessions.iter().enumerate().rev().find_map(|(number, session)| {
                        Some((number, session.key.open(sender, &nonce, &body)?))
                    });
                match opened.map(|(number, inner)| (number, Packet::decode(&inner))) {
                    Some((number, Ok(packet))) => {
                        self.note(&format!("< {}{by}, key {number}", packet.describe()));
                        self.answer_ping(&packet, relayed)?;
                        Heard::Packet { packet, relayed }
                    }
                    Some((_, Err(why))) => return Err(format!("the target sealed what is no packet: {why}")),
                    None => {
                        self.note(&format!("< sealed, no key for it{by}"));
                        Heard::Closed
                    }
                }
            }
            Frame::Exchange { sender, x25519, ed25519, signature } => {
                self.note(&format!("< key exchange {}{by}", hex(&x25519, 4)));
                if sender != TARGET {
                    return Err(format!("the target says it is node {sender}"));
                }
                check_signature(sender, &x25519, &ed25519, &signature)?;
                self.agree(x25519, relayed)?;
                Heard::Exchange { x25519, signed: true, relayed }
            }
            Frame::Anonymous { x25519, .. } => {
                self.note(&format!("< anonymous key exchange{by}"));
                self.agree(x25519, relayed)?;
                Heard::Exchange { x25519, signed: false, relayed }
            }
            Frame::Plain(inner) => {
                self.note(&format!("< plaintext {}{by}", hex(&inner, 40)));
                Heard::Plain(inner)
            }
            Frame::Punch => {
                self.note(&format!("< punch{by}"));
                Heard::Punch
            }
            Frame::Beacon(message) => Heard::Beacon(message),
            Frame::Unknown(bytes) => {
                self.note(&format!("< unknown {}{by}", hex(&bytes, 16)));
                Heard::Unknown(bytes)
            }
        };
        self.heard.push_back(heard);
        Ok(())
    }

    /// A peer that does not answer pings looks as if its path were dead (PKT-7, NAT-11). Answers go the way the ping came.
    fn answer_ping(&mut self, ping: &Packet, relayed: bool) -> Result<(), String> {
        let is_ping =
            ping.protocol == CONTROL && !ping.has(ACK) && !ping.is_keepalive() && ping.destination_port == 0;
        if !self.obliging || !is_ping {
            return Ok(());
        }
        let pong = self
            .packet(CONTROL)
            .ports(0, ping.source_port)
            .flags(ACK)
            .numbers(ping.sequence, ping.sequence.wrapping_add(1), 0)
            .payload(ping.payload.clone());
        let way = self.way;
        self.way = if relayed { Way::Relay } else { Way::Direct };
        let sent = self.send(&pong);
        self.way = way;
        sent
    }

    /// Makes the session of the target's key and ours, and answers if the target's is news.
    fn agree(&mut self, theirs: [u8; 32], relayed: bool) -> Result<(), String> {
        let own = self.x25519();
        if self.sessions.iter().any(|session| session.own == own && session.theirs == theirs) {
            return Ok(());
        }
        let key = Rc::new(Key::derive(&self.secret, &theirs));
        let number = self.sessions.len() as u32;
        let prefix = *secret("prefix", self.node, number).first_chunk().unwrap_or(&[0; 4]);
        self.sessions.push(Session { key, own, theirs, prefix, counter: 0 });
        if self.obliging && number > 0 {
            let (frame, way) = (self.exchange_frame(), self.way);
            self.way = if relayed { Way::Relay } else { way };
            self.send_frame(&frame)?;
            self.way = way;
        }
        Ok(())
    }

    /// Waits for a packet that fits; others are dropped.
    pub(crate) fn expect(&mut self, what: &str, fits: impl Fn(&Packet) -> bool) -> Result<Packet, String> {
        self.expect_within(PATIENCE, what, fits)
    }

    pub(crate) fn expect_within(
        &mut self,
        limit: Duration,
        what: &str,
        fits: impl Fn(&Packet) -> bool,
    ) -> Result<Packet, String> {
        let end = Instant::now() + limit;
        let mut others = Vec::new();
        loop {
            match self.receive(end.saturating_duration_since(Instant::now()))? {
                Some(Heard::Packet { packet, .. }) if fits(&packet) => return Ok(packet),
                Some(Heard::Packet { packet, .. }) => others.push(packet.describe()),
                Some(_) => {}
                None => {
                    let instead = match others.last() {
                        Some(last) => format!("; instead {} packets, the last {last}", others.len()),
                        None => String::new(),
                    };
                    return Err(format!("no {what} within {:.1} s{instead}", limit.as_secs_f64()));
                }
            }
        }
    }

    /// Waits for a key exchange frame.
    pub(crate) fn expect_exchange(&mut self, limit: Duration) -> Result<([u8; 32], bool), String> {
        let end = Instant::now() + limit;
        loop {
            match self.receive(end.saturating_duration_since(Instant::now()))? {
                Some(Heard::Exchange { x25519, signed, .. }) => return Ok((x25519, signed)),
                Some(_) => {}
                None => return Err(format!("no key exchange within {:.1} s", limit.as_secs_f64())),
            }
        }
    }

    /// Everything that is here already.
    pub(crate) fn drain(&mut self) -> Result<Vec<Heard>, String> {
        while self.listen(Duration::ZERO)? {}
        Ok(self.heard.drain(..).collect())
    }

    /// Sends a ping and waits for its pong (PKT-7).
    pub(crate) fn ping(&mut self, number: u32) -> Result<Packet, String> {
        let ping = self.packet(CONTROL).ports(9, 0).numbers(number, 0, 0).payload(*b"ping");
        self.send(&ping)?;
        self.expect("pong", move |p| p.protocol == CONTROL && p.has(ACK) && p.sequence == number)
    }

    /// Opens a stream with initial number `isn`.
    pub(crate) fn connect(&mut self, local: u16, remote: u16, isn: u32) -> Result<Conn, String> {
        let mut conn = Conn { local, remote, next: isn, expected: 0, window: 512, peer_isn: 0 };
        // Like any dialer it repeats its SYN: the first may meet a target that has not accepted our key yet.
        let mut answered = Err(String::new());
        for _ in 0..4 {
            self.send(&conn.packet(self, SYN))?;
            answered = self.expect_within(PATIENCE / 4, "SYN ACK", |p| conn.is_for(p) && p.is(SYN | ACK));
            if answered.is_ok() {
                break;
            }
        }
        let answer = answered?;
        if answer.acknowledgment != isn.wrapping_add(1) {
            return Err(format!("SYN ACK acknowledges {}, sent was {isn}", answer.acknowledgment));
        }
        conn.next = isn.wrapping_add(1);
        conn.peer_isn = answer.sequence;
        conn.expected = answer.sequence.wrapping_add(1);
        self.send(&conn.packet(self, ACK))?;
        Ok(conn)
    }

    /// Takes the target's SYN on `local` and answers it.
    pub(crate) fn accept(&mut self, local: u16, isn: u32) -> Result<Conn, String> {
        let mut conn = self.await_syn(local, isn)?;
        self.send(&conn.packet(self, SYN | ACK))?;
        conn.next = isn.wrapping_add(1);
        Ok(conn)
    }

    /// Takes the target's SYN on `local` without an answer.
    pub(crate) fn await_syn(&mut self, local: u16, isn: u32) -> Result<Conn, String> {
        let syn = self.expect("SYN", |p| p.protocol == STREAM && p.is(SYN) && p.destination_port == local)?;
        let expected = syn.sequence.wrapping_add(1);
        Ok(Conn { local, remote: syn.source_port, next: isn, expected, window: 512, peer_isn: syn.sequence })
    }

    /// Reads at least `length` bytes of a stream, acknowledging what comes in order.
    pub(crate) fn read(&mut self, conn: &mut Conn, length: usize) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let what = format!("data ({} of {length} bytes are here)", bytes.len());
            let at = *conn;
            let segment = self.expect(&what, |p| at.is_for(p) && p.has(ACK) && !p.payload.is_empty())?;
            let known = conn.expected.wrapping_sub(segment.sequence) as usize;
            if let Some(news) = segment.payload.get(known..) {
                bytes.extend(news);
                conn.expected = conn.expected.wrapping_add(news.len() as u32);
            }
            self.send(&conn.packet(self, ACK))?;
        }
        Ok(bytes)
    }

    /// Writes bytes in one segment.
    pub(crate) fn write(&mut self, conn: &mut Conn, bytes: &[u8]) -> Result<(), String> {
        let segment = conn.packet(self, ACK).payload(bytes);
        conn.next = conn.next.wrapping_add(bytes.len() as u32);
        self.send(&segment)
    }

    /// Writes to an echo service and reads the same back.
    pub(crate) fn echo(&mut self, conn: &mut Conn, text: &[u8]) -> Result<(), String> {
        self.write(conn, text)?;
        let back = self.read(conn, text.len())?;
        if back == text {
            Ok(())
        } else {
            Err(format!("echo of {:?} is {:?}", hex(text, 40), hex(&back, 40)))
        }
    }
}

fn check_signature(
    node: u32,
    x25519: &[u8; 32],
    ed25519: &[u8; 32],
    signature: &[u8; 64],
) -> Result<(), String> {
    let key =
        ed25519_dalek::VerifyingKey::from_bytes(ed25519).map_err(|_| "the target's Ed25519 key is none")?;
    let signed = [&b"auth"[..], &node.to_be_bytes(), x25519].concat();
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    key.verify_strict(&signed, &signature).map_err(|_| "the target's signature does not match (TUN-5)".into())
}

/// A stream as this peer keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conn {
    pub(crate) local: u16,
    pub(crate) remote: u16,
    /// The next number to send.
    pub(crate) next: u32,
    /// The next number to receive.
    pub(crate) expected: u32,
    pub(crate) window: u16,
    pub(crate) peer_isn: u32,
}

impl Conn {
    pub(crate) fn is_for(&self, packet: &Packet) -> bool {
        packet.protocol == STREAM
            && packet.destination_port == self.local
            && (self.remote == 0 || packet.source_port == self.remote)
    }

    /// A packet of this stream without payload.
    pub(crate) fn packet(&self, peer: &Peer, flags: u8) -> Packet {
        let acknowledgment = if flags & ACK != 0 { self.expected } else { 0 };
        peer.segment(self.local, self.remote, flags).numbers(self.next, acknowledgment, self.window)
    }
}
