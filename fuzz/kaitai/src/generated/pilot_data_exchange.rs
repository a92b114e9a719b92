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

#[derive(Default, Debug, Clone)]
pub struct PilotDataExchange {
    pub _root: SharedType<PilotDataExchange>,
    pub _parent: SharedType<PilotDataExchange>,
    pub _self: SharedType<Self>,
    frames: RefCell<Vec<OptRc<PilotDataExchange_Frame>>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotDataExchange {
    type Root = PilotDataExchange;
    type Parent = PilotDataExchange;

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
        *self_rc.frames.borrow_mut() = Vec::new();
        {
            let mut _i = 0;
            while !_io.is_eof() {
                let t = Self::read_into::<_, PilotDataExchange_Frame>(&*_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                self_rc.frames.borrow_mut().push(t);
                _i += 1;
            }
        }
        Ok(())
    }
}
impl PilotDataExchange {
}
impl PilotDataExchange {
    pub fn frames(&self) -> Ref<'_, Vec<OptRc<PilotDataExchange_Frame>>> {
        self.frames.borrow()
    }
}
impl PilotDataExchange {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
#[derive(Debug, PartialEq, Clone)]
pub enum PilotDataExchange_Kind {
    Text,
    Binary,
    Json,
    File,
    Unknown(i64),
}

impl TryFrom<i64> for PilotDataExchange_Kind {
    type Error = KError;
    fn try_from(flag: i64) -> KResult<PilotDataExchange_Kind> {
        match flag {
            1 => Ok(PilotDataExchange_Kind::Text),
            2 => Ok(PilotDataExchange_Kind::Binary),
            3 => Ok(PilotDataExchange_Kind::Json),
            4 => Ok(PilotDataExchange_Kind::File),
            _ => Ok(PilotDataExchange_Kind::Unknown(flag)),
        }
    }
}

impl From<&PilotDataExchange_Kind> for i64 {
    fn from(v: &PilotDataExchange_Kind) -> Self {
        match *v {
            PilotDataExchange_Kind::Text => 1,
            PilotDataExchange_Kind::Binary => 2,
            PilotDataExchange_Kind::Json => 3,
            PilotDataExchange_Kind::File => 4,
            PilotDataExchange_Kind::Unknown(v) => v
        }
    }
}

impl Default for PilotDataExchange_Kind {
    fn default() -> Self { PilotDataExchange_Kind::Unknown(0) }
}


/**
 * Without room for the name it states, a file has no name and is refused by a service.
 */

#[derive(Default, Debug, Clone)]
pub struct PilotDataExchange_File {
    pub _root: SharedType<PilotDataExchange>,
    pub _parent: SharedType<PilotDataExchange_Frame>,
    pub _self: SharedType<Self>,
    len_name: RefCell<u16>,
    name: RefCell<Vec<u8>>,
    content: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
    f_has_name: Cell<bool>,
    has_name: RefCell<bool>,
}
impl KStruct for PilotDataExchange_File {
    type Root = PilotDataExchange;
    type Parent = PilotDataExchange_Frame;

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
        if ((_io.size() as i32) >= (2 as i32)) {
            *self_rc.len_name.borrow_mut() = _io.read_u2be()?.into();
        }
        if *self_rc.has_name()? {
            *self_rc.name.borrow_mut() = _io.read_bytes(*self_rc.len_name() as usize)?.into();
        }
        *self_rc.content.borrow_mut() = _io.read_bytes_full()?.into();
        Ok(())
    }
}
impl PilotDataExchange_File {
    pub fn has_name(
        &self
    ) -> KResult<Ref<'_, bool>> {
        let _io = self._io.borrow();
        let _rrc = self._root.get_value().borrow().upgrade();
        let _prc = self._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        if self.f_has_name.get() {
            return Ok(self.has_name.borrow());
        }
        self.f_has_name.set(true);
        *self.has_name.borrow_mut() = ( ((((_io.size() as i32) >= (2 as i32))) && (((*self.len_name() as i32) <= (((_io.size() as i32) - (2 as i32)) as i32)))) ) as bool;
        Ok(self.has_name.borrow())
    }
}
impl PilotDataExchange_File {
    pub fn len_name(&self) -> Ref<'_, u16> {
        self.len_name.borrow()
    }
}

