// This is a generated file! Please edit source .ksy file and use kaitai-struct-compiler to rebuild

#![allow(unused_imports)]
#![allow(non_snake_case)]
#![allow(non_camel_case_types)]
#![allow(irrefutable_let_patterns)]
#![allow(unused_comparisons)]

use crate::runtime::*;
use std::convert::{TryFrom, TryInto};
use std::cell::{Ref, Cell, RefCell};
use std::rc::{Rc, Weak};
use super::pilot_sack::PilotSack;
use super::pilot_address::PilotAddress;

/**
 * The 34-byte header and its payload (spec PKT-1). Bytes after the payload are ignored (PKT-4). The checksum is CRC-32
 * (IEEE 802.3) over header and payload with the checksum field zero; this description cannot compute it, so a reader
 * must (PKT-3).
 */

#[derive(Default, Debug, Clone)]
pub struct PilotPacket {
    pub _root: SharedType<PilotPacket>,
    pub _parent: SharedType<PilotPacket>,
    pub _self: SharedType<Self>,
    version: RefCell<u64>,
    rst: RefCell<bool>,
    fin: RefCell<bool>,
    ack: RefCell<bool>,
    syn: RefCell<bool>,
    protocol: RefCell<PilotPacket_Protocol>,
    len_payload: RefCell<u16>,
    source: RefCell<OptRc<PilotAddress>>,
    destination: RefCell<OptRc<PilotAddress>>,
    source_port: RefCell<u16>,
    destination_port: RefCell<u16>,
    sequence: RefCell<u32>,
    acknowledgment: RefCell<u32>,
    window: RefCell<u16>,
    checksum: RefCell<u32>,
    payload: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
    sack_raw: RefCell<Vec<u8>>,
    f_has_sack: Cell<bool>,
    has_sack: RefCell<bool>,
    f_is_acknowledgment: Cell<bool>,
    is_acknowledgment: RefCell<bool>,
    f_num_sack_ranges: Cell<bool>,
    num_sack_ranges: RefCell<u8>,
    f_sack: Cell<bool>,
    sack: RefCell<OptRc<PilotSack>>,
    f_sack_magic: Cell<bool>,
    sack_magic: RefCell<u32>,
}
impl KStruct for PilotPacket {
    type Root = PilotPacket;
    type Parent = PilotPacket;

    fn read<S: KStream>(
        self_rc: &OptRc<Self>,
        _io: &S,
        _root: SharedType<Self::Root>,
        _parent: SharedType<Self::Parent>,
    ) -> KResult<()> {
        *self_rc._io.borrow_mut() = _io.clone();
        self_rc._root.set(_root.get());
        self_rc._parent.set(_parent.get());
        self_rc._self.set(Ok(self_rc.clone()));
        let _rrc = self_rc._root.get_value().borrow().upgrade();
        let _prc = self_rc._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        *self_rc.version.borrow_mut() = _io.read_bits_int_be(4)?;
        if !(((*self_rc.version() as i32) == (1 as i32))) {
            return Err(KError::ValidationFailed(ValidationFailedError { kind: ValidationKind::NotEqual, src_path: "/seq/0".to_string() }));
        }
        *self_rc.rst.borrow_mut() = _io.read_bits_int_be(1)? != 0;
        *self_rc.fin.borrow_mut() = _io.read_bits_int_be(1)? != 0;
        *self_rc.ack.borrow_mut() = _io.read_bits_int_be(1)? != 0;
        *self_rc.syn.borrow_mut() = _io.read_bits_int_be(1)? != 0;
        _io.align_to_byte()?;
        *self_rc.protocol.borrow_mut() = (_io.read_u1()? as i64).try_into()?;
        *self_rc.len_payload.borrow_mut() = _io.read_u2be()?.into();
        let t = Self::read_into::<_, PilotAddress>(&*_io, None, None)?.into();
        *self_rc.source.borrow_mut() = t;
        let t = Self::read_into::<_, PilotAddress>(&*_io, None, None)?.into();
        *self_rc.destination.borrow_mut() = t;
        *self_rc.source_port.borrow_mut() = _io.read_u2be()?.into();
        *self_rc.destination_port.borrow_mut() = _io.read_u2be()?.into();
        *self_rc.sequence.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.acknowledgment.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.window.borrow_mut() = _io.read_u2be()?.into();
        *self_rc.checksum.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.payload.borrow_mut() = _io.read_bytes(*self_rc.len_payload() as usize)?.into();
        Ok(())
    }
}
impl PilotPacket {

