//! Streams: each state against each event, then opening, data, loss, windows, closing.

mod closing;
mod data;
mod loss;
mod opening;
mod states;
mod windows;

use crate::live::case::{Case, Cases, Setup};

/// Initial numbers that must not matter.
const ISNS: [u32; 4] = [0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("stream", Setup::Public);
    states::states(&mut cases);
    opening::opening(&mut cases);
    data::data(&mut cases);
    loss::loss(&mut cases);
    windows::windows(&mut cases);
    closing::closing(&mut cases);
    cases.all
}

/// Bytes that tell where they belong.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 251) as u8).collect()
}
