//! Reads big-endian numbers from the front of a payload.

use pilot_proto::{Addr, SockAddr};

/// The unread rest of a payload.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub(super) fn sock_addr(&mut self) -> Option<SockAddr> {
        Some(SockAddr { addr: Addr { network: self.u16()?, node: self.u32()? }, port: self.u16()? })
    }

    pub(super) const fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Network, node and port as they stand in messages.
pub(super) fn sock_addr_bytes(to: SockAddr) -> [u8; 8] {
    let ([a, b], [c, d, e, f], [g, h]) =
        (to.addr.network.to_be_bytes(), to.addr.node.to_be_bytes(), to.port.to_be_bytes());
    [a, b, c, d, e, f, g, h]
}
