//! Proportional rate reduction (RFC 9937, the successor of RFC 6937): after a cut of the window, what is sent during
//! recovery follows what arrives, so that the sender neither falls silent nor bursts.

/// The account of one recovery, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prr {
    /// Delivered since the loss was seen.
    delivered: u32,
    /// Sent since.
    out: u32,
    /// Under way when it was seen (RecoverFS).
    start: u32,
    /// May be sent now.
    room: u32,
}

impl Prr {
    /// Recovery begins with `flight` bytes under way, the lost ones included.
    pub(super) fn new(flight: u32) -> Self {
        Prr { start: flight.max(1), ..Prr::default() }
    }

    /// `delivered` bytes arrived. `flight` are under way now, `target` shall be in the end; `safe` if the
    /// acknowledgment advanced and showed no further loss.
    pub(super) fn on_ack(&mut self, delivered: u32, flight: u32, target: u32, mss: u32, safe: bool) {
        self.delivered = self.delivered.saturating_add(delivered);
        let room = if flight > target {
            let share = (u64::from(self.delivered) * u64::from(target)).div_ceil(self.start.max(1).into());
            u32::try_from(share).unwrap_or(u32::MAX).saturating_sub(self.out)
        } else {
            let conserved = self.delivered.saturating_sub(self.out).max(delivered);
            conserved.saturating_add(if safe { mss } else { 0 }).min(target - flight)
        };
        // The first repair is not to wait.
        self.room = if self.out == 0 { room.max(mss) } else { room };
    }

    /// Sent a segment of `len` bytes.
    pub(super) fn on_sent(&mut self, len: u32) {
        self.out = self.out.saturating_add(len);
        self.room = self.room.saturating_sub(len);
    }

    /// Whether a segment of `len` bytes may be sent.
    pub(super) fn allows(&self, len: u32) -> bool {
        self.room >= len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window of 100 segments cut to 70: seven are sent for each ten that arrive, over the whole round trip.
    #[test]
    fn sending_is_reduced_evenly() {
        let mut prr = Prr::new(100);
        let (mut flight, mut sent) = (99, 0);
        for arrived in 1..=99u32 {
            flight -= 1;
            prr.on_ack(1, flight, 70, 1, false);
            while prr.allows(1) {
                prr.on_sent(1);
                (flight, sent) = (flight + 1, sent + 1);
            }
            let even = arrived * 70 / 100;
            assert!(sent >= even && sent <= even + 2, "{sent} sent for {arrived}");
        }
        assert!((69..=71).contains(&flight), "{flight}");
    }

    /// Most of the window was lost: it is filled again no faster than slow start would.
    #[test]
    fn a_drained_path_is_filled_slowly() {
        let mut prr = Prr::new(100);
        prr.on_ack(1, 9, 70, 1, false);
        assert!(prr.allows(1) && !prr.allows(2));
        prr.on_sent(1);
        prr.on_ack(1, 9, 70, 1, true);
        assert!(prr.allows(2) && !prr.allows(3));
    }
}
