//! Who waits for whom: what a run that ends with work undone has to say. Each waiting is an edge with its reason; from the
//! work that is not done they are followed to where they end, or to where they go round.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
};

use pilot_proto::Instant;

use crate::program::Pending;

/// Lines of each part of a report.
const MAX_LINES: usize = 100;

/// Somebody who waits or is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// The role of a host.
    Host(usize),
    /// The programs of a host.
    Programs(usize),
    /// The disk of a host.
    Disk(usize),
    /// The endpoint of a host's webhook.
    Sink(usize),
    /// A node that no host is.
    Stranger(u32),
}

/// One waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Who waits.
    pub from: Party,
    /// For whom.
    pub to: Party,
    /// What for.
    pub what: String,
    /// Since when, if that is known.
    pub since: Option<Instant>,
    /// When `from` does something about it by itself, if it will.
    pub next: Option<Instant>,
}

/// Work that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Index of the host whose work it is.
    pub host: usize,
    /// The work.
    pub pending: Pending,
}

/// What is not done and why, as far as anybody's state shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stuck {
    /// When this was seen.
    pub at: Instant,
    /// Work that is not done.
    pub items: Vec<Item>,
    /// Waitings that this work leads to.
    pub edges: Vec<Edge>,
    /// Waitings that lead back to where they began; each party is in one of them at most.
    pub cycles: Vec<Vec<Party>>,
    /// Those who are waited for and wait for nobody.
    pub ends: Vec<Party>,
    names: BTreeMap<usize, String>,
    down: BTreeSet<usize>,
}

impl Stuck {
    /// Follows `edges` from `items`. `names` are those of hosts, `down` those that are down.
    pub(crate) fn new(
        at: Instant,
        items: Vec<Item>,
        edges: Vec<Edge>,
        names: BTreeMap<usize, String>,
        down: BTreeSet<usize>,
    ) -> Self {
        let own = items.iter().map(|Item { host, pending }| Edge {
            from: Party::Programs(*host),
            to: Party::Host(pending.with.unwrap_or(*host)),
            what: pending.work.clone(),
            since: Some(pending.since),
            next: None,
        });
        let graph = Graph::new(own.chain(edges.iter().cloned()));
        let begin =
            items.iter().flat_map(|item| [Party::Programs(item.host), Party::Host(item.host)]).collect();
        let reached = graph.reached(begin);
        let edges: Vec<Edge> = edges.into_iter().filter(|edge| reached.contains(&edge.from)).collect();
        let ends = reached.iter().filter(|party| graph.is_end(**party)).copied().collect();
        Stuck { at, items, edges, cycles: graph.cycles(&reached), ends, names, down }
    }

    /// Nothing is left to do.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn name(&self, party: Party) -> String {
        let host = |host: usize| {
            let name = self.names.get(&host).cloned().unwrap_or_else(|| format!("host {host}"));
            if self.down.contains(&host) { format!("{name}, which is down") } else { name }
        };
        match party {
            Party::Host(of) => host(of),
            Party::Programs(of) => format!("the programs of {}", host(of)),
            Party::Disk(of) => format!("the disk of {}", host(of)),
            Party::Sink(of) => format!("the endpoint of {}", host(of)),
            Party::Stranger(node) => format!("node {node}, which no host is"),
        }
    }
}

impl fmt::Display for Stuck {
    /// Several lines; none if nothing is left to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        let seconds = |at: Instant| at.as_micros() as f64 / 1e6;
        write!(f, "{} pending at {:.3} s:", self.items.len(), seconds(self.at))?;
        list(f, &self.items, |Item { host, pending }| {
            let Pending { work, with, since, state } = pending;
            let with = with.map_or(String::new(), |with| format!(" with {}", self.name(Party::Host(with))));
            format!(
                "{}: {work}{with}, due since {:.3} s: {state}",
                self.name(Party::Host(*host)),
                seconds(*since)
            )
        })?;
        if !self.edges.is_empty() {
            write!(f, "\nwho waits for whom:")?;
        }
        list(f, &self.edges, |Edge { from, to, what, since, next }| {
            let since = since.map_or(String::new(), |at| format!(", since {:.3} s", seconds(at)));
            let next = next.map_or(String::new(), |at| {
                let was = if at < self.at { "was due" } else { "acts again" };
                format!(", {was} at {:.3} s", seconds(at))
            });
            format!("{} -> {}: {what}{since}{next}", self.name(*from), self.name(*to))
        })?;
        for cycle in &self.cycles {
            let names: Vec<String> =
                cycle.iter().chain(cycle.first()).map(|party| self.name(*party)).collect();
            write!(f, "\ngoes round: {}", names.join(" -> "))?;
        }
        if !self.ends.is_empty() {
            let names: Vec<String> =
                self.ends.iter().take(MAX_LINES).map(|party| self.name(*party)).collect();
            write!(f, "\nends at: {}", names.join("; "))?;
        }
        Ok(())
    }
}

fn list<T>(f: &mut fmt::Formatter<'_>, all: &[T], line: impl Fn(&T) -> String) -> fmt::Result {
    for one in all.iter().take(MAX_LINES) {
        write!(f, "\n  {}", line(one))?;
    }
    match all.len().checked_sub(MAX_LINES) {
        Some(more) if more > 0 => write!(f, "\n  and {more} more"),
        _ => Ok(()),
    }
}

