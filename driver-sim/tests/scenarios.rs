//! Scenario files: regressions and examples. Each runs twice and does the same, byte for byte.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use pilot_sim::{Scenario, shrink, swarm};

fn files(folder: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn ends_well_twice(file: &Path) {
    let scenario = Scenario::parse(&fs::read_to_string(file).unwrap()).unwrap();
    let (first, second) = (scenario.run(None), scenario.run(None));
    assert!(first.breach.is_none(), "{}: {:?}\n{}", file.display(), first.breach, first.log.join("\n"));
    assert_eq!((first.hash, first.counters), (second.hash, second.counters), "{}", file.display());
}

#[test]
fn every_regression_ends_well_and_is_the_same_twice() {
    let files = files("scenarios");
    assert!(files.len() >= 4);
    files.iter().for_each(|file| ends_well_twice(file));
}

#[test]
fn every_example_ends_well_is_the_same_twice_and_says_what_it_asks() {
    let files = files("examples");
    assert!(files.len() >= 10);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let comment: String = text.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(comment.contains('?'), "{} asks nothing", file.display());
        ends_well_twice(&file);
    }
}

#[test]
fn a_wrong_file_is_refused_with_the_line_and_the_word() {
    for (text, line, word) in [
        ("seed = 1\nsede = 2", "line 2", "`sede`"),
        ("[[agents]]\n\nnta = 1", "line 3", "`nta`"),
        ("[link]\nloss = 0.1", "line 2", "`loss`"),
        ("[[faults]]\nat_ms = 1\nverb = \"explode\"", "line 3", "`explode`"),
    ] {
        let words = Scenario::parse(text).unwrap_err();
        assert!(words.contains(line) && words.contains(word), "{words}");
    }
    let many = Scenario::parse("[[agents]]\ncount = 1000000").unwrap_err();
    assert_eq!(many, "1000000 agents, at most 10000 are expected");
    let routers = "agents = [{}]\nrouters = [{ hosts = [1], rate = 1, queue = 1 }, { hosts = [1], rate = 1, queue = 1 }]";
    let twice = Scenario::parse(routers).unwrap_err();
    assert_eq!(twice, "host 1 is behind two routers, at most one is expected");
}

#[test]
fn what_breaks_is_made_small() {
    // A rate of 1 kB/s is why it does not finish; nothing else in it matters.
    let text = r#"
limit_s = 30
link = { delay_us = 20000, jitter_us = 3000, loss_ppm = 1000, duplicate_ppm = 1000, rate = 1000, queue = 100000 }
agents = [{ nat = {} }, { drift_ppm = 100 }, { public = true }, { read_rate = 1000000 }, {}]
transfers = [
    { from = 1, to = 2, bytes = 1000000 },
    { from = 3, to = 2, bytes = 1000, at_ms = 2000 },
]
trusts = [{ from = 4, to = 1 }]
renames = [{ host = 5, names = ["a"] }]
faults = [
    { at_ms = 1000, verb = "crash", hosts = [3] },
    { at_ms = 1500, verb = "restart", hosts = [3] },
    { at_ms = 2000, verb = "rebind", hosts = [1] },
]
"#;
    let scenario = Scenario::parse(text).unwrap();
    let report = scenario.run(None);
    assert_eq!(report.breach.as_ref().map(|breach| breach.rule), Some("does not finish"));
    let (small, again) = shrink(&scenario, &report);
    assert_eq!(again.breach.as_ref().map(|breach| breach.rule), Some("does not finish"));
    assert_eq!(
        (small.agents.len(), small.transfers.len(), small.faults.len()),
        (2, 1, 0),
        "{}",
        small.to_toml()
    );
    assert!(small.trusts.is_empty() && small.renames.is_empty() && small.link.loss_ppm == 0);
    assert!(small.transfers[0].bytes < 1_000_000);
}

