//! A capture for Wireshark: pcapng with an interface for each host. A datagram is in it twice, leaving its sender and
//! reaching its receiver, each with the addresses of that place; one that never arrives is in it once, and the comment
//! says why if its link lost it. Byte streams are in the trace only.
//!
//! Packets are raw IPv4 (or IPv6) and UDP with right checksums; times are the world's, in microseconds, from the wall
//! clock at which every world begins.

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
};

use pilot_proto::Instant;

use crate::{
    clock::EPOCH_MICROS,
    watch::{Moment, Observer, Seen},
};

/// Link type of packets that begin with an IP header.
const RAW: u16 = 101;
const UDP: u8 = 17;

/// Writes a capture.
pub struct Capture<W> {
    out: W,
    /// Interface of each host, in order of hosts.
    hosts: Vec<u32>,
    interfaces: u32,
}

#[derive(Clone, Copy)]
enum Direction {
    In = 1,
    Out = 2,
}

impl<W: Write + Send> Capture<W> {
    /// Writes to `out`, which should be buffered.
    pub fn new(out: W) -> Self {
        let mut capture = Capture { out, hosts: Vec::new(), interfaces: 0 };
        let mut section = Vec::new();
        section.extend(0x1a2b_3c4d_u32.to_le_bytes());
        section.extend([1, 0, 0, 0]);
        section.extend(u64::MAX.to_le_bytes());
        option(&mut section, 4, concat!("pilot-sim ", env!("CARGO_PKG_VERSION")).as_bytes());
        end_of_options(&mut section);
        capture.block(0x0a0d_0d0a, &section);
        capture
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let total = (12 + body.len() as u32).to_le_bytes();
        // A capture that cannot be written must not change the run.
        let _ = self.out.write_all(&[&kind.to_le_bytes(), &total, body, &total].concat());
    }

    fn interface(&mut self, host: usize, name: &str, ip: IpAddr) {
        let mut body = Vec::new();
        body.extend(RAW.to_le_bytes());
        body.extend([0; 6]);
        option(&mut body, 2, name.as_bytes());
        option(&mut body, 3, format!("host {host}, {ip}").as_bytes());
        option(&mut body, 9, &[6]);
        end_of_options(&mut body);
        self.block(1, &body);
        if self.hosts.len() <= host {
            self.hosts.resize(host + 1, 0);
        }
        self.hosts[host] = self.interfaces;
        self.interfaces += 1;
    }

    fn packet(&mut self, moment: Moment, direction: Direction, packet: &[u8], comment: Option<&str>) {
        let Some(interface) = self.hosts.get(moment.host.0).copied() else { return };
        let at = micros(moment.at);
        let mut body = Vec::with_capacity(packet.len() + 64);
        body.extend(interface.to_le_bytes());
        body.extend(((at >> 32) as u32).to_le_bytes());
        body.extend((at as u32).to_le_bytes());
        body.extend((packet.len() as u32).to_le_bytes());
        body.extend((packet.len() as u32).to_le_bytes());
        body.extend(packet);
        pad(&mut body);
        if let Some(comment) = comment {
            option(&mut body, 1, comment.as_bytes());
        }
        option(&mut body, 2, &(direction as u32).to_le_bytes());
        end_of_options(&mut body);
        self.block(6, &body);
    }
}

impl<W: Write + Send> Observer for Capture<W> {
    fn see(&mut self, moment: Moment, seen: &Seen<'_>) {
        match seen {
            Seen::Host { name, ip, .. } => self.interface(moment.host.0, name, *ip),
            Seen::Sent { from, to, data, lost, .. } => {
                let comment = lost.map(|why| format!("lost: {}", why.words()));
                self.packet(moment, Direction::Out, &udp(*from, *to, data), comment.as_deref());
            }
            Seen::Received { from, to, data } => {
                self.packet(moment, Direction::In, &udp(*from, *to, data), None);
            }
            _ => {}
        }
    }
}

fn micros(at: Instant) -> u64 {
    EPOCH_MICROS as u64 + at.as_micros()
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    pad(body);
}

fn end_of_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

/// A datagram with the headers in front of it (RFC 768, 791, 8200).
fn udp(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Vec<u8> {
    let length = (8 + data.len()) as u16;
    let mut datagram = Vec::with_capacity(length.into());
    for field in [from.port(), to.port(), length, 0] {
        datagram.extend(field.to_be_bytes());
    }
    datagram.extend(data);
    let (mut packet, addresses) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let addresses = [from.octets(), to.octets()].concat();
            let mut head = vec![0x45, 0];
            head.extend((20 + length).to_be_bytes());
            head.extend([0, 0, 0x40, 0, 64, UDP, 0, 0]);
            head.extend(&addresses);
            let sum = checksum(&[&head]);
            head[10..12].copy_from_slice(&sum.to_be_bytes());
            (head, addresses)
        }
        (from, to) => {
            let wide = |ip| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            let addresses = [wide(from), wide(to)].concat();
            let mut head = vec![0x60, 0, 0, 0];
            head.extend(length.to_be_bytes());
            head.extend([UDP, 64]);
            head.extend(&addresses);
            (head, addresses)
        }
    };
    let pseudo = [0, UDP, (length >> 8) as u8, length as u8];
    let sum = checksum(&[&addresses, &pseudo, &datagram]);
    // Zero says that there is none.
    let sum = if sum == 0 { u16::MAX } else { sum };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    packet.extend(datagram);
    packet
}

/// RFC 1071, over parts of even length but the last.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0;
    for part in parts {
        let (pairs, rest) = part.as_chunks::<2>();
        sum += pairs.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum::<u32>();
        sum += rest.first().map_or(0, |last| u32::from(*last) << 8);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::HostId;

    #[test]
    fn checksums_are_those_of_the_rfcs() {
        // The example of RFC 1071, section 3.
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03], &[0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        let packet = udp("10.0.0.1:4000".parse().unwrap(), "20.0.0.2:9001".parse().unwrap(), b"odd");
        assert_eq!(checksum(&[&packet[..20]]), 0);
        assert_eq!(checksum(&[&packet[12..20], &[0, UDP, 0, 11], &packet[20..]]), 0);
        assert_eq!(packet.len(), 31);
    }

    #[test]
    fn blocks_have_whole_words_and_their_length_at_both_ends() {
        let mut out = Vec::new();
        let mut capture = Capture::new(&mut out);
        let moment = Moment { at: Instant::from_micros(5), hash: 0, host: HostId(0) };
        let ip = "10.0.0.1".parse().unwrap();
        capture.see(moment, &Seen::Host { name: "agent 1", ip, port: 4000, public_ip: ip });
        let (from, to) = ("10.0.0.1:4000".parse().unwrap(), "20.0.0.1:9001".parse().unwrap());
        let lost = Some(crate::Loss::QueueFull);
        capture.see(moment, &Seen::Sent { from, to, target: None, data: b"hello", queued: 0, lost });
        drop(capture);
        let mut kinds = Vec::new();
        let mut left = out.as_slice();
        while let Some((head, _)) = left.split_at_checked(8) {
            let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
            let (block, rest) = left.split_at(word(4) as usize);
            assert_eq!((block.len() % 4, &block[4..8]), (0, &block[block.len() - 4..]));
            kinds.push(word(0));
            left = rest;
        }
        assert_eq!((kinds, left.len()), (vec![0x0a0d_0d0a, 1, 6], 0));
    }
}
