//! The state of a stream, and the application's side of it.

use super::acks::Acks;
use super::config::{Config, Limits, Millis, ROOM_RETRY, SYN_ACK_WAIT, SYN_WAIT};
use super::congestion::Congestion;
use super::receiver::Receiver;
use super::sender::Sender;
use super::{CloseReason, Counters, Events, Read, ReadError, Segment, Seq, State, Stats, WriteError};
use crate::pool::Pool;
use crate::time::Instant;

/// How far the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The SYN is on its way; sent again at `resend`.
    SynSent { resend: Instant, wait: Millis },
    /// The SYN|ACK is on its way; sent again at `resend`.
    SynReceived { resend: Instant, wait: Millis },
    /// The handshake is complete. Whether a direction has finished is in [`FinOut`] and [`FinIn`].
    Open { since: Instant },
    /// Ended cleanly.
    TimeWait { until: Instant },
    /// Ended.
    Closed,
}

/// Our end of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FinOut {
    Open,
    /// The application has finished; the FIN waits until all data is acknowledged, because an April peer forgets
    /// everything when it sees a FIN.
    Requested,
    /// Sent, and sent again at `resend`.
    Sent {
        resend: Instant,
        tries: u8,
    },
    Acked,
}

/// The peer's end of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FinIn {
    Open,
    /// A FIN came, but bytes before `at` are missing, and may be until `until`.
    Waiting {
        at: Seq,
        until: Instant,
        answer: bool,
    },
    /// The peer's last byte was received; `at` is the number after it.
    Done {
        at: Seq,
    },
}

/// Packets that are due besides data and acknowledgments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// A RST with this sequence number.
    pub(super) rst: Option<Seq>,
    pub(super) syn: bool,
    pub(super) syn_ack: bool,
    /// One old byte: every release answers it with an ACK, and it changes nothing.
    pub(super) probe: bool,
    /// FIN and ACK in one: the answer to a FIN.
    pub(super) fin_ack: bool,
    /// Our FIN once more.
    pub(super) fin: bool,
}

impl Due {
    pub(super) fn nothing(&self) -> bool {
        *self == Due::default()
    }
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub struct Stream {
    pub(super) limits: Limits,
    pub(super) phase: Phase,
    pub(super) fin_out: FinOut,
    pub(super) fin_in: FinIn,
    pub(super) due: Due,
    pub(super) reason: Option<CloseReason>,
    pub(super) events: Events,
    /// The peer asked, we answered.
    pub(super) accepted: bool,
    /// Our initial sequence number.
    pub(super) isn: Seq,
    /// The peer's, once known.
    pub(super) peer_isn: Seq,
    /// When the handshake began.
    pub(super) started: Instant,
    pub(super) handshake_tries: u8,
    /// The next SYN has its turn: now if it is due, else when it will be.
    pub(super) syn_paced: bool,
    /// SYN|ACKs of a forgotten connection answered.
    pub(super) stale_answers: u8,
    /// When the peer was last heard of.
    pub(super) heard: Instant,
    /// When it was last sent anything.
    pub(super) spoke: Instant,
    /// When a keepalive probe was last sent.
    pub(super) probed: Option<Instant>,
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    pub(super) acks: Acks,
    pub(super) recv_window: u16,
    /// A write was not taken whole.
    pub(super) wants_room: bool,
    /// When to look for room that no ACK will announce.
    pub(super) room_retry: Option<Instant>,
    pub(super) counters: Counters,
}

const _: () = assert!(size_of::<Stream>() <= 656, "a node holds thousands of these");

impl Stream {
    /// Opens a connection: sends a SYN. `isn`, the initial sequence number, must be unpredictable.
    pub fn connect(now: Instant, isn: u32, config: &Config) -> Self {
        let phase = Phase::SynSent { resend: now + SYN_WAIT, wait: Millis::new(SYN_WAIT) };
        let mut stream = Stream::new(now, isn, Seq::default(), phase, config);
        stream.due.syn = true;
        stream
    }

