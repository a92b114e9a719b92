//! What came out, as a table for people and as JSON for programs.

use serde_json::{Value, json};
use std::fmt::Write;

/// How one cell ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It worked; what was measured, may be empty.
    Pass(String),
    /// It did not, and one side is ours.
    Fail(String),
    /// It did not, with released programs only: a defect of theirs, not counted.
    TheirDefect(String),
    /// Not tried, and why.
    Skipped(String),
}

/// One cell of the table.
#[derive(Debug)]
struct Cell {
    row: String,
    column: String,
    seconds: f64,
    verdict: Verdict,
}

/// One table.
#[derive(Debug)]
pub(crate) struct Report {
    title: String,
    cells: Vec<Cell>,
}

impl Report {
    /// Appends an empty table to `reports`.
    pub(crate) fn begin<'r>(reports: &'r mut Vec<Report>, title: &str) -> &'r mut Report {
        let place = reports.len();
        reports.push(Report { title: title.into(), cells: Vec::new() });
        &mut reports[place]
    }

    /// Adds a cell and says on stderr how it ended.
    pub(crate) fn add(&mut self, row: &str, column: &str, seconds: f64, verdict: Verdict) {
        let (word, text) = verdict.words();
        eprintln!("{row:<24} {column:<16} {word:<5} {seconds:6.2} s  {text}");
        self.cells.push(Cell { row: row.into(), column: column.into(), seconds, verdict });
    }

    pub(crate) fn failures(&self) -> usize {
        self.cells.iter().filter(|cell| matches!(cell.verdict, Verdict::Fail(_))).count()
    }

    /// Rows against columns, then the reasons of what did not work.
    pub(crate) fn to_text(&self) -> String {
        let (mut rows, mut columns): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for cell in &self.cells {
            if !rows.contains(&cell.row.as_str()) {
                rows.push(&cell.row);
            }
            if !columns.contains(&cell.column.as_str()) {
                columns.push(&cell.column);
            }
        }
        let width = columns.iter().map(|column| column.len() + 2).max().unwrap_or_default().max(11);
        let mut text = format!("\n{}\n\n", self.title);
        // Writing to a String cannot fail.
        let first = rows.iter().map(|row| row.len()).max().unwrap_or_default();
        let _ = write!(text, "{:<first$}", "");
        for column in &columns {
            let _ = write!(text, "{column:>width$}");
        }
        text.push('\n');
        for row in rows {
            let _ = write!(text, "{row:<first$}");
            for column in &columns {
                let cell = self.cells.iter().find(|cell| cell.row == row && cell.column == *column);
                let shown = cell.map_or(String::new(), |cell| match cell.verdict {
                    Verdict::Pass(_) => format!("{:.2} s", cell.seconds),
                    _ => cell.verdict.words().0.to_string(),
                });
                let _ = write!(text, "{shown:>width$}");
            }
            text.push('\n');
        }
        text.push('\n');
        for cell in &self.cells {
            let (word, why) = cell.verdict.words();
            if !why.is_empty() {
                let _ = writeln!(text, "{word:<5} {} {}: {why}", cell.row, cell.column);
            }
        }
        let _ = writeln!(text, "\n{} cells, {} failed", self.cells.len(), self.failures());
        text
    }
}

impl Verdict {
    fn words(&self) -> (&'static str, &str) {
        match self {
            Verdict::Pass(note) => ("ok", note),
            Verdict::Fail(why) => ("FAIL", why),
            Verdict::TheirDefect(why) => ("their", why),
            Verdict::Skipped(why) => ("-", why),
        }
    }
}

/// All tables of a run as one JSON line.
pub(crate) fn to_json(reports: &[Report]) -> Value {
    let tables: Vec<Value> = reports
        .iter()
        .map(|report| {
            let cells: Vec<Value> = report
                .cells
                .iter()
                .map(|cell| {
                    let (word, text) = cell.verdict.words();
                    json!({
                        "row": cell.row, "column": cell.column, "verdict": word,
                        "text": text, "seconds": cell.seconds,
                    })
                })
                .collect();
            json!({ "title": report.title, "failures": report.failures(), "cells": cells })
        })
        .collect();
    Value::Array(tables)
}

#[cfg(test)]
mod tests {
    use super::{Report, Verdict};

    #[test]
    fn a_table_has_a_row_for_each_pair_and_counts_only_our_failures() {
        let mut report = Report { title: "pairs".into(), cells: Vec::new() };
        report.add("ours-1.7.2", "ping", 0.25, Verdict::Pass(String::new()));
        report.add("ours-1.7.2", "bench", 40.0, Verdict::Fail("short".into()));
        report.add("1.7.2-1.7.2", "bench", 40.0, Verdict::TheirDefect("stalled".into()));
        assert_eq!(report.failures(), 1);
        let text = report.to_text();
        let row = text.lines().find(|line| line.starts_with("ours-1.7.2")).expect("a row");
        assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["ours-1.7.2", "0.25", "s", "FAIL"]);
        assert!(text.contains("their 1.7.2-1.7.2 bench: stalled"));
        assert!(text.ends_with("3 cells, 1 failed\n"));
    }
}
