//! A peer that looks like the first implementation on the wire: our own node behind filters, one for each habit that can
//! be seen from outside. The facts are those of the first implementation's April release (`spec/differences.md`).
//!
//! Modelled: streams start at 0 and the third packet of a handshake carries 0; windows of at most 512; no duplicate
//! acknowledgment behind a report; copies cut differently are dropped; a key exchange that repeats the last one is
//! never answered; no extension is offered or taken. Not modelled, because they are decisions and not wire: its congestion control and fixed repetition
//! times, one key for its whole life, its FIN|ACK loops, and window 0 taken for unlimited.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use pilot_proto::{
    Instant, Transmit,
    crypto::{AeadKey, Crypto, PublicKey},
    wire::{
        beacon::DELIVER_HEAD_LEN,
        frame::{Datagram, Frame},
        packet::{Flags, HEADER_LEN, Header, Protocol},
        sack::{Block, Sack},
    },
};
use pilot_roles::{
    Input, Now, Output, Role,
    role::{Fill, Wait, Watcher},
};
use serde::{Deserialize, Serialize};

use crate::{
    dice::Dice,
    seam::{Filter, Seam, Shared, rewrite, spoil},
};

/// Connections remembered; then the memory starts anew.
const MAX_CONNECTIONS: usize = 4096;

/// Habits of the first implementation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// Streams start at sequence number 0.
    pub isn_zero: bool,
    /// It never shows a window above 512 segments.
    pub small_window: bool,
    /// An acknowledgment that says nothing new is not sent once a report said what is missing.
    pub no_duplicate_acks: bool,
    /// A copy whose boundaries are not those of the original is dropped.
    pub whole_copies_only: bool,
    /// A key exchange that repeats the last one of the peer is not answered.
    pub repeated_key_ignored: bool,
}

impl Quirks {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let mut on = || dice.chance(700_000);
        Quirks {
            isn_zero: on(),
            small_window: on(),
            no_duplicate_acks: on(),
            whole_copies_only: on(),
            repeated_key_ignored: on(),
        }
    }
}

/// A stream as our node sees it: own port, the peer's node and port.
type StreamKey = (u16, u32, u16);

#[derive(Debug, Default)]
struct Seen {
    /// Our initial number, which the peer sees as 0.
    isn: u32,
    /// The peer's next byte, as last acknowledged.
    next: Option<u32>,
    /// The third packet of the handshake was sent.
    proved: bool,
    dialled: bool,
    /// What was acknowledged last, and whether a report went with it.
    last_ack: Option<(u32, bool)>,
}

/// The filter of one node.
#[derive(Debug)]
pub(crate) struct Habits {
    quirks: Quirks,
    streams: BTreeMap<StreamKey, Seen>,
}

impl Habits {
    fn shift_report(payload: &mut [u8], by: u32) {
        if let Some(sack) = Sack::parse_loose(payload) {
            let blocks = sack.blocks().iter().map(|block| Block {
                left: block.left.wrapping_add(by),
                right: block.right.wrapping_add(by),
            });
            let shifted = Sack::new_long(blocks, payload.len());
            if shifted.encoded_len() <= payload.len() {
                let _ = shifted.emit(payload);
            }
        }
    }
}

impl Filter for Habits {
    fn leaving(&mut self, packet: &mut [u8], _: &AeadKey) {
        let Ok((mut header, payload)) = Header::parse(packet) else { return };
        if header.protocol != Protocol::Stream {
            return;
        }
        let key = (header.src_port, header.dst.node, header.dst_port);
        if self.streams.len() >= MAX_CONNECTIONS {
            self.streams.clear();
        }
        let quirks = self.quirks;
        let begins = header.flags.contains(Flags::SYN);
        if !self.streams.contains_key(&key) && !begins {
            // Of a stream whose start was not seen: its numbers are what they are.
            return;
        }
        let seen = self.streams.entry(key).or_default();
        if begins && (seen.isn != header.seq || !seen.proved) {
            *seen = Seen { isn: header.seq, dialled: !header.flags.contains(Flags::ACK), ..Seen::default() };
        }
        let report = packet.get(payload.clone()).and_then(Sack::parse_loose).is_some();
        let acks = header.flags.contains(Flags::ACK);
        let bare = payload.is_empty() && header.flags == Flags::ACK;
        if acks {
            seen.next = Some(header.ack);
        }
        let repeats = bare && seen.last_ack == Some((header.ack, true));
        if acks {
            let reported = seen.last_ack.is_some_and(|(ack, reported)| ack == header.ack && reported);
            seen.last_ack = Some((header.ack, report || reported));
        }
        if quirks.isn_zero && !(header.flags.contains(Flags::RST) && header.seq == 0) {
            header.seq = header.seq.wrapping_sub(seen.isn);
            if bare && seen.dialled && !seen.proved {
                header.seq = 0;
            }
        }
        seen.proved |= bare;
        if quirks.small_window {
            header.window = header.window.min(512);
        }
        rewrite(packet, &header, payload.end);
        if quirks.no_duplicate_acks && repeats {
            spoil(packet);
        }
    }

