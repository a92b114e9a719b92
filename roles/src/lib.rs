//! The roles of a Pilot network as sans-IO machines behind one trait, [`Role`].
//!
//! A role owns no socket, file, thread or clock: a driver performs its [`Output`]s and feeds it [`Input`]s.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::todo
)]

extern crate alloc;

pub mod client;
pub mod clock;
pub mod daemon;
pub mod frames;
pub mod ipc;
pub mod json;
pub mod rendezvous;
pub mod role;
pub mod services;

pub use role::{ConnId, Input, Listener, Now, Output, Role};
