//! Sockets that are bound: where a role's listeners and its UDP socket are, and the care that binding needs.

use std::{
    fmt, fs,
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt, MetadataExt, PermissionsExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::tls::ServeTls;

/// Connections the kernel may hold before they are accepted.
const BACKLOG: i32 = 1024;

/// Where a listener is.
#[derive(Debug)]
pub enum Place {
    /// A Unix socket of mode 0600.
    Unix(PathBuf),
    /// A TCP address, `host:port` or `:port`.
    Tcp(String),
    /// A TCP socket bound before, so that the port the system chose is known; with TLS if set.
    Bound(std::net::TcpListener, Option<ServeTls>),
}

impl Place {
    /// `TLS` or `plaintext`, for the log.
    pub(crate) fn transport(&self) -> &'static str {
        if matches!(self, Place::Bound(_, Some(_))) { "TLS" } else { "plaintext" }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Unix(path) => write!(f, "{}", path.display()),
            Place::Tcp(addr) => f.write_str(addr),
            Place::Bound(socket, _) => match socket.local_addr() {
                Ok(addr) => write!(f, "{addr}"),
                Err(_) => f.write_str("?"),
            },
        }
    }
}

/// Binds UDP `host:port`; an empty host (`:4000`) is every address of both families where the system has both.
///
/// # Errors
/// One sentence naming the address.
pub fn bind_udp(addr: &str) -> io::Result<std::net::UdpSocket> {
    Ok(bind(addr, Type::DGRAM, Protocol::UDP)?.into())
}

/// Binds and listens on TCP `host:port`, as [`bind_udp`].
///
/// # Errors
/// One sentence naming the address.
pub fn bind_tcp(addr: &str) -> io::Result<std::net::TcpListener> {
    let socket = bind(addr, Type::STREAM, Protocol::TCP)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind(addr: &str, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let wrong = |e: io::Error| io::Error::new(e.kind(), format!("cannot bind {addr}: {e}"));
    let candidates: Vec<SocketAddr> = match addr.strip_prefix(':') {
        Some(port) => {
            let port = port.parse().map_err(|_| {
                wrong(io::Error::new(ErrorKind::InvalidInput, "the port must be a number from 0 to 65535"))
            })?;
            vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
        }
        None => addr.to_socket_addrs().map_err(wrong)?.collect(),
    };
    let mut last = io::Error::new(ErrorKind::NotFound, "no such address");
    for candidate in candidates {
        match bind_one(candidate, kind, protocol) {
            Ok(socket) => return Ok(socket),
            Err(e) => {
                // The wildcard of the other family would answer on a port that somebody else already serves.
                let taken = e.kind() == ErrorKind::AddrInUse;
                last = e;
                if taken {
                    break;
                }
            }
        }
    }
    Err(wrong(last))
}

fn bind_one(addr: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    if let SocketAddr::V6(v6) = addr {
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&addr.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The file of a Unix listener, removed with this. Drop it before the listener: an open listener pins the inode, so that
/// its number cannot come to mean somebody else's file.
#[derive(Debug)]
pub(crate) struct UnixPlace {
    path: PathBuf,
    inode: (u64, u64),
}

impl Drop for UnixPlace {
    fn drop(&mut self) {
        // Somebody else's socket may lie there by now.
        if inode(&self.path).is_ok_and(|inode| inode == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

/// Listens at `path` with mode 0600 from the first moment. A socket nobody answers on is removed first; one that
/// answers, and any other kind of file, is left alone.
pub(crate) fn bind_unix(path: &Path) -> Result<(UnixListener, UnixPlace), String> {
    let shown = path.display();
    let address = SockAddr::unix(path).map_err(|_| {
        format!("socket path {shown} has {} bytes, the system allows about 100", path.as_os_str().len())
    })?;
    let directory = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.is_dir() {
        return Err(format!("socket path {shown}: the directory {} does not exist", directory.display()));
    }
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(format!("socket path {shown}: {e}")),
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(format!("socket path {shown}: a file that is no socket is there"));
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => return Err(format!("socket path {shown}: another daemon answers there")),
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(|e| format!("socket path {shown}: {e}"))?;
            }
            Err(e) => return Err(format!("socket path {shown}: {e}")),
        },
    }
    let listener = listen_unix(&address).map_err(|e| format!("socket path {shown}: {e}"))?;
    let private = fs::set_permissions(path, fs::Permissions::from_mode(0o600)).and_then(|()| inode(path));
    match private {
        Ok(inode) => Ok((listener, UnixPlace { path: path.to_owned(), inode })),
        Err(e) => Err(format!("socket path {shown}: {e}")),
    }
}

fn listen_unix(address: &SockAddr) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // On Linux the file inherits the mode of the unbound socket, so there is no moment at which others may connect.
    // Elsewhere this fails, and the mode is set right after binding.
    let file = fs::File::from(OwnedFd::from(socket));
    let _ = file.set_permissions(fs::Permissions::from_mode(0o600));
    let socket = Socket::from(OwnedFd::from(file));
    socket.bind(address)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hazard_07_9_a_unix_socket_is_left_to_who_answers_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let (listener, place) = bind_unix(&path).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let refused = bind_unix(&path).unwrap_err();
        assert!(refused.contains("another daemon answers"), "{refused}");
        fs::remove_file(&path).unwrap();
        let (listener2, place2) = bind_unix(&path).unwrap();
        drop(place);
        assert!(path.exists(), "the first owner leaves the second one's socket alone");
        drop((listener, listener2));
        let (_listener3, place3) = bind_unix(&path).expect("a dead socket is replaced");
        drop(place3);
        assert!(!path.exists());
        drop(place2);
    }

    /// Elsewhere the mode is set a moment later.
    #[test]
    #[cfg(target_os = "linux")]
    fn hazard_07_10_a_unix_socket_is_private_from_the_first_moment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = listen_unix(&SockAddr::unix(&path).unwrap()).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn wrong_socket_paths_are_one_clear_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        fs::write(&file, "{}").unwrap();
        assert!(bind_unix(&file).unwrap_err().contains("no socket"));
        assert_eq!(fs::read(&file).unwrap(), b"{}");
        assert!(bind_unix(&dir.path().join("no/s")).unwrap_err().contains("does not exist"));
        assert!(bind_unix(&dir.path().join("x".repeat(120))).unwrap_err().contains("bytes"));
    }

    #[test]
    fn addresses_that_cannot_be_bound_are_named() {
        let taken = bind_tcp("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap().to_string();
        assert!(bind_tcp(&addr).unwrap_err().to_string().contains(&addr));
        assert!(bind_udp(":99999").unwrap_err().to_string().contains("65535"));
        assert!(bind_udp(":0").unwrap().local_addr().unwrap().ip().is_unspecified());
    }
}
