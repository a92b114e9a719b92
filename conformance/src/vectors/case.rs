//! A question to an adapter, what counts as a right answer, and the verdict of the one that came.

use crate::live::case::{Grade, Heading, Level, Outcome, Verdict};
use serde_json::Value;

/// What came back for a question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// The operation succeeded; an object.
    Result(Value),
    /// The implementation refuses the input. The text begins with a reason word, or not.
    Refused(String),
    /// The adapter does not have this operation.
    Unsupported,
    /// No answer came: the adapter ended, hung, or wrote something else. Says which.
    Nothing(String),
}

type Judge = Box<dyn Fn(&Value) -> Outcome>;

/// What counts as right.
pub(crate) enum Expect {
    /// These members; others beside them are ignored.
    Result(Value),
    /// This, of several that the clause allows, is what releases do; any result is allowed.
    Best(Value),
    /// A refusal for whatever reason.
    Refusal,
    /// A refusal for this reason. Whether another is an error, or merely not the best.
    Reason(String, Strictness),
    /// These members, or a refusal: the clause leaves it open at which layer.
    Either(Value),
    /// That the adapter does not have the operation.
    Unknown,
    /// The result is judged by a rule; a refusal is wrong.
    Rule(Judge),
}

/// How a refusal for another reason counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// The clause makes the reason part of the answer.
    Reported,
    /// The clause orders the checks, and nobody on the wire sees the order.
    Hidden,
}

/// One question and its right answer.
pub(crate) struct Case {
    pub(crate) heading: Heading,
    /// The request without its `id`; an object with `op`.
    pub(crate) question: Value,
    pub(crate) expect: Expect,
}

/// The cases of a section, in the order they are written.
pub(crate) struct Cases {
    section: &'static str,
    pub(crate) all: Vec<Case>,
}

impl Cases {
    pub(crate) fn new(section: &'static str) -> Cases {
        Cases { section, all: Vec::new() }
    }

    pub(crate) fn add(
        &mut self,
        level: Level,
        id: &str,
        clause: &'static str,
        text: &str,
        question: Value,
        expect: Expect,
    ) {
        let id = format!("{}/{id}", self.section);
        self.all.push(Case { heading: Heading { id, clause, level, text: text.into() }, question, expect });
    }

    pub(crate) fn must(
        &mut self,
        id: &str,
        clause: &'static str,
        text: &str,
        question: Value,
        expect: Expect,
    ) {
        self.add(Level::Must, id, clause, text, question, expect);
    }

    pub(crate) fn should(
        &mut self,
        id: &str,
        clause: &'static str,
        text: &str,
        question: Value,
        expect: Expect,
    ) {
        self.add(Level::Should, id, clause, text, question, expect);
    }
}

/// The words by which adapters name reasons, as the vectors do.
pub(crate) const REASONS: [&str; 11] = [
    "no_colon",
    "bad_network_decimal",
    "group_count",
    "group_length",
    "bad_hex",
    "network_mismatch",
    "bad_port",
    "too_short",
    "truncated",
    "checksum_mismatch",
    "bad_version",
];

impl Case {
    pub(crate) fn op(&self) -> &str {
        self.question["op"].as_str().unwrap_or_default()
    }

    /// The verdict of an answer. Who does not answer at all fails whatever the clause asks.
    pub(crate) fn grade(&self, answer: &Answer) -> Verdict {
        match answer {
            Answer::Nothing(why) => Verdict::Failed(why.clone()),
            answer => self.heading.level.judge(self.compare(answer)),
        }
    }

