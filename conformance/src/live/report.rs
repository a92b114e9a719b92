//! What came out: a table for people, JSON and JUnit for programs, one page for a browser.

use super::Options;
use super::case::{Case, Level, Verdict};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// How a case ended with one target.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) seconds: f64,
    pub(crate) trace: Vec<String>,
}

struct Row {
    id: String,
    section: String,
    clause: &'static str,
    level: Level,
    text: String,
    outcomes: Vec<Option<Outcome>>,
}

/// Cases against targets.
pub(crate) struct Grid {
    targets: Vec<String>,
    rows: Vec<Row>,
}

const WORDS: [&str; 6] = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "NOT-RUN", "FAILED"];

impl Grid {
    pub(crate) fn new(cases: &[Case]) -> Grid {
        let rows = cases
            .iter()
            .map(|case| Row {
                id: case.id.clone(),
                section: case.section().to_string(),
                clause: case.clause,
                level: case.level,
                text: case.text.clone(),
                outcomes: Vec::new(),
            })
            .collect();
        Grid { targets: Vec::new(), rows }
    }

    /// The column of a target, new if need be.
    pub(crate) fn column(&mut self, target: &str) -> usize {
        self.targets.push(target.into());
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

    fn count(&self, column: usize, word: &str) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.outcomes.get(column)?.as_ref());
        cells.filter(|outcome| outcome.verdict.word() == word).count()
    }

    pub(crate) fn failures(&self, column: usize) -> usize {
        self.count(column, "FAILED")
    }

    /// Whether every case was tried.
    pub(crate) fn ran(&self, column: usize) -> bool {
        self.count(column, "NOT-RUN") == 0
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
        let mut sections: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !sections.contains(&row.section.as_str()) {
                sections.push(&row.section);
            }
        }
        for section in &sections {
            let _ = write!(text, "{section:<14}");
            for column in 0..self.targets.len() {
                let cells: Vec<&Outcome> = self
                    .rows
                    .iter()
                    .filter(|row| row.section == *section)
                    .filter_map(|row| row.outcomes.get(column)?.as_ref())
                    .collect();
                let bad = cells.iter().filter(|outcome| outcome.verdict.word() == "FAILED").count();
                let ok = cells.iter().filter(|outcome| outcome.verdict == Verdict::Ok).count();
                let failed = if bad > 0 { format!(", {bad} failed") } else { String::new() };
                let _ = write!(text, "{:>22}", format!("{ok}/{}{failed}", cells.len()));
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
            for row in &self.rows {
                let Some(Some(outcome)) = row.outcomes.get(column) else { continue };
                if outcome.verdict != Verdict::Ok {
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
        }
        text
    }

    fn to_json(&self) -> Value {
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
        json!({ "targets": self.targets, "cases": cases })
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

    /// One page: a row a case, a column a target; a cell opens to its packets.
    fn to_html(&self) -> String {
        let mut page = String::from(HEAD);
        page.push_str("<table class=sum><tr><th></th>");
        for target in &self.targets {
            let _ = write!(page, "<th>{}</th>", escape(short(target)));
        }
        page.push_str("</tr>");
        for word in WORDS {
            let _ = write!(page, "<tr><th class={}>{word}</th>", class(word));
            for column in 0..self.targets.len() {
                let _ = write!(page, "<td>{}</td>", self.count(column, word));
            }
            page.push_str("</tr>");
        }
        page.push_str("</table>\n");
        let mut section = "";
        for row in &self.rows {
            if row.section != section {
                if !section.is_empty() {
                    page.push_str("</table>\n");
                }
                section = &row.section;
                let _ = write!(
                    page,
                    "<h2>{}</h2><table><tr><th>case</th><th>clause</th><th>requirement</th>",
                    escape(section)
                );
                for target in &self.targets {
                    let _ = write!(page, "<th>{}</th>", escape(short(target)));
                }
                page.push_str("</tr>\n");
            }
            let _ = write!(
                page,
                "<tr><td class=id>{}</td><td>{} {}</td><td>{}</td>",
                escape(&row.id),
                row.clause,
                row.level.name(),
                escape(&row.text)
            );
            for outcome in &row.outcomes {
                match outcome {
                    None => page.push_str("<td></td>"),
                    Some(outcome) => {
                        let word = outcome.verdict.word();
                        let _ = write!(
                            page,
                            "<td class={}><details><summary>{word} {:.2} s</summary><p>{}</p><pre>{}</pre></details></td>",
                            class(word),
                            outcome.seconds,
                            escape(outcome.verdict.text()),
                            escape(&outcome.trace.join("\n"))
                        );
                    }
                }
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</table></body></html>\n");
        page
    }
}

const HEAD: &str = "<!doctype html><html lang=en><head><meta charset=utf-8><title>Pilot conformance</title><style>\
body{font:14px/1.4 system-ui,sans-serif;margin:2rem;color:#1a1a1a;background:#fff}\
table{border-collapse:collapse;margin:.5rem 0 2rem}th,td{border:1px solid #ccc;padding:.25rem .5rem;text-align:left;vertical-align:top}\
.sum td{text-align:right}.id{font-family:ui-monospace,monospace;white-space:nowrap}\
.ok{background:#d8f0d8}.nonstrict{background:#fff2cc}.info{background:#dceaf7}.lack{background:#eee}.fail{background:#f7d0d0}\
summary{cursor:pointer;white-space:nowrap}pre{max-width:70rem;max-height:24rem;overflow:auto;font-size:12px;background:#fafafa;padding:.5rem}\
</style></head><body><h1>Pilot conformance</h1>\n";

fn class(word: &str) -> &'static str {
    match word {
        "OK" => "ok",
        "NON-STRICT" => "nonstrict",
        "INFORMATIONAL" => "info",
        "FAILED" => "fail",
        _ => "lack",
    }
}

/// A command line is named by its program.
fn short(target: &str) -> &str {
    let program = target.split_whitespace().next().unwrap_or(target);
    program.rsplit('/').next().unwrap_or(program)
}

fn escape(text: &str) -> String {
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
        put(path, grid.to_html())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::case::{Cases, Setup, Verdict};
    use super::{Grid, Outcome};

    fn grid() -> Grid {
        let mut cases = Cases::new("packet", Setup::Public);
        cases.must("one", "PKT-1", "a < b & c", |_| Ok(()));
        cases.must("two", "PKT-1", "two", |_| Ok(()));
        let mut grid = Grid::new(&cases.all);
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
        let page = grid().to_html();
        assert!(page.contains("a &lt; b &amp; c") && page.contains("&lt;packet&gt;"));
        assert!(grid().to_junit().contains("<failure message=\"&quot;why&quot;\"/>"));
    }
}
