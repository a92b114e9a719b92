//! Asks the processor for memory that is needed soon, so that its lines come from main memory together, and while
//! something else is done, instead of one after the other. It changes nothing that a program can see; without the feature
//! `prefetch` it does nothing.

use core::ops::Range;

/// Asks for the lines at `bytes`, counted from the address of `near`: a field, one byte large, of what is asked for.
/// There is nothing that must not be asked for, and no harm in asking for too much but that the time was wasted.
#[inline]
pub(crate) fn fetch<T>(near: &T, bytes: Range<isize>) {
    const { assert!(size_of::<T>() == 1, "what is counted is bytes") };
    #[cfg(feature = "prefetch")]
    for at in bytes.step_by(LINE) {
        prefetch_index::prefetch_index(core::slice::from_ref(near), at.cast_unsigned());
    }
    #[cfg(not(feature = "prefetch"))]
    let _ = (near, bytes);
}

/// Bytes the processor fetches together, on the machines this is for.
#[cfg(feature = "prefetch")]
const LINE: usize = 64;
