//! Base images: their configuration, their layers, and an index of their merged tree.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{self, BufReader, Read};
use std::sync::{Arc, OnceLock};

use flate2::bufread::MultiGzDecoder;
use slipway_types::Digest;

use super::AssembleError;
use super::config::ImageConfig;
use super::tree::{
    Content, Kind, Node, Opener, Origin, Owner, TarSource, Tree, child, clean, file_name, parent, shown,
};

/// Files of accounts are kept in the index, because `--chown` asks for them.
const ACCOUNT_FILES: [&[u8]; 2] = [b"etc/passwd", b"etc/group"];
/// Largest file of accounts that is kept.
const MAX_ACCOUNT_BYTES: u64 = 1 << 20;

/// One layer of a base image.
pub struct BaseLayer {
    /// Digest of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
    /// Media type as the base's manifest has it.
    pub media_type: String,
    source: Arc<TarSource>,
}

impl BaseLayer {
    /// A layer whose blob `open` opens from its beginning, as it is stored.
    pub fn new(
        digest: Digest,
        size: u64,
        media_type: impl Into<String>,
        open: impl Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync + 'static,
    ) -> Self {
        let open: Opener = Box::new(open);
        let source = Arc::new(TarSource { label: format!("layer {digest}"), open });
        Self { digest, size, media_type: media_type.into(), source }
    }
}

impl fmt::Debug for BaseLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseLayer({}, {} bytes, {})", self.digest, self.size, self.media_type)
    }
}

/// A base image, resolved for one platform. Kept between builds, it keeps its index too.
#[derive(Debug)]
pub struct BaseImage {
    pub(crate) config: ImageConfig,
    pub(crate) layers: Vec<BaseLayer>,
    index: OnceLock<Tree>,
}

/// A base image that does not hold together.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBase {
    /// Its configuration is no image configuration.
    #[error("the configuration of the base image cannot be read")]
    Config(#[source] serde_json::Error),
    /// Manifest and configuration disagree.
    #[error("the base image has {layers} layers but {diff_ids} diff ids")]
    Layers {
        /// Layers of the manifest.
        layers: usize,
        /// Digests in the configuration.
        diff_ids: usize,
    },
}

impl BaseImage {
    /// An image of this configuration blob and these layers, the lowest first.
    pub fn new(config: &[u8], layers: Vec<BaseLayer>) -> Result<Self, InvalidBase> {
        let config: ImageConfig = serde_json::from_slice(config).map_err(InvalidBase::Config)?;
        let diff_ids = config.rootfs.diff_ids.len();
        if diff_ids != layers.len() {
            return Err(InvalidBase::Layers { layers: layers.len(), diff_ids });
        }
        Ok(Self { config, layers, index: OnceLock::new() })
    }

    /// The configuration.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// The merged tree; read once.
    pub(crate) fn tree(&self, max_entries: usize) -> Result<&Tree, AssembleError> {
        if let Some(tree) = self.index.get() {
            return Ok(tree);
        }
        let mut tree = Tree::default();
        for layer in &self.layers {
            let failed = |source| AssembleError::BaseLayer { layer: layer.digest, source };
            apply(&mut tree, &layer.source, max_entries).map_err(failed)?;
        }
        Ok(self.index.get_or_init(|| tree))
    }
}

/// How a tar stream may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Plain,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Compression {
    /// Tells by the first bytes.
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Self::Xz,
            _ => Self::Plain,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "no",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }
}

/// The tar stream of a source, decompressed.
pub(crate) fn open_tar(source: &TarSource) -> io::Result<Box<dyn Read + Send>> {
    let mut reader = (source.open)()?;
    let mut start = Vec::new();
    reader.by_ref().take(6).read_to_end(&mut start)?;
    let compression = Compression::of(&start);
    let whole = BufReader::with_capacity(128 << 10, io::Cursor::new(start).chain(reader));
    match compression {
        Compression::Plain => Ok(Box::new(whole)),
        Compression::Gzip => Ok(Box::new(BufReader::with_capacity(128 << 10, MultiGzDecoder::new(whole)))),
        other => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{}: {} compression is not supported", source.label, other.name()),
        )),
    }
}

/// One member of a tar stream.
pub(crate) struct Member {
    pub(crate) path: Vec<u8>,
    pub(crate) node: Node,
    /// Set for hard links: the path of the other name. The node's kind means nothing then.
    pub(crate) hard_link: Option<Vec<u8>>,
}

/// Calls `visit` for each member of a stream.
pub(crate) fn members(
    source: &Arc<TarSource>,
    max_entries: usize,
    mut visit: impl FnMut(Member) -> io::Result<()>,
) -> io::Result<()> {
    let mut archive = tar::Archive::new(open_tar(source)?);
    for (index, entry) in archive.entries()?.enumerate() {
        if index >= max_entries {
            return Err(io::Error::other(format!("more entries than max_base_entries = {max_entries}")));
        }
        if let Some(member) = member(entry?, source)? {
            visit(member)?;
        }
    }
    Ok(())
}

