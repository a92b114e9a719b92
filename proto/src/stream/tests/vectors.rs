//! (vectors)
