//! The one test that measures its whole process, and so needs one of its own.

use std::{
    collections::VecDeque,
    fs,
    io::{Read, Write},
    time::{Duration, Instant},
};

use crate::suite::{Bench, Start};

/// How long closed connections may take to be forgotten.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ten thousand connections come and go, some rudely, and leave neither descriptors nor memory behind.
pub(crate) fn churn_leaves_nothing_behind(start: Start) {
    let bench = Bench::start(start);
    let mut control = bench.command();
    assert_eq!(control.ask("loaded"), "0");
    let idle = descriptors();
    let mut round = |connections: usize| {
        let mut open = VecDeque::new();
        for i in 0..connections {
            let mut socket = bench.echo_directly();
            socket.write_all(b"hello").unwrap();
            // Every third hangs up before the answer.
            if i % 3 != 0 {
                socket.read_exact(&mut [0; 5]).unwrap();
            }
            open.push_back(socket);
            if open.len() > 32 {
                open.pop_front();
            }
        }
        drop(open);
        // Everything that was closed is forgotten once descriptors are as few as before.
        let until = Instant::now() + PATIENCE;
        while descriptors() > idle && Instant::now() < until {
            assert_eq!(control.ask("loaded"), "0");
        }
        (descriptors(), resident())
    };
    let (_, before) = round(2000);
    let (left, after) = round(10_000);
    assert!(left <= idle, "{left} descriptors, {idle} before");
    assert!(after <= before + (1 << 20), "{after} bytes, {before} before");
    assert_eq!(bench.stop().0, 0);
}

/// Open descriptors of this process.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Bytes of memory this process has touched.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
