//! The files of a package as its layer.

use std::io;

use slipway_archive::{self as archive, Content, Entry, Written};
use slipway_git::Snapshot;
use slipway_objects::Blobs;
use slipway_records::plan::{ComponentPlan, PackedFile};
use slipway_types::Fault;

use crate::publish::storage_fault;

/// Writes the package's files as a layer and stores it; `None` for a package without files.
pub(crate) async fn write_content(
    blobs: &Blobs,
    snapshot: Snapshot,
    plan: &ComponentPlan,
    max_file_bytes: u64,
) -> Result<Option<Written>, Fault> {
    if plan.files.is_empty() {
        return Ok(None);
    }
    let mut spool = blobs.blocking_spool().map_err(|error| storage_fault(&error))?;
    let files = plan.files.clone();
    let (written, spool) = tokio::task::spawn_blocking(move || {
        let entries = files.iter().map(|file| entry(&snapshot, file, max_file_bytes));
        let written = archive::write(entries, &mut spool).map_err(|error| {
            Fault::transient("package_write", format!("the package cannot be written: {error}"))
        })?;
        Ok::<_, Fault>((written, spool))
    })
    .await
    .map_err(|error| Fault::bug("package_write", format!("writing the package ended badly: {error}")))??;
    let spooled = spool.finish().map_err(|error| storage_fault(&error))?;
    blobs.put_spooled(spooled).await.map_err(|error| storage_fault(&error))?;
    Ok(Some(written))
}

fn entry(
    snapshot: &Snapshot,
    file: &PackedFile,
    max_file_bytes: u64,
) -> io::Result<Entry<io::Cursor<Vec<u8>>>> {
    let content = match &file.link {
        Some(target) => Content::Link { target: target.clone() },
        None => {
            let id = file.object.parse().map_err(io::Error::other)?;
            let bytes = snapshot.read_blob(&id, max_file_bytes).map_err(io::Error::other)?;
            Content::File {
                size: bytes.len() as u64,
                executable: file.executable,
                reader: io::Cursor::new(bytes),
            }
        }
    };
    Ok(Entry { path: file.path.clone(), content })
}
