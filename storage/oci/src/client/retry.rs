//! Trying again, and not for ever.

use std::time::Duration;

use super::ClientOptions;
use crate::error::ImageError;

/// Runs an operation until it succeeds, fails for good, or the tries or the total time are used up.
pub(super) async fn with_retries<T, F>(
    options: &ClientOptions,
    host: &str,
    operation: impl Fn() -> F + Send,
) -> Result<T, ImageError>
where
    F: Future<Output = Result<T, ImageError>> + Send,
{
    within_total(options, host, async {
        let mut pause_ms = options.backoff_ms;
        let mut attempt = 1;
        loop {
            match operation().await {
                Err(error) if error.is_transient() && attempt < options.max_attempts => {
                    tracing::debug!(host, attempt, pause_ms, %error, "registry operation is tried again");
                    tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                    pause_ms = (pause_ms * 2).min(options.max_backoff_ms);
                    attempt += 1;
                }
                result => return result,
            }
        }
    })
    .await
}

/// Ends an operation after the total time.
pub(super) async fn within_total<T>(
    options: &ClientOptions,
    host: &str,
    operation: impl Future<Output = Result<T, ImageError>>,
) -> Result<T, ImageError> {
    let limit_ms = options.total_timeout_ms;
    match tokio::time::timeout(Duration::from_millis(limit_ms), operation).await {
        Ok(result) => result,
        Err(_) => Err(ImageError::Timeout {
            host: host.to_owned(),
            what: "finish".to_owned(),
            limit: "total_timeout_ms",
            limit_ms,
        }),
    }
}
