//! The README names every key of a scenario file, every verb, and every kind of line of a trace.

use pilot_sim::{Fault, Scenario, Verb};
use toml::Value;

const README: &str = include_str!("../README.md");

fn keys(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| {
            found.push(key.clone());
            keys(value, found);
        }),
        Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

#[test]
fn the_readme_names_every_key_and_verb() {
    let verbs = [
        Verb::Crash,
        Verb::Restart,
        Verb::Stop,
        Verb::Partition,
        Verb::PartitionOneway,
        Verb::Clog,
        Verb::Heal,
        Verb::Rebind,
        Verb::RebindCarrier,
        Verb::JumpClock,
        Verb::FailDisk,
        Verb::MendDisk,
        Verb::FailSink,
        Verb::MendSink,
    ];
    let everything: Scenario = toml::from_str(include_str!("everything.toml")).unwrap();
    let faults = verbs.map(|verb| Fault::new(0, verb, vec![1])).to_vec();
    let text = format!("{}{}", everything.to_toml(), Scenario { faults, ..Scenario::default() }.to_toml());
    let mut names = Vec::new();
    keys(&toml::from_str(&everything.to_toml()).unwrap(), &mut names);
    names.extend(
        text.lines()
            .filter_map(|line| Some(line.strip_prefix("verb = \"")?.trim_end_matches('"').to_owned())),
    );
    // What a whole scenario writes and this one has not is missing in it.
    let mut written = Vec::new();
    for seed in 0..50 {
        keys(&toml::from_str(&pilot_sim::draw(seed).to_toml()).unwrap(), &mut written);
    }
    for key in written {
        assert!(names.contains(&key), "everything.toml has no {key}");
    }
    assert!(names.len() > 50, "{text}");
    for name in names {
        assert!(README.contains(&format!("`{name}`")), "the README does not name {name}");
    }
}

#[test]
fn the_readme_names_every_kind_of_line() {
    let watch = include_str!("../src/watch.rs");
    let (_, seen) = watch.split_once("pub enum Seen").unwrap();
    let (seen, _) = seen.split_once("\n}\n").unwrap();
    let variants = seen
        .lines()
        .filter_map(|line| line.strip_prefix("    ").filter(|l| l.starts_with(char::is_uppercase)));
    let mut count = 0;
    for variant in variants {
        let name: String = variant.chars().take_while(char::is_ascii_alphabetic).collect();
        assert!(README.contains(&format!("`{}`", name.to_lowercase())), "the README does not name {name}");
        count += 1;
    }
    assert!(count > 12, "{count}");
}
