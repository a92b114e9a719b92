//! Parsers of the wire: what is read is written back the same, and a second reading agrees.

use pilot_proto::{
    Addr, SockAddr, base64,
    wire::{
        beacon::Beacon,
        extension::{MAX_LIST, Message, Statement},
        frame::{self, Datagram, Frame, Suite},
        packet::{Flags, HEADER_LEN, Header, Protocol},
        sack::{MAX_BLOCKS, Sack, must_split},
    },
};

use crate::second;

/// A datagram on the tunnel socket.
pub fn datagram(data: &[u8]) {
    let mut bytes = data.to_vec();
    match Datagram::parse(&mut bytes) {
        Ok(Datagram::Frame(frame)) => same_frame(frame, data),
        Ok(Datagram::Delivered { sender, frame }) => {
            assert_eq!((data[0], &data[1..5], &data[5..]), (6, &sender.to_be_bytes()[..], &*frame));
            if let Ok(frame) = Frame::parse(frame) {
                same_frame(frame, &data[5..]);
            }
        }
        Ok(Datagram::Beacon(message)) => assert_eq!(Some(message), Beacon::parse(data)),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(data.first().is_none_or(|first| *first < 16) || second::frame(data).is_none());
        }
    }
}

fn same_frame(frame: Frame<'_>, data: &[u8]) {
    let (magic, sender, body) = second::frame(data).expect("the second reading takes it too");
    let mut out = [0; frame::KEY_AUTHENTICATED_LEN];
    match frame {
        Frame::Plain { packet } => {
            assert_eq!((magic, body), (&b"PILT"[..], &*packet));
            same_packet(packet);
        }
        Frame::Sealed(sealed) => {
            let expected = if sealed.suite == Suite::Aes256Gcm { b"PILS" } else { b"PILC" };
            assert_eq!((magic, sender, body), (&expected[..], Some(sealed.sender), &*sealed.body));
            assert_eq!(frame::sealed_head(sealed.suite, sealed.sender, sealed.nonce), data[..20]);
        }
        Frame::KeyAnonymous(key) => {
            assert_eq!((magic, sender, body), (&b"PILK"[..], Some(key.sender), &key.x25519[..]));
            let len = key.emit(&mut out).unwrap();
            assert_eq!(out[..len], data[..len]);
        }
        Frame::KeyAuthenticated(key) => {
            assert_eq!((magic, sender), (&b"PILA"[..], Some(key.sender)));
            assert_eq!(body, [&key.x25519[..], &key.ed25519, &key.signature].concat());
            let len = key.emit(&mut out).unwrap();
            assert_eq!(out[..len], data[..len]);
        }
        Frame::Punch => assert_eq!((magic, sender, body), (&b"PILP"[..], None, &[][..])),
    }
}

/// A packet: as it is, and with its length and checksum put right, so that what lies behind them is reached.
pub fn packet(data: &[u8]) {
    same_packet(data);
    let Some(room) = data.len().checked_sub(HEADER_LEN) else { return };
    let mut right = data.to_vec();
    right[0] = 0x10 | data[0] & 15;
    let declared = usize::from(u16::from_be_bytes([data[2], data[3]])) % (room + 1);
    right[2..4].copy_from_slice(&(declared as u16).to_be_bytes());
    let sum = second::checksum(&right, HEADER_LEN + declared);
    right[30..34].copy_from_slice(&sum.to_be_bytes());
    assert!(Header::parse(&right).is_ok());
    same_packet(&right);
}

fn same_packet(data: &[u8]) {
    let read = Header::parse(data);
    assert_eq!(read.is_ok(), second::packet(data).is_some());
    let (header, payload) = match read {
        Ok(read) => read,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let sock = |(network, node, port)| SockAddr::new(Addr { network, node }, port);
    let other = second::packet(data).expect("checked above");
    assert_eq!((header.src(), header.dst()), (sock(other.src), sock(other.dst)));
    assert_eq!((header.seq, header.ack, header.window), (other.seq, other.ack, other.window));
    assert_eq!(
        (header.flags, header.protocol),
        (Flags::from_bits(other.flags), Protocol::from(other.protocol))
    );
    assert_eq!(data[payload.clone()], other.payload);
    let mut again = vec![0; payload.end];
    again[HEADER_LEN..].copy_from_slice(&data[payload]);
    header.emit(&mut again).unwrap();
    assert_eq!(again, data[..again.len()]);
}

/// A list of received ranges; the first eight bytes are what has been acknowledged and what will be sent next.
pub fn sack(data: &[u8]) {
    let Some((numbers, payload)) = data.split_first_chunk::<8>() else { return };
    let [a, b, c, d, e, f, g, h] = *numbers;
    let (ack, next) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
    let loose = Sack::parse_loose(payload);
    assert_eq!(must_split(payload), loose.is_some());
    let Some(strict) = Sack::parse_strict(payload, ack, next) else { return };
    let mut out = vec![0; strict.encoded_len()];
    strict.emit(&mut out).unwrap();
    assert_eq!(out, payload);
    let loose = loose.expect("a strict list is a loose one");
    assert_eq!(loose.blocks(), &strict.blocks()[..strict.blocks().len().min(MAX_BLOCKS)]);
    for block in strict.blocks() {
        assert!(block.left != ack && block.right.wrapping_sub(ack) <= next.wrapping_sub(ack));
    }
}

/// A beacon message.
pub fn beacon(data: &[u8]) {
    let Some(message) = Beacon::parse(data) else { return };
    let mut out = vec![0; data.len() + 16];
    let len = message.emit(&mut out).unwrap();
    assert!(len <= data.len(), "nothing is written that was not read");
    assert_eq!(Beacon::parse(&out[..len]), Some(message));
    if let Beacon::Sync { nodes, .. } = message {
        assert_eq!(nodes.iter().count(), usize::from(nodes.len()));
    }
    assert!(message.emit(&mut out[..len - 1]).is_err(), "a buffer one byte short is noticed");
}

/// An address, alone and with its port, as text.
pub fn address(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    match text.parse::<Addr>() {
        Ok(addr) => {
            assert_eq!(addr.to_string().parse(), Ok(addr));
            assert_eq!(Addr::from_bytes(addr.to_bytes()), addr);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match text.parse::<SockAddr>() {
        Ok(addr) => assert_eq!(addr.to_string().parse(), Ok(addr)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Some(bytes) = base64::decode::<32>(data) {
        // The unused bits of the last character may be anything.
        let again: Vec<u8> = base64::encode(&bytes).collect();
        assert_eq!(base64::decode(&again), Some(bytes));
        assert_eq!((again[..42].to_vec(), again[43]), (data[..42].to_vec(), data[43]));
    }
}

/// A message between two nodes that know extensions, and the list of a statement.
pub fn extension(data: &[u8]) {
    match Message::parse(data) {
        Ok(message) => {
            let mut out = vec![0; data.len()];
            let len = message.emit(&mut out).unwrap();
            assert_eq!(out[..len], data[..len]);
            if let Message::Statement { list, .. } = message {
                statement(list);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    statement(data);
}

fn statement(list: &[u8]) {
    let Ok(read) = Statement::parse(list) else { return };
    let mut out = [0; MAX_LIST];
    let len = read.emit(&mut out).unwrap();
    let mut again = Statement::parse(&out[..len]).unwrap();
    // Asking for a cipher that one does not open is not said again.
    again.capabilities.asks_for_chacha = read.capabilities.asks_for_chacha;
    assert_eq!(again, read);
}
