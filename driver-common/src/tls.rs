//! TLS under a byte stream: a registry that serves it, and a daemon that pins the certificate it was told.
//!
//! The field pins by the SHA-256 of the certificate, so a certificate we make is kept and its fingerprint is logged;
//! names and dates in it are not looked at.

use std::{
    fmt::Write as _,
    fs,
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
};

use ::ring::digest::{SHA256, digest};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, DigitallySignedStruct, Error, ServerConfig,
    ServerConnection, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

use crate::store;

/// Clear text that may wait inside a session; more waits in the connection's own queue, which is counted.
const SESSION_BUFFER: usize = 64 * 1024;

/// How connections of a listener are served.
#[derive(Clone, Debug)]
pub struct ServeTls {
    config: Arc<ServerConfig>,
    /// SHA-256 of the certificate, lower-case hex: what clients pin.
    pub fingerprint: String,
}

impl ServeTls {
    /// With the certificate chain and the key in two PEM files.
    ///
    /// # Errors
    /// One sentence naming the file.
    pub fn from_files(cert: &Path, key: &Path) -> Result<Self, String> {
        let read = |path: &Path| fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
        ServeTls::from_pem(&read(cert)?, &read(key)?)
            .map_err(|words| format!("{} with {}: {words}", cert.display(), key.display()))
    }

    /// With a self-signed certificate that is kept in `file` (mode 0600) from the first start on, or, without a file,
    /// lasts as long as the process.
    ///
    /// # Errors
    /// One sentence naming the file.
    pub fn self_signed(file: Option<&Path>) -> Result<Self, String> {
        let Some(path) = file.filter(|_| !pilot_proto::planted!(CertificateRemade)) else {
            return ServeTls::from_one_pem(&make_pem()?);
        };
        let named = |words: String| format!("{}: {words}", path.display());
        let pem = match fs::read(path) {
            Ok(pem) => pem,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let pem = make_pem().map_err(named)?;
                store::replace(path, &pem)?;
                pem
            }
            Err(e) => return Err(named(e.to_string())),
        };
        ServeTls::from_one_pem(&pem).map_err(named)
    }

    fn from_one_pem(pem: &[u8]) -> Result<Self, String> {
        ServeTls::from_pem(pem, pem)
    }

    fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self, String> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(cert)
            .collect::<Result<_, _>>()
            .map_err(|e| format!("no PEM certificate: {e}"))?;
        let fingerprint = fingerprint(chain.first().ok_or("no certificate in the file")?);
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| format!("no PEM key: {e}"))?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|e| e.to_string())?;
        Ok(ServeTls { config: Arc::new(config), fingerprint })
    }

    pub(crate) fn session(&self, tcp: Arc<TcpStream>) -> io::Result<TlsStream> {
        let session = ServerConnection::new(self.config.clone()).map_err(io::Error::other)?;
        Ok(TlsStream::new(tcp, session.into()))
    }
}

/// How a dialled connection is checked.
#[derive(Clone, Debug)]
pub struct DialTls {
    config: Arc<ClientConfig>,
}

impl DialTls {
    /// Trusts the one certificate with this SHA-256 (64 hex digits).
    ///
    /// # Errors
    /// If `hex` is something else.
    pub fn pinned(hex: &str) -> Result<Self, String> {
        let wanted = hex.to_ascii_lowercase();
        if wanted.len() != 64 || !wanted.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("a certificate fingerprint has 64 hex digits (SHA-256), not {hex:?}"));
        }
        let provider = provider();
        let pin = Pin { wanted, provider: provider.clone() };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(pin))
            .with_no_client_auth();
        Ok(DialTls { config: Arc::new(config) })
    }

    pub(crate) fn session(&self, tcp: Arc<TcpStream>) -> io::Result<TlsStream> {
        // The name is for virtual hosts only; trust comes from the pin.
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let session = ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)?;
        Ok(TlsStream::new(tcp, session.into()))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = digest(&SHA256, certificate);
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Certificate and key in one PEM text.
fn make_pem() -> Result<Vec<u8>, String> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).map_err(|e| e.to_string())?;
    Ok((made.cert.pem() + &made.signing_key.serialize_pem()).into_bytes())
}

