//! What errors and states say: each names the wrong value and what was expected.

use pilot_proto::{
    Addr,
    addr::AddrError,
    crypto::{BadSignature, CannotSeal, Forged, WeakKey},
    node::{ConnectError, ListenError, SendError, StreamError},
    ring::RingError,
    stream::{CloseReason, ReadError, State, Unanswered, WriteError},
    table::Full,
    timers::NoSuchTimer,
    trust::{AutoReason, Field, JsonError, MessageError, NoRoom, Refused, TrustError, TrustEvent},
    tunnel::{self, NotGenuine, OpenError, SealError},
    wire::{
        BufferTooSmall, extension,
        frame::FrameError,
        packet::{EmitError, Flags, PacketError},
    },
};

/// Compares what values say with what they should say.
macro_rules! says {
    ($($value:expr => $text:expr),* $(,)?) => {$( assert_eq!($value.to_string(), $text); )*};
}

#[test]
fn addresses() {
    says! {
        AddrError::NoColon => "no ':' (expected N:XXXX.YYYY.YYYY)",
        AddrError::BadNetwork => "invalid network id (expected decimal 0..=65535)",
        AddrError::GroupCount { found: 2 } => "2 dot-separated hex groups (expected 3: XXXX.YYYY.YYYY)",
        AddrError::GroupLength { group: 1, found: 5 } => "hex group 1 has 5 bytes (expected 4 digits)",
        AddrError::BadHex { group: 2 } => "hex group 2 is not hexadecimal",
        AddrError::NetworkMismatch { decimal: 1, hex: 0x2a } => "network mismatch: decimal 1 != hex 0x002A",
        AddrError::BadPort => "invalid port (expected decimal 0..=65535)",
        Addr::backbone(7) => "0:0000.0000.0007",
        Addr::broadcast(3) => "3:0003.FFFF.FFFF",
    }
    assert!(Addr::broadcast(3).is_broadcast() && !Addr::backbone(7).is_broadcast());
}

#[test]
fn packets_and_frames() {
    says! {
        PacketError::TooShort { len: 5 } => "packet of 5 bytes (header has 34)",
        PacketError::Truncated { len: 40, needed: 50 } => "packet of 40 bytes (its header declares 50)",
        PacketError::Checksum { stored: 0xab, computed: 0xcd } => "checksum 000000ab (bytes give 000000cd)",
        PacketError::Version { found: 2 } => "version 2 (expected 1)",
        EmitError::NoRoom { len: 5 } => "buffer of 5 bytes (header has 34)",
        EmitError::PayloadTooLarge { len: 65_536 } => "payload too large: 65536 bytes (max 65535)",
        BufferTooSmall { lent: 3, needed: 4 } => "buffer of 3 bytes, 4 needed",
        FrameError::TooShort { len: 3, needed: 4 } => "frame of 3 bytes (at least 4 needed)",
        FrameError::UnknownMagic { found: *b"HTT\xff" } =>
            "frame begins with \"HTT\\xff\" (expected PILT, PILS, PILK, PILA or PILP)",
        FrameError::BadBeacon => "malformed or unknown beacon message",
    }
    says! {
        extension::MessageError::Truncated { len: 3 } => "extension message or list of 3 bytes ends too early",
        extension::MessageError::Version { found: 2 } => "extension message of version 2 (expected 1)",
        extension::MessageError::Kind { found: 9 } => "extension message of unknown kind 9",
        extension::MessageError::ListTooLong { len: 5_000 } => format!(
            "extension list of 5000 bytes (at most {})",
            extension::MAX_LIST
        ),
    }
    let mut flags = Flags::NONE;
    assert_eq!(format!("{flags:?}"), "-");
    flags |= Flags::SYN;
    assert_eq!(format!("{flags:?}"), "SYN");
    flags |= Flags::ACK | Flags::FIN | Flags::RST;
    assert_eq!(format!("{flags:?}"), "SYN|ACK|FIN|RST");
}

