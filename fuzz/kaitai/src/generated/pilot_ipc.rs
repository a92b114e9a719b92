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
use super::pilot_address::PilotAddress;

/**
 * What a program and its daemon say to each other over a Unix stream socket: messages behind their length, at most
 * 1 MiB, which begin with a command. Bytes after a fixed payload are ignored. The shapes of JSON answers are in
 * ../schemas.
 */

#[derive(Default, Debug, Clone)]
pub struct PilotIpc {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc>,
    pub _self: SharedType<Self>,
    messages: RefCell<Vec<OptRc<PilotIpc_Message>>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc {
    type Root = PilotIpc;
    type Parent = PilotIpc;

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
        *self_rc.messages.borrow_mut() = Vec::new();
        {
            let mut _i = 0;
            while !_io.is_eof() {
                let t = Self::read_into::<_, PilotIpc_Message>(&*_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                self_rc.messages.borrow_mut().push(t);
                _i += 1;
            }
        }
        Ok(())
    }
}
impl PilotIpc {
}
impl PilotIpc {
    pub fn messages(&self) -> Ref<'_, Vec<OptRc<PilotIpc_Message>>> {
        self.messages.borrow()
    }
}
impl PilotIpc {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
#[derive(Debug, PartialEq, Clone)]
pub enum PilotIpc_Command {
    Bind,
    BindOk,
    Dial,
    DialOk,
    Accept,
    Send,
    Recv,
    Close,
    CloseOk,
    Error,
    SendTo,
    RecvFrom,
    Info,
    InfoOk,
    Handshake,
    HandshakeOk,
    ResolveHostname,
    ResolveHostnameOk,
    SetHostname,
    SetHostnameOk,
    SetVisibility,
    SetVisibilityOk,
    Deregister,
    DeregisterOk,
    SetTags,
    SetTagsOk,
    SetWebhook,
    SetWebhookOk,
    SetTaskExec,
    SetTaskExecOk,
    Network,
    NetworkOk,
    Health,
    HealthOk,
    CancelDials,
    PreferDirect,
    PreferDirectOk,
    Unbind,
    UnbindOk,
    SendToConfirmed,
    SendToConfirmedOk,
    Extend,
    Extended,
    Tagged,
    TaggedAnswer,
    Consumed,
    Taken,
    Finish,
    Broken,
    Event,
    Unknown(i64),
}

impl TryFrom<i64> for PilotIpc_Command {
    type Error = KError;
    fn try_from(flag: i64) -> KResult<PilotIpc_Command> {
        match flag {
            1 => Ok(PilotIpc_Command::Bind),
            2 => Ok(PilotIpc_Command::BindOk),
            3 => Ok(PilotIpc_Command::Dial),
            4 => Ok(PilotIpc_Command::DialOk),
            5 => Ok(PilotIpc_Command::Accept),
            6 => Ok(PilotIpc_Command::Send),
            7 => Ok(PilotIpc_Command::Recv),
            8 => Ok(PilotIpc_Command::Close),
            9 => Ok(PilotIpc_Command::CloseOk),
            10 => Ok(PilotIpc_Command::Error),
            11 => Ok(PilotIpc_Command::SendTo),
            12 => Ok(PilotIpc_Command::RecvFrom),
            13 => Ok(PilotIpc_Command::Info),
            14 => Ok(PilotIpc_Command::InfoOk),
            15 => Ok(PilotIpc_Command::Handshake),
            16 => Ok(PilotIpc_Command::HandshakeOk),
            17 => Ok(PilotIpc_Command::ResolveHostname),
            18 => Ok(PilotIpc_Command::ResolveHostnameOk),
            19 => Ok(PilotIpc_Command::SetHostname),
            20 => Ok(PilotIpc_Command::SetHostnameOk),
            21 => Ok(PilotIpc_Command::SetVisibility),
            22 => Ok(PilotIpc_Command::SetVisibilityOk),
            23 => Ok(PilotIpc_Command::Deregister),
            24 => Ok(PilotIpc_Command::DeregisterOk),
            25 => Ok(PilotIpc_Command::SetTags),
            26 => Ok(PilotIpc_Command::SetTagsOk),
            27 => Ok(PilotIpc_Command::SetWebhook),
            28 => Ok(PilotIpc_Command::SetWebhookOk),
            29 => Ok(PilotIpc_Command::SetTaskExec),
            30 => Ok(PilotIpc_Command::SetTaskExecOk),
            31 => Ok(PilotIpc_Command::Network),
            32 => Ok(PilotIpc_Command::NetworkOk),
            33 => Ok(PilotIpc_Command::Health),
            34 => Ok(PilotIpc_Command::HealthOk),
            43 => Ok(PilotIpc_Command::CancelDials),
            45 => Ok(PilotIpc_Command::PreferDirect),
            46 => Ok(PilotIpc_Command::PreferDirectOk),
            55 => Ok(PilotIpc_Command::Unbind),
            56 => Ok(PilotIpc_Command::UnbindOk),
            57 => Ok(PilotIpc_Command::SendToConfirmed),
            58 => Ok(PilotIpc_Command::SendToConfirmedOk),
            97 => Ok(PilotIpc_Command::Extend),
            98 => Ok(PilotIpc_Command::Extended),
            99 => Ok(PilotIpc_Command::Tagged),
            100 => Ok(PilotIpc_Command::TaggedAnswer),
            101 => Ok(PilotIpc_Command::Consumed),
            102 => Ok(PilotIpc_Command::Taken),
            103 => Ok(PilotIpc_Command::Finish),
            104 => Ok(PilotIpc_Command::Broken),
            106 => Ok(PilotIpc_Command::Event),
            _ => Ok(PilotIpc_Command::Unknown(flag)),
        }
    }
}

impl From<&PilotIpc_Command> for i64 {
    fn from(v: &PilotIpc_Command) -> Self {
        match *v {
            PilotIpc_Command::Bind => 1,
            PilotIpc_Command::BindOk => 2,
            PilotIpc_Command::Dial => 3,
            PilotIpc_Command::DialOk => 4,
            PilotIpc_Command::Accept => 5,
            PilotIpc_Command::Send => 6,
            PilotIpc_Command::Recv => 7,
            PilotIpc_Command::Close => 8,
            PilotIpc_Command::CloseOk => 9,
            PilotIpc_Command::Error => 10,
            PilotIpc_Command::SendTo => 11,
            PilotIpc_Command::RecvFrom => 12,
            PilotIpc_Command::Info => 13,
            PilotIpc_Command::InfoOk => 14,
            PilotIpc_Command::Handshake => 15,
            PilotIpc_Command::HandshakeOk => 16,
            PilotIpc_Command::ResolveHostname => 17,
            PilotIpc_Command::ResolveHostnameOk => 18,
            PilotIpc_Command::SetHostname => 19,
            PilotIpc_Command::SetHostnameOk => 20,
            PilotIpc_Command::SetVisibility => 21,
            PilotIpc_Command::SetVisibilityOk => 22,
            PilotIpc_Command::Deregister => 23,
            PilotIpc_Command::DeregisterOk => 24,
            PilotIpc_Command::SetTags => 25,
            PilotIpc_Command::SetTagsOk => 26,
            PilotIpc_Command::SetWebhook => 27,
            PilotIpc_Command::SetWebhookOk => 28,
            PilotIpc_Command::SetTaskExec => 29,
            PilotIpc_Command::SetTaskExecOk => 30,
            PilotIpc_Command::Network => 31,
            PilotIpc_Command::NetworkOk => 32,
            PilotIpc_Command::Health => 33,
            PilotIpc_Command::HealthOk => 34,
            PilotIpc_Command::CancelDials => 43,
            PilotIpc_Command::PreferDirect => 45,
            PilotIpc_Command::PreferDirectOk => 46,
            PilotIpc_Command::Unbind => 55,
            PilotIpc_Command::UnbindOk => 56,
            PilotIpc_Command::SendToConfirmed => 57,
            PilotIpc_Command::SendToConfirmedOk => 58,
            PilotIpc_Command::Extend => 97,
            PilotIpc_Command::Extended => 98,
            PilotIpc_Command::Tagged => 99,
            PilotIpc_Command::TaggedAnswer => 100,
            PilotIpc_Command::Consumed => 101,
            PilotIpc_Command::Taken => 102,
            PilotIpc_Command::Finish => 103,
            PilotIpc_Command::Broken => 104,
            PilotIpc_Command::Event => 106,
            PilotIpc_Command::Unknown(v) => v
        }
    }
}

impl Default for PilotIpc_Command {
    fn default() -> Self { PilotIpc_Command::Unknown(0) }
}


#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Accept {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    local_port: RefCell<u16>,
    connection: RefCell<u32>,
    remote: RefCell<OptRc<PilotAddress>>,
    remote_port: RefCell<u16>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Accept {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        *self_rc.local_port.borrow_mut() = _io.read_u2be()?.into();
        *self_rc.connection.borrow_mut() = _io.read_u4be()?.into();
        let t = Self::read_into::<_, PilotAddress>(&*_io, None, None)?.into();
        *self_rc.remote.borrow_mut() = t;
        *self_rc.remote_port.borrow_mut() = _io.read_u2be()?.into();
        Ok(())
    }
}
impl PilotIpc_Accept {
}
impl PilotIpc_Accept {
    pub fn local_port(&self) -> Ref<'_, u16> {
        self.local_port.borrow()
    }
}
impl PilotIpc_Accept {
    pub fn connection(&self) -> Ref<'_, u32> {
        self.connection.borrow()
    }
}
impl PilotIpc_Accept {
    pub fn remote(&self) -> Ref<'_, OptRc<PilotAddress>> {
        self.remote.borrow()
    }
}
impl PilotIpc_Accept {
    pub fn remote_port(&self) -> Ref<'_, u16> {
        self.remote_port.borrow()
    }
}
impl PilotIpc_Accept {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Body {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Message>,
    pub _self: SharedType<Self>,
    command: RefCell<PilotIpc_Command>,
    payload: RefCell<Option<PilotIpc_Body_Payload>>,
    _io: RefCell<BytesReader>,
    payload_raw: RefCell<Vec<u8>>,
}
#[derive(Debug, Clone)]
pub enum PilotIpc_Body_Payload {
    PilotIpc_Handshake(OptRc<PilotIpc_Handshake>),
    PilotIpc_Connection(OptRc<PilotIpc_Connection>),
    PilotIpc_Count(OptRc<PilotIpc_Count>),
    PilotIpc_Target(OptRc<PilotIpc_Target>),
    PilotIpc_Node(OptRc<PilotIpc_Node>),
    Bytes(Vec<u8>),
    PilotIpc_Broken(OptRc<PilotIpc_Broken>),
    PilotIpc_Text(OptRc<PilotIpc_Text>),
    PilotIpc_Extend(OptRc<PilotIpc_Extend>),
    PilotIpc_SendTo(OptRc<PilotIpc_SendTo>),
    PilotIpc_Error(OptRc<PilotIpc_Error>),
    PilotIpc_Network(OptRc<PilotIpc_Network>),
    PilotIpc_Tagged(OptRc<PilotIpc_Tagged>),
    PilotIpc_Port(OptRc<PilotIpc_Port>),
    PilotIpc_ConnectionData(OptRc<PilotIpc_ConnectionData>),
    PilotIpc_Switch(OptRc<PilotIpc_Switch>),
    PilotIpc_Extended(OptRc<PilotIpc_Extended>),
    PilotIpc_Accept(OptRc<PilotIpc_Accept>),
    PilotIpc_RecvFrom(OptRc<PilotIpc_RecvFrom>),
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Handshake> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Handshake(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Handshake, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Handshake>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Handshake>) -> Self {
        Self::PilotIpc_Handshake(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Connection> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Connection(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Connection, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Connection>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Connection>) -> Self {
        Self::PilotIpc_Connection(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Count> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Count(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Count, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Count>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Count>) -> Self {
        Self::PilotIpc_Count(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Target> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Target(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Target, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Target>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Target>) -> Self {
        Self::PilotIpc_Target(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Node> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Node(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Node, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Node>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Node>) -> Self {
        Self::PilotIpc_Node(v)
    }
}
impl From<&PilotIpc_Body_Payload> for Vec<u8> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::Bytes(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::Bytes, got {:?}", v)
    }
}
impl From<Vec<u8>> for PilotIpc_Body_Payload {
    fn from(v: Vec<u8>) -> Self {
        Self::Bytes(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Broken> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Broken(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Broken, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Broken>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Broken>) -> Self {
        Self::PilotIpc_Broken(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Text> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Text(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Text, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Text>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Text>) -> Self {
        Self::PilotIpc_Text(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Extend> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Extend(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Extend, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Extend>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Extend>) -> Self {
        Self::PilotIpc_Extend(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_SendTo> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_SendTo(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_SendTo, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_SendTo>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_SendTo>) -> Self {
        Self::PilotIpc_SendTo(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Error> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Error(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Error, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Error>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Error>) -> Self {
        Self::PilotIpc_Error(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Network> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Network(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Network, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Network>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Network>) -> Self {
        Self::PilotIpc_Network(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Tagged> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Tagged(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Tagged, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Tagged>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Tagged>) -> Self {
        Self::PilotIpc_Tagged(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Port> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Port(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Port, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Port>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Port>) -> Self {
        Self::PilotIpc_Port(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_ConnectionData> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_ConnectionData(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_ConnectionData, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_ConnectionData>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_ConnectionData>) -> Self {
        Self::PilotIpc_ConnectionData(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Switch> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Switch(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Switch, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Switch>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Switch>) -> Self {
        Self::PilotIpc_Switch(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Extended> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Extended(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Extended, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Extended>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Extended>) -> Self {
        Self::PilotIpc_Extended(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_Accept> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_Accept(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_Accept, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_Accept>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_Accept>) -> Self {
        Self::PilotIpc_Accept(v)
    }
}
impl From<&PilotIpc_Body_Payload> for OptRc<PilotIpc_RecvFrom> {
    fn from(v: &PilotIpc_Body_Payload) -> Self {
        if let PilotIpc_Body_Payload::PilotIpc_RecvFrom(x) = v {
            return x.clone();
        }
        panic!("expected PilotIpc_Body_Payload::PilotIpc_RecvFrom, got {:?}", v)
    }
}
impl From<OptRc<PilotIpc_RecvFrom>> for PilotIpc_Body_Payload {
    fn from(v: OptRc<PilotIpc_RecvFrom>) -> Self {
        Self::PilotIpc_RecvFrom(v)
    }
}
impl KStruct for PilotIpc_Body {
    type Root = PilotIpc;
    type Parent = PilotIpc_Message;

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
        *self_rc.command.borrow_mut() = (_io.read_u1()? as i64).try_into()?;
        match *self_rc.command() {
            PilotIpc_Command::Accept => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Accept>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Bind => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Port>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::BindOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Port>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Broken => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Broken>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Close => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Connection>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::CloseOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Connection>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Consumed => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Count>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::DeregisterOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Dial => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Target>(&_t_payload_raw_io, Some(self_rc._root.clone()), None)?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::DialOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Connection>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Error => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Error>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Event => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Extend => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Extend>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Extended => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Extended>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Finish => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Connection>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Handshake => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Handshake>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::HandshakeOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::HealthOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::InfoOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Network => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Network>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::NetworkOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::PreferDirect => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Node>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::PreferDirectOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Recv => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_ConnectionData>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::RecvFrom => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_RecvFrom>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::ResolveHostname => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::ResolveHostnameOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Send => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_ConnectionData>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::SendTo => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_SendTo>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::SendToConfirmed => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_SendTo>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::SetHostname => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::SetHostnameOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::SetTags => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::SetTagsOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::SetTaskExec => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Switch>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::SetTaskExecOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::SetVisibility => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Switch>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::SetVisibilityOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::SetWebhook => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::SetWebhookOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Text>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Tagged => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Tagged>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::TaggedAnswer => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Tagged>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Taken => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Count>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::Unbind => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Port>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            PilotIpc_Command::UnbindOk => {
                *self_rc.payload_raw.borrow_mut() = _io.read_bytes_full()?.into();
                let payload_raw = self_rc.payload_raw.borrow();
                let _t_payload_raw_io = BytesReader::from(payload_raw.clone());
                let t = Self::read_into::<BytesReader, PilotIpc_Port>(&_t_payload_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                *self_rc.payload.borrow_mut() = Some(t);
            }
            _ => {
                *self_rc.payload.borrow_mut() = Some(_io.read_bytes_full()?.into());
            }
        }
        Ok(())
    }
}
impl PilotIpc_Body {
}
impl PilotIpc_Body {
    pub fn command(&self) -> Ref<'_, PilotIpc_Command> {
        self.command.borrow()
    }
}
impl PilotIpc_Body {
    pub fn payload(&self) -> Ref<'_, Option<PilotIpc_Body_Payload>> {
        self.payload.borrow()
    }
}
impl PilotIpc_Body {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
impl PilotIpc_Body {
    pub fn payload_raw(&self) -> Ref<'_, Vec<u8>> {
        self.payload_raw.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Broken {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    connection: RefCell<u32>,
    text: RefCell<String>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Broken {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        *self_rc.connection.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.text.borrow_mut() = bytes_to_str(&_io.read_bytes_full()?.into(), "UTF-8")?;
        Ok(())
    }
}
impl PilotIpc_Broken {
}
impl PilotIpc_Broken {
    pub fn connection(&self) -> Ref<'_, u32> {
        self.connection.borrow()
    }
}
impl PilotIpc_Broken {
    pub fn text(&self) -> Ref<'_, String> {
        self.text.borrow()
    }
}
impl PilotIpc_Broken {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Connection {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    connection: RefCell<u32>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Connection {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        *self_rc.connection.borrow_mut() = _io.read_u4be()?.into();
        Ok(())
    }
}
impl PilotIpc_Connection {
}
impl PilotIpc_Connection {
    pub fn connection(&self) -> Ref<'_, u32> {
        self.connection.borrow()
    }
}
impl PilotIpc_Connection {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_ConnectionData {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    connection: RefCell<u32>,
    data: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_ConnectionData {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        *self_rc.connection.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.data.borrow_mut() = _io.read_bytes_full()?.into();
        Ok(())
    }
}
impl PilotIpc_ConnectionData {
}
impl PilotIpc_ConnectionData {
    pub fn connection(&self) -> Ref<'_, u32> {
        self.connection.borrow()
    }
}
impl PilotIpc_ConnectionData {
    pub fn data(&self) -> Ref<'_, Vec<u8>> {
        self.data.borrow()
    }
}
impl PilotIpc_ConnectionData {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Count {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    connection: RefCell<u32>,
    bytes: RefCell<u32>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Count {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        *self_rc.connection.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.bytes.borrow_mut() = _io.read_u4be()?.into();
        Ok(())
    }
}
impl PilotIpc_Count {
}
impl PilotIpc_Count {
    pub fn connection(&self) -> Ref<'_, u32> {
        self.connection.borrow()
    }
}

/**
 * How many more were consumed, or taken (IPC-3).
 */
impl PilotIpc_Count {
    pub fn bytes(&self) -> Ref<'_, u32> {
        self.bytes.borrow()
    }
}
impl PilotIpc_Count {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Error {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    code: RefCell<u16>,
    text: RefCell<String>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Error {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        *self_rc.code.borrow_mut() = _io.read_u2be()?.into();
        *self_rc.text.borrow_mut() = bytes_to_str(&_io.read_bytes_full()?.into(), "UTF-8")?;
        Ok(())
    }
}
impl PilotIpc_Error {
}
impl PilotIpc_Error {
    pub fn code(&self) -> Ref<'_, u16> {
        self.code.borrow()
    }
}
impl PilotIpc_Error {
    pub fn text(&self) -> Ref<'_, String> {
        self.text.borrow()
    }
}
impl PilotIpc_Error {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

/**
 * This message and the following are an extension (spec IPC-1), spoken only after this one was answered.
 */

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Extend {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    flags: RefCell<u8>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Extend {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        *self_rc.flags.borrow_mut() = _io.read_u1()?.into();
        Ok(())
    }
}
impl PilotIpc_Extend {
}

/**
 * Bit 0 - tell events. Others mean nothing.
 */
impl PilotIpc_Extend {
    pub fn flags(&self) -> Ref<'_, u8> {
        self.flags.borrow()
    }
}
impl PilotIpc_Extend {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Extended {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    window: RefCell<u32>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Extended {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        *self_rc.window.borrow_mut() = _io.read_u4be()?.into();
        Ok(())
    }
}
impl PilotIpc_Extended {
}

/**
 * Bytes of a stream that may be under way in each direction (IPC-3).
 */
impl PilotIpc_Extended {
    pub fn window(&self) -> Ref<'_, u32> {
        self.window.borrow()
    }
}
impl PilotIpc_Extended {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Handshake {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    action: RefCell<PilotIpc_Handshake_Action>,
    node: RefCell<u32>,
    reason: RefCell<String>,
    timeout_ms: RefCell<u32>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Handshake {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        *self_rc.action.borrow_mut() = (_io.read_u1()? as i64).try_into()?;
        if  ((*self_rc.action() != PilotIpc_Handshake_Action::Pending) && (*self_rc.action() != PilotIpc_Handshake_Action::Trusted))  {
            *self_rc.node.borrow_mut() = _io.read_u4be()?.into();
        }
        if *self_rc.action() != PilotIpc_Handshake_Action::Wait {
            *self_rc.reason.borrow_mut() = bytes_to_str(&_io.read_bytes_full()?.into(), "UTF-8")?;
        }
        if *self_rc.action() == PilotIpc_Handshake_Action::Wait {
            *self_rc.timeout_ms.borrow_mut() = _io.read_u4be()?.into();
        }
        Ok(())
    }
}
impl PilotIpc_Handshake {
}
impl PilotIpc_Handshake {
    pub fn action(&self) -> Ref<'_, PilotIpc_Handshake_Action> {
        self.action.borrow()
    }
}
impl PilotIpc_Handshake {
    pub fn node(&self) -> Ref<'_, u32> {
        self.node.borrow()
    }
}
impl PilotIpc_Handshake {
    pub fn reason(&self) -> Ref<'_, String> {
        self.reason.borrow()
    }
}
impl PilotIpc_Handshake {
    pub fn timeout_ms(&self) -> Ref<'_, u32> {
        self.timeout_ms.borrow()
    }
}
impl PilotIpc_Handshake {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
#[derive(Debug, PartialEq, Clone)]
pub enum PilotIpc_Handshake_Action {
    Request,
    Approve,
    Reject,
    Pending,
    Trusted,
    Revoke,
    Wait,
    Unknown(i64),
}

impl TryFrom<i64> for PilotIpc_Handshake_Action {
    type Error = KError;
    fn try_from(flag: i64) -> KResult<PilotIpc_Handshake_Action> {
        match flag {
            1 => Ok(PilotIpc_Handshake_Action::Request),
            2 => Ok(PilotIpc_Handshake_Action::Approve),
            3 => Ok(PilotIpc_Handshake_Action::Reject),
            4 => Ok(PilotIpc_Handshake_Action::Pending),
            5 => Ok(PilotIpc_Handshake_Action::Trusted),
            6 => Ok(PilotIpc_Handshake_Action::Revoke),
            7 => Ok(PilotIpc_Handshake_Action::Wait),
            _ => Ok(PilotIpc_Handshake_Action::Unknown(flag)),
        }
    }
}

impl From<&PilotIpc_Handshake_Action> for i64 {
    fn from(v: &PilotIpc_Handshake_Action) -> Self {
        match *v {
            PilotIpc_Handshake_Action::Request => 1,
            PilotIpc_Handshake_Action::Approve => 2,
            PilotIpc_Handshake_Action::Reject => 3,
            PilotIpc_Handshake_Action::Pending => 4,
            PilotIpc_Handshake_Action::Trusted => 5,
            PilotIpc_Handshake_Action::Revoke => 6,
            PilotIpc_Handshake_Action::Wait => 7,
            PilotIpc_Handshake_Action::Unknown(v) => v
        }
    }
}

impl Default for PilotIpc_Handshake_Action {
    fn default() -> Self { PilotIpc_Handshake_Action::Unknown(0) }
}


#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Message {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc>,
    pub _self: SharedType<Self>,
    len_body: RefCell<u32>,
    body: RefCell<OptRc<PilotIpc_Body>>,
    _io: RefCell<BytesReader>,
    body_raw: RefCell<Vec<u8>>,
}
impl KStruct for PilotIpc_Message {
    type Root = PilotIpc;
    type Parent = PilotIpc;

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
        *self_rc.len_body.borrow_mut() = _io.read_u4be()?.into();
        if !(((*self_rc.len_body() as i32) <= (1048576 as i32))) {
            return Err(KError::ValidationFailed(ValidationFailedError { kind: ValidationKind::GreaterThan, src_path: "/types/message/seq/0".to_string() }));
        }
        if ((*self_rc.len_body() as u32) != (0 as u32)) {
            *self_rc.body_raw.borrow_mut() = _io.read_bytes(*self_rc.len_body() as usize)?.into();
            let body_raw = self_rc.body_raw.borrow();
            let _t_body_raw_io = BytesReader::from(body_raw.clone());
            let t = Self::read_into::<BytesReader, PilotIpc_Body>(&_t_body_raw_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
            *self_rc.body.borrow_mut() = t;
        }
        Ok(())
    }
}
impl PilotIpc_Message {
}
impl PilotIpc_Message {
    pub fn len_body(&self) -> Ref<'_, u32> {
        self.len_body.borrow()
    }
}
impl PilotIpc_Message {
    pub fn body(&self) -> Ref<'_, OptRc<PilotIpc_Body>> {
        self.body.borrow()
    }
}
impl PilotIpc_Message {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
impl PilotIpc_Message {
    pub fn body_raw(&self) -> Ref<'_, Vec<u8>> {
        self.body_raw.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Network {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    action: RefCell<PilotIpc_Network_Action>,
    network: RefCell<u16>,
    rest: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Network {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        *self_rc.action.borrow_mut() = (_io.read_u1()? as i64).try_into()?;
        if  ((*self_rc.action() != PilotIpc_Network_Action::List) && (*self_rc.action() != PilotIpc_Network_Action::PollInvites))  {
            *self_rc.network.borrow_mut() = _io.read_u2be()?.into();
        }
        *self_rc.rest.borrow_mut() = _io.read_bytes_full()?.into();
        Ok(())
    }
}
impl PilotIpc_Network {
}
impl PilotIpc_Network {
    pub fn action(&self) -> Ref<'_, PilotIpc_Network_Action> {
        self.action.borrow()
    }
}
impl PilotIpc_Network {
    pub fn network(&self) -> Ref<'_, u16> {
        self.network.borrow()
    }
}

/**
 * join - a token; invite - a node (4 bytes); respond - 1 to accept.
 */
impl PilotIpc_Network {
    pub fn rest(&self) -> Ref<'_, Vec<u8>> {
        self.rest.borrow()
    }
}
impl PilotIpc_Network {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
#[derive(Debug, PartialEq, Clone)]
pub enum PilotIpc_Network_Action {
    List,
    Join,
    Leave,
    Members,
    Invite,
    PollInvites,
    Respond,
    Unknown(i64),
}

impl TryFrom<i64> for PilotIpc_Network_Action {
    type Error = KError;
    fn try_from(flag: i64) -> KResult<PilotIpc_Network_Action> {
        match flag {
            1 => Ok(PilotIpc_Network_Action::List),
            2 => Ok(PilotIpc_Network_Action::Join),
            3 => Ok(PilotIpc_Network_Action::Leave),
            4 => Ok(PilotIpc_Network_Action::Members),
            5 => Ok(PilotIpc_Network_Action::Invite),
            6 => Ok(PilotIpc_Network_Action::PollInvites),
            7 => Ok(PilotIpc_Network_Action::Respond),
            _ => Ok(PilotIpc_Network_Action::Unknown(flag)),
        }
    }
}

impl From<&PilotIpc_Network_Action> for i64 {
    fn from(v: &PilotIpc_Network_Action) -> Self {
        match *v {
            PilotIpc_Network_Action::List => 1,
            PilotIpc_Network_Action::Join => 2,
            PilotIpc_Network_Action::Leave => 3,
            PilotIpc_Network_Action::Members => 4,
            PilotIpc_Network_Action::Invite => 5,
            PilotIpc_Network_Action::PollInvites => 6,
            PilotIpc_Network_Action::Respond => 7,
            PilotIpc_Network_Action::Unknown(v) => v
        }
    }
}

impl Default for PilotIpc_Network_Action {
    fn default() -> Self { PilotIpc_Network_Action::Unknown(0) }
}


#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Node {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    node: RefCell<u32>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Node {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        Ok(())
    }
}
impl PilotIpc_Node {
}
impl PilotIpc_Node {
    pub fn node(&self) -> Ref<'_, u32> {
        self.node.borrow()
    }
}
impl PilotIpc_Node {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Port {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    port: RefCell<u16>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Port {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        *self_rc.port.borrow_mut() = _io.read_u2be()?.into();
        Ok(())
    }
}
impl PilotIpc_Port {
}
impl PilotIpc_Port {
    pub fn port(&self) -> Ref<'_, u16> {
        self.port.borrow()
    }
}
impl PilotIpc_Port {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_RecvFrom {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    source: RefCell<OptRc<PilotAddress>>,
    source_port: RefCell<u16>,
    destination_port: RefCell<u16>,
    data: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_RecvFrom {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        let t = Self::read_into::<_, PilotAddress>(&*_io, None, None)?.into();
        *self_rc.source.borrow_mut() = t;
        *self_rc.source_port.borrow_mut() = _io.read_u2be()?.into();
        *self_rc.destination_port.borrow_mut() = _io.read_u2be()?.into();
        *self_rc.data.borrow_mut() = _io.read_bytes_full()?.into();
        Ok(())
    }
}
impl PilotIpc_RecvFrom {
}
impl PilotIpc_RecvFrom {
    pub fn source(&self) -> Ref<'_, OptRc<PilotAddress>> {
        self.source.borrow()
    }
}
impl PilotIpc_RecvFrom {
    pub fn source_port(&self) -> Ref<'_, u16> {
        self.source_port.borrow()
    }
}
impl PilotIpc_RecvFrom {
    pub fn destination_port(&self) -> Ref<'_, u16> {
        self.destination_port.borrow()
    }
}
impl PilotIpc_RecvFrom {
    pub fn data(&self) -> Ref<'_, Vec<u8>> {
        self.data.borrow()
    }
}
impl PilotIpc_RecvFrom {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_SendTo {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    target: RefCell<OptRc<PilotIpc_Target>>,
    data: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_SendTo {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        let t = Self::read_into::<_, PilotIpc_Target>(&*_io, Some(self_rc._root.clone()), None)?.into();
        *self_rc.target.borrow_mut() = t;
        *self_rc.data.borrow_mut() = _io.read_bytes_full()?.into();
        Ok(())
    }
}
impl PilotIpc_SendTo {
}
impl PilotIpc_SendTo {
    pub fn target(&self) -> Ref<'_, OptRc<PilotIpc_Target>> {
        self.target.borrow()
    }
}
impl PilotIpc_SendTo {
    pub fn data(&self) -> Ref<'_, Vec<u8>> {
        self.data.borrow()
    }
}
impl PilotIpc_SendTo {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Switch {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    value: RefCell<u8>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Switch {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        *self_rc.value.borrow_mut() = _io.read_u1()?.into();
        Ok(())
    }
}
impl PilotIpc_Switch {
}

/**
 * 1 is on or public, anything else off or private.
 */
impl PilotIpc_Switch {
    pub fn value(&self) -> Ref<'_, u8> {
        self.value.borrow()
    }
}
impl PilotIpc_Switch {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Tagged {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    number: RefCell<u32>,
    message: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Tagged {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        *self_rc.number.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.message.borrow_mut() = _io.read_bytes_full()?.into();
        Ok(())
    }
}
impl PilotIpc_Tagged {
}
impl PilotIpc_Tagged {
    pub fn number(&self) -> Ref<'_, u32> {
        self.number.borrow()
    }
}

/**
 * A request, or its answer, as a body of its own (IPC-2). One in another is refused.
 */
impl PilotIpc_Tagged {
    pub fn message(&self) -> Ref<'_, Vec<u8>> {
        self.message.borrow()
    }
}
impl PilotIpc_Tagged {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Target {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<KStructUnit>,
    pub _self: SharedType<Self>,
    address: RefCell<OptRc<PilotAddress>>,
    port: RefCell<u16>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Target {
    type Root = PilotIpc;
    type Parent = KStructUnit;

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
        let t = Self::read_into::<_, PilotAddress>(&*_io, None, None)?.into();
        *self_rc.address.borrow_mut() = t;
        *self_rc.port.borrow_mut() = _io.read_u2be()?.into();
        Ok(())
    }
}
impl PilotIpc_Target {
}
impl PilotIpc_Target {
    pub fn address(&self) -> Ref<'_, OptRc<PilotAddress>> {
        self.address.borrow()
    }
}
impl PilotIpc_Target {
    pub fn port(&self) -> Ref<'_, u16> {
        self.port.borrow()
    }
}
impl PilotIpc_Target {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotIpc_Text {
    pub _root: SharedType<PilotIpc>,
    pub _parent: SharedType<PilotIpc_Body>,
    pub _self: SharedType<Self>,
    text: RefCell<String>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotIpc_Text {
    type Root = PilotIpc;
    type Parent = PilotIpc_Body;

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
        *self_rc.text.borrow_mut() = bytes_to_str(&_io.read_bytes_full()?.into(), "UTF-8")?;
        Ok(())
    }
}
impl PilotIpc_Text {
}
impl PilotIpc_Text {
    pub fn text(&self) -> Ref<'_, String> {
        self.text.borrow()
    }
}
impl PilotIpc_Text {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