#[derive(Debug)]
struct Pin {
    wanted: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let got = fingerprint(end_entity);
        if got == self.wanted {
            return Ok(ServerCertVerified::assertion());
        }
        tracing::warn!(%got, want = %self.wanted, "certificate fingerprint mismatch");
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A session over a non-blocking connection.
pub(crate) struct TlsStream {
    tcp: Arc<TcpStream>,
    session: Box<Connection>,
}

impl TlsStream {
    fn new(tcp: Arc<TcpStream>, mut session: Connection) -> Self {
        session.set_buffer_limit(Some(SESSION_BUFFER));
        TlsStream { tcp, session: Box::new(session) }
    }

    pub(crate) fn tcp(&self) -> &Arc<TcpStream> {
        &self.tcp
    }

    /// Whether the session has bytes for the other side, of the handshake or of what was written.
    pub(crate) fn has_pending(&self) -> bool {
        self.session.wants_write()
    }

    /// Hands the session's bytes to the kernel; `WouldBlock` if it does not take them all.
    pub(crate) fn push_pending(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut &*self.tcp)?;
        }
        Ok(())
    }

    /// Says that no more will be sent.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        self.push_pending()?;
        self.tcp.shutdown(std::net::Shutdown::Write)
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                // The other side's TCP ended without TLS's goodbye. The registry's frames show themselves if cut.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            self.session.read_tls(&mut &*self.tcp)?;
            let processed = self.session.process_new_packets();
            // An answer of the handshake, or the alert that says what is wrong.
            match self.push_pending() {
                Err(e) if e.kind() != ErrorKind::WouldBlock && processed.is_ok() => return Err(e),
                _ => {}
            }
            processed.map_err(|e| io::Error::new(ErrorKind::InvalidData, format!("TLS: {e}")))?;
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.push_pending()?;
        let taken = self.session.writer().write(data)?;
        match self.push_pending() {
            Err(e) if e.kind() != ErrorKind::WouldBlock => Err(e),
            // A full session, as before the handshake is done, is a kernel that takes nothing.
            _ if taken == 0 && !data.is_empty() => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push_pending()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Both ends of a connection, the client's with this pin.
    fn pair(serve: &ServeTls, pin: &str) -> (TlsStream, TlsStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        for socket in [&client, &server] {
            socket.set_nonblocking(true).unwrap();
        }
        (DialTls::pinned(pin).unwrap().session(client.into()).unwrap(), serve.session(server.into()).unwrap())
    }

    /// Writes on one end what the other reads, taking turns as the loop does.
    fn carry(from: &mut TlsStream, to: &mut TlsStream, data: &[u8]) -> io::Result<Vec<u8>> {
        let (mut sent, mut got, mut buffer) = (0, Vec::new(), [0; 4096]);
        while got.len() < data.len() {
            for result in [from.write(&data[sent..]).map(|n| sent += n), from.read(&mut buffer).map(drop)] {
                match result {
                    Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(e),
                    _ => {}
                }
            }
            match to.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => got.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
        Ok(got)
    }

    #[test]
    fn a_pinned_certificate_carries_bytes_both_ways() {
        let serve = ServeTls::self_signed(None).unwrap();
        let (mut client, mut server) = pair(&serve, &serve.fingerprint.to_uppercase());
        let data: Vec<u8> = (0..1_000_000_u32).map(|i| i as u8).collect();
        assert!(carry(&mut client, &mut server, &data).unwrap() == data);
        assert!(carry(&mut server, &mut client, &data).unwrap() == data);
        server.finish().unwrap();
        let mut rest = [0; 9];
        let end = loop {
            match client.read(&mut rest) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                end => break end.unwrap(),
            }
        };
        assert_eq!(end, 0);
    }

    #[test]
    fn another_certificate_is_refused() {
        let serve = ServeTls::self_signed(None).unwrap();
        let (mut client, mut server) = pair(&serve, &"0".repeat(64));
        assert!(carry(&mut client, &mut server, b"secret").is_err());
        assert!(DialTls::pinned("abc").unwrap_err().contains("64 hex digits"));
    }

    /// The reference makes a new certificate at every start, which makes pinning impractical.
    #[test]
    fn hazard_11_a_self_signed_certificate_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tls.pem");
        let first = ServeTls::self_signed(Some(&path)).unwrap();
        assert_eq!(ServeTls::self_signed(Some(&path)).unwrap().fingerprint, first.fingerprint);
        assert_eq!(ServeTls::from_files(&path, &path).unwrap().fingerprint, first.fingerprint);
        fs::write(&path, "nonsense").unwrap();
        assert!(ServeTls::self_signed(Some(&path)).unwrap_err().contains("tls.pem"));
    }
}
