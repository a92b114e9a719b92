//! Every operation but those of the local protocol and of extensions, answered by `pilot-proto` and `pilot-roles`.

use super::question::{Failure, Outcome, Question, hex, refused};
use super::{extension, ipc};
use pilot_proto::addr::AddrError;
use pilot_proto::crypto::{Aead, AeadKey, Crypto, Ed25519Seed, Identity, RustCrypto, X25519Secret};
use pilot_proto::trust::{Kind, Message, Text, WRITTEN_MAX, signed_text};
use pilot_proto::tunnel::Replay;
use pilot_proto::wire::beacon::{Beacon, NodeList};
use pilot_proto::wire::frame::{self, Datagram, Frame, KeyAnonymous, KeyAuthenticated, Nonce, Suite};
use pilot_proto::wire::packet::{self, Flags, Header, PacketError};
use pilot_proto::wire::sack::{self, Block, Sack};
use pilot_proto::{Addr, SockAddr, base64};
use pilot_roles::frames::FrameReader;
use pilot_roles::rendezvous;
use pilot_roles::services::{data_exchange, event_stream};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// What a session's key is bound to (TUN-6).
const INFO: &[u8] = b"pilot-tunnel-v1";

/// The answer, without the question's id.
pub(crate) fn answer(question: &Value) -> Value {
    match result(Question(question)) {
        Ok(result) => json!({"result": result}),
        Err(Failure::Refused(why)) => json!({"error": why}),
        Err(Failure::Unsupported) => json!({"unsupported": true}),
    }
}

fn result(q: Question<'_>) -> Outcome {
    match q.text("op") {
        "decode-address" => Ok(address(Addr::from_bytes(q.array("hex")?))),
        "encode-address" => Ok(json!({"hex": hex(&addr(q).to_bytes())})),
        "format-address" => Ok(json!({"text": addr(q).to_string()})),
        "parse-address" => q.text("text").parse().map(address).map_err(|e| refused(reason(e))),
        "classify-address" => {
            Ok(json!({"broadcast": addr(q).is_broadcast(), "unspecified": addr(q).is_unspecified()}))
        }
        "parse-socket-address" => match q.text("text").parse::<SockAddr>() {
            Ok(to) => Ok(json!({"network": to.addr.network, "node": to.addr.node, "port": to.port})),
            Err(e) => Err(refused(reason(e))),
        },
        "format-socket-address" => Ok(json!({"text": sock_addr(q).to_string()})),
        "decode-packet" => decode_packet(&q.bytes("hex")),
        "encode-packet" => encode_packet(q),
        "decode-sack" => {
            let sack = Sack::parse_loose(&q.bytes("hex")).ok_or(refused("data"))?;
            Ok(json!({"ranges": sack.blocks().iter().map(|b| [b.left, b.right]).collect::<Vec<_>>()}))
        }
        "encode-sack" => {
            let number = |pair: &Value, at: usize| u32::try_from(pair[at].as_u64().unwrap_or_default());
            let block = |pair| Block {
                left: number(pair, 0).unwrap_or_default(),
                right: number(pair, 1).unwrap_or_default(),
            };
            written(|out| Sack::new(q.list("ranges").iter().map(block)).emit(out))
        }
        "decode-frame" => decode_frame(&mut q.bytes("hex")),
        "encode-frame" => encode_frame(q),
        "decode-beacon" => Beacon::parse(&q.bytes("hex")).map(tell_beacon).ok_or(refused("no message")),
        "encode-beacon" => encode_beacon(q),
        "replay-window" => Ok(replay(q.list("steps"))),
        "derive" => derive(q),
        "nonce" => Ok(json!({"hex": hex(&nonce(q)?.to_bytes())})),
        "seal" => seal(q),
        "open" => open(&q.array("key")?, &mut q.bytes("hex")),
        "sign" => {
            let identity = identity(q, 0)?;
            let signature = identity.sign(&RustCrypto, &q.bytes("message"));
            Ok(json!({"public": hex(identity.public()), "signature": hex(&signature)}))
        }
        "verify" => verify(&q.array("public")?, &q.bytes("message"), &q.array("signature")?),
        "sign-handshake" => {
            let text = signed_text(q.number("sender"), q.number("receiver"));
            Ok(json!({"signature": hex(&identity(q, 0)?.sign(&RustCrypto, text.as_bytes()))}))
        }
        "verify-handshake" => {
            let text = signed_text(q.number("sender"), q.number("receiver"));
            verify(&q.array("public")?, text.as_bytes(), &q.array("signature")?)
        }
        "sign-exchange" => {
            let identity = identity(q, q.number("node"))?;
            let exchange = KeyAuthenticated::sign(&identity, q.array("x25519")?, &RustCrypto);
            written(|out| exchange.emit(out))
        }
        "verify-exchange" => match Frame::parse(&mut q.bytes("hex")) {
            Ok(Frame::KeyAuthenticated(exchange)) => {
                let known = exchange.verify(&q.array("ed25519")?, &RustCrypto);
                known.map(|()| json!({})).map_err(|e| refused(format!("{e:?}")))
            }
            other => Err(refused(format!("no exchange: {other:?}"))),
        },
        "decode-trust" => Message::parse(&q.bytes("hex")).map(tell_trust).map_err(refused),
        "encode-trust" => encode_trust(q),
        "decode-ipc" => ipc::decode(q),
        "encode-ipc" => ipc::encode(q),
        "decode-data-exchange" => decode_data(&q.bytes("hex")),
        "encode-data-exchange" => {
            let (kind, payload) = (q.number("type"), q.bytes("payload"));
            let frame = if kind == data_exchange::kind::FILE {
                data_exchange::Frame::file(&q.bytes("name"), &payload)
            } else {
                data_exchange::Frame::message(kind, &payload)
            };
            frame.map(|frame| json!({"hex": hex(&frame.to_bytes())})).map_err(refused)
        }
        "decode-event-stream" => decode_events(&q.bytes("hex")),
        "encode-event" => {
            let event = event_stream::encode(&q.bytes("topic"), &q.bytes("payload"));
            event.map(|bytes| json!({"hex": hex(&bytes)})).map_err(refused)
        }
        "decode-registry" => decode_registry(&q.bytes("hex")),
        "encode-registry" => Ok(json!({"hex": hex(&pilot_roles::frames::frame(&q.bytes("message")))})),
        "check-hostname" => rendezvous::check_hostname(q.text("text")).map(|()| json!({})).map_err(refused),
        "limit" => limit(q.text("name")),
        _ => extension::result(q),
    }
}