    /// Answers a SYN. The stream is not [connected](Events::CONNECTED), and the application better not told of it,
    /// until the dialer has proved that it got the answer: so forged sources cost nothing but this memory.
    pub fn accept(now: Instant, isn: u32, syn: &Segment, config: &Config) -> Self {
        let phase = Phase::SynReceived { resend: now + SYN_ACK_WAIT, wait: Millis::new(SYN_ACK_WAIT) };
        let mut stream = Stream::new(now, isn, Seq::new(syn.seq), phase, config);
        stream.accepted = true;
        stream.sender.set_window(syn.window);
        stream.due.syn_ack = true;
        stream
    }

    fn new(now: Instant, isn: u32, peer_isn: Seq, phase: Phase, config: &Config) -> Self {
        let limits = Limits::new(config);
        let isn = Seq::new(isn);
        Stream {
            limits,
            phase,
            fin_out: FinOut::Open,
            fin_in: FinIn::Open,
            due: Due::default(),
            reason: None,
            events: Events::NONE,
            accepted: false,
            isn,
            peer_isn,
            started: now,
            handshake_tries: 0,
            syn_paced: false,
            stale_answers: 0,
            heard: now,
            spoke: now,
            probed: None,
            sender: Sender::new(now, isn + 1, &limits),
            receiver: Receiver::new(peer_isn + 1, limits.recv_buffer),
            acks: Acks::new(),
            recv_window: 0,
            wants_room: false,
            room_retry: None,
            counters: Counters::default(),
        }
    }

    /// What has been found out about the path and the peer: segments of `proved` bytes arrive there (0: nothing was), and
    /// the peer may send some of `expected` bytes. Both may be said again and again; what was cut stays cut.
    pub fn set_segments(&mut self, proved: u16, expected: u16) {
        self.sender.set_segment(proved);
        self.receiver.expect(expected);
    }

    /// Payload of a full segment, in bytes.
    pub fn segment(&self) -> u16 {
        self.sender.mss
    }

    /// Whether, since the last call, a segment larger than [`Config::mss`] was unanswered until the timer expired: perhaps the
    /// path does not carry it any more.
    pub fn take_size_doubt(&mut self) -> bool {
        core::mem::take(&mut self.sender.size_in_doubt)
    }

    /// Queues data to be sent and returns how much was taken; if not all, [`Events::WRITABLE`] follows when there is
    /// room again. May be called before the stream is connected.
    ///
    /// A write of at most one segment ([`Config::mss`]) is taken whole or not at all, and leaves as part of one
    /// segment.
    pub fn write(&mut self, now: Instant, data: &[u8], pool: &mut Pool) -> Result<usize, WriteError> {
        if matches!(self.phase, Phase::TimeWait { .. } | Phase::Closed) {
            return Err(WriteError::Closed(self.reason.unwrap_or(CloseReason::Clean)));
        }
        if self.fin_out != FinOut::Open {
            return Err(WriteError::Finished);
        }
        let full = self.sender.full(pool);
        let n = self.sender.queue.write(now, data, full, self.limits.send_buffer, pool);
        if n < data.len() {
            self.wants_room = true;
            // With nothing queued it is the pool that is empty, and no ACK will tell when it no longer is.
            self.room_retry = self.sender.queue.is_empty().then_some(now + ROOM_RETRY);
        }
        if matches!(self.phase, Phase::Open { .. }) {
            self.sender.arm(now);
        }
        Ok(n)
    }

