//! What arguments may hold, and one sentence for each that holds something else.

use std::fmt;
use std::time::Duration;

use crate::format::{parse_duration, quoted};

/// A point in time named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// Unix seconds.
    At(i64),
    /// So long ago.
    Ago(Duration),
}

/// What is wrong with an argument, as one sentence that needs no frame around it.
#[derive(Debug)]
pub(crate) struct BadArgument(pub(crate) String);

impl fmt::Display for BadArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadArgument {}

fn decimal<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, BadArgument> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(number),
        _ if digits => Err(BadArgument(format!("{what}: {} is out of range", quoted(text)))),
        _ => Err(BadArgument(format!("{what}: {} is not a number", quoted(text)))),
    }
}

pub(crate) fn node_id(text: &str) -> Result<u32, BadArgument> {
    decimal(&format!("invalid node_id {}", quoted(text)), text)
}

pub(crate) fn network_id(text: &str) -> Result<u16, BadArgument> {
    decimal(&format!("invalid network_id {}", quoted(text)), text)
}

pub(crate) fn untrust_id(text: &str) -> Result<u32, BadArgument> {
    decimal("invalid node_id", text)
}

pub(crate) fn conn_id(text: &str) -> Result<u32, BadArgument> {
    decimal("invalid connection ID", text)
}

pub(crate) fn port(text: &str) -> Result<u16, BadArgument> {
    decimal(&format!("invalid port {}", quoted(text)), text)
}

pub(crate) fn count(text: &str) -> Result<i64, BadArgument> {
    text.parse()
        .map_err(|_| BadArgument(format!("invalid integer for --count: {} is not a number", quoted(text))))
}

pub(crate) fn duration(text: &str) -> Result<Duration, BadArgument> {
    parse_duration(text).ok_or_else(|| {
        BadArgument(format!(
            "invalid duration for --timeout: {} is neither seconds nor like 1m30s",
            quoted(text)
        ))
    })
}

pub(crate) fn size_mb(text: &str) -> Result<f64, BadArgument> {
    match text.parse::<f64>() {
        Ok(size) if size.is_finite() && (0.0..=65_536.0).contains(&size) => Ok(size),
        Ok(_) => Err(BadArgument(format!("invalid size: {} is not between 0 and 65536 MB", quoted(text)))),
        Err(_) => Err(BadArgument(format!("invalid size: {} is not a number", quoted(text)))),
    }
}

pub(crate) fn since(text: &str) -> Result<Since, BadArgument> {
    if let Some(at) = pilot_roles::clock::parse_rfc3339(text) {
        return Ok(Since::At(at));
    }
    parse_duration(text).map(Since::Ago).ok_or_else(|| {
        BadArgument(format!("invalid time for --since: {} is no RFC 3339 time or duration", quoted(text)))
    })
}