/// What `write` put into a buffer large enough.
pub(crate) fn written<E: ToString>(write: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Outcome {
    let mut out = vec![0; 1 << 17];
    let length = write(&mut out).map_err(refused)?;
    Ok(json!({"hex": hex(&out[..length])}))
}

pub(crate) fn addr(q: Question<'_>) -> Addr {
    Addr { network: q.number("network"), node: q.number("node") }
}

pub(crate) fn sock_addr(q: Question<'_>) -> SockAddr {
    SockAddr { addr: addr(q), port: q.number("port") }
}

fn address(addr: Addr) -> Value {
    json!({"network": addr.network, "node": addr.node})
}

fn reason(error: AddrError) -> &'static str {
    match error {
        AddrError::NoColon => "no_colon",
        AddrError::BadNetwork => "bad_network_decimal",
        AddrError::GroupCount { .. } => "group_count",
        AddrError::GroupLength { .. } => "group_length",
        AddrError::BadHex { .. } => "bad_hex",
        AddrError::NetworkMismatch { .. } => "network_mismatch",
        AddrError::BadPort => "bad_port",
    }
}

fn decode_packet(bytes: &[u8]) -> Outcome {
    let (header, payload) = Header::parse(bytes).map_err(|e| {
        refused(match e {
            PacketError::TooShort { .. } => "too_short",
            PacketError::Truncated { .. } => "truncated",
            PacketError::Checksum { .. } => "checksum_mismatch",
            PacketError::Version { .. } => "bad_version",
        })
    })?;
    Ok(json!({
        "flags": header.flags.bits(), "protocol": u8::from(header.protocol),
        "source_network": header.src.network, "source_node": header.src.node,
        "destination_network": header.dst.network, "destination_node": header.dst.node,
        "source_port": header.src_port, "destination_port": header.dst_port,
        "sequence": header.seq, "acknowledgment": header.ack, "window": header.window,
        "payload": hex(bytes.get(payload).unwrap_or_default()),
    }))
}

