//! The path of a stream moves from a slow relay to a fast direct way: what the relay still holds arrives late, behind what
//! went the short way. Copies of it are needless, and nobody can say so (there is no DSACK).

use super::link::{Bottleneck, Link, Pair};
use super::*;
use crate::stream::Stats;

const MS: Duration = Duration::from_millis(1);

/// Both ends of a transfer that never ends.
struct Transfer {
    pair: Pair,
    heard: u64,
}

impl Transfer {
    /// Over a relay: 200 kB/s, up to half a second of queue, 40 ms each way.
    fn relayed(config: Config) -> Self {
        let mut link = Link::new(3, 0, 0, 40_000, 0);
        link.bottleneck = Some(Bottleneck { rate: 200_000, queue: 500 * MS });
        Transfer { pair: Pair::new(7, config, (8192, MSS), link), heard: 0 }
    }

    fn run(&mut self, time: Duration) {
        let until = self.pair.dialer.now + time;
        let data = pattern(0, 1 << 16);
        loop {
            while self.pair.dialer.write(&data) == data.len() {}
            if let Some(acceptor) = &mut self.pair.acceptor {
                self.heard += acceptor.read_all().len() as u64;
            }
            if !self.pair.step(until) {
                return;
            }
        }
    }

    fn stats(&self) -> Stats {
        self.pair.dialer.stream.stats()
    }
}

/// Answers to needless copies must not bring more copies, again and again: no round trip would ever be measured, and half
/// of what the path carries would be copies. Proves STR-22.
#[test]
fn a_move_to_a_faster_path_costs_one_window_of_copies_at_most() {
    for recv_buffer in [4 << 20, 1 << 19] {
        for (delay, rate) in [(10_000, 400_000), (1_000, 4_000_000), (10_000, 200_000)] {
            let mut transfer = Transfer::relayed(Config { recv_buffer, ..Config::DEFAULT });
            transfer.run(Duration::from_secs(10));
            let before = transfer.stats();
            transfer.pair.link.move_to(delay, Bottleneck { rate, queue: 250 * MS });
            transfer.run(Duration::from_secs(2));
            let (settled, heard) = (transfer.stats(), transfer.heard);
            transfer.run(Duration::from_secs(8));
            let after = transfer.stats();
            let copies = |a: &Stats, b: &Stats| b.counters.retransmits - a.counters.retransmits;
            let share = (transfer.heard - heard) * 100 / (8 * rate);
            println!(
                "{recv_buffer} {delay} us {rate}/s: {} under way, {} copies, later {}; {share} %, {:?} -> {:?}",
                before.unacked,
                copies(&before, &settled),
                copies(&settled, &after),
                before.counters,
                after.counters,
            );
            assert!(copies(&before, &settled) <= 128, "one window");
            assert!(copies(&settled, &after) <= 8 && share >= 90, "{share} %");
        }
    }
}