#[test]
fn tunnels() {
    says! {
        WeakKey => "X25519 public key of low order",
        BadSignature => "Ed25519 signature does not match",
        Forged => "tag does not match (wrong key or forged)",
        CannotSeal => "the crypto provider cannot encrypt this",
        SealError::NoKey => "no key for the peer yet",
        SealError::KeySpent => "the key has sealed all it may",
        SealError::BufferTooSmall { needed: 9, lent: 8 } => "buffer of 8 bytes, 9 needed",
        SealError::from(CannotSeal) => "the crypto provider cannot encrypt this",
        OpenError::NoKey => "no key for the sender",
        OpenError::from(Forged) => "sealed under a key we do not have, or forged",
        OpenError::Replay(tunnel::Refused::Seen) => "counter seen before",
        tunnel::Refused::TooOld { behind: 5_000 } => "counter 5000 behind the newest (less than 1024 allowed)",
        tunnel::Refused::Retired => "prefix no longer in use",
        tunnel::Refused::TooManyPrefixes => format!(
            "more than {} prefixes under one key",
            tunnel::LIVE_PREFIXES + tunnel::RETIRED_PREFIXES
        ),
        NotGenuine::KeyMismatch => "Ed25519 key is not the one known for the sender",
        NotGenuine::BadSignature => "signature of the key exchange does not match",
    }
}

#[test]
fn streams() {
    says! {
        State::SynSent => "SYN_SENT",
        State::SynReceived => "SYN_RECV",
        State::Established => "ESTABLISHED",
        State::FinWait => "FIN_WAIT",
        State::CloseWait => "CLOSE_WAIT",
        State::TimeWait => "TIME_WAIT",
        State::Closed => "CLOSED",
        CloseReason::Clean => "closed",
        CloseReason::Refused => "connection refused",
        CloseReason::Reset => "connection reset by peer",
        CloseReason::Aborted => "connection reset by us",
        CloseReason::Superseded => "peer restarted the connection",
        CloseReason::TimedOut(Unanswered::Dial) => "dial timeout",
        CloseReason::TimedOut(Unanswered::Data) => "data unanswered",
        CloseReason::TimedOut(Unanswered::Keepalive) => "keepalive unanswered",
        CloseReason::TimedOut(Unanswered::Idle) => "idle timeout",
        CloseReason::TimedOut(Unanswered::Fin) => "close unanswered",
        CloseReason::Truncated => "peer closed with data missing",
        WriteError::Finished => "write after finish",
        WriteError::Closed(CloseReason::Reset) =>
            "write on a stream that has ended: connection reset by peer",
        ReadError(CloseReason::Truncated) => "stream ended early: peer closed with data missing",
    }
}

#[test]
fn nodes() {
    let nobody = Addr::backbone(0);
    says! {
        ListenError::InUse { port: 7 } => "port 7 already bound",
        ListenError::TooMany { max: 4 } => "more than 4 ports bound",
        ConnectError::NotRegistered => "this node is not registered yet",
        ConnectError::BadAddress(nobody) => "0:0000.0000.0000 is not the address of another node",
        ConnectError::TooManyStreams => "too many open connections",
        ConnectError::TooManyPeers => "too many peers",
        SendError::NotRegistered => "this node is not registered yet",
        SendError::BadAddress(nobody) => "0:0000.0000.0000 is not the address of another node",
        SendError::TooLong { len: 9, max: 8 } => "payload too large: 9 bytes (max 8)",
        SendError::TooManyPeers => "too many peers",
        StreamError::Unknown => "connection not found",
        StreamError::NotOpen => "connection not established",
        RingError::Full { len: 5 } => "queue full: no room for a record of 5 bytes",
        RingError::TooLong { len: 5, max: 4 } => "record of 5 bytes never fits: the queue takes at most 4",
        Full { capacity: 14 } => "index full: it holds at most 14 entries",
        NoSuchTimer { id: 3, timers: 3 } => "timer 3 does not exist: ids are below 3",
    }
}

