//! What an acknowledgment costs while segments are missing from a full window.
//!
//! A long, fat path: 4 MiB in segments of 1152 bytes are under way for 50 ms. The more segments a sender must look at for
//! each acknowledgment, the more a loss costs it.

use std::{collections::VecDeque, hint::black_box};

use pilot_proto::{
    Instant,
    rng::{Rng, SeededRng},
    stream::{self, Read, Segment, Stream},
    time::Duration,
};

use crate::{End, line, over, percentile, timed, title};

const WINDOW: usize = 4 << 20;
const MSS: u16 = 1152;
const ONE_WAY: Duration = Duration::from_millis(25);
const STEP: Duration = Duration::from_millis(1);

/// What the path loses.
#[derive(Clone, Copy)]
enum Loss {
    Nothing,
    /// Each segment with this chance, in thousandths.
    Random(u32),
    /// So many in a row, each quarter of a second.
    Burst(u32),
}

type Flight = VecDeque<(Instant, Segment, Vec<u8>)>;

/// Sends what an end has to say; how long it took to build it, and how many segments that were.
fn send(
    end: &mut End,
    now: Instant,
    path: &mut Flight,
    buffer: &mut [u8],
    mut lost: impl FnMut(usize) -> bool,
) -> (std::time::Duration, usize) {
    let (stream, mut pool) = end.parts();
    if stream.poll_timeout().is_some_and(|at| at <= now) {
        stream.handle_timeout(now, &mut pool);
    }
    let (mut time, mut count) = (std::time::Duration::ZERO, 0);
    loop {
        let mut next = None;
        time += timed(|| next = stream.poll_transmit(now, &mut pool, buffer));
        let Some((segment, len)) = next else { return (time, count) };
        count += 1;
        if !lost(len) {
            path.push_back((now + ONE_WAY, segment, buffer[..len].to_vec()));
        }
    }
}

/// Nanoseconds for an acknowledgment taken in, for a segment sent, and how many segments were under way.
fn run(loss: Loss) -> (f64, f64, f64) {
    let segments = WINDOW / usize::from(MSS);
    let config = stream::Config {
        mss: MSS,
        send_buffer: u32::try_from(2 * WINDOW).unwrap(),
        recv_buffer: u32::try_from(2 * WINDOW).unwrap(),
        max_flight: u16::try_from(segments).unwrap(),
        ..stream::Config::default()
    };
    let mut now = Instant::from_millis(1);
    let mut buffer = vec![0; 4200];
    let data = vec![0x5a; WINDOW];
    let mut a = End::with_chunks(Stream::connect(now, 1, &config), 8 * segments, MSS.into());
    let (stream, mut pool) = a.parts();
    let (syn, _) = stream.poll_transmit(now, &mut pool, &mut buffer).unwrap();
    let mut b = End::with_chunks(Stream::accept(now, 2, &syn, &config), 8 * segments, MSS.into());
    let mut rng = SeededRng::new(3);
    let (mut there, mut back) = (Flight::new(), Flight::new());
    let (mut acks, mut sends, mut under_way, mut burst, mut steps) = (Vec::new(), Vec::new(), 0.0, 0, 0.0);
    // The window is open after two seconds.
    for step in 0..12_000 {
        now = now + STEP;
        let warm = step >= 2000;
        if let Loss::Burst(length) = loss
            && warm
            && step % 250 == 0
        {
            burst = length;
        }
        while there.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, segment, payload) = there.pop_front().unwrap();
            let (stream, mut pool) = b.parts();
            let _ = stream.handle_segment(now, &segment, &payload, &mut pool);
            while let Ok(Read::Bytes(n)) = stream.read(now, &mut buffer, &mut pool) {
                black_box(n);
            }
            send(&mut b, now, &mut back, &mut buffer, |_| false);
        }
        send(&mut b, now, &mut back, &mut buffer, |_| false);
        let (mut time, mut count) = (std::time::Duration::ZERO, 0);
        while back.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, segment, payload) = back.pop_front().unwrap();
            let (stream, mut pool) = a.parts();
            time += timed(|| _ = black_box(stream.handle_segment(now, &segment, &payload, &mut pool)));
            count += 1;
        }
        let recovering = a.stream.stats().in_recovery || matches!(loss, Loss::Nothing);
        if warm && count > 0 && recovering {
            acks.push(time / count);
        }
        let (stream, mut pool) = a.parts();
        let _ = stream.write(now, &data, &mut pool).unwrap();
        let (time, count) = send(&mut a, now, &mut there, &mut buffer, |len| match loss {
            _ if !warm || len == 0 => false,
            Loss::Nothing => false,
            Loss::Random(chance) => rng.u32() % 1000 < chance,
            Loss::Burst(_) => {
                let lost = burst > 0;
                burst = burst.saturating_sub(1);
                lost
            }
        });
        if warm && count > 0 && recovering {
            sends.push(time / u32::try_from(count).unwrap());
        }
        if warm && recovering {
            under_way += f64::from(a.stream.stats().unacked);
            steps += 1.0;
        }
    }
    let nanos = |times: Vec<std::time::Duration>| {
        let (rounds, mut times) = (times.len(), times.into_iter());
        assert!(rounds >= 40, "{rounds} steps in recovery");
        percentile(rounds, 1, || times.next().unwrap())
    };
    (nanos(acks), nanos(sends), under_way / steps)
}

/// A full window without loss, with losses here and there, and with many in a row.
pub(crate) fn recovery() {
    title("stream: a full window of 4 MiB in segments of 1152 bytes, while some are missing");
    let cases = [
        ("nothing lost", Loss::Nothing),
        ("1 lost each quarter of a second", Loss::Burst(1)),
        ("1 % lost", Loss::Random(10)),
        ("1000 in a row each quarter of a second", Loss::Burst(1000)),
    ];
    let mut bare = None;
    for (name, loss) in cases {
        let (ack, send, under_way) = run(loss);
        let (bare_ack, bare_send) = *bare.get_or_insert((ack, send));
        line(&format!("{name}: an acknowledgment in"), ack, &over(ack, bare_ack));
        line(
            &format!("{name}: a segment out"),
            send,
            &format!("{}, {under_way:.0} under way", over(send, bare_send)),
        );
    }
}
