//! A real Docker engine.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use slipway_tests::services;

use crate::bases::Image;
use crate::case::{Builder, Case};
use crate::tree::{Tree, flatten};

/// What the engine itself puts into every container, as `docker export` shows it.
const ADDED: [&str; 9] = [
    ".dockerenv",
    "dev/console",
    "dev/pts",
    "dev/shm",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    "dev",
];

pub(crate) struct Engine {
    host: String,
}

impl Engine {
    /// An engine whose BuildKit answers without `docker buildx`.
    pub(crate) fn buildkit() -> Self {
        Self { host: services::docker_new().host }
    }

    /// The engine whose classic builder is used.
    pub(crate) fn classic() -> Self {
        Self { host: services::docker().host }
    }

    fn docker(&self) -> Command {
        let mut docker = Command::new(services::tool("docker"));
        docker.args(["--host", &self.host]).env("DOCKER_BUILDKIT", "0").env("BUILDKIT_PROGRESS", "plain");
        docker
    }

    pub(crate) fn load(&self, images: &BTreeMap<String, Image>) {
        for (name, image) in images {
            self.load_one(image, &format!("{name}:latest"));
        }
    }

    fn load_one(&self, image: &Image, tag: &str) {
        fed(self.docker().arg("load"), &image.to_load(tag)).unwrap();
    }

    /// Builds a case; the error is the engine's message.
    pub(crate) fn build(&self, case: &Case, directory: &Path, builder: Builder) -> Result<Image, String> {
        let tag = unique_tag();
        match builder {
            Builder::Buildkit => self.build_by_buildkit(case, directory, &tag)?,
            Builder::Classic => self.build_by_classic(case, directory, &tag)?,
        }
        let saved = output(self.docker().args(["save", &tag])).unwrap();
        output(self.docker().args(["rmi", "--force", &tag])).unwrap();
        Ok(read_saved(&saved))
    }

    fn build_by_classic(&self, case: &Case, directory: &Path, tag: &str) -> Result<(), String> {
        let mut docker = self.docker();
        docker.args(["build", "--quiet", "--tag", tag]);
        for (name, value) in &case.arguments {
            docker.args(["--build-arg", &format!("{name}={value}")]);
        }
        if let Some(target) = &case.target {
            docker.args(["--target", target]);
        }
        output(docker.arg(directory)).map(drop)
    }

    /// The engine's API offers its BuildKit to who sends the context as a tar stream.
    fn build_by_buildkit(&self, case: &Case, directory: &Path, tag: &str) -> Result<(), String> {
        let mut context = tar::Builder::new(Vec::new());
        context.follow_symlinks(false);
        context.mode(tar::HeaderMode::Deterministic);
        context.append_dir_all("", directory).unwrap();
        let arguments: BTreeMap<_, _> = case.arguments.iter().cloned().collect();
        let mut url = "http://docker/build?version=2".to_owned();
        for (name, value) in [
            ("t", tag),
            ("target", case.target.as_deref().unwrap_or_default()),
            ("buildargs", &serde_json::to_string(&arguments).unwrap()),
        ] {
            write!(url, "&{name}={}", escaped(value)).unwrap();
        }
        let mut curl = Command::new(services::tool("curl"));
        curl.args(["--silent", "--show-error", "--request", "POST", "--upload-file", "-"]);
        curl.args(["--header", "Content-Type: application/x-tar"]);
        curl.args(["--unix-socket", self.host.trim_start_matches("unix://"), &url]);
        let answer = fed(&mut curl, &context.into_inner().unwrap())?;
        for line in String::from_utf8_lossy(&answer).lines() {
            let message: Value = serde_json::from_str(line).unwrap();
            if let Some(error) = message["errorDetail"]["message"].as_str().or(message["message"].as_str()) {
                return Err(error.to_owned());
            }
        }
        Ok(())
    }

    /// The file tree of a container of `image`, as the engine exports it.
    pub(crate) fn exported(&self, image: &Image) -> Tree {
        let tag = unique_tag();
        self.load_one(image, &tag);
        let created = output(self.docker().args(["create", &tag, "/none"])).unwrap();
        let container = String::from_utf8(created).unwrap().trim().to_owned();
        let exported = output(self.docker().args(["export", &container])).unwrap();
        output(self.docker().args(["rm", "--force", &container])).unwrap();
        output(self.docker().args(["rmi", "--force", &tag])).unwrap();
        let mut tree = flatten(&[exported]);
        for path in ADDED {
            tree.remove(path);
        }
        tree.retain(|path, line| !matches!(path.as_str(), "proc" | "sys") || line != "d 755 0:0");
        tree
    }
}

/// A value as a query takes it.
fn escaped(value: &str) -> String {
    let escape = |byte: &u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    value.as_bytes().iter().map(escape).collect()
}

fn unique_tag() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("assemble-case:{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let done = command.stdin(Stdio::null()).output().unwrap();
    if done.status.success() {
        return Ok(done.stdout);
    }
    Err(format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)))
}

fn fed(command: &mut Command, input: &[u8]) -> Result<Vec<u8>, String> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let done = command.stdin(file).output().unwrap();
    if done.status.success() { Ok(done.stdout) } else { Err(String::from_utf8_lossy(&done.stderr).into()) }
}

/// Reads what `docker save` writes.
fn read_saved(saved: &[u8]) -> Image {
    let directory = tempfile::tempdir().unwrap();
    tar::Archive::new(saved).unpack(directory.path()).unwrap();
    let read = |name: &str| fs::read(directory.path().join(name)).unwrap();
    let manifest: Value = serde_json::from_slice(&read("manifest.json")).unwrap();
    let config = serde_json::from_slice(&read(manifest[0]["Config"].as_str().unwrap())).unwrap();
    let layers = manifest[0]["Layers"].as_array().cloned().unwrap_or_default();
    let layers = layers.iter().map(|layer| {
        let mut bytes = Vec::new();
        let file = fs::File::open(directory.path().join(layer.as_str().unwrap())).unwrap();
        std::io::BufReader::new(file).read_to_end(&mut bytes).unwrap();
        bytes
    });
    Image { config, layers: layers.collect() }
}
