//! The judge judged: our own adapter passes, every case can fail, and errors that people make are found.

#[path = "../../examples/pilot_adapter/answers.rs"]
mod answers;
#[path = "../../examples/pilot_adapter/extension.rs"]
mod extension;
#[path = "../../examples/pilot_adapter/ipc.rs"]
mod ipc;
mod planted;
#[path = "../../examples/pilot_adapter/question.rs"]
mod question;

use super::case::{Answer, Case, Expect};
use super::cases;
use crate::live::case::{Level, Verdict};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What an adapter's line says, its id left out.
fn told(line: &Value) -> Answer {
    match (line.get("result"), line["error"].as_str()) {
        (Some(result), _) => Answer::Result(result.clone()),
        (None, Some(why)) => Answer::Refused(why.into()),
        (None, None) => Answer::Unsupported,
    }
}

#[test]
fn ours_passes_every_case() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in cases::all() {
        let verdict = case.grade(&told(&answers::answer(&case.question)));
        *counts.entry(verdict.word()).or_default() += 1;
        if !matches!(verdict, Verdict::Ok | Verdict::Informational(_)) {
            wrong.push(format!("{}: {} {}", case.heading.id, verdict.word(), verdict.text()));
        }
    }
    println!("{counts:?}");
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// Answers that are wrong for a case, made of what is right.
fn spoiled(case: &Case, right: &Answer) -> Vec<Answer> {
    match &case.expect {
        Expect::Result(members) | Expect::Either(members) | Expect::Best(members) => {
            let Answer::Result(right) = right else { return Vec::new() };
            let names = members.as_object().into_iter().flat_map(|members| members.keys());
            let without = |name: &String| {
                let mut changed = right.clone();
                changed.as_object_mut()?.remove(name);
                Some(Answer::Result(changed))
            };
            let other = |name: &String| {
                let mut changed = right.clone();
                changed[name] = match &right[name] {
                    Value::String(text) if text.is_empty() => "00".into(),
                    // The last digit, as one wrong bit would have it.
                    Value::String(text) => {
                        let last = text.chars().last().unwrap_or_default();
                        format!(
                            "{}{}",
                            &text[..text.len() - last.len_utf8()],
                            if last == '0' { '1' } else { '0' }
                        )
                        .into()
                    }
                    Value::Number(number) => (number.as_i64().unwrap_or_default() ^ 1).into(),
                    Value::Bool(on) => (!on).into(),
                    Value::Array(list) if list.is_empty() => json!([1]),
                    Value::Array(list) => list[1..].into(),
                    _ => Value::Null,
                };
                Answer::Result(changed)
            };
            let refusal = matches!(case.expect, Expect::Result(_)).then(|| Answer::Refused("no".into()));
            names.clone().filter_map(without).chain(names.map(other)).chain(refusal).collect()
        }
        Expect::Refusal | Expect::Reason(..) => vec![Answer::Result(json!({}))],
        Expect::Rule(_) => vec![Answer::Refused("no".into()), Answer::Result(json!({}))],
        Expect::Unknown => vec![Answer::Result(json!({})), Answer::Refused("no".into())],
    }
}

#[test]
fn no_case_is_decoration() {
    let (mut answers_tried, mut cases_tried) = (0, 0);
    for case in cases::all() {
        let right = told(&answers::answer(&case.question));
        let wrong = spoiled(&case, &right);
        // Where the clause leaves a refusal free, and ours refuses, nothing is wrong.
        assert!(!wrong.is_empty() || matches!(case.expect, Expect::Either(_)), "{}", case.heading.id);
        cases_tried += usize::from(!wrong.is_empty());
        for answer in wrong {
            answers_tried += 1;
            let word = case.grade(&answer).word();
            let expected: &[&str] = match (case.heading.level, &case.expect) {
                (_, Expect::Best(_)) => &["NON-STRICT"],
                (Level::Must, _) => &["FAILED"],
                (Level::Should, _) => &["NON-STRICT"],
                (Level::May, _) => &["INFORMATIONAL"],
            };
            assert!(expected.contains(&word), "{}: {answer:?} is {word}", case.heading.id);
        }
    }
    println!("{answers_tried} wrong answers to {cases_tried} cases");
}

#[test]
fn every_planted_error_is_found() {
    let all = cases::all();
    let mut untouched: BTreeSet<&str> = all.iter().map(Case::op).collect();
    let mut unfound = Vec::new();
    for (name, op, planted) in planted::ERRORS {
        untouched.remove(op);
        let (mut asked, mut failed) = (0, Vec::new());
        for case in all.iter().filter(|case| case.op() == *op) {
            asked += 1;
            if matches!(case.grade(&told(&planted(&case.question))), Verdict::Failed(_)) {
                failed.push(case.heading.id.as_str());
            }
        }
        let first = failed.first().copied().unwrap_or("nothing");
        println!("{op:<22} {name:<44} {:>4} of {asked:>4}  {first}", failed.len());
        if failed.is_empty() {
            unfound.push(format!("{op}: {name}"));
        }
    }
    assert!(unfound.is_empty(), "not found: {unfound:#?}");
    assert!(untouched.is_empty(), "no error is planted in {untouched:?}");
}
