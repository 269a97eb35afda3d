use std::io::{Read as _, Write as _};

use slipway_objects::{Blobs, BlobsOptions};

use super::*;

const GRAPH: &str = "application/vnd.oci.image.layer.v1.tar";

/// Members of an export, written as given.
#[derive(Default)]
struct Archive(Vec<(String, Vec<u8>)>, Vec<(String, String)>);

impl Archive {
    fn add(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> &mut Self {
        self.0.push((path.into(), bytes.into()));
        self
    }

    fn blob(&mut self, bytes: impl Into<Vec<u8>>) -> serde_json::Value {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let size = bytes.len();
        self.add(format!("blobs/sha256/{}", digest.hex()), bytes);
        serde_json::json!({"digest": digest, "size": size})
    }

    fn bytes(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, bytes) in &self.0 {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, path, bytes.as_slice()).unwrap();
        }
        for (path, target) in &self.1 {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, path, target).unwrap();
        }
        builder.into_inner().unwrap()
    }
}

fn typed(mut descriptor: serde_json::Value, media_type: &str) -> serde_json::Value {
    descriptor["mediaType"] = media_type.into();
    descriptor
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn config(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<Digest> = layers.iter().map(Digest::of).collect();
    serde_json::json!({"architecture": "amd64", "os": "linux", "container": "abc", "config": {"Image": "sha256:0",
        "Labels": {LABEL: "me", "keep": "1"}}, "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": "/bin/sh -c #(nop)  LABEL dev.slipway.build=me", "empty_layer": true},
            {"created_by": "/bin/sh -c x"}]})
    .to_string()
    .into_bytes()
}

/// Docker 20.10: a directory for each layer; one that occurs twice is a link.
fn docker(layers: &[&[u8]]) -> (Archive, Digest) {
    let mut archive = Archive::default();
    let config = config(layers);
    let id = Digest::of(&config);
    let mut paths: Vec<String> = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let path = format!("l{index}/layer.tar");
        match layers[..index].iter().position(|earlier| earlier == layer) {
            Some(earlier) => archive.1.push((path.clone(), format!("../l{earlier}/layer.tar"))),
            None => drop(archive.add(&path, *layer)),
        }
        paths.push(path);
    }
    let name = format!("{}.json", id.hex());
    archive.add(&name, config);
    let manifest = serde_json::json!([{"Config": name, "RepoTags": null, "Layers": paths}]);
    archive.add("manifest.json", manifest.to_string());
    (archive, id)
}

/// Docker 25 and later; `compressed` and `nested` as the containerd store writes it.
fn oci(layers: &[&[u8]], compressed: bool) -> (Archive, Digest) {
    let mut archive = Archive::default();
    let config_bytes = config(layers);
    let mut id = Digest::of(&config_bytes);
    let config = typed(archive.blob(config_bytes), media_type::OCI_CONFIG);
    let layers: Vec<serde_json::Value> = layers
        .iter()
        .map(|layer| match compressed {
            true => typed(archive.blob(gzip(layer)), media_type::OCI_LAYER_GZIP),
            false => typed(archive.blob(*layer), GRAPH),
        })
        .collect();
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": layers});
    let mut top = typed(archive.blob(manifest.to_string()), media_type::OCI_MANIFEST);
    if compressed {
        top["platform"] = serde_json::json!({"os": "linux", "architecture": "amd64"});
        let mut attestation = typed(archive.blob("{}"), media_type::OCI_MANIFEST);
        attestation["platform"] = serde_json::json!({"os": "unknown", "architecture": "unknown"});
        let mut absent = top.clone();
        absent["digest"] = Digest::of("absent").to_string().into();
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX,
            "manifests": [attestation, absent, top]})
        .to_string();
        id = Digest::of(&index);
        top = typed(archive.blob(index), media_type::OCI_INDEX);
    }
    archive.add("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    archive.add("index.json", serde_json::json!({"schemaVersion": 2, "manifests": [top]}).to_string());
    archive.add("manifest.json", "[]");
    (archive, id)
}

struct Ground {
    blobs: Blobs,
    _directory: tempfile::TempDir,
}

