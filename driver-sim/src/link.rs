//! One direction of a path between two hosts: delay, jitter, loss (single and in bursts), duplication, reordering,
//! corruption, a rate with a finite queue, and an MTU that swallows what is larger.
//!
//! A link is a machine like what it connects: a datagram goes in, arrival times come out.

use std::rc::Rc;

use pilot_proto::{Instant, time::Duration};
use serde::{Deserialize, Serialize};

use crate::{bottleneck::Bottleneck, dice::Dice, watch::Loss};

/// What a link does to datagrams. Times in microseconds, probabilities in parts per million, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkConfig {
    /// Time of flight.
    pub delay_us: u64,
    /// Up to this much more, drawn for each datagram; the order is kept.
    pub jitter_us: u64,
    /// Loss of single datagrams.
    pub loss_ppm: u32,
    /// Gilbert–Elliott: probability to enter the bad state, at each datagram.
    pub burst_enter_ppm: u32,
    /// Probability to leave the bad state, at each datagram.
    pub burst_leave_ppm: u32,
    /// Loss in the bad state.
    pub burst_loss_ppm: u32,
    /// Arrives twice.
    pub duplicate_ppm: u32,
    /// Arrives late, behind others.
    pub reorder_ppm: u32,
    /// How late at most.
    pub reorder_us: u64,
    /// One bit is flipped.
    pub corrupt_ppm: u32,
    /// Bytes per second; 0 is unlimited.
    pub rate: u64,
    /// Bytes that may wait for their turn when the rate is limited; what comes then is lost.
    pub queue: u64,
    /// Largest datagram that passes, in bytes of UDP payload; larger ones vanish. 0 is unlimited.
    pub mtu: usize,
    /// Larger ones go in pieces instead, and are lost when one of them is.
    pub fragments: bool,
}

impl Default for LinkConfig {
    fn default() -> Self {
        LinkConfig {
            delay_us: 10_000,
            jitter_us: 0,
            loss_ppm: 0,
            burst_enter_ppm: 0,
            burst_leave_ppm: 100_000,
            burst_loss_ppm: 500_000,
            duplicate_ppm: 0,
            reorder_ppm: 0,
            reorder_us: 20_000,
            corrupt_ppm: 0,
            rate: 0,
            queue: 256 * 1024,
            mtu: 0,
            fragments: false,
        }
    }
}

/// One direction between two hosts.
#[derive(Debug)]
pub(crate) struct Link {
    /// Most links of a world have the same.
    config: Rc<LinkConfig>,
    dice: Dice,
    bad: bool,
    bottleneck: Bottleneck,
    /// Nothing in order arrives before this.
    last_arrival: Instant,
}

impl Link {
    pub(crate) fn new(config: Rc<LinkConfig>, dice: Dice) -> Self {
        let bottleneck = Bottleneck::new(config.rate, config.queue);
        Link { config, dice, bad: false, bottleneck, last_arrival: Instant::ORIGIN }
    }

    /// Bytes that wait for their turn.
    pub(crate) fn queued(&self, now: Instant) -> u64 {
        self.bottleneck.queued(now)
    }

