//! TCP and TLS connections that can be cut in the middle of a request, as a broken network does.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures_util::task::AtomicWaker;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Accepts connections, with or without TLS.
pub(super) struct CuttableListener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    /// Shared by all connections that are open.
    open: Arc<()>,
}

/// One connection, which fails at its next use after it has been cut.
pub(super) struct Wire {
    stream: Pin<Box<dyn Duplex>>,
    cut: Arc<Cut>,
    _open: Arc<()>,
}

/// The scissors for one connection, handed to the code that answers its requests.
#[derive(Clone)]
pub(super) struct Scissors(Arc<Cut>);

#[derive(Default)]
struct Cut {
    done: AtomicBool,
    /// The task that drives the connection and has to notice.
    driver: AtomicWaker,
}

trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

impl CuttableListener {
    pub(super) async fn bind(tls: Option<TlsAcceptor>) -> Self {
        let tcp = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        Self { tcp, tls, open: Arc::default() }
    }

    /// What each open connection shares.
    pub(super) fn open(&self) -> Weak<()> {
        Arc::downgrade(&self.open)
    }
}

impl Listener for CuttableListener {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            // A client that gave up while connecting is no concern of the tests.
            let Ok((tcp, address)) = self.tcp.accept().await else {
                continue;
            };
            // As servers do: a small frame does not wait until the one before it was acknowledged.
            let _ = tcp.set_nodelay(true);
            let stream: Pin<Box<dyn Duplex>> = match &self.tls {
                None => Box::pin(tcp),
                Some(tls) => match tls.accept(tcp).await {
                    Ok(stream) => Box::pin(stream),
                    Err(_) => continue,
                },
            };
            let (cut, open) = (Arc::default(), Arc::clone(&self.open));
            return (Wire { stream, cut, _open: open }, address);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Scissors {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        Self(Arc::clone(&stream.io().cut))
    }
}

impl Scissors {
    /// Cuts the connection. Never returns: the server drops the call along with the connection.
    pub(super) async fn cut(&self) -> ! {
        self.0.done.store(true, Ordering::Release);
        self.0.driver.wake();
        std::future::pending().await
    }
}

impl Wire {
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        // Registered before looking, so that a cut in between is not missed.
        self.cut.driver.register(context.waker());
        if self.cut.done.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        self.stream.as_mut().poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        self.stream.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        self.stream.as_mut().poll_shutdown(context)
    }
}

/// A certificate for `discord.com` by an authority that exists for one test only.
pub(super) struct TestCertificate {
    pub(super) acceptor: TlsAcceptor,
    pub(super) authority_pem: String,
}

impl TestCertificate {
    pub(super) fn issue() -> Self {
        let authority_key = KeyPair::generate().expect("a key pair can be made");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_pem =
            authority.self_signed(&authority_key).expect("the authority can sign itself").pem();
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate().expect("a key pair can be made");
        let certificate = CertificateParams::new(vec!["discord.com".to_owned()])
            .expect("a host name that a certificate can contain")
            .signed_by(&key, &issuer)
            .expect("the authority can sign");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports the usual versions of TLS")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .expect("the key belongs to the certificate");
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), authority_pem }
    }
}