/// Edges by where they begin.
struct Graph(BTreeMap<Party, BTreeSet<Party>>);

impl Graph {
    fn new(edges: impl Iterator<Item = Edge>) -> Self {
        let mut next: BTreeMap<Party, BTreeSet<Party>> = BTreeMap::new();
        for Edge { from, to, .. } in edges.filter(|edge| edge.from != edge.to) {
            next.entry(from).or_default().insert(to);
        }
        Graph(next)
    }

    fn next(&self, of: Party) -> impl Iterator<Item = Party> + '_ {
        self.0.get(&of).into_iter().flatten().copied()
    }

    fn is_end(&self, party: Party) -> bool {
        !self.0.contains_key(&party)
    }

    fn reached(&self, mut open: Vec<Party>) -> BTreeSet<Party> {
        let mut reached = BTreeSet::new();
        while let Some(party) = open.pop() {
            if reached.insert(party) {
                open.extend(self.next(party));
            }
        }
        reached
    }

    /// A shortest way round for everybody in `among` who is on one and not in one that was found before.
    fn cycles(&self, among: &BTreeSet<Party>) -> Vec<Vec<Party>> {
        // Whoever waits for nobody who is left is on no way round.
        let mut left = among.clone();
        loop {
            let (stay, go): (BTreeSet<_>, BTreeSet<_>) =
                left.iter().partition(|party| self.next(**party).any(|next| left.contains(&next)));
            left = stay;
            if go.is_empty() {
                break;
            }
        }
        let mut cycles = Vec::new();
        while let Some(first) = left.pop_first() {
            if cycles.len() == MAX_LINES {
                break;
            }
            if let Some(cycle) = self.way_back(first, &left) {
                cycle.iter().for_each(|party| {
                    left.remove(party);
                });
                cycles.push(cycle);
            }
        }
        cycles
    }

    /// The shortest way from `first` back to it through `others`.
    fn way_back(&self, first: Party, others: &BTreeSet<Party>) -> Option<Vec<Party>> {
        let (mut before, mut open) = (BTreeMap::new(), VecDeque::from([first]));
        while let Some(at) = open.pop_front() {
            for next in self.next(at) {
                if next == first {
                    let mut way = vec![at];
                    while let Some(last) = way.last().and_then(|party| before.get(party)) {
                        way.push(*last);
                    }
                    way.reverse();
                    return Some(way);
                }
                if others.contains(&next) && !before.contains_key(&next) {
                    before.insert(next, at);
                    open.push_back(next);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: Party, to: Party) -> Edge {
        Edge { from, to, what: "something".into(), since: None, next: None }
    }

    fn stuck(hosts: &[usize], edges: &[(Party, Party)]) -> Stuck {
        let item = |&host: &usize| Item {
            host,
            pending: Pending {
                work: "work".into(),
                with: None,
                since: Instant::ORIGIN,
                state: String::new(),
            },
        };
        let edges = edges.iter().map(|&(from, to)| edge(from, to)).collect();
        Stuck::new(
            Instant::ORIGIN,
            hosts.iter().map(item).collect(),
            edges,
            BTreeMap::new(),
            BTreeSet::from([3]),
        )
    }

    use Party::{Disk, Host, Programs};

    #[test]
    fn a_chain_ends_at_whoever_waits_for_nobody() {
        let chain = stuck(&[1], &[(Host(1), Host(0)), (Host(0), Disk(0)), (Host(2), Host(5))]);
        assert_eq!((chain.ends.as_slice(), chain.cycles.len()), ([Disk(0)].as_slice(), 0));
        assert_eq!(chain.edges.len(), 2, "what the work does not lead to is not told");
        assert!(chain.to_string().ends_with("ends at: the disk of host 0"), "{chain}");
        let down = stuck(&[1], &[(Host(1), Host(3))]);
        assert!(down.to_string().ends_with("ends at: host 3, which is down"), "{down}");
    }

    #[test]
    fn a_cycle_is_named_once_and_the_shortest_of_several() {
        let round = [(Host(1), Host(2)), (Host(2), Host(3)), (Host(3), Host(1)), (Host(2), Host(1))];
        let round = stuck(&[1, 2], &round);
        assert_eq!(round.cycles, [vec![Host(1), Host(2)]]);
        assert!(round.ends.is_empty());
        assert!(round.to_string().ends_with("goes round: host 1 -> host 2 -> host 1"), "{round}");
        let two = [(Host(1), Host(2)), (Host(2), Host(1)), (Host(1), Host(3)), (Host(3), Host(4))];
        let two = stuck(&[1], &[&two[..], &[(Host(4), Host(3))]].concat());
        assert_eq!(two.cycles, [vec![Host(1), Host(2)], vec![Host(3), Host(4)]]);
    }

    #[test]
    fn work_of_programs_is_part_of_a_cycle() {
        // The daemon waits until its program reads, and the program waits for the daemon.
        let round = stuck(&[1], &[(Host(1), Programs(1))]);
        assert_eq!(round.cycles, [vec![Host(1), Programs(1)]]);
    }

    #[test]
    fn a_long_report_is_cut() {
        let edges: Vec<_> = (2..500).map(|host| (Host(1), Host(host))).collect();
        let words = stuck(&[1], &edges).to_string();
        assert!(words.contains("and 398 more") && words.lines().count() < 2 * MAX_LINES, "{words}");
    }
}
