//! The transports of a byte stream as one: TCP, TLS over it, Unix. Never blocking.

use std::{
    io::{self, Read},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    sync::Arc,
};

use socket2::{Domain, Protocol, Type};

use crate::{queue::Queue, reactor::Descriptor, tls::TlsStream};

/// An open connection.
pub(crate) enum Socket {
    Tcp(Arc<TcpStream>),
    Tls(TlsStream),
    Unix(Arc<UnixStream>),
}

/// Begins to connect; the socket becomes writable when it is decided.
pub(crate) fn connect(addr: SocketAddr) -> io::Result<Arc<TcpStream>> {
    let socket = socket2::Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&addr.into()) {
        Ok(()) => {}
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(e) => return Err(e),
    }
    Ok(Arc::new(socket.into()))
}

impl Socket {
    pub(crate) fn descriptor(&self) -> Descriptor {
        match self {
            Socket::Tcp(socket) => socket.clone(),
            Socket::Tls(socket) => socket.tcp().clone(),
            Socket::Unix(socket) => socket.clone(),
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => (&**socket).read(buffer),
            Socket::Tls(socket) => socket.read(buffer),
            Socket::Unix(socket) => (&**socket).read(buffer),
        }
    }

    pub(crate) fn write_from(&mut self, queue: &mut Queue) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => queue.write_to(&mut &**socket),
            Socket::Tls(socket) => queue.write_to(socket),
            Socket::Unix(socket) => queue.write_to(&mut &**socket),
        }
    }

    /// Whether bytes taken from the queue have not reached the kernel.
    pub(crate) fn has_pending(&self) -> bool {
        matches!(self, Socket::Tls(socket) if socket.has_pending())
    }

    pub(crate) fn push_pending(&mut self) -> io::Result<()> {
        match self {
            Socket::Tls(socket) => socket.push_pending(),
            Socket::Tcp(_) | Socket::Unix(_) => Ok(()),
        }
    }

    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match self {
            Socket::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Socket::Tls(socket) => socket.finish(),
            Socket::Unix(socket) => socket.shutdown(Shutdown::Write),
        }
    }

    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Socket::Tcp(socket) => Some(socket),
            Socket::Tls(socket) => Some(socket.tcp()),
            Socket::Unix(_) => None,
        }
    }
}
