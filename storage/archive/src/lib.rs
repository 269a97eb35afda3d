//! Deterministic tar archives: entries sorted by path bytes, owner 0, modes 0644, 0755 and 0777 for
//! links, time 1980-01-01, ustar with PAX headers only for what ustar cannot hold; gzip level 6
//! without name and time.

use std::io::{self, Read, Write};

use flate2::{Compression, GzBuilder};
use slipway_types::Digest;
use slipway_types::digest::Hasher;

/// 1980-01-01T00:00:00Z: the earliest time that every archive format can hold.
pub const EPOCH_S: u64 = 315_532_800;

/// One entry of an archive.
pub struct Entry<R> {
    /// Path inside the archive, without a leading slash.
    pub path: String,
    /// What it is.
    pub content: Content<R>,
}

/// What an entry holds.
pub enum Content<R> {
    /// A regular file.
    File {
        /// Size in bytes.
        size: u64,
        /// Whether it is executable.
        executable: bool,
        /// Its bytes, exactly `size` of them.
        reader: R,
    },
    /// A symbolic link.
    Link {
        /// Where it points.
        target: String,
    },
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// Compressed size in bytes.
    pub size: u64,
    /// Digest of the uncompressed tar: OCI's diffID.
    pub diff_id: Digest,
}

/// Writes entries, which must come sorted by path, as a gzipped tar.
pub fn write<R: Read>(
    entries: impl Iterator<Item = io::Result<Entry<R>>>,
    out: impl Write,
) -> io::Result<Written> {
    let outer = Hashed { inner: out, hasher: Hasher::new() };
    let gzip = GzBuilder::new().mtime(0).write(outer, Compression::new(6));
    let mut tar = tar::Builder::new(Hashed { inner: gzip, hasher: Hasher::new() });
    tar.mode(tar::HeaderMode::Complete);
    let mut last: Option<String> = None;
    for entry in entries {
        let entry = entry?;
        if last.as_deref().is_some_and(|last| last.as_bytes() >= entry.path.as_bytes()) {
            return Err(io::Error::other("invariant: entries are sorted and differ"));
        }
        append(&mut tar, &entry.path, entry.content)?;
        last = Some(entry.path);
    }
    let Hashed { inner: gzip, hasher } = tar.into_inner()?;
    let diff_id = hasher.finish();
    let Hashed { hasher, .. } = gzip.finish()?;
    Ok(Written { size: hasher.size(), digest: hasher.finish(), diff_id })
}

fn append<R: Read>(tar: &mut tar::Builder<impl Write>, path: &str, content: Content<R>) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(EPOCH_S);
    match content {
        Content::File { size, executable, reader } => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(if executable { 0o755 } else { 0o644 });
            header.set_size(size);
            append_long(tar, &mut header, path, None)?;
            let mut exact = Exact { inner: reader, left: size };
            tar.append(&header, &mut exact)?;
            exact.finish()
        }
        Content::Link { target } => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            append_long(tar, &mut header, path, Some(&target))?;
            tar.append(&header, io::empty())
        }
    }
}

/// Sets path and link target, with a PAX header before the entry for what ustar cannot hold.
fn append_long(
    tar: &mut tar::Builder<impl Write>,
    header: &mut tar::Header,
    path: &str,
    target: Option<&str>,
) -> io::Result<()> {
    let mut extensions: Vec<(&str, &[u8])> = Vec::new();
    if header.set_path(path).is_err() || !path.is_ascii() {
        extensions.push(("path", path.as_bytes()));
        header.set_path("pax")?;
    }
    if let Some(target) = target
        && (header.set_link_name(target).is_err() || !target.is_ascii())
    {
        extensions.push(("linkpath", target.as_bytes()));
        header.set_link_name("pax")?;
    }
    if !extensions.is_empty() {
        append_pax(tar, &extensions)?;
    }
    header.set_cksum();
    Ok(())
}

/// One PAX record is `LENGTH KEY=VALUE\n`, its length counting itself (POSIX.1-2001, pax).
fn append_pax(tar: &mut tar::Builder<impl Write>, extensions: &[(&str, &[u8])]) -> io::Result<()> {
    let mut data = Vec::new();
    for (key, value) in extensions {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + rest.to_string().len();
        if length.to_string().len() + rest != length {
            length = rest + length.to_string().len();
        }
        write!(data, "{length} {key}=")?;
        data.extend_from_slice(value);
        data.push(b'\n');
    }
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_path("pax_header")?;
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(EPOCH_S);
    header.set_size(data.len() as u64);
    header.set_cksum();
    tar.append(&header, data.as_slice())
}

struct Hashed<W> {
    inner: W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Refuses content that is shorter or longer than announced: a tar with either is corrupt.
struct Exact<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a file is shorter than its announced size",
            ));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

impl<R: Read> Exact<R> {
    fn finish(mut self) -> io::Result<()> {
        let mut byte = [0];
        if self.left == 0 && self.inner.read(&mut byte)? == 0 {
            Ok(())
        } else {
            Err(io::Error::other("a file is longer than its announced size"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str, bytes: &'static [u8]) -> io::Result<Entry<&'static [u8]>> {
        let content = Content::File { size: bytes.len() as u64, executable: false, reader: bytes };
        Ok(Entry { path: path.into(), content })
    }

    #[test]
    fn the_bytes_are_fixed() {
        let mut out = Vec::new();
        let written = write([file("a", b"1"), file("b/c", b"2")].into_iter(), &mut out).unwrap();
        assert_eq!(written.digest, Digest::of(&out));
        assert_eq!(
            written.diff_id.to_string(),
            "sha256:d7127bcff91f590940a36c192f3d670289d0069be1610750f8e854059c335aa4".to_owned(),
        );
    }

    #[test]
    fn unsorted_short_and_long_entries_are_refused() {
        let sink = || io::sink();
        assert!(write([file("b", b""), file("a", b"")].into_iter(), sink()).is_err());
        let wrong = |size| {
            let content = Content::File { size, executable: false, reader: &b"12"[..] };
            write(std::iter::once(Ok(Entry { path: "a".into(), content })), sink())
        };
        assert!(wrong(1).is_err() && wrong(3).is_err() && wrong(2).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read_back(files in prop::collection::btree_map("[a-zé/]{1,20}(/[a-z]{1,150}){0,2}", prop::collection::vec(any::<u8>(), 0..300), 0..8)) {
            let files: BTreeMap<String, Vec<u8>> = files
                .into_iter()
                .filter(|(path, _)| path.split('/').all(|part| !part.is_empty()))
                .collect();
            let entries = files.iter().map(|(path, bytes)| {
                Ok(Entry { path: path.clone(), content: Content::File { size: bytes.len() as u64, executable: true, reader: bytes.as_slice() } })
            });
            let mut out = Vec::new();
            write(entries, &mut out).unwrap();
            let mut archive = tar::Archive::new(GzDecoder::new(out.as_slice()));
            let read: BTreeMap<String, Vec<u8>> = archive.entries().unwrap().map(|entry| {
                let mut entry = entry.unwrap();
                let path = entry.path().unwrap().to_str().unwrap().to_owned();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                (path, bytes)
            }).collect();
            prop_assert_eq!(files, read);
        }
    }
}
