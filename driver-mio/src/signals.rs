//! SIGINT and SIGTERM as readable bytes on the event loop; the second one ends the process even if the loop hangs.

use std::{
    io::{self, Read},
    sync::{Arc, atomic::AtomicBool},
};

use mio::{Interest, Registry, Token, net::UnixStream};
use signal_hook::{
    SigId,
    consts::{SIGINT, SIGTERM},
    flag,
    low_level::{pipe, unregister},
};

/// Exit status after the second signal.
const FORCED: i32 = 1;

/// While it lives, the first of these signals does not end the process but can be seen here.
#[derive(Debug)]
pub(crate) struct Signals {
    pipe: UnixStream,
    hooks: Vec<SigId>,
}

impl Signals {
    pub(crate) fn hook(registry: &Registry, token: Token) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut pipe = UnixStream::from_std(ours);
        registry.register(&mut pipe, token, Interest::READABLE)?;
        let mut signals = Signals { pipe, hooks: Vec::new() };
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: a signal first looks whether an earlier one has asked.
            let ended = flag::register_conditional_shutdown(signal, FORCED, asked.clone())?;
            let marked = flag::register(signal, asked.clone())?;
            signals.hooks.extend([ended, marked]);
            signals.hooks.push(pipe::register(signal, theirs.try_clone()?)?);
        }
        Ok(signals)
    }

    /// How many signals came since the last call.
    pub(crate) fn take(&mut self) -> usize {
        let mut bytes = [0; 64];
        let mut count = 0;
        while let Ok(n @ 1..) = self.pipe.read(&mut bytes) {
            count += n;
        }
        count
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for hook in self.hooks.drain(..) {
            unregister(hook);
        }
    }
}
