//! Where to dial: addresses directly, host names on a short-lived thread so that a slow resolver never stops the loop.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    mailbox::{Letter, Mailbox},
    reactor::Token,
    tls::DialTls,
};

/// Resolver threads at a time; a resolver that hangs must not pile up threads.
const MAX_RESOLVERS: usize = 4;

/// Where something to dial is.
#[derive(Clone, Debug)]
pub struct Target {
    /// `host:port`.
    pub addr: String,
    /// Secured with TLS, if set.
    pub tls: Option<DialTls>,
}

impl From<String> for Target {
    fn from(addr: String) -> Self {
        Target { addr, tls: None }
    }
}

/// What is known at once about where to dial.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// It was an address.
    Now(SocketAddr),
    /// A [`Letter::Resolved`] will come.
    Later,
}

/// Turns `host:port` into addresses.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    running: Arc<AtomicUsize>,
}

impl Resolver {
    pub(crate) fn resolve(&self, target: &str, conn: Token, mailbox: &Mailbox) -> Result<Resolved, String> {
        if let Ok(addr) = target.parse() {
            return Ok(Resolved::Now(addr));
        }
        if self.running.fetch_add(1, Ordering::Relaxed) >= MAX_RESOLVERS {
            self.running.fetch_sub(1, Ordering::Relaxed);
            return Err(format!("resolving {target}: the name server does not answer"));
        }
        let (running, mailbox, target) = (self.running.clone(), mailbox.clone(), target.to_owned());
        let spawned = thread::Builder::new().name("resolver".into()).spawn({
            let running = running.clone();
            move || {
                let result = match target.to_socket_addrs() {
                    Ok(addrs) => Ok(addrs.collect::<Vec<_>>()),
                    Err(e) => Err(format!("resolving {target}: {e}")),
                };
                running.fetch_sub(1, Ordering::Relaxed);
                mailbox.post(Letter::Resolved { conn, result });
            }
        });
        match spawned {
            Ok(_) => Ok(Resolved::Later),
            Err(e) => {
                running.fetch_sub(1, Ordering::Relaxed);
                Err(format!("cannot start a resolver thread: {e}"))
            }
        }
    }
}
