//! The master key: 32 random bytes in a file that only the server's user may read.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretBox};

const KEY_BYTES: usize = 32;

/// Why the key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Others can read it.
    #[error(
        "{} can be read by others (mode {mode:04o}): run `chmod 600 {}`, and if someone else may have read it, set all secrets anew",
        path.display(),
        path.display()
    )]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It does not hold a key.
    #[error("{} does not hold a key of 64 hex digits: restore it from a backup", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read or made.
    #[error("cannot read or create {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Seals the data keys of all built-in secrets. Not printable.
pub struct MasterKey(SecretBox<[u8; KEY_BYTES]>);

impl MasterKey {
    /// Reads the key, or makes one if the file does not exist. Of several processes that start at
    /// once one makes it and the others read it.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        match Self::create(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::read(path),
            Err(source) => Err(KeyError::Io { path: path.to_owned(), source }),
            Ok(key) => Ok(key),
        }
    }

    /// The file appears whole or not at all: it is written beside and linked, which fails if it exists.
    fn create(path: &Path) -> io::Result<Self> {
        if path.try_exists()? {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let mut key: [u8; KEY_BYTES] = rand::random();
        let beside = path.with_extension(format!("new-{}", std::process::id()));
        let result = write_new(&beside, &key).and_then(|()| std::fs::hard_link(&beside, path));
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        result?;
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            std::fs::File::open(directory)?.sync_all()?;
        }
        let boxed = SecretBox::new(Box::new(key));
        key.zeroize();
        Ok(Self(boxed))
    }

    fn read(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).open(path).map_err(io)?;
        // Of the open file, not of the path: it cannot be another one now.
        let found = file.metadata().map_err(io)?;
        let mode = found.mode() & 0o7777;
        if !is_private(mode, found.uid(), own_uid().map_err(io)?) {
            return Err(KeyError::ReadableByOthers { path: path.to_owned(), mode });
        }
        let malformed = || KeyError::Malformed { path: path.to_owned() };
        let mut text = String::new();
        let read = file.take(1024).read_to_string(&mut text);
        match read {
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(malformed()),
            other => other.map_err(io)?,
        };
        let mut key = [0; KEY_BYTES];
        let decoded = hex::decode_to_slice(text.trim(), &mut key);
        text.zeroize();
        decoded.map_err(|_| malformed())?;
        let boxed = SecretBox::new(Box::new(key));
        key.zeroize();
        Ok(Self(boxed))
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey")
    }
}

/// Whether nobody may read it whom its owner did not choose. Root hands a file to a user by way of the user's
/// group, as Kubernetes does when it mounts a Secret; such a group may read and no more.
fn is_private(mode: u32, owner: u32, us: u32) -> bool {
    match mode & 0o077 {
        0 => true,
        0o040 => owner == 0 && us != 0,
        _ => false,
    }
}

fn own_uid() -> io::Result<u32> {
    Ok(std::fs::metadata("/proc/self")?.uid())
}

fn write_new(path: &Path, key: &[u8]) -> io::Result<()> {
    // What a killed process with our number left behind.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut text = hex::encode(key);
    let written = file.write_all(text.as_bytes());
    text.zeroize();
    written?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_with_mode_0600_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret.key");
        let made = MasterKey::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(MasterKey::open(&path).unwrap().expose(), made.expose());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_naming_chmod() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret.key");
        MasterKey::open(&path).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = MasterKey::open(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
        }
    }

    #[test]
    fn a_group_reads_the_key_only_if_root_handed_it_to_us() {
        let (root, us) = (0, 10_001);
        for mode in [0o600, 0o400] {
            assert!(is_private(mode, us, us) && is_private(mode, root, root));
        }
        assert!(is_private(0o440, root, us) && is_private(0o640, root, us));
        assert!(!is_private(0o440, us, us) && !is_private(0o440, root, root));
        for mode in [0o444, 0o460, 0o450, 0o441] {
            assert!(!is_private(mode, root, us), "{mode:o}");
        }
    }

    #[test]
    fn a_damaged_key_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret.key");
        write_new(&path, b"short").unwrap();
        assert!(matches!(MasterKey::open(&path), Err(KeyError::Malformed { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), hex::encode("short"));
    }
}
