//! Scenario files: regressions and examples. Each runs twice and does the same, byte for byte.

use std::{fs, path::Path};

use pilot_sim::{Scenario, swarm};

#[test]
fn every_scenario_file_ends_well_and_is_the_same_twice() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 4);
    for file in files {
        let scenario = Scenario::parse(&fs::read_to_string(&file).unwrap()).unwrap();
        let (first, second) = (scenario.run(None), scenario.run(None));
        assert!(first.breach.is_none(), "{}: {:?}\n{}", file.display(), first.breach, first.log.join("\n"));
        assert_eq!((first.hash, first.counters), (second.hash, second.counters), "{}", file.display());
    }
}

#[test]
fn a_small_swarm_is_good_and_each_seed_is_the_same_twice() {
    let outcome = swarm(1, 24, None, 2, true, |_, _| {});
    let broken = outcome.broken.map(|(scenario, report)| (scenario.seed, report.breach));
    assert!(broken.is_none(), "{broken:?}");
}

#[test]
fn a_scenario_survives_being_written_and_read_and_names_only_hosts_it_has() {
    for seed in 0..50 {
        let scenario = pilot_sim::draw(seed);
        assert_eq!(Scenario::parse(&scenario.to_toml()).as_ref(), Ok(&scenario), "{}", scenario.to_toml());
    }
    let wrong = "[[agents]]\n[[faults]]\nat_ms = 1\nverb = \"crash\"\nhosts = [2]";
    assert_eq!(Scenario::parse(wrong), Err("host 2 is named, hosts are 0 (rendezvous) to 1".to_owned()));
}
