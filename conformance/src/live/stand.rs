//! What is around the program under test: the bench of a daemon or the bench of a rendezvous.

use super::bench::Bench;
use super::case::{Body, Case, Outcome, Setup};
use super::server::Server;
use super::target;
use super::trace::Trace;
use crate::process::Session;
use crate::programs::{Catalogue, Flavour};
use std::path::PathBuf;

/// The programs of one implementation, as command lines with holes.
pub(crate) struct Programs {
    daemon: Option<String>,
    rendezvous: Option<String>,
}

impl Programs {
    /// Those of a known implementation. The releases come without a rendezvous.
    pub(crate) fn known(catalogue: &Catalogue, flavour: Flavour) -> Programs {
        Programs {
            daemon: Some(target::template(catalogue, flavour)),
            rendezvous: super::server::template(catalogue, flavour),
        }
    }

    /// Ours with a defect planted on purpose, or with none.
    pub(crate) fn planted(catalogue: &Catalogue, defect: &str) -> Programs {
        let known = Programs::known(catalogue, Flavour::Ours);
        let with = |command: Option<String>, program: &str| {
            let flags = command?.split_once(' ')?.1.to_string();
            Some(format!("{} {defect} {program} {flags}", catalogue.planted().display()))
        };
        Programs { daemon: with(known.daemon, "daemon"), rendezvous: with(known.rendezvous, "rendezvous") }
    }

    /// A command line from the outside: its holes say what it starts.
    pub(crate) fn of(command: &str) -> Programs {
        let command = command.to_string();
        if command.contains("{registry_addr}") {
            Programs { daemon: None, rendezvous: Some(command) }
        } else {
            Programs { daemon: Some(command), rendezvous: None }
        }
    }

    /// The command line of what the setup needs, if the implementation has it.
    pub(crate) fn template(&self, setup: Setup) -> Option<&str> {
        match setup {
            Setup::Public | Setup::Private => self.daemon.as_deref(),
            Setup::Rendezvous => self.rendezvous.as_deref(),
        }
    }
}

pub(crate) enum Stand<'s> {
    Daemon(Box<Bench<'s>>),
    Rendezvous(Box<Server<'s>>),
}

impl<'s> Stand<'s> {
    pub(crate) fn start(
        session: &'s Session,
        trace: &Trace,
        template: &str,
        setup: Setup,
        home: PathBuf,
        first_node: u32,
    ) -> Result<Stand<'s>, String> {
        match setup {
            Setup::Public | Setup::Private => Bench::start(session, trace, template, setup, home, first_node)
                .map(|bench| Stand::Daemon(Box::new(bench))),
            Setup::Rendezvous => Server::start(session, trace, template, home, first_node)
                .map(|server| Stand::Rendezvous(Box::new(server))),
        }
    }

    /// Does what the case says.
    pub(crate) fn perform(&mut self, case: &Case) -> Outcome {
        match (self, &case.body) {
            (Stand::Daemon(bench), Body::Daemon(body)) => body(bench),
            (Stand::Rendezvous(server), Body::Rendezvous(body)) => body(server),
            _ => Err("the case is for another kind of program".into()),
        }
    }

    /// The target still serves who took no part.
    pub(crate) fn control(&mut self) -> Result<(), String> {
        match self {
            Stand::Daemon(bench) => bench.control(),
            Stand::Rendezvous(server) => server.control(),
        }
    }

    pub(crate) fn log(&self, lines: usize) -> String {
        match self {
            Stand::Daemon(bench) => bench.target.log(lines),
            Stand::Rendezvous(server) => server.program.log(lines),
        }
    }

    /// A number that no other case was given.
    pub(crate) fn next_node(&self) -> u32 {
        match self {
            Stand::Daemon(bench) => bench.next_node(),
            Stand::Rendezvous(server) => server.next_agent(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Programs, Setup};

    #[test]
    fn the_holes_say_what_a_command_starts() {
        let daemon = Programs::of("d -registry {registry}");
        assert!(daemon.template(Setup::Public).is_some() && daemon.template(Setup::Rendezvous).is_none());
        let rendezvous = Programs::of("r -registry-addr {registry_addr}");
        assert!(rendezvous.template(Setup::Private).is_none());
        assert!(rendezvous.template(Setup::Rendezvous).is_some());
    }
}
