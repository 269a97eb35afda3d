//! Requests that are sent only to a cluster that may answer, and who waits for one that does not.

use std::time::Duration;

use tokio::time::Instant;

use crate::breaker::{Outage, Probing, Stand};
use crate::call::CallError;
use crate::cluster::Cluster;

/// How long the question whether a cluster answers may take.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// How long a request waits for what comes of that question; then it is refused.
const PROBE_WAIT: Duration = Duration::from_millis(500);
/// How long an answer is taken for a sign that there are others to come.
const KNOWN_FOR: Duration = Duration::from_secs(30);

impl Cluster {
    /// What a request that came to its end in time came to.
    ///
    /// # Errors
    ///
    /// There was no answer, or none is to be expected: then nothing was sent.
    pub(crate) async fn within<T>(
        &self,
        call: impl Future<Output = kube::Result<T>>,
    ) -> Result<kube::Result<T>, CallError> {
        self.admitted().await?;
        let (limit, began) = (self.call_limit(), Instant::now());
        match tokio::time::timeout(limit, call).await {
            Err(_) => Err(self.unanswered(began, CallError::no_answer(limit))),
            Ok(Err(error)) if is_silence(&error) => Err(self.unanswered(began, CallError::of(error))),
            Ok(answer) => {
                self.breaker.answered();
                Ok(answer)
            }
        }
    }

    /// Whether a request may be sent. One that comes while the cluster is asked whether it answers waits for that, but
    /// not for long.
    pub(crate) async fn admitted(&self) -> Result<(), CallError> {
        let end = Instant::now() + PROBE_WAIT;
        loop {
            // Before it is looked: so what comes in between is not missed.
            let turned = self.breaker.turned();
            match self.breaker.stand() {
                Stand::Answers => return Ok(()),
                Stand::Away(outage, _) => return Err(CallError::Unreachable(outage)),
                Stand::Doubted(outage) => {
                    self.probe();
                    if tokio::time::timeout_at(end, turned).await.is_err() {
                        return Err(CallError::Unreachable(outage));
                    }
                }
            }
        }
    }

    /// Takes in that a request which was sent at `began` had no answer.
    pub(crate) fn unanswered(&self, began: Instant, error: CallError) -> CallError {
        if self.breaker.unanswered(began, &error.to_string()) {
            self.probe();
        }
        error
    }

    /// Asks the cluster whether it answers, beside all else, unless somebody does.
    fn probe(&self) {
        if let Some(probing) = self.breaker.begin_probe() {
            let cluster = self.clone();
            tokio::spawn(async move { cluster.sound(probing).await });
        }
    }

    async fn sound(&self, probing: Probing) {
        let (limit, began) = (self.call_limit().min(PROBE_LIMIT), Instant::now());
        let silence = match tokio::time::timeout(limit, self.client.apiserver_version()).await {
            Err(_) => Some(CallError::no_answer(limit)),
            Ok(Err(error)) if is_silence(&error) => Some(CallError::of(error)),
            Ok(_) => None,
        };
        match silence {
            None => self.breaker.answered(),
            Some(error) => self.breaker.found_away(began, &error.to_string()),
        }
        drop(probing);
    }

    /// Whether it is known how the cluster is: it answered in the last half minute, or it is away. One of which that
    /// is not known is asked, for which this waits half a second at most.
    pub async fn is_known(&self) -> bool {
        let end = Instant::now() + PROBE_WAIT;
        loop {
            let turned = self.breaker.turned();
            if self.breaker.is_known(KNOWN_FOR) {
                // It may be time to ask it again.
                self.outage();
                return true;
            }
            self.probe();
            if tokio::time::timeout_at(end, turned).await.is_err() {
                return false;
            }
        }
    }

    /// Since when and why there is no answer. If it is time to, the cluster is asked again, for which this does not wait.
    pub fn outage(&self) -> Option<Outage> {
        match self.breaker.stand() {
            Stand::Answers => None,
            Stand::Away(outage, _) => Some(outage),
            Stand::Doubted(outage) => {
                self.probe();
                Some(outage)
            }
        }
    }

    /// Has a cluster that is away asked by the next request, whatever is left of the pause: for whoever comes seldom, and
    /// for a person.
    pub fn doubt_outage(&self) {
        self.breaker.hurry();
    }

    /// Returns once the cluster is away, or, if it was, once it answers again. With `asks` it is asked meanwhile
    /// whether it does, at pauses that grow up to a minute; else that is for whoever else wants something of it.
    /// Nothing is lost by not waiting for this to the end.
    pub async fn turned(&self, was_away: bool, asks: bool) {
        loop {
            let turned = self.breaker.turned();
            if self.breaker.is_away() != was_away {
                return;
            }
            match self.breaker.stand() {
                Stand::Away(_, until) if asks => {
                    tokio::select! {
                        () = turned => {}
                        () = tokio::time::sleep_until(until) => self.probe(),
                    }
                }
                Stand::Doubted(_) if asks => {
                    self.probe();
                    turned.await;
                }
                Stand::Answers | Stand::Away(..) | Stand::Doubted(_) => turned.await,
            }
        }
    }
}

/// Whether an error says that nobody answered.
pub(crate) fn is_silence(error: &kube::Error) -> bool {
    matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_))
}
