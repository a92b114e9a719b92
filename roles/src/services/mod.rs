//! The frames of the built-in services, for the daemon that answers them and the programs that call them.

pub mod data_exchange;
pub mod event_stream;
