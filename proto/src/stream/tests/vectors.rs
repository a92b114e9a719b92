//! The golden data: what the reference computes, and 75 captured conversations played to our machine.

use serde_json::Value;

use super::*;
use crate::stream::receiver::{Arrival, Receiver};
use crate::stream::rtt::RttEstimator;
use crate::stream::{Seq, State};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../spec/vectors/stream.json")).unwrap()
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("{field} in {value}"))
}

#[test]
fn rtt_estimator() {
    for series in vectors()["units"]["rtt_estimator"].as_array().unwrap() {
        let mut rtt = RttEstimator::default();
        for step in series.as_array().unwrap() {
            rtt.sample(Duration::from_micros(number(step, "sample_us")));
            let got = [rtt.srtt(), rtt.rttvar(), rtt.rto()].map(|d| d.as_nanos() as u64);
            assert_eq!(got, ["srtt_ns", "rttvar_ns", "rto_ns"].map(|field| number(step, field)));
        }
    }
}

/// The reference drops what overlaps; we keep it. So the bytes must be the same, and never fewer.
#[test]
fn reassembly() {
    let units = vectors();
    for unit in units["units"]["reassembly"].as_array().unwrap() {
        let isn = number(unit, "peer_isn") as u32;
        let first = Seq::new(isn) + 1;
        let mut memory = Memory::new(64, 1152);
        let mut receiver = Receiver::new(first, 1 << 20);
        let mut overlapped = false;
        let mut present = vec![false; 4096];
        for step in unit["steps"].as_array().unwrap() {
            let (seq, len) = (Seq::new(number(step, "seq") as u32), number(step, "len") as usize);
            let at = seq.distance(first) as usize;
            let before = receiver.next;
            let arrival = receiver.insert(seq, &pattern(at, len), &mut memory.pool());
            let known = present[at..at + len].iter().filter(|&&here| here).count();
            overlapped |= known != 0 && known != len;
            present[at..at + len].fill(true);
            let contiguous = present.iter().take_while(|&&here| here).count() as u32;
            assert_eq!(receiver.next, first + contiguous, "{}", unit["name"]);
            assert_eq!(arrival == Arrival::InOrder, receiver.next != before);
            let reference = Seq::new(number(step, "ack") as u32);
            assert!(!receiver.next.is_before(reference), "{}: the reference had more", unit["name"]);
            if !overlapped {
                assert_eq!(receiver.next, reference, "{}", unit["name"]);
                let blocks: Vec<[u32; 2]> =
                    receiver.report(&memory.pool()).blocks().iter().map(|b| [b.left, b.right]).collect();
                let expected: Option<Vec<[u32; 2]>> = serde_json::from_value(step["sack"].clone()).unwrap();
                assert_eq!(blocks, expected.unwrap_or_default(), "{}", unit["name"]);
            }
        }
        let total = receiver.readable() as usize;
        let mut read: Vec<u8> = Vec::new();
        let mut buffer = [0; 4096];
        while receiver.readable() > 0 {
            let n = receiver.read(&mut buffer, &mut memory.pool());
            read.extend(&buffer[..n]);
        }
        assert_eq!(read, pattern(0, total), "{}", unit["name"]);
        receiver.clear(&mut memory.pool());
        assert_eq!(memory.pool().free(), 64);
    }
}

fn flags(text: &str) -> Flags {
    text.split('|').fold(Flags::NONE, |flags, name| {
        flags
            | match name {
                "SYN" => Flags::SYN,
                "ACK" => Flags::ACK,
                "FIN" => Flags::FIN,
                "RST" => Flags::RST,
                _ => Flags::NONE,
            }
    })
}

/// Each captured scripted peer that dials is let loose on an acceptor of ours with the reference's initial number. It
/// need not get the reference's answers, but nothing it does may make us loop, flood, or leak.
#[test]
fn captured_conversations_do_no_harm() {
    let mut played = 0;
    for trace in vectors()["traces"].as_array().unwrap() {
        let mut end: Option<(End, u64)> = None;
        let mut fed = 0;
        let mut sent = 0;
        for event in trace["events"].as_array().unwrap() {
            if event["dir"] != "P>R" || event["proto"].as_u64().is_some_and(|proto| proto != 1) {
                continue;
            }
            let segment = seg(
                flags(event["flags"].as_str().unwrap()),
                number(event, "seq") as u32,
                number(event, "ack") as u32,
                number(event, "window") as u16,
            );
            let port = number(event, "sport");
            let payload = event["payload_hex"]
                .as_str()
                .map_or_else(|| pattern(0, number(event, "len") as usize), |text| hex::decode(text).unwrap());
            let at = START + Duration::from_micros((event["t_ms"].as_f64().unwrap() * 1000.0) as u64);
            let Some((end, _)) = end.as_mut().filter(|(_, owner)| *owner == port) else {
                if segment.flags == Flags::SYN && end.is_none() {
                    let stream = Stream::accept(at, 0, &segment, &Config::DEFAULT);
                    end = Some((End { stream, memory: Memory::new(1024, MSS), now: at }, port));
                }
                continue;
            };
            let wait = at.since(end.now);
            sent += end.pass(wait).len();
            if end.try_feed(segment, &payload) == Handled::Superseded {
                end.stream.release(&mut end.memory.pool());
                end.stream = Stream::accept(at, 0, &segment, &Config::DEFAULT);
            }
            let _ = end.read_all();
            sent += end.poll_all().len();
            fed += 1;
        }
        let Some((mut end, _)) = end else { continue };
        sent += end.pass(Duration::from_secs(300)).len();
        assert!(sent <= 2 * fed + 40, "{}: {sent} packets for {fed}", trace["name"]);
        if end.stream.state() != State::Closed {
            assert!(end.stream.poll_timeout().is_some(), "{}: waits for nothing", trace["name"]);
        }
        end.release();
        played += 1;
    }
    assert!(played > 20, "{played}");
}
