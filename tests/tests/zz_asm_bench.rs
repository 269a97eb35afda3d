#![allow(warnings)]
use std::{fs, io::{self, Write, Read}, path::*, process::Command, sync::Arc, time::Instant, collections::BTreeMap};
use slipway_builder::assemble::*;
use slipway_builder::dockerfile::*;
struct S(PathBuf);
struct W(fs::File, PathBuf);
impl LayerSink for S { fn create(&self) -> io::Result<Box<dyn LayerWriter>> { let p = self.0.join("l"); Ok(Box::new(W(fs::File::create(&p)?, p))) } }
impl Write for W { fn write(&mut self, b: &[u8]) -> io::Result<usize> { self.0.write(b) } fn flush(&mut self) -> io::Result<()> { Ok(()) } }
impl LayerWriter for W { fn finish(self: Box<Self>, _: slipway_types::Digest, size: u64) -> io::Result<()> { self.0.sync_all() } }
fn fill(p: &Path, seed: u64) { let mut s = seed | 1; let mut v = Vec::with_capacity(200_704); for i in 0..200_704 / 8 { s ^= s << 13; s ^= s >> 7; s ^= s << 17; if (i / 64) % 2 == 0 { v.extend(s.to_le_bytes()) } else { v.extend(*b"abcdefgh") } } fs::write(p, v).unwrap(); }
fn run(c: &mut Command) { let o = c.output().unwrap(); assert!(o.status.success(), "{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr)); }
#[test]
fn zz_bench() {
    let d = tempfile::tempdir().unwrap(); let c = d.path().join("c"); fs::create_dir_all(c.join("f")).unwrap();
    for i in 0..500u64 { fill(&c.join(format!("f/{i:03}")), i * 977 + 5) }
    fs::write(c.join("Dockerfile"), "FROM scratch\nCOPY f /f\n").unwrap();
    let cache = DiskBlockCache::open(d.path().join("cache"), 1 << 30).unwrap();
    let df = Dockerfile::parse(&fs::read(c.join("Dockerfile")).unwrap()).unwrap();
    let go = |what: &str| { let t = Instant::now(); let sink = S(d.path().to_owned());
        let i = assemble(&Input { dockerfile: &df, parameters: &Parameters::default(), context: Arc::new(DirectoryContext::new(&c)), dockerignore: None, bases: &BTreeMap::new(), sink: &sink, cache: Some(&cache), cancelled: None }, &Options::default()).unwrap();
        println!("assemble {what}: {:?} {} bytes", t.elapsed(), i.layers[0].size); };
    go("cold");
    let host = std::env::var("SLIPWAY_TEST_DOCKER_HOST").unwrap(); let reg = std::env::var("SLIPWAY_TEST_REGISTRY").unwrap();
    let tag = format!("{reg}/bench:x");
    let dock = |what: &str| { let t = Instant::now(); run(Command::new("docker").args(["-H", &host, "build", "-q", "-t", &tag]).arg(&c).env("DOCKER_BUILDKIT", "0")); let b = t.elapsed(); run(Command::new("docker").args(["-H", &host, "push", "-q", &tag])); println!("docker {what}: build {b:?} build+push {:?}", t.elapsed()); };
    dock("cold");
    for r in 0..5u64 { fill(&c.join(format!("f/{:03}", r * 90)), 1_000_003 + r); go("one changed"); dock("one changed"); }
}
