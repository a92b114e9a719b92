//! The grid as one page for a browser: a row a case, a column a target. A cell opens a panel with what was required, how
//! it ended and what was on the wire. No script: the panel is the target of a link.

use super::report::{Grid, Outcome, Row, WORDS, escape, short};
use std::fmt::Write as _;

/// Lines of a trace that are shown of a case that is OK, and of another.
const LINES: (usize, usize) = (80, 400);

/// Writes the page.
pub(crate) fn write(grid: &Grid) -> String {
    let mut page = String::from(HEAD);
    summary(&mut page, grid);
    page.push_str(
        "<input type=checkbox id=only><label for=only>only cases that are not OK everywhere</label>\n",
    );
    let mut panels = String::new();
    for section in grid.sections() {
        let _ =
            write!(page, "<h2 id={0}>{0}</h2><table class=cases><thead><tr><th>case</th>", escape(section));
        page.push_str("<th>clause</th><th>requirement</th>");
        for target in &grid.targets {
            let _ = write!(page, "<th class=t>{}</th>", escape(short(target)));
        }
        page.push_str("</tr></thead>\n");
        for (number, row) in grid.rows.iter().enumerate().filter(|(_, row)| row.section == section) {
            line(&mut page, number, row);
            for (column, outcome) in row.outcomes.iter().enumerate() {
                if let (Some(outcome), Some(target)) = (outcome, grid.targets.get(column)) {
                    panel(&mut panels, &format!("c{number}-{column}"), row, short(target), outcome);
                }
            }
        }
        page.push_str("</table>\n");
    }
    page.push_str("</main>\n");
    page.push_str(&panels);
    page.push_str("</body></html>\n");
    page
}

