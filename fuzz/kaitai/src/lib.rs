//! A second codec nobody here wrote: what the Kaitai compiler makes of the descriptions in `spec/kaitai`, and the little
//! it needs to run. `generated/` is written by `spec/check/kaitai.js`; `spec/check/run` fails when it is not what the
//! descriptions say now.
#![forbid(unsafe_code)]

#[allow(warnings, overflowing_literals, clippy::all, clippy::pedantic, missing_docs)]
#[rustfmt::skip]
pub mod generated;
pub mod runtime;

use runtime::{BytesReader, KResult, KStruct, OptRc};

/// What the description of `T` reads.
///
/// # Errors
/// What it refuses, and why.
pub fn read<T: KStruct + Default + 'static>(bytes: &[u8]) -> KResult<OptRc<T>> {
    T::read_into::<BytesReader, T>(&BytesReader::from(bytes.to_vec()), None, None)
}
