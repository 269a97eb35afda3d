//! Layers of an export become blobs: compressed if they are not, verified either way.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::bufread::MultiGzDecoder;
use slipway_objects::{Blobs, BlockingSpool, Spooled};
use slipway_oci::manifest::Descriptor;
use slipway_types::{Digest, Fault, Hasher, media_type};
use tokio::runtime::Handle;

use super::super::blob_fault;
use super::saved::{Place, Saved, SavedLayer, broken, open};
use crate::assemble::blocks::{self, BlockOptions};
use crate::assemble::{AssembleError, LayerSink, LayerWriter};

const BUFFER_BYTES: usize = 128 << 10;
const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// A layer of the image in the registry.
#[derive(Debug)]
pub(super) enum Layer {
    /// In the object store.
    New(Descriptor),
    /// One that a base image has, by the digest of its tar.
    Known(Digest),
}

/// Puts layers into the object store. Everything blocks.
pub(super) struct Layers {
    pub(super) blobs: Blobs,
    pub(super) runtime: Handle,
    pub(super) threads: usize,
    pub(super) cancelled: Arc<AtomicBool>,
    /// Layers that need not be looked at.
    pub(super) known: BTreeSet<Digest>,
}

impl Layers {
    pub(super) fn store(&self, file: &Spooled, saved: &Saved) -> Result<Vec<Layer>, Fault> {
        saved
            .layers
            .iter()
            .map(|layer| match self.known.contains(&layer.diff_id) {
                true => Ok(Layer::Known(layer.diff_id)),
                false => self.store_one(file, layer).map(Layer::New),
            })
            .collect()
    }

    fn store_one(&self, file: &Spooled, layer: &SavedLayer) -> Result<Descriptor, Fault> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Fault::transient("cancelled", "exporting the image was cancelled"));
        }
        let unreadable = |error: io::Error| broken(format!("layer {}: {error}", layer.diff_id));
        let mut start = Vec::new();
        open(file, layer.place).and_then(|part| part.take(4).read_to_end(&mut start)).map_err(unreadable)?;
        let (spooled, media_type) = match start.as_slice() {
            [0x1f, 0x8b, ..] => (self.gzipped(file, layer)?, media_type::OCI_LAYER_GZIP),
            // Not unpacked here: its stored digest is that of the index, which is verified.
            [0x28, 0xb5, 0x2f, 0xfd] => (self.stored(file, layer)?, OCI_LAYER_ZSTD),
            _ => (self.raw(file, layer)?, media_type::OCI_LAYER_GZIP),
        };
        let blob = self.runtime.block_on(self.blobs.put_spooled(spooled)).map_err(blob_fault)?;
        Ok(Descriptor::new(media_type, blob.digest, blob.size))
    }

    /// An uncompressed layer, compressed.
    fn raw(&self, file: &Spooled, layer: &SavedLayer) -> Result<Spooled, Fault> {
        let sink = SpoolSink { blobs: self.blobs.clone(), finished: Arc::default() };
        let options = BlockOptions { threads: self.threads, cache: None, cancelled: Some(&self.cancelled) };
        let place = layer.place;
        let written = blocks::write(options, &sink, |stream| {
            open(file, place)
                .and_then(|mut part| whole(io::copy(&mut part, stream)?, place))
                .map_err(AssembleError::Sink)
        })
        .map_err(|error| match error {
            AssembleError::Sink(error) => match error.downcast() {
                Ok(own) => blob_fault(own),
                Err(error) => broken(format!("layer {}: {error}", layer.diff_id)),
            },
            error => broken(error),
        })?;
        verify(layer.diff_id, written.diff_id)?;
        verify(layer.digest.unwrap_or(layer.diff_id), written.diff_id)?;
        let finished = sink.finished.lock().unwrap_or_else(PoisonError::into_inner).take();
        finished.ok_or_else(|| Fault::bug("docker_export", "a written layer is not in its spool"))
    }

    /// A gzipped layer, as it is.
    fn gzipped(&self, file: &Spooled, layer: &SavedLayer) -> Result<Spooled, Fault> {
        let unreadable = |error: io::Error| broken(format!("layer {}: {error}", layer.diff_id));
        let spool = self.blobs.blocking_spool().map_err(blob_fault)?;
        let tee = Tee { reader: open(file, layer.place).map_err(unreadable)?, spool };
        let mut tar = Hasher::new();
        let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, tee));
        io::copy(&mut decoder, &mut tar).map_err(unreadable)?;
        let mut tee = decoder.into_inner().into_inner();
        io::copy(&mut tee, &mut io::sink()).map_err(unreadable)?;
        verify(layer.diff_id, tar.finish())?;
        let spooled = tee.spool.finish().map_err(blob_fault)?;
        verify(layer.digest.unwrap_or_else(|| spooled.digest()), spooled.digest())?;
        Ok(spooled)
    }

    fn stored(&self, file: &Spooled, layer: &SavedLayer) -> Result<Spooled, Fault> {
        let unreadable = |error: io::Error| broken(format!("layer {}: {error}", layer.diff_id));
        let mut spool = self.blobs.blocking_spool().map_err(blob_fault)?;
        let mut part = open(file, layer.place).map_err(unreadable)?;
        io::copy(&mut part, &mut spool).map_err(unreadable)?;
        let spooled = spool.finish().map_err(blob_fault)?;
        let digest = layer.digest.ok_or_else(|| broken(format!("layer {} has no digest", layer.diff_id)))?;
        verify(digest, spooled.digest())?;
        Ok(spooled)
    }
}

fn whole(read: u64, place: Place) -> io::Result<()> {
    if read == place.size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn verify(expected: Digest, found: Digest) -> Result<(), Fault> {
    if expected == found {
        return Ok(());
    }
    Err(broken(format!("a layer hashes to {found} and not to {expected}")))
}

/// Writes down what is read.
struct Tee<R> {
    reader: R,
    spool: BlockingSpool,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.spool.write_all(&buffer[..read])?;
        Ok(read)
    }
}

/// Keeps the one layer that is written into it.
struct SpoolSink {
    blobs: Blobs,
    finished: Arc<Mutex<Option<Spooled>>>,
}

struct SpoolWriter {
    spool: BlockingSpool,
    finished: Arc<Mutex<Option<Spooled>>>,
}

impl LayerSink for SpoolSink {
    fn create(&self) -> io::Result<Box<dyn LayerWriter>> {
        let spool = self.blobs.blocking_spool().map_err(io::Error::from)?;
        Ok(Box::new(SpoolWriter { spool, finished: Arc::clone(&self.finished) }))
    }
}

impl Write for SpoolWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.spool.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spool.flush()
    }
}

impl LayerWriter for SpoolWriter {
    fn finish(self: Box<Self>, _digest: Digest, _size: u64) -> io::Result<()> {
        let spooled = self.spool.finish().map_err(io::Error::from)?;
        *self.finished.lock().unwrap_or_else(PoisonError::into_inner) = Some(spooled);
        Ok(())
    }
}