fn encode_packet(q: Question<'_>) -> Outcome {
    let header = Header {
        flags: Flags::from_bits(q.number("flags")),
        protocol: q.number::<u8>("protocol").into(),
        src: Addr { network: q.number("source_network"), node: q.number("source_node") },
        dst: Addr { network: q.number("destination_network"), node: q.number("destination_node") },
        src_port: q.number("source_port"),
        dst_port: q.number("destination_port"),
        seq: q.number("sequence"),
        ack: q.number("acknowledgment"),
        window: q.number("window"),
    };
    let mut bytes = vec![0; packet::HEADER_LEN];
    bytes.extend(q.bytes("payload"));
    header.emit(&mut bytes).map_err(refused)?;
    Ok(json!({"hex": hex(&bytes)}))
}

fn decode_frame(bytes: &mut [u8]) -> Outcome {
    Ok(match Datagram::parse(bytes).map_err(refused)? {
        Datagram::Delivered { .. } | Datagram::Beacon(_) => json!({"kind": "beacon"}),
        Datagram::Frame(Frame::Plain { packet }) => json!({"kind": "PILT", "packet": hex(packet)}),
        Datagram::Frame(Frame::Sealed(sealed)) => json!({
            "kind": if sealed.suite == Suite::Aes256Gcm { "PILS" } else { "PILC" }, "sender": sealed.sender,
            "prefix": hex(&sealed.nonce.prefix), "counter": sealed.nonce.counter.to_string(),
            "body": hex(sealed.body),
        }),
        Datagram::Frame(Frame::KeyAnonymous(key)) => {
            json!({"kind": "PILK", "sender": key.sender, "x25519": hex(&key.x25519)})
        }
        Datagram::Frame(Frame::KeyAuthenticated(key)) => json!({
            "kind": "PILA", "sender": key.sender, "x25519": hex(&key.x25519), "ed25519": hex(&key.ed25519),
            "signature": hex(&key.signature),
        }),
        Datagram::Frame(Frame::Punch) => json!({"kind": "PILP"}),
    })
}

fn encode_frame(q: Question<'_>) -> Outcome {
    match q.text("kind") {
        "PILT" => {
            let mut bytes = vec![0; frame::PLAIN_HEAD_LEN];
            bytes.extend(q.bytes("packet"));
            frame::emit_plain(&mut bytes).map_err(refused)?;
            Ok(json!({"hex": hex(&bytes)}))
        }
        "PILS" => {
            let mut bytes = frame::sealed_head(Suite::Aes256Gcm, q.number("sender"), nonce(q)?).to_vec();
            bytes.extend(q.bytes("body"));
            Ok(json!({"hex": hex(&bytes)}))
        }
        "PILK" => {
            let key = KeyAnonymous { sender: q.number("sender"), x25519: q.array("x25519")? };
            written(|out| key.emit(out))
        }
        "PILA" => {
            let key = KeyAuthenticated {
                sender: q.number("sender"),
                x25519: q.array("x25519")?,
                ed25519: q.array("ed25519")?,
                signature: q.array("signature")?,
            };
            written(|out| key.emit(out))
        }
        "PILP" => Ok(json!({"hex": hex(frame::PUNCH)})),
        _ => Err(Failure::Unsupported),
    }
}

fn tell_beacon(message: Beacon<'_>) -> Value {
    let at = |kind: &str, at: SocketAddr| json!({"kind": kind, "ip": at.ip().to_string(), "port": at.port()});
    match message {
        Beacon::Discover { node } => json!({"kind": "register", "node": node}),
        Beacon::DiscoverReply { observed } => at("your-address", observed),
        Beacon::PunchRequest { requester, target } => {
            json!({"kind": "punch-request", "requester": requester, "target": target})
        }
        Beacon::Punch { peer } => at("punch", peer),
        Beacon::Relay { sender, target, frame } => {
            json!({"kind": "relay", "sender": sender, "destination": target, "frame": hex(frame)})
        }
        Beacon::Deliver { sender, frame } => {
            json!({"kind": "delivery", "sender": sender, "frame": hex(frame)})
        }
        Beacon::Sync { beacon, nodes } => {
            json!({"kind": "gossip", "beacon": beacon, "nodes": nodes.iter().collect::<Vec<_>>()})
        }
        Beacon::Wake { kind } => json!({"kind": "wake", "value": kind}),
    }
}

