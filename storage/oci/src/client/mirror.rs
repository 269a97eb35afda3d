//! Mirrors: asked first, not waited for, and left alone for a while when they do not answer.

use std::time::{Duration, Instant};

use super::Inner;
use super::endpoint::Endpoint;
use crate::error::ImageError;

impl Inner {
    /// The registry's mirrors in order, but for those that did not answer lately.
    pub(super) fn mirrors(&self, host: &str) -> Result<Vec<Endpoint>, ImageError> {
        let mirrors = self.settings(host).map_or(&[][..], |settings| &settings.mirrors);
        let endpoints = mirrors.iter().map(|mirror| Endpoint::mirror(self, mirror));
        Ok(endpoints
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .filter(|mirror| !self.rests(mirror))
            .collect())
    }

    /// A small answer of a mirror: the registry itself is there too.
    pub(super) async fn soon<T>(
        &self,
        mirror: &Endpoint,
        answer: impl Future<Output = Result<T, ImageError>>,
    ) -> Result<T, ImageError> {
        let limit_ms = self.options.mirror_timeout_ms;
        tokio::time::timeout(Duration::from_millis(limit_ms), answer).await.unwrap_or_else(|_| {
            let (host, what) = (mirror.host.clone(), "answer as a mirror".to_owned());
            Err(ImageError::Timeout { host, what, limit: "mirror_timeout_ms", limit_ms })
        })
    }

    /// A mirror's failure is no failure: the next is asked.
    pub(super) fn note_mirror(&self, mirror: &Endpoint, error: &ImageError) {
        tracing::info!(mirror = mirror.host, %error, "a registry mirror could not answer; the next is asked");
        if matches!(error, ImageError::Timeout { .. } | ImageError::Unreachable { .. }) {
            let mut resting = self.resting.lock().expect("invariant: nothing panics while holding the lock");
            resting.insert(mirror.host.clone(), Instant::now());
        }
    }

    fn rests(&self, mirror: &Endpoint) -> bool {
        let rest = Duration::from_millis(self.options.mirror_rest_ms);
        let resting = self.resting.lock().expect("invariant: nothing panics while holding the lock");
        resting.get(&mirror.host).is_some_and(|since| since.elapsed() < rest)
    }
}
