//! Asks everybody what they wait for, and gives their answers the names and the time of the world.

use pilot_roles::{Listener, role::Whom};

use super::World;
use crate::{
    net::HostId,
    program::Pending,
    waits::{Edge, Item, Party, Stuck},
};

impl World {
    /// Whether all daemons serve their programs and all scripts are done.
    pub fn is_done(&self) -> bool {
        self.unfinished().next().is_none()
    }

    /// What is not done, and who waits for whom.
    pub fn stuck(&mut self) -> Stuck {
        let items: Vec<Item> = self.unfinished().collect();
        let edges = (0..self.hosts.len()).flat_map(|host| self.waits_of(HostId(host))).collect();
        let name = |host: usize| {
            let node = self.ledger.node(host).map_or(String::new(), |node| format!(" (node {node})"));
            (host, format!("{}{node}", self.hosts[host].spec.name))
        };
        let names = (0..self.hosts.len()).map(name).collect();
        let down = (0..self.hosts.len()).filter(|host| self.hosts[*host].role.is_none()).collect();
        Stuck::new(self.now, items, edges, names, down)
    }

    fn unfinished(&self) -> impl Iterator<Item = Item> + '_ {
        let daemons = self.hosts.iter().enumerate().filter(|(_, host)| host.spec.is_daemon);
        let down = daemons
            .filter(|(_, host)| !host.listening.contains(&Listener::Ipc) && host.exit != Some(0))
            .map(|(host, of)| Item {
                host,
                pending: Pending {
                    work: "registration".into(),
                    with: of.spec.dials.values().next().map(|host| host.0),
                    since: of.clock.born,
                    state: "does not serve programs".into(),
                },
            });
        let scripts = self.programs.iter().filter_map(|program| {
            let pending = program.script.as_ref()?.pending(&self.ledger)?;
            Some(Item { host: program.host.0, pending })
        });
        down.chain(scripts)
    }

    fn waits_of(&mut self, id: HostId) -> Vec<Edge> {
        let host = &mut self.hosts[id.0];
        let rendezvous = host.spec.dials.values().next().copied();
        let (clock, waits) = (host.clock, host.role.as_mut().map_or(Vec::new(), |role| role.waits()));
        let edge = |wait: pilot_roles::role::Wait| {
            let to = match wait.whom {
                Whom::Registry | Whom::Beacon => Party::Host(rendezvous?.0),
                Whom::Node(node) => self.ledger.host_of(node).map_or(Party::Stranger(node), Party::Host),
                Whom::Programs => Party::Programs(id.0),
                Whom::Disk => Party::Disk(id.0),
                Whom::Sink => Party::Sink(id.0),
            };
            let cut = match to {
                Party::Host(to) => {
                    [(id, HostId(to)), (HostId(to), id)].into_iter().any(|way| self.net.is_cut(way))
                }
                _ => false,
            };
            let what = if cut { format!("{} (the way is cut)", wait.what) } else { wait.what };
            let (since, next) = (wait.since.map(|at| clock.when(at)), wait.next.map(|at| clock.when(at)));
            Some(Edge { from: Party::Host(id.0), to, what, since, next })
        };
        waits.into_iter().filter_map(edge).collect()
    }
}
