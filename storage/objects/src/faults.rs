//! A store that fails where a test tells it to.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// A kind of call to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A write in one request.
    Put,
    /// The begin of a write in parts.
    Begin,
    /// One part.
    Part,
    /// The end of a write in parts.
    Complete,
    /// The abandoning of a write in parts.
    Abort,
    /// A read.
    Get,
    /// A look at size and date.
    Head,
    /// A deletion.
    Delete,
}

/// What happens to the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It fails and nothing was done.
    FailBefore,
    /// It was done, and fails all the same.
    FailAfter,
    /// `Put` stores half the bytes and fails; `Get` ends silently after half of them.
    Truncate,
    /// It never answers.
    Stall,
}

type Plan = Arc<Mutex<State>>;

#[derive(Debug, Default)]
struct State {
    calls: HashMap<Operation, u32>,
    faults: HashMap<(Operation, u32), Effect>,
}

/// Wraps a store and disturbs chosen calls.
#[derive(Debug, Clone)]
pub struct FaultStore {
    inner: Arc<dyn ObjectStore>,
    plan: Plan,
}

impl FaultStore {
    /// A store that does what `inner` does.
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, plan: Plan::default() }
    }

    /// Disturbs the `nth` call of this kind from now on, counted from 1.
    pub fn fail(&self, operation: Operation, nth: u32, effect: Effect) {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let call = plan.calls.get(&operation).copied().unwrap_or(0) + nth;
        plan.faults.insert((operation, call), effect);
    }

    /// How many calls of this kind were made.
    pub fn calls(&self, operation: Operation) -> u32 {
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.calls.get(&operation).copied().unwrap_or(0)
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({})", self.inner)
    }
}

fn count(plan: &Plan, operation: Operation) -> Option<Effect> {
    let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
    let call = plan.calls.entry(operation).or_default();
    *call += 1;
    let call = *call;
    plan.faults.remove(&(operation, call))
}

fn injected<T>() -> Result<T> {
    Err(object_store::Error::Generic { store: "faults", source: "injected fault".into() })
}

async fn disturb<T>(effect: Option<Effect>, call: impl Future<Output = Result<T>>) -> Result<T> {
    match effect {
        None => call.await,
        Some(Effect::FailBefore) => injected(),
        Some(Effect::FailAfter | Effect::Truncate) => {
            drop(call.await);
            injected()
        }
        Some(Effect::Stall) => std::future::pending().await,
    }
}

fn half(payload: &PutPayload) -> PutPayload {
    let whole: Vec<u8> = payload.iter().flat_map(|bytes| bytes.iter().copied()).collect();
    Bytes::copy_from_slice(&whole[..whole.len() / 2]).into()
}

fn cut(found: GetResult) -> GetResult {
    let mut left = usize::try_from((found.range.end - found.range.start) / 2).unwrap_or(usize::MAX);
    let GetResult { meta, range, attributes, extensions, .. } = &found;
    let (meta, range) = (meta.clone(), range.clone());
    let (attributes, extensions) = (attributes.clone(), extensions.clone());
    let chunks = found.into_stream().map(move |chunk| {
        chunk.map(|mut bytes| {
            bytes.truncate(left);
            left -= bytes.len();
            bytes
        })
    });
    GetResult { payload: GetResultPayload::Stream(chunks.boxed()), meta, range, attributes, extensions }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let effect = count(&self.plan, Operation::Put);
        let payload = if effect == Some(Effect::Truncate) { half(&payload) } else { payload };
        disturb(effect, self.inner.put_opts(at, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let effect = count(&self.plan, Operation::Begin);
        let inner = disturb(effect, self.inner.put_multipart_opts(at, options)).await?;
        Ok(Box::new(FaultUpload { inner, plan: Arc::clone(&self.plan) }))
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let effect = count(&self.plan, if options.head { Operation::Head } else { Operation::Get });
        if effect == Some(Effect::Truncate) && !options.head {
            return self.inner.get_opts(at, options).await.map(cut);
        }
        disturb(effect, self.inner.get_opts(at, options)).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (inner, plan) = (Arc::clone(&self.inner), Arc::clone(&self.plan));
        keys.then(move |key| {
            let (inner, effect) = (Arc::clone(&inner), count(&plan, Operation::Delete));
            async move {
                let key = key?;
                let call = object_store::ObjectStoreExt::delete(&inner, &key);
                disturb(effect, call).await.map(|()| key.clone())
            }
        })
        .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct FaultUpload {
    inner: Box<dyn MultipartUpload>,
    plan: Plan,
}

#[async_trait]
impl MultipartUpload for FaultUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let effect = count(&self.plan, Operation::Part);
        Box::pin(disturb(effect, self.inner.put_part(data)))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let effect = count(&self.plan, Operation::Complete);
        disturb(effect, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        let effect = count(&self.plan, Operation::Abort);
        disturb(effect, self.inner.abort()).await
    }
}
