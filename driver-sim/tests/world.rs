//! Worlds that are whole: everything arrives, and broken ones mend themselves.

use pilot_proto::{Instant, time::Duration};
use pilot_sim::{Dependence, LinkConfig, NatConfig, Push, Serve, World};

const SECOND: Duration = Duration::from_secs(1);

fn transfer(world: &mut World, link: [pilot_sim::HostId; 2], bytes: u64) -> usize {
    let number = world.ledger.add_transfer(bytes);
    world.add_program(link[1], Some(Box::new(Serve::default())));
    world.add_program(link[0], Some(Box::new(Push::new(number, link[1].index(), Instant::ORIGIN))));
    number
}

fn finish(world: &mut World, limit: Duration) {
    let done = world.run(limit, |world| world.is_done());
    let stuck = world.stuck();
    assert!(done, "{:?} {stuck}", world.breach());
}

#[test]
fn a_transfer_arrives_over_a_bad_link_and_the_world_is_the_same_twice() {
    let story = || {
        let link = LinkConfig {
            jitter_us: 3000,
            loss_ppm: 20_000,
            duplicate_ppm: 10_000,
            reorder_ppm: 20_000,
            corrupt_ppm: 5000,
            ..LinkConfig::default()
        };
        let mut world = World::new(42, link);
        let rendezvous = world.add_default_rendezvous();
        let (a, b) = (world.add_public_daemon(rendezvous), world.add_public_daemon(rendezvous));
        transfer(&mut world, [a, b], 1_000_000);
        finish(&mut world, 60 * SECOND);
        (world.hash(), world.now(), world.counters())
    };
    assert_eq!(story(), story());
}

#[test]
fn a_transfer_survives_a_crash_of_either_side_and_of_the_rendezvous() {
    let mut world = World::new(7, LinkConfig::default());
    let rendezvous = world.add_default_rendezvous();
    let (a, b) = (world.add_public_daemon(rendezvous), world.add_public_daemon(rendezvous));
    transfer(&mut world, [a, b], 20_000_000);
    for victim in [b, rendezvous, a] {
        world.rest(3 * SECOND);
        world.crash(victim);
        world.rest(SECOND);
        world.restart(victim);
    }
    finish(&mut world, 120 * SECOND);
}

#[test]
fn after_a_partition_everything_goes_on() {
    let mut world = World::new(3, LinkConfig::default());
    let rendezvous = world.add_default_rendezvous();
    let strict = NatConfig { mapping: Dependence::Port, ..NatConfig::default() };
    let (a, b) = (world.add_daemon_behind(rendezvous, strict), world.add_daemon_behind(rendezvous, strict));
    transfer(&mut world, [a, b], 500_000);
    for pair in [[a, b], [a, rendezvous], [rendezvous, b]] {
        world.partition(pair[0], pair[1]);
        world.rest(5 * SECOND);
        world.heal();
        world.clog(pair[0], pair[1]);
        world.rest(SECOND);
        world.heal();
    }
    finish(&mut world, 60 * SECOND);
}
