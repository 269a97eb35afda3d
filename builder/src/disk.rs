//! How much room there is.

use std::io;
use std::path::Path;

/// Free bytes, for users without privileges, on the file system that holds `path`.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_lies_on_a_disk_and_a_missing_one_does_not() {
        let dir = tempfile::TempDir::new().unwrap();
        assert!(free_bytes(dir.path()).unwrap() > 0);
        assert_eq!(free_bytes(&dir.path().join("x")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
