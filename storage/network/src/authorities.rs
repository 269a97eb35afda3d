//! Certificate authorities that are trusted besides the system's.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Characters in a line of PEM (RFC 7468, section 2).
const LINE_CHARS: usize = 64;

/// Further authorities, and a file of these and the system's together.
pub struct Authorities {
    bundle: Bundle,
    system: Vec<CertificateDer<'static>>,
    file: PathBuf,
}

/// Certificates of a file.
pub struct Bundle {
    pem: String,
    own: Vec<CertificateDer<'static>>,
    certificates: Vec<reqwest::Certificate>,
}

/// A bundle that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAuthorities {
    /// Not to be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No certificates.
    #[error("{} holds no certificate in PEM", .0.display())]
    Empty(PathBuf),
    /// One of them is damaged.
    #[error("{} holds something that is no certificate in PEM: {why}", path.display())]
    Pem {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The file for programs cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Bundle {
    /// Reads a file in PEM.
    pub fn read(path: &Path) -> Result<Self, InvalidAuthorities> {
        let read = std::fs::read_to_string(path);
        let pem = read.map_err(|source| InvalidAuthorities::Read { path: path.to_owned(), source })?;
        let damaged = |why: String| InvalidAuthorities::Pem { path: path.to_owned(), why };
        let own = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
        let own = own.map_err(|error| damaged(error.to_string()))?;
        if own.is_empty() {
            return Err(InvalidAuthorities::Empty(path.to_owned()));
        }
        let certificates = own.iter().map(|der| reqwest::Certificate::from_der(der));
        let certificates =
            certificates.collect::<Result<_, _>>().map_err(|error| damaged(error.to_string()))?;
        Ok(Self { pem, own, certificates })
    }
}

impl Authorities {
    /// Those of a bundle in PEM. `file` is written with the system's besides: for programs that take one file
    /// alone.
    pub fn open(bundle: &Path, file: &Path) -> Result<Self, InvalidAuthorities> {
        let bundle = Bundle::read(bundle)?;
        // What the system has and cannot be read is the system's affair: others say so by refusing.
        let system = rustls_native_certs::load_native_certs().certs;
        let authorities = Self { bundle, system, file: file.to_owned() };
        let written = authorities.write();
        written.map_err(|source| InvalidAuthorities::Write { path: file.to_owned(), source })?;
        Ok(authorities)
    }

    /// The bundle as it was given, in PEM.
    pub fn pem(&self) -> &str {
        &self.bundle.pem
    }

    /// The bundle's certificates.
    pub fn certificates(&self) -> &[reqwest::Certificate] {
        &self.bundle.certificates
    }

    /// The bundle's certificates, in DER.
    pub fn own(&self) -> impl Iterator<Item = &[u8]> {
        self.bundle.own.iter().map(AsRef::as_ref)
    }

    /// The system's and the bundle's certificates, in DER.
    pub fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.system.iter().chain(&self.bundle.own).map(AsRef::as_ref)
    }

    /// A file in PEM of the system's and the bundle's.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Replaced in one step: another process may be reading it.
    fn write(&self) -> io::Result<()> {
        let directory = self.file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        for der in self.all() {
            let text = STANDARD.encode(der);
            writeln!(file, "-----BEGIN CERTIFICATE-----")?;
            for line in text.as_bytes().chunks(LINE_CHARS) {
                file.write_all(line)?;
                writeln!(file)?;
            }
            writeln!(file, "-----END CERTIFICATE-----")?;
        }
        file.persist(&self.file)?;
        Ok(())
    }
}
