//! The same case by Slipway's own back-end.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use slipway_builder::assemble::{
    AssembleError, DirectoryContext, Input, LayerSink, LayerSource, LayerWriter, Options, assemble as build,
};
use slipway_builder::dockerfile::{Dockerfile, Parameters};
use slipway_types::Digest;

use crate::bases::Image;
use crate::case::Case;

/// Blobs in memory, by digest.
#[derive(Default, Clone)]
struct MemorySink(Arc<Mutex<HashMap<Digest, Vec<u8>>>>);

struct MemoryWriter(MemorySink, Vec<u8>);

impl LayerSink for MemorySink {
    fn create(&self) -> io::Result<Box<dyn LayerWriter>> {
        Ok(Box::new(MemoryWriter(self.clone(), Vec::new())))
    }
}

impl Write for MemoryWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LayerWriter for MemoryWriter {
    fn finish(self: Box<Self>, digest: Digest, _size: u64) -> io::Result<()> {
        self.0.0.lock().unwrap().insert(digest, self.1);
        Ok(())
    }
}

/// Assembles a case; the error is the fault's message.
pub(crate) fn assemble(
    case: &Case,
    directory: &Path,
    bases: &BTreeMap<String, Image>,
) -> Result<Image, String> {
    let sink = MemorySink::default();
    let image = run(case, directory, bases, &sink).map_err(|error| error.fault("Dockerfile").message)?;
    let blobs = sink.0.lock().unwrap();
    let layers = image.layers.iter().map(|layer| {
        let tar = match &layer.source {
            LayerSource::Base(key) => {
                let layers = &bases[&key.text].layers;
                layers.iter().find(|tar| Digest::of(tar) == layer.diff_id).unwrap().clone()
            }
            LayerSource::New => unzipped(&blobs[&layer.digest]),
        };
        assert_eq!(Digest::of(&tar), layer.diff_id, "{}: diff id", case.name);
        tar
    });
    Ok(Image { config: serde_json::from_slice(&image.config).unwrap(), layers: layers.collect() })
}

fn run(
    case: &Case,
    directory: &Path,
    bases: &BTreeMap<String, Image>,
    sink: &MemorySink,
) -> Result<slipway_builder::assemble::AssembledImage, AssembleError> {
    let dockerfile = Dockerfile::parse(case.dockerfile())?;
    let parameters = Parameters {
        build_args: case.arguments.iter().cloned().collect(),
        target: case.target.clone(),
        ..Parameters::default()
    };
    let references = dockerfile.base_references(&parameters)?;
    let found = references
        .into_iter()
        .filter_map(|reference| Some((reference.key.clone(), bases.get(&reference.key.text)?.as_base())));
    let input = Input {
        dockerfile: &dockerfile,
        parameters: &parameters,
        context: Arc::new(DirectoryContext::new(directory)),
        dockerignore: None,
        bases: &found.collect(),
        sink,
        cache: None,
        cancelled: None,
    };
    build(&input, &Options::default())
}

fn unzipped(blob: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    flate2::read::MultiGzDecoder::new(blob).read_to_end(&mut tar).unwrap();
    tar
}