fn summary(page: &mut String, grid: &Grid) {
    page.push_str("<table class=sum><tr><th></th>");
    for target in &grid.targets {
        let _ = write!(page, "<th class=t>{}</th>", escape(short(target)));
    }
    page.push_str("</tr>\n");
    for section in grid.sections() {
        let _ = write!(page, "<tr><th><a href=\"#{0}\">{0}</a></th>", escape(section));
        for column in 0..grid.targets.len() {
            page.push_str("<td>");
            for (word, count) in WORDS.iter().zip(grid.counts(section, column)) {
                if count > 0 {
                    let _ = write!(page, "<b class={} title={word}>{count}</b>", class(word));
                }
            }
            page.push_str("</td>");
        }
        page.push_str("</tr>\n");
    }
    for word in WORDS {
        let _ = write!(page, "<tr class=all><th><b class={}>{word}</b></th>", class(word));
        for column in 0..grid.targets.len() {
            let _ = write!(page, "<td>{}</td>", grid.count(column, word));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("<tr class=all><th>seconds</th>");
    for seconds in &grid.seconds {
        let _ = write!(page, "<td>{seconds:.0}</td>");
    }
    page.push_str("</tr></table>\n");
}

fn line(page: &mut String, number: usize, row: &Row) {
    let all_ok = row.outcomes.iter().flatten().all(|outcome| outcome.verdict.word() == "OK");
    let _ = write!(
        page,
        "<tr{}><td class=id>{}</td><td class=clause>{} {}</td><td>{}</td>",
        if all_ok { " class=same" } else { "" },
        escape(&row.id),
        escape(&row.clause),
        row.level.name(),
        escape(&row.text)
    );
    for (column, outcome) in row.outcomes.iter().enumerate() {
        match outcome {
            None => page.push_str("<td></td>"),
            Some(outcome) => {
                let word = outcome.verdict.word();
                let _ = write!(
                    page,
                    "<td class={}><a href=\"#c{number}-{column}\">{}</a></td>",
                    class(word),
                    word.to_lowercase()
                );
            }
        }
    }
    page.push_str("</tr>\n");
}

fn panel(panels: &mut String, id: &str, row: &Row, target: &str, outcome: &Outcome) {
    let word = outcome.verdict.word();
    let most = if word == "OK" { LINES.0 } else { LINES.1 };
    let shown = outcome.trace.get(..most.min(outcome.trace.len())).unwrap_or_default().join("\n");
    let left = outcome.trace.len().saturating_sub(most);
    let more = if left > 0 { format!("\n… {left} more lines") } else { String::new() };
    let _ = writeln!(
        panels,
        "<aside id={id}><a class=shut href=\"#{section}\">close</a><h3>{} <small>with {}</small></h3>\
         <p>{} {}: {}</p><p><b class={}>{word}</b> after {:.2} s{}{}</p><pre>{}{more}</pre></aside>",
        escape(&row.id),
        escape(target),
        escape(&row.clause),
        row.level.name(),
        escape(&row.text),
        class(word),
        outcome.seconds,
        if outcome.verdict.text().is_empty() { "" } else { ": " },
        escape(outcome.verdict.text()),
        escape(&shown),
        section = escape(&row.section)
    );
}

const HEAD: &str = "<!doctype html><html lang=en><head><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width\"><title>Pilot conformance</title><style>\
:root{color-scheme:light;--line:#d5d9de}\
body{font:14px/1.45 system-ui,sans-serif;margin:0;color:#1d2126;background:#fff}\
main{max-width:90rem;margin:0 auto;padding:1.5rem 2rem 6rem}\
h1{font-size:1.6rem;margin:.2rem 0 1rem}h2{font-size:1.1rem;margin:2rem 0 .4rem;scroll-margin-top:.5rem}\
table{border-collapse:collapse}th,td{border:1px solid var(--line);padding:.2rem .5rem;text-align:left;vertical-align:top}\
th{font-weight:600;background:#f4f6f8}.cases{width:100%;min-width:62rem;table-layout:fixed}\
.cases th:nth-child(1){width:24%}.cases th:nth-child(2){width:8.5rem}.cases th.t{width:6.8rem}\
.cases thead th{position:sticky;top:0}.t{text-align:center}\
.cases td:nth-child(n+4){text-align:center;padding:0}.cases td a{display:block;padding:.2rem;color:inherit;text-decoration:none}\
.cases td a:hover{outline:2px solid #456;outline-offset:-2px}\
.id{font:12.5px/1.6 ui-monospace,monospace;overflow-wrap:anywhere}.clause{white-space:nowrap;color:#555}\
.sum{margin:0 0 1.2rem}.sum td{text-align:right;min-width:7rem;white-space:nowrap}.sum b{display:inline-block;min-width:1.6rem;text-align:center;\
border-radius:3px;padding:0 .35rem;margin-left:.25rem;font-weight:500}.all td{font-variant-numeric:tabular-nums}\
.ok{background:#dff2e1}.nonstrict{background:#fdeeb5}.info{background:#dbe8f8}.lack{background:#e6e6e6}.fail{background:#f6c6c6}\
b.ok,b.nonstrict,b.info,b.lack,b.fail{padding:0 .4rem;border-radius:3px;font-weight:600}\
#only:checked~table .same{display:none}label{padding-left:.4rem}\
aside{display:none;position:fixed;top:0;right:0;bottom:0;width:min(60rem,92vw);box-sizing:border-box;overflow:auto;\
background:#fff;border-left:1px solid var(--line);box-shadow:-8px 0 30px #0003;padding:1rem 1.5rem}aside:target{display:block}\
h3{font:600 15px/1.4 ui-monospace,monospace;margin:.3rem 0}small{font:13px system-ui,sans-serif;color:#555}\
.shut{float:right;padding:.2rem .6rem;border:1px solid var(--line);border-radius:4px;color:inherit;text-decoration:none}\
pre{font:12px/1.5 ui-monospace,monospace;background:#f7f8fa;padding:.7rem;white-space:pre-wrap;overflow-wrap:anywhere}\
</style></head><body><main><h1>Pilot conformance</h1>\n";

fn class(word: &str) -> &'static str {
    match word {
        "OK" => "ok",
        "NON-STRICT" => "nonstrict",
        "INFORMATIONAL" => "info",
        "FAILED" => "fail",
        _ => "lack",
    }
}
