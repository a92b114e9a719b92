//! What a report is drawn from: an observer that keeps the course of streams, paths, links and faults, thinned out so
//! that a long run costs no more memory than a short one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pilot_proto::Instant;
use pilot_roles::role::Level;

use crate::{
    scenario::Verb,
    watch::{Loss, Moment, Observer, Sample, Seen},
};

/// Points kept of one curve; a plot is not as wide.
const MAX_POINTS: usize = 3000;
/// Streams and paths kept of one run.
const MAX_ROWS: usize = 2000;
/// Changes kept of one row of the timeline.
const MAX_CHANGES: usize = 500;
/// Log lines kept.
const MAX_LINES: usize = 300;

/// Keeps what a report shows; clones share it.
#[derive(Clone, Default)]
pub struct Chronicle(Arc<Mutex<Story>>);

impl Chronicle {
    pub(crate) fn story(&self) -> MutexGuard<'_, Story> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Chronicle {
    fn see(&mut self, moment: Moment, seen: &Seen<'_>) {
        self.story().note(moment, seen);
    }
}

/// A curve: values and when they were taken, in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Curve<T> {
    pub(crate) points: Vec<(u64, T)>,
    gap: u64,
}

impl<T> Default for Curve<T> {
    fn default() -> Self {
        Curve { points: Vec::new(), gap: 1 }
    }
}

impl<T: Copy> Curve<T> {
    /// Adds a point. Where there are too many, `merge` makes one of two neighbours.
    fn push(&mut self, at: u64, value: T, merge: impl Fn(T, T) -> T) {
        if let Some((last, old)) = self.points.last_mut()
            && at < *last + self.gap
        {
            *old = merge(*old, value);
            return;
        }
        if self.points.len() >= MAX_POINTS {
            self.gap *= 2;
            let pairs = self.points.chunks(2);
            self.points = pairs
                .filter_map(|pair| {
                    let (at, first) = *pair.first()?;
                    Some((at, pair.get(1).map_or(first, |(_, second)| merge(first, *second))))
                })
                .collect();
            let span = at - self.points.first().map_or(at, |(first, _)| *first);
            self.gap = self.gap.max(2 * span / MAX_POINTS as u64);
        }
        self.points.push((at, value));
    }
}

/// What something was from when on.
pub(crate) type Changes = Vec<(u64, String)>;

fn change(changes: &mut Changes, at: Instant, to: &str) {
    if changes.len() < MAX_CHANGES && changes.last().is_none_or(|(_, last)| last != to) {
        changes.push((at.as_micros(), to.to_owned()));
    }
}

#[derive(Debug, Default)]
pub(crate) struct HostStory {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) node: Option<u32>,
    life: u32,
    /// `up` and `down`.
    pub(crate) lives: Changes,
}

#[derive(Debug, Default)]
pub(crate) struct StreamStory {
    pub(crate) port: u16,
    pub(crate) remote: String,
    pub(crate) states: Changes,
    pub(crate) samples: Curve<Sample>,
}

/// One direction between two hosts.
#[derive(Debug, Default)]
pub(crate) struct LinkStory {
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
    pub(crate) lost: BTreeMap<Loss, u64>,
    pub(crate) queue: Curve<u64>,
}

#[derive(Debug)]
pub(crate) struct Deed {
    pub(crate) at: u64,
    pub(crate) verb: Verb,
    pub(crate) hosts: Vec<usize>,
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) at: u64,
    pub(crate) host: usize,
    pub(crate) level: Level,
    pub(crate) words: String,
}

/// Everything that was kept.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) hosts: Vec<HostStory>,
    /// By host, life of the host, and number of the stream in that life.
    pub(crate) streams: BTreeMap<(usize, u32, u32), StreamStory>,
    /// By host and node id of the peer.
    pub(crate) paths: BTreeMap<(usize, u32), Changes>,
    pub(crate) links: BTreeMap<(usize, usize), LinkStory>,
    pub(crate) deeds: Vec<Deed>,
    pub(crate) lines: Vec<Line>,
}

impl Story {
    /// The host that is a node.
    pub(crate) fn host_of(&self, node: u32) -> Option<&HostStory> {
        self.hosts.iter().find(|host| host.node == Some(node))
    }

    fn note(&mut self, moment: Moment, seen: &Seen<'_>) {
        let (at, host) = (moment.at, moment.host.index());
        if self.hosts.len() <= host {
            self.hosts.resize_with(host + 1, HostStory::default);
        }
        let own = &mut self.hosts[host];
        match seen {
            Seen::Host { name, ip, public_ip, .. } => {
                own.name = (*name).to_owned();
                own.address =
                    if ip == public_ip { ip.to_string() } else { format!("{ip} behind {public_ip}") };
            }
            Seen::Born => {
                own.life += 1;
                change(&mut own.lives, at, "up");
            }
            Seen::Ended { .. } => change(&mut own.lives, at, "down"),
            Seen::Node { node } => own.node = (*node > 0).then_some(*node).or(own.node),
            Seen::Fault { verb, hosts } => {
                if *verb == Verb::Crash {
                    change(&mut own.lives, at, "down");
                }
                if self.deeds.len() < MAX_CHANGES {
                    self.deeds.push(Deed { at: at.as_micros(), verb: *verb, hosts: hosts.clone() });
                }
            }
            Seen::Stream { stream, port, remote, state } => {
                let key = (host, own.life, *stream);
                if self.streams.len() < MAX_ROWS || self.streams.contains_key(&key) {
                    let story = self.streams.entry(key).or_default();
                    (story.port, story.remote) = (*port, remote.clone());
                    change(&mut story.states, at, state);
                }
            }
            Seen::Sample(sample) => {
                if let Some(story) = self.streams.get_mut(&(host, own.life, sample.stream)) {
                    story.samples.push(at.as_micros(), *sample, |_, new| new);
                }
            }
            Seen::Path { peer, via, .. } => {
                let key = (host, *peer);
                if self.paths.len() < MAX_ROWS || self.paths.contains_key(&key) {
                    change(self.paths.entry(key).or_default(), at, via);
                }
            }
            Seen::Sent { target: Some(target), data, queued, lost, .. } => {
                let link = self.links.entry((host, target.index())).or_default();
                link.datagrams += 1;
                link.bytes += data.len() as u64;
                if let Some(why) = lost {
                    *link.lost.entry(*why).or_default() += 1;
                }
                link.queue.push(at.as_micros(), *queued, u64::max);
            }
            Seen::Log { level, words } if *level >= Level::Info && self.lines.len() < MAX_LINES => {
                let (at, words) = (at.as_micros(), (*words).to_owned());
                self.lines.push(Line { at, host, level: *level, words });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_stays_small_spans_everything_and_keeps_its_peaks() {
        let mut curve = Curve::default();
        for at in 0..100_000 {
            curve.push(at * 10, if at == 77_777 { 9 } else { at % 3 }, u64::max);
        }
        assert!(curve.points.len() <= MAX_POINTS);
        assert_eq!(curve.points[0].0, 0);
        assert!(curve.points.last().is_some_and(|(at, _)| *at > 990_000));
        assert_eq!(curve.points.iter().filter(|(_, value)| *value == 9).count(), 1);
    }
}
