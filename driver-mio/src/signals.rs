//! SIGINT and SIGTERM as readable bytes on the event loop.

use std::io::{self, Read};

use mio::{Interest, Registry, Token, net::UnixStream};
use signal_hook::{
    SigId,
    consts::{SIGINT, SIGTERM},
    low_level::{pipe, unregister},
};

/// While it lives, the two signals no longer kill the process but can be counted here.
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
        for signal in [SIGINT, SIGTERM] {
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
