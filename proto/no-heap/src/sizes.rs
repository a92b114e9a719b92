//! What a node costs in memory, as the compiler lays it out for this machine.

use core::{fmt, mem::size_of};

use pilot_proto::{
    crypto::{Crypto, RustCrypto},
    node::{Event, PEER_LISTS, PeerSlot, STREAM_LISTS, StreamSlot},
    pool::Chunk,
    stream::Stream,
    table::words_for,
    timers::TimerSlot,
    trust::{Intent, Pending, Seen, Trusted},
    tunnel::{Replay, Tunnel},
};

use crate::exchange::{StaticNode, WIRE_LEN};
use crate::room::{BUFFER, CHUNK, PACKETS, PEERS, REQUESTS, Room, SEEN, STREAMS, TRUSTED};

/// Bytes that a node with 4 peers and 4 streams may cost.
const BUDGET: usize = 64 << 10;

/// Prints the table; whether the whole fits its budget.
pub(crate) fn print(out: &mut dyn fmt::Write) -> Result<bool, fmt::Error> {
    let word = size_of::<u32>();
    let per_peer = size_of::<PeerSlot<RustCrypto>>()
        + size_of::<TimerSlot>()
        + word * (PEER_LISTS + 1)
        + word * words_for(PEERS) / PEERS;
    let per_stream = size_of::<StreamSlot>()
        + size_of::<TimerSlot>()
        + word * (STREAM_LISTS + 1)
        + word * words_for(STREAMS) / STREAMS
        + BUFFER / CHUNK * (CHUNK + size_of::<Chunk>());
    let core = size_of::<StaticNode>();
    let room = size_of::<Room>();
    let total = core + room + WIRE_LEN;
    let lines: [(&str, usize); _] = [
        ("Node, without the memory lent to it", core),
        ("PeerSlot", size_of::<PeerSlot<RustCrypto>>()),
        ("  its Tunnel", size_of::<Tunnel<RustCrypto>>()),
        ("  one AES-256-GCM key, four of them", size_of::<<RustCrypto as Crypto>::Aead>()),
        ("  one Replay, four of them", size_of::<Replay>()),
        ("StreamSlot", size_of::<StreamSlot>()),
        ("  its Stream", size_of::<Stream>()),
        ("Chunk, beside its bytes", size_of::<Chunk>()),
        ("TimerSlot", size_of::<TimerSlot>()),
        ("Trusted", size_of::<Trusted>()),
        ("Pending", size_of::<Pending>()),
        ("Intent", size_of::<Intent>()),
        ("Seen", size_of::<Seen>()),
        ("Event", size_of::<Event>()),
        ("per peer, tables included", per_peer),
        ("per stream, tables and buffer included", per_stream),
        ("per trust request and its answer", size_of::<Pending>() + size_of::<Intent>()),
        ("static memory lent", room),
        ("buffer for sending", WIRE_LEN),
        ("a whole node", total),
    ];
    writeln!(
        out,
        "\n{PEERS} peers, {STREAMS} streams of {BUFFER} bytes, {TRUSTED} trusted, {REQUESTS} requests, \
         {SEEN} messages remembered, {PACKETS} bytes of packets and as many of datagrams"
    )?;
    for (what, bytes) in lines {
        writeln!(out, "{what:<40} {bytes:>7} bytes")?;
    }
    let fits = total <= BUDGET;
    writeln!(out, "{}: the budget is {BUDGET} bytes", if fits { "it fits" } else { "too large" })?;
    Ok(fits)
}
