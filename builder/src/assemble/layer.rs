//! Changes of a tree as a tar stream: sorted, of a fixed time, ustar with pax records where a field
//! is too small.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use super::AssembleError;
use super::LayerSink;
use super::blocks::{self, BlockOptions, BlockStream, Written};
use super::contents::Contents;
use super::tree::{Kind, Node, shown};

/// 1980-01-01T00:00:00Z.
const MTIME: u64 = 315_532_800;
/// Files from this size on begin and end a compressed block.
const ALIGNED_BYTES: u64 = 64 << 10;
/// Largest number in an octal field of 7 digits.
const MAX_OCTAL_ID: u64 = 0o777_7777;
/// Largest number in an octal field of 11 digits.
const MAX_OCTAL_SIZE: u64 = 0o777_7777_7777;

/// What a layer adds or replaces, by path.
pub(crate) type Changes = BTreeMap<Vec<u8>, Node>;

/// Writes `changes` as one layer.
pub(crate) fn write(
    changes: &Changes,
    contents: &Contents<'_>,
    options: BlockOptions<'_>,
    sink: &dyn LayerSink,
) -> Result<Written, AssembleError> {
    blocks::write(options, sink, |stream| {
        let mut links: HashMap<(usize, u64), &[u8]> = HashMap::new();
        for (path, node) in changes {
            let earlier = earlier_name(&mut links, path, node, changes);
            write_entry(stream, path, node, earlier, contents)?;
        }
        stream.write_all(&[0; 1024]).map_err(AssembleError::Sink)
    })
}

/// The first name of the same hard-linked file in this layer.
fn earlier_name<'a>(
    links: &mut HashMap<(usize, u64), &'a [u8]>,
    path: &'a [u8],
    node: &Node,
    changes: &Changes,
) -> Option<&'a [u8]> {
    let Kind::File(content) = &node.kind else { return None };
    let (source, position) = content.member().filter(|_| node.linked)?;
    let key = (std::sync::Arc::as_ptr(source).addr(), position);
    let first = *links.entry(key).or_insert(path);
    let same = |other: &Node| other.mode == node.mode && other.owner == node.owner;
    (first != path && changes.get(first).is_some_and(same)).then_some(first)
}

fn write_entry(
    stream: &mut BlockStream<'_>,
    path: &[u8],
    node: &Node,
    hard_link: Option<&[u8]>,
    contents: &Contents<'_>,
) -> Result<(), AssembleError> {
    let content = match &node.kind {
        Kind::File(content) if hard_link.is_none() => Some(content),
        _ => None,
    };
    let aligned = content.is_some_and(|content| content.size >= ALIGNED_BYTES);
    if aligned {
        stream.cut().map_err(AssembleError::Sink)?;
    }
    stream.write_all(&headers(path, node, hard_link)).map_err(AssembleError::Sink)?;
    if let Some(content) = content {
        contents.copy(content, path, stream)?;
        let padding = content.size.next_multiple_of(512) - content.size;
        let padding = usize::try_from(padding).expect("invariant: padding is below 512");
        stream.write_all(&[0; 512][..padding]).map_err(AssembleError::Sink)?;
    }
    if aligned {
        stream.cut().map_err(AssembleError::Sink)?;
    }
    Ok(())
}

/// The header of an entry, after a pax header if one is needed.
fn headers(path: &[u8], node: &Node, hard_link: Option<&[u8]>) -> Vec<u8> {
    let mut name = path.to_vec();
    if node.is_directory() {
        name.push(b'/');
    }
    let mut records = Vec::new();
    let mut header = tar::Header::new_ustar();
    if !place_name(&mut header, &name) {
        record(&mut records, "path", &name);
    }
    let mut size = 0;
    match (&node.kind, hard_link) {
        (_, Some(target)) => {
            header.set_entry_type(tar::EntryType::Link);
            place_link(&mut header, target, &mut records);
        }
        (Kind::Directory, None) => header.set_entry_type(tar::EntryType::Directory),
        (Kind::File(content), None) => {
            header.set_entry_type(tar::EntryType::Regular);
            size = content.size;
        }
        (Kind::Symlink(target), None) => {
            header.set_entry_type(tar::EntryType::Symlink);
            place_link(&mut header, target, &mut records);
        }
        (Kind::Fifo, None) => header.set_entry_type(tar::EntryType::Fifo),
        (Kind::Device { character, major, minor }, None) => {
            header.set_entry_type(if *character { tar::EntryType::Char } else { tar::EntryType::Block });
            if let Some(ustar) = header.as_ustar_mut() {
                ustar.set_device_major(*major);
                ustar.set_device_minor(*minor);
            }
        }
    }
    let mut number = |key: &str, value: u64, max: u64| {
        if value > max {
            record(&mut records, key, value.to_string().as_bytes());
        }
        if value > max { 0 } else { value }
    };
    header.set_uid(number("uid", node.owner.user, MAX_OCTAL_ID));
    header.set_gid(number("gid", node.owner.group, MAX_OCTAL_ID));
    header.set_size(number("size", size, MAX_OCTAL_SIZE));
    header.set_mode(node.mode & 0o7777);
    header.set_mtime(MTIME);
    header.set_cksum();
    for (key, value) in node.attributes.iter().flat_map(|attributes| attributes.iter()) {
        record(&mut records, &format!("SCHILY.xattr.{key}"), value);
    }
    let mut bytes = pax_entry(&records);
    bytes.extend_from_slice(header.as_bytes());
    bytes
}

/// Puts the name into the header's two fields; says whether it fits.
fn place_name(header: &mut tar::Header, name: &[u8]) -> bool {
    let Some(ustar) = header.as_ustar_mut() else { return false };
    if name.len() <= ustar.name.len() {
        ustar.name[..name.len()].copy_from_slice(name);
        return true;
    }
    // The slash between the fields is not stored; the directory mark stays in the second field.
    let inner = &name[..name.len() - 1];
    let split = (0..inner.len()).find(|&at| {
        inner[at] == b'/' && at > 0 && at <= ustar.prefix.len() && name.len() - at - 1 <= ustar.name.len()
    });
    let placed = split.map_or(&name[..ustar.name.len()], |at| {
        ustar.prefix[..at].copy_from_slice(&name[..at]);
        &name[at + 1..]
    });
    ustar.name[..placed.len()].copy_from_slice(placed);
    split.is_some()
}

fn place_link(header: &mut tar::Header, target: &[u8], records: &mut Vec<u8>) {
    let Some(ustar) = header.as_ustar_mut() else { return };
    let kept = target.len().min(ustar.linkname.len());
    ustar.linkname[..kept].copy_from_slice(&target[..kept]);
    if kept < target.len() {
        record(records, "linkpath", target);
    }
}

/// Appends one pax record: its own length, a blank, `key=value`, a line end.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

fn pax_entry(records: &[u8]) -> Vec<u8> {
    if records.is_empty() {
        return Vec::new();
    }
    let mut header = tar::Header::new_ustar();
    place_name(&mut header, b"PaxHeaders.0/entry");
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size(records.len() as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(0o644);
    header.set_mtime(MTIME);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(records);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// The error of a file that is not as long as its entry says.
pub(crate) fn size_changed(path: &[u8], expected: u64) -> io::Error {
    io::Error::other(format!("{} does not have the {expected} bytes that were announced", shown(path)))
}
