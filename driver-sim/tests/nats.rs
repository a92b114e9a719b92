//! The grid: every kind of NAT against every other. Data flows in all of them, and directly wherever that can be.

use pilot_sim::{Dependence, Meeting, NatConfig, nat_grid};

/// Whether two hosts can reach each other when both know how the beacon sees the other, and each answers to where it is
/// spoken to from. Without guessing ports nothing more is possible.
fn can_punch(a: Option<NatConfig>, b: Option<NatConfig>) -> bool {
    let open = NatConfig { filtering: Dependence::Independent, ..NatConfig::default() };
    let (a, b) = (a.unwrap_or(open), b.unwrap_or(open));
    let fixed = |nat: NatConfig| nat.mapping == Dependence::Independent;
    let hears_other_ports = |nat: NatConfig| nat.filtering != Dependence::Port;
    let hears_all = |nat: NatConfig| nat.filtering == Dependence::Independent;
    match (fixed(a), fixed(b)) {
        (true, true) => true,
        (true, false) => hears_other_ports(a),
        (false, true) => hears_other_ports(b),
        (false, false) => (hears_all(a) && hears_other_ports(b)) || (hears_all(b) && hears_other_ports(a)),
    }
}

#[test]
fn data_flows_between_all_kinds_of_nats_and_directly_where_that_is_possible() {
    let grid = nat_grid(1);
    assert!(
        include_str!("../README.md").contains(&grid.to_string()),
        "the README shows another grid than\n{grid}"
    );
    for ((row_name, a), row) in grid.kinds.iter().zip(&grid.rows) {
        for ((column_name, b), meeting) in grid.kinds.iter().zip(row) {
            let direct = matches!(meeting, Meeting::Direct | Meeting::Punched);
            let expected = can_punch(*a, *b);
            assert!(
                direct == expected && *meeting != Meeting::Failed,
                "{row_name} asks {column_name}: {meeting}, a direct path is {}\n{grid}",
                if expected { "possible" } else { "impossible" }
            );
        }
    }
}
