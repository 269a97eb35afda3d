//! What `assemble` makes of a Dockerfile is what a real Docker engine makes of it: the same merged tree and
//! the same configuration, or both refuse.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![expect(clippy::print_stderr, reason = "the seed and the refusals belong into the log of a failed test")]

#[path = "docker_assemble/assembled.rs"]
mod assembled;
#[path = "docker_assemble/bases.rs"]
mod bases;
#[path = "docker_assemble/case.rs"]
mod case;
#[path = "docker_assemble/compare.rs"]
mod compare;
#[path = "docker_assemble/engine.rs"]
mod engine;
#[path = "docker_assemble/random.rs"]
mod random;
#[path = "docker_assemble/tree.rs"]
mod tree;

use std::fs;
use std::path::Path;

use case::{Builder, Case};
use engine::Engine;

/// How many Dockerfiles the generator makes.
const RANDOM_CASES: u64 = 30;

fn cases() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker_assemble/cases");
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let chosen = std::env::var("SLIPWAY_TEST_CASE").unwrap_or_default();
    paths.retain(|path| path.to_string_lossy().contains(&chosen));
    paths
        .iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            Case::parse(&name, &fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// Builds each case both ways and gathers what differs.
fn compare_all(cases: &[Case], builder: Builder, engine: &Engine) {
    let bases = bases::all();
    engine.load(&bases);
    let differences: Vec<String> = cases
        .iter()
        .filter(|case| case.builders.contains(&builder))
        .filter_map(|case| compare::difference(case, builder, engine, &bases))
        .collect();
    assert!(differences.is_empty(), "{} differ:\n\n{}", differences.len(), differences.join("\n\n"));
}

#[test]
fn docker_buildkit_and_assemble_agree() {
    let cases = cases();
    assert!(!cases.is_empty(), "no case was found");
    compare_all(&cases, Builder::Buildkit, &Engine::buildkit());
}

#[test]
fn docker_classic_builder_and_assemble_agree() {
    compare_all(&cases(), Builder::Classic, &Engine::classic());
}

#[test]
fn docker_buildkit_and_assemble_agree_on_random_dockerfiles() {
    let seed = random::seed();
    eprintln!("SLIPWAY_TEST_SEED={seed}");
    let cases: Vec<Case> = (0..RANDOM_CASES).map(|index| random::case(seed.wrapping_add(index))).collect();
    compare_all(&cases, Builder::Buildkit, &Engine::buildkit());
}

#[test]
fn docker_loads_and_exports_what_was_assembled() {
    let bases = bases::all();
    let engine = Engine::classic();
    let cases = cases();
    let mut exported = cases.iter().filter(|case| case.name.starts_with("engine-reads")).peekable();
    assert!(exported.peek().is_some(), "there is no such case");
    for case in exported {
        let directory = case.write();
        let image = assembled::assemble(case, directory.path(), &bases).unwrap();
        let read = engine.exported(&image);
        let expected = tree::flatten(&image.layers);
        let differences = compare::lines(&read, &expected);
        assert!(differences.is_empty(), "{}: - engine, + assemble\n{differences}", case.name);
    }
}
