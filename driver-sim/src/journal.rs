//! The trace: a line of JSON for everything that happens.
//!
//! Each line has `time_us` (world time), `hash` (one number for everything before), `host` (index), `kind`, and the
//! fields of that kind: the variants of [`Seen`] in snake case. Lines are in the order in which things happened; times
//! never go back. `kind` may get new values and a kind new fields; what is there keeps its meaning.
//!
//! ```json
//! {"time_us":2351020,"hash":"9b1f...","host":1,"kind":"sent","from":"20.0.0.2:4000","to":"20.0.0.3:4000","target":2,
//!  "bytes":1180,"queued":0,"lost":null}
//! ```

use std::io::Write;

use serde::Serialize;

use crate::watch::{Moment, Observer, Seen};

/// Writes the trace.
pub struct Journal<W>(W);

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    moment: Moment,
    #[serde(flatten)]
    seen: &'a Seen<'a>,
}

impl<W: Write + Send> Journal<W> {
    /// Writes to `out`, which should be buffered: a run has some ten thousand lines a second of its time.
    pub const fn new(out: W) -> Self {
        Journal(out)
    }
}

impl<W: Write + Send> Observer for Journal<W> {
    fn see(&mut self, moment: Moment, seen: &Seen<'_>) {
        // A trace that cannot be written must not change the run.
        if serde_json::to_writer(&mut self.0, &Line { moment, seen }).is_ok() {
            let _ = self.0.write_all(b"\n");
        }
    }
}
