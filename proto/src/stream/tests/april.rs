//! (april)
