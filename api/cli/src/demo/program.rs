//! The program that the sample's pods run: a busybox of this machine that needs no libraries.

use anyhow::{Context as _, Result, bail};

/// Where distributions put it.
const PLACES: [&str; 2] = ["/bin/busybox", "/usr/bin/busybox"];
/// The kind of a part of an ELF file that names a loader of libraries.
const INTERPRETER: [u8; 4] = [3, 0, 0, 0];

/// Its bytes.
pub(super) fn read() -> Result<Vec<u8>> {
    let Some(place) = PLACES.into_iter().find(|place| std::path::Path::new(place).is_file()) else {
        bail!(
            "pods serve the sample's page by busybox, and there is no {}: install it (Debian: busybox-static), \
             or leave out --listen and --pull-registry, which does without pods",
            PLACES.join(" or ")
        );
    };
    let bytes = std::fs::read(place).with_context(|| format!("cannot read {place}"))?;
    if !is_static(&bytes) {
        bail!(
            "{place} needs libraries, which the sample's image does not have: install a static one (Debian: \
             busybox-static), or leave out --listen and --pull-registry, which does without pods"
        );
    }
    Ok(bytes)
}

/// Whether it is a 64-bit little-endian ELF program that no loader is named in.
fn is_static(bytes: &[u8]) -> bool {
    parts(bytes).is_some_and(|kinds| kinds.iter().all(|kind| *kind != INTERPRETER))
}

/// The kinds of an ELF file's parts.
fn parts(bytes: &[u8]) -> Option<Vec<[u8; 4]>> {
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64::from_le_bytes(at(bytes, 0x20)?)).ok()?;
    let size = usize::from(u16::from_le_bytes(at(bytes, 0x36)?));
    let count = usize::from(u16::from_le_bytes(at(bytes, 0x38)?));
    (0..count).map(|index| at(bytes, table.checked_add(index.checked_mul(size)?)?)).collect()
}

fn at<const N: usize>(bytes: &[u8], from: usize) -> Option<[u8; N]> {
    bytes.get(from..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with parts of these kinds.
    fn program(kinds: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[0x20] = 64;
        bytes[0x36] = 56;
        bytes[0x38] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            bytes.push(*kind);
            bytes.extend([0; 55]);
        }
        bytes
    }

    #[test]
    fn a_program_that_names_a_loader_is_not_static() {
        assert!(is_static(&program(&[1, 1, 2])));
        assert!(!is_static(&program(&[1, 3])));
    }

    #[test]
    fn what_is_no_whole_program_is_not_static() {
        let mut cut = program(&[1, 1]);
        cut.truncate(100);
        assert!(!is_static(&cut) && !is_static(b"#!/bin/sh\n") && !is_static(b""));
    }
}
