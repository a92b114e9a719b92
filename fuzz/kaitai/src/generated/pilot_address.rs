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
 * 48 bits (spec ADR-1): a network and a node in it. Written `N:NNNN.HHHH.LLLL`.
 */

#[derive(Default, Debug, Clone)]
pub struct PilotAddress {
    pub _root: SharedType<PilotAddress>,
    pub _parent: SharedType<PilotAddress>,
    pub _self: SharedType<Self>,
    network: RefCell<u16>,
    node: RefCell<u32>,
    _io: RefCell<BytesReader>,
    f_is_broadcast: Cell<bool>,
    is_broadcast: RefCell<bool>,
}
impl KStruct for PilotAddress {
    type Root = PilotAddress;
    type Parent = PilotAddress;

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
        *self_rc.network.borrow_mut() = _io.read_u2be()?.into();
        *self_rc.node.borrow_mut() = _io.read_u4be()?.into();
        Ok(())
    }
}
impl PilotAddress {
    pub fn is_broadcast(
        &self
    ) -> KResult<Ref<'_, bool>> {
        let _io = self._io.borrow();
        let _rrc = self._root.get_value().borrow().upgrade();
        let _prc = self._parent.get_value().borrow().upgrade();
        let _r = _rrc.as_ref().unwrap();
        if self.f_is_broadcast.get() {
            return Ok(self.is_broadcast.borrow());
        }
        self.f_is_broadcast.set(true);
        *self.is_broadcast.borrow_mut() = (((*self.node() as i32) == (4294967295 as i32))) as bool;
        Ok(self.is_broadcast.borrow())
    }
}
impl PilotAddress {
    pub fn network(&self) -> Ref<'_, u16> {
        self.network.borrow()
    }
}
impl PilotAddress {
    pub fn node(&self) -> Ref<'_, u32> {
        self.node.borrow()
    }
}
impl PilotAddress {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
