//! A network of scripted streams, for the tests of what stands on [`Net`].

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use pilot_proto::SockAddr;

use super::net::{Net, Over, Read};

/// One scripted stream.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// What the client wrote, as far as the window allowed.
    pub(crate) written: Vec<u8>,
    /// Bytes that may still be written.
    pub(crate) window: usize,
    /// What the client will read.
    pub(crate) incoming: Vec<u8>,
    pub(crate) peer_finished: bool,
    pub(crate) finished: bool,
    pub(crate) reset: bool,
    pub(crate) released: bool,
    pub(crate) over: bool,
}

#[derive(Debug, Default)]
pub(crate) struct FakeNet {
    pub(crate) wires: BTreeMap<u32, Wire>,
    pub(crate) listening: Vec<u16>,
    pub(crate) datagrams: Vec<(SockAddr, Vec<u8>)>,
}

impl Net for FakeNet {
    type Id = u32;

    fn listen(&mut self, port: u16) -> bool {
        let free = port != 7 && !self.listening.contains(&port);
        if free {
            self.listening.push(port);
        }
        free
    }

    fn unlisten(&mut self, port: u16) {
        self.listening.retain(|p| *p != port);
    }

    fn connect(&mut self, to: SockAddr) -> Result<u32, String> {
        if to.addr.node == 99 {
            return Err("connection refused".into());
        }
        let id = 100 + u32::try_from(self.wires.len()).unwrap();
        self.wires.insert(id, Wire { window: 1 << 20, ..Wire::default() });
        Ok(id)
    }

    fn send_datagram(&mut self, to: SockAddr, data: &[u8]) -> Result<(), String> {
        if data.len() > 1000 {
            return Err("message too long".into());
        }
        self.datagrams.push((to, data.to_vec()));
        Ok(())
    }

    fn write(&mut self, id: u32, data: &[u8]) -> Result<usize, Over> {
        let wire = self.wires.get_mut(&id).filter(|w| !w.over && !w.released).ok_or(Over)?;
        let taken = data.len().min(wire.window);
        wire.window -= taken;
        wire.written.extend_from_slice(&data[..taken]);
        Ok(taken)
    }

    fn read(&mut self, id: u32, buffer: &mut [u8]) -> Read {
        let wire = self.wires.get_mut(&id).unwrap();
        assert!(!wire.released, "read after release");
        let taken = wire.incoming.len().min(buffer.len());
        if taken == 0 {
            return if wire.peer_finished || wire.over { Read::End } else { Read::Empty };
        }
        buffer[..taken].copy_from_slice(&wire.incoming[..taken]);
        wire.incoming.drain(..taken);
        Read::Bytes(taken)
    }

    fn finish(&mut self, id: u32) {
        self.wires.get_mut(&id).unwrap().finished = true;
    }

    fn reset(&mut self, id: u32) {
        self.wires.get_mut(&id).unwrap().reset = true;
    }

    fn release(&mut self, id: u32) {
        assert!(!core::mem::replace(&mut self.wires.get_mut(&id).unwrap().released, true), "released twice");
    }
}
