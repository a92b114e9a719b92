//! Many dials of one agent at once: programs that start together, or one that opens a connection for each of its jobs.

use crate::live::client::Client;
use crate::live::trace::Trace;
use crate::node::Node;
use std::time::{Duration, Instant};

/// The echo service every daemon has.
const ECHO: u16 = 7;

/// Dials `count` connections at once through the daemon's local socket, and sends a word over each and back. How long the
/// first, the half and the last took to be open, as far as the program is told: answers come in the order of the dials.
pub(crate) fn at_once(a: &Node<'_>, b: &Node<'_>, count: usize, limit: Duration) -> Result<String, String> {
    let mut client = Client::connect(&a.socket(), &Trace::new())?;
    let target = u32::try_from(b.id).map_err(|e| format!("node id {}: {e}", b.id))?;
    let began = Instant::now();
    for _ in 0..count {
        client.dial(target, ECHO)?;
    }
    let (mut open, mut failed) = (Vec::new(), Vec::new());
    while open.len() + failed.len() < count {
        match client.dialled(limit.saturating_sub(began.elapsed())) {
            Ok(connection) => open.push((connection, began.elapsed().as_secs_f64())),
            Err(why) => {
                failed.push(why);
                if began.elapsed() >= limit {
                    break;
                }
            }
        }
    }
    if let Some(why) = failed.first() {
        return Err(format!(
            "{} of {count} open after {:.1} s; {why}",
            open.len(),
            began.elapsed().as_secs_f64()
        ));
    }
    for (connection, _) in &open {
        client.write(*connection, format!("dial {connection}").as_bytes())?;
    }
    for (connection, _) in &open {
        let word = format!("dial {connection}").into_bytes();
        let back = client.read_bytes(*connection, word.len())?;
        if back != word {
            return Err(format!("connection {connection} echoes {back:02x?} for {word:02x?}"));
        }
        client.close(*connection)?;
    }
    let at = |place: usize| open.get(place).map_or(f64::NAN, |(_, seconds)| *seconds);
    Ok(format!(
        "first {:.2} s, half {:.2} s, last {:.2} s",
        at(0),
        at(count / 2),
        at(count.saturating_sub(1))
    ))
}
