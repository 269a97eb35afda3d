//! How layers are written: reproducibly, block by block, and not at all when something fails.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use slipway_types::{Digest, media_type};

use super::super::{
    AssembleError, BlockCache, Input, LayerSink, LayerSource, LayerWriter, Options, RECIPE, assemble,
};
use super::{FILES, MemoryContext, MemorySink, Run, debian};
use crate::dockerfile::{Dockerfile, Parameters};

/// Bytes that gzip neither shrinks to nothing nor leaves alone.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|index| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            if index % 2 == 0 { state.to_le_bytes()[1] } else { b'x' }
        })
        .collect()
}

fn noisy(changed: Option<usize>) -> MemoryContext {
    let mut context = MemoryContext::new(FILES);
    for index in 0..20_usize {
        let seed = u32::try_from(index).unwrap() * 7 + 1 + u32::from(changed == Some(index)) * 1000;
        let length = 1000 * (index + 1) * (index + 1);
        context = context.with(&format!("n/{index:02}"), noise(seed, length));
    }
    context
}

#[derive(Default)]
struct MemoryCache(Mutex<HashMap<Digest, Vec<u8>>>, Mutex<usize>);

impl BlockCache for MemoryCache {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        self.0.lock().unwrap().get(key).cloned()
    }
    fn put(&self, key: &Digest, compressed: &[u8]) {
        *self.1.lock().unwrap() += 1;
        self.0.lock().unwrap().insert(*key, compressed.to_vec());
    }
}

#[test]
fn threads_order_and_cache_do_not_change_a_byte() {
    let dockerfile = "FROM scratch\nCOPY . /all/\nCOPY n /n";
    let mut digests = Vec::new();
    let cache = MemoryCache::default();
    for (threads, reversed, cached) in
        [(1, false, false), (5, true, false), (2, false, true), (3, true, true)]
    {
        let mut run = Run { context: noisy(None), ..Run::new(&[]) };
        run.context.reversed = reversed;
        run.options.compress_threads = threads;
        let cache = cached.then_some(&cache as &dyn BlockCache);
        digests.push(run.assemble_into(dockerfile, &MemorySink::default(), cache).unwrap().digest);
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
    // Recipe 2: whoever changes these bytes must raise `RECIPE`.
    let (image, _) = Run::new(FILES).assemble("FROM scratch\nCOPY . /\nCMD [\"/run.sh\"]").unwrap();
    assert_eq!((RECIPE, image.digest.short().as_str()), (2, "52e4e6baadc3"));
}

#[test]
fn one_changed_file_compresses_only_its_own_blocks() {
    let cache = MemoryCache::default();
    let puts = |changed| {
        *cache.1.lock().unwrap() = 0;
        let run = Run { context: noisy(changed), ..Run::new(&[]) };
        run.assemble_into("FROM scratch\nCOPY n /n", &MemorySink::default(), Some(&cache)).unwrap();
        *cache.1.lock().unwrap()
    };
    assert!(puts(None) > 10);
    assert_eq!(puts(None), 0);
    assert_eq!(puts(Some(15)), 1);
}

#[test]
fn a_sink_that_fails_ends_the_work() {
    struct Full;
    struct FullWriter;
    impl LayerSink for Full {
        fn create(&self) -> io::Result<Box<dyn LayerWriter>> {
            Ok(Box::new(FullWriter))
        }
    }
    impl Write for FullWriter {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl LayerWriter for FullWriter {
        fn finish(self: Box<Self>, _: Digest, _: u64) -> io::Result<()> {
            panic!("an incomplete layer was kept")
        }
    }
    let dockerfile = Dockerfile::parse(b"FROM scratch\nCOPY n /n").unwrap();
    let input = Input {
        dockerfile: &dockerfile,
        parameters: &Parameters::default(),
        context: Arc::new(noisy(None)),
        dockerignore: None,
        bases: &BTreeMap::new(),
        sink: &Full,
        cache: None,
        cancelled: None,
    };
    let error = assemble(&input, &Options::default()).unwrap_err();
    assert!(matches!(&error, AssembleError::Sink(source) if source.kind() == io::ErrorKind::StorageFull));
}

#[test]
fn cancelling_ends_the_work_in_the_middle_of_a_layer() {
    struct Cancelling<'a>(&'a MemorySink, &'a AtomicBool);
    impl LayerSink for Cancelling<'_> {
        fn create(&self) -> io::Result<Box<dyn LayerWriter>> {
            self.1.store(true, std::sync::atomic::Ordering::Relaxed);
            self.0.create()
        }
    }
    let dockerfile = Dockerfile::parse(b"FROM scratch\nCOPY n /n").unwrap();
    let (memory, flag) = (MemorySink::default(), AtomicBool::new(false));
    let input = Input {
        dockerfile: &dockerfile,
        parameters: &Parameters::default(),
        context: Arc::new((0..100).fold(MemoryContext::default(), |context, index| {
            context.with(&format!("n/{index:03}"), noise(index + 1, 100_000))
        })),
        dockerignore: Some(b"n/099"),
        bases: &BTreeMap::new(),
        sink: &Cancelling(&memory, &flag),
        cache: None,
        cancelled: Some(&flag),
    };
    let error = assemble(&input, &Options::default()).unwrap_err();
    assert!(matches!(error, AssembleError::Cancelled), "{error}");
    assert!(memory.0.lock().unwrap().is_empty());
}

#[test]
fn the_manifest_names_oci_types_only() {
    let run = Run::new(FILES).base("debian", debian());
    let (image, _) = run.assemble("FROM debian\nCOPY a.txt /").unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&image.manifest).unwrap();
    let types: Vec<_> =
        manifest["layers"].as_array().unwrap().iter().map(|l| l["mediaType"].as_str().unwrap()).collect();
    assert_eq!(types, [media_type::OCI_LAYER_GZIP; 3]);
    assert!(matches!(&image.layers[0].source, LayerSource::Base(key) if key.text == "debian"));
    assert_eq!(image.layers[2].source, LayerSource::New);
}
