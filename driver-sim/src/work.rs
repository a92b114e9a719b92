//! What people do in a scenario, as its file says it, and the programs that do it.

use pilot_proto::{Instant, time::Duration};
use serde::{Deserialize, Serialize};

use crate::{
    fanout::Follow,
    net::HostId,
    program::Script,
    scenario::Scenario,
    talk::{Chat, Knock, Scatter},
    workload::{Befriend, Push, Rename, Settle},
    world::World,
};

macro_rules! specs {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
            /// When to begin, in milliseconds.
            #[serde(default)]
            pub at_ms: u64,
        }
    )*};
}

specs! {
    /// Bytes from one agent to another.
    TransferSpec {
        /// Host that sends.
        from: usize,
        /// Host that receives.
        to: usize,
        /// How many.
        bytes: u64,
    }
    /// One agent asks another for trust.
    TrustSpec {
        /// Host that asks.
        from: usize,
        /// Host that is asked.
        to: usize,
    }
    /// An agent takes names.
    RenameSpec {
        /// The host.
        host: usize,
        /// The names it wants, one after another.
        names: Vec<String>,
    }
    /// An agent changes its tags and whether it takes tasks.
    SettleSpec {
        /// The host.
        host: usize,
        /// How often.
        changes: u32,
    }
    /// Small messages both ways: one agent speaks, the other's echo service answers.
    ChatSpec {
        /// Host that speaks.
        from: usize,
        /// Host that answers.
        to: usize,
        /// Messages.
        rounds: u32,
        /// Bytes of each.
        length: usize,
        /// Time to think between an answer and the next message, in milliseconds.
        think_ms: u64,
    }
    /// Datagrams from one agent to another.
    ScatterSpec {
        /// Host that sends.
        from: usize,
        /// Host that receives.
        to: usize,
        /// How many.
        count: u32,
        /// Time between two, in milliseconds.
        every_ms: u64,
    }
    /// One agent publishes, a broker passes on, others hear.
    FanoutSpec {
        /// Host of the broker.
        broker: usize,
        /// Host that publishes.
        publisher: usize,
        /// Hosts that hear.
        subscribers: Vec<usize>,
        /// Events each of them is to hear.
        events: u64,
        /// Time between two events, in milliseconds.
        every_ms: u64,
    }
    /// An agent tries to reach another that must not let it in.
    KnockSpec {
        /// Host that knocks.
        from: usize,
        /// Host that stays shut.
        to: usize,
    }
    /// Streams that begin together and share one path, or one router; each must get its share.
    ContestSpec {
        /// Hosts that send.
        from: Vec<usize>,
        /// Host that receives them all.
        to: usize,
        /// How many each of them sends.
        streams: usize,
        /// Bytes of each.
        bytes: u64,
    }
}

