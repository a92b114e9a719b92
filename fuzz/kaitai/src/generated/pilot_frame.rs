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
use super::pilot_packet::PilotPacket;

/**
 * One UDP datagram of the tunnel socket whose first byte is 0x10 or more (spec TUN-1). One below 0x10 is a beacon
 * message: see pilot_beacon.
 */

#[derive(Default, Debug, Clone)]
pub struct PilotFrame {
    pub _root: SharedType<PilotFrame>,
    pub _parent: SharedType<PilotFrame>,
    pub _self: SharedType<Self>,
    magic: RefCell<PilotFrame_Magic>,
    body: RefCell<Option<PilotFrame_Body>>,
    _io: RefCell<BytesReader>,
    body_raw: RefCell<Vec<u8>>,
}
#[derive(Debug, Clone)]
pub enum PilotFrame_Body {
    PilotFrame_Punch(OptRc<PilotFrame_Punch>),
    PilotFrame_AnonymousExchange(OptRc<PilotFrame_AnonymousExchange>),
    PilotFrame_Exchange(OptRc<PilotFrame_Exchange>),
    PilotPacket(OptRc<PilotPacket>),
    Bytes(Vec<u8>),
    PilotFrame_Sealed(OptRc<PilotFrame_Sealed>),
}
impl From<&PilotFrame_Body> for OptRc<PilotFrame_Punch> {
    fn from(v: &PilotFrame_Body) -> Self {
        if let PilotFrame_Body::PilotFrame_Punch(x) = v {
            return x.clone();
        }
        panic!("expected PilotFrame_Body::PilotFrame_Punch, got {:?}", v)
    }
}
impl From<OptRc<PilotFrame_Punch>> for PilotFrame_Body {
    fn from(v: OptRc<PilotFrame_Punch>) -> Self {
        Self::PilotFrame_Punch(v)
    }
}
impl From<&PilotFrame_Body> for OptRc<PilotFrame_AnonymousExchange> {
    fn from(v: &PilotFrame_Body) -> Self {
        if let PilotFrame_Body::PilotFrame_AnonymousExchange(x) = v {
            return x.clone();
        }
        panic!("expected PilotFrame_Body::PilotFrame_AnonymousExchange, got {:?}", v)
    }
}
impl From<OptRc<PilotFrame_AnonymousExchange>> for PilotFrame_Body {
    fn from(v: OptRc<PilotFrame_AnonymousExchange>) -> Self {
        Self::PilotFrame_AnonymousExchange(v)
    }
}
impl From<&PilotFrame_Body> for OptRc<PilotFrame_Exchange> {
    fn from(v: &PilotFrame_Body) -> Self {
        if let PilotFrame_Body::PilotFrame_Exchange(x) = v {
            return x.clone();
        }
        panic!("expected PilotFrame_Body::PilotFrame_Exchange, got {:?}", v)
    }
}
impl From<OptRc<PilotFrame_Exchange>> for PilotFrame_Body {
    fn from(v: OptRc<PilotFrame_Exchange>) -> Self {
        Self::PilotFrame_Exchange(v)
    }
}
impl From<&PilotFrame_Body> for OptRc<PilotPacket> {
    fn from(v: &PilotFrame_Body) -> Self {
        if let PilotFrame_Body::PilotPacket(x) = v {
            return x.clone();
        }
        panic!("expected PilotFrame_Body::PilotPacket, got {:?}", v)
    }
}
impl From<OptRc<PilotPacket>> for PilotFrame_Body {
    fn from(v: OptRc<PilotPacket>) -> Self {
        Self::PilotPacket(v)
    }
}
impl From<&PilotFrame_Body> for Vec<u8> {
    fn from(v: &PilotFrame_Body) -> Self {
        if let PilotFrame_Body::Bytes(x) = v {
            return x.clone();
        }
        panic!("expected PilotFrame_Body::Bytes, got {:?}", v)
    }
}
impl From<Vec<u8>> for PilotFrame_Body {
    fn from(v: Vec<u8>) -> Self {
        Self::Bytes(v)
    }
}
impl From<&PilotFrame_Body> for OptRc<PilotFrame_Sealed> {
    fn from(v: &PilotFrame_Body) -> Self {
        if let PilotFrame_Body::PilotFrame_Sealed(x) = v {
            return x.clone();
        }
        panic!("expected PilotFrame_Body::PilotFrame_Sealed, got {:?}", v)
    }
}
impl From<OptRc<PilotFrame_Sealed>> for PilotFrame_Body {
    fn from(v: OptRc<PilotFrame_Sealed>) -> Self {
        Self::PilotFrame_Sealed(v)
    }
}
impl KStruct for PilotFrame {
    type Root = PilotFrame;
    type Parent = PilotFrame;

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
        *self_rc.magic.borrow_mut() = (_io.read_u4be()? as i64).try_into()?;
        match *self_rc.magic() {
            PilotFrame_Magic::AnonymousExchange => {
                *self_rc.body_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let body_raw = self_rc.body_raw.borrow();
                let _t_body_raw_io = BytesReader::from(body_raw.clone());
                let t = Self::read_into::<BytesReader, PilotFrame_AnonymousExchange>(&_t_body_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotFrame_Magic::Exchange => {
                *self_rc.body_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let body_raw = self_rc.body_raw.borrow();
                let _t_body_raw_io = BytesReader::from(body_raw.clone());
                let t = Self::read_into::<BytesReader, PilotFrame_Exchange>(&_t_body_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotFrame_Magic::Plain => {
                *self_rc.body_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let body_raw = self_rc.body_raw.borrow();
                let _t_body_raw_io = BytesReader::from(body_raw.clone());
                let t = Self::read_into::<BytesReader, PilotPacket>(&_t_body_raw_io, None, None)?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotFrame_Magic::Punch => {
                *self_rc.body_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let body_raw = self_rc.body_raw.borrow();
                let _t_body_raw_io = BytesReader::from(body_raw.clone());
                let t = Self::read_into::<BytesReader, PilotFrame_Punch>(&_t_body_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotFrame_Magic::Sealed => {
                *self_rc.body_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let body_raw = self_rc.body_raw.borrow();
                let _t_body_raw_io = BytesReader::from(body_raw.clone());
                let t = Self::read_into::<BytesReader, PilotFrame_Sealed>(&_t_body_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotFrame_Magic::SealedChacha => {
                *self_rc.body_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let body_raw = self_rc.body_raw.borrow();
                let _t_body_raw_io = BytesReader::from(body_raw.clone());
                let t = Self::read_into::<BytesReader, PilotFrame_Sealed>(&_t_body_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            _ => {
                *self_rc.body.borrow_mut() = Some(_io.read_bytes_full()?.into());
            }
        }
        Ok(())
    }
}
impl PilotFrame {
}
impl PilotFrame {
    pub fn magic(&self) -> Ref<'_, PilotFrame_Magic> {
        self.magic.borrow()
    }
}
impl PilotFrame {
    pub fn body(&self) -> Ref<'_, Option<PilotFrame_Body>> {
        self.body.borrow()
    }
}
impl PilotFrame {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
impl PilotFrame {
    pub fn body_raw(&self) -> Ref<'_, Vec<u8>> {
        self.body_raw.borrow()
    }
}
#[derive(Debug, PartialEq, Clone)]
pub enum PilotFrame_Magic {
    Exchange,
    SealedChacha,
    AnonymousExchange,
    Punch,
    Sealed,
    Plain,
    Unknown(i64),
}

impl TryFrom<i64> for PilotFrame_Magic {
    type Error = KError;
    fn try_from(flag: i64) -> KResult<PilotFrame_Magic> {
        match flag {
            1346980929 => Ok(PilotFrame_Magic::Exchange),
            1346980931 => Ok(PilotFrame_Magic::SealedChacha),
            1346980939 => Ok(PilotFrame_Magic::AnonymousExchange),
            1346980944 => Ok(PilotFrame_Magic::Punch),
            1346980947 => Ok(PilotFrame_Magic::Sealed),
            1346980948 => Ok(PilotFrame_Magic::Plain),
            _ => Ok(PilotFrame_Magic::Unknown(flag)),
        }
    }
}

impl From<&PilotFrame_Magic> for i64 {
    fn from(v: &PilotFrame_Magic) -> Self {
        match *v {
            PilotFrame_Magic::Exchange => 1346980929,
            PilotFrame_Magic::SealedChacha => 1346980931,
            PilotFrame_Magic::AnonymousExchange => 1346980939,
            PilotFrame_Magic::Punch => 1346980944,
            PilotFrame_Magic::Sealed => 1346980947,
            PilotFrame_Magic::Plain => 1346980948,
            PilotFrame_Magic::Unknown(v) => v
        }
    }
}

impl Default for PilotFrame_Magic {
    fn default() -> Self { PilotFrame_Magic::Unknown(0) }
}


/**
 * Refused unless the operator allows anonymous peers (TUN-10). What follows the key is ignored.
 */

#[derive(Default, Debug, Clone)]
pub struct PilotFrame_AnonymousExchange {
    pub _root: SharedType<PilotFrame>,
    pub _parent: SharedType<PilotFrame>,
    pub _self: SharedType<Self>,
    sender: RefCell<u32>,
    x25519_public: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotFrame_AnonymousExchange {
    type Root = PilotFrame;
    type Parent = PilotFrame;

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
        *self_rc.sender.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.x25519_public.borrow_mut() = _io.read_bytes(32 as usize)?.into();
        Ok(())
    }
}
impl PilotFrame_AnonymousExchange {
}
impl PilotFrame_AnonymousExchange {
    pub fn sender(&self) -> Ref<'_, u32> {
        self.sender.borrow()
    }
}
impl PilotFrame_AnonymousExchange {
    pub fn x25519_public(&self) -> Ref<'_, Vec<u8>> {
        self.x25519_public.borrow()
    }
}
impl PilotFrame_AnonymousExchange {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

/**
 * The signature is Ed25519 over "auth", sender and X25519 key (TUN-5). What follows it is ignored.
 */

#[derive(Default, Debug, Clone)]
pub struct PilotFrame_Exchange {
    pub _root: SharedType<PilotFrame>,
    pub _parent: SharedType<PilotFrame>,
    pub _self: SharedType<Self>,
    sender: RefCell<u32>,
    x25519_public: RefCell<Vec<u8>>,
    ed25519_public: RefCell<Vec<u8>>,
    signature: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotFrame_Exchange {
    type Root = PilotFrame;
    type Parent = PilotFrame;

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
        *self_rc.sender.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.x25519_public.borrow_mut() = _io.read_bytes(32 as usize)?.into();
        *self_rc.ed25519_public.borrow_mut() = _io.read_bytes(32 as usize)?.into();
        *self_rc.signature.borrow_mut() = _io.read_bytes(64 as usize)?.into();
        Ok(())
    }
}
impl PilotFrame_Exchange {
}
impl PilotFrame_Exchange {
    pub fn sender(&self) -> Ref<'_, u32> {
        self.sender.borrow()
    }
}
impl PilotFrame_Exchange {
    pub fn x25519_public(&self) -> Ref<'_, Vec<u8>> {
        self.x25519_public.borrow()
    }
}
impl PilotFrame_Exchange {
    pub fn ed25519_public(&self) -> Ref<'_, Vec<u8>> {
        self.ed25519_public.borrow()
    }
}
impl PilotFrame_Exchange {
    pub fn signature(&self) -> Ref<'_, Vec<u8>> {
        self.signature.borrow()
    }
}
impl PilotFrame_Exchange {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

/**
 * Opens a NAT mapping; releases send the bare magic. What follows is ignored.
 */

#[derive(Default, Debug, Clone)]
pub struct PilotFrame_Punch {
    pub _root: SharedType<PilotFrame>,
    pub _parent: SharedType<PilotFrame>,
    pub _self: SharedType<Self>,
    ignored: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotFrame_Punch {
    type Root = PilotFrame;
    type Parent = PilotFrame;

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
        *self_rc.ignored.borrow_mut() = _io.read_bytes_full()?.into();
        Ok(())
    }
}
impl PilotFrame_Punch {
}
impl PilotFrame_Punch {
    pub fn ignored(&self) -> Ref<'_, Vec<u8>> {
        self.ignored.borrow()
    }
}
impl PilotFrame_Punch {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

/**
 * A packet under AES-256-GCM (TUN-6, TUN-7), or under ChaCha20-Poly1305 between peers that agreed on it (EXT-8).
 */

#[derive(Default, Debug, Clone)]
pub struct PilotFrame_Sealed {
    pub _root: SharedType<PilotFrame>,
    pub _parent: SharedType<PilotFrame>,
    pub _self: SharedType<Self>,
    sender: RefCell<u32>,
    nonce_prefix: RefCell<Vec<u8>>,
    counter: RefCell<u64>,
    ciphertext: RefCell<Vec<u8>>,
    tag: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotFrame_Sealed {
    type Root = PilotFrame;
    type Parent = PilotFrame;

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
        *self_rc.sender.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.nonce_prefix.borrow_mut() = _io.read_bytes(4 as usize)?.into();
        *self_rc.counter.borrow_mut() = _io.read_u8be()?.into();
        *self_rc.ciphertext.borrow_mut() = _io.read_bytes(((((((_io.size() as i32) - (4 as i32)) as i32) - (12 as i32)) as i32) - (16 as i32)) as usize)?.into();
        *self_rc.tag.borrow_mut() = _io.read_bytes(16 as usize)?.into();
        Ok(())
    }
}
impl PilotFrame_Sealed {
}

/**
 * Also the associated data of the cipher.
 */
impl PilotFrame_Sealed {
    pub fn sender(&self) -> Ref<'_, u32> {
        self.sender.borrow()
    }
}
impl PilotFrame_Sealed {
    pub fn nonce_prefix(&self) -> Ref<'_, Vec<u8>> {
        self.nonce_prefix.borrow()
    }
}
impl PilotFrame_Sealed {
    pub fn counter(&self) -> Ref<'_, u64> {
        self.counter.borrow()
    }
}
impl PilotFrame_Sealed {
    pub fn ciphertext(&self) -> Ref<'_, Vec<u8>> {
        self.ciphertext.borrow()
    }
}
impl PilotFrame_Sealed {
    pub fn tag(&self) -> Ref<'_, Vec<u8>> {
        self.tag.borrow()
    }
}
impl PilotFrame_Sealed {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
