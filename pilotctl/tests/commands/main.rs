//! The program as its users meet it, against a scripted daemon.

mod demo;
mod honesty;
mod support;
mod vectors;
