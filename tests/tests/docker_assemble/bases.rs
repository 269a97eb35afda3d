//! Base images, made by hand and given to the engine and to `assemble` alike.
//!
//! A base is a text file: `-- config --` with the JSON of its `config`, then one `-- layer --` for each
//! layer.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::sync::Arc;

use serde_json::{Value, json};
use slipway_builder::assemble::{BaseImage, BaseLayer};
use slipway_types::Digest;

/// An image with its layers at hand, uncompressed.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) config: Value,
    pub(crate) layers: Vec<Vec<u8>>,
}

const TEXTS: [(&str, &str); 3] = [
    ("merged", include_str!("bases/merged.txt")),
    ("layered", include_str!("bases/layered.txt")),
    ("triggers", include_str!("bases/triggers.txt")),
];

/// Every base by its name.
pub(crate) fn all() -> BTreeMap<String, Image> {
    TEXTS.iter().map(|(name, text)| ((*name).to_owned(), parse(text))).collect()
}

fn parse(text: &str) -> Image {
    let mut config = Value::Null;
    let mut layers = Vec::new();
    for section in text.split("\n-- ").map(|section| section.trim_start_matches("-- ")) {
        let (header, content) = section.split_once(" --\n").unwrap();
        match header {
            "config" => config = serde_json::from_str(content).unwrap(),
            "layer" => layers.push(archive(content)),
            other => panic!("unknown section {other}"),
        }
    }
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let history: Vec<Value> = layers.iter().map(|_| json!({"created_by": "by hand"})).collect();
    let config = json!({
        "created": "2020-01-01T00:00:00Z", "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history,
    });
    Image { config, layers }
}

impl Image {
    /// The image as `docker load` takes it.
    pub(crate) fn to_load(&self, tag: &str) -> Vec<u8> {
        let names: Vec<String> = (0..self.layers.len()).map(|index| format!("{index}.tar")).collect();
        let manifest = json!([{"Config": "config.json", "RepoTags": [tag], "Layers": names}]);
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, bytes).unwrap();
        };
        add("config.json", &serde_json::to_vec(&self.config).unwrap());
        for (name, layer) in names.iter().zip(&self.layers) {
            add(name, layer);
        }
        add("manifest.json", &serde_json::to_vec(&manifest).unwrap());
        builder.into_inner().unwrap()
    }

    /// The image as `assemble` takes it.
    pub(crate) fn as_base(&self) -> Arc<BaseImage> {
        let layers = self.layers.iter().map(|tar| {
            let blob = gzip(tar);
            let media_type = "application/vnd.docker.image.rootfs.diff.tar.gzip";
            BaseLayer::new(Digest::of(&blob), blob.len() as u64, media_type, move || {
                Ok(Box::new(Cursor::new(blob.clone())))
            })
        });
        let config = serde_json::to_vec(&self.config).unwrap();
        Arc::new(BaseImage::new(&config, layers.collect()).unwrap())
    }
}

/// A tar archive of one member a line: `d|f|l|h|p MODE USER:GROUP PATH [-> TARGET | = CONTENT]`;
/// `\n` in a content is a line end.
pub(crate) fn archive(lines: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let [kind, mode, owner, rest] = line.splitn(4, ' ').collect::<Vec<_>>().try_into().unwrap();
        let (user, group) = owner.split_once(':').unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_mode(u32::from_str_radix(mode, 8).unwrap());
        header.set_uid(user.parse().unwrap());
        header.set_gid(group.parse().unwrap());
        header.set_mtime(1_500_000_000);
        header.set_size(0);
        let (path, target) = rest.split_once(" -> ").unwrap_or((rest, ""));
        header.set_entry_type(match kind {
            "d" => tar::EntryType::Directory,
            "l" => tar::EntryType::Symlink,
            "h" => tar::EntryType::Link,
            "p" => tar::EntryType::Fifo,
            "f" => tar::EntryType::Regular,
            other => panic!("unknown kind {other}"),
        });
        if kind == "f" {
            let (path, content) = rest.split_once(" = ").unwrap_or((rest, ""));
            let content = content.replace("\\n", "\n");
            header.set_size(content.len() as u64);
            append(&mut builder, header, path, content.as_bytes());
        } else if target.is_empty() {
            append(&mut builder, header, path, b"");
        } else {
            builder.append_link(&mut header, path, target).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

/// Appends a member under exactly this path: `tar` refuses `..` and takes slashes off.
fn append(builder: &mut tar::Builder<Vec<u8>>, mut header: tar::Header, path: &str, content: &[u8]) {
    if path.len() > 100 {
        builder.append_data(&mut header, path, content).unwrap();
        return;
    }
    header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    builder.append(&header, content).unwrap();
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
