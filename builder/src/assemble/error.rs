//! Why an image cannot be assembled.

use std::io;

use slipway_objects::BlobError;
use slipway_types::{Digest, Fault};

use crate::dockerfile::{BaseKey, ParseError};

/// Why an image cannot be assembled.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// Another back-end can: a command is to be run.
    #[error("line {line}: {instruction} runs a command, which the assemble back-end cannot do")]
    NotAssemblable {
        /// Line.
        line: usize,
        /// Keyword.
        instruction: String,
    },
    /// Only BuildKit can.
    #[error("line {line}: {what} needs BuildKit")]
    NeedsBuildkit {
        /// Line.
        line: usize,
        /// Instruction and flag.
        what: String,
    },
    /// The Dockerfile is wrong.
    #[error(transparent)]
    Dockerfile(#[from] ParseError),
    /// A source of COPY or ADD does not exist.
    #[error("line {line}: {path} not found in {place}{}", ignored_by(ignored.as_deref()))]
    SourceMissing {
        /// Line.
        line: usize,
        /// The source, as written after expansion.
        path: String,
        /// Where it was looked for.
        place: String,
        /// The `.dockerignore` pattern that leaves it out.
        ignored: Option<String>,
    },
    /// A name of `--chown` is not in the image.
    #[error("line {line}: unknown {kind} {name:?}: {file} of the image does not name it")]
    UnknownName {
        /// Line.
        line: usize,
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The file that was searched.
        file: &'static str,
    },
    /// The caller did not give this base.
    #[error("line {line}: the image {} for {} was not resolved", key.text, key.platform)]
    UnresolvedBase {
        /// Line.
        line: usize,
        /// Which image.
        key: BaseKey,
    },
    /// An instruction cannot be carried out.
    #[error("line {line}: {message}")]
    Refused {
        /// Line.
        line: usize,
        /// Why.
        message: String,
    },
    /// ADD of something that is not in the context.
    #[error("line {line}: {address} is remote, and the assemble back-end adds local files only")]
    Remote {
        /// Line.
        line: usize,
        /// The source.
        address: String,
    },
    /// ADD of an archive of a kind that is not read.
    #[error("line {line}: {path}: {compression} archives cannot be unpacked, only tar and tar.gz")]
    ArchiveCompression {
        /// Line.
        line: usize,
        /// The archive.
        path: String,
        /// The kind.
        compression: &'static str,
    },
    /// An archive or a layer that files are copied from cannot be read.
    #[error("{archive} cannot be read as a tar archive")]
    Archive {
        /// Which one.
        archive: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The ignore file is wrong.
    #[error(".dockerignore: {message}")]
    IgnoreFile {
        /// What and where.
        message: String,
    },
    /// A layer of a base cannot be read.
    #[error("layer {layer} of the base image cannot be read")]
    BaseLayer {
        /// Its digest.
        layer: Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the context cannot be read.
    #[error("{path} cannot be read from the build context")]
    Context {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The sink does not take the layer.
    #[error("the layer cannot be stored")]
    Sink(#[source] io::Error),
    /// Temporary files cannot be written.
    #[error("temporary files cannot be written")]
    Spool(#[source] io::Error),
    /// More than a limit allows.
    #[error("more than {name} = {limit}")]
    Limit {
        /// Name of the limit.
        name: &'static str,
        /// Its value.
        limit: u64,
    },
    /// The caller cancelled.
    #[error("assembling was cancelled")]
    Cancelled,
}

fn ignored_by(pattern: Option<&str>) -> String {
    pattern.map_or_else(String::new, |pattern| {
        format!(" (.dockerignore leaves it out by the pattern {pattern:?})")
    })
}

/// Whether bytes could not be had, rather than read: a layer's digest was checked when it was stored, so
/// what its tar or compression complains of stays as it is.
fn is_of_storage(error: &io::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if cause.is::<BlobError>() {
            return true;
        }
        next = match cause.downcast_ref::<io::Error>() {
            Some(io) if io.raw_os_error().is_some() => return true,
            // Its own `source` leaves out the error it was made of.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static)),
            None => cause.source(),
        };
    }
    false
}

impl AssembleError {
    /// The line of the Dockerfile, if one is at fault.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::NotAssemblable { line, .. }
            | Self::NeedsBuildkit { line, .. }
            | Self::Dockerfile(ParseError { line, .. })
            | Self::SourceMissing { line, .. }
            | Self::UnknownName { line, .. }
            | Self::UnresolvedBase { line, .. }
            | Self::Refused { line, .. }
            | Self::Remote { line, .. }
            | Self::ArchiveCompression { line, .. } => Some(*line),
            _ => None,
        }
    }

    /// The same as a fault for people and scripts; `dockerfile` names the file.
    pub fn fault(&self, dockerfile: &str) -> Fault {
        let mut message = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            message = format!("{message}: {error}");
            source = error.source();
        }
        if self.line().is_some() {
            message = format!("{dockerfile}, {message}");
        }
        match self {
            Self::BaseLayer { source, .. } if !is_of_storage(source) => {
                Fault::permanent(self.code(), message)
                    .hint("the image itself is damaged: use another tag or build it anew")
            }
            Self::BaseLayer { .. } | Self::Sink(_) | Self::Spool(_) => Fault::transient(self.code(), message),
            Self::UnresolvedBase { .. } => Fault::bug(self.code(), message),
            Self::NotAssemblable { .. } => {
                Fault::permanent(self.code(), message).hint("use backend: docker for this component")
            }
            _ => Fault::permanent(self.code(), message),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotAssemblable { .. } => "not_assemblable",
            Self::NeedsBuildkit { .. } => "needs_buildkit",
            Self::Dockerfile(_) => "dockerfile_invalid",
            Self::SourceMissing { .. } => "source_missing",
            Self::UnknownName { .. } => "unknown_owner",
            Self::UnresolvedBase { .. } => "base_unresolved",
            Self::Refused { .. } => "instruction_refused",
            Self::Remote { .. } => "remote_source",
            Self::ArchiveCompression { .. } => "archive_compression",
            Self::Archive { .. } => "archive_unreadable",
            Self::IgnoreFile { .. } => "dockerignore_invalid",
            Self::BaseLayer { .. } => "base_unreadable",
            Self::Context { .. } => "context_unreadable",
            Self::Sink(_) => "layer_not_stored",
            Self::Spool(_) => "spool_failed",
            Self::Limit { .. } => "limit_exceeded",
            Self::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use slipway_types::Class;

    use super::*;
    use crate::assemble::{BaseImage, BaseLayer};

    /// Bytes, then a failure.
    struct Broken(&'static [u8], fn() -> io::Error);

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Err(self.1()) } else { self.0.read(buffer) }
        }
    }

    fn class_of(open: impl Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync + 'static) -> Class {
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            Digest::of("tar")
        );
        let layer = BaseLayer::new(Digest::of("layer"), 9, "application/x", open);
        let image = BaseImage::new(config.as_bytes(), vec![layer]).unwrap();
        let fault = image.tree(100).map(|_| ()).unwrap_err().fault("Dockerfile");
        assert_eq!(fault.code, "base_unreadable");
        fault.class
    }

    #[test]
    fn a_malformed_layer_stays_malformed_and_one_that_cannot_be_had_may_come() {
        for garbage in [b"\x1f\x8b\x08\0garbage".as_slice(), &[7; 2000], b"\xfd7zXZ\0"] {
            assert_eq!(class_of(move || Ok(Box::new(garbage))), Class::Permanent, "{garbage:?}");
        }
        let missing = || io::Error::from(BlobError::Missing { digest: Digest::of("layer") });
        let on_disk = || io::Error::from_raw_os_error(5);
        assert_eq!(class_of(move || Err(missing())), Class::Transient);
        // The tar reader wraps what it is told.
        assert_eq!(class_of(move || Ok(Box::new(Broken(&[], missing)))), Class::Transient);
        assert_eq!(class_of(move || Ok(Box::new(Broken(&[0; 100], on_disk)))), Class::Transient);
    }
}
