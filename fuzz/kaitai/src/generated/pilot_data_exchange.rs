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
    Traced,
    Chunked,
    Tagged,
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
            5 => Ok(PilotDataExchange_Kind::Traced),
            7 => Ok(PilotDataExchange_Kind::Chunked),
            10 => Ok(PilotDataExchange_Kind::Tagged),
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
            PilotDataExchange_Kind::Traced => 5,
            PilotDataExchange_Kind::Chunked => 7,
            PilotDataExchange_Kind::Tagged => 10,
            PilotDataExchange_Kind::Unknown(v) => v
        }
    }
}

impl Default for PilotDataExchange_Kind {
    fn default() -> Self { PilotDataExchange_Kind::Unknown(0) }
}

#[derive(Debug, PartialEq, Clone)]
pub enum PilotDataExchange_Step {
    Init,
    Data,
    Ack,
    Done,
    InitAck,
    Complete,
    Abort,
    Unknown(i64),
}

impl TryFrom<i64> for PilotDataExchange_Step {
    type Error = KError;
    fn try_from(flag: i64) -> KResult<PilotDataExchange_Step> {
        match flag {
            1 => Ok(PilotDataExchange_Step::Init),
            2 => Ok(PilotDataExchange_Step::Data),
            3 => Ok(PilotDataExchange_Step::Ack),
            4 => Ok(PilotDataExchange_Step::Done),
            5 => Ok(PilotDataExchange_Step::InitAck),
            6 => Ok(PilotDataExchange_Step::Complete),
            7 => Ok(PilotDataExchange_Step::Abort),
            _ => Ok(PilotDataExchange_Step::Unknown(flag)),
        }
    }
}

impl From<&PilotDataExchange_Step> for i64 {
    fn from(v: &PilotDataExchange_Step) -> Self {
        match *v {
            PilotDataExchange_Step::Init => 1,
            PilotDataExchange_Step::Data => 2,
            PilotDataExchange_Step::Ack => 3,
            PilotDataExchange_Step::Done => 4,
            PilotDataExchange_Step::InitAck => 5,
            PilotDataExchange_Step::Complete => 6,
            PilotDataExchange_Step::Abort => 7,
            PilotDataExchange_Step::Unknown(v) => v
        }
    }
}

impl Default for PilotDataExchange_Step {
    fn default() -> Self { PilotDataExchange_Step::Unknown(0) }
}


/**
 * One step of a file that comes in pieces. Without form, as above, where a body has no room for its fields.
 */

