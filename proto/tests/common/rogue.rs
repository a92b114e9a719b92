//! A peer that is registered and has a tunnel, and says in it whatever a test wants.

use std::net::SocketAddr;

use pilot_proto::{
    Addr, SockAddr,
    crypto::{Ed25519Seed, Identity, RustCrypto},
    rng::SeededRng,
    tunnel::Tunnel,
    wire::{
        frame::{Frame, KeyAuthenticated, SEALED_HEAD_LEN, TAG_LEN},
        packet::{Flags, HEADER_LEN, Header, Protocol},
    },
};

use super::{MS, Net};

pub(crate) struct Rogue {
    pub(crate) id: u32,
    pub(crate) address: SocketAddr,
    pub(crate) identity: Identity,
    pub(crate) tunnel: Tunnel<RustCrypto>,
    rng: SeededRng,
    met: Option<usize>,
}

impl Rogue {
    pub(crate) fn new(net: &mut Net) -> Self {
        net.record = true;
        let host = net.add_silent();
        let host = &net.hosts[host];
        let identity = Identity::new(host.id, Ed25519Seed::from_bytes(host.seed), &RustCrypto);
        let (tunnel, rng) = (Tunnel::new(), SeededRng::new(u64::from(host.id)));
        Rogue { id: host.id, address: host.address, identity, tunnel, rng, met: None }
    }

    /// Our key exchange, if one is due.
    pub(crate) fn exchange(&mut self, net: &Net) -> Option<Vec<u8>> {
        let x25519 = self.tunnel.poll_exchange(net.now, &RustCrypto, &mut self.rng)?;
        let mut frame = vec![0; 136];
        KeyAuthenticated::sign(&self.identity, x25519, &RustCrypto).emit(&mut frame).unwrap();
        Some(frame)
    }

    pub(crate) fn begin(&mut self, net: &mut Net, victim: usize) {
        self.tunnel.want(net.now);
        let mut frame = self.exchange(net).expect("an exchange");
        net.hosts[victim].node.handle_datagram(net.now, self.address, &mut frame);
    }

    /// Makes a tunnel that both sides have proved.
    pub(crate) fn meet(&mut self, net: &mut Net, victim: usize) {
        self.met = Some(victim);
        self.begin(net, victim);
        net.run_for(MS * 50);
        self.received(net);
        assert!(self.tunnel.is_ready(), "the victim has answered");
        let mut alive = self.header(net, victim, Protocol::Control, 0, 0);
        alive.dst.node = 0;
        self.send(net, victim, &alive, b"");
        net.run_for(MS * 50);
        self.received(net);
    }

    /// A header from us to the victim, without flags.
    pub(crate) fn header(&self, net: &Net, victim: usize, protocol: Protocol, from: u16, to: u16) -> Header {
        let sock = |node, port| SockAddr { addr: Addr { network: 0, node }, port };
        Header::new(protocol, sock(self.id, from), sock(net.hosts[victim].id, to))
    }

    /// Seals a packet and feeds it to the victim at once.
    pub(crate) fn send(&mut self, net: &mut Net, victim: usize, header: &Header, payload: &[u8]) {
        let len = HEADER_LEN + payload.len();
        let mut frame = vec![0; SEALED_HEAD_LEN + len + TAG_LEN];
        let packet = &mut frame[SEALED_HEAD_LEN..SEALED_HEAD_LEN + len];
        packet[HEADER_LEN..].copy_from_slice(payload);
        header.emit(packet).unwrap();
        self.tunnel.seal(net.now, self.id, &mut frame, len, &RustCrypto).unwrap();
        net.hosts[victim].node.handle_datagram(net.now, self.address, &mut frame);
    }

    /// A request for trust, signed, as text.
    pub(crate) fn trust_request(&self, net: &Net, victim: usize, justification: &str) -> String {
        let text = |bytes: &[u8]| pilot_proto::base64::encode(bytes).map(char::from).collect::<String>();
        let signed = format!("handshake:{}:{}", self.id, net.hosts[victim].id);
        format!(
            r#"{{"type":"handshake_request","node_id":{},"public_key":"{}","justification":"{justification}","signature":"{}","reason":"","timestamp":{}}}"#,
            self.id,
            text(self.identity.public()),
            text(&self.identity.sign(&RustCrypto, signed.as_bytes())),
            net.now.as_micros() / 1_000_000,
        )
    }

    /// A SYN to a port of the victim.
    pub(crate) fn syn(&mut self, net: &mut Net, victim: usize, from: u16, to: u16) {
        let mut header = self.header(net, victim, Protocol::Stream, from, to);
        (header.flags, header.seq, header.window) = (Flags::SYN, 1000, 512);
        self.send(net, victim, &header, b"");
    }

    /// What was sent to us since the last call, keepalives left out.
    pub(crate) fn received(&mut self, net: &mut Net) -> Vec<(Header, Vec<u8>)> {
        let mut packets = Vec::new();
        let ours = net.wire.extract_if(.., |(_, to, _)| *to == self.address);
        for (_, _, mut frame) in ours.collect::<Vec<_>>() {
            match Frame::parse(&mut frame) {
                Ok(Frame::KeyAuthenticated(key)) => {
                    self.tunnel.handle_key(net.now, &key.x25519, true, &RustCrypto, &mut self.rng);
                }
                Ok(Frame::Sealed(sealed)) => {
                    let Ok(opened) = self.tunnel.open(net.now, sealed, &RustCrypto) else { continue };
                    let (header, payload) = Header::parse(opened.packet).unwrap();
                    let keepalive = header.protocol == Protocol::Control
                        && header.flags.is_empty()
                        && header.dst_port == 0;
                    if !keepalive {
                        packets.push((header, opened.packet[payload].to_vec()));
                    }
                }
                _ => {}
            }
        }
        while let Some(mut frame) = self.exchange(net) {
            // Whoever asked is who we met last.
            if let Some(victim) = self.met {
                net.hosts[victim].node.handle_datagram(net.now, self.address, &mut frame);
            }
        }
        packets
    }
}
