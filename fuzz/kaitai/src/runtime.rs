//! What generated parsers call: a reader of bytes, and pointers to children, parents and the root. Only what the
//! descriptions here need.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    ops::Deref,
    rc::{Rc, Weak},
};

/// Why a description refuses bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KError {
    /// They end before a field does: how many more it wants.
    Eof(usize),
    /// A field has a value that its `valid` or `contents` forbids.
    ValidationFailed(ValidationFailedError),
}

/// Which field, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationFailedError {
    /// How.
    pub kind: ValidationKind,
    /// Which, as a path in the description.
    pub src_path: String,
}

/// How a value is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidationKind {
    /// Not the one it must be.
    NotEqual,
    /// None of those it may be.
    NotAnyOf,
    /// Below the least.
    LessThan,
    /// Above the most.
    GreaterThan,
}

/// The parent of a type that stands in several places.
#[derive(Clone, Copy, Debug, Default)]
pub struct KStructUnit;

/// A result of reading.
pub type KResult<T> = Result<T, KError>;

/// A shared value, or none yet.
#[derive(Debug)]
pub struct OptRc<T>(Option<Rc<T>>);

impl<T> Default for OptRc<T> {
    fn default() -> Self {
        OptRc(None)
    }
}

impl<T> Clone for OptRc<T> {
    fn clone(&self) -> Self {
        OptRc(self.0.clone())
    }
}

impl<T> Deref for OptRc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("generated code looks at what it has read only")
    }
}

/// A reference that keeps nothing alive, for parents and roots.
#[derive(Debug)]
pub struct SharedType<T>(RefCell<Weak<T>>);

impl<T> Default for SharedType<T> {
    fn default() -> Self {
        SharedType(RefCell::new(Weak::new()))
    }
}

impl<T> Clone for SharedType<T> {
    fn clone(&self) -> Self {
        SharedType(RefCell::new(self.0.borrow().clone()))
    }
}

impl<T> SharedType<T> {
    /// The value, if it is still there.
    ///
    /// # Errors
    /// Never.
    pub fn get(&self) -> KResult<OptRc<T>> {
        Ok(OptRc(self.0.borrow().upgrade()))
    }

    /// The reference itself.
    pub fn get_value(&self) -> &RefCell<Weak<T>> {
        &self.0
    }

    /// Refers to `value` from now on.
    pub fn set(&self, value: KResult<OptRc<T>>) {
        let value = value.ok().and_then(|value| value.0);
        *self.0.borrow_mut() = value.as_ref().map(Rc::downgrade).unwrap_or_default();
    }
}

/// A type of a description.
pub trait KStruct {
    /// The type at the top of its description.
    type Root: 'static;
    /// The type it is in.
    type Parent;

    /// Fills `self_rc` from `io`.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn read<S: KStream>(
        self_rc: &OptRc<Self>,
        io: &S,
        root: SharedType<Self::Root>,
        parent: SharedType<Self::Parent>,
    ) -> KResult<()>
    where
        Self: Sized;

    /// A new `T` from `io`, below `root` or its own root.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn read_into<S: KStream, T: KStruct + Default + 'static>(
        io: &S,
        root: Option<SharedType<T::Root>>,
        parent: Option<SharedType<T::Parent>>,
    ) -> KResult<OptRc<T>> {
        let new = Rc::new(T::default());
        let root = root.unwrap_or_else(|| {
            let own = (new.clone() as Rc<dyn Any>).downcast::<T::Root>();
            SharedType(RefCell::new(own.as_ref().map(Rc::downgrade).unwrap_or_default()))
        });
        let new = OptRc(Some(new));
        T::read(&new, io, root, parent.unwrap_or_default())?;
        Ok(new)
    }
}

