//! Asks the processor for memory that is needed soon, so that its lines come from main memory together, and while
//! something else is done, instead of one after the other. It changes nothing that a program can see; without the feature
//! `prefetch` it does nothing.

use core::ops::Range;

/// Asks for the lines that hold these bytes of `what`. There is no harm in asking for too much but that the time was
/// wasted.
#[inline]
pub fn fetch<T: ?Sized>(what: &T, bytes: Range<usize>) {
    #[cfg(feature = "prefetch")]
    {
        let start = core::ptr::from_ref(what).addr();
        for line in
            (start.wrapping_add(bytes.start) & !(LINE - 1)..start.wrapping_add(bytes.end)).step_by(LINE)
        {
            // An index may name any address: nothing is read there.
            let nothing: &[u8] = &[];
            prefetch_index::prefetch_index(nothing, line.wrapping_sub(nothing.as_ptr().addr()));
        }
    }
    #[cfg(not(feature = "prefetch"))]
    let _ = (what, bytes);
}

/// Asks for all of `what`.
#[inline]
pub fn fetch_all<T: ?Sized>(what: &T) {
    fetch(what, 0..size_of_val(what));
}

/// Bytes the processor fetches together, on the machines this is for.
#[cfg(feature = "prefetch")]
const LINE: usize = 64;
