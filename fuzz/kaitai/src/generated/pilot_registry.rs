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
 * A sequence of JSON objects, each behind its length (spec REG-1). Their shapes are in ../schemas.
 */

#[derive(Default, Debug, Clone)]
pub struct PilotRegistry {
    pub _root: SharedType<PilotRegistry>,
    pub _parent: SharedType<PilotRegistry>,
    pub _self: SharedType<Self>,
    messages: RefCell<Vec<OptRc<PilotRegistry_Message>>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotRegistry {
    type Root = PilotRegistry;
    type Parent = PilotRegistry;

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
                let t = Self::read_into::<_, PilotRegistry_Message>(&*_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                self_rc.messages.borrow_mut().push(t);
                _i += 1;
            }
        }
        Ok(())
    }
}
impl PilotRegistry {
}
impl PilotRegistry {
    pub fn messages(&self) -> Ref<'_, Vec<OptRc<PilotRegistry_Message>>> {
        self.messages.borrow()
    }
}
impl PilotRegistry {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotRegistry_Message {
    pub _root: SharedType<PilotRegistry>,
    pub _parent: SharedType<PilotRegistry>,
    pub _self: SharedType<Self>,
    len_text: RefCell<u32>,
    text: RefCell<String>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotRegistry_Message {
    type Root = PilotRegistry;
    type Parent = PilotRegistry;

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
        *self_rc.len_text.borrow_mut() = _io.read_u4be()?.into();
        if !(((*self_rc.len_text() as i32) <= (1048576 as i32))) {
            return Err(KError::ValidationFailed(ValidationFailedError { kind: ValidationKind::GreaterThan, src_path: "/types/message/seq/0".to_string() }));
        }
        *self_rc.text.borrow_mut() = bytes_to_str(&_io.read_bytes(*self_rc.len_text() as usize)?.into(), "UTF-8")?;
        Ok(())
    }
}
impl PilotRegistry_Message {
}
impl PilotRegistry_Message {
    pub fn len_text(&self) -> Ref<'_, u32> {
        self.len_text.borrow()
    }
}
impl PilotRegistry_Message {
    pub fn text(&self) -> Ref<'_, String> {
        self.text.borrow()
    }
}
impl PilotRegistry_Message {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
