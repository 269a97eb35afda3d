//! Listening and serving, with TLS where files are given. Connections on which nothing is asked end by themselves.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::opening::TimedAcceptor;
use crate::config::Config;

/// Takes the address.
pub(crate) fn bind(address: &str) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!("cannot listen on {address}: choose another with --listen 127.0.0.1:PORT")
    })?;
    listener.set_nonblocking(true).context("cannot set up the listening socket")?;
    Ok(listener)
}

/// The configuration with the port that the system chose, where it was asked to.
pub(crate) fn with_port(mut config: Config, address: SocketAddr) -> Config {
    config.server.listen = address.to_string();
    config
}

/// Certificate and key; `None` where the configuration names none.
pub(super) async fn tls(config: &Config) -> Result<Option<RustlsConfig>> {
    let (certificate, key) = (&config.server.tls_certificate, &config.server.tls_key);
    if certificate.as_os_str().is_empty() {
        return Ok(None);
    }
    let tls = RustlsConfig::from_pem_file(certificate, key).await.with_context(|| {
        format!(
            "cannot use server.tls_certificate {} with server.tls_key {}",
            certificate.display(),
            key.display()
        )
    })?;
    Ok(Some(tls))
}

/// Closes connections that are idle. By HTTP/1 a whole head of a request must come in time, the first one and each
/// that follows an answer; by HTTP/2 the client is asked whether it is there, and has the other half of the time for
/// its answer.
fn close_idle(http: &mut Builder<TokioExecutor>, idle: Duration) {
    http.http1().timer(TokioTimer::new()).header_read_timeout(idle);
    http.http2().timer(TokioTimer::new()).keep_alive_interval(idle / 2).keep_alive_timeout(idle / 2);
}

/// Serves until `stop`, then lets open requests end.
pub(crate) async fn serve(
    listener: TcpListener,
    config: &Config,
    router: Router,
    stop: CancellationToken,
) -> Result<JoinHandle<Result<()>>> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let handle = Handle::new();
    let graceful = handle.clone();
    let patience = Duration::from_millis(config.server.stop_timeout_ms);
    tokio::spawn(async move {
        stop.cancelled().await;
        graceful.graceful_shutdown(Some(patience));
    });
    let idle = Duration::from_millis(config.server.idle_timeout_ms);
    let Some(tls) = tls(config).await? else {
        let server = axum_server::from_tcp(listener).context("cannot serve")?.handle(handle);
        let mut server = server.map(|acceptor| TimedAcceptor::new(acceptor, idle));
        close_idle(server.http_builder(), idle);
        return Ok(tokio::spawn(async move { server.serve(service).await.context("cannot serve") }));
    };
    let server = axum_server::from_tcp_rustls(listener, tls).context("cannot serve")?.handle(handle);
    let mut server = server.map(|acceptor| TimedAcceptor::new(acceptor, idle));
    close_idle(server.http_builder(), idle);
    Ok(tokio::spawn(async move { server.serve(service).await.context("cannot serve") }))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio_util::sync::DropGuard;

    use super::*;

    const IDLE: Duration = Duration::from_millis(300);

    /// A server that is slow to answer at `/slow`; it stops with the guard.
    async fn served() -> (SocketAddr, DropGuard) {
        let mut config = crate::config::load(None, std::iter::empty(), vec![]).unwrap().config;
        config.server.idle_timeout_ms = u64::try_from(IDLE.as_millis()).unwrap();
        let slow = async || {
            tokio::time::sleep(IDLE * 3).await;
            "late"
        };
        let router = Router::new().route("/", get(async || "soon")).route("/slow", get(slow));
        let listener = bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        serve(listener, &config, router, stop.clone()).await.unwrap();
        (address, stop.drop_guard())
    }

    /// What comes until the server closes the connection.
    async fn answer(address: SocketAddr, sent: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut bytes = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await;
        assert!(closed.is_ok(), "{:?} is kept for ever", String::from_utf8_lossy(sent));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_is_asked_is_closed_in_time() {
        let (address, _stop) = served().await;
        let cases: [(&[u8], &str); 6] = [
            (b"", ""),
            (b"GET / HTTP/1.1\r\nHost: x\r\nAcc", ""),
            (b"PRI * HTTP/2", ""),
            // The answer is how HTTP/2 begins and asks; nobody answers that.
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "soon"),
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT", "soon"),
        ];
        for (sent, wanted) in cases {
            let began = Instant::now();
            let told = answer(address, sent).await;
            assert!(told.ends_with(wanted), "{told}");
            assert!(began.elapsed() >= IDLE / 2, "{:?} is closed at once", String::from_utf8_lossy(sent));
        }
    }

    #[tokio::test]
    async fn an_answer_may_take_longer_than_a_connection_may_be_idle() {
        let (address, _stop) = served().await;
        let told = answer(address, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(told.starts_with("HTTP/1.1 200") && told.ends_with("late"), "{told}");
    }
}
