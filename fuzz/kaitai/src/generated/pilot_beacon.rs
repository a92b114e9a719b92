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

/**
 * One UDP datagram whose first byte is below 0x10 (spec NAT-1). Nothing in it is authenticated (NAT-2).
 */

#[derive(Default, Debug, Clone)]
pub struct PilotBeacon {
    pub _root: SharedType<PilotBeacon>,
    pub _parent: SharedType<PilotBeacon>,
    pub _self: SharedType<Self>,
    kind: RefCell<PilotBeacon_Kind>,
    body: RefCell<Option<PilotBeacon_Body>>,
    _io: RefCell<BytesReader>,
}
#[derive(Debug, Clone)]
pub enum PilotBeacon_Body {
    PilotBeacon_Delivery(OptRc<PilotBeacon_Delivery>),
    PilotBeacon_Endpoint(OptRc<PilotBeacon_Endpoint>),
    PilotBeacon_Gossip(OptRc<PilotBeacon_Gossip>),
    PilotBeacon_Register(OptRc<PilotBeacon_Register>),
    PilotBeacon_PunchRequest(OptRc<PilotBeacon_PunchRequest>),
    PilotBeacon_Relay(OptRc<PilotBeacon_Relay>),
    PilotBeacon_Wake(OptRc<PilotBeacon_Wake>),
}
impl From<&PilotBeacon_Body> for OptRc<PilotBeacon_Delivery> {
    fn from(v: &PilotBeacon_Body) -> Self {
        if let PilotBeacon_Body::PilotBeacon_Delivery(x) = v {
            return x.clone();
        }
        panic!("expected PilotBeacon_Body::PilotBeacon_Delivery, got {:?}", v)
    }
}
impl From<OptRc<PilotBeacon_Delivery>> for PilotBeacon_Body {
    fn from(v: OptRc<PilotBeacon_Delivery>) -> Self {
        Self::PilotBeacon_Delivery(v)
    }
}
impl From<&PilotBeacon_Body> for OptRc<PilotBeacon_Endpoint> {
    fn from(v: &PilotBeacon_Body) -> Self {
        if let PilotBeacon_Body::PilotBeacon_Endpoint(x) = v {
            return x.clone();
        }
        panic!("expected PilotBeacon_Body::PilotBeacon_Endpoint, got {:?}", v)
    }
}
impl From<OptRc<PilotBeacon_Endpoint>> for PilotBeacon_Body {
    fn from(v: OptRc<PilotBeacon_Endpoint>) -> Self {
        Self::PilotBeacon_Endpoint(v)
    }
}
impl From<&PilotBeacon_Body> for OptRc<PilotBeacon_Gossip> {
    fn from(v: &PilotBeacon_Body) -> Self {
        if let PilotBeacon_Body::PilotBeacon_Gossip(x) = v {
            return x.clone();
        }
        panic!("expected PilotBeacon_Body::PilotBeacon_Gossip, got {:?}", v)
    }
}
impl From<OptRc<PilotBeacon_Gossip>> for PilotBeacon_Body {
    fn from(v: OptRc<PilotBeacon_Gossip>) -> Self {
        Self::PilotBeacon_Gossip(v)
    }
}
impl From<&PilotBeacon_Body> for OptRc<PilotBeacon_Register> {
    fn from(v: &PilotBeacon_Body) -> Self {
        if let PilotBeacon_Body::PilotBeacon_Register(x) = v {
            return x.clone();
        }
        panic!("expected PilotBeacon_Body::PilotBeacon_Register, got {:?}", v)
    }
}
impl From<OptRc<PilotBeacon_Register>> for PilotBeacon_Body {
    fn from(v: OptRc<PilotBeacon_Register>) -> Self {
        Self::PilotBeacon_Register(v)
    }
}
impl From<&PilotBeacon_Body> for OptRc<PilotBeacon_PunchRequest> {
    fn from(v: &PilotBeacon_Body) -> Self {
        if let PilotBeacon_Body::PilotBeacon_PunchRequest(x) = v {
            return x.clone();
        }
        panic!("expected PilotBeacon_Body::PilotBeacon_PunchRequest, got {:?}", v)
    }
}
impl From<OptRc<PilotBeacon_PunchRequest>> for PilotBeacon_Body {
    fn from(v: OptRc<PilotBeacon_PunchRequest>) -> Self {
        Self::PilotBeacon_PunchRequest(v)
    }
}
impl From<&PilotBeacon_Body> for OptRc<PilotBeacon_Relay> {
    fn from(v: &PilotBeacon_Body) -> Self {
        if let PilotBeacon_Body::PilotBeacon_Relay(x) = v {
            return x.clone();
        }
        panic!("expected PilotBeacon_Body::PilotBeacon_Relay, got {:?}", v)
    }
}
impl From<OptRc<PilotBeacon_Relay>> for PilotBeacon_Body {
    fn from(v: OptRc<PilotBeacon_Relay>) -> Self {
        Self::PilotBeacon_Relay(v)
    }
}
impl From<&PilotBeacon_Body> for OptRc<PilotBeacon_Wake> {
    fn from(v: &PilotBeacon_Body) -> Self {
        if let PilotBeacon_Body::PilotBeacon_Wake(x) = v {
            return x.clone();
        }
        panic!("expected PilotBeacon_Body::PilotBeacon_Wake, got {:?}", v)
    }
}
impl From<OptRc<PilotBeacon_Wake>> for PilotBeacon_Body {
    fn from(v: OptRc<PilotBeacon_Wake>) -> Self {
        Self::PilotBeacon_Wake(v)
    }
}
impl KStruct for PilotBeacon {
    type Root = PilotBeacon;
    type Parent = PilotBeacon;

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
        *self_rc.kind.borrow_mut() = (_io.read_u1()? as i64).try_into()?;
        match *self_rc.kind() {
            PilotBeacon_Kind::Delivery => {
                let t = Self::read_into::<_, PilotBeacon_Delivery>(&*_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotBeacon_Kind::Gossip => {
                let t = Self::read_into::<_, PilotBeacon_Gossip>(&*_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotBeacon_Kind::Punch => {
                let t = Self::read_into::<_, PilotBeacon_Endpoint>(&*_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotBeacon_Kind::PunchRequest => {
                let t = Self::read_into::<_, PilotBeacon_PunchRequest>(&*_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotBeacon_Kind::Register => {
                let t = Self::read_into::<_, PilotBeacon_Register>(&*_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotBeacon_Kind::Relay => {
                let t = Self::read_into::<_, PilotBeacon_Relay>(&*_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotBeacon_Kind::Wake => {
                let t = Self::read_into::<_, PilotBeacon_Wake>(&*_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            PilotBeacon_Kind::YourAddress => {
                let t = Self::read_into::<_, PilotBeacon_Endpoint>(&*_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.body.borrow_mut() = Some(t);
            }
            _ => {}
        }
        Ok(())
    }
}
impl PilotBeacon {
}
impl PilotBeacon {
    pub fn kind(&self) -> Ref<'_, PilotBeacon_Kind> {
        self.kind.borrow()
    }
}
impl PilotBeacon {
    pub fn body(&self) -> Ref<'_, Option<PilotBeacon_Body>> {
        self.body.borrow()
    }
}
impl PilotBeacon {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
#[derive(Debug, PartialEq, Clone)]
pub enum PilotBeacon_Kind {
    Register,
    YourAddress,
    PunchRequest,
    Punch,
    Relay,
    Delivery,
    Gossip,
    Wake,
    Unknown(i64),
}

impl TryFrom<i64> for PilotBeacon_Kind {
    type Error = KError;
    fn try_from(flag: i64) -> KResult<PilotBeacon_Kind> {
        match flag {
            1 => Ok(PilotBeacon_Kind::Register),
            2 => Ok(PilotBeacon_Kind::YourAddress),
            3 => Ok(PilotBeacon_Kind::PunchRequest),
            4 => Ok(PilotBeacon_Kind::Punch),
            5 => Ok(PilotBeacon_Kind::Relay),
            6 => Ok(PilotBeacon_Kind::Delivery),
            7 => Ok(PilotBeacon_Kind::Gossip),
            10 => Ok(PilotBeacon_Kind::Wake),
            _ => Ok(PilotBeacon_Kind::Unknown(flag)),
        }
    }
}

impl From<&PilotBeacon_Kind> for i64 {
    fn from(v: &PilotBeacon_Kind) -> Self {
        match *v {
            PilotBeacon_Kind::Register => 1,
            PilotBeacon_Kind::YourAddress => 2,
            PilotBeacon_Kind::PunchRequest => 3,
            PilotBeacon_Kind::Punch => 4,
            PilotBeacon_Kind::Relay => 5,
            PilotBeacon_Kind::Delivery => 6,
            PilotBeacon_Kind::Gossip => 7,
            PilotBeacon_Kind::Wake => 10,
            PilotBeacon_Kind::Unknown(v) => v
        }
    }
}

impl Default for PilotBeacon_Kind {
    fn default() -> Self { PilotBeacon_Kind::Unknown(0) }
}

#[derive(Debug, PartialEq, Clone)]
pub enum PilotBeacon_Reason {
    HandshakeWaits,
    Unknown(i64),
}

impl TryFrom<i64> for PilotBeacon_Reason {
    type Error = KError;
    fn try_from(flag: i64) -> KResult<PilotBeacon_Reason> {
        match flag {
            1 => Ok(PilotBeacon_Reason::HandshakeWaits),
            _ => Ok(PilotBeacon_Reason::Unknown(flag)),
        }
    }
}

impl From<&PilotBeacon_Reason> for i64 {
    fn from(v: &PilotBeacon_Reason) -> Self {
        match *v {
            PilotBeacon_Reason::HandshakeWaits => 1,
            PilotBeacon_Reason::Unknown(v) => v
        }
    }
}

impl Default for PilotBeacon_Reason {
    fn default() -> Self { PilotBeacon_Reason::Unknown(0) }
}


#[derive(Default, Debug, Clone)]
pub struct PilotBeacon_Delivery {
    pub _root: SharedType<PilotBeacon>,
    pub _parent: SharedType<PilotBeacon>,
    pub _self: SharedType<Self>,
    sender: RefCell<u32>,
    frame: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotBeacon_Delivery {
    type Root = PilotBeacon;
    type Parent = PilotBeacon;

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
        *self_rc.frame.borrow_mut() = _io.read_bytes_full()?.into();
        Ok(())
    }
}
impl PilotBeacon_Delivery {
}
impl PilotBeacon_Delivery {
    pub fn sender(&self) -> Ref<'_, u32> {
        self.sender.borrow()
    }
}
impl PilotBeacon_Delivery {
    pub fn frame(&self) -> Ref<'_, Vec<u8>> {
        self.frame.borrow()
    }
}
impl PilotBeacon_Delivery {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotBeacon_Endpoint {
    pub _root: SharedType<PilotBeacon>,
    pub _parent: SharedType<PilotBeacon>,
    pub _self: SharedType<Self>,
    len_ip: RefCell<u8>,
    ip: RefCell<Vec<u8>>,
    port: RefCell<u16>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotBeacon_Endpoint {
    type Root = PilotBeacon;
    type Parent = PilotBeacon;

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
        *self_rc.len_ip.borrow_mut() = _io.read_u1()?.into();
        if !( ((((*self_rc.len_ip() as u8) == (4 as u8))) || (((*self_rc.len_ip() as u8) == (16 as u8)))) ) {
            return Err(KError::ValidationFailed(ValidationFailedError { kind: ValidationKind::NotAnyOf, src_path: "/types/endpoint/seq/0".to_string() }));
        }
        *self_rc.ip.borrow_mut() = _io.read_bytes(*self_rc.len_ip() as usize)?.into();
        *self_rc.port.borrow_mut() = _io.read_u2be()?.into();
        Ok(())
    }
}
impl PilotBeacon_Endpoint {
}
impl PilotBeacon_Endpoint {
    pub fn len_ip(&self) -> Ref<'_, u8> {
        self.len_ip.borrow()
    }
}
impl PilotBeacon_Endpoint {
    pub fn ip(&self) -> Ref<'_, Vec<u8>> {
        self.ip.borrow()
    }
}
impl PilotBeacon_Endpoint {
    pub fn port(&self) -> Ref<'_, u16> {
        self.port.borrow()
    }
}
impl PilotBeacon_Endpoint {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotBeacon_Gossip {
    pub _root: SharedType<PilotBeacon>,
    pub _parent: SharedType<PilotBeacon>,
    pub _self: SharedType<Self>,
    beacon: RefCell<u32>,
    num_nodes: RefCell<u16>,
    nodes: RefCell<Vec<u32>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotBeacon_Gossip {
    type Root = PilotBeacon;
    type Parent = PilotBeacon;

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
        *self_rc.beacon.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.num_nodes.borrow_mut() = _io.read_u2be()?.into();
        *self_rc.nodes.borrow_mut() = Vec::new();
        let l_nodes = *self_rc.num_nodes();
        for _i in 0..l_nodes {
            self_rc.nodes.borrow_mut().push(_io.read_u4be()?.into());
        }
        Ok(())
    }
}
impl PilotBeacon_Gossip {
}
impl PilotBeacon_Gossip {
    pub fn beacon(&self) -> Ref<'_, u32> {
        self.beacon.borrow()
    }
}
impl PilotBeacon_Gossip {
    pub fn num_nodes(&self) -> Ref<'_, u16> {
        self.num_nodes.borrow()
    }
}
impl PilotBeacon_Gossip {
    pub fn nodes(&self) -> Ref<'_, Vec<u32>> {
        self.nodes.borrow()
    }
}
impl PilotBeacon_Gossip {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotBeacon_PunchRequest {
    pub _root: SharedType<PilotBeacon>,
    pub _parent: SharedType<PilotBeacon>,
    pub _self: SharedType<Self>,
    requester: RefCell<u32>,
    target: RefCell<u32>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotBeacon_PunchRequest {
    type Root = PilotBeacon;
    type Parent = PilotBeacon;

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
        *self_rc.requester.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.target.borrow_mut() = _io.read_u4be()?.into();
        Ok(())
    }
}
impl PilotBeacon_PunchRequest {
}
impl PilotBeacon_PunchRequest {
    pub fn requester(&self) -> Ref<'_, u32> {
        self.requester.borrow()
    }
}
impl PilotBeacon_PunchRequest {
    pub fn target(&self) -> Ref<'_, u32> {
        self.target.borrow()
    }
}
impl PilotBeacon_PunchRequest {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotBeacon_Register {
    pub _root: SharedType<PilotBeacon>,
    pub _parent: SharedType<PilotBeacon>,
    pub _self: SharedType<Self>,
    node: RefCell<u32>,
    ed25519_public: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotBeacon_Register {
    type Root = PilotBeacon;
    type Parent = PilotBeacon;

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
        *self_rc.node.borrow_mut() = _io.read_u4be()?.into();
        if ((((_io.size() as i32) - (_io.pos() as i32)) as i32) >= (32 as i32)) {
            *self_rc.ed25519_public.borrow_mut() = _io.read_bytes(32 as usize)?.into();
        }
        Ok(())
    }
}
impl PilotBeacon_Register {
}
impl PilotBeacon_Register {
    pub fn node(&self) -> Ref<'_, u32> {
        self.node.borrow()
    }
}

/**
 * Only the newest beacons take it.
 */
impl PilotBeacon_Register {
    pub fn ed25519_public(&self) -> Ref<'_, Vec<u8>> {
        self.ed25519_public.borrow()
    }
}
impl PilotBeacon_Register {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotBeacon_Relay {
    pub _root: SharedType<PilotBeacon>,
    pub _parent: SharedType<PilotBeacon>,
    pub _self: SharedType<Self>,
    sender: RefCell<u32>,
    destination: RefCell<u32>,
    frame: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotBeacon_Relay {
    type Root = PilotBeacon;
    type Parent = PilotBeacon;

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
        *self_rc.destination.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.frame.borrow_mut() = _io.read_bytes_full()?.into();
        Ok(())
    }
}
impl PilotBeacon_Relay {
}
impl PilotBeacon_Relay {
    pub fn sender(&self) -> Ref<'_, u32> {
        self.sender.borrow()
    }
}
impl PilotBeacon_Relay {
    pub fn destination(&self) -> Ref<'_, u32> {
        self.destination.borrow()
    }
}

/**
 * See pilot_frame; a punch frame or a beacon message in it is ignored.
 */
impl PilotBeacon_Relay {
    pub fn frame(&self) -> Ref<'_, Vec<u8>> {
        self.frame.borrow()
    }
}
impl PilotBeacon_Relay {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotBeacon_Wake {
    pub _root: SharedType<PilotBeacon>,
    pub _parent: SharedType<PilotBeacon>,
    pub _self: SharedType<Self>,
    reason: RefCell<PilotBeacon_Reason>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotBeacon_Wake {
    type Root = PilotBeacon;
    type Parent = PilotBeacon;

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
        *self_rc.reason.borrow_mut() = (_io.read_u1()? as i64).try_into()?;
        Ok(())
    }
}
impl PilotBeacon_Wake {
}
impl PilotBeacon_Wake {
    pub fn reason(&self) -> Ref<'_, PilotBeacon_Reason> {
        self.reason.borrow()
    }
}
impl PilotBeacon_Wake {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