    /// Takes a datagram; when it arrives, if it does, and when its twin does.
    pub(crate) fn send(&mut self, now: Instant, data: &mut [u8]) -> Result<(Instant, Option<Instant>), Loss> {
        let c = &self.config;
        let switch = if self.bad { c.burst_leave_ppm } else { c.burst_enter_ppm };
        if self.dice.chance(switch) {
            self.bad = !self.bad;
        }
        let burst = self.bad && self.dice.chance(c.burst_loss_ppm);
        let mut random = self.dice.chance(c.loss_ppm);
        if c.mtu > 0 && data.len() > c.mtu {
            if !c.fragments {
                return Err(Loss::TooLarge);
            }
            for _ in 0..data.len() / c.mtu {
                random |= self.dice.chance(c.loss_ppm);
            }
        }
        if burst {
            return Err(Loss::Burst);
        }
        if random {
            return Err(Loss::Random);
        }
        let left = self.bottleneck.pass(now, data.len())?;
        if self.dice.chance(c.corrupt_ppm) && !data.is_empty() {
            let bit = self.dice.below(8 * data.len() as u64);
            data[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
        let flight = c.delay_us + if c.jitter_us > 0 { self.dice.below(c.jitter_us + 1) } else { 0 };
        let mut at = left + Duration::from_micros(flight);
        if self.dice.chance(c.reorder_ppm) {
            at = at + Duration::from_micros(self.dice.between(1, c.reorder_us));
        } else {
            at = at.max(self.last_arrival);
            self.last_arrival = at;
        }
        let twin = self.dice.chance(c.duplicate_ppm);
        let later = Duration::from_micros(if twin { self.dice.between(0, 2 * c.delay_us) } else { 0 });
        Ok((at, twin.then(|| at + later)))
    }

    /// How long `bytes` of a reliable byte stream take: what a datagram would lose, TCP sends again.
    pub(crate) fn stream_delay(&mut self, bytes: usize) -> Duration {
        let c = &self.config;
        let mut micros = c.delay_us + if c.jitter_us > 0 { self.dice.below(c.jitter_us + 1) } else { 0 };
        micros += (bytes as u64 * 1_000_000).checked_div(c.rate).unwrap_or(0);
        let mut again = 200_000;
        while again < 10_000_000 && self.dice.chance(c.loss_ppm) {
            micros += again;
            again *= 2;
        }
        Duration::from_micros(micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(change: impl FnOnce(&mut LinkConfig)) -> Link {
        let mut config = LinkConfig::default();
        change(&mut config);
        Link::new(Rc::new(config), Dice::named(1, "link", &[]))
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_breaks_it() {
        let arrivals = |link: &mut Link| -> Vec<Instant> {
            (0..1000)
                .filter_map(|n| link.send(Instant::from_micros(n * 100), &mut [0; 10]).ok())
                .map(|(at, _)| at)
                .collect()
        };
        assert!(arrivals(&mut link(|c| c.jitter_us = 5000)).is_sorted());
        assert!(!arrivals(&mut link(|c| c.reorder_ppm = 100_000)).is_sorted());
    }

    #[test]
    fn a_full_queue_drops_and_the_rate_is_kept() {
        let mut link = link(|c| (c.rate, c.queue) = (100_000, 10_000));
        let sent = (0..50).map(|_| link.send(Instant::ORIGIN, &mut [0; 1000]));
        let times: Vec<_> = sent.filter_map(|fate| Some(fate.ok()?.0)).collect();
        assert_eq!(times.len(), 11);
        assert_eq!(times[10].as_micros(), 11 * 10_000 + 10_000);
    }

    #[test]
    fn bursts_lose_more_in_a_row_than_single_losses_do() {
        let longest = |link: &mut Link| {
            let (mut run, mut longest) = (0, 0);
            for _ in 0..20_000 {
                run = if link.send(Instant::ORIGIN, &mut [0]).is_err() { run + 1 } else { 0 };
                longest = longest.max(run);
            }
            longest
        };
        let single = longest(&mut link(|c| c.loss_ppm = 50_000));
        let burst = longest(&mut link(|c| {
            (c.burst_enter_ppm, c.burst_leave_ppm, c.burst_loss_ppm) = (5000, 100_000, 1_000_000);
        }));
        assert!(burst > 4 * single, "{burst} {single}");
    }

    #[test]
    fn an_mtu_black_hole_swallows_only_what_is_too_large() {
        let mut link = link(|c| c.mtu = 1200);
        assert!(link.send(Instant::ORIGIN, &mut [0; 1200]).is_ok());
        assert_eq!(link.send(Instant::ORIGIN, &mut [0; 1201]), Err(Loss::TooLarge));
        Rc::make_mut(&mut link.config).fragments = true;
        assert!(link.send(Instant::ORIGIN, &mut [0; 9000]).is_ok());
    }

    #[test]
    fn what_goes_in_pieces_is_lost_more_often() {
        let mut link = link(|c| (c.mtu, c.fragments, c.loss_ppm) = (1000, true, 100_000));
        let mut lost =
            |len| (0..1000).filter(|_| link.send(Instant::ORIGIN, &mut vec![0; len]).is_err()).count();
        assert!((50..150).contains(&lost(1000)));
        assert!((500..750).contains(&lost(9500)), "ten pieces");
    }
}