#[derive(Default, Debug, Clone)]
pub struct PilotDataExchange_Chunked {
    pub _root: SharedType<PilotDataExchange>,
    pub _parent: SharedType<PilotDataExchange_Frame>,
    pub _self: SharedType<Self>,
    step: RefCell<PilotDataExchange_Step>,
    transfer: RefCell<Vec<u8>>,
    body: RefCell<Option<PilotDataExchange_Chunked_Body>>,
    _io: RefCell<BytesReader>,
    body_raw: RefCell<Vec<u8>>,
    f_has_head: Cell<bool>,
    has_head: RefCell<bool>,
}
#[derive(Debug, Clone)]
pub enum PilotDataExchange_Chunked_Body {
    PilotDataExchange_Init(OptRc<PilotDataExchange_Init>),
    PilotDataExchange_Piece(OptRc<PilotDataExchange_Piece>),
    PilotDataExchange_Complete(OptRc<PilotDataExchange_Complete>),
    Bytes(Vec<u8>),
    PilotDataExchange_Position(OptRc<PilotDataExchange_Position>),
}
impl From<&PilotDataExchange_Chunked_Body> for OptRc<PilotDataExchange_Init> {
    fn from(v: &PilotDataExchange_Chunked_Body) -> Self {
        if let PilotDataExchange_Chunked_Body::PilotDataExchange_Init(x) = v {
            return x.clone();
        }
        panic!("expected PilotDataExchange_Chunked_Body::PilotDataExchange_Init, got {:?}", v)
    }
}
impl From<OptRc<PilotDataExchange_Init>> for PilotDataExchange_Chunked_Body {
    fn from(v: OptRc<PilotDataExchange_Init>) -> Self {
        Self::PilotDataExchange_Init(v)
    }
}
impl From<&PilotDataExchange_Chunked_Body> for OptRc<PilotDataExchange_Piece> {
    fn from(v: &PilotDataExchange_Chunked_Body) -> Self {
        if let PilotDataExchange_Chunked_Body::PilotDataExchange_Piece(x) = v {
            return x.clone();
        }
        panic!("expected PilotDataExchange_Chunked_Body::PilotDataExchange_Piece, got {:?}", v)
    }
}
impl From<OptRc<PilotDataExchange_Piece>> for PilotDataExchange_Chunked_Body {
    fn from(v: OptRc<PilotDataExchange_Piece>) -> Self {
        Self::PilotDataExchange_Piece(v)
    }
}
impl From<&PilotDataExchange_Chunked_Body> for OptRc<PilotDataExchange_Complete> {
    fn from(v: &PilotDataExchange_Chunked_Body) -> Self {
        if let PilotDataExchange_Chunked_Body::PilotDataExchange_Complete(x) = v {
            return x.clone();
        }
        panic!("expected PilotDataExchange_Chunked_Body::PilotDataExchange_Complete, got {:?}", v)
    }
}
impl From<OptRc<PilotDataExchange_Complete>> for PilotDataExchange_Chunked_Body {
    fn from(v: OptRc<PilotDataExchange_Complete>) -> Self {
        Self::PilotDataExchange_Complete(v)
    }
}
impl From<&PilotDataExchange_Chunked_Body> for Vec<u8> {
    fn from(v: &PilotDataExchange_Chunked_Body) -> Self {
        if let PilotDataExchange_Chunked_Body::Bytes(x) = v {
            return x.clone();
        }
        panic!("expected PilotDataExchange_Chunked_Body::Bytes, got {:?}", v)
    }
}
impl From<Vec<u8>> for PilotDataExchange_Chunked_Body {
    fn from(v: Vec<u8>) -> Self {
        Self::Bytes(v)
    }
}
impl From<&PilotDataExchange_Chunked_Body> for OptRc<PilotDataExchange_Position> {
    fn from(v: &PilotDataExchange_Chunked_Body) -> Self {
        if let PilotDataExchange_Chunked_Body::PilotDataExchange_Position(x) = v {
            return x.clone();
        }
        panic!("expected PilotDataExchange_Chunked_Body::PilotDataExchange_Position, got {:?}", v)
    }
}
impl From<OptRc<PilotDataExchange_Position>> for PilotDataExchange_Chunked_Body {
    fn from(v: OptRc<PilotDataExchange_Position>) -> Self {
        Self::PilotDataExchange_Position(v)
    }
}
impl KStruct for PilotDataExchange_Chunked {
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
        if *self_rc.has_head()? {
            *self_rc.step.borrow_mut() = (_io.read_u1()? as i64).try_into()?;
        }
        if *self_rc.has_head()? {
            *self_rc.transfer.borrow_mut() = _io.read_bytes(16 as usize)?.into();
        }
        match *self_rc.step() {
            PilotDataExchange_Step::Ack => {
                *self_rc.body_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let body_raw = self_rc.body_raw.borrow();
                let _t_body_raw_io = BytesReader::from(body_raw.clone());
                let t = Self::read_into::<BytesReader, PilotDataExchange_Position>(&_t_body_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotDataExchange_Step::Complete => {
                *self_rc.body_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let body_raw = self_rc.body_raw.borrow();
                let _t_body_raw_io = BytesReader::from(body_raw.clone());
                let t = Self::read_into::<BytesReader, PilotDataExchange_Complete>(&_t_body_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotDataExchange_Step::Data => {
                *self_rc.body_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let body_raw = self_rc.body_raw.borrow();
                let _t_body_raw_io = BytesReader::from(body_raw.clone());
                let t = Self::read_into::<BytesReader, PilotDataExchange_Piece>(&_t_body_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotDataExchange_Step::Init => {
                *self_rc.body_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let body_raw = self_rc.body_raw.borrow();
                let _t_body_raw_io = BytesReader::from(body_raw.clone());
                let t = Self::read_into::<BytesReader, PilotDataExchange_Init>(&_t_body_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotDataExchange_Step::InitAck => {
                *self_rc.body_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let body_raw = self_rc.body_raw.borrow();
                let _t_body_raw_io = BytesReader::from(body_raw.clone());
                let t = Self::read_into::<BytesReader, PilotDataExchange_Position>(&_t_body_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            _ => {
                *self_rc.body.borrow_mut() = Some(_io.read_bytes_full()?.into());
            }
        }
        Ok(())
    }
}
impl PilotDataExchange_Chunked {
    pub fn has_head(
        &self
    ) -> KResult<Ref<'_, bool>> {
        let _io = self._io.borrow();
        let _rrc = self._root.get_value().borrow().upgrade();
        let _prc = self._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        if self.f_has_head.get() {
            return Ok(self.has_head.borrow());
        }
        self.f_has_head.set(true);
        *self.has_head.borrow_mut() = (((_io.size() as i32) >= (17 as i32))) as bool;
        Ok(self.has_head.borrow())
    }
}
impl PilotDataExchange_Chunked {
    pub fn step(&self) -> Ref<'_, PilotDataExchange_Step> {
        self.step.borrow()
    }
}

/**
 * First half of the SHA-256 of the file.
 */
impl PilotDataExchange_Chunked {
    pub fn transfer(&self) -> Ref<'_, Vec<u8>> {
        self.transfer.borrow()
    }
}
impl PilotDataExchange_Chunked {
    pub fn body(&self) -> Ref<'_, Option<PilotDataExchange_Chunked_Body>> {
        self.body.borrow()
    }
}
impl PilotDataExchange_Chunked {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
impl PilotDataExchange_Chunked {
    pub fn body_raw(&self) -> Ref<'_, Vec<u8>> {
        self.body_raw.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotDataExchange_Complete {
    pub _root: SharedType<PilotDataExchange>,
    pub _parent: SharedType<PilotDataExchange_Chunked>,
    pub _self: SharedType<Self>,
    status: RefCell<u8>,
    text: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
    f_has_form: Cell<bool>,
    has_form: RefCell<bool>,
}
impl KStruct for PilotDataExchange_Complete {
    type Root = PilotDataExchange;
    type Parent = PilotDataExchange_Chunked;

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
        if *self_rc.has_form()? {
            *self_rc.status.borrow_mut() = _io.read_u1()?.into();
        }
        *self_rc.text.borrow_mut() = _io.read_bytes_full()?.into();
        Ok(())
    }
}
impl PilotDataExchange_Complete {
    pub fn has_form(
        &self
    ) -> KResult<Ref<'_, bool>> {
        let _io = self._io.borrow();
        let _rrc = self._root.get_value().borrow().upgrade();
        let _prc = self._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        if self.f_has_form.get() {
            return Ok(self.has_form.borrow());
        }
        self.f_has_form.set(true);
        *self.has_form.borrow_mut() = (((_io.size() as i32) >= (1 as i32))) as bool;
        Ok(self.has_form.borrow())
    }
}

/**
 * 0 for a file that is stored and has its hash.
 */
impl PilotDataExchange_Complete {
    pub fn status(&self) -> Ref<'_, u8> {
        self.status.borrow()
    }
}
impl PilotDataExchange_Complete {
    pub fn text(&self) -> Ref<'_, Vec<u8>> {
        self.text.borrow()
    }
}
impl PilotDataExchange_Complete {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
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
    Bytes(Vec<u8>),
    PilotDataExchange_File(OptRc<PilotDataExchange_File>),
    PilotDataExchange_Traced(OptRc<PilotDataExchange_Traced>),
    PilotDataExchange_Tagged(OptRc<PilotDataExchange_Tagged>),
    PilotDataExchange_Chunked(OptRc<PilotDataExchange_Chunked>),
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
impl From<&PilotDataExchange_Frame_Payload> for OptRc<PilotDataExchange_Traced> {
    fn from(v: &PilotDataExchange_Frame_Payload) -> Self {
        if let PilotDataExchange_Frame_Payload::PilotDataExchange_Traced(x) = v {
            return x.clone();
        }
        panic!("expected PilotDataExchange_Frame_Payload::PilotDataExchange_Traced, got {:?}", v)
    }
}
impl From<OptRc<PilotDataExchange_Traced>> for PilotDataExchange_Frame_Payload {
    fn from(v: OptRc<PilotDataExchange_Traced>) -> Self {
        Self::PilotDataExchange_Traced(v)
    }
}
impl From<&PilotDataExchange_Frame_Payload> for OptRc<PilotDataExchange_Tagged> {
    fn from(v: &PilotDataExchange_Frame_Payload) -> Self {
        if let PilotDataExchange_Frame_Payload::PilotDataExchange_Tagged(x) = v {
            return x.clone();
        }
        panic!("expected PilotDataExchange_Frame_Payload::PilotDataExchange_Tagged, got {:?}", v)
    }
}
impl From<OptRc<PilotDataExchange_Tagged>> for PilotDataExchange_Frame_Payload {
    fn from(v: OptRc<PilotDataExchange_Tagged>) -> Self {
        Self::PilotDataExchange_Tagged(v)
    }
}
impl From<&PilotDataExchange_Frame_Payload> for OptRc<PilotDataExchange_Chunked> {
    fn from(v: &PilotDataExchange_Frame_Payload) -> Self {
        if let PilotDataExchange_Frame_Payload::PilotDataExchange_Chunked(x) = v {
            return x.clone();
        }
        panic!("expected PilotDataExchange_Frame_Payload::PilotDataExchange_Chunked, got {:?}", v)
    }
}
impl From<OptRc<PilotDataExchange_Chunked>> for PilotDataExchange_Frame_Payload {
    fn from(v: OptRc<PilotDataExchange_Chunked>) -> Self {
        Self::PilotDataExchange_Chunked(v)
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
            PilotDataExchange_Kind::Chunked => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes(*self_rc.len_payload() as usize)?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotDataExchange_Chunked>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotDataExchange_Kind::File => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes(*self_rc.len_payload() as usize)?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotDataExchange_File>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotDataExchange_Kind::Tagged => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes(*self_rc.len_payload() as usize)?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotDataExchange_Tagged>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotDataExchange_Kind::Traced => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes(*self_rc.len_payload() as usize)?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotDataExchange_Traced>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
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

#[derive(Default, Debug, Clone)]
pub struct PilotDataExchange_Init {
    pub _root: SharedType<PilotDataExchange>,
    pub _parent: SharedType<PilotDataExchange_Chunked>,
    pub _self: SharedType<Self>,
    len_file: RefCell<u64>,
    sha256: RefCell<Vec<u8>>,
    len_chunk: RefCell<u32>,
    len_name: RefCell<u16>,
    name: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
    f_has_fields: Cell<bool>,
    has_fields: RefCell<bool>,
    f_has_name: Cell<bool>,
    has_name: RefCell<bool>,
}
impl KStruct for PilotDataExchange_Init {
    type Root = PilotDataExchange;
    type Parent = PilotDataExchange_Chunked;

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
        if *self_rc.has_fields()? {
            *self_rc.len_file.borrow_mut() = _io.read_u8be()?.into();
        }
        if *self_rc.has_fields()? {
            *self_rc.sha256.borrow_mut() = _io.read_bytes(32 as usize)?.into();
        }
        if *self_rc.has_fields()? {
            *self_rc.len_chunk.borrow_mut() = _io.read_u4be()?.into();
        }
        if *self_rc.has_fields()? {
            *self_rc.len_name.borrow_mut() = _io.read_u2be()?.into();
        }
        if *self_rc.has_name()? {
            *self_rc.name.borrow_mut() = _io.read_bytes(*self_rc.len_name() as usize)?.into();
        }
        Ok(())
    }
}
impl PilotDataExchange_Init {
    pub fn has_fields(
        &self
    ) -> KResult<Ref<'_, bool>> {
        let _io = self._io.borrow();
        let _rrc = self._root.get_value().borrow().upgrade();
        let _prc = self._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        if self.f_has_fields.get() {
            return Ok(self.has_fields.borrow());
        }
        self.f_has_fields.set(true);
        *self.has_fields.borrow_mut() = (((_io.size() as i32) >= (46 as i32))) as bool;
        Ok(self.has_fields.borrow())
    }
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
        *self.has_name.borrow_mut() = ( ((*self.has_fields()?) && (((*self.len_name() as i32) <= (((_io.size() as i32) - (46 as i32)) as i32)))) ) as bool;
        Ok(self.has_name.borrow())
    }
}

/**
 * Bytes of the file.
 */
impl PilotDataExchange_Init {
    pub fn len_file(&self) -> Ref<'_, u64> {
        self.len_file.borrow()
    }
}
impl PilotDataExchange_Init {
    pub fn sha256(&self) -> Ref<'_, Vec<u8>> {
        self.sha256.borrow()
    }
}
impl PilotDataExchange_Init {
    pub fn len_chunk(&self) -> Ref<'_, u32> {
        self.len_chunk.borrow()
    }
}
impl PilotDataExchange_Init {
    pub fn len_name(&self) -> Ref<'_, u16> {
        self.len_name.borrow()
    }
}
impl PilotDataExchange_Init {
    pub fn name(&self) -> Ref<'_, Vec<u8>> {
        self.name.borrow()
    }
}
impl PilotDataExchange_Init {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotDataExchange_Piece {
    pub _root: SharedType<PilotDataExchange>,
    pub _parent: SharedType<PilotDataExchange_Chunked>,
    pub _self: SharedType<Self>,
    offset: RefCell<u64>,
    content: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
    f_has_form: Cell<bool>,
    has_form: RefCell<bool>,
}
impl KStruct for PilotDataExchange_Piece {
    type Root = PilotDataExchange;
    type Parent = PilotDataExchange_Chunked;

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
        if *self_rc.has_form()? {
            *self_rc.offset.borrow_mut() = _io.read_u8be()?.into();
        }
        *self_rc.content.borrow_mut() = _io.read_bytes_full()?.into();
        Ok(())
    }
}
impl PilotDataExchange_Piece {
    pub fn has_form(
        &self
    ) -> KResult<Ref<'_, bool>> {
        let _io = self._io.borrow();
        let _rrc = self._root.get_value().borrow().upgrade();
        let _prc = self._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        if self.f_has_form.get() {
            return Ok(self.has_form.borrow());
        }
        self.f_has_form.set(true);
        *self.has_form.borrow_mut() = (((_io.size() as i32) >= (8 as i32))) as bool;
        Ok(self.has_form.borrow())
    }
}

