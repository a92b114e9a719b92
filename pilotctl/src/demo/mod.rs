//! `demo`: a registry, a beacon and two agents as real processes on this machine, walked through a whole life.

mod steps;
mod world;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pilot_roles::json::{Value, json};

use crate::format::millis;
use crate::output::{Failure, Output};
use world::World;

/// Log lines shown with a failure.
const LOG_LINES: usize = 8;

/// Prints one line for each step, or one object at the end.
#[derive(Debug)]
struct Transcript {
    out: Output,
    steps: Vec<Value>,
}

impl Transcript {
    fn done(&mut self, name: &str, detail: &str, took: Duration) {
        self.out.line(format!("  ✓ {name:<22} {:>9}   {detail}", format!("{:.1} ms", millis(took))));
        self.steps.push(json!({"name": name, "ms": millis(took), "detail": detail}));
    }
}

/// Walks the demo, with `daemons` in the place of the built-in one. Whatever happens, no process and no file of it is left.
pub(crate) fn run(out: Output, daemons: &[PathBuf]) -> Result<(), Failure> {
    let start = Instant::now();
    out.line("Two agents, one registry and beacon, all on 127.0.0.1. Nothing leaves this machine.\n");
    let mut world = World::new().map_err(|error| Failure::internal(format!("demo: {error}")))?;
    let mut transcript = Transcript { out, steps: Vec::new() };
    let result = steps::walk(&mut world, daemons, |name, detail, took| transcript.done(name, detail, took));
    if let Err((name, why)) = result {
        let logs = world.last_log_lines(LOG_LINES);
        world.end();
        return Err(Failure::internal(format!("demo failed at \"{name}\": {why}")).hint(logs));
    }
    world.end();
    let total = start.elapsed();
    let data = json!({"steps": transcript.steps, "total_ms": millis(total)});
    out.result(data, |_| {
        format!("\nDone in {:.1} s. Every process has ended and every file is removed.", total.as_secs_f64())
    });
    Ok(())
}
