//! A peer that was silent is heard of again: the streams to it that wait for a timer doubled many times go on at once.
//!
//! They are linked when they stall, so nothing is looked for when a frame arrives, and a few are woken at a time. A stream
//! stays linked until it is found to have gone on: what woke it may have been a hope only, such as another path to try.

use super::{
    Ctx,
    peer::{NONE, PeerSlot},
};
use crate::{
    crypto::Crypto,
    rng::Rng,
    stream::config::BURST,
    time::{Duration, Instant},
};

/// Streams that are woken at once. Each sends one segment, and the smallest receiver's socket holds 25 of the largest.
const AT_ONCE: u16 = BURST;
/// Most that are looked at for it.
const LOOKED_AT: u16 = 4 * AT_ONCE;
/// When the timer wakes as many again.
const THE_REST_AFTER: Duration = Duration::from_millis(4);

impl<C: Crypto, R: Rng> Ctx<'_, C, R> {
    /// Links a stream whose timer has expired if it is stalled.
    pub(super) fn note_stall(&mut self, slot: u32) {
        let Some(row) = self.parts.streams.get_mut(slot as usize).filter(|row| !row.stalled) else { return };
        if !row.stream.as_ref().is_some_and(|stream| stream.is_stalled()) {
            return;
        }
        let peer = row.peer;
        self.link_stalled(peer, slot, |peer| &mut peer.stalled);
    }

    /// A frame of the peer has opened. `before` is when one last had, `changed` whether traffic goes another way or under
    /// another key from now on.
    pub(super) fn heard_again(&mut self, peer: u32, before: Option<Instant>, changed: bool) {
        let now = self.now;
        let Some(row) = self.parts.peers.get(peer as usize).filter(|row| row.stalled != NONE) else { return };
        if changed || before.is_none_or(|at| now.since(at) >= row.path.patience()) {
            self.let_return(peer);
        }
    }

    /// The peer is there again, or is reached another way: wakes the streams that are stalled, a few at a time.
    pub(super) fn let_return(&mut self, peer: u32) {
        if self.parts.peers.get(peer as usize).is_some_and(|row| row.returning.is_none()) {
            self.wake_some(peer);
        }
    }

    /// Wakes some of the streams that are stalled; the timer sees to the rest.
    pub(super) fn wake_some(&mut self, peer: u32) {
        let now = self.now;
        let mut woken = 0;
        for _ in 0..LOOKED_AT {
            let Some(row) = self.parts.peers.get(peer as usize).filter(|_| woken < AT_ONCE) else { break };
            let slot = row.stalled;
            self.unlink_stalled(slot);
            let Some(stream) = self.parts.streams.get_mut(slot as usize) else { break };
            let Some(machine) = stream.stream.as_mut().filter(|machine| machine.is_stalled()) else {
                continue;
            };
            let mut pool = crate::pool::Pool::new(&mut self.core.pool, self.parts.chunks, self.parts.bytes);
            machine.handle_return(now, &mut pool);
            if machine.is_stalled() {
                self.link_stalled(peer, slot, |peer| &mut peer.woken);
            }
            woken += 1;
            self.after_stream(slot);
        }
        let Some(row) = self.parts.peers.get_mut(peer as usize) else { return };
        row.returning = Some(now + THE_REST_AFTER).filter(|_| row.stalled != NONE);
        if row.returning.is_none() {
            row.stalled = core::mem::replace(&mut row.woken, NONE);
        }
    }

    /// Puts a stream first in one of the two lists of its peer.
    fn link_stalled(&mut self, peer: u32, slot: u32, list: fn(&mut PeerSlot<C>) -> &mut u32) {
        let Some(peer) = self.parts.peers.get_mut(peer as usize) else { return };
        let after = core::mem::replace(list(peer), slot);
        if let Some(next) = self.parts.streams.get_mut(after as usize) {
            next.previous_stalled = slot;
        }
        if let Some(row) = self.parts.streams.get_mut(slot as usize) {
            (row.stalled, row.previous_stalled, row.next_stalled) = (true, NONE, after);
        }
    }

    /// Takes a stream out of the list it is in, if it is in one.
    pub(super) fn unlink_stalled(&mut self, slot: u32) {
        let Some(row) = self.parts.streams.get_mut(slot as usize).filter(|row| row.stalled) else { return };
        row.stalled = false;
        let (peer, before, after) = (row.peer, row.previous_stalled, row.next_stalled);
        if let Some(next) = self.parts.streams.get_mut(after as usize) {
            next.previous_stalled = before;
        }
        if let Some(previous) = self.parts.streams.get_mut(before as usize) {
            previous.next_stalled = after;
        } else if let Some(peer) = self.parts.peers.get_mut(peer as usize) {
            let first = if peer.stalled == slot { &mut peer.stalled } else { &mut peer.woken };
            *first = after;
        }
    }
}