/**
 * Bytes from the start of the file.
 */
impl PilotDataExchange_Piece {
    pub fn offset(&self) -> Ref<'_, u64> {
        self.offset.borrow()
    }
}
impl PilotDataExchange_Piece {
    pub fn content(&self) -> Ref<'_, Vec<u8>> {
        self.content.borrow()
    }
}
impl PilotDataExchange_Piece {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

/**
 * Everything before it is there, or the sender is to go on from there.
 */

#[derive(Default, Debug, Clone)]
pub struct PilotDataExchange_Position {
    pub _root: SharedType<PilotDataExchange>,
    pub _parent: SharedType<PilotDataExchange_Chunked>,
    pub _self: SharedType<Self>,
    offset: RefCell<u64>,
    _io: RefCell<BytesReader>,
    f_has_form: Cell<bool>,
    has_form: RefCell<bool>,
}
impl KStruct for PilotDataExchange_Position {
    type Root = PilotDataExchange;
    type Parent = PilotDataExchange_Chunked;

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
        if *self_rc.has_form()? {
            *self_rc.offset.borrow_mut() = _io.read_u8be()?.into();
        }
        Ok(())
    }
}
impl PilotDataExchange_Position {
    pub fn has_form(
        &self
    ) -> KResult<Ref<'_, bool>> {
        let _io = self._io.borrow();
        let _rrc = self._root.get_value().borrow().upgrade();
        let _prc = self._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        if self.f_has_form.get() {
            return Ok(self.has_form.borrow());
        }
        self.f_has_form.set(true);
        *self.has_form.borrow_mut() = (((_io.size() as i32) >= (8 as i32))) as bool;
        Ok(self.has_form.borrow())
    }
}

