//! The adapter of this project's implementation: questions of `pilot-conformance vectors` on standard input, answers
//! on standard output, one JSON object a line (docs/adapters.md).
//!
//! ```text
//! cargo build -p pilot-conformance --example pilot_adapter
//! cargo run -p pilot-conformance -- vectors
//! ```

mod answers;
mod extension;
mod ipc;
mod question;

use serde_json::Value;
use std::io::{BufRead, Write};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let question: Value = serde_json::from_str(&line?)?;
        let mut answer = answers::answer(&question);
        answer["id"] = question["id"].clone();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