fn encode_beacon(q: Question<'_>) -> Outcome {
    let kind = q.text("kind");
    let at = || {
        let ip = q.text("ip").parse().unwrap_or_else(|e| panic!("ip: {e}"));
        SocketAddr::new(ip, q.number("port"))
    };
    let frame = if matches!(kind, "relay" | "delivery") { q.bytes("frame") } else { Vec::new() };
    let mut memory = vec![0; 1 << 16];
    written(|out| {
        match kind {
            "register" => Beacon::Discover { node: q.number("node") },
            "your-address" => Beacon::DiscoverReply { observed: at() },
            "punch-request" => {
                Beacon::PunchRequest { requester: q.number("requester"), target: q.number("target") }
            }
            "punch" => Beacon::Punch { peer: at() },
            "relay" => {
                Beacon::Relay { sender: q.number("sender"), target: q.number("destination"), frame: &frame }
            }
            "delivery" => Beacon::Deliver { sender: q.number("sender"), frame: &frame },
            "gossip" => {
                let nodes = q.list("nodes").iter().filter_map(|node| u32::try_from(node.as_u64()?).ok());
                Beacon::Sync { beacon: q.number("beacon"), nodes: NodeList::new(&mut memory, nodes) }
            }
            "wake" => Beacon::Wake { kind: q.number("value") },
            other => panic!("kind {other:?}"),
        }
        .emit(out)
    })
}

fn replay(steps: &[Value]) -> Value {
    let mut window = Replay::default();
    let mut accepted = Vec::new();
    for step in steps {
        let nonce = nonce(Question(step)).unwrap_or_else(|e| panic!("{e:?}"));
        let taken = window.check(nonce).is_ok() && step["authentic"] == true;
        if taken {
            window.mark(nonce);
        }
        accepted.push(taken);
    }
    json!({"accepted": accepted})
}

fn nonce(q: Question<'_>) -> Result<Nonce, Failure> {
    Ok(Nonce { prefix: q.array("prefix")?, counter: q.number("counter") })
}

fn identity(q: Question<'_>, node: u32) -> Result<Identity, Failure> {
    Ok(Identity::new(node, Ed25519Seed::from_bytes(q.array("seed")?), &RustCrypto))
}

fn derive(q: Question<'_>) -> Outcome {
    let own = X25519Secret::from_bytes(q.array("private")?);
    let shared = RustCrypto.x25519(&own, &q.array("peer")?).map_err(|e| refused(format!("{e:?}")))?;
    Ok(json!({
        "public": hex(&RustCrypto.x25519_public(&own)), "shared": hex(shared.expose()),
        "key": hex(RustCrypto.hkdf_sha256(&shared, INFO).expose()),
    }))
}

fn seal(q: Question<'_>) -> Outcome {
    let (sender, nonce): (u32, Nonce) = (q.number("sender"), nonce(q)?);
    let aead = RustCrypto.aead(&AeadKey::from_bytes(q.array("key")?));
    let mut body = q.bytes("plaintext");
    let tag = aead.seal_in_place(&nonce.to_bytes(), &sender.to_be_bytes(), &mut body);
    let mut bytes = frame::sealed_head(Suite::Aes256Gcm, sender, nonce).to_vec();
    bytes.extend(body);
    bytes.extend(tag.map_err(|e| refused(format!("{e:?}")))?);
    Ok(json!({"hex": hex(&bytes)}))
}

fn open(key: &[u8; 32], bytes: &mut [u8]) -> Outcome {
    let Ok(Frame::Sealed(sealed)) = Frame::parse(bytes) else { return Err(refused("no sealed frame")) };
    if sealed.suite != Suite::Aes256Gcm {
        return Err(refused("another cipher"));
    }
    let aad = sealed.aad();
    let Some((body, tag)) = sealed.body.split_last_chunk_mut() else { return Err(refused("too_short")) };
    let aead = RustCrypto.aead(&AeadKey::from_bytes(*key));
    let opened = aead.open_in_place(&sealed.nonce.to_bytes(), &aad, body, tag);
    opened.map_err(|e| refused(format!("{e:?}")))?;
    let counter = sealed.nonce.counter.to_string();
    Ok(json!({"sender": sealed.sender, "counter": counter, "plaintext": hex(body)}))
}

fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Outcome {
    let genuine = RustCrypto.ed25519_verify(public, message, signature);
    genuine.map(|()| json!({})).map_err(|e| refused(format!("{e:?}")))
}

fn tell_trust(message: Message) -> Value {
    let text = |bytes: &[u8]| base64::encode(bytes).map(char::from).collect::<String>();
    json!({
        "type": message.kind.as_str(), "node_id": message.node, "public_key": text(&message.key),
        "justification": message.justification.as_str(), "signature": text(&message.signature),
        "reason": message.reason.as_str(), "timestamp": message.timestamp,
    })
}