/**
 * Bytes from the start of the file.
 */
impl PilotDataExchange_Position {
    pub fn offset(&self) -> Ref<'_, u64> {
        self.offset.borrow()
    }
}
impl PilotDataExchange_Position {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

/**
 * A message with an id.
 */

#[derive(Default, Debug, Clone)]
pub struct PilotDataExchange_Tagged {
    pub _root: SharedType<PilotDataExchange>,
    pub _parent: SharedType<PilotDataExchange_Frame>,
    pub _self: SharedType<Self>,
    len_header: RefCell<u16>,
    header: RefCell<Vec<u8>>,
    inner: RefCell<PilotDataExchange_Kind>,
    content: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
    f_has_form: Cell<bool>,
    has_form: RefCell<bool>,
}
impl KStruct for PilotDataExchange_Tagged {
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
            *self_rc.len_header.borrow_mut() = _io.read_u2be()?.into();
        }
        if *self_rc.has_form()? {
            *self_rc.header.borrow_mut() = _io.read_bytes(*self_rc.len_header() as usize)?.into();
        }
        if *self_rc.has_form()? {
            *self_rc.inner.borrow_mut() = (_io.read_u4be()? as i64).try_into()?;
        }
        *self_rc.content.borrow_mut() = _io.read_bytes_full()?.into();
        Ok(())
    }
}
impl PilotDataExchange_Tagged {
    pub fn has_form(
        &self
    ) -> KResult<Ref<'_, bool>> {
        let _io = self._io.borrow();
        let _rrc = self._root.get_value().borrow().upgrade();
        let _prc = self._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        if self.f_has_form.get() {
            return Ok(self.has_form.borrow());
        }
        self.f_has_form.set(true);
        *self.has_form.borrow_mut() = ( ((((_io.size() as i32) >= (6 as i32))) && (((*self.len_header() as u16) >= (1 as u16))) && (((*self.len_header() as i32) <= (1024 as i32))) && (((*self.len_header() as i32) <= (((_io.size() as i32) - (6 as i32)) as i32)))) ) as bool;
        Ok(self.has_form.borrow())
    }
}
impl PilotDataExchange_Tagged {
    pub fn len_header(&self) -> Ref<'_, u16> {
        self.len_header.borrow()
    }
}

