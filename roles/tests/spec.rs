//! The specification keeps its promises: every hazard has a test, and every clause is cited where it is proved.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Layers and how many hazards each has, with the letter of their numbers.
const HAZARDS: [(&str, &str, usize); 6] =
    [("01", "H", 18), ("02", "D", 20), ("03", "B", 23), ("04", "", 41), ("07", "", 21), ("08", "", 22)];

/// Clauses that no test or doc line needs to cite.
const NOT_CITED: [(&str, &str); 9] = [
    ("DIF-2", "a table of differences; the clauses of the layer are cited"),
    ("DIF-3", "a table of differences; the clauses of the layer are cited"),
    ("DIF-4", "a table of differences; the clauses of the layer are cited"),
    ("DIF-5", "a table of differences; the clauses of the layer are cited"),
    ("DIF-6", "a table of places; a test of its own reads it"),
    ("DIF-7", "a table of places; a test of its own reads it"),
    ("DIF-8", "a table of places; a test of its own reads it"),
    ("DIF-9", "a table of places; a test of its own reads it"),
    ("LIM-3", "a table of numbers; each is a constant next to what it limits"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of the project but this one.
fn sources() -> String {
    let mut text = String::new();
    let mut left = vec![root()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                left.push(path);
            } else if name.ends_with(".rs") && !path.ends_with("roles/tests/spec.rs") {
                text += &fs::read_to_string(&path).unwrap();
                text.push('\n');
            }
        }
    }
    text
}

/// The words that follow `before` in a text, as far as they are words.
fn words_after<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    })
}

#[test]
fn every_hazard_has_a_test_of_its_name_or_an_excuse() {
    let sources = sources();
    let tests: BTreeSet<&str> = words_after(&sources, "fn hazard_").collect();
    let table = fs::read_to_string(root().join("spec/hazards.md")).unwrap();
    let mut rows = BTreeMap::new();
    let (mut all, mut excused, mut wrong) = (0, 0, Vec::new());
    for line in table.lines().filter(|line| line.starts_with("| 0")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, _, _, proof] = cells[..] else { panic!("a row has four cells: {line}") };
        all += 1;
        if rows.insert(id, proof).is_some() {
            wrong.push(format!("{id} is there twice"));
        }
        if let Some(why) = proof.strip_prefix("excused: ") {
            println!("hazard {id} is excused: {why}");
            excused += 1;
            continue;
        }
        let token = format!("_{}_", id.to_lowercase().replace('-', "_"));
        let named: Vec<&str> = proof.split(", ").map(|name| name.trim_matches('`')).collect();
        for name in named {
            if !format!("_{}", name.trim_start_matches("hazard_")).contains(&token) {
                wrong.push(format!("{id}: {name:?} is not named after it"));
            }
            if !name.strip_prefix("hazard_").is_some_and(|name| tests.contains(name)) {
                wrong.push(format!("{id}: there is no test {name:?}"));
            }
        }
    }
    for (layer, letter, count) in HAZARDS {
        for number in 1..=count {
            let id = format!("{layer}-{letter}{number}");
            if rows.remove(id.as_str()).is_none() {
                wrong.push(format!("{id} is missing"));
            }
        }
        for test in tests.iter().filter(|test| test.starts_with(&format!("{layer}_"))) {
            if !table.contains(&format!("`hazard_{test}`")) {
                wrong.push(format!("hazard_{test} is in no row"));
            }
        }
    }
    wrong.extend(rows.keys().map(|id| format!("{id} is no hazard")));
    println!(
        "hazards: {all} in all, {} with a test of their name, {excused} excused, {} wrong",
        all - excused,
        wrong.len()
    );
    assert!(wrong.is_empty(), "spec/hazards.md:\n{}", wrong.join("\n"));
}

#[test]
fn every_clause_is_cited_where_it_is_proved_or_excused() {
    let sources = sources();
    let mut clauses = BTreeSet::new();
    for entry in fs::read_dir(root().join("spec")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(path).unwrap();
            let defined = text.lines().filter_map(|line| line.strip_prefix("**")?.split("**").next());
            clauses.extend(defined.filter(|id| id.contains('-') && !id.contains(' ')).map(String::from));
        }
    }
    assert!(clauses.len() > 100, "{clauses:?}");
    let is_cited = |id: &str| {
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_digit());
        sources.split(id).skip(1).any(ends)
    };
    let excused: BTreeSet<&str> = NOT_CITED.iter().map(|(id, _)| *id).collect();
    let uncovered: Vec<&String> =
        clauses.iter().filter(|id| !excused.contains(id.as_str()) && !is_cited(id)).collect();
    for (id, why) in NOT_CITED {
        println!("clause {id} is excused: {why}");
    }
    let mut layers: BTreeMap<&str, usize> = BTreeMap::new();
    for id in &clauses {
        *layers.entry(id.split('-').next().unwrap_or_default()).or_default() += 1;
    }
    let layers: Vec<String> = layers.iter().map(|(layer, count)| format!("{layer} {count}")).collect();
    let (all, excuses) = (clauses.len(), excused.len());
    println!(
        "clauses: {all} in all ({}), {} cited by code or tests, {excuses} excused, {} uncovered",
        layers.join(", "),
        all - excuses - uncovered.len(),
        uncovered.len(),
    );
    assert!(uncovered.is_empty(), "no test and no doc line cites {uncovered:?}");
    let stale: Vec<&&str> = excused.iter().filter(|id| !clauses.contains(**id) || is_cited(id)).collect();
    assert!(stale.is_empty(), "excused in vain: {stale:?}");
}

#[test]
fn what_releases_demand_is_where_the_tables_say() {
    let sources = sources();
    let functions: BTreeSet<&str> = words_after(&sources, "fn ").collect();
    let text = fs::read_to_string(root().join("spec/differences.md")).unwrap();
    let tables = text.split("## What the releases demand").nth(1).unwrap();
    let mut wrong = Vec::new();
    for line in tables.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, place, proof] = cells[..] else { panic!("a row has three cells: {line}") };
        let named =
            |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(String::from).collect() };
        wrong.extend(
            named(place).into_iter().filter(|file| file.contains('/') && !root().join(file).is_file()),
        );
        wrong.extend(named(proof).into_iter().filter(|test| !functions.contains(test.as_str())));
    }
    assert!(wrong.is_empty(), "neither files nor tests: {wrong:?}");
}