fn encode_trust(q: Question<'_>) -> Outcome {
    let kinds = [Kind::Request, Kind::Accept, Kind::Reject, Kind::Revoke];
    let kind = kinds.into_iter().find(|kind| kind.as_str() == q.text("type")).ok_or(refused("type"))?;
    let words = |name: &str| {
        let mut words = Text::new();
        // As much of it as is kept.
        let _ = q.text(name).chars().try_for_each(|c| words.push(c));
        words
    };
    let message = Message {
        kind,
        node: q.number("node_id"),
        key: base64::decode(q.text("public_key").as_bytes()).ok_or(refused("public_key"))?,
        justification: words("justification"),
        signature: base64::decode(q.text("signature").as_bytes()).ok_or(refused("signature"))?,
        reason: words("reason"),
        timestamp: q.0["timestamp"].as_i64().ok_or(refused("timestamp"))?,
    };
    written(|out| message.write(&mut out[..WRITTEN_MAX]).map_err(|e| format!("{e:?}")))
}

fn decode_data(bytes: &[u8]) -> Outcome {
    use data_exchange::Content;
    let (mut decoder, mut input, mut frames, mut rest) =
        (data_exchange::Decoder::default(), bytes, Vec::new(), bytes.len());
    while let Some(frame) = decoder.feed(&mut input).map_err(refused)? {
        rest = input.len();
        frames.push(match frame.content() {
            Content::File { name, data } => {
                json!({"type": frame.kind, "name": hex(name), "payload": hex(data)})
            }
            Content::UnnamedFile(data) => json!({"type": frame.kind, "name": "", "payload": hex(data)}),
            _ => json!({"type": frame.kind, "payload": hex(&frame.payload)}),
        });
    }
    Ok(json!({"frames": frames, "rest": rest}))
}

fn decode_events(bytes: &[u8]) -> Outcome {
    let (mut decoder, mut input, mut events, mut rest) =
        (event_stream::Decoder::default(), bytes, Vec::new(), bytes.len());
    while let Some(event) = decoder.feed(&mut input).map_err(refused)? {
        rest = input.len();
        events.push(json!({"topic": hex(&event.topic), "payload": hex(&event.payload)}));
    }
    Ok(json!({"events": events, "rest": rest}))
}

fn decode_registry(bytes: &[u8]) -> Outcome {
    let mut reader = FrameReader::new(rendezvous::MAX_REQUEST);
    reader.push(bytes);
    let mut messages = Vec::new();
    while let Some(body) = reader.pop().map_err(refused)? {
        if !rendezvous::is_request(body) {
            return Err(refused("no JSON object"));
        }
        messages.push(hex(body));
    }
    Ok(json!({"messages": messages, "rest": reader.pending()}))
}

fn limit(name: &str) -> Outcome {
    use pilot_proto::wire::beacon;
    use pilot_proto::{stream, trust};
    let value = match name {
        "packet-header" => packet::HEADER_LEN,
        "tag" => frame::TAG_LEN,
        "sealed-overhead" => frame::SEALED_OVERHEAD,
        "relay-overhead" => beacon::RELAY_HEAD_LEN,
        "packet-payload" => packet::MAX_PAYLOAD,
        "key-exchange-frame" => frame::KEY_AUTHENTICATED_LEN,
        "anonymous-key-exchange-frame" => frame::KEY_ANONYMOUS_LEN,
        "segment-payload" => stream::config::DEFAULT_MSS.into(),
        "unacknowledged-segments" => stream::config::RELEASE_FLIGHT.into(),
        "sack-ranges" => sack::MAX_BLOCKS,
        "trust-message-age" => trust::MAX_AGE_SECS as usize,
        "trust-message-ahead" => trust::MAX_AHEAD_SECS as usize,
        "trust-message-sent" => WRITTEN_MAX,
        "registry-frame" => rendezvous::MAX_REQUEST,
        "local-frame" => pilot_roles::ipc::MAX_MESSAGE,
        "data-exchange-payload" => data_exchange::MAX_PAYLOAD,
        "file-name" => data_exchange::MAX_NAME,
        "topic" => event_stream::MAX_TOPIC,
        "event-payload" => event_stream::MAX_PAYLOAD,
        _ => return Err(Failure::Unsupported),
    };
    Ok(json!({"value": value}))
}