impl Ground {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(BlobsOptions::new("memory:///", directory.path())).await.unwrap();
        Self { blobs, _directory: directory }
    }

    async fn store(
        &self,
        bytes: Vec<u8>,
        id: Digest,
        known: &[Digest],
    ) -> Result<(Saved, Vec<Layer>), Fault> {
        let mut spool = self.blobs.spool().unwrap();
        spool.write(&bytes).await.unwrap();
        let file = spool.finish().await.unwrap();
        let layers = Layers {
            blobs: self.blobs.clone(),
            runtime: tokio::runtime::Handle::current(),
            threads: 2,
            cancelled: Arc::default(),
            known: known.iter().copied().collect(),
        };
        let work = move || {
            let saved = Saved::read(&file, &id.to_string(), &Platform::default())?;
            let layers = layers.store(&file, &saved)?;
            Ok((saved, layers))
        };
        tokio::task::spawn_blocking(work).await.unwrap()
    }

    /// The tar in a stored layer.
    async fn tar(&self, layer: &Layer) -> Vec<u8> {
        let Layer::New(descriptor) = layer else { panic!("{layer:?}") };
        assert_eq!(descriptor.media_type, media_type::OCI_LAYER_GZIP);
        let stored = self.blobs.get(&descriptor.digest, u64::MAX).await.unwrap();
        assert_eq!(stored.len() as u64, descriptor.size);
        let mut tar = Vec::new();
        flate2::bufread::MultiGzDecoder::new(stored.as_ref()).read_to_end(&mut tar).unwrap();
        tar
    }
}

#[tokio::test]
async fn every_layout_gives_the_same_image() {
    let ground = Ground::new().await;
    let large = vec![7; 3 << 20];
    let layers: [&[u8]; 3] = [b"first layer", &large, b"first layer"];
    let (legacy, graph, containerd) = (docker(&layers), oci(&layers, false), oci(&layers, true));
    for (archive, id) in [legacy, graph, containerd] {
        let (saved, stored) = ground.store(archive.bytes(), id, &[]).await.unwrap();
        assert_eq!(saved.config.rootfs.diff_ids.len(), 3);
        for (layer, expected) in stored.iter().zip(layers) {
            assert!(ground.tar(layer).await == expected);
        }
    }
}

#[tokio::test]
async fn layers_of_the_base_are_not_looked_at() {
    let ground = Ground::new().await;
    let (archive, id) = docker(&[b"base", b"own"]);
    let (_, stored) = ground.store(archive.bytes(), id, &[Digest::of("base")]).await.unwrap();
    assert!(matches!(stored.as_slice(), [Layer::Known(_), Layer::New(_)]));
}

#[tokio::test]
async fn an_export_that_is_not_whole_is_refused() {
    let ground = Ground::new().await;
    for compressed in [false, true] {
        let (mut archive, id) = oci(&[b"a layer"], compressed);
        let layer =
            archive.0.iter_mut().find(|(path, _)| path.starts_with("blobs/") && !path.ends_with(&id.hex()));
        layer.unwrap().1[0] ^= 1;
        assert_eq!(ground.store(archive.bytes(), id, &[]).await.unwrap_err().code, "docker_export");
    }
    let (mut archive, id) = docker(&[b"a layer"]);
    archive.0[0].1[0] ^= 1;
    let fault = ground.store(archive.bytes(), id, &[]).await.unwrap_err();
    assert!(fault.message.contains("a layer hashes to"), "{fault}");
    archive.0.remove(0);
    let fault = ground.store(archive.bytes(), id, &[]).await.unwrap_err();
    assert!(fault.message.contains("l0/layer.tar is missing"), "{fault}");
    let (archive, _) = docker(&[b"a layer"]);
    let fault = ground.store(archive.bytes(), Digest::of("other"), &[]).await.unwrap_err();
    assert!(fault.message.contains("another image"), "{fault}");
    let mut cut = archive.bytes();
    cut.truncate(700);
    assert_eq!(ground.store(cut, id, &[]).await.unwrap_err().code, "docker_export");
}

#[test]
fn the_configuration_loses_what_is_not_the_authors() {
    let config: ImageConfig = serde_json::from_slice(&config(&[b"x"])).unwrap();
    let text = serde_json::to_string(&cleaned(config, "me")).unwrap();
    assert!(text.contains(r#""Labels":{"keep":"1"}"#), "{text}");
    assert!(!text.contains("dev.slipway") && !text.contains("abc"), "{text}");
    assert!(text.contains("/bin/sh -c x"), "{text}");
}