#[test]
fn a_smaller_scenario_can_still_be_done_and_read() {
    // What nobody needs goes, from the middle too; the trust without which nobody could be reached stays with its agent.
    let text = r#"
limit_s = 30
link = { rate = 1000, queue = 100000 }
links = [{ hosts = [2, 3], link = { loss_ppm = 1000 } }, { hosts = [4], link = { delay_us = 1 } }]
routers = [{ hosts = [1, 2, 4], rate = 100000, queue = 10000 }]
agents = [{}, {}, { public = false }, { beside = 2 }]
transfers = [{ from = 1, to = 3, bytes = 1000000 }]
trusts = [{ from = 1, to = 3 }, { from = 4, to = 3 }]
"#;
    let scenario = Scenario::parse(text).unwrap();
    assert!(scenario.is_possible());
    let mut without = scenario.clone();
    without.trusts.remove(0);
    assert!(!without.is_possible());
    let (small, again) = shrink(&scenario, &scenario.run(None));
    assert_eq!(again.breach.map(|breach| breach.rule), Some("does not finish"));
    assert!(small.is_possible() && small.agents.len() == 2, "{}", small.to_toml());
    assert!(small.links.is_empty() && small.routers.is_empty(), "{}", small.to_toml());
    assert_eq!(Scenario::parse(&small.to_toml()), Ok(small));
}

/// Adds every value of every key to `seen`.
fn collect(path: &str, value: &toml::Value, seen: &mut BTreeMap<String, BTreeSet<String>>) {
    match value {
        toml::Value::Table(table) => {
            table.iter().for_each(|(key, value)| collect(&format!("{path}.{key}"), value, seen));
        }
        toml::Value::Array(list) if list.iter().any(toml::Value::is_table) => {
            list.iter().for_each(|value| collect(path, value, seen));
        }
        value => {
            seen.entry(path.into()).or_default().insert(value.to_string());
        }
    }
}

#[test]
fn a_swarm_draws_every_option_there_is() {
    let mut seen = BTreeMap::new();
    for seed in 0..2000 {
        collect("", &toml::from_str(&pilot_sim::draw(seed).to_toml()).unwrap(), &mut seen);
    }
    let mut keys = BTreeMap::new();
    let everything = include_str!("everything.toml");
    collect("", &toml::from_str(everything).unwrap(), &mut keys);
    for key in keys.into_keys() {
        let values = seen.get(&key).map_or(0, BTreeSet::len);
        // The seed is given, the limit is a judge's, and equal agents are written one by one.
        let fixed = [".seed", ".limit_s", ".agents.count"].contains(&key.as_str());
        assert!(fixed || values > 1, "{key}: {values} values in 2000 seeds");
    }
    let verbs = &seen[".faults.verb"];
    assert_eq!(verbs.len(), 14, "{verbs:?}");
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

/// Proves NAT-19. Who only receives owes nothing and is owed nothing; it once took until the next registration at the
/// beacon, up to 25 s, before anybody knew where it was.
#[test]
fn a_receiver_whose_nat_forgets_is_found_again_at_once() {
    let kinds = ["independent", "port"];
    for (mapping, filtering) in kinds.iter().flat_map(|mapping| kinds.map(|filtering| (mapping, filtering))) {
        for sender in ["{}", "{ nat = { mapping = \"independent\", filtering = \"port\" } }"] {
            let text = format!(
                r#"
limit_s = 60
link = {{ delay_us = 20000, rate = 500000, queue = 100000 }}
agents = [{{ nat = {{ mapping = "{mapping}", filtering = "{filtering}" }} }}, {sender}]
transfers = [{{ from = 2, to = 1, bytes = 3000000, at_ms = 1000 }}]
faults = [{{ at_ms = 4000, verb = "rebind", hosts = [1] }}]
"#
            );
            let report = Scenario::parse(&text).unwrap().run(None);
            assert_eq!(report.breach, None, "{text}");
            let done = report.transfers[0].done_at.map(|at| at.as_micros() / 1_000_000);
            assert!(done.is_some_and(|seconds| seconds < 16), "done after {done:?} s: {text}");
        }
    }
}
