//! Reaching a daemon of this host.

use std::{io, os::unix::net::UnixStream, path::Path};

/// Where a daemon listens unless it was told otherwise.
pub const DEFAULT_SOCKET: &str = "/tmp/pilot.sock";

/// Connects to the daemon's socket at `path`.
///
/// # Errors
/// `PermissionDenied` if another user than we or root listens there: the default path is in a directory where anybody may
/// put a socket.
pub fn open_socket(path: &Path) -> io::Result<UnixStream> {
    let socket = UnixStream::connect(path)?;
    #[cfg(target_os = "linux")]
    {
        let owner = rustix::net::sockopt::socket_peercred(&socket)?.uid;
        if !may_serve(owner, rustix::process::geteuid()) {
            let words = format!("{} belongs to user {}, not to you", path.display(), owner.as_raw());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, words));
        }
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Whether a socket that `owner` listens on may be our daemon's.
#[cfg(target_os = "linux")]
fn may_serve(owner: rustix::process::Uid, us: rustix::process::Uid) -> bool {
    owner == us || owner.is_root()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::Uid;

    use super::*;

    #[test]
    fn hazard_07_11_a_socket_of_another_user_is_not_our_daemons() {
        let (root, us, other) = (Uid::from_raw(0), Uid::from_raw(1000), Uid::from_raw(1001));
        assert!(may_serve(us, us) && may_serve(root, us) && may_serve(root, root));
        assert!(!may_serve(other, us) && !may_serve(other, root));
    }
}
