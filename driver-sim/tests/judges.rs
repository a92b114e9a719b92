//! Judges that bark: roles which break the contract, each in its own way, are found out.

use std::{collections::BTreeMap, net::SocketAddr};

use pilot_proto::{Instant, Transmit, time::Duration};
use pilot_roles::{
    Input, Now, Output, Role,
    role::{Fill, Level, Record},
};
use pilot_sim::{HostSpec, LinkConfig, RealmId, World};

/// How a role goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vice {
    None,
    /// It works when it is called and did not ask to be.
    Forgetful,
    /// It asks to be called in the past.
    Stuck,
    /// It always has one thing more to do.
    Restless,
    /// A table grows beyond its bound.
    Greedy,
    /// It sends what is no datagram of the protocol.
    Babbling,
}

struct Sinner {
    vice: Vice,
    due: Option<Instant>,
    lines: u32,
    rows: usize,
}

const STEP: Duration = Duration::from_millis(10);

impl Role for Sinner {
    fn handle_datagram(&mut self, _: Now, _: SocketAddr, _: &mut [u8]) {}

    fn handle_input(&mut self, now: Now, _: Input<'_>) {
        self.due = Some(now.instant + STEP);
    }

    fn handle_timeout(&mut self, now: Now) {
        if self.vice == Vice::Forgetful && self.due.is_some_and(|due| due > now.instant) {
            self.lines += 1;
        }
        if self.due.is_some_and(|due| due <= now.instant) {
            self.rows += 1;
            let next = if self.vice == Vice::Stuck { now.instant } else { now.instant + STEP };
            self.due = Some(next);
        }
    }

    fn poll_transmit(&mut self, _: Now, buf: &mut [u8]) -> Option<Transmit> {
        if self.vice != Vice::Babbling || self.rows == 0 {
            return None;
        }
        self.rows = 0;
        buf[..5].copy_from_slice(b"PILX!");
        Some(Transmit { to: "20.0.0.9:1".parse().ok()?, len: 5, segment_size: None, may_fragment: false })
    }

    fn poll_output(&mut self, _: Now) -> Option<Output> {
        if self.vice != Vice::Restless {
            self.lines = self.lines.checked_sub(1)?;
        }
        Some(Output::Log(Record { level: Level::Info, message: "again", fields: Vec::new() }))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn fills(&self) -> Vec<Fill> {
        let used = if self.vice == Vice::Greedy { self.rows } else { 0 };
        vec![Fill { table: "rows", used, max: 50, transient: true }]
    }
}

/// The rule that a role with this vice breaks.
fn rule(vice: Vice) -> Option<&'static str> {
    let mut world = World::new(1, LinkConfig::default());
    let place = world.add_place(RealmId::INTERNET);
    world.settle(
        place,
        HostSpec {
            name: "sinner".into(),
            udp_port: 4000,
            birth: Box::new(move |_, _, _| Box::new(Sinner { vice, due: None, lines: 0, rows: 0 })),
            dials: BTreeMap::new(),
            drift_ppm: 0,
            wall_offset: 0,
            is_daemon: true,
            misbehaves: false,
        },
    );
    world.rest(Duration::from_secs(60));
    world.breach().map(|breach| breach.rule)
}

#[test]
fn a_role_that_keeps_the_contract_is_left_alone() {
    assert_eq!(rule(Vice::None), None);
}

#[test]
fn each_way_to_break_the_contract_is_found() {
    assert_eq!(rule(Vice::Forgetful), Some("works without having asked"));
    assert_eq!(rule(Vice::Stuck), Some("timer in the past"));
    assert_eq!(rule(Vice::Restless), Some("never comes to rest"));
    assert_eq!(rule(Vice::Greedy), Some("table out of bounds"));
    assert_eq!(rule(Vice::Babbling), Some("malformed datagram sent"));
}
