//! What came out: a table for people, JSON and JUnit for programs. A page for a browser is [`page`].

use super::case::{Heading, Level, Verdict};
use super::{Options, page};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// How a case ended with one target.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) seconds: f64,
    pub(crate) trace: Vec<String>,
}

/// A case and how it ended with each target.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) section: String,
    pub(crate) clause: String,
    pub(crate) level: Level,
    pub(crate) text: String,
    pub(crate) outcomes: Vec<Option<Outcome>>,
}

/// Cases against targets.
#[derive(Default)]
pub(crate) struct Grid {
    pub(crate) targets: Vec<String>,
    /// How long each target took, starts included.
    pub(crate) seconds: Vec<f64>,
    pub(crate) rows: Vec<Row>,
}

pub(crate) const WORDS: [&str; 6] =
    ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "NOT-RUN", "FAILED"];

impl Grid {
    pub(crate) fn new(cases: impl Iterator<Item = Heading>) -> Grid {
        let rows = cases
            .map(|case| Row {
                section: case.section().to_string(),
                clause: case.clause.into(),
                id: case.id,
                level: case.level,
                text: case.text,
                outcomes: Vec::new(),
            })
            .collect();
        Grid { rows, ..Grid::default() }
    }

    /// The column of a target, new if need be.
    pub(crate) fn column(&mut self, target: &str) -> usize {
        self.targets.push(target.into());
        self.seconds.push(0.0);
        self.rows.iter_mut().for_each(|row| row.outcomes.push(None));
        self.targets.len() - 1
    }

    /// Sets a cell. A case that is repeated keeps its worst outcome.
    pub(crate) fn set(&mut self, row: usize, column: usize, outcome: Outcome) {
        let Some(cell) = self.rows.get_mut(row).and_then(|row| row.outcomes.get_mut(column)) else { return };
        let rank = |outcome: &Outcome| WORDS.iter().position(|word| *word == outcome.verdict.word());
        if cell.as_ref().is_none_or(|before| rank(before) <= rank(&outcome)) {
            *cell = Some(outcome);
        }
    }

