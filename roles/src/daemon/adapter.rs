//! The node as the [`Net`] of local clients and built-in services, at one instant.

use alloc::string::{String, ToString};

use pilot_proto::{
    Instant, SockAddr,
    crypto::Crypto,
    node::{Node, StreamId},
    rng::Rng,
    stream,
};

use super::{
    memory::OwnedMemory,
    net::{Net, Over, Read},
};

/// See the [module](self).
pub(super) struct Adapter<'a, C: Crypto, R> {
    pub(super) node: &'a mut Node<OwnedMemory<C>, C, R>,
    pub(super) now: Instant,
}

impl<C: Crypto, R: Rng> Net for Adapter<'_, C, R> {
    type Id = StreamId;

    fn listen(&mut self, port: u16) -> bool {
        self.node.listen(port).is_ok()
    }

    fn unlisten(&mut self, port: u16) {
        self.node.unlisten(port);
    }

    fn connect(&mut self, to: SockAddr) -> Result<StreamId, String> {
        self.node.connect(self.now, to.addr, to.port).map_err(|error| error.to_string())
    }

    fn send_datagram(&mut self, to: SockAddr, data: &[u8]) -> Result<(), String> {
        self.node.send_datagram(self.now, to.addr, to.port, data).map(drop).map_err(|error| error.to_string())
    }

    fn write(&mut self, id: StreamId, data: &[u8]) -> Result<usize, Over> {
        self.node.write(self.now, id, data).map_err(|_| Over)
    }

    fn read(&mut self, id: StreamId, buffer: &mut [u8]) -> Read {
        match self.node.read(self.now, id, buffer) {
            Ok(stream::Read::Bytes(bytes)) => Read::Bytes(bytes),
            Ok(stream::Read::Empty) => Read::Empty,
            Ok(stream::Read::End) | Err(_) => Read::End,
        }
    }

    // A stream that cannot be finished or reset any more is over, and its end is reported as such.

    fn finish(&mut self, id: StreamId) {
        let _ = self.node.finish(self.now, id);
    }

    fn reset(&mut self, id: StreamId) {
        let _ = self.node.reset(self.now, id);
    }

    fn release(&mut self, id: StreamId) {
        self.node.release(self.now, id);
    }
}