    fn compare(&self, answer: &Answer) -> Outcome {
        match (answer, &self.expect) {
            (Answer::Unsupported, Expect::Unknown) => Ok(Grade::Strict),
            (Answer::Unsupported, _) => Ok(Grade::Lacking(format!("the adapter has no {}", self.op()))),
            (_, Expect::Unknown) => Err("an operation that does not exist was answered".into()),
            (Answer::Result(result), Expect::Result(expected) | Expect::Either(expected)) => {
                same(expected, result).map(|()| Grade::Strict)
            }
            (Answer::Result(result), Expect::Best(expected)) => Ok(match same(expected, result) {
                Ok(()) => Grade::Strict,
                Err(why) => Grade::Allowed(why),
            }),
            (Answer::Result(result), Expect::Rule(judge)) => judge(result),
            (Answer::Result(result), Expect::Refusal | Expect::Reason(..)) => {
                Err(format!("not refused; the result is {}", short(&result.to_string())))
            }
            (Answer::Refused(_), Expect::Refusal | Expect::Either(_)) => Ok(Grade::Strict),
            (Answer::Refused(why), Expect::Reason(expected, strictness)) => {
                let word = why.split([':', ' ']).next().unwrap_or_default();
                match (word == expected, REASONS.contains(&word), strictness) {
                    (true, ..) => Ok(Grade::Strict),
                    (false, true, Strictness::Reported) => {
                        Err(format!("refused for {word}, the first failure is {expected}"))
                    }
                    (false, true, Strictness::Hidden) => {
                        Ok(Grade::Allowed(format!("refused for {word}, the first failure is {expected}")))
                    }
                    (false, false, Strictness::Reported) => {
                        Ok(Grade::Allowed(format!("refused without its reason, {expected}")))
                    }
                    (false, false, Strictness::Hidden) => Ok(Grade::Strict),
                }
            }
            (Answer::Refused(why), Expect::Result(_) | Expect::Best(_) | Expect::Rule(_)) => {
                Err(format!("refused: {}", short(why)))
            }
            (Answer::Nothing(why), _) => Err(why.clone()),
        }
    }
}

/// Whether every member of `expected` is in `result`; what differs if not.
fn same(expected: &Value, result: &Value) -> Result<(), String> {
    let Value::Object(members) = expected else {
        return if expected == result { Ok(()) } else { Err(differs("the result", expected, result)) };
    };
    for (name, value) in members {
        match result.get(name) {
            Some(found) if found == value => {}
            Some(found) => return Err(differs(name, value, found)),
            None => {
                return Err(format!("{name} is missing; it is {}", short(&value.to_string())));
            }
        }
    }
    Ok(())
}

fn differs(name: &str, expected: &Value, found: &Value) -> String {
    format!("{name} is {}, expected {}", short(&found.to_string()), short(&expected.to_string()))
}

/// A text cut to what a line of a report holds.
pub(crate) fn short(text: &str) -> String {
    const MOST: usize = 160;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Cases, Expect, Strictness};
    use crate::live::case::Verdict;
    use serde_json::json;

    fn verdict(expect: Expect, answer: &Answer) -> &'static str {
        let mut cases = Cases::new("packet");
        cases.must("one", "PKT-1", "text", json!({"op": "decode-packet"}), expect);
        cases.all[0].grade(answer).word()
    }

    #[test]
    fn a_result_needs_every_member_and_may_have_more() {
        let expect = || Expect::Result(json!({"a": 1, "b": "00"}));
        assert_eq!(verdict(expect(), &Answer::Result(json!({"a": 1, "b": "00", "c": 3}))), "OK");
        for wrong in [json!({"a": 1}), json!({"a": 2, "b": "00"}), json!({"a": "1", "b": "00"}), json!(null)]
        {
            assert_eq!(verdict(expect(), &Answer::Result(wrong)), "FAILED");
        }
        assert_eq!(verdict(expect(), &Answer::Refused("no".into())), "FAILED");
        assert_eq!(verdict(expect(), &Answer::Unsupported), "UNIMPLEMENTED");
    }

    #[test]
    fn a_reason_counts_as_much_as_the_clause_says() {
        let refused = |word: &str| Answer::Refused(word.into());
        for (word, reported, hidden) in [
            ("bad_hex: 0x", "OK", "OK"),
            ("no_colon", "FAILED", "NON-STRICT"),
            ("nonsense", "NON-STRICT", "OK"),
            ("", "NON-STRICT", "OK"),
        ] {
            let expect = |strictness| Expect::Reason("bad_hex".into(), strictness);
            assert_eq!(verdict(expect(Strictness::Reported), &refused(word)), reported, "{word}");
            assert_eq!(verdict(expect(Strictness::Hidden), &refused(word)), hidden, "{word}");
        }
        assert_eq!(verdict(Expect::Refusal, &Answer::Result(json!({}))), "FAILED");
    }

    #[test]
    fn silence_fails_even_a_should() {
        let mut cases = Cases::new("packet");
        cases.should("one", "PKT-1", "text", json!({"op": "x"}), Expect::Refusal);
        let silence = Answer::Nothing("it hangs".into());
        assert_eq!(cases.all[0].grade(&silence), Verdict::Failed("it hangs".into()));
    }
}
