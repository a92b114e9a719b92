//! (window)
