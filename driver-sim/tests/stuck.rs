//! A run that ends with work undone says who waits for whom, and why.

use pilot_proto::{Instant, time::Duration};
use pilot_sim::{Befriend, HostId, LinkConfig, Party, Push, Serve, Stuck, World};

const SECOND: Duration = Duration::from_secs(1);

/// A world of a rendezvous and two agents with a program that listens; the first is to send `bytes` to the second.
fn world(bytes: u64) -> (World, [HostId; 3]) {
    let mut world = World::new(1, LinkConfig { rate: 1_000_000, ..LinkConfig::default() });
    let rendezvous = world.add_default_rendezvous();
    let (a, b) = (world.add_public_daemon(rendezvous), world.add_public_daemon(rendezvous));
    let number = world.ledger.add_transfer(bytes);
    world.add_program(a, Some(Box::new(Serve::default())));
    world.add_program(b, Some(Box::new(Serve::default())));
    world.add_program(a, Some(Box::new(Push::new(number, b.index(), Instant::ORIGIN))));
    (world, [rendezvous, a, b])
}

/// The reasons for which one party waits for another.
fn reasons(stuck: &Stuck, from: Party, to: Party) -> String {
    let between = stuck.edges.iter().filter(|edge| (edge.from, edge.to) == (from, to));
    between.map(|edge| edge.what.clone()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_done_world_has_nothing_to_say() {
    let (mut world, _) = world(1000);
    assert!(world.run(60 * SECOND, |world| world.is_done()));
    let stuck = world.stuck();
    assert!(stuck.is_empty() && stuck.edges.is_empty() && stuck.cycles.is_empty() && stuck.ends.is_empty());
}

#[test]
fn agents_whose_registry_is_down_wait_for_it() {
    let (mut world, [rendezvous, a, b]) = world(1000);
    world.crash(rendezvous);
    world.rest(3 * SECOND);
    let stuck = world.stuck();
    let [registry, a, b] = [rendezvous, a, b].map(|host| Party::Host(host.index()));
    for agent in [a, b] {
        let words = reasons(&stuck, agent, registry);
        assert!(words.contains("a connection") && words.contains("`register`"), "{stuck}");
    }
    assert_eq!(stuck.ends, [registry]);
    let words = stuck.to_string();
    for part in ["agent 1: registration with rendezvous", "due since 0.000 s", "rendezvous, which is down"] {
        assert!(words.contains(part), "{part} is missing: {stuck}");
    }
}

#[test]
fn a_sender_whose_way_is_cut_waits_for_keys_and_one_in_mid_stream_for_acknowledgments() {
    for (bytes, before, expected) in [(1000, 0, "keys, exchange sent"), (50_000_000, 4, "acknowledgment of")]
    {
        let (mut world, [rendezvous, a, b]) = world(bytes);
        // The receiver is known before nobody reaches it any more.
        assert!(world.run(5 * SECOND, |world| world.ledger.node(b.index()).is_some()));
        world.rest(before * SECOND);
        world.partition(a, b);
        world.partition(rendezvous, b);
        world.rest(5 * SECOND);
        let stuck = world.stuck();
        let words = reasons(&stuck, Party::Host(a.index()), Party::Host(b.index()));
        assert!(words.contains(expected) && words.contains("(the way is cut)"), "{stuck}");
        assert!(stuck.to_string().contains("agent 1 (node"), "{stuck}");
        assert!(stuck.to_string().contains("transfer 0 with agent 2"), "{stuck}");
    }
}

#[test]
fn a_sender_waits_for_room_and_the_receiver_for_its_program() {
    let (mut world, [_, a, b]) = world(20_000_000);
    world.slow_programs(b, 1000);
    world.rest(60 * SECOND);
    let stuck = world.stuck();
    let (sender, receiver) = (Party::Host(a.index()), Party::Host(b.index()));
    assert!(reasons(&stuck, sender, receiver).contains("its window is closed"), "{stuck}");
    let reader = Party::Programs(b.index());
    assert!(reasons(&stuck, receiver, reader).contains("somebody to read"), "{stuck}");
    assert_eq!(stuck.ends, [reader], "{stuck}");
}

#[test]
fn a_trust_request_waits_for_the_other_side_and_that_for_its_people() {
    let mut world = World::new(1, LinkConfig::default());
    let rendezvous = world.add_default_rendezvous();
    let (a, b) = (world.add_public_daemon(rendezvous), world.add_public_daemon(rendezvous));
    world.add_program(a, Some(Box::new(Serve::default())));
    // Nobody there says yes.
    world.add_program(b, Some(Box::new(Serve::default())));
    world.add_program(a, Some(Box::new(Befriend::new(b.index(), Instant::ORIGIN))));
    world.rest(30 * SECOND);
    let stuck = world.stuck();
    let (asks, asked) = (Party::Host(a.index()), Party::Host(b.index()));
    assert!(reasons(&stuck, asks, asked).contains("its answer to a trust request"), "{stuck}");
    let people = Party::Programs(b.index());
    assert!(reasons(&stuck, asked, people).contains("a decision about the trust request"), "{stuck}");
    assert_eq!(stuck.ends, [people], "{stuck}");
    assert!(stuck.to_string().contains("trust request with agent 2"), "{stuck}");
}

#[test]
fn the_registry_waits_for_its_disk_and_everybody_for_the_registry() {
    let mut world = World::new(1, LinkConfig { delay_us: 10, ..LinkConfig::default() });
    let rendezvous = world.add_default_rendezvous();
    let a = world.add_public_daemon(rendezvous);
    // Until its first write is on its way.
    let chain = [Party::Host(a.index()), Party::Host(rendezvous.index()), Party::Disk(rendezvous.index())];
    let seen = world.run(5 * SECOND, |world| {
        let stuck = world.stuck();
        let waits = |from, to| !reasons(&stuck, from, to).is_empty();
        waits(chain[0], chain[1]) && waits(chain[1], chain[2]) && stuck.ends == [chain[2]]
    });
    assert!(seen, "{}", world.stuck());
}

/// Bugs planted on purpose, and what the report says of them. One test: which bug is in force is one number for all threads.
#[cfg(feature = "planted")]
#[test]
fn planted_bugs_leave_reports_that_lead_to_them() {
    use pilot_proto::planted::{Bug, plant};
    use pilot_sim::Scenario;

    let words = |bug, faults: &str| {
        let text = format!(
            "limit_s = 60\nagents = [{{}}, {{}}]\n\
             transfers = [{{ from = 1, to = 2, bytes = 200000 }}, {{ from = 2, to = 1, bytes = 200000, at_ms = 9000 }}]\n\
             {faults}"
        );
        let scenario = Scenario::parse(&text).unwrap();
        plant(None);
        assert!(scenario.run(None).breach.is_none(), "good without the bug");
        plant(Some(bug));
        let breach = scenario.run(None).breach;
        plant(None);
        let breach = breach.expect("the bug is found");
        assert_eq!(breach.rule, "does not finish", "{breach}");
        breach.words
    };
    // A restarted agent offers a new key, which the other never takes: it waits for the other's, who waits for nobody.
    let crash = "faults = [{ at_ms = 5000, verb = 'crash', hosts = [1] }, { at_ms = 6000, verb = 'restart', hosts = [1] }]";
    let wedged = words(Bug::WedgedRekey, crash);
    let edge = "agent 1 (node 1) -> agent 2 (node 2): keys, exchange sent";
    for part in ["transfer 1 with agent 1", edge, "ends at: agent 2"] {
        assert!(wedged.contains(part), "{part} is missing: {wedged}");
    }
    // What was forgotten is a timer that was due long ago.
    let lossy = "link = { loss_ppm = 200000 }";
    let forgotten = words(Bug::LostTimer, lossy);
    assert!(forgotten.contains("acknowledgment of") && forgotten.contains("was due at"), "{forgotten}");
}
