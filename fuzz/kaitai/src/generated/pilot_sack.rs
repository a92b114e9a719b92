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
 * The payload of an acknowledgment that reports gaps (spec STR-12).
 */

#[derive(Default, Debug, Clone)]
pub struct PilotSack {
    pub _root: SharedType<PilotSack>,
    pub _parent: SharedType<PilotSack>,
    pub _self: SharedType<Self>,
    magic: RefCell<Vec<u8>>,
    num_ranges: RefCell<u8>,
    ranges: RefCell<Vec<OptRc<PilotSack_Range>>>,
    more: RefCell<Vec<OptRc<PilotSack_Range>>>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotSack {
    type Root = PilotSack;
    type Parent = PilotSack;

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
        *self_rc.magic.borrow_mut() = _io.read_bytes(4 as usize)?.into();
        if !(*self_rc.magic() == vec![0x53u8, 0x41u8, 0x43u8, 0x4bu8]) {
            return Err(KError::ValidationFailed(ValidationFailedError { kind: ValidationKind::NotEqual, src_path: "/seq/0".to_string() }));
        }
        *self_rc.num_ranges.borrow_mut() = _io.read_u1()?.into();
        if !(((*self_rc.num_ranges() as u8) >= (1 as u8))) {
            return Err(KError::ValidationFailed(ValidationFailedError { kind: ValidationKind::LessThan, src_path: "/seq/1".to_string() }));
        }
        if !(((*self_rc.num_ranges() as u8) <= (4 as u8))) {
            return Err(KError::ValidationFailed(ValidationFailedError { kind: ValidationKind::GreaterThan, src_path: "/seq/1".to_string() }));
        }
        *self_rc.ranges.borrow_mut() = Vec::new();
        let l_ranges = *self_rc.num_ranges();
        for _i in 0..l_ranges {
            let t = Self::read_into::<_, PilotSack_Range>(&*_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
            self_rc.ranges.borrow_mut().push(t);
        }
        if ((*self_rc.num_ranges() as u8) == (4 as u8)) {
            *self_rc.more.borrow_mut() = Vec::new();
            let l_more = if ((((((_io.size() as i32) - (_io.pos() as i32)) as i32) / (8 as i32)) as i32) < (28 as i32)) { ((((_io.size() as i32) - (_io.pos() as i32)) as i32) / (8 as i32)) } else { 28 };
            for _i in 0..l_more {
                let t = Self::read_into::<_, PilotSack_Range>(&*_io, Some(self_rc._root.clone()), Some(self_rc._self.clone()))?.into();
                self_rc.more.borrow_mut().push(t);
            }
        }
        Ok(())
    }
}
impl PilotSack {
}
impl PilotSack {
    pub fn magic(&self) -> Ref<'_, Vec<u8>> {
        self.magic.borrow()
    }
}
impl PilotSack {
    pub fn num_ranges(&self) -> Ref<'_, u8> {
        self.num_ranges.borrow()
    }
}
impl PilotSack {
    pub fn ranges(&self) -> Ref<'_, Vec<OptRc<PilotSack_Range>>> {
        self.ranges.borrow()
    }
}

/**
 * Up to 28 further ranges, between peers that take long lists; others ignore them.
 */
impl PilotSack {
    pub fn more(&self) -> Ref<'_, Vec<OptRc<PilotSack_Range>>> {
        self.more.borrow()
    }
}
impl PilotSack {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}

#[derive(Default, Debug, Clone)]
pub struct PilotSack_Range {
    pub _root: SharedType<PilotSack>,
    pub _parent: SharedType<PilotSack>,
    pub _self: SharedType<Self>,
    first: RefCell<u32>,
    after: RefCell<u32>,
    _io: RefCell<BytesReader>,
}
impl KStruct for PilotSack_Range {
    type Root = PilotSack;
    type Parent = PilotSack;

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
        *self_rc.first.borrow_mut() = _io.read_u4be()?.into();
        *self_rc.after.borrow_mut() = _io.read_u4be()?.into();
        Ok(())
    }
}
impl PilotSack_Range {
}

/**
 * Sequence number of the first byte.
 */
impl PilotSack_Range {
    pub fn first(&self) -> Ref<'_, u32> {
        self.first.borrow()
    }
}

/**
 * Sequence number after the last byte.
 */
impl PilotSack_Range {
    pub fn after(&self) -> Ref<'_, u32> {
        self.after.borrow()
    }
}
impl PilotSack_Range {
    pub fn _io(&self) -> Ref<'_, BytesReader> {
        self._io.borrow()
    }
}