    /**
     * An acknowledgment is told from data by this shape alone (STR-12).
     */
    pub fn has_sack(
        &self
    ) -> KResult<Ref<'_, bool>> {
        let _io = self._io.borrow();
        let _rrc = self._root.get_value().borrow().upgrade();
        let _prc = self._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        if self.f_has_sack.get() {
            return Ok(self.has_sack.borrow());
        }
        self.f_has_sack.set(true);
        *self.has_sack.borrow_mut() = ( ((*self.is_acknowledgment()?) && (((*self.len_payload() as u16) >= (13 as u16))) && (((*self.sack_magic()? as i32) == (1396785995 as i32))) && (((*self.num_sack_ranges()? as u8) >= (1 as u8))) && (((*self.num_sack_ranges()? as u8) <= (4 as u8))) && (((*self.len_payload() as i32) >= (((5 as i32) + (((8 as u8) * (*self.num_sack_ranges()? as u8)) as i32)) as i32)))) ) as bool;
        Ok(self.has_sack.borrow())
    }
    pub fn is_acknowledgment(
        &self
    ) -> KResult<Ref<'_, bool>> {
        let _io = self._io.borrow();
        let _rrc = self._root.get_value().borrow().upgrade();
        let _prc = self._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        if self.f_is_acknowledgment.get() {
            return Ok(self.is_acknowledgment.borrow());
        }
        self.f_is_acknowledgment.set(true);
        *self.is_acknowledgment.borrow_mut() = ( ((*self.protocol() == PilotPacket_Protocol::Stream) && (*self.ack()) && (!(*self.syn())) && (!(*self.fin())) && (!(*self.rst()))) ) as bool;
        Ok(self.is_acknowledgment.borrow())
    }
    pub fn num_sack_ranges(
        &self
    ) -> KResult<Ref<'_, u8>> {
        let _io = self._io.borrow();
        let _rrc = self._root.get_value().borrow().upgrade();
        let _prc = self._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        if self.f_num_sack_ranges.get() {
            return Ok(self.num_sack_ranges.borrow());
        }
        self.f_num_sack_ranges.set(true);
        if  ((*self.is_acknowledgment()?) && (((*self.len_payload() as u16) >= (13 as u16))))  {
            let _pos = _io.pos();
            _io.seek(38 as usize)?;
            *self.num_sack_ranges.borrow_mut() = _io.read_u1()?.into();
            _io.seek(_pos)?;
        }
        Ok(self.num_sack_ranges.borrow())
    }
    pub fn sack(
        &self
    ) -> KResult<Ref<'_, OptRc<PilotSack>>> {
        let _io = self._io.borrow();
        let _rrc = self._root.get_value().borrow().upgrade();
        let _prc = self._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        if self.f_sack.get() {
            return Ok(self.sack.borrow());
        }
        if *self.has_sack()? {
            let _pos = _io.pos();
            _io.seek(34 as usize)?;
            *self.sack_raw.borrow_mut() = _io.read_bytes(*self.len_payload() as usize)?.into();
            let sack_raw = self.sack_raw.borrow();
            let _t_sack_raw_io = BytesReader::from(sack_raw.clone());
            let t = Self::read_into::<BytesReader, PilotSack>(&_t_sack_raw_io, None, None)?.into();
            *self.sack.borrow_mut() = t;
            _io.seek(_pos)?;
        }
        Ok(self.sack.borrow())
    }
    pub fn sack_magic(
        &self
    ) -> KResult<Ref<'_, u32>> {
        let _io = self._io.borrow();
        let _rrc = self._root.get_value().borrow().upgrade();
        let _prc = self._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        if self.f_sack_magic.get() {
            return Ok(self.sack_magic.borrow());
        }
        self.f_sack_magic.set(true);
        if  ((*self.is_acknowledgment()?) && (((*self.len_payload() as u16) >= (13 as u16))))  {
            let _pos = _io.pos();
            _io.seek(34 as usize)?;
            *self.sack_magic.borrow_mut() = _io.read_u4be()?.into();
            _io.seek(_pos)?;
        }
        Ok(self.sack_magic.borrow())
    }
}
impl PilotPacket {
    pub fn version(&self) -> Ref<'_, u64> {
        self.version.borrow()
    }
}
impl PilotPacket {
    pub fn rst(&self) -> Ref<'_, bool> {
        self.rst.borrow()
    }
}
impl PilotPacket {
    pub fn fin(&self) -> Ref<'_, bool> {
        self.fin.borrow()
    }
}
impl PilotPacket {
    pub fn ack(&self) -> Ref<'_, bool> {
        self.ack.borrow()
    }
}
impl PilotPacket {
    pub fn syn(&self) -> Ref<'_, bool> {
        self.syn.borrow()
    }
}

