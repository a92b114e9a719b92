//! What arrived: `inbox` lists messages, `received` lists files, both from the daemon's directories.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use pilot_roles::clock::parse_rfc3339;
use pilot_roles::json::{Value, json};

use super::Context;
use crate::cli::Mailbox;
use crate::format::{list, local_rfc3339, number, size, text};
use crate::output::{Code, Failure};
use crate::values::Since;

/// Bytes of a message people see in the list.
const PREVIEW: usize = 80;

pub(crate) fn inbox(ctx: &Context, args: &Mailbox) -> Result<(), Failure> {
    let directory = ctx.home.path("inbox");
    let empty = "inbox is empty";
    if args.clear {
        return clear(ctx, &directory, empty, "message(s)");
    }
    let advice =
        "  messages appear here when someone sends: pilotctl send-message <your-hostname> --data \"hello\"";
    let Some(names) = names(&directory)? else {
        ctx.out.result(json!({"messages": [], "total": 0}), |_| format!("{empty}\n{advice}"));
        return Ok(());
    };
    let messages = names.iter().filter_map(|name| {
        let message: Value = serde_json::from_slice(&std::fs::read(directory.join(name)).ok()?).ok()?;
        let at = parse_rfc3339(text(&message, "received_at")).unwrap_or(0);
        message.is_object().then_some((at, message))
    });
    let (shown, total) = select(messages.collect(), args);
    ctx.out.result(listing("messages", shown, total, &directory), |data| {
        if list(data, "messages").is_empty() {
            return format!("{empty}\n{advice}");
        }
        let mut lines = vec![format!("Inbox ({total} messages):\n")];
        for message in list(data, "messages") {
            let (at, from, kind) =
                (text(message, "received_at"), text(message, "from"), text(message, "type"));
            lines.push(format!("  [{at}] from {from} type={kind}"));
            lines.push(format!("    {}", preview(text(message, "data"))));
        }
        lines.push("\nclear with: pilotctl inbox --clear".into());
        lines.join("\n")
    });
    Ok(())
}

pub(crate) fn received(ctx: &Context, args: &Mailbox) -> Result<(), Failure> {
    let directory = ctx.home.path("received");
    let empty = "no received files";
    if args.clear {
        return clear(ctx, &directory, empty, "received file(s)");
    }
    let advice = "  files appear here when someone sends: pilotctl send-file <your-hostname> <file>";
    let Some(names) = names(&directory)? else {
        ctx.out.result(json!({"files": [], "total": 0}), |_| format!("{empty}\n{advice}"));
        return Ok(());
    };
    let files = names.iter().filter_map(|name| {
        let path = directory.join(name);
        let file = std::fs::metadata(&path).ok()?;
        let modified = file.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(modified.as_micros()).unwrap_or(i64::MAX);
        let entry = json!({
            "name": name.to_string_lossy(), "bytes": file.len(), "modified": local_rfc3339(micros),
            "path": path.to_string_lossy(),
        });
        Some((micros.div_euclid(1_000_000), entry))
    });
    let (shown, total) = select(files.collect(), args);
    ctx.out.result(listing("files", shown, total, &directory), |data| {
        if list(data, "files").is_empty() {
            return format!("{empty}\n{advice}");
        }
        let row = |name: &str, size: &str, at: &str| format!("  {name:<40}  {size:<10}  {at}");
        let mut lines = vec![format!("Received files ({}):\n", directory.display())];
        lines.push(row("NAME", "SIZE", "RECEIVED"));
        for file in list(data, "files") {
            lines.push(row(text(file, "name"), &size(number(file, "bytes")), text(file, "modified")));
        }
        lines.push(format!("\ntotal: {total}"));
        lines.join("\n")
    });
    Ok(())
}

/// Names of the plain files of a directory in order; `None` if there is no directory.
fn names(directory: &PathBuf) -> Result<Option<Vec<std::ffi::OsString>>, Failure> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::internal(format!("read {}: {error}", directory.display()))),
    };
    let mut names: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    Ok(Some(names))
}

/// Applies `--since`, `--latest` and `--limit`; returns what to show and how many there are in all.
fn select(mut entries: Vec<(i64, Value)>, args: &Mailbox) -> (Vec<Value>, usize) {
    let total = entries.len();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = args.since.map(|since| match since {
        Since::At(at) => at,
        Since::Ago(ago) => i64::try_from(now.saturating_sub(ago).as_secs()).unwrap_or(i64::MAX),
    });
    if let Some(since) = since {
        entries.retain(|(at, _)| *at >= since);
    }
    if args.latest {
        entries.reverse();
        entries.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    }
    if let Some(limit) = args.limit {
        entries.truncate(usize::try_from(limit).unwrap_or(0));
    }
    (entries.into_iter().map(|(_, entry)| entry).collect(), total)
}

fn listing(key: &str, shown: Vec<Value>, total: usize, directory: &std::path::Path) -> Value {
    let shown = if shown.is_empty() { Value::Null } else { Value::Array(shown) };
    json!({key: shown, "total": total, "dir": directory.to_string_lossy()})
}

fn clear(ctx: &Context, directory: &PathBuf, empty: &str, what: &str) -> Result<(), Failure> {
    let names = names(directory)?.ok_or_else(|| Failure::new(Code::NotFound, empty))?;
    let mut cleared = 0;
    for name in names {
        let path = directory.join(name);
        std::fs::remove_file(&path)
            .map_err(|error| Failure::internal(format!("remove {}: {error}", path.display())))?;
        cleared += 1;
    }
    ctx.out.result(json!({"cleared": cleared}), |_| format!("cleared {cleared} {what}"));
    Ok(())
}

/// The first bytes of a message, whole characters only.
fn preview(data: &str) -> String {
    if data.len() <= PREVIEW {
        return data.into();
    }
    let end = (0..=PREVIEW).rev().find(|at| data.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", data.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_end_between_characters() {
        assert_eq!(preview("short"), "short");
        let long = format!("{}é{}", "x".repeat(79), "y".repeat(10));
        assert_eq!(preview(&long), format!("{}...", "x".repeat(79)));
    }

    #[test]
    fn lists_are_filtered_newest_first_and_cut() {
        let entries = || vec![(10, json!("a")), (30, json!("b")), (20, json!("c")), (30, json!("d"))];
        let args = |limit, latest, since| Mailbox { clear: false, limit, latest, since };
        assert_eq!(select(entries(), &args(None, false, None)).0, ["a", "b", "c", "d"]);
        assert_eq!(
            select(entries(), &args(Some(3), true, None)),
            (vec![json!("d"), json!("b"), json!("c")], 4)
        );
        assert_eq!(select(entries(), &args(Some(-1), false, None)).0.len(), 0);
        assert_eq!(select(entries(), &args(None, false, Some(Since::At(20)))).0, ["b", "c", "d"]);
    }
}
