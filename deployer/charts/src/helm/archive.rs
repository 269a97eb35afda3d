//! Charts below a chart may be archives: what is looked for in templates is looked for there as well.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use slipway_types::Violation;

use crate::options::ChartOptions;
use crate::request::Request;

/// How deep archives may hold archives.
const MAX_DEPTH: usize = 4;

/// The chart's files with those of the archives in `charts/`, as if all lay there unpacked under the
/// archive's name.
pub(crate) fn unpacked<'a>(
    request: &Request<'a>,
    options: &ChartOptions,
) -> Result<BTreeMap<String, Cow<'a, [u8]>>, Vec<Violation>> {
    let mut unpacking = Unpacking { options, files: BTreeMap::new(), bytes: 0 };
    for (path, bytes) in request.files {
        unpacking.take(path.clone(), bytes.as_slice().into(), 0).map_err(|problem| {
            let message = format!("the chart archive {path} {problem}");
            vec![request.whole("invalid_chart", message).hint("package it again, or commit it unpacked")]
        })?;
    }
    Ok(unpacking.files)
}

struct Unpacking<'a, 'o> {
    options: &'o ChartOptions,
    files: BTreeMap<String, Cow<'a, [u8]>>,
    bytes: usize,
}

impl<'a> Unpacking<'a, '_> {
    fn take(&mut self, path: String, bytes: Cow<'a, [u8]>, depth: usize) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > self.options.max_chart_bytes {
            return Err(format!(
                "is too large unpacked (`max_chart_bytes` is {})",
                self.options.max_chart_bytes
            ));
        }
        if self.files.len() >= self.options.max_files {
            return Err(format!("has too many files (`max_files` is {})", self.options.max_files));
        }
        if !is_archive(&path) {
            self.files.insert(path, bytes);
            return Ok(());
        }
        if depth >= MAX_DEPTH {
            return Err("holds archives too deep".to_owned());
        }
        self.unpack(&path, &bytes, depth)
    }

    fn unpack(&mut self, archive: &str, bytes: &[u8], depth: usize) -> Result<(), String> {
        let unreadable = |_| "is no gzip-compressed tar archive".to_owned();
        // One more, so that too much is seen as such.
        let left = self.options.max_chart_bytes.saturating_sub(self.bytes) as u64 + (1 << 20);
        let mut tar = tar::Archive::new(MultiGzDecoder::new(bytes).take(left));
        for entry in tar.entries().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let path = entry.path().map_err(unreadable)?.to_string_lossy().into_owned();
            // The first directory is the chart itself.
            let Some((_, path)) = path.trim_start_matches("./").split_once('/') else { continue };
            let mut content = Vec::new();
            (&mut entry).take(left).read_to_end(&mut content).map_err(unreadable)?;
            self.take(format!("{archive}/{path}"), content.into(), depth + 1)?;
        }
        Ok(())
    }
}

/// An archive directly in some `charts/`.
fn is_archive(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    parts.next() == Some("charts")
        && [".tgz", ".tar.gz"].iter().any(|end| name.ends_with(end))
        && !name.starts_with(['.', '_'])
}
