//! Runs any role on real sockets, on one mio event loop.
