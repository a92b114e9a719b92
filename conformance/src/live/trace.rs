//! What went over the wire in a case: lines for people, datagrams for a capture, keys for a dissector.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines and datagrams kept for one case; a flood is cut.
const MOST: usize = 4000;

#[derive(Default)]
struct Inner {
    lines: Vec<String>,
    datagrams: Vec<(Duration, SocketAddr, SocketAddr, Vec<u8>)>,
}

/// Shared by everything that sends or receives.
#[derive(Clone)]
pub(crate) struct Trace {
    began: Instant,
    inner: Arc<Mutex<Inner>>,
}

impl Trace {
    pub(crate) fn new() -> Trace {
        Trace { began: Instant::now(), inner: Arc::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, line: String) {
        let mut inner = self.inner();
        if inner.lines.len() < MOST {
            let at = self.began.elapsed().as_secs_f64();
            inner.lines.push(format!("{at:9.4}  {line}"));
        }
    }

    pub(crate) fn datagram(&self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let at = self.began.elapsed();
        let mut inner = self.inner();
        if inner.datagrams.len() < MOST {
            inner.datagrams.push((at, from, to, bytes.to_vec()));
        }
    }

    /// Forgets what was noted so far: another case begins.
    pub(crate) fn clear(&self) {
        *self.inner() = Inner::default();
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.inner().lines.clone()
    }

    /// Writes the datagrams as a pcap file of raw IPv4 packets.
    pub(crate) fn write_capture(&self, path: &Path) -> Result<(), String> {
        let mut out = Vec::new();
        for word in [0xA1B2_C3D4u32, 2 | 4 << 16, 0, 0, 262_144, 101] {
            out.extend(word.to_le_bytes());
        }
        for (at, from, to, bytes) in &self.inner().datagrams {
            let (SocketAddr::V4(from), SocketAddr::V4(to)) = (from, to) else { continue };
            let length = (28 + bytes.len()) as u32;
            for word in [at.as_secs() as u32, at.subsec_micros(), length, length] {
                out.extend(word.to_le_bytes());
            }
            out.extend([0x45, 0]);
            out.extend((length as u16).to_be_bytes());
            out.extend([0, 0, 0, 0, 64, 17, 0, 0]);
            out.extend(from.ip().octets());
            out.extend(to.ip().octets());
            for half in [from.port(), to.port(), length as u16 - 20, 0] {
                out.extend(half.to_be_bytes());
            }
            out.extend(bytes);
        }
        std::fs::write(path, out).map_err(|e| format!("{}: {e}", path.display()))
    }
}

/// Bytes as hexadecimal digits, cut after `most`.
pub(crate) fn hex(bytes: &[u8], most: usize) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(most) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    if bytes.len() > most {
        let _ = write!(text, "… {} bytes", bytes.len());
    }
    text
}