    fn entering(&mut self, packet: &mut [u8]) {
        let Ok((mut header, payload)) = Header::parse(packet) else { return };
        if header.protocol != Protocol::Stream {
            return;
        }
        let Some(seen) = self.streams.get(&(header.dst_port, header.src.node, header.src_port)) else {
            return;
        };
        let (isn, next) = (seen.isn, seen.next);
        let range = payload.clone();
        let data = packet.get(range.clone()).filter(|data| Sack::parse_loose(data).is_none());
        let len = data.map_or(0, <[u8]>::len) as u32;
        // A byte before what is expected is a probe; more that reaches beyond is a copy cut anew.
        let straddles = len > 1
            && next.is_some_and(|next| {
                let before = next.wrapping_sub(header.seq);
                before > 0 && before < len
            });
        if self.quirks.isn_zero && header.flags.contains(Flags::ACK) {
            header.ack = header.ack.wrapping_add(isn);
            if let Some(payload) = packet.get_mut(range) {
                Self::shift_report(payload, isn);
            }
            rewrite(packet, &header, payload.end.max(HEADER_LEN));
        }
        if self.quirks.whole_copies_only && straddles {
            spoil(packet);
        }
    }
}

/// A role behind the filters.
pub(crate) struct Reference {
    inner: Box<dyn Role>,
    quirks: Quirks,
    /// The last key of each node.
    keys: BTreeMap<u32, (PublicKey, Instant)>,
}

/// Makes the role that `make` makes with a provider that has the habits.
pub(crate) fn dress<C: Crypto>(
    quirks: Quirks,
    crypto: C,
    make: impl FnOnce(Seam<C, Habits>) -> Box<dyn Role>,
) -> Box<dyn Role> {
    let filter: Shared<Habits> = Arc::new(Mutex::new(Habits { quirks, streams: BTreeMap::new() }));
    let inner = make(Seam { inner: crypto, filter });
    Box::new(Reference { inner, quirks, keys: BTreeMap::new() })
}

/// A copy on another path within this time is not a repetition.
const COPY_MICROS: u64 = 250_000;

impl Reference {
    fn is_repeated_key(&mut self, now: Instant, data: &[u8]) -> bool {
        let mut copy = data.to_vec();
        let parsed = match Datagram::parse(&mut copy) {
            Ok(Datagram::Frame(Frame::KeyAuthenticated(key))) => Some(key),
            Ok(Datagram::Delivered { .. }) => match data.get(DELIVER_HEAD_LEN..).map(<[u8]>::to_vec) {
                Some(mut frame) => match Frame::parse(&mut frame) {
                    Ok(Frame::KeyAuthenticated(key)) => Some(key),
                    _ => None,
                },
                None => None,
            },
            _ => None,
        };
        let Some(key) = parsed else { return false };
        match self.keys.insert(key.sender, (key.x25519, now)) {
            Some((before, at)) => before == key.x25519 && now.since(at).as_micros() as u64 > COPY_MICROS,
            None => false,
        }
    }
}

impl Role for Reference {
    fn handle_datagram(&mut self, now: Now, from: SocketAddr, data: &mut [u8]) {
        if self.quirks.repeated_key_ignored && self.is_repeated_key(now.instant, data) {
            return;
        }
        self.inner.handle_datagram(now, from, data);
    }

    fn handle_input(&mut self, now: Now, input: Input<'_>) {
        self.inner.handle_input(now, input);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.inner.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Now, buf: &mut [u8]) -> Option<Transmit> {
        self.inner.poll_transmit(now, buf)
    }

    fn poll_output(&mut self, now: Now) -> Option<Output> {
        self.inner.poll_output(now)
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
        self.inner.fills()
    }
}
