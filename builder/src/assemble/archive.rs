//! Local archives of ADD. Their paths and links stay inside the destination.

use std::io::{self, Read};
use std::sync::Arc;

use super::ContextFiles;
use super::base::{Compression, Member, members, open_tar};
use super::copy::{CopyError, Target};
use super::tree::{Kind, Node, Origin, Owner, TarSource, file_name, parent, shown};

/// Most members of one archive.
const MAX_ARCHIVE_ENTRIES: usize = 2_000_000;

/// The archive that a file of the context is, if it is one.
pub(crate) fn open(
    node: Option<&Node>,
    context: &Arc<dyn ContextFiles>,
) -> Result<Option<Arc<TarSource>>, CopyError> {
    let Some(Kind::File(file)) = node.map(|node| &node.kind) else { return Ok(None) };
    let Origin::Context(path) = &file.origin else { return Ok(None) };
    let failed = |source| CopyError::Archive { archive: path.to_string(), source };
    let mut start = Vec::new();
    context.open(path).and_then(|file| file.take(6).read_to_end(&mut start)).map_err(failed)?;
    match Compression::of(&start) {
        Compression::Plain | Compression::Gzip => {}
        other => {
            return Err(CopyError::Compression { archive: path.to_string(), compression: other.name() });
        }
    }
    let (files, name) = (Arc::clone(context), Arc::clone(path));
    let open = Box::new(move || files.open(&name));
    let source = Arc::new(TarSource { label: path.to_string(), open });
    Ok(is_tar(&source).then_some(source))
}

/// Whether a first header can be read; else the file is copied as it is, as Docker does.
fn is_tar(source: &TarSource) -> bool {
    let Ok(reader) = open_tar(source) else { return false };
    let mut archive = tar::Archive::new(reader);
    archive.entries().is_ok_and(|mut entries| matches!(entries.next(), Some(Ok(_))))
}

/// Unpacks an archive into `directory`, which exists. Members keep their owners and modes, whatever
/// `--chown` and `--chmod` say, as in BuildKit.
pub(crate) fn unpack(
    archive: &Arc<TarSource>,
    directory: &[u8],
    target: &mut Target<'_>,
) -> Result<(), CopyError> {
    let mut refused = None;
    let read = members(archive, MAX_ARCHIVE_ENTRIES, |member| {
        place(member, directory, target).map_err(|error| {
            refused = Some(error);
            io::Error::other("refused")
        })
    });
    match (refused, read) {
        (Some(error), _) => Err(error),
        (None, Err(source)) => Err(CopyError::Archive { archive: archive.label.clone(), source }),
        (None, Ok(())) => Ok(()),
    }
}

fn place(member: Member, directory: &[u8], target: &mut Target<'_>) -> Result<(), CopyError> {
    if member.path.is_empty() {
        return Ok(());
    }
    let path = target.tree.resolve_parent(directory, &member.path)?;
    target.make_directories(parent(&path), Some(Owner::default()))?;
    let node = match &member.hard_link {
        None => member.node,
        Some(link) => linked(link, &member.node, &path, directory, target)?,
    };
    if file_name(&path).is_empty() {
        return Ok(());
    }
    target.put(&path, node)
}

/// The node that a hard link of the archive names; it must lie inside the destination. Mode and owner
/// of the link's own header become those of the file, under all its names.
fn linked(
    link: &[u8],
    header: &Node,
    path: &[u8],
    directory: &[u8],
    target: &mut Target<'_>,
) -> Result<Node, CopyError> {
    let resolved = target.tree.resolve_parent(directory, link)?;
    let found = target.tree.get(&resolved).filter(|node| !node.is_directory()).cloned();
    let Some(mut node) = found else {
        let message = format!("{} is a hard link to {}, which does not exist", shown(path), shown(&resolved));
        return Err(CopyError::Refused(message));
    };
    node.linked = true;
    // Only files of this layer can be linked to; others are copied.
    if let Some(changed) = target.changes.get_mut(&resolved) {
        changed.linked = true;
    }
    if !matches!(node.kind, Kind::Symlink(_)) && (node.mode, node.owner) != (header.mode, header.owner) {
        (node.mode, node.owner) = (header.mode, header.owner);
        for (name, other) in target.changes.iter_mut().filter(|(_, other)| is_same_member(other, &node)) {
            (other.mode, other.owner) = (node.mode, node.owner);
            target.tree.put(name.clone(), other.clone());
        }
    }
    Ok(node)
}

/// Whether both are names of one member of one archive.
fn is_same_member(one: &Node, other: &Node) -> bool {
    let (Kind::File(one), Kind::File(other)) = (&one.kind, &other.kind) else { return false };
    match (one.member(), other.member()) {
        (Some((source, position)), Some((other, at))) => Arc::ptr_eq(source, other) && position == at,
        _ => false,
    }
}