fn member<R: Read>(mut entry: tar::Entry<'_, R>, source: &Arc<TarSource>) -> io::Result<Option<Member>> {
    let path = clean(&entry.path_bytes());
    let mut attributes = BTreeMap::new();
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            if let Some(name) = extension.key().ok().and_then(|key| key.strip_prefix("SCHILY.xattr.")) {
                attributes.insert(name.to_owned(), extension.value_bytes().to_vec());
            }
        }
    }
    let header = entry.header();
    let link = || entry.link_name_bytes().map(Cow::into_owned).unwrap_or_default();
    let device = |character| -> io::Result<Kind> {
        let number = |part: io::Result<Option<u32>>| part.map(Option::unwrap_or_default);
        Ok(Kind::Device {
            character,
            major: number(header.device_major())?,
            minor: number(header.device_minor())?,
        })
    };
    let mut hard_link = None;
    let kind = match header.entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
            // Old archives mark directories by a slash.
            if entry.path_bytes().ends_with(b"/") {
                Kind::Directory
            } else {
                let origin = Origin::Tar { source: Arc::clone(source), position: entry.raw_file_position() };
                Kind::File(Content { size: entry.size(), origin })
            }
        }
        tar::EntryType::Directory => Kind::Directory,
        tar::EntryType::Symlink => Kind::Symlink(link()),
        tar::EntryType::Link => {
            hard_link = Some(link());
            Kind::Fifo
        }
        tar::EntryType::Fifo => Kind::Fifo,
        tar::EntryType::Char => device(true)?,
        tar::EntryType::Block => device(false)?,
        tar::EntryType::XGlobalHeader => return Ok(None),
        other => return Err(io::Error::other(format!("{}: unknown entry type {other:?}", shown(&path)))),
    };
    let owner = Owner { user: entry.header().uid()?, group: entry.header().gid()? };
    let mode = entry.header().mode()? & 0o7777;
    let attributes = (!attributes.is_empty()).then(|| Arc::new(attributes));
    let mut node = Node { kind, mode, owner, attributes, linked: false };
    keep_account_file(&mut entry, &path, &mut node)?;
    Ok(Some(Member { path, node, hard_link }))
}

fn keep_account_file<R: Read>(entry: &mut tar::Entry<'_, R>, path: &[u8], node: &mut Node) -> io::Result<()> {
    if let Kind::File(content) = &mut node.kind
        && ACCOUNT_FILES.contains(&path)
        && content.size <= MAX_ACCOUNT_BYTES
    {
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        *content = Content::bytes(&bytes);
    }
    Ok(())
}

/// Lays one layer over the tree.
fn apply(tree: &mut Tree, source: &Arc<TarSource>, max_entries: usize) -> io::Result<()> {
    let mut added: HashSet<Vec<u8>> = HashSet::new();
    members(source, max_entries, |member| {
        let Some(path) = located(tree, &member.path)? else { return Ok(()) };
        let (directory, name) = (parent(&path).to_vec(), file_name(&path));
        if name == b".wh..wh..opq" {
            tree.remove_below(&directory, |below| !added.contains(below));
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(b".wh.") {
            // Names that start with `.wh..wh.` are bookkeeping of AUFS.
            if !hidden.starts_with(b".wh.") {
                tree.remove(&child(&directory, hidden));
            }
            return Ok(());
        }
        imply(tree, &directory, &mut added);
        let node = match &member.hard_link {
            None => member.node,
            Some(target) => linked_node(tree, target, &member.path)?,
        };
        tree.put(path.clone(), node);
        added.insert(path);
        if tree.len() > max_entries {
            return Err(io::Error::other(format!("more entries than max_base_entries = {max_entries}")));
        }
        Ok(())
    })
}

fn located(tree: &Tree, path: &[u8]) -> io::Result<Option<Vec<u8>>> {
    if path.is_empty() {
        return Ok(None);
    }
    tree.resolve_parent(b"", path)
        .map(Some)
        .map_err(|why| io::Error::other(format!("{}: {why}", shown(path))))
}

fn imply(tree: &mut Tree, directory: &[u8], added: &mut HashSet<Vec<u8>>) {
    let mut open = directory;
    while !tree.is_directory(open) {
        tree.put(open.to_vec(), Node::new(Kind::Directory, 0o755));
        added.insert(open.to_vec());
        open = parent(open);
    }
}

/// The node of a hard link: the one it links to. Both are marked.
pub(crate) fn linked_node(tree: &mut Tree, target: &[u8], path: &[u8]) -> io::Result<Node> {
    let broken =
        || io::Error::other(format!("{} is a hard link to a missing {}", shown(path), shown(target)));
    let resolved = tree.resolve_parent(b"", target).map_err(|_| broken())?;
    let mut node = tree.get(&resolved).filter(|node| !node.is_directory()).ok_or_else(broken)?.clone();
    node.linked = true;
    tree.put(resolved, node.clone());
    Ok(node)
}