#[test]
fn trust() {
    says! {
        TrustError::NotAPeer { node: 0 } => "node 0 cannot be trusted: not another node's id",
        TrustError::NotPending { node: 4 } => "no request of node 4 is pending",
        TrustError::NotTrusted { node: 4 } => "node 4 was not trusted",
        TrustError::TextTooLong { len: 9, max: 8 } => "text of 9 bytes, at most 8 are allowed",
        TrustError::TableFull { table: "trusted", capacity: 4 } => "list of trusted full: it holds 4 entries",
        TrustError::Busy => "earlier actions have not been taken yet",
        Refused::Message(MessageError::NotAnObject) => "expected a JSON object",
        Refused::NotTheSender { claimed: 3, peer: 4 } =>
            "message of node 3 came through the tunnel of node 4",
        Refused::TooOld { age: 400, max: 300 } => "message is 400 s old, at most 300 are accepted",
        Refused::TooEarly { ahead: 40, max: 30 } =>
            "message is 40 s ahead of our clock, at most 30 are accepted",
        Refused::UnknownKey => "no key is known for the sender",
        Refused::WrongKey => "the message's key is not the one the registry has for the sender",
        Refused::BadSignature => "signature not valid",
        Refused::Replayed => "message was accepted before",
        Refused::TooMany { max: 8 } => "more than 8 messages from this node lately",
        Refused::SourceFull { max: 8 } => "more than 8 pending requests from this place",
        Refused::NotAsked => "answer to something we did not ask",
        Refused::Trust(TrustError::NotTrusted { node: 4 }) => "node 4 was not trusted",
        MessageError::Json(JsonError::Incomplete) => "the text ends before the value does",
        MessageError::Json(JsonError::Malformed { at: 3 }) => "not JSON at byte 3",
        MessageError::TrailingData { at: 9 } => "data after the message at byte 9",
        MessageError::WrongType(Field::NodeId) => "node_id has a value of the wrong type or range",
        MessageError::UnknownType => "type is none of the four handshake types",
        MessageError::Missing(Field::Timestamp) => "timestamp is missing or empty",
        MessageError::BadBase64(Field::PublicKey) => "public_key is not standard base64 of the right length",
        NoRoom { needed: 80 } => "buffer too short: the message needs 80 bytes without its text",
    }
    let deep = MessageError::Json(JsonError::TooDeep { at: 3 }).to_string();
    assert!(deep.starts_with("nested deeper than ") && deep.ends_with(" at byte 3"), "{deep}");
}

/// The names are those of webhook messages and of the local socket.
#[test]
fn trust_events_have_the_names_of_the_releases() {
    let named = [
        (TrustEvent::Received(9), "handshake.received"),
        (TrustEvent::Pending(9), "handshake.pending"),
        (TrustEvent::AutoApproved(9, AutoReason::Mutual), "handshake.auto_approved"),
        (TrustEvent::Approved(9), "handshake.approved"),
        (TrustEvent::Rejected(9), "handshake.rejected"),
        (TrustEvent::Revoked(9), "trust.revoked"),
        (TrustEvent::RevokedByPeer(9), "trust.revoked_by_peer"),
        (TrustEvent::Accepted(9), "handshake.accepted"),
        (TrustEvent::RejectedByPeer(9), "handshake.rejected_by_peer"),
        (TrustEvent::Unanswered(9), "handshake.unanswered"),
        (TrustEvent::KeyChanged(9), "trust.key_changed"),
    ];
    for (event, name) in named {
        assert_eq!((event.name(), event.node()), (name, 9));
    }
    let reasons = [AutoReason::Mutual, AutoReason::SameNetwork, AutoReason::Flag];
    assert_eq!(reasons.map(AutoReason::as_str), ["mutual", "same_network", "auto_approve"]);
}