    pub(crate) fn count(&self, column: usize, word: &str) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.outcomes.get(column)?.as_ref());
        cells.filter(|outcome| outcome.verdict.word() == word).count()
    }

    /// How each case that was run ended.
    pub(crate) fn verdicts(&self, column: usize) -> BTreeMap<String, &'static str> {
        let cells = self.rows.iter().filter_map(|row| Some((row, row.outcomes.get(column)?.as_ref()?)));
        cells.map(|(row, outcome)| (row.id.clone(), outcome.verdict.word())).collect()
    }

    pub(crate) fn failures(&self, column: usize) -> usize {
        self.count(column, "FAILED")
    }

    /// Whether there were cases for the target, and every one was tried.
    pub(crate) fn ran(&self, column: usize) -> bool {
        let any = self.rows.iter().any(|row| matches!(row.outcomes.get(column), Some(Some(_))));
        any && self.count(column, "NOT-RUN") == 0
    }

    /// The sections, in the order of the cases.
    pub(crate) fn sections(&self) -> Vec<&str> {
        let mut sections: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !sections.contains(&row.section.as_str()) {
                sections.push(&row.section);
            }
        }
        sections
    }

    /// How many cases of a section ended in each way, in the order of [`WORDS`].
    pub(crate) fn counts(&self, section: &str, column: usize) -> [usize; WORDS.len()] {
        let of_section = self.rows.iter().filter(|row| row.section == section);
        let words: Vec<&str> = of_section
            .filter_map(|row| row.outcomes.get(column)?.as_ref())
            .map(|outcome| outcome.verdict.word())
            .collect();
        WORDS.map(|word| words.iter().filter(|seen| **seen == word).count())
    }

    /// Sections against targets, and every cell that is not OK.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\n{:<14}{}",
            "",
            self.targets.iter().map(|t| format!("{:>22}", short(t))).collect::<String>()
        );
        for section in self.sections() {
            let _ = write!(text, "{section:<14}");
            for column in 0..self.targets.len() {
                let [ok, .., bad] = self.counts(section, column);
                let all: usize = self.counts(section, column).iter().sum();
                let failed = if bad > 0 { format!(", {bad} failed") } else { String::new() };
                let _ = write!(text, "{:>22}", format!("{ok}/{all}{failed}"));
            }
            text.push('\n');
        }
        text.push('\n');
        for word in WORDS {
            let _ = write!(text, "{word:<14}");
            for column in 0..self.targets.len() {
                let _ = write!(text, "{:>22}", self.count(column, word));
            }
            text.push('\n');
        }
        text.push('\n');
        for (column, target) in self.targets.iter().enumerate() {
            let mut lacking: Vec<(&Row, &str, usize)> = Vec::new();
            for row in &self.rows {
                let Some(Some(outcome)) = row.outcomes.get(column) else { continue };
                if let Verdict::Unimplemented(why) = &outcome.verdict {
                    let same = |(first, text, _): &&mut (&Row, &str, usize)| {
                        first.section == row.section && text == why
                    };
                    match lacking.iter_mut().find(same) {
                        Some((_, _, count)) => *count += 1,
                        None => lacking.push((row, why, 1)),
                    }
                } else if outcome.verdict != Verdict::Ok {
                    let _ = writeln!(
                        text,
                        "{} {:<13} {} ({} {}: {}): {}",
                        short(target),
                        outcome.verdict.word(),
                        row.id,
                        row.clause,
                        row.level.name(),
                        row.text,
                        outcome.verdict.text()
                    );
                }
            }
            // Many cases lack the same thing; reports for programs have each of them.
            for (first, why, count) in lacking {
                let which = match count {
                    1 => first.id.clone(),
                    _ => format!("{}: {count} cases", first.section),
                };
                let _ = writeln!(text, "{} UNIMPLEMENTED {which}: {why}", short(target));
            }
        }
        text
    }

    pub(crate) fn to_json(&self) -> Value {
        let cases: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let outcomes: serde_json::Map<String, Value> = self
                    .targets
                    .iter()
                    .zip(&row.outcomes)
                    .filter_map(|(target, outcome)| Some((target, outcome.as_ref()?)))
                    .map(|(target, outcome)| {
                        let cell = json!({
                            "verdict": outcome.verdict.word(), "text": outcome.verdict.text(),
                            "seconds": outcome.seconds, "trace": outcome.trace,
                        });
                        (target.clone(), cell)
                    })
                    .collect();
                json!({
                    "id": row.id, "clause": row.clause, "level": row.level.name(),
                    "requirement": row.text, "outcomes": outcomes,
                })
            })
            .collect();
        let seconds: serde_json::Map<String, Value> = self
            .targets
            .iter()
            .zip(&self.seconds)
            .map(|(target, seconds)| (target.clone(), (*seconds).into()))
            .collect();
        json!({ "targets": self.targets, "seconds": seconds, "cases": cases })
    }

    fn to_junit(&self) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
        for (column, target) in self.targets.iter().enumerate() {
            let cells = self.rows.iter().filter_map(|row| Some((row, row.outcomes.get(column)?.as_ref()?)));
            let _ = writeln!(
                xml,
                "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\">",
                escape(target),
                cells.clone().count(),
                self.failures(column)
            );
            for (row, outcome) in cells {
                let _ = write!(
                    xml,
                    "<testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">",
                    escape(&row.section),
                    escape(&row.id),
                    outcome.seconds
                );
                let text = escape(outcome.verdict.text());
                match outcome.verdict {
                    Verdict::Ok => {}
                    Verdict::Failed(_) => {
                        let _ = write!(xml, "<failure message=\"{text}\"/>");
                    }
                    Verdict::NotRun(_) | Verdict::Unimplemented(_) => {
                        let _ = write!(xml, "<skipped message=\"{text}\"/>");
                    }
                    Verdict::NonStrict(_) | Verdict::Informational(_) => {
                        let _ = write!(xml, "<system-out>{}: {text}</system-out>", outcome.verdict.word());
                    }
                }
                xml.push_str("</testcase>\n");
            }
            xml.push_str("</testsuite>\n");
        }
        xml.push_str("</testsuites>\n");
        xml
    }
}

/// A command line is named by its program.
pub(crate) fn short(target: &str) -> &str {
    let program = target.split_whitespace().next().unwrap_or(target);
    program.rsplit('/').next().unwrap_or(program)
}

pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() && c != '\n' && c != '\t' => escaped.push('\u{FFFD}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Writes the files that were asked for.
pub(crate) fn write(grid: &Grid, options: &Options) -> Result<(), String> {
    let put = |path: &Path, text: String| {
        std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
    };
    if let Some(path) = &options.json {
        put(path, format!("{:#}\n", grid.to_json()))?;
    }
    if let Some(path) = &options.junit {
        put(path, grid.to_junit())?;
    }
    if let Some(path) = &options.html {
        put(path, page::write(grid))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::case::{Case, Cases, Setup, Verdict};
    use super::{Grid, Outcome};

    fn grid() -> Grid {
        let mut cases = Cases::new("packet", Setup::Public);
        cases.must("one", "PKT-1", "a < b & c", |_| Ok(()));
        cases.must("two", "PKT-1", "two", |_| Ok(()));
        let mut grid = Grid::new(cases.all.iter().map(Case::heading));
        let column = grid.column("ours");
        let outcome = |verdict| Outcome { verdict, seconds: 0.5, trace: vec!["<packet>".into()] };
        grid.set(0, column, outcome(Verdict::Failed("\"why\"".into())));
        grid.set(0, column, outcome(Verdict::Ok));
        grid.set(1, column, outcome(Verdict::Ok));
        grid
    }

    #[test]
    fn a_repeated_case_keeps_its_worst_outcome() {
        assert_eq!(grid().failures(0), 1);
        assert!(grid().to_text().contains("1/2, 1 failed"));
    }

    #[test]
    fn pages_escape_what_came_from_the_wire() {
        let page = super::page::write(&grid());
        assert!(page.contains("a &lt; b &amp; c") && page.contains("&lt;packet&gt;"));
        assert!(grid().to_junit().contains("<failure message=\"&quot;why&quot;\"/>"));
    }
}
