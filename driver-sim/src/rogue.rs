//! A node that breaks rules on purpose: our own daemon, registered and with real keys, whose packets are changed on their
//! way into the cipher ([`crate::seam`]), and beside whose datagrams others are sent that no honest node sends. Each
//! wrong is a switch of [`Rogue`].

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use pilot_proto::{
    Addr, Instant, SockAddr, Transmit,
    crypto::{Aead, AeadKey, Crypto, Ed25519Seed, X25519Secret},
    rng::Rng,
    time::Duration,
    tunnel::KEY_INFO,
    wire::{
        beacon::{Beacon, RELAY_HEAD_LEN},
        frame::{KeyAuthenticated, Nonce, SEALED_HEAD_LEN, Suite, TAG_LEN, sealed_head},
        packet::{Flags, HEADER_LEN, Header, Protocol},
        sack::{Block, Sack},
    },
};
use pilot_roles::{
    ConnId, Input, Now, Output, Role,
    role::{Dial, Fill, Wait, Watcher},
};
use serde::{Deserialize, Serialize};

use crate::{
    dice::Dice,
    seam::{Filter, Seam, Shared, lock, rewrite, spoil},
    talk::datagram,
    workload::PORT,
};

/// How long it keeps it up: afterwards the others must come to rest.
const SPREE: Duration = Duration::from_secs(120);
/// How often something extra follows a datagram, in parts per million.
const EXTRA_PPM: u32 = 100_000;
/// How often a packet is changed.
const CHANGE_PPM: u32 = 30_000;
/// Datagrams remembered, to be sent again.
const RECORDED: usize = 64;
/// SYNs of one flood.
const FLOOD: u16 = 40;
/// Connections to the registry that carry nonsense.
const NONSENSE: u64 = 12;

