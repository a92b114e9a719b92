//! The file an operator asked the keys of sessions into. It is opened at the start, so that a wrong path stops the program
//! and not the log, and belongs to its owner alone.

use std::{
    fs::{OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use pilot_keylog::{HEAD, KeyLog};

/// A key log that adds to the file at `path`, which is made if it is missing.
pub(crate) fn open(path: &Path) -> Result<KeyLog, String> {
    let named = |error: io::Error| format!("key log {}: {error}", path.display());
    // Unbuffered: what a line says is in no memory of ours afterwards.
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(named)?;
    file.set_permissions(Permissions::from_mode(0o600)).map_err(named)?;
    if file.metadata().map_err(named)?.len() == 0 {
        file.write_all(HEAD.as_bytes()).map_err(named)?;
    }
    tracing::warn!(file = %path.display(), "the keys of all sessions are written down: who reads the file reads the traffic");
    let mut failed = false;
    let shown = path.display().to_string();
    Ok(KeyLog::new(move |line| {
        if let Err(error) = file.write_all(line.as_bytes())
            && !failed
        {
            failed = true;
            tracing::warn!(file = %shown, %error, "the key log is incomplete");
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilot_keylog::{Ciphers, Logged};
    use pilot_proto::{
        crypto::{Crypto, RustCrypto, X25519Secret},
        tunnel::KEY_INFO,
    };
    use std::fs;

    #[test]
    fn the_file_is_private_even_if_it_was_not_and_keeps_what_it_had() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.log");
        fs::write(&path, "# of another run\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let crypto = Logged::new(RustCrypto, Ciphers::Real, Some(open(&path).unwrap()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let own = X25519Secret::from_bytes([1; 32]);
        let peer = crypto.x25519_public(&X25519Secret::from_bytes([2; 32]));
        crypto.hkdf_sha256(&crypto.x25519(&own, &peer).unwrap(), KEY_INFO);
        let text = fs::read_to_string(&path).unwrap();
        let (before, line) = text.split_once('\n').unwrap();
        assert_eq!(before, "# of another run");
        assert!(line.starts_with("PILOT_KEY aes-256-gcm ") && line.ends_with('\n'), "{line}");
    }

    #[test]
    fn a_path_that_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let words = open(directory.path()).unwrap_err();
        assert!(words.contains(&directory.path().display().to_string()), "{words}");
    }
}
