//! Definitions as packages: the same bytes every time, and nothing unpacked that should not be.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::Write as _;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use slipway_definitions::{Definition, DefinitionKind, Folder, FolderOptions, scaffold};
use slipway_deployer::definitions::artifact::{ANNOTATION_NAME, Artifact, MAX_LAYER_BYTES, layer, unpack};
use slipway_oci::Descriptor;
use slipway_oci::manifest::ImageManifest;
use slipway_types::Digest;
use slipway_types::media_type::{DEFINITION_ARTIFACT, OCI_LAYER_GZIP};
use tar::{EntryType, Header};

const WHOLE: [&str; 3] = ["definition.yaml", "schema.json", "main.star"];

fn folder() -> Folder {
    let files = scaffold(DefinitionKind::Trait, &"graceful".parse().unwrap());
    let files = files.into_iter().map(|(path, text)| (path, text.into())).collect();
    Folder::new(files, &FolderOptions::default()).unwrap()
}

/// An archive of raw entries: path, type, link target and content.
fn packed(entries: &[(&str, EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, kind, target, bytes) in entries {
        let mut header = Header::new_ustar();
        // Set byte by byte, as the library refuses what an attacker writes.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn whole<'a>(more: &[(&'a str, EntryType, &'a str, &'a [u8])]) -> Vec<u8> {
    let file = |path: &&'a str| (*path, EntryType::Regular, "", &b"x"[..]);
    let entries: Vec<_> = WHOLE.iter().map(file).chain(more.iter().copied()).collect();
    packed(&entries)
}

fn refusal(layer: &[u8]) -> String {
    let violations = unpack(layer).unwrap_err();
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_same_folder_gives_the_same_artifact_and_comes_back_whole() {
    let folder = folder();
    let [one, two] = [0, 1].map(|_| Artifact::of(&Definition::load(folder.clone()).unwrap()));
    assert_eq!((one.digest(), &one.manifest), (two.digest(), &two.manifest));
    assert_eq!(unpack(&one.blobs[1].1).unwrap(), folder);
    let manifest: ImageManifest = serde_json::from_slice(&one.manifest).unwrap();
    let layer = layer(&manifest).unwrap();
    assert_eq!((layer.digest, layer.size), (Digest::of(&one.blobs[1].1), one.blobs[1].1.len() as u64));
    assert_eq!(manifest.annotations[ANNOTATION_NAME], "graceful");
    let first = tar::Archive::new(GzDecoder::new(&one.blobs[1].1[..]))
        .entries()
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .header()
        .clone();
    let owner = (first.uid().unwrap(), first.gid().unwrap(), first.mtime().unwrap());
    assert_eq!(owner, (0, 0, slipway_archive::EPOCH_S));
}

#[test]
fn archives_of_stock_tools_are_taken() {
    let layer = packed(&[
        ("./", EntryType::Directory, "", b""),
        ("./definition.yaml", EntryType::Regular, "", b"x"),
        ("./examples/", EntryType::Directory, "", b""),
        ("./main.star", EntryType::Regular, "", b"x"),
        ("./schema.json", EntryType::Regular, "", b"x"),
    ]);
    assert_eq!(unpack(&layer).unwrap().files().len(), 3);
}

#[test]
fn paths_that_lead_elsewhere_and_everything_but_files_are_refused() {
    for path in ["../main.star", "/etc/cron.d/x.star", "examples/../../x.yaml", "a/b/c.star", "..", ".ssh/x"]
    {
        let said = refusal(&whole(&[(path, EntryType::Regular, "", b"x")]));
        assert!(said.contains("is no file of a definition"), "{path}: {said}");
    }
    for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let said = refusal(&whole(&[("pod.star", kind, "/etc/passwd", b"")]));
        assert!(said.contains("no plain file"), "{kind:?}: {said}");
    }
    let said = refusal(&whole(&[("main.star", EntryType::Regular, "", b"y")]));
    assert!(said.contains("twice"), "{said}");
}

#[test]
fn archives_that_hold_too_much_are_refused_before_they_are_unpacked() {
    let large = vec![b' '; 600 << 10];
    let said = refusal(&whole(&[("pod.star", EntryType::Regular, "", &large)]));
    assert!(said.contains("max_file_bytes"), "{said}");
    let many: Vec<String> = (0..300).map(|n| format!("m{n}.star")).collect();
    let many: Vec<_> = many.iter().map(|path| (path.as_str(), EntryType::Regular, "", &b"x"[..])).collect();
    assert!(refusal(&whole(&many)).contains("max_files"));
    let full = vec![b' '; 500 << 10];
    let names: Vec<String> = (0..6).map(|n| format!("m{n}.star")).collect();
    let sum: Vec<_> = names.iter().map(|path| (path.as_str(), EntryType::Regular, "", &full[..])).collect();
    assert!(refusal(&whole(&sum)).contains("max_total_bytes"));
}

#[test]
fn bombs_end_early() {
    // A gibibyte of zeros, which come as an endless row of empty headers, and as one file.
    let mut zeros = GzEncoder::new(Vec::new(), Compression::fast());
    let mut header = Header::new_ustar();
    header.set_path("main.star").unwrap();
    header.set_size(1 << 30);
    header.set_cksum();
    zeros.write_all(header.as_bytes()).unwrap();
    let block = vec![0; 1 << 20];
    for _ in 0..1024 {
        zeros.write_all(&block).unwrap();
    }
    let said = refusal(&zeros.finish().unwrap());
    assert!(said.contains("max_file_bytes"), "{said}");
    // The same behind a long name, which is read before the entry is seen.
    let mut name = GzEncoder::new(Vec::new(), Compression::fast());
    let mut header = Header::new_gnu();
    header.set_path("././@LongLink").unwrap();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 30);
    header.set_cksum();
    name.write_all(header.as_bytes()).unwrap();
    for _ in 0..1024 {
        name.write_all(&block).unwrap();
    }
    let said = refusal(&name.finish().unwrap());
    assert!(said.contains("unpacks to more than"), "{said}");
}

#[test]
fn what_is_no_archive_is_told() {
    for bytes in [&b""[..], b"no gzip", &whole(&[])[..40]] {
        let said = refusal(bytes);
        assert!(
            said.contains("cannot be unpacked") || said.contains("there is no `definition.yaml`"),
            "{said}"
        );
    }
}

#[test]
fn only_a_manifest_of_a_definition_is_one() {
    let layer_of = |artifact: &str, layers: Vec<Descriptor>| {
        let manifest = ImageManifest::artifact(artifact, Descriptor::empty(), layers);
        layer(&manifest).map(|_| ()).map_err(|violations| violations[0].message.clone())
    };
    let good = Descriptor::of(OCI_LAYER_GZIP, b"x");
    assert_eq!(layer_of(DEFINITION_ARTIFACT, vec![good.clone()]), Ok(()));
    assert!(layer_of("application/vnd.x", vec![good.clone()]).unwrap_err().contains("artifactType"));
    assert!(layer_of(DEFINITION_ARTIFACT, vec![good.clone(), good.clone()]).is_err());
    let huge = Descriptor { size: MAX_LAYER_BYTES + 1, ..good };
    assert!(layer_of(DEFINITION_ARTIFACT, vec![huge]).unwrap_err().contains("at most"));
}
