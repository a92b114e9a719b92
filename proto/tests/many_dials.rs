//! Many streams to one peer are opened at once: as many as it lets in, then no faster than it lets in more.

mod common;

use common::{Net, SECOND, public};
use pilot_proto::node::Event;

/// The peer lets 64 in at once and then ten a second, as 1.18.0. Proves STR-5.
#[test]
fn two_hundred_dials_succeed_as_soon_as_the_peer_lets_them_in() {
    let mut net = Net::new(11);
    let (a, b) = (public(&mut net), public(&mut net));
    net.hosts[b].node.listen(1000).unwrap();
    for _ in 0..200 {
        net.connect(a, b, 1000);
    }
    let begun = net.now;
    let came = |net: &Net| {
        net.hosts[b].events.iter().filter(|event| matches!(event, Event::Incoming { .. })).count()
    };
    net.run_for(SECOND / 2);
    assert!((64..75).contains(&came(&net)), "{} at once", came(&net));
    let took = net.run_until_done(20 * SECOND, |net| came(net) == 200);
    println!("{took:?}");
    // 136 that wait, 110 ms each.
    assert!(net.now.since(begun) < 16 * SECOND, "{took:?}");
    // None was dropped at the other end: a SYN, its answer's ACK, and nothing else went for any.
    let strays = net.hosts[a].sent.saturating_sub(2 * 200);
    assert!(strays < 20, "{strays} datagrams besides");
}
