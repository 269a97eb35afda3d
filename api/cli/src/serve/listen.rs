//! Listening and serving, with TLS where files are given.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

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
    let Some(tls) = tls(config).await? else {
        let server = axum_server::from_tcp(listener).context("cannot serve")?.handle(handle);
        return Ok(tokio::spawn(async move { server.serve(service).await.context("cannot serve") }));
    };
    let server = axum_server::from_tcp_rustls(listener, tls).context("cannot serve")?.handle(handle);
    Ok(tokio::spawn(async move { server.serve(service).await.context("cannot serve") }))
}