/**
 * Others are ignored without an answer (PKT-2).
 */
impl PilotPacket {
    pub fn protocol(&self) -> Ref<'_, PilotPacket_Protocol> {
        self.protocol.borrow()
    }
}
impl PilotPacket {
    pub fn len_payload(&self) -> Ref<'_, u16> {
        self.len_payload.borrow()
    }
}
impl PilotPacket {
    pub fn source(&self) -> Ref<'_, OptRc<PilotAddress>> {
        self.source.borrow()
    }
}
impl PilotPacket {
    pub fn destination(&self) -> Ref<'_, OptRc<PilotAddress>> {
        self.destination.borrow()
    }
}
impl PilotPacket {
    pub fn source_port(&self) -> Ref<'_, u16> {
        self.source_port.borrow()
    }
}
impl PilotPacket {
    pub fn destination_port(&self) -> Ref<'_, u16> {
        self.destination_port.borrow()
    }
}
impl PilotPacket {
    pub fn sequence(&self) -> Ref<'_, u32> {
        self.sequence.borrow()
    }
}
impl PilotPacket {
    pub fn acknowledgment(&self) -> Ref<'_, u32> {
        self.acknowledgment.borrow()
    }
}

/**
 * Free segments, of up to 4096 bytes each; 0 means closed, to a peer of April "no limit" (STR-8, STR-9).
 */
impl PilotPacket {
    pub fn window(&self) -> Ref<'_, u16> {
        self.window.borrow()
    }
}
impl PilotPacket {
    pub fn checksum(&self) -> Ref<'_, u32> {
        self.checksum.borrow()
    }
}
impl PilotPacket {
    pub fn payload(&self) -> Ref<'_, Vec<u8>> {
        self.payload.borrow()
    }
}
impl PilotPacket {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
impl PilotPacket {
    pub fn sack_raw(&self) -> Ref<'_, Vec<u8>> {
        self.sack_raw.borrow()
    }
}
#[derive(Debug, PartialEq, Clone)]
pub enum PilotPacket_Protocol {
    Stream,
    Datagram,
    Control,
    Unknown(i64),
}

impl TryFrom<i64> for PilotPacket_Protocol {
    type Error = KError;
    fn try_from(flag: i64) -> KResult<PilotPacket_Protocol> {
        match flag {
            1 => Ok(PilotPacket_Protocol::Stream),
            2 => Ok(PilotPacket_Protocol::Datagram),
            3 => Ok(PilotPacket_Protocol::Control),
            _ => Ok(PilotPacket_Protocol::Unknown(flag)),
        }
    }
}

impl From<&PilotPacket_Protocol> for i64 {
    fn from(v: &PilotPacket_Protocol) -> Self {
        match *v {
            PilotPacket_Protocol::Stream => 1,
            PilotPacket_Protocol::Datagram => 2,
            PilotPacket_Protocol::Control => 3,
            PilotPacket_Protocol::Unknown(v) => v
        }
    }
}

impl Default for PilotPacket_Protocol {
    fn default() -> Self { PilotPacket_Protocol::Unknown(0) }
}

