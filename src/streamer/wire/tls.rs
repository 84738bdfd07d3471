//! Encrypted connections: rustls with ring's cryptography.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme, StreamOwned,
};

use super::endpoint::{Address, Tls, Verify};
use super::transport::Timed;
use crate::streamer::error::Error;

/// An encrypted connection over a connected socket, with its handshake done by the socket's time limit.
pub fn wrap(
    socket: Timed,
    host: &str,
    tls: &Tls,
    address: &Address,
) -> Result<StreamOwned<ClientConnection, Timed>, Error> {
    let failed = |source| Error::Tls {
        address: address.to_string(),
        source,
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(io::Error::other(error)))?;
    let client =
        ClientConnection::new(Arc::new(config(tls)?), name).map_err(|error| failed(io::Error::other(error)))?;
    let mut stream = StreamOwned::new(client, socket);
    while stream.conn.is_handshaking() {
        stream
            .conn
            .complete_io(&mut stream.sock)
            .map_err(|error| handshake_failure(error, address))?;
    }
    Ok(stream)
}

/// A server without TLS waits for more of what it takes for a command; one that goes away may come back.
fn handshake_failure(error: io::Error, address: &Address) -> Error {
    let address = address.to_string();
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            let text = "no answer to the TLS handshake in time";
            let source = io::Error::new(io::ErrorKind::TimedOut, text);
            Error::Tls { address, source }
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            Error::Lost { address, source: error }
        }
        _ => Error::Tls { address, source: error },
    }
}

/// What is wrong with an encrypted connection, as far as a person can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    Expired,
    NotValidYet,
    /// The server's certificate is for other names.
    OtherHost,
    UnknownAuthority,
    /// The server wants to see a certificate of the client.
    NoClientCertificate,
    /// What answered does not speak TLS.
    NoTls,
    Other,
}

impl TlsFault {
    /// Of the failure of a handshake, or of what was read after it.
    pub fn of(failure: &io::Error) -> Self {
        let Some(error) = failure
            .get_ref()
            .and_then(|error| error.downcast_ref::<rustls::Error>())
        else {
            // Whoever expects a command waits for more of it.
            let is_silent = failure.kind() == io::ErrorKind::TimedOut;
            return if is_silent { Self::NoTls } else { Self::Other };
        };
        match error {
            rustls::Error::InvalidCertificate(fault) => match fault {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotValidYet,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::OtherHost,
                CertificateError::UnknownIssuer => Self::UnknownAuthority,
                _ => Self::Other,
            },
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => Self::NoClientCertificate,
            rustls::Error::InvalidMessage(_) => Self::NoTls,
            _ => Self::Other,
        }
    }
}

fn config(tls: &Tls) -> Result<ClientConfig, Error> {
    // The provider is named, never taken from the process: rustls panics when none or two are installed.
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::InvalidUrl(error.to_string()))?;
    let builder = match tls.verify {
        Verify::Full => builder.with_root_certificates(roots(tls)?),
        Verify::Nothing => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider))),
    };
    match &tls.identity {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let certificates = certificates(chain)?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error))?;
            builder
                .with_client_auth_cert(certificates, secret)
                .map_err(|error| unusable(chain, error))
        }
    }
}

/// The authorities to trust: those given, or else the system's.
fn roots(tls: &Tls) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    match &tls.ca {
        Some(path) => {
            for certificate in certificates(path)? {
                store.add(certificate).map_err(|error| unusable(path, error))?;
            }
        }
        // Some systems ship certificates that rustls refuses; the others still count.
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(path, error))?;
    if certificates.is_empty() {
        return Err(unusable(path, "it holds no certificate in PEM form"));
    }
    Ok(certificates)
}

fn unusable(path: &Path, reason: impl ToString) -> Error {
    Error::Certificate {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// Takes any certificate, as `--insecure` asks; the signatures of the handshake are still checked.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
