//! Well-known ports and the port ranges (`spec/addressing.md`).

use core::ops::RangeInclusive;

/// Ping, in control packets only.
pub const PING: u16 = 0;
/// Reserved for control; no behaviour is attached to it.
pub const CONTROL: u16 = 1;
/// Echo.
pub const ECHO: u16 = 7;
/// Name server.
pub const NAMESERVER: u16 = 53;
/// Agent HTTP.
pub const HTTP: u16 = 80;
/// Secure channel.
pub const SECURE: u16 = 443;
/// Trust handshake.
pub const TRUST: u16 = 444;
/// Text stream; where a connection without a named port goes.
pub const STDIO: u16 = 1000;
/// Data exchange.
pub const DATA_EXCHANGE: u16 = 1001;
/// Event stream.
pub const EVENT_STREAM: u16 = 1002;
/// Task submission.
pub const TASK_SUBMIT: u16 = 1003;

/// Ports of the protocol itself.
pub const RESERVED: RangeInclusive<u16> = 0..=1023;
/// Ports of applications.
pub const REGISTERED: RangeInclusive<u16> = 1024..=49151;
/// Ports handed out for the calling side.
pub const EPHEMERAL: RangeInclusive<u16> = 49152..=65535;