/**
 * JSON object with `message_id` and, in an answer, `reply_to`.
 */
impl PilotDataExchange_Tagged {
    pub fn header(&self) -> Ref<'_, Vec<u8>> {
        self.header.borrow()
    }
}
impl PilotDataExchange_Tagged {
    pub fn inner(&self) -> Ref<'_, PilotDataExchange_Kind> {
        self.inner.borrow()
    }
}
impl PilotDataExchange_Tagged {
    pub fn content(&self) -> Ref<'_, Vec<u8>> {
        self.content.borrow()
    }
}
impl PilotDataExchange_Tagged {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

/**
 * A message with its sending time. A payload without this form is passed over by a service, and the stream goes on.
 */

#[derive(Default, Debug, Clone)]
pub struct PilotDataExchange_Traced {
    pub _root: SharedType<PilotDataExchange>,
    pub _parent: SharedType<PilotDataExchange_Frame>,
    pub _self: SharedType<Self>,
    inner: RefCell<PilotDataExchange_Kind>,
    sent_at: RefCell<u64>,
    content: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
    f_has_form: Cell<bool>,
    has_form: RefCell<bool>,
}
impl KStruct for PilotDataExchange_Traced {
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
        if *self_rc.has_form()? {
            *self_rc.inner.borrow_mut() = (_io.read_u4be()? as i64).try_into()?;
        }
        if *self_rc.has_form()? {
            *self_rc.sent_at.borrow_mut() = _io.read_u8be()?.into();
        }
        *self_rc.content.borrow_mut() = _io.read_bytes_full()?.into();
        Ok(())
    }
}
impl PilotDataExchange_Traced {
    pub fn has_form(
        &self
    ) -> KResult<Ref<'_, bool>> {
        let _io = self._io.borrow();
        let _rrc = self._root.get_value().borrow().upgrade();
        let _prc = self._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        if self.f_has_form.get() {
            return Ok(self.has_form.borrow());
        }
        self.f_has_form.set(true);
        *self.has_form.borrow_mut() = (((_io.size() as i32) >= (12 as i32))) as bool;
        Ok(self.has_form.borrow())
    }
}
impl PilotDataExchange_Traced {
    pub fn inner(&self) -> Ref<'_, PilotDataExchange_Kind> {
        self.inner.borrow()
    }
}

/**
 * The sender's clock, nanoseconds since 1970.
 */
impl PilotDataExchange_Traced {
    pub fn sent_at(&self) -> Ref<'_, u64> {
        self.sent_at.borrow()
    }
}
impl PilotDataExchange_Traced {
    pub fn content(&self) -> Ref<'_, Vec<u8>> {
        self.content.borrow()
    }
}
impl PilotDataExchange_Traced {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
