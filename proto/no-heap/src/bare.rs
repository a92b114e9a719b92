//! What a program without the standard library brings itself: a way in, a way to print, and an end for panics.

use core::ffi::{c_char, c_int, c_void};
use core::fmt;

// All that is wanted of the C library. Its start code calls `main`.
#[link(name = "c")]
unsafe extern "C" {
    fn write(file: c_int, bytes: *const c_void, len: usize) -> isize;
    fn abort() -> !;
}

/// Standard output.
struct Stdout;

impl fmt::Write for Stdout {
    fn write_str(&mut self, mut text: &str) -> fmt::Result {
        while !text.is_empty() {
            // SAFETY: pointer and length are those of a string that lives through the call.
            let n = unsafe { write(1, text.as_ptr().cast(), text.len()) };
            text =
                usize::try_from(n).ok().filter(|n| *n > 0).and_then(|n| text.get(n..)).ok_or(fmt::Error)?;
        }
        Ok(())
    }
}

// SAFETY: no other item of the program has this name; the C start code calls it once.
#[unsafe(no_mangle)]
extern "C" fn main(_count: c_int, _arguments: *const *const c_char) -> c_int {
    c_int::from(!crate::run(&mut Stdout))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = fmt::Write::write_fmt(&mut Stdout, format_args!("{info}\n"));
    // SAFETY: has no preconditions.
    unsafe { abort() }
}
