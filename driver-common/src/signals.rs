//! SIGINT and SIGTERM as readable bytes; the second one ends the process even if the engine hangs.

use std::{
    io::{self, Read},
    os::unix::net::UnixStream,
    sync::{Arc, atomic::AtomicBool},
};

use signal_hook::{
    SigId,
    consts::{SIGINT, SIGTERM},
    flag,
    low_level::{pipe, unregister},
};

use crate::reactor::{Reactor, Token, Watch};

/// Exit status after the second signal.
const FORCED: i32 = 1;

/// While it lives, the first of these signals does not end the process but can be seen here.
#[derive(Debug)]
pub(crate) struct Signals<W> {
    pipe: Arc<UnixStream>,
    watch: W,
    #[expect(dead_code, reason = "unhooks when dropped")]
    hooks: Hooks,
}

/// Unhooked when dropped.
#[derive(Debug, Default)]
struct Hooks(Vec<SigId>);

impl<W: Watch> Signals<W> {
    pub(crate) fn hook<X: Reactor<Watch = W>>(reactor: &X, token: Token) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let pipe = Arc::new(ours);
        let watch = reactor.watch(pipe.clone(), token)?;
        let mut hooks = Hooks::default();
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: a signal first looks whether an earlier one has asked.
            let ended = flag::register_conditional_shutdown(signal, FORCED, asked.clone())?;
            let marked = flag::register(signal, asked.clone())?;
            hooks.0.extend([ended, marked]);
            hooks.0.push(pipe::register(signal, theirs.try_clone()?)?);
        }
        Ok(Signals { pipe, watch, hooks })
    }

    /// How many signals came since the last call.
    pub(crate) fn take(&mut self) -> usize {
        let mut bytes = [0; 64];
        let mut count = 0;
        while let Ok(n @ 1..) = (&*self.pipe).read(&mut bytes) {
            count += n;
        }
        self.watch.arm_read();
        count
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        for hook in self.0.drain(..) {
            unregister(hook);
        }
    }
}
