//! (closing)
