//! Hosts that share one router get their shares of it, and it is filled.

use std::time::Duration;

use pilot_sim::{Agent, ContestSpec, LinkConfig, RouterSpec, Scenario};

/// Bytes a second of the router.
const RATE: u64 = 1_250_000;

/// So many hosts, equally far away, send at once through one router with a queue of `queue_ms`: Jain's index when the first is
/// done, in thousandths, and how much of the router they used until all were, in percent.
fn share(hosts: usize, delay_us: u64, queue_ms: u64) -> (u64, u64) {
    let total = 10 * RATE;
    let from: Vec<usize> = (1..=hosts).collect();
    let scenario = Scenario {
        limit_s: 120,
        link: LinkConfig { delay_us, ..LinkConfig::default() },
        routers: vec![RouterSpec { hosts: from.clone(), rate: RATE, queue: RATE * queue_ms / 1000 }],
        agents: vec![Agent::default(); hosts + 1],
        contests: vec![ContestSpec {
            from,
            to: hosts + 1,
            streams: 1,
            bytes: total / hosts as u64,
            at_ms: 1000,
        }],
        ..Scenario::default()
    };
    let report = scenario.run(None);
    assert!(report.breach.is_none(), "{:?}", report.breach);
    let took = report.done.unwrap() - Duration::from_secs(1);
    (report.fairness[0], total * 100 / (RATE * took.as_millis() as u64 / 1000))
}

#[test]
fn hosts_behind_one_router_get_their_shares_and_fill_it() {
    println!(
        "| hosts | delay, ms | queue, ms | Jain's index | router used |\n| --- | --- | --- | --- | --- |"
    );
    for (hosts, delay_ms, queue_ms) in [(2, 20, 100), (4, 5, 100), (4, 20, 100), (4, 20, 50), (8, 20, 100)] {
        // That nobody has less than the judge allows, the run has said itself.
        let (index, used) = share(hosts, delay_ms * 1000, queue_ms);
        println!("| {hosts} | {delay_ms} | {queue_ms} | {:.3} | {used} % |", index as f64 / 1000.0);
        assert!(used >= 70, "{hosts} hosts, {delay_ms} ms, queue {queue_ms} ms: {used} % used");
    }
}
