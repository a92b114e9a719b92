//! Reports of several runs joined into one grid: as a page, and as the table of a document.

use super::case::{Level, Verdict};
use super::report::{Grid, Outcome, Row, WORDS, short};
use super::{Options, report};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

/// The lines between which the table of a document is.
const MARKS: (&str, &str) = ("<!-- grid -->", "<!-- end of grid -->");
/// Cases that are named behind this line are not named as failures.
const LAST: &str = "<!-- no failures from here on -->";

/// Joins the reports, prints the grid, writes what was asked for. False when the document leaves a failure without a
/// word, or a cell of the first target that is neither OK nor informational.
pub(crate) fn run(options: &Options) -> Result<bool, String> {
    let mut grid = Grid::default();
    for path in &options.reports {
        let fail = |why: String| format!("{}: {why}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
        let report: Value = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
        join(&mut grid, &report).map_err(fail)?;
    }
    if grid.targets.is_empty() {
        return Err("no report is given".into());
    }
    report::write(&grid, options)?;
    print!("{}", table(&grid));
    let Some(path) = &options.markdown else { return Ok(true) };
    let text = document(&grid, path)?;
    let silent = unexplained(&grid, &text);
    for (target, id) in &silent {
        println!("{target}: {} says nothing of {id}", path.display());
    }
    Ok(silent.is_empty())
}

/// Adds the targets of a report. Cases that one report has and another has not stay empty there.
fn join(grid: &mut Grid, report: &Value) -> Result<(), String> {
    let text =
        |value: &Value, member: &str| value[member].as_str().map(String::from).ok_or(format!("no {member}"));
    for name in report["targets"].as_array().ok_or("no targets")? {
        let target = name.as_str().ok_or("a target that is no text")?;
        if grid.targets.iter().any(|known| known == target) {
            return Err(format!("{target} is in another report too"));
        }
        let column = grid.column(target);
        grid.seconds[column] = report["seconds"][target].as_f64().unwrap_or_default();
        for case in report["cases"].as_array().ok_or("no cases")? {
            let id = text(case, "id")?;
            let at = grid.rows.iter().position(|row| row.id == id).unwrap_or(grid.rows.len());
            if at == grid.rows.len() {
                let level = text(case, "level")?;
                let row = Row {
                    section: id.split('/').next().unwrap_or_default().into(),
                    clause: text(case, "clause")?,
                    level: Level::of(&level).ok_or(format!("{id}: no level is called {level:?}"))?,
                    text: text(case, "requirement")?,
                    outcomes: vec![None; grid.targets.len()],
                    id: id.clone(),
                };
                grid.rows.push(row);
            }
            let outcome = &case["outcomes"][target];
            if outcome.is_null() {
                continue;
            }
            let word = text(outcome, "verdict")?;
            let verdict = Verdict::of(&word, text(outcome, "text")?)
                .ok_or(format!("{id}: no verdict is called {word:?}"))?;
            let trace = outcome["trace"].as_array().into_iter().flatten();
            let trace = trace.filter_map(|line| line.as_str().map(String::from)).collect();
            let seconds = outcome["seconds"].as_f64().unwrap_or_default();
            grid.set(at, column, Outcome { verdict, seconds, trace });
        }
    }
    Ok(())
}

/// Sections and ways to end against targets.
fn table(grid: &Grid) -> String {
    let mut text = String::from("| section |");
    // Writing to a String cannot fail.
    for target in &grid.targets {
        let _ = write!(text, " {} |", short(target));
    }
    let _ = write!(text, "\n| --- |{}\n", " --- |".repeat(grid.targets.len()));
    for section in grid.sections() {
        let _ = write!(text, "| {section} |");
        for column in 0..grid.targets.len() {
            let counts = grid.counts(section, column);
            let parts: Vec<String> = WORDS
                .iter()
                .zip(counts)
                .filter(|(_, count)| *count > 0)
                .map(|(word, count)| {
                    format!("{count} {}", if *word == "OK" { "OK".into() } else { word.to_lowercase() })
                })
                .collect();
            let _ = write!(text, " {} |", parts.join(", "));
        }
        text.push('\n');
    }
    for word in WORDS {
        let _ = write!(text, "| **{word}** |");
        for column in 0..grid.targets.len() {
            let _ = write!(text, " {} |", grid.count(column, word));
        }
        text.push('\n');
    }
    text.push_str("| seconds |");
    for seconds in &grid.seconds {
        let _ = write!(text, " {seconds:.0} |");
    }
    text.push('\n');
    text
}

/// Puts the table between its marks; the whole document.
fn document(grid: &Grid, path: &Path) -> Result<String, String> {
    let fail = |e: std::io::Error| format!("{}: {e}", path.display());
    let text = std::fs::read_to_string(path).map_err(fail)?;
    let parts =
        text.split_once(MARKS.0).and_then(|(before, rest)| Some((before, rest.split_once(MARKS.1)?.1)));
    let (before, after) = parts.ok_or(format!("{} lacks the lines {:?}", path.display(), MARKS))?;
    let new = format!("{before}{}\n{}{}{after}", MARKS.0, table(grid), MARKS.1);
    std::fs::write(path, &new).map_err(fail)?;
    Ok(new)
}

/// Cells that need a word and have none: a document names a case by its id between backticks, or by the beginning of
/// several ids and `…`.
fn unexplained(grid: &Grid, text: &str) -> Vec<(String, String)> {
    let text = text.split(LAST).next().unwrap_or_default();
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    let is_named = |id: &str| {
        named
            .iter()
            .any(|name| *name == id || name.strip_suffix('…').is_some_and(|front| id.starts_with(front)))
    };
    let mut silent = Vec::new();
    for (column, target) in grid.targets.iter().enumerate() {
        for row in &grid.rows {
            let Some(Some(outcome)) = row.outcomes.get(column) else { continue };
            let needs = match outcome.verdict {
                Verdict::Failed(_) => true,
                Verdict::NonStrict(_) | Verdict::Unimplemented(_) | Verdict::NotRun(_) => column == 0,
                Verdict::Ok | Verdict::Informational(_) => false,
            };
            if needs && !is_named(&row.id) {
                silent.push((short(target).to_string(), row.id.clone()));
            }
        }
    }
    silent
}

#[cfg(test)]
mod tests {
    use super::{Grid, join, table, unexplained};
    use serde_json::json;

    fn report(target: &str, verdict: &str) -> serde_json::Value {
        json!({
            "targets": [target], "seconds": { target: 12.4 },
            "cases": [{
                "id": "nat/a/b", "clause": "NAT-1", "level": "MUST", "requirement": "it is so",
                "outcomes": { target: { "verdict": verdict, "text": "why", "seconds": 0.5, "trace": ["one"] } },
            }],
        })
    }

    fn grid() -> Grid {
        let mut grid = Grid::default();
        join(&mut grid, &report("ours", "OK")).expect("a report");
        join(&mut grid, &report("other", "FAILED")).expect("a report");
        grid
    }

    #[test]
    fn reports_are_joined_by_case() {
        let grid = grid();
        assert_eq!(grid.rows.len(), 1);
        assert!(table(&grid).contains("| nat | 1 OK | 1 failed |"), "{}", table(&grid));
        assert!(table(&grid).contains("| seconds | 12 | 12 |"));
    }

    #[test]
    fn what_is_no_report_or_comes_twice_is_refused() {
        let mut grid = grid();
        assert!(join(&mut grid, &report("ours", "OK")).is_err());
        assert!(join(&mut grid, &report("third", "FINE")).is_err());
        assert!(join(&mut grid, &json!({})).is_err());
    }

    #[test]
    fn a_failure_needs_a_word() {
        let silent = vec![("other".to_string(), "nat/a/b".to_string())];
        assert_eq!(unexplained(&grid(), "nat/a/b is `nat/c…`"), silent);
        assert!(unexplained(&grid(), "because of `nat/a/b`").is_empty());
        assert!(unexplained(&grid(), "because of `nat/a/…`").is_empty());
        assert_eq!(unexplained(&grid(), &format!("{}`nat/a/b` catches a defect", super::LAST)), silent);
    }
}
