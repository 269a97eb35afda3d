//! Blob uploads under way: in memory, their bytes in spools.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slipway_objects::Spool;
use slipway_types::id::UploadId;
use tokio::sync::Mutex;

/// One upload.
pub(crate) struct Session {
    pub(super) id: UploadId,
    pub(super) repository: String,
    /// Taken when the upload ends.
    pub(super) spool: Mutex<Option<Spool>>,
    used: StdMutex<Instant>,
}

/// All uploads of this process.
pub(crate) struct Sessions {
    max: usize,
    idle_timeout: Duration,
    live: StdMutex<HashMap<UploadId, Arc<Session>>>,
}

fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// Puts off the end by idleness.
    pub(super) fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    fn is_idle(&self, limit: Duration) -> bool {
        // One that is being written to is not idle.
        self.spool.try_lock().is_ok() && lock(&self.used).elapsed() >= limit
    }
}

impl Sessions {
    pub(crate) fn new(max: usize, idle_timeout: Duration) -> Self {
        Self { max, idle_timeout, live: StdMutex::default() }
    }

    /// A new upload; `None` if there are too many.
    pub(super) fn begin(&self, repository: &str, spool: Spool) -> Option<Arc<Session>> {
        let mut sessions = self.swept();
        if sessions.len() >= self.max {
            return None;
        }
        let session = Arc::new(Session {
            id: UploadId::new(),
            repository: repository.to_owned(),
            spool: Mutex::new(Some(spool)),
            used: StdMutex::new(Instant::now()),
        });
        sessions.insert(session.id, Arc::clone(&session));
        Some(session)
    }

    /// The upload of that id into that repository.
    pub(super) fn find(&self, repository: &str, id: &str) -> Option<Arc<Session>> {
        let id: UploadId = id.parse().ok()?;
        let sessions = self.swept();
        let session = sessions.get(&id).filter(|session| session.repository == repository)?;
        session.touch();
        Some(Arc::clone(session))
    }

    /// Forgets an upload.
    pub(super) fn end(&self, id: UploadId) {
        lock(&self.live).remove(&id);
    }

    fn swept(&self) -> MutexGuard<'_, HashMap<UploadId, Arc<Session>>> {
        let mut sessions = lock(&self.live);
        sessions.retain(|_, session| !session.is_idle(self.idle_timeout));
        sessions
    }
}
