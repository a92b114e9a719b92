//! One connection to a registry under test: frames as a case wants them, from an address of the case's choice.

use super::trace::{Trace, hex};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an answer may take that a case waits for.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

/// What bytes go through.
enum Pipe {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Pipe {
    fn tcp(&self) -> &TcpStream {
        match self {
            Pipe::Plain(tcp) => tcp,
            Pipe::Tls(stream) => &stream.sock,
        }
    }
}

pub(crate) struct Link {
    pipe: Pipe,
    buffer: Vec<u8>,
    trace: Trace,
}

/// A TCP connection from an address to an address.
fn dial(source: Ipv4Addr, to: SocketAddr) -> Result<TcpStream, String> {
    let fail = |e: rustix::io::Errno| format!("{source} to {to}: {e}");
    let SocketAddr::V4(to) = to else { return Err(format!("{to} is no IPv4 address")) };
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(fail)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(source, 0)).map_err(fail)?;
    rustix::net::connect(&socket, &to).map_err(fail)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).map_err(|e| format!("{source} to {to}: {e}"))?;
    Ok(stream)
}

/// Writes until the time limit of `stream` passes without a byte being taken; says how many were.
pub(crate) fn write_while_taken(stream: &mut impl Write, bytes: &[u8]) -> std::io::Result<usize> {
    let mut taken = 0;
    while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest) {
            Ok(written) => taken += written,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(taken)
}

/// A request in its frame (REG-1).
pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

impl Link {
    pub(crate) fn dial(source: Ipv4Addr, registry: SocketAddr, trace: &Trace) -> Result<Link, String> {
        let pipe = Pipe::Plain(dial(source, registry)?);
        Ok(Link { pipe, buffer: Vec::new(), trace: trace.clone() })
    }

    /// The same under TLS, whatever certificate is shown.
    pub(crate) fn dial_tls(source: Ipv4Addr, registry: SocketAddr, trace: &Trace) -> Result<Link, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS: {e}"))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        let tcp = dial(source, registry)?;
        tcp.set_read_timeout(Some(ANSWER)).map_err(|e| format!("TLS: {e}"))?;
        let name = ServerName::from(registry.ip());
        let session =
            rustls::ClientConnection::new(Arc::new(config), name).map_err(|e| format!("TLS: {e}"))?;
        let mut stream = rustls::StreamOwned::new(session, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|e| format!("TLS handshake: {e}"))?;
        }
        Ok(Link { pipe: Pipe::Tls(Box::new(stream)), buffer: Vec::new(), trace: trace.clone() })
    }

    /// The certificate the other side showed.
    pub(crate) fn certificate(&self) -> Option<Vec<u8>> {
        match &self.pipe {
            Pipe::Plain(_) => None,
            Pipe::Tls(stream) => Some(stream.conn.peer_certificates()?.first()?.to_vec()),
        }
    }

    /// Its own address.
    pub(crate) fn address(&self) -> Result<SocketAddr, String> {
        self.pipe.tcp().local_addr().map_err(|e| format!("registry: {e}"))
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = match &mut self.pipe {
            Pipe::Plain(tcp) => tcp.write_all(bytes),
            Pipe::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        };
        written.map_err(|e| format!("registry: {e}"))
    }

    /// Sends bytes until `limit` passes without any being taken; says how many were.
    pub(crate) fn send_while_taken(&mut self, bytes: &[u8], limit: Duration) -> Result<usize, String> {
        let Pipe::Plain(tcp) = &mut self.pipe else { return Err("not under TLS".into()) };
        tcp.set_write_timeout(Some(limit)).map_err(|e| format!("registry: {e}"))?;
        let taken = write_while_taken(tcp, bytes).map_err(|e| format!("registry: {e}"))?;
        tcp.set_write_timeout(None).map_err(|e| format!("registry: {e}"))?;
        Ok(taken)
    }

    pub(crate) fn send(&mut self, request: &Value) -> Result<(), String> {
        self.trace.note(format!("registry < {request}"));
        self.send_raw(&framed(request.to_string().as_bytes()))
    }

    /// Sends a body in its frame, JSON or not.
    pub(crate) fn send_body(&mut self, body: &[u8]) -> Result<(), String> {
        self.trace.note(format!("registry < {}", hex(body, 60)));
        self.send_raw(&framed(body))
    }

    /// Says that nothing more will come.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        self.pipe.tcp().shutdown(Shutdown::Write).map_err(|e| format!("registry: {e}"))
    }

    /// Goes away as a process that died: with a reset.
    pub(crate) fn die(self) -> Result<(), String> {
        rustix::net::sockopt::set_socket_linger(self.pipe.tcp(), Some(Duration::ZERO))
            .map_err(|e| format!("registry: {e}"))
    }

    /// The body of the next frame; `None` when the registry closed the connection.
    pub(crate) fn receive(&mut self, limit: Duration) -> Result<Option<Vec<u8>>, String> {
        let end = Instant::now() + limit;
        loop {
            if let Some((length, rest)) = self.buffer.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if let Some(body) = rest.get(..length).map(<[u8]>::to_vec) {
                    self.buffer.drain(..4 + length);
                    self.trace.note(format!("registry > {}", String::from_utf8_lossy(&body)));
                    return Ok(Some(body));
                }
            }
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.pipe.tcp().set_read_timeout(Some(left)).map_err(|e| format!("registry: {e}"))?;
            let mut chunk = [0; 65536];
            let read = match &mut self.pipe {
                Pipe::Plain(tcp) => tcp.read(&mut chunk),
                Pipe::Tls(stream) => stream.read(&mut chunk),
            };
            match read {
                Ok(0) => return self.ended(),
                Ok(read) => self.buffer.extend(&chunk[..read]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if Instant::now() >= end {
                        return Err(format!("no answer within {:.1} s", limit.as_secs_f64()));
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // A reset is an end as well, and so is TLS cut short.
                Err(_) => return self.ended(),
            }
        }
    }

    /// Everything until the connection ends, frames or not.
    pub(crate) fn rest(&mut self) -> Result<Vec<u8>, String> {
        let fail = |e: std::io::Error| format!("registry: {e}");
        self.pipe.tcp().set_read_timeout(Some(ANSWER)).map_err(fail)?;
        let mut rest = std::mem::take(&mut self.buffer);
        match self.pipe.tcp().read_to_end(&mut rest) {
            Err(e) if e.kind() != ErrorKind::ConnectionReset => Err(fail(e)),
            _ => Ok(rest),
        }
    }

    fn ended(&self) -> Result<Option<Vec<u8>>, String> {
        self.trace.note("registry closed the connection".into());
        if self.buffer.is_empty() {
            Ok(None)
        } else {
            Err(format!("the connection ended inside an answer: {}", hex(&self.buffer, 40)))
        }
    }

    /// The connection must end without another answer.
    pub(crate) fn closed(&mut self) -> Result<(), String> {
        match self.receive(ANSWER) {
            Ok(None) => Ok(()),
            Ok(Some(body)) => Err(format!("answered {}", String::from_utf8_lossy(&body))),
            Err(why) => Err(format!("the connection stays: {why}")),
        }
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> Result<Value, String> {
        let body = self.receive(ANSWER)?.ok_or("the registry closed the connection")?;
        serde_json::from_slice(&body).map_err(|e| format!("an answer that is no JSON: {e}"))
    }

    pub(crate) fn ask(&mut self, request: &Value) -> Result<Value, String> {
        self.send(request)?;
        self.answer()
    }
}

/// What is under test is not whom the certificate names.
#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
