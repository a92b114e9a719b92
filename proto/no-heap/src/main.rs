//! Two nodes, one stream and 64 KiB each way in static memory: no standard library, no heap, nothing but the C runtime
//! that starts `main`.
//!
//! ```text
//! cargo run --profile no-heap -p pilot-no-heap
//! ```
//!
//! The profile `no-heap` aborts on panic, which is what a program without the standard library needs. Under any other
//! profile this is an ordinary program that runs the same exchange and proves nothing; so tools that build the whole
//! workspace need to know nothing of it. That no allocator hides in it is shown by the feature `heap`, which links the
//! heap library and must not build.
#![cfg_attr(panic = "abort", no_std, no_main)]

#[cfg(panic = "abort")]
mod bare;
mod exchange;
mod room;
mod sizes;

use core::fmt;

#[cfg(feature = "heap")]
extern crate alloc;

/// The whole program: where it runs is the caller's. Whether everything went well.
fn run(out: &mut dyn fmt::Write) -> bool {
    let outcome = exchange::run();
    let printed = match &outcome {
        Ok(report) => writeln!(out, "{report}"),
        Err(failure) => writeln!(out, "failed: {failure}"),
    };
    let fits = sizes::print(out);
    printed.is_ok() && outcome.is_ok() && fits == Ok(true)
}

#[cfg(not(panic = "abort"))]
fn main() -> std::process::ExitCode {
    println!("built with the standard library: this proves nothing, use --profile no-heap");
    let mut text = String::new();
    let good = run(&mut text);
    print!("{text}");
    if good { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