/**
 * Most often UTF-8, but nothing says so.
 */
impl PilotDataExchange_File {
    pub fn name(&self) -> Ref<'_, Vec<u8>> {
        self.name.borrow()
    }
}
impl PilotDataExchange_File {
    pub fn content(&self) -> Ref<'_, Vec<u8>> {
        self.content.borrow()
    }
}
impl PilotDataExchange_File {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotDataExchange_Frame {
    pub _root: SharedType<PilotDataExchange>,
    pub _parent: SharedType<PilotDataExchange>,
    pub _self: SharedType<Self>,
    kind: RefCell<PilotDataExchange_Kind>,
    len_payload: RefCell<u32>,
    payload: RefCell<Option<PilotDataExchange_Frame_Payload>>,
    _io: RefCell<BytesReader>,
    payload_raw: RefCell<Vec<u8>>,
}
#[derive(Debug, Clone)]
pub enum PilotDataExchange_Frame_Payload {
    PilotDataExchange_File(OptRc<PilotDataExchange_File>),
    Bytes(Vec<u8>),
}
impl From<&PilotDataExchange_Frame_Payload> for OptRc<PilotDataExchange_File> {
    fn from(v: &PilotDataExchange_Frame_Payload) -> Self {
        if let PilotDataExchange_Frame_Payload::PilotDataExchange_File(x) = v {
            return x.clone();
        }
        panic!("expected PilotDataExchange_Frame_Payload::PilotDataExchange_File, got {:?}", v)
    }
}
impl From<OptRc<PilotDataExchange_File>> for PilotDataExchange_Frame_Payload {
    fn from(v: OptRc<PilotDataExchange_File>) -> Self {
        Self::PilotDataExchange_File(v)
    }
}
impl From<&PilotDataExchange_Frame_Payload> for Vec<u8> {
    fn from(v: &PilotDataExchange_Frame_Payload) -> Self {
        if let PilotDataExchange_Frame_Payload::Bytes(x) = v {
            return x.clone();
        }
        panic!("expected PilotDataExchange_Frame_Payload::Bytes, got {:?}", v)
    }
}
impl From<Vec<u8>> for PilotDataExchange_Frame_Payload {
    fn from(v: Vec<u8>) -> Self {
        Self::Bytes(v)
    }
}
impl KStruct for PilotDataExchange_Frame {
    type Root = PilotDataExchange;
    type Parent = PilotDataExchange;

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
        *self_rc.kind.borrow_mut() = (_io.read_u4be()? as i64).try_into()?;
        *self_rc.len_payload.borrow_mut() = _io.read_u4be()?.into();
        match *self_rc.kind() {
            PilotDataExchange_Kind::File => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes(*self_rc.len_payload() as usize)?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotDataExchange_File>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            _ => {
                *self_rc.payload.borrow_mut() = Some(_io.read_bytes(*self_rc.len_payload() as usize)?.into());
            }
        }
        Ok(())
    }
}
impl PilotDataExchange_Frame {
}
impl PilotDataExchange_Frame {
    pub fn kind(&self) -> Ref<'_, PilotDataExchange_Kind> {
        self.kind.borrow()
    }
}
impl PilotDataExchange_Frame {
    pub fn len_payload(&self) -> Ref<'_, u32> {
        self.len_payload.borrow()
    }
}
impl PilotDataExchange_Frame {
    pub fn payload(&self) -> Ref<'_, Option<PilotDataExchange_Frame_Payload>> {
        self.payload.borrow()
    }
}
impl PilotDataExchange_Frame {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
impl PilotDataExchange_Frame {
    pub fn payload_raw(&self) -> Ref<'_, Vec<u8>> {
        self.payload_raw.borrow()
    }
}
