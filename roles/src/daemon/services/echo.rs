//! Port 7: everything comes back as it came. The peer ends it.

use alloc::collections::VecDeque;

use pilot_proto::planted;

/// Answers `bytes`.
pub(crate) fn input(bytes: &[u8], out: &mut VecDeque<u8>) {
    let short = planted!(EchoShort) && bytes.len() >= 512;
    out.extend(bytes.get(usize::from(short)..).unwrap_or_default());
}
