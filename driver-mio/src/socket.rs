//! The transports of a byte stream as one: TCP, TLS over it, Unix.

use std::{
    io::{self, Read},
    net::Shutdown,
};

use mio::{
    event::Source,
    net::{TcpStream, UnixStream},
};

use crate::{queue::Queue, tls::TlsStream};

/// An open connection.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Tls(TlsStream),
    Unix(UnixStream),
}

impl Socket {
    pub(crate) fn source(&mut self) -> &mut dyn Source {
        match self {
            Socket::Tcp(socket) => socket,
            Socket::Tls(socket) => socket.tcp(),
            Socket::Unix(socket) => socket,
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.read(buffer),
            Socket::Tls(socket) => socket.read(buffer),
            Socket::Unix(socket) => socket.read(buffer),
        }
    }

    pub(crate) fn write_from(&mut self, queue: &mut Queue) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => queue.write_to(socket),
            Socket::Tls(socket) => queue.write_to(socket),
            Socket::Unix(socket) => queue.write_to(socket),
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

    pub(crate) fn tcp(&mut self) -> Option<&TcpStream> {
        match self {
            Socket::Tcp(socket) => Some(socket),
            Socket::Tls(socket) => Some(socket.tcp()),
            Socket::Unix(_) => None,
        }
    }
}
