//! Base images: what their references lead to now, or led to when their registry last answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures::{StreamExt as _, stream};
use slipway_oci::error::ImageError;
use slipway_oci::source::{ImageSource, Images};
use slipway_records::worker::fault_of;
use slipway_records::{Records, Resolution};
use slipway_types::{ApplicationName, Digest, Fault, ImageReference};
use tokio::time::Instant;

/// References asked for at once.
const ASKED_AT_ONCE: usize = 16;
/// Attempts at a step whose registry is silent: each has waited for the whole of a limit.
const SILENT_ATTEMPTS_MAX: u32 = 3;

/// How long registries are waited for, and what stands in for their answer.
#[derive(Debug, Clone, Copy)]
pub struct BaseOptions {
    /// Time in which all references of a plan must be resolved.
    pub resolve_timeout: Duration,
    /// An earlier answer stands in for a registry that cannot be reached unless it is older; zero: never.
    pub max_base_age: TimeDelta,
}

impl Default for BaseOptions {
    fn default() -> Self {
        Self { resolve_timeout: Duration::from_secs(15), max_base_age: TimeDelta::hours(24) }
    }
}

/// Resolves references.
#[derive(Clone)]
pub struct BaseResolver {
    /// Where earlier answers are.
    pub records: Arc<dyn Records>,
    /// Where images are.
    pub images: Images,
    /// How long registries are waited for.
    pub options: BaseOptions,
}

/// What a reference leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Digest of the manifest or index.
    pub digest: Digest,
    /// Why this is an earlier answer, if it is one.
    pub note: Option<String>,
}

/// What several references lead to.
pub type Bases = BTreeMap<ImageReference, Result<Base, Fault>>;

impl BaseResolver {
    /// Asks registries as this application does.
    #[must_use]
    pub fn acting_for(&self, application: &ApplicationName) -> Self {
        Self { images: self.images.acting_for(application), ..self.clone() }
    }

    /// What the references lead to, each once, all under one deadline.
    pub async fn resolve(&self, references: BTreeSet<ImageReference>) -> Result<Bases, Fault> {
        let deadline = Instant::now() + self.options.resolve_timeout;
        let asked: Vec<_> = stream::iter(references)
            .map(async |reference| {
                let answer = self.ask(&reference, deadline).await;
                (reference, answer)
            })
            .buffer_unordered(ASKED_AT_ONCE)
            .collect()
            .await;
        let mut bases = Bases::new();
        for (reference, answer) in asked {
            let base = match answer {
                Ok(digest) => Ok(Base { digest, note: None }),
                Err(error) => self.last(&reference, error).await?,
            };
            bases.insert(reference, base);
        }
        self.remember(&bases).await?;
        Ok(bases)
    }

    /// Sees that an image taken from an earlier answer can be read; fails by name, and soon.
    pub async fn check(&self, reference: &ImageReference) -> Result<(), Fault> {
        let fetch = self.images.fetch_manifest(reference);
        match tokio::time::timeout(self.options.resolve_timeout, fetch).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.silent(reference)),
        }
        .map_err(|error| {
            let fault = Fault::from(error);
            let message = format!("this build must read its base {reference}, but {}", fault.message);
            Fault { message, ..fault }
        })
    }

    async fn ask(&self, reference: &ImageReference, deadline: Instant) -> Result<Digest, ImageError> {
        if let Some(digest) = reference.digest {
            return Ok(digest);
        }
        let head = self.images.head_manifest(reference);
        match tokio::time::timeout_at(deadline, head).await {
            Ok(Ok(Some(digest))) => Ok(digest),
            Ok(Ok(None)) => Err(ImageError::NotFound {
                host: reference.host.clone(),
                what: format!("the image {reference}"),
            }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.silent(reference)),
        }
    }

    fn silent(&self, reference: &ImageReference) -> ImageError {
        let limit_ms = u64::try_from(self.options.resolve_timeout.as_millis()).unwrap_or(u64::MAX);
        let what = format!("answer for {reference}");
        ImageError::Timeout { host: reference.host.clone(), what, limit: "resolve_timeout_ms", limit_ms }
    }

    /// The last answer for a reference whose registry cannot be reached, if it may stand in.
    async fn last(
        &self,
        reference: &ImageReference,
        error: ImageError,
    ) -> Result<Result<Base, Fault>, Fault> {
        let reachable = !is_unreachable(&error);
        let fault = Fault::from(error);
        if reachable {
            return Ok(Err(fault));
        }
        let mut read = self.records.read().await.map_err(|error| fault_of(&error))?;
        let last = read.resolution_get(reference).await.map_err(|error| fault_of(&error))?;
        let Some(last) = last else { return Ok(Err(fault)) };
        let age = Utc::now() - last.resolved_at;
        if age > self.options.max_base_age {
            let (age, hours) = (in_words(age), self.options.max_base_age.num_hours());
            let old = format!("; what it said {age} ago is older than max_base_age_hours = {hours}");
            return Ok(Err(Fault { message: fault.message + &old, ..fault }));
        }
        let note = format!(
            "{}; {reference} is taken as sha256:{}, which it was {} ago",
            fault.message,
            last.digest.short(),
            in_words(age)
        );
        tracing::warn!(%reference, digest = %last.digest, cause = fault.message, "an earlier base is used");
        Ok(Ok(Base { digest: last.digest, note: Some(note) }))
    }

    /// Keeps what registries answered now.
    async fn remember(&self, bases: &Bases) -> Result<(), Fault> {
        if self.options.max_base_age.is_zero() {
            return Ok(());
        }
        let resolved_at = Utc::now();
        let fresh: Vec<Resolution> = bases
            .iter()
            .filter(|(reference, _)| reference.digest.is_none() && !self.images.is_own(reference))
            .filter_map(|(reference, base)| {
                let base = base.as_ref().ok().filter(|base| base.note.is_none())?;
                Some(Resolution { reference: reference.clone(), digest: base.digest, resolved_at })
            })
            .collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let store = async {
            let mut tx = self.records.begin().await?;
            for resolution in &fresh {
                tx.resolution_put(resolution).await?;
            }
            tx.commit().await
        };
        store.await.map_err(|error| fault_of(&error))
    }
}

/// Whether the registry itself said nothing: it may still have the image, and the right to it may stand.
fn is_unreachable(error: &ImageError) -> bool {
    match error {
        ImageError::Unreachable { .. } | ImageError::Timeout { .. } => true,
        ImageError::Status { status, .. } => *status >= 500 || [408, 429].contains(status),
        _ => false,
    }
}

/// Whether a step that failed with `fault` is not tried again, although that might help one day.
pub(crate) fn gives_up(fault: &Fault, attempt: u32) -> bool {
    fault.code == "registry_timeout" && attempt >= SILENT_ATTEMPTS_MAX
}

/// A time as people say it.
fn in_words(time: TimeDelta) -> String {
    match (time.num_minutes(), time.num_hours()) {
        (minutes, _) if minutes < 1 => "less than a minute".to_owned(),
        (minutes, 0..2) => format!("{minutes} min"),
        (_, hours) => format!("{hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_the_unit_that_fits() {
        let words =
            [(59, "less than a minute"), (119 * 60, "119 min"), (120 * 60, "2 h"), (3 * 86_400, "72 h")];
        for (seconds, expected) in words {
            assert_eq!(in_words(TimeDelta::seconds(seconds)), expected);
        }
    }
}
