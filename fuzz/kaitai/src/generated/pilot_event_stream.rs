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
 * The first event of a subscriber names the topic it wants, `*` for all; its payload is ignored.
 */

#[derive(Default, Debug, Clone)]
pub struct PilotEventStream {
    pub _root: SharedType<PilotEventStream>,
    pub _parent: SharedType<PilotEventStream>,
    pub _self: SharedType<Self>,
    events: RefCell<Vec<OptRc<PilotEventStream_Event>>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotEventStream {
    type Root = PilotEventStream;
    type Parent = PilotEventStream;

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
        *self_rc.events.borrow_mut() = Vec::new();
        {
            let mut _i = 0;
            while !_io.is_eof() {
                let t = Self::read_into::<_, PilotEventStream_Event>(&*_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                self_rc.events.borrow_mut().push(t);
                _i += 1;
            }
        }
        Ok(())
    }
}
impl PilotEventStream {
}
impl PilotEventStream {
    pub fn events(&self) -> Ref<'_, Vec<OptRc<PilotEventStream_Event>>> {
        self.events.borrow()
    }
}
impl PilotEventStream {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotEventStream_Event {
    pub _root: SharedType<PilotEventStream>,
    pub _parent: SharedType<PilotEventStream>,
    pub _self: SharedType<Self>,
    len_topic: RefCell<u16>,
    topic: RefCell<String>,
    len_payload: RefCell<u32>,
    payload: RefCell<Vec<u8>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotEventStream_Event {
    type Root = PilotEventStream;
    type Parent = PilotEventStream;

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
        *self_rc.len_topic.borrow_mut() = _io.read_u2be()?.into();
        *self_rc.topic.borrow_mut() = bytes_to_str(&_io.read_bytes(*self_rc.len_topic() as usize)?.into(), "UTF-8")?;
        *self_rc.len_payload.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.payload.borrow_mut() = _io.read_bytes(*self_rc.len_payload() as usize)?.into();
        Ok(())
    }
}
impl PilotEventStream_Event {
}
impl PilotEventStream_Event {
    pub fn len_topic(&self) -> Ref<'_, u16> {
        self.len_topic.borrow()
    }
}
impl PilotEventStream_Event {
    pub fn topic(&self) -> Ref<'_, String> {
        self.topic.borrow()
    }
}
impl PilotEventStream_Event {
    pub fn len_payload(&self) -> Ref<'_, u32> {
        self.len_payload.borrow()
    }
}
impl PilotEventStream_Event {
    pub fn payload(&self) -> Ref<'_, Vec<u8>> {
        self.payload.borrow()
    }
}
impl PilotEventStream_Event {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
