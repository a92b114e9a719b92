//! Lines for people, through the crates `log` or `defmt`; without these features nothing is left of them.
//!
//! Only what happens seldom is told, and never a secret. Values after the semicolon are told as their `Display` says.

macro_rules! say {
    ($level:ident, $text:literal $(, $plain:expr)* $(; $($shown:expr),+)?) => {{
        #[cfg(feature = "log")]
        ::log::$level!($text $(, $plain)* $($(, $shown)+)?);
        #[cfg(feature = "defmt")]
        ::defmt::$level!($text $(, $plain)* $($(, ::defmt::Display2Format(&$shown))+)?);
        #[cfg(not(any(feature = "log", feature = "defmt")))]
        let _ = ($(&$plain,)* $($(&$shown,)+)?);
    }};
}

pub(crate) use say;
