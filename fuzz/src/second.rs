//! A second reading of packets and frames, written from `spec/packet.md` and `spec/tunnel.md` alone: fixed offsets, a
//! checksum bit by bit. Slow and plain, so that a slip in the first is not repeated in it.

/// A packet as its bytes say it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) flags: u8,
    pub(crate) protocol: u8,
    pub(crate) src: (u16, u32, u16),
    pub(crate) dst: (u16, u32, u16),
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) window: u16,
    pub(crate) payload: Vec<u8>,
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// CRC-32 of IEEE 802.3, one bit at a time.
pub(crate) fn crc32(bytes: impl IntoIterator<Item = u8>) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// The checksum that the packet in `bytes`, whose payload ends at `end`, should have.
pub(crate) fn checksum(bytes: &[u8], end: usize) -> u32 {
    crc32(bytes[..end].iter().enumerate().map(|(at, byte)| if (30..34).contains(&at) { 0 } else { *byte }))
}

/// The packet at the front of `bytes`.
pub(crate) fn packet(bytes: &[u8]) -> Option<Packet> {
    if bytes.len() < 34 {
        return None;
    }
    let end = 34 + number(&bytes[2..4]) as usize;
    if bytes.len() < end || number(&bytes[30..34]) as u32 != checksum(bytes, end) || bytes[0] >> 4 != 1 {
        return None;
    }
    Some(Packet {
        flags: bytes[0] & 15,
        protocol: bytes[1],
        src: (number(&bytes[4..6]) as u16, number(&bytes[6..10]) as u32, number(&bytes[16..18]) as u16),
        dst: (number(&bytes[10..12]) as u16, number(&bytes[12..16]) as u32, number(&bytes[18..20]) as u16),
        seq: number(&bytes[20..24]) as u32,
        ack: number(&bytes[24..28]) as u32,
        window: number(&bytes[28..30]) as u16,
        payload: bytes[34..end].to_vec(),
    })
}

/// A frame: its magic, the sender it names if it names one, and the bytes whose meaning is not its own.
pub(crate) fn frame(bytes: &[u8]) -> Option<(&[u8], Option<u32>, &[u8])> {
    let least = match bytes.get(..4)? {
        b"PILT" | b"PILP" => 4,
        b"PILS" | b"PILC" => 36,
        b"PILK" => 40,
        b"PILA" => 136,
        _ => return None,
    };
    if bytes.len() < least {
        return None;
    }
    let sender = (least > 4).then(|| number(&bytes[4..8]) as u32);
    let body = match &bytes[..4] {
        b"PILT" => &bytes[4..],
        b"PILS" | b"PILC" => &bytes[20..],
        b"PILK" | b"PILA" => &bytes[8..least],
        _ => &[],
    };
    Some((&bytes[..4], sender, body))
}
