//! A client that writes exactly the bytes that it is given: others would put right what is to be tried wrong.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Longest wait for bytes.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a client presents, PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Bytes both ways.
trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A connection.
pub struct Connection {
    stream: Box<dyn Stream>,
    /// What was read beyond the last answer.
    rest: Vec<u8>,
}

impl Connection {
    /// In the clear.
    pub fn plain(address: SocketAddr) -> Result<Self> {
        Ok(Self { stream: Box::new(tcp(address)?), rest: Vec::new() })
    }

    /// With TLS, to the server of that name, which `authority` (PEM) has signed.
    pub fn tls(
        address: SocketAddr,
        name: &str,
        authority: &str,
        identity: Option<&Identity>,
    ) -> Result<Self> {
        let wrong = |error: &dyn std::fmt::Display| Error::new(ErrorKind::InvalidInput, error.to_string());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(certificate.map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong(&e))?
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
                let chain = chain.collect::<std::result::Result<_, _>>().map_err(|e| wrong(&e))?;
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| wrong(&e))?;
                builder.with_client_auth_cert(chain, key).map_err(|e| wrong(&e))?
            }
        };
        let name = ServerName::try_from(name.to_owned()).map_err(|e| wrong(&e))?;
        let tls = ClientConnection::new(Arc::new(config), name).map_err(|e| wrong(&e))?;
        Ok(Self { stream: Box::new(StreamOwned::new(tls, tcp(address)?)), rest: Vec::new() })
    }

    /// Sends these bytes and reads one answer.
    pub fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request)?;
        self.stream.flush()?;
        let end = loop {
            if let Some(end) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest.drain(..end);
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer {
            status: status.ok_or_else(|| Error::new(ErrorKind::InvalidData, head.clone()))?,
            headers,
            body: String::new(),
        };
        let bodiless = request.starts_with(b"HEAD ") || matches!(answer.status, 204 | 304);
        let body = match answer.header("content-length").and_then(|length| length.parse().ok()) {
            _ if bodiless => Vec::new(),
            Some(length) => self.take(length)?,
            None if answer.header("transfer-encoding") == Some("chunked") => self.chunks()?,
            None => Vec::new(),
        };
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    fn more(&mut self) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => {
                self.rest.extend_from_slice(&buffer[..read]);
                Ok(())
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.rest.len() < length {
            self.more()?;
        }
        Ok(self.rest.drain(..length).collect())
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = self.rest.windows(2).position(|two| two == b"\r\n") {
                    break end;
                }
                self.more()?;
            };
            let line = self.take(end + 2)?;
            let line = String::from_utf8_lossy(&line[..end]).into_owned();
            let length = usize::from_str_radix(line.trim(), 16)
                .map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
            let chunk = self.take(length + 2)?;
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }
}

fn tcp(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
