//! Every target over every input that is kept, and over some that are made up: no promise is broken.

use std::{
    collections::BTreeSet,
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use pilot_fuzz::TARGETS;
use pilot_proto::rng::{Rng, SeededRng};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn names(directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(here().join(directory)).unwrap();
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_target_has_a_fuzzer_and_a_corpus() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len());
    assert_eq!(targets, names("corpus"));
    assert_eq!(targets, names("libfuzzer/fuzz_targets"));
    let manifest = fs::read_to_string(here().join("libfuzzer/Cargo.toml")).unwrap();
    for target in targets {
        assert!(manifest.contains(&format!("name = \"{target}\"\n")), "{target} in libfuzzer/Cargo.toml");
    }
}

#[test]
fn the_corpus_breaks_no_promise() {
    let mut broken = Vec::new();
    for (name, target) in TARGETS {
        let (mut count, started) = (0, std::time::Instant::now());
        for entry in fs::read_dir(here().join("corpus").join(name)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            count += 1;
            if catch_unwind(|| target(&bytes)).is_err() {
                broken.push(path);
            }
        }
        assert!(count > 0, "{name} has no input");
        println!("{name}: {count} inputs, {} ms", started.elapsed().as_millis());
    }
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn changed_inputs_break_no_promise() {
    let mut rng = SeededRng::new(1);
    for (name, target) in TARGETS {
        let mut files: Vec<_> = fs::read_dir(here().join("corpus").join(name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        for _ in 0..40 {
            let mut bytes = fs::read(&files[rng.u32() as usize % files.len()]).unwrap();
            for _ in 0..1 + rng.u32() % 4 {
                let at = rng.u32() as usize % (bytes.len() + 1);
                match rng.u32() % 3 {
                    0 => bytes.insert(at, rng.u32() as u8),
                    1 if at < bytes.len() => bytes[at] = rng.u32() as u8,
                    _ => bytes.truncate(at.max(1)),
                }
            }
            let kept = bytes.clone();
            if catch_unwind(move || target(&bytes)).is_err() {
                panic!("{name}: {}", kept.escape_ascii());
            }
        }
    }
}