    /// Reads what was received, at most the rest of one segment.
    pub fn read(&mut self, now: Instant, out: &mut [u8], pool: &mut Pool) -> Result<Read, ReadError> {
        let _ = now;
        if self.receiver.readable() > 0 {
            let n = self.receiver.read(out, pool);
            let open = matches!(self.phase, Phase::Open { .. }) && self.fin_in == FinIn::Open;
            if open && self.receiver.window_opened(pool) {
                self.acks.window_opened();
            }
            return Ok(Read::Bytes(n));
        }
        match (self.fin_in, self.reason) {
            (FinIn::Done { .. }, _) | (_, Some(CloseReason::Clean)) => Ok(Read::End),
            (_, Some(reason)) => Err(ReadError(reason)),
            (_, None) => Ok(Read::Empty),
        }
    }

    /// Copies the bytes ready to be read, over the bounds of segments, without taking them. How many there are.
    pub fn peek(&self, out: &mut [u8], pool: &Pool) -> usize {
        self.receiver.peek(out, pool)
    }

    /// When the handshake was complete, if it is and the stream is not over.
    pub fn open_since(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open { since } => Some(since),
            _ => None,
        }
    }

    /// Bytes ready to be read.
    pub fn peek_len(&self) -> usize {
        usize::try_from(self.receiver.readable()).unwrap_or(usize::MAX)
    }

    /// No more will be written: once everything is acknowledged the peer is told.
    ///
    /// Between two of us the other direction stays open until the peer finishes too. A peer of any Go release ends
    /// both directions at once.
    pub fn finish(&mut self, now: Instant) {
        if self.fin_out == FinOut::Open && !matches!(self.phase, Phase::TimeWait { .. } | Phase::Closed) {
            self.fin_out = FinOut::Requested;
            self.sender.arm(now);
        }
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Events {
        core::mem::take(&mut self.events)
    }

    /// Where the stream is in its life.
    pub fn state(&self) -> State {
        match (self.phase, self.fin_in, self.fin_out) {
            (Phase::SynSent { .. }, ..) => State::SynSent,
            (Phase::SynReceived { .. }, ..) => State::SynReceived,
            (Phase::Open { .. }, FinIn::Done { .. }, _) => State::CloseWait,
            (Phase::Open { .. }, _, FinOut::Open) => State::Established,
            (Phase::Open { .. }, ..) => State::FinWait,
            (Phase::TimeWait { .. }, ..) => State::TimeWait,
            (Phase::Closed, ..) => State::Closed,
        }
    }

    /// Why the stream ended, once it has.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.reason
    }

    /// Whether nothing is left to be done here: ended, no packet due, and nothing to read. An owner whose application
    /// has no use for unread data need not wait for the last.
    pub fn is_reapable(&self, _now: Instant) -> bool {
        self.phase == Phase::Closed && self.due.nothing() && self.receiver.readable() == 0
    }

    /// Gives all chunks back; the stream is over, whatever it was doing, and says nothing more.
    pub fn release(&mut self, pool: &mut Pool) {
        if self.reason.is_none() {
            self.reason = Some(CloseReason::Aborted);
        }
        self.phase = Phase::Closed;
        self.due = Due::default();
        self.sender.clear(pool);
        self.receiver.clear(pool);
        self.acks.clear();
        self.room_retry = None;
    }

    /// The smoothed round trip, once one was measured.
    pub fn round_trip(&self) -> Option<crate::time::Duration> {
        Some(self.sender.rtt.srtt()).filter(|took| !took.is_zero())
    }

    /// Numbers for the connection list.
    pub fn stats(&self) -> Stats {
        let sender = &self.sender;
        Stats {
            state: self.state(),
            counters: self.counters,
            cong_win: sender.congestion.window(),
            ssthresh: sender.congestion.ssthresh(),
            in_flight: sender.queue.nxt.distance(sender.queue.una),
            unacked: sender.queue.outstanding,
            srtt: sender.rtt.srtt(),
            rttvar: sender.rtt.rttvar(),
            rto: sender.rtt.rto(),
            ooo_buf: self.receiver.beyond(),
            peer_window: sender.peer_window,
            recv_window: self.recv_window,
            in_recovery: sender.in_recovery(),
            handshake_tries: self.handshake_tries,
        }
    }
}