macro_rules! switches {
    ($($(#[$doc:meta])* $name:ident $bearable:literal,)*) => {
        /// What a misbehaving node does. Off is honest.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Rogue {
            $($(#[$doc])* pub $name: bool,)*
        }

        impl Rogue {
            /// Everything at once.
            pub const ALL: Rogue = Rogue { $($name: true,)* };

            pub(crate) fn draw(dice: &mut Dice) -> Self {
                // Half of them do what others can bear, so that they still have work in common.
                let mild = dice.chance(500_000);
                Rogue { $($name: dice.chance(400_000) && ($bearable || !mild),)* }
            }

            /// Whether its own streams still work with all of this.
            pub const fn is_bearable(self) -> bool {
                $((!self.$name || $bearable) &&)* true
            }
        }
    };
}

switches! {
    /// Key exchanges in the name of other nodes, and data under the keys that come of them.
    forged_keys true,
    /// Its own frames again.
    replays true,
    /// Packets in its tunnel that name another node as their source.
    spoofed_source true,
    /// Packets with a wrong checksum.
    wrong_checksums true,
    /// Acknowledgments of bytes that were never sent.
    ack_beyond_sent true,
    /// Reports of bytes that were never sent.
    sack_lies true,
    /// Data far outside the window.
    outside_window true,
    /// Frames and beacon messages that are too short, too long, or noise.
    odd_sizes true,
    /// Registrations at the beacon under other nodes' ids.
    beacon_takeover true,
    /// Connections to the registry with noise, giant lines, and bytes that come one by one.
    registry_nonsense true,
    /// Requests for streams to every port.
    syn_flood false,
    /// A FIN|ACK for every packet of a stream.
    fin_loops false,
    /// A window that never opens.
    zero_window false,
}

/// What it does at the seam, and what it learns there.
#[derive(Debug)]
pub(crate) struct Hand {
    rogue: Rogue,
    dice: Dice,
    /// Until when.
    active: bool,
    /// The last packet of a stream that left, and its key.
    last: Option<(Header, [u8; 32])>,
}

impl Filter for Hand {
    fn leaving(&mut self, packet: &mut [u8], key: &AeadKey) {
        let Ok((mut header, payload)) = Header::parse(packet) else { return };
        self.last = Some((header, *key.expose()));
        if !self.active || header.protocol != Protocol::Stream {
            return;
        }
        let Rogue { wrong_checksums, ack_beyond_sent, zero_window, .. } = self.rogue;
        if zero_window {
            header.window = 0;
        }
        if ack_beyond_sent && header.flags == Flags::ACK && self.dice.chance(CHANGE_PPM) {
            header.ack = header.ack.wrapping_add(self.dice.between(5_000, 1 << 20) as u32);
        }
        rewrite(packet, &header, payload.end);
        if wrong_checksums && self.dice.chance(CHANGE_PPM) {
            if let Some(byte) = packet.get_mut(payload.start) {
                *byte ^= 1;
            }
            spoil(packet);
        }
    }

    fn entering(&mut self, _: &mut [u8]) {}
}

/// The role of a misbehaving node.
pub(crate) struct RogueRole<C> {
    inner: Box<dyn Role>,
    rogue: Rogue,
    crypto: C,
    hand: Shared<Hand>,
    dice: Dice,
    born: Option<Instant>,
    host: usize,
    seed: [u8; 32],
    secret: X25519Secret,
    /// Nonces of its own frames have a prefix of their own.
    counter: u64,
    numbers: u64,
    recorded: VecDeque<(SocketAddr, Vec<u8>)>,
    extra: VecDeque<(SocketAddr, Vec<u8>)>,
    outputs: VecDeque<Output>,
    /// Connections to the registry so far, and the one that is open.
    lines: u64,
    line: Option<ConnId>,
    /// In whose name a key exchange was sent last.
    claimed: Option<u32>,
}

/// Makes the role that `make` makes with a provider in rogue hands.
pub(crate) fn corrupt<C: Crypto + Clone + 'static>(
    rogue: Rogue,
    host: usize,
    seed: [u8; 32],
    mut dice: Dice,
    crypto: C,
    make: impl FnOnce(Seam<C, Hand>) -> Box<dyn Role>,
) -> Box<dyn Role> {
    let hand = Hand { rogue, dice: dice.clone(), active: true, last: None };
    let hand = Arc::new(Mutex::new(hand));
    let inner = make(Seam { inner: crypto.clone(), filter: hand.clone() });
    let secret = X25519Secret::random(&mut dice);
    Box::new(RogueRole {
        inner,
        rogue,
        crypto,
        hand,
        dice,
        born: None,
        host,
        seed,
        secret,
        counter: 0,
        numbers: 1 << 60,
        recorded: VecDeque::new(),
        extra: VecDeque::new(),
        outputs: VecDeque::new(),
        lines: 0,
        line: None,
        claimed: None,
    })
}

impl<C: Crypto> RogueRole<C> {
    fn is_active(&self, now: Instant) -> bool {
        self.born.is_none_or(|born| now.since(born) < SPREE)
    }

    /// A sealed frame with a packet under a key of the tunnel.
    fn seal(&mut self, sender: u32, key: &[u8; 32], header: &Header, payload: &[u8]) -> Vec<u8> {
        self.counter += 1;
        let len = HEADER_LEN + payload.len();
        let mut frame = vec![0; SEALED_HEAD_LEN + len + TAG_LEN];
        let nonce = Nonce { prefix: *b"rogu", counter: self.counter };
        let (head, rest) = frame.split_at_mut(SEALED_HEAD_LEN);
        let (packet, tag) = rest.split_at_mut(len);
        packet[HEADER_LEN..].copy_from_slice(payload);
        let _ = header.emit(packet);
        head.copy_from_slice(&sealed_head(Suite::Aes256Gcm, sender, nonce));
        let aead = self.crypto.aead(&AeadKey::from_bytes(*key));
        if let Ok(sealed) = aead.seal_in_place(&nonce.to_bytes(), &sender.to_be_bytes(), packet) {
            tag.copy_from_slice(&sealed);
        }
        frame
    }

    /// A datagram of ours, which says whose it is, in the name of `from`.
    fn letter(&mut self, from: u32, to: u32) -> (Header, Vec<u8>) {
        self.numbers += 1;
        let sock = |node, port| SockAddr { addr: Addr::backbone(node), port };
        let header = Header::new(Protocol::Datagram, sock(from, 50_000), sock(to, PORT));
        (header, datagram(self.host, self.numbers))
    }

    /// Another node than `but`.
    fn anybody(&mut self, but: u32) -> u32 {
        match self.dice.between(1, 6) as u32 {
            node if node == but => node + 1,
            node => node,
        }
    }

    /// What goes with a datagram to `to`.
    fn add(&mut self, to: SocketAddr, data: &[u8]) {
        let Some((last, key)) = lock(&self.hand).last else { return };
        let (own, peer) = (last.src.node, last.dst.node);
        let rogue = self.rogue;
        let relayed = matches!(Beacon::parse(data), Some(Beacon::Relay { .. }));
        let to_beacon = Beacon::parse(data).is_some();
        let wrap = |frame: Vec<u8>| if relayed { [&data[..RELAY_HEAD_LEN], &frame].concat() } else { frame };
        let mut frames = Vec::new();
        match self.dice.below(10) {
            0 if rogue.replays => {
                let at = self.dice.below(self.recorded.len() as u64) as usize;
                self.extra.extend(self.recorded.get(at).cloned());
            }
            1 if rogue.forged_keys => {
                let claimed = self.anybody(own);
                let seed = Ed25519Seed::from_bytes(self.seed);
                let x25519 = self.crypto.x25519_public(&self.secret);
                let mut key = KeyAuthenticated {
                    sender: claimed,
                    x25519,
                    ed25519: self.crypto.ed25519_public(&seed),
                    signature: [0; 64],
                };
                if self.dice.chance(500_000) {
                    key.signature = self.crypto.ed25519_sign(&seed, &key.signed_message());
                }
                let mut frame = vec![0; 136];
                let _ = key.emit(&mut frame);
                self.claimed = Some(claimed);
                frames.push(frame);
            }
            2 if rogue.spoofed_source => {
                let other = self.anybody(own);
                for from in [own, other] {
                    let (header, payload) = self.letter(from, peer);
                    frames.push(self.seal(own, &key, &header, &payload));
                }
            }
            3 if rogue.sack_lies && last.protocol == Protocol::Stream => {
                let beyond = last.ack.wrapping_add(1 << 22);
                let mut report = [0; 64];
                let lie = Sack::new([Block { left: beyond, right: beyond.wrapping_add(5000) }]);
                let len = lie.emit(&mut report).unwrap_or(0);
                // Believed or not, it is not to be taken for data.
                let header = Header { flags: Flags::ACK, seq: last.seq.wrapping_sub(1 << 20), ..last };
                frames.push(self.seal(own, &key, &header, &report[..len]));
            }
            4 if rogue.outside_window && last.protocol == Protocol::Stream => {
                let seq = last.seq.wrapping_add(self.dice.between(1 << 25, 1 << 31) as u32);
                let header = Header { flags: Flags::ACK, seq, ..last };
                frames.push(self.seal(own, &key, &header, &[7; 500]));
            }
            5 if rogue.odd_sizes => {
                let len = self.dice.pick(&[1, 3, 5, 19, 35, 64, 1400, 60_000]);
                let mut noise = vec![0; len];
                self.dice.fill(&mut noise);
                let kept = self.dice.between(0, 4.min(len as u64)) as usize;
                noise[..kept].copy_from_slice(&data[..kept.min(data.len())]);
                self.extra.push_back((to, noise));
                self.extra
                    .push_back((to, data[..data.len().min(self.dice.between(4, 60) as usize)].to_vec()));
            }
            6 if rogue.beacon_takeover && to_beacon => {
                let mut message = vec![0; 5];
                let _ = Beacon::Discover { node: self.anybody(own) }.emit(&mut message);
                self.extra.push_back((to, message));
            }
            7 if rogue.registry_nonsense && self.line.is_none() && self.lines < NONSENSE => {
                self.lines += 1;
                let conn = ConnId::Dialed(u64::MAX - self.lines);
                self.line = Some(conn);
                self.outputs.push_back(Output::Connect { conn, to: Dial::Registry });
            }
            8 if rogue.syn_flood => {
                let first = self.dice.between(1, 60_000) as u16;
                for port in 0..FLOOD {
                    let (mut header, _) = self.letter(own, peer);
                    (header.protocol, header.flags, header.window) = (Protocol::Stream, Flags::SYN, 512);
                    (header.src_port, header.dst_port) =
                        (50_000 + port, [PORT, first + port][usize::from(port % 2)]);
                    frames.push(self.seal(own, &key, &header, b""));
                }
            }
            9 if rogue.fin_loops && last.protocol == Protocol::Stream => {
                for _ in 0..5 {
                    frames.push(self.seal(own, &key, &Header { flags: Flags::FIN_ACK, ..last }, b""));
                }
            }
            _ => {}
        }
        self.extra.extend(frames.into_iter().map(|frame| (to, wrap(frame))));
    }

    /// The victim of a forged key exchange answers with its own key: now there would be a tunnel.
    fn heard(&mut self, from: SocketAddr, data: &[u8]) {
        let Some(claimed) = self.claimed.filter(|_| data.len() == 136 && data.starts_with(b"PILA")) else {
            return;
        };
        let victim = u32::from_be_bytes([data[4], data[5], data[6], data[7]]);
        let Some(theirs) = data[8..].first_chunk::<32>() else { return };
        let Ok(shared) = self.crypto.x25519(&self.secret, theirs) else { return };
        let key = *self.crypto.hkdf_sha256(&shared, KEY_INFO).expose();
        let (header, payload) = self.letter(claimed, victim);
        let frame = self.seal(claimed, &key, &header, &payload);
        self.extra.push_back((from, frame));
    }

    /// What is said on a connection to the registry.
    fn nonsense(&mut self, conn: ConnId) {
        let mut say = |data: Vec<u8>| self.outputs.push_back(Output::Send { conn, data });
        match self.lines % 4 {
            0 => say(b"GET / HTTP/1.1\r\n\r\n".to_vec()),
            1 => say([&u32::MAX.to_be_bytes()[..], b"{}"].concat()),
            2 => {
                say(60_000_u32.to_be_bytes().to_vec());
                (0..200).for_each(|_| say(vec![b'{']));
            }
            _ => say([&9_u32.to_be_bytes()[..], br#"{"type":1"#].concat()),
        }
    }
}

impl<C: Crypto> Role for RogueRole<C> {
    fn handle_datagram(&mut self, now: Now, from: SocketAddr, data: &mut [u8]) {
        if self.is_active(now.instant) {
            self.heard(from, data);
        }
        self.inner.handle_datagram(now, from, data);
    }

    fn handle_input(&mut self, now: Now, input: Input<'_>) {
        if self.born.is_none() {
            self.born = Some(now.instant);
            // Numbers of an earlier life must not come again.
            self.numbers |= (now.unix_micros as u64) << 8 & ((1 << 60) - 1);
        }
        let mine = |conn: &ConnId| matches!(conn, ConnId::Dialed(n) if *n > u64::MAX - 1 - NONSENSE);
        match input {
            Input::Opened { conn, .. } if mine(&conn) => self.nonsense(conn),
            Input::Closed { conn, .. } if mine(&conn) => self.line = None,
            Input::Bytes { conn, .. } | Input::Sent { conn, .. } if mine(&conn) => {}
            input => self.inner.handle_input(now, input),
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        self.inner.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Now, buf: &mut [u8]) -> Option<Transmit> {
        let active = self.is_active(now.instant);
        lock(&self.hand).active = active;
        let Some(transmit) = self.inner.poll_transmit(now, buf) else {
            let (to, data) = self.extra.pop_front()?;
            buf[..data.len()].copy_from_slice(&data);
            return Some(Transmit { to, len: data.len(), segment_size: None, may_fragment: false });
        };
        if active {
            let size = transmit.segment_size.unwrap_or(transmit.len);
            let data = buf[..size].to_vec();
            if self.dice.chance(EXTRA_PPM) {
                self.add(transmit.to, &data);
            }
            self.recorded.push_back((transmit.to, data));
            if self.recorded.len() > RECORDED {
                self.recorded.pop_front();
            }
        }
        Some(transmit)
    }

    fn poll_output(&mut self, now: Now) -> Option<Output> {
        self.outputs.pop_front().or_else(|| self.inner.poll_output(now))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.inner.poll_timeout()
    }

    fn observe(&mut self, watcher: &mut dyn Watcher) {
        self.inner.observe(watcher);
    }

    fn waits(&mut self) -> Vec<Wait> {
        self.inner.waits()
    }

    fn fills(&self) -> Vec<Fill> {
        Vec::new()
    }
}
