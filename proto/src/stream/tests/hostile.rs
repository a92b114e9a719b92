//! A peer that says anything, an application that does anything: no panic, no flood, no hot loop, no leak.

use super::*;
use crate::stream::State;
use crate::wire::sack::{Block, Sack};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    /// Flags, then distances from what the stream expects, so that most segments are nearly right.
    Segment {
        flags: u8,
        seq: i32,
        ack: i32,
        window: u16,
        len: usize,
    },
    Report {
        ack: i32,
        blocks: Vec<(u32, u32)>,
    },
    Write(usize),
    Read(usize),
    Finish,
    Reset,
    Pass(u64),
    Send,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let near = || prop_oneof![8 => -3i32..4, 4 => -6000i32..6000, 1 => any::<i32>()];
    let segment = (prop_oneof![10 => Just(2u8), 3 => 0u8..16], near(), near(), 0u16..600, 0usize..5000)
        .prop_map(|(flags, seq, ack, window, len)| Act::Segment { flags, seq, ack, window, len });
    let blocks = prop::collection::vec((0u32..20_000, 1u32..5000), 1..5);
    let report = (near(), blocks).prop_map(|(ack, blocks)| Act::Report { ack, blocks });
    let act = prop_oneof![
        8 => segment,
        4 => report,
        4 => (0usize..6000).prop_map(Act::Write),
        2 => (0usize..6000).prop_map(Act::Read),
        1 => Just(Act::Finish),
        1 => prop_oneof![9 => Just(Act::Finish), 1 => Just(Act::Reset)],
        4 => (0u64..500).prop_map(Act::Pass),
        1 => (0u64..100_000).prop_map(Act::Pass),
        6 => Just(Act::Send),
    ];
    prop::collection::vec(act, 0..150)
}

fn moved(from: u32, by: i32) -> u32 {
    from.wrapping_add_signed(by)
}

fn act(end: &mut End, act: Act) {
    let (next, una) = (end.stream.receiver.next.get(), end.stream.sender.queue.una.get());
    match act {
        Act::Segment { flags, seq, ack, window, len } => {
            // Often an acknowledgment of everything sent so far.
            let base = if ack % 2 == 0 { una } else { end.stream.sender.queue.nxt.get() };
            let segment = seg(Flags::from_bits(flags), moved(next, seq), moved(base, ack), window);
            let _ = end.try_feed(segment, &pattern(0, len));
        }
        Act::Report { ack, blocks } => {
            let ack = moved(una, ack);
            let blocks = blocks.into_iter().map(|(left, len)| {
                let left = una.wrapping_add(left);
                Block { left, right: left.wrapping_add(len) }
            });
            let mut payload = [0; 64];
            let len = Sack::new(blocks).emit(&mut payload).unwrap();
            let _ = end.try_feed(seg(Flags::ACK, next, ack, 100), &payload[..len]);
        }
        Act::Write(len) => {
            let _ = end.stream.write(end.now, &pattern(0, len), &mut end.memory.pool());
        }
        Act::Read(len) => {
            let _ = end.stream.read(end.now, &mut vec![0; len], &mut end.memory.pool());
        }
        Act::Finish => end.stream.finish(end.now),
        Act::Reset => end.stream.reset(end.now, &mut end.memory.pool()),
        Act::Pass(millis) => assert!(end.pass(Duration::from_millis(millis)).len() < 2000),
        Act::Send => assert!(end.poll_all().len() < 500),
    }
    let queue = &end.stream.sender.queue;
    assert!(queue.sacked + queue.lost <= queue.outstanding);
    assert!(queue.flight <= queue.bytes && !queue.una.is_after(queue.nxt));
    assert_eq!(queue.outstanding == 0, queue.una == queue.nxt, "{queue:?}");
    assert!(end.stream.peek_len() as u32 <= end.stream.limits.recv_buffer + 8192);
}

proptest! {
    #[test]
    fn anything_may_come(
        acts in acts(),
        isn in prop_oneof![Just(0), Just((1 << 31) - 1), Just(u32::MAX)],
        dialer: bool,
        opened: bool,
        (chunks, size) in (1usize..100, prop_oneof![Just(1152usize), Just(37), Just(3000)]),
    ) {
        let mut end = if dialer { End::connect(isn) } else { End::accept(isn) };
        end.memory = Memory::new(chunks, size);
        if opened {
            let flags = if dialer { Flags::SYN_ACK } else { Flags::ACK };
            end.feed(seg(flags, PEER_ISN, isn.wrapping_add(1), 512), b"");
            prop_assert_eq!(end.stream.state(), State::Established);
        }
        for it in acts {
            act(&mut end, it);
        }
        end.poll_all();
        if let Some(deadline) = end.stream.poll_timeout() {
            prop_assert!(deadline > end.now);
        }
        end.release();
    }
}
