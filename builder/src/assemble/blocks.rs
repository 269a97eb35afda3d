//! Bytes in, gzip members out: blocks are compressed in parallel, the result is the same whatever
//! the number of threads.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use flate2::{Compress, Compression, Crc, FlushCompress};
use slipway_types::{Digest, Hasher};

use super::{AssembleError, LayerSink, LayerWriter, RECIPE};

/// Largest uncompressed block; each becomes one gzip member.
const BLOCK_BYTES: usize = 1 << 20;
/// Gzip header: no name, no time, fastest level, unknown system (RFC 1952).
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// Compressed blocks of earlier builds. Both calls may come from several threads.
pub trait BlockCache: Send + Sync {
    /// What [`BlockCache::put`] was given for this key.
    fn get(&self, key: &Digest) -> Option<Vec<u8>>;
    /// Keeps the compressed form of a block; it may be forgotten at any time.
    fn put(&self, key: &Digest, compressed: &[u8]);
}

/// A layer that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) diff_id: Digest,
}

/// How to write blocks.
#[derive(Clone, Copy)]
pub(crate) struct BlockOptions<'a> {
    pub(crate) threads: usize,
    pub(crate) cache: Option<&'a dyn BlockCache>,
    pub(crate) cancelled: Option<&'a AtomicBool>,
}

/// Takes in the uncompressed bytes of a layer.
pub(crate) struct BlockStream<'a> {
    block: Vec<u8>,
    next: usize,
    hasher: Hasher,
    tickets: SyncSender<()>,
    jobs: SyncSender<(usize, Vec<u8>)>,
    cancelled: Option<&'a AtomicBool>,
}

impl BlockStream<'_> {
    /// Ends the block, so that what follows does not depend on what was before.
    pub(crate) fn cut(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        if self.cancelled.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(io::Error::other(Stopped));
        }
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK_BYTES));
        self.hasher.update(&block);
        let stopped = || io::Error::other(Stopped);
        self.tickets.send(()).map_err(|_| stopped())?;
        self.jobs.send((self.next, block)).map_err(|_| stopped())?;
        self.next += 1;
        Ok(())
    }
}

impl Write for BlockStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK_BYTES {
            self.cut()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The other side gave up; its error says why.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("writing the layer was stopped")]
struct Stopped;

/// Whether writing ended because the other side gave up or the caller cancelled.
pub(crate) fn is_stopped(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Stopped>()).is_some()
}

/// Writes one layer into the sink: `produce` gives its uncompressed bytes.
pub(crate) fn write(
    options: BlockOptions<'_>,
    sink: &dyn LayerSink,
    produce: impl FnOnce(&mut BlockStream<'_>) -> Result<(), AssembleError> + Send,
) -> Result<Written, AssembleError> {
    let threads = options.threads.max(1);
    // Each job holds a ticket until it is written, so sending a job never waits.
    let (ticket_sender, tickets) = sync_channel(threads * 4);
    let (job_sender, jobs) = sync_channel(threads * 4);
    let (result_sender, results) = channel();
    let jobs = Mutex::new(jobs);
    thread::scope(|scope| {
        let producer = scope.spawn(move || {
            let mut stream = BlockStream {
                block: Vec::with_capacity(BLOCK_BYTES),
                next: 0,
                hasher: Hasher::new(),
                tickets: ticket_sender,
                jobs: job_sender,
                cancelled: options.cancelled,
            };
            produce(&mut stream)?;
            stream.cut().map_err(AssembleError::Sink)?;
            Ok(stream.hasher.finish())
        });
        for _ in 0..threads {
            let (jobs, results) = (&jobs, Sender::clone(&result_sender));
            scope.spawn(move || work(jobs, &results, options.cache));
        }
        drop(result_sender);
        let collected = collect(sink, &tickets, results);
        // The producer waits for tickets: it must see that nobody takes them any more.
        drop(tickets);
        let outcome: Result<Digest, AssembleError> =
            producer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A producer that was stopped only says so; the sink knows why.
        let (writer, hasher) = collected.map_err(AssembleError::Sink)?;
        let diff_id = outcome?;
        let size = hasher.size();
        let digest = hasher.finish();
        writer.finish(digest, size).map_err(AssembleError::Sink)?;
        Ok(Written { digest, size, diff_id })
    })
}

type Job = (usize, Vec<u8>);
type Compressed = (usize, io::Result<Vec<u8>>);

fn work(jobs: &Mutex<Receiver<Job>>, results: &Sender<Compressed>, cache: Option<&dyn BlockCache>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((index, block)) = job else { return };
        // A cache that panics must not leave the others waiting for its block.
        let member = catch_unwind(AssertUnwindSafe(|| compressed(&block, cache)))
            .map_err(|_| io::Error::other("a thread that compresses blocks panicked"));
        if results.send((index, member)).is_err() {
            return;
        }
    }
}

/// Writes the members in order.
fn collect(
    sink: &dyn LayerSink,
    tickets: &Receiver<()>,
    results: Receiver<Compressed>,
) -> io::Result<(Box<dyn LayerWriter>, Hasher)> {
    let mut writer = sink.create()?;
    let mut hasher = Hasher::new();
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (index, member) in results {
        early.insert(index, member?);
        while let Some(member) = early.remove(&next) {
            hasher.update(&member);
            writer.write_all(&member)?;
            next += 1;
            tickets.recv().map_err(|_| io::Error::other(Stopped))?;
        }
    }
    Ok((writer, hasher))
}

fn compressed(block: &[u8], cache: Option<&dyn BlockCache>) -> Vec<u8> {
    let Some(cache) = cache else { return gzip_member(block) };
    let mut hasher = Hasher::new();
    hasher.update(format!("slipway block {RECIPE}\n").as_bytes());
    hasher.update(block);
    let key = hasher.finish();
    if let Some(member) = cache.get(&key).filter(|member| is_member_of(member, block)) {
        return member;
    }
    let member = gzip_member(block);
    cache.put(&key, &member);
    member
}

/// Whether a cached member at least claims to be this block.
fn is_member_of(member: &[u8], block: &[u8]) -> bool {
    member.starts_with(&GZIP_HEADER) && member.ends_with(&trailer(block))
}

fn trailer(block: &[u8]) -> [u8; 8] {
    let mut crc = Crc::new();
    crc.update(block);
    let mut trailer = [0; 8];
    trailer[..4].copy_from_slice(&crc.sum().to_le_bytes());
    trailer[4..].copy_from_slice(&crc.amount().to_le_bytes());
    trailer
}

fn gzip_member(block: &[u8]) -> Vec<u8> {
    // Stored blocks of deflate cost 5 bytes in 65,535 at worst.
    let mut member = Vec::with_capacity(block.len() + block.len() / 1000 + 128);
    member.extend_from_slice(&GZIP_HEADER);
    let mut deflate = Compress::new(Compression::new(1), false);
    loop {
        let taken = usize::try_from(deflate.total_in()).expect("invariant: a block fits into memory");
        let status = deflate
            .compress_vec(&block[taken..], &mut member, FlushCompress::Finish)
            .expect("invariant: deflate fails only when misused");
        if status == flate2::Status::StreamEnd {
            break;
        }
        member.reserve(BLOCK_BYTES / 16);
    }
    member.extend_from_slice(&trailer(block));
    member
}