/// A place that bytes are read from.
pub trait KStream {
    /// The same bytes, from the same position on.
    fn clone(&self) -> BytesReader;
    /// Length in bytes.
    fn size(&self) -> usize;
    /// Bytes before the position.
    fn pos(&self) -> usize;
    /// Nothing is left.
    fn is_eof(&self) -> bool;
    /// Goes to a position.
    ///
    /// # Errors
    /// It is behind the end.
    fn seek(&self, position: usize) -> KResult<()>;
    /// The next bytes.
    ///
    /// # Errors
    /// There are fewer.
    fn read_bytes(&self, count: usize) -> KResult<Vec<u8>>;
    /// All that is left.
    ///
    /// # Errors
    /// Never.
    fn read_bytes_full(&self) -> KResult<Vec<u8>>;
    /// The next `count` bits of a byte, the highest first.
    ///
    /// # Errors
    /// There is no byte.
    fn read_bits_int_be(&self, count: u32) -> KResult<u64>;
    /// Leaves out what is left of a byte.
    ///
    /// # Errors
    /// Never.
    fn align_to_byte(&self) -> KResult<()>;
    /// A number of one byte.
    ///
    /// # Errors
    /// There are fewer bytes.
    fn read_u1(&self) -> KResult<u8>;
    /// A number of two bytes.
    ///
    /// # Errors
    /// There are fewer bytes.
    fn read_u2be(&self) -> KResult<u16>;
    /// A number of four bytes.
    ///
    /// # Errors
    /// There are fewer bytes.
    fn read_u4be(&self) -> KResult<u32>;
    /// A number of eight bytes.
    ///
    /// # Errors
    /// There are fewer bytes.
    fn read_u8be(&self) -> KResult<u64>;
}

/// Bytes and a position in them, in bits.
#[derive(Clone, Debug, Default)]
pub struct BytesReader {
    bytes: Rc<Vec<u8>>,
    bit: Cell<usize>,
}

impl From<Vec<u8>> for BytesReader {
    fn from(bytes: Vec<u8>) -> Self {
        BytesReader { bytes: Rc::new(bytes), bit: Cell::new(0) }
    }
}

impl BytesReader {
    fn array<const N: usize>(&self) -> KResult<[u8; N]> {
        self.read_bytes(N).map(|bytes| bytes.try_into().expect("as many as asked for"))
    }
}

impl KStream for BytesReader {
    fn clone(&self) -> BytesReader {
        Clone::clone(self)
    }

    fn size(&self) -> usize {
        self.bytes.len()
    }

    fn pos(&self) -> usize {
        self.bit.get().div_ceil(8)
    }

    fn is_eof(&self) -> bool {
        self.pos() >= self.size()
    }

    fn seek(&self, position: usize) -> KResult<()> {
        if position > self.size() {
            return Err(KError::Eof(position - self.size()));
        }
        self.bit.set(8 * position);
        Ok(())
    }

    fn read_bytes(&self, count: usize) -> KResult<Vec<u8>> {
        let rest = &self.bytes[self.pos()..];
        // A length below zero arrives here as one beyond all.
        let found = rest.get(..count).ok_or_else(|| KError::Eof(count - rest.len()))?;
        self.bit.set(8 * (self.pos() + count));
        Ok(found.to_vec())
    }

    fn read_bytes_full(&self) -> KResult<Vec<u8>> {
        self.read_bytes(self.size() - self.pos())
    }

    fn read_bits_int_be(&self, count: u32) -> KResult<u64> {
        let mut value = 0;
        for _ in 0..count {
            let at = self.bit.get();
            let byte = self.bytes.get(at / 8).ok_or(KError::Eof(1))?;
            value = value << 1 | u64::from(byte >> (7 - at % 8) & 1);
            self.bit.set(at + 1);
        }
        Ok(value)
    }

    fn align_to_byte(&self) -> KResult<()> {
        self.bit.set(8 * self.pos());
        Ok(())
    }

    fn read_u1(&self) -> KResult<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn read_u2be(&self) -> KResult<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn read_u4be(&self) -> KResult<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn read_u8be(&self) -> KResult<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

/// Text of bytes; what is not UTF-8 reads as U+FFFD, as in this protocol.
///
/// # Errors
/// Never.
#[allow(clippy::ptr_arg, reason = "generated code says `.into()` here, and nothing else tells into what")]
pub fn bytes_to_str(bytes: &Vec<u8>, _encoding: &str) -> KResult<String> {
    Ok(String::from_utf8_lossy(bytes).into_owned())
}
