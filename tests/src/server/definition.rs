//! Definitions as anybody could push them, checked by nobody.

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::Server;
use super::layout::digest_of;

/// What marks an artifact as a definition.
pub const DEFINITION_ARTIFACT: &str = "application/vnd.slipway.definition.v1";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Files as a gzipped tar; their names are taken as they are, be they as bad as they like.
pub fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, text.as_bytes()).expect("a file");
    }
    tar.into_inner().expect("a tar").finish().expect("a gzip")
}

/// The files of a trait for everything, with one example: no properties give `expect`.
pub fn trait_files(
    name: &str,
    version: &str,
    schema: &str,
    main: &str,
    expect: &str,
) -> [(&'static str, String); 4] {
    let manifest = format!(
        "apiVersion: slipway.dev/v1\nkind: TraitDefinition\nmetadata:\n  name: {name}\n  version: {version}\n  \
         description: A trait of a test.\nspec: {{api: 1, appliesTo: ['*']}}\n"
    );
    [
        ("definition.yaml", manifest),
        ("examples/plain.yaml", format!("properties: {{}}\nexpect: {expect}\n")),
        ("main.star", main.to_owned()),
        ("schema.json", schema.to_owned()),
    ]
}

impl Server {
    /// Pushes a layer as an artifact of that type; gives its reference by digest.
    pub fn push_artifact(&self, repository: &str, artifact_type: &str, layer: &[u8]) -> String {
        let config = b"{}";
        let descriptor = |media_type: &str, bytes: &[u8]| -> Value {
            json!({"mediaType": media_type, "digest": digest_of(bytes), "size": bytes.len()})
        };
        for bytes in [&config[..], layer] {
            self.push_blob(repository, bytes);
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": descriptor("application/vnd.oci.empty.v1+json", config),
            "layers": [descriptor(LAYER, layer)],
        })
        .to_string();
        let digest = digest_of(manifest.as_bytes());
        let path = format!("/v2/{repository}/manifests/{digest}");
        self.put(&path, MANIFEST, manifest.as_bytes());
        format!("{}/{repository}@{digest}", self.address())
    }

    /// Pushes files as a definition; gives its reference by digest.
    pub fn push_definition(&self, repository: &str, files: &[(&str, String)]) -> String {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        self.push_artifact(repository, DEFINITION_ARTIFACT, &archive(&files))
    }

    fn push_blob(&self, repository: &str, bytes: &[u8]) {
        let authorization = format!("Bearer {}", self.token());
        let headers = [("Authorization", authorization.as_str())];
        let opened = self.request("POST", &format!("/v2/{repository}/blobs/uploads/"), &headers, b"");
        assert_eq!(opened.status, 202, "{}", opened.text());
        let location = opened.header("location").expect("a location");
        let path =
            location.split_once("//").map_or(location, |(_, rest)| &rest[rest.find('/').expect("a path")..]);
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}digest={}", digest_of(bytes));
        self.put(&path, "application/octet-stream", bytes);
    }

    fn put(&self, path: &str, media_type: &str, bytes: &[u8]) {
        let authorization = format!("Bearer {}", self.token());
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", media_type)];
        let done = self.request("PUT", path, &headers, bytes);
        assert_eq!(done.status, 201, "PUT {path}: {}", done.text());
    }

    /// POST of JSON with the administrator's token.
    pub fn post(&self, path: &str, body: &Value) -> super::Answer {
        let authorization = format!("Bearer {}", self.token());
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        self.request("POST", path, &headers, body.to_string().as_bytes())
    }

    /// The most memory that the (first) server ever held, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }
}
