//! (loss)
