//! TLS 1.2 and 1.3 in front of HTTP/1.1: one certificate at a time, which another can take the place of while the server runs.

mod certificate;
mod generated;

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::ServerName,
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
    server::TlsStream,
};

pub use certificate::{Certificate, CertificateError};
pub use generated::Generated;

/// The first byte of a TLS connection: a handshake record. No method of HTTP begins with it.
const HANDSHAKE: u8 = 22;

/// What speaks TLS. Clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    shown: Arc<Shown>,
}

impl Tls {
    /// Speaks for `certificate`.
    pub fn new(certificate: &Certificate) -> Self {
        let shown = Arc::new(Shown(RwLock::new(certificate.key())));
        let resolver: Arc<dyn ResolvesServerCert> = shown.clone();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has what these versions need")
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), shown }
    }

    /// Shows another certificate to who connects from now on.
    pub fn show(&self, certificate: &Certificate) {
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = certificate.key();
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The certificate that is shown, whatever name the client asks for.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Whether a certificate can be for a host of this name or address.
pub fn is_host(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}

/// How a connection began.
pub(crate) enum Greeting {
    /// With a handshake, which is done.
    Tls(Box<TlsStream<TcpStream>>),
    /// With something else, of which nothing was read.
    Plain(TcpStream),
}

/// Does the handshake of a connection. Fails when the two cannot agree, or the client leaves.
pub(crate) async fn greet(tls: &Tls, stream: TcpStream) -> io::Result<Greeting> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ if first[0] != HANDSHAKE => Ok(Greeting::Plain(stream)),
        _ => Ok(Greeting::Tls(Box::new(tls.acceptor.accept(stream).await?))),
    }
}
