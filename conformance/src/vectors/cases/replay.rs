//! The replay window (TUN-17): which counters are taken, in the order in which they come.

use super::super::case::{Case, Cases, Expect};
use super::{TUNNEL, list, slug, text, vectors};
use crate::live::case::{Grade, Outcome};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How far below the highest counter a new one must still be taken.
const REACH: u64 = 255;

/// A frame that comes: its prefix, its counter, and whether it opens.
#[derive(Clone, Debug)]
struct Step {
    prefix: &'static str,
    counter: u64,
    authentic: bool,
}

fn step(counter: u64) -> Step {
    Step { prefix: "a1a2a3a4", counter, authentic: true }
}

pub(crate) fn cases() -> Vec<Case> {
    let golden = vectors(TUNNEL);
    let mut cases = Cases::new("replay");
    for vector in list(&golden["replay_sequences"]) {
        let counter = |step: &Value| text(&step["counter"]).parse().unwrap_or_default();
        let steps = list(&vector["steps"])
            .iter()
            .map(|given| Step { authentic: given["authentic"] != false, ..step(counter(given)) })
            .collect();
        add(&mut cases, &slug(text(&vector["name"])), steps);
    }
    add(&mut cases, "first-frame", vec![step(1)]);
    add(&mut cases, "first-is-zero-then-one", vec![step(0), step(1), step(0), step(1)]);
    add(&mut cases, "every-counter-downwards", (0..=REACH).rev().map(|i| step(1000 + i)).collect());
    add(&mut cases, "every-counter-twice", (1..=600).flat_map(|i| [step(i), step(i)]).collect());
    add(&mut cases, "pairs-swapped", (1..=300).flat_map(|i| [step(2 * i), step(2 * i - 1)]).collect());
    for at in [63, 64, 65, 127, 128, 191, 192, 254, 255] {
        // Words of 32 and 64 bits end here.
        let steps = vec![step(5000), step(5000 - at), step(5000 - at), step(5001), step(5001 - at)];
        add(&mut cases, &format!("{at}-below"), steps);
    }
    for jump in [1, 63, 64, 65, 127, 128, 255, 256, 257, 511, 512, 1023, 1024, 1025, 4096, 1 << 32, 1 << 63] {
        let high = 2000 + jump;
        let steps =
            vec![step(1999), step(2000), step(high), step(2000), step(high), step(high - 1), step(high - 1)];
        add(&mut cases, &format!("jump-of-{jump}"), steps);
    }
    for counter in [u64::from(u32::MAX), 1 << 53, u64::MAX - 1, u64::MAX] {
        let steps =
            vec![step(counter - 1), step(counter), step(counter), step(counter - 1), step(counter - 2)];
        add(&mut cases, &format!("around-{counter}"), steps);
    }
    let other = |counter| Step { prefix: "b1b2b3b4", ..step(counter) };
    let steps =
        vec![step(100_000), other(1), step(99_999), other(1), other(2), other(100_000), step(100_000)];
    add(&mut cases, "a-window-for-each-prefix", steps);
    let forged = |counter| Step { authentic: false, ..step(counter) };
    add(&mut cases, "forged-before-all", vec![forged(u64::MAX), step(1), step(2), step(1)]);
    let steps = (1..=100).flat_map(|i| [forged(i + 10_000), step(i), forged(i), step(i)]).collect();
    add(&mut cases, "forged-in-between", steps);
    for seed in 1..=40 {
        // Most stay within what every window has; a few look beyond.
        let depth = if seed % 8 == 0 { 320 } else { REACH };
        add(&mut cases, &format!("drawn-{seed:02}"), drawn(seed, depth));
    }
    cases.all
}

/// A sequence with losses, reordering of up to `depth`, repetitions and forgeries, drawn from a seed.
fn drawn(seed: u64, depth: u64) -> Vec<Step> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut draw = |below: u64| {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
    };
    let mut highest = draw(1000);
    (0..200)
        .map(|_| {
            let counter = match draw(8) {
                0..=3 => highest + 1,
                4 => highest + 1 + draw(300),
                _ => highest.saturating_sub(draw(depth)),
            };
            let authentic = draw(10) > 0;
            if authentic {
                highest = highest.max(counter);
            }
            Step { authentic, ..step(counter) }
        })
        .collect()
}

fn add(cases: &mut Cases, name: &str, steps: Vec<Step>) {
    let asked: Vec<Value> = steps
        .iter()
        .map(|s| json!({"prefix": s.prefix, "counter": s.counter.to_string(), "authentic": s.authentic}))
        .collect();
    let question = json!({"op": "replay-window", "steps": asked});
    let rule = "no counter is taken twice, a forged frame changes nothing, and a new counter at most 255 below the \
                highest is taken";
    let judge = move |result: &Value| judge(&steps, result);
    cases.must(name, "TUN-17", rule, question, Expect::Rule(Box::new(judge)));
}

fn judge(steps: &[Step], result: &Value) -> Outcome {
    let taken: Vec<bool> = list(&result["accepted"]).iter().filter_map(Value::as_bool).collect();
    if taken.len() != steps.len() {
        return Err(format!("{} steps were told, {} answered", steps.len(), taken.len()));
    }
    let mut seen: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    let mut larger = false;
    for (number, (step, taken)) in steps.iter().zip(&taken).enumerate() {
        let Step { prefix, counter, authentic } = step;
        let seen = seen.entry(prefix).or_default();
        let highest = seen.last().copied();
        let fresh = !seen.contains(counter);
        let near = highest.is_none_or(|highest| counter.saturating_add(REACH) >= highest);
        match (authentic, fresh, near, taken) {
            (false, .., true) => return Err(format!("step {number}: a forged frame is taken")),
            (true, false, _, true) => return Err(format!("step {number}: counter {counter} is taken twice")),
            (true, true, true, false) => {
                return Err(format!(
                    "step {number}: counter {counter} is new, the highest is {highest:?}, and is not taken"
                ));
            }
            (true, true, near, true) => {
                larger |= !near;
                seen.insert(*counter);
            }
            (false, .., false) | (true, _, _, false) => {}
        }
    }
    Ok(if larger {
        Grade::Seen("a larger window than April's, as the clause allows".into())
    } else {
        Grade::Strict
    })
}

#[cfg(test)]
mod tests {
    use super::{judge, step};
    use crate::live::case::Grade;
    use serde_json::json;

    #[test]
    fn the_judge_of_windows_knows_what_is_free_and_what_is_not() {
        let steps = [step(1), step(300), step(1), step(300), step(45), step(44)];
        let verdict = |taken: [bool; 6]| judge(&steps, &json!({"accepted": taken}));
        assert_eq!(verdict([true, true, false, false, true, false]), Ok(Grade::Strict));
        assert!(matches!(verdict([true, true, false, false, true, true]), Ok(Grade::Seen(_))));
        assert!(verdict([true, true, true, false, true, false]).is_err(), "twice");
        assert!(verdict([true, true, false, false, false, false]).is_err(), "within reach");
        assert!(judge(&steps, &json!({"accepted": [true]})).is_err(), "too few");
    }
}
