//! A peer that was silent is heard of again: the streams to it that wait for a timer doubled many times go on at once.
//!
//! They are linked when they stall, so nothing is looked for when a frame arrives, and a frame wakes few of them.

use super::{Ctx, peer::NONE};
use crate::{crypto::Crypto, rng::Rng, time::Instant};

/// Streams that one frame, or one timer, wakes.
const AT_ONCE: usize = 8;
/// When the timer wakes the next ones: at the next multiple of this, in microseconds, so that asking again moves nothing.
const THE_REST_EVERY: u64 = 4000;

impl<C: Crypto, R: Rng> Ctx<'_, C, R> {
    /// Links a stream whose timer has expired if it is stalled.
    pub(super) fn note_stall(&mut self, slot: u32) {
        let Some(row) = self.parts.streams.get_mut(slot as usize).filter(|row| !row.stalled) else { return };
        if !row.stream.as_ref().is_some_and(|stream| stream.is_stalled()) {
            return;
        }
        if let Some(peer) = self.parts.peers.get_mut(row.peer as usize) {
            row.stalled = true;
            row.next_stalled = core::mem::replace(&mut peer.stalled, slot);
        }
    }

    /// A frame of the peer has opened. `before` is when one last had, `changed` whether traffic goes another way or under
    /// another key from now on.
    pub(super) fn heard_again(&mut self, peer: u32, before: Option<Instant>, changed: bool) {
        let now = self.now;
        let Some(row) = self.parts.peers.get_mut(peer as usize).filter(|row| row.stalled != NONE) else {
            return;
        };
        if changed || row.returning || before.is_none_or(|at| now.since(at) >= row.path.patience()) {
            self.wake_stalled(peer);
        }
    }

    /// Wakes some of the streams that are stalled; the timer sees to the rest.
    pub(super) fn wake_stalled(&mut self, peer: u32) {
        let now = self.now;
        for _ in 0..AT_ONCE {
            let Some(row) = self.parts.peers.get_mut(peer as usize) else { return };
            let slot = row.stalled;
            let Some(stream) = self.parts.streams.get_mut(slot as usize) else { break };
            row.stalled = core::mem::replace(&mut stream.next_stalled, NONE);
            stream.stalled = false;
            let mut pool = crate::pool::Pool::new(&mut self.core.pool, self.parts.chunks, self.parts.bytes);
            if let Some(stream) = stream.stream.as_mut() {
                stream.handle_return(now, &mut pool);
            }
            self.after_stream(slot);
        }
        let Some(row) = self.parts.peers.get_mut(peer as usize) else { return };
        row.returning = row.stalled != NONE;
    }

    /// When the next streams are woken, if more wait.
    pub(super) fn wake_due(returning: bool, now: Instant) -> Option<Instant> {
        let turns = now.as_micros() / THE_REST_EVERY;
        returning.then(|| Instant::from_micros((turns + 1).saturating_mul(THE_REST_EVERY)))
    }

    /// Takes a stream that is over out of the list.
    pub(super) fn unlink_stalled(&mut self, slot: u32) {
        let Some(row) = self.parts.streams.get_mut(slot as usize).filter(|row| row.stalled) else { return };
        row.stalled = false;
        let (peer, after) = (row.peer, core::mem::replace(&mut row.next_stalled, NONE));
        let Some(peer) = self.parts.peers.get_mut(peer as usize) else { return };
        if peer.stalled == slot {
            peer.stalled = after;
            return;
        }
        let mut at = peer.stalled;
        while let Some(row) = self.parts.streams.get_mut(at as usize) {
            if row.next_stalled == slot {
                row.next_stalled = after;
                return;
            }
            at = row.next_stalled;
        }
    }
}