impl Scenario {
    /// All work: which hosts it takes, and when it begins in milliseconds.
    pub(crate) fn work(&self) -> impl Iterator<Item = (Vec<usize>, u64)> + '_ {
        let transfers = self.transfers.iter().map(|w| (vec![w.from, w.to], w.at_ms));
        let trusts = self.trusts.iter().map(|w| (vec![w.from, w.to], w.at_ms));
        let renames = self.renames.iter().map(|w| (vec![w.host], w.at_ms));
        let settings = self.settings.iter().map(|w| (vec![w.host], w.at_ms));
        let chats = self.chats.iter().map(|w| (vec![w.from, w.to], w.at_ms));
        let scatters = self.scatters.iter().map(|w| (vec![w.from, w.to], w.at_ms));
        let knocks = self.knocks.iter().map(|w| (vec![w.from, w.to], w.at_ms));
        let contests =
            self.contests.iter().map(|w| (w.from.iter().copied().chain([w.to]).collect::<Vec<_>>(), w.at_ms));
        let fanouts = self.fanouts.iter().map(|w| {
            let hosts = [w.broker, w.publisher].into_iter().chain(w.subscribers.iter().copied());
            (hosts.collect(), w.at_ms)
        });
        let small = renames.chain(settings).chain(knocks);
        transfers.chain(trusts).chain(small).chain(chats).chain(scatters).chain(fanouts).chain(contests)
    }

    /// Whether all of its work can be done at all: whoever is not public is reached by those who have its trust only, and is
    /// asked by nobody who cannot have it.
    pub fn is_possible(&self) -> bool {
        let is_public = |host: usize| self.agents.get(host.wrapping_sub(1)).is_none_or(|agent| agent.public);
        let reaches = |from: usize, to: usize| {
            is_public(to) || self.trusts.iter().any(|w| (w.from, w.to) == (from, to))
        };
        self.transfers.iter().all(|w| reaches(w.from, w.to))
            && self.chats.iter().all(|w| reaches(w.from, w.to))
            && self.contests.iter().all(|w| w.from.iter().all(|from| reaches(*from, w.to)))
            && self.fanouts.iter().all(|w| {
                let others = w.subscribers.iter().chain([&w.publisher]);
                others.into_iter().all(|from| reaches(*from, w.broker))
            })
    }

    /// The scenario without one agent, which nobody names; those behind it move up.
    pub(crate) fn without_agent(&self, gone: usize) -> Scenario {
        let mut small = self.clone();
        small.agents.remove(gone - 1);
        // Links and routers are no work: what they say of it goes with it.
        small.links.retain(|link| !link.hosts.contains(&gone));
        small.routers.iter_mut().for_each(|router| router.hosts.retain(|host| *host != gone));
        let ends = (small.transfers.iter_mut().flat_map(|w| [&mut w.from, &mut w.to]))
            .chain(small.trusts.iter_mut().flat_map(|w| [&mut w.from, &mut w.to]))
            .chain(small.chats.iter_mut().flat_map(|w| [&mut w.from, &mut w.to]))
            .chain(small.scatters.iter_mut().flat_map(|w| [&mut w.from, &mut w.to]))
            .chain(small.knocks.iter_mut().flat_map(|w| [&mut w.from, &mut w.to]))
            .chain(small.contests.iter_mut().flat_map(|w| w.from.iter_mut().chain([&mut w.to])))
            .chain(
                small
                    .fanouts
                    .iter_mut()
                    .flat_map(|w| [&mut w.broker, &mut w.publisher].into_iter().chain(&mut w.subscribers)),
            )
            .chain(small.renames.iter_mut().map(|w| &mut w.host))
            .chain(small.settings.iter_mut().map(|w| &mut w.host))
            .chain(small.faults.iter_mut().flat_map(|fault| &mut fault.hosts))
            .chain(small.links.iter_mut().flat_map(|link| &mut link.hosts))
            .chain(small.routers.iter_mut().flat_map(|router| &mut router.hosts))
            .chain(
                small
                    .agents
                    .iter_mut()
                    .flat_map(|agent| agent.beside.iter_mut().chain(&mut agent.carrier_of)),
            );
        ends.filter(|host| **host > gone).for_each(|host| *host -= 1);
        small
    }

    /// Starts all programs that work.
    pub(crate) fn employ(&self, world: &mut World) {
        let at = Instant::from_millis;
        let start = |world: &mut World, host: usize, script: Box<dyn Script>| {
            world.add_program(HostId(host), Some(script));
        };
        for w in &self.transfers {
            let number = world.ledger.add_transfer(w.bytes);
            if let Some(transfer) = world.ledger.transfer_mut(number) {
                transfer.from = Some(w.from);
            }
            start(world, w.from, Box::new(Push::new(number, w.to, at(w.at_ms))));
        }
        for (contest, w) in self.contests.iter().enumerate() {
            for from in w.from.iter().flat_map(|from| std::iter::repeat_n(*from, w.streams)) {
                let number = world.ledger.add_transfer(w.bytes);
                if let Some(transfer) = world.ledger.transfer_mut(number) {
                    (transfer.from, transfer.contest) = (Some(from), Some(contest));
                }
                start(world, from, Box::new(Push::new(number, w.to, at(w.at_ms))));
            }
        }
        for w in &self.trusts {
            world.ledger.befriend(w.from, w.to);
            start(world, w.from, Box::new(Befriend::new(w.to, at(w.at_ms))));
        }
        for w in &self.renames {
            start(world, w.host, Box::new(Rename::new(w.names.iter().cloned(), at(w.at_ms))));
        }
        for w in &self.settings {
            start(world, w.host, Box::new(Settle::new(w.changes, at(w.at_ms))));
        }
        for (number, w) in self.chats.iter().enumerate() {
            let think = Duration::from_millis(w.think_ms);
            start(world, w.from, Box::new(Chat::new(number, w.to, w.rounds, w.length, think, at(w.at_ms))));
        }
        for w in &self.scatters {
            let every = Duration::from_millis(w.every_ms);
            start(world, w.from, Box::new(Scatter::new(w.to, w.count, every, at(w.at_ms))));
        }
        for w in &self.knocks {
            start(world, w.from, Box::new(Knock::new(w.to, at(w.at_ms))));
        }
        for w in &self.fanouts {
            let topic = world.ledger.add_topic(w.subscribers.len(), w.events);
            let every = Duration::from_millis(w.every_ms);
            start(world, w.publisher, Box::new(Follow::publisher(topic, w.broker, every, at(w.at_ms))));
            for (place, &host) in w.subscribers.iter().enumerate() {
                start(world, host, Box::new(Follow::subscriber(topic, w.broker, place, at(w.at_ms))));
            }
        }
    }
}
