//! The providers that the server itself asks: built-in, environment, file.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use slipway_records::{Records, RecordsError, SealedSecret, SecretRow, Write};
use slipway_types::secret::SecretProvider;
use slipway_types::{Class, Digest, Fault, SecretReference, SecretScope};

use crate::keyed::keyed_digest;
use crate::master_key::{KeyError, MasterKey};
use crate::sealing;

/// The prefix of environment variables that references may name without being listed.
pub const ENV_PREFIX: &str = "SLIPWAY_SECRET_";

/// What references may reach.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretOptions {
    /// The master key's file; made at the first start.
    pub key_file: PathBuf,
    /// Directories below which `secret://file/…` may read; none: no file.
    pub file_roots: Vec<PathBuf>,
    /// Environment variables that `secret://env/…` may read besides those with the prefix
    /// `SLIPWAY_SECRET_`.
    pub env_allowed: Vec<String>,
    /// Built-in secrets that the server's settings name: no application gets them.
    pub held: Vec<SecretReference>,
    /// The largest value, in bytes.
    pub max_secret_bytes: u64,
    /// The longest name, in characters.
    pub max_name_chars: usize,
}

impl Default for SecretOptions {
    fn default() -> Self {
        Self {
            key_file: PathBuf::from("secret.key"),
            file_roots: Vec::new(),
            env_allowed: Vec::new(),
            held: Vec::new(),
            max_secret_bytes: 64 << 10,
            max_name_chars: 200,
        }
    }
}

/// A value, and which version of it this is: it goes into fingerprints and revisions.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The value.
    pub value: SecretString,
    /// Built-in: the number of the value. Environment and file: 12 hex digits of its SHA-256 under
    /// the master key, which tell nobody what it is.
    pub version: String,
}

/// Why a secret was not given or kept.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is none.
    #[error("{reference} does not exist")]
    Missing {
        /// Which.
        reference: SecretReference,
    },
    /// The server's settings do not let references reach it.
    #[error("{reference} may not be read: {why}")]
    NotAllowed {
        /// Which.
        reference: SecretReference,
        /// Why, and which setting would allow it.
        why: String,
    },
    /// It has no such field, or no fields at all.
    #[error("{reference}: {why}")]
    Field {
        /// Which.
        reference: SecretReference,
        /// What is wrong.
        why: &'static str,
    },
    /// It is there but cannot be used.
    #[error("{reference} cannot be used: {why}")]
    Unusable {
        /// Which.
        reference: SecretReference,
        /// What is wrong.
        why: String,
    },
    /// The name is none.
    #[error(
        "`{name}` is not a secret name: use lower-case letters, digits, `-`, `_`, `.` in parts separated by `/`, each part starting with a letter or digit, at most {max_chars} characters"
    )]
    Name {
        /// What was given, cut.
        name: String,
        /// The longest name.
        max_chars: usize,
    },
    /// The value is too large or empty.
    #[error("the value of `{name}` has {size} bytes: allowed are 1 to max_secret_bytes = {max}")]
    Size {
        /// Of which secret.
        name: String,
        /// Its size, in bytes.
        size: u64,
        /// The limit, in bytes.
        max: u64,
    },
    /// The records failed.
    #[error("the records of secrets cannot be used")]
    Records(#[from] RecordsError),
}

impl From<SecretError> for Fault {
    fn from(error: SecretError) -> Self {
        let (class, code) = match &error {
            SecretError::Records(e) if e.is_transient() => (Class::Transient, "records_unavailable"),
            SecretError::Records(_) => (Class::Bug, "records_failed"),
            SecretError::Missing { .. } => (Class::Permanent, "secret_missing"),
            SecretError::NotAllowed { .. } => (Class::Permanent, "secret_not_allowed"),
            SecretError::Field { .. } | SecretError::Unusable { .. } => (Class::Permanent, "secret_unusable"),
            SecretError::Name { .. } | SecretError::Size { .. } => (Class::Permanent, "secret_invalid"),
        };
        let fault = Self::new(class, code, error.to_string());
        match &error {
            SecretError::Missing { reference } if reference.provider == SecretProvider::Builtin => {
                fault.hint(format!("Set it with `slipway secret set {}`.", reference.path))
            }
            SecretError::NotAllowed { reference, .. } if reference.provider == SecretProvider::Builtin => {
                fault.hint(format!(
                    "Give the application one of its own: `slipway secret set {} --app APP < FILE`.",
                    reference.path
                ))
            }
            _ => fault,
        }
    }
}

pub(crate) type Result<T, E = SecretError> = std::result::Result<T, E>;

/// The secrets of one server. Cheap to clone.
#[derive(Clone)]
pub struct Secrets(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) options: SecretOptions,
    key: MasterKey,
}

impl Secrets {
    /// Opens the master key, making it at the first start.
    pub fn new(records: Arc<dyn Records>, options: SecretOptions) -> Result<Self, KeyError> {
        let key = MasterKey::open(&options.key_file)?;
        Ok(Self(Arc::new(Inner { records, options, key })))
    }

    /// Stored secrets that the key does not open, of the first `most`.
    ///
    /// # Errors
    ///
    /// What the records say.
    pub async fn unopened(&self, most: usize) -> Result<Vec<String>, RecordsError> {
        let mut read = self.0.records.read().await?;
        let mut unopened = Vec::new();
        for row in read.secret_list().await?.into_iter().take(most) {
            let stored = read.secret_get(&row.name).await?;
            if stored.is_some_and(|(_, sealed)| sealing::open(&self.0.key, &row.name, &sealed).is_err()) {
                unopened.push(row.name);
            }
        }
        Ok(unopened)
    }

    /// The value a reference of the server's own settings names: built-in ones are global.
    pub async fn resolve(&self, reference: &SecretReference) -> Result<Resolved> {
        let whole = match reference.provider {
            SecretProvider::Builtin => self.builtin(reference).await?,
            SecretProvider::Env => self.env(reference)?,
            SecretProvider::File => self.file(reference).await?,
            SecretProvider::Kubernetes => {
                let why = "only components of an application in an environment name Secrets of clusters";
                return Err(SecretError::NotAllowed { reference: reference.clone(), why: why.to_owned() });
            }
        };
        Self::part(reference, whole)
    }

    /// The part of a value that a reference means.
    pub(crate) fn part(reference: &SecretReference, whole: Resolved) -> Result<Resolved> {
        match &reference.key {
            None => Ok(whole),
            Some(key) => {
                let value = field(reference, key, &whole.value)?;
                Ok(Resolved { value, version: whole.version })
            }
        }
    }

    /// Keeps a value under a global name; the version rises.
    pub async fn set(&self, name: &str, value: &SecretString, by: &str) -> Result<SecretRow> {
        let mut tx = self.0.records.begin().await?;
        let row = self.set_within(tx.as_mut(), &SecretScope::Global, name, value, by).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// The same in any scope, as part of a transaction: kept if and when that is committed.
    pub async fn set_within(
        &self,
        tx: &mut dyn Write,
        scope: &SecretScope,
        name: &str,
        value: &SecretString,
        by: &str,
    ) -> Result<SecretRow> {
        self.check_name(name)?;
        let (size, max) = (value.expose_secret().len() as u64, self.0.options.max_secret_bytes);
        if size == 0 || size > max {
            return Err(SecretError::Size { name: name.to_owned(), size, max });
        }
        let key = scope.key(name);
        let sealed = sealing::seal(&self.0.key, &key, value.expose_secret());
        Ok(tx.secret_put(&key, &sealed, by).await?)
    }

    pub(crate) fn check_name(&self, name: &str) -> Result<()> {
        let max_chars = self.0.options.max_name_chars;
        let is_part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
        };
        if name.len() <= max_chars && name.split('/').all(is_part) {
            return Ok(());
        }
        Err(SecretError::Name { name: name.chars().take(80).collect(), max_chars })
    }

    async fn builtin(&self, reference: &SecretReference) -> Result<Resolved> {
        let found = self.0.records.read().await?.secret_get(&reference.path).await?;
        let Some((row, sealed)) = found else {
            return Err(SecretError::Missing { reference: reference.clone() });
        };
        self.opened(reference, &row, &sealed)
    }

    pub(crate) fn opened(
        &self,
        reference: &SecretReference,
        row: &SecretRow,
        sealed: &SealedSecret,
    ) -> Result<Resolved> {
        let value = sealing::open(&self.0.key, &row.name, sealed)
            .map_err(|e| SecretError::Unusable { reference: reference.clone(), why: e.to_string() })?;
        Ok(Resolved { value, version: row.version.to_string() })
    }

    fn env(&self, reference: &SecretReference) -> Result<Resolved> {
        let name = reference.path.as_str();
        if !name.starts_with(ENV_PREFIX) && !self.0.options.env_allowed.iter().any(|allowed| allowed == name)
        {
            let why =
                format!("the variable has neither the prefix {ENV_PREFIX} nor a place in `env_allowed`");
            return Err(SecretError::NotAllowed { reference: reference.clone(), why });
        }
        match std::env::var(name) {
            Ok(value) => self.measured(reference, value),
            Err(std::env::VarError::NotPresent) => Err(SecretError::Missing { reference: reference.clone() }),
            Err(std::env::VarError::NotUnicode(_)) => Err(not_text(reference)),
        }
    }

    async fn file(&self, reference: &SecretReference) -> Result<Resolved> {
        let (this, asked) = (self.clone(), reference.clone());
        match tokio::task::spawn_blocking(move || this.read_file(&asked)).await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn read_file(&self, reference: &SecretReference) -> Result<Resolved> {
        let refused =
            |why: &str| SecretError::NotAllowed { reference: reference.clone(), why: why.to_owned() };
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                SecretError::Missing { reference: reference.clone() }
            }
            kind => SecretError::Unusable { reference: reference.clone(), why: kind.to_string() },
        };
        let roots: Vec<PathBuf> =
            self.0.options.file_roots.iter().filter_map(|root| root.canonicalize().ok()).collect();
        // An absolute path, or one below a root; where it exists outside is not told.
        let path = Path::new(&reference.path);
        if path.components().any(|part| part == std::path::Component::ParentDir) {
            return Err(refused("its path contains `..`"));
        }
        let candidates: Vec<PathBuf> = if path.is_absolute() {
            let below = |root: &PathBuf| path.starts_with(root);
            if !self.0.options.file_roots.iter().chain(&roots).any(below) {
                return Err(refused("it is not below a directory of `file_roots`"));
            }
            vec![path.to_owned()]
        } else {
            roots.iter().map(|root| root.join(path)).collect()
        };
        let found = candidates.iter().find_map(|candidate| candidate.canonicalize().ok());
        let Some(found) = found else {
            return Err(SecretError::Missing { reference: reference.clone() });
        };
        // Links are resolved now; Kubernetes mounts secrets as links inside their directory.
        if !roots.iter().any(|root| found.starts_with(root)) {
            return Err(refused("it is a link that leads out of `file_roots`"));
        }
        let file = std::fs::File::open(&found).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(refused("it is not a regular file"));
        }
        let mut value = String::new();
        match file.take(self.0.options.max_secret_bytes + 1).read_to_string(&mut value) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(not_text(reference)),
            other => other.map_err(failed)?,
        };
        // Editors and `echo` end files with a line feed that is no part of the secret.
        let text = value.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
        let trimmed = text.unwrap_or(&value).to_owned();
        value.zeroize();
        self.measured(reference, trimmed)
    }

    fn measured(&self, reference: &SecretReference, mut value: String) -> Result<Resolved> {
        let (size, max) = (value.len() as u64, self.0.options.max_secret_bytes);
        if size == 0 || size > max {
            value.zeroize();
            let why = format!("it is empty or has more than max_secret_bytes = {max} bytes");
            return Err(SecretError::Unusable { reference: reference.clone(), why });
        }
        let version = self.fingerprint(&value);
        Ok(Resolved { value: SecretString::from(value), version })
    }

    /// A value that some other place keeps: the text of a Secret in a cluster, checked for its size.
    /// `place_version` is what the place counts.
    pub fn from_elsewhere(
        &self,
        reference: &SecretReference,
        value: Vec<u8>,
        place_version: &str,
    ) -> Result<Resolved> {
        let text = String::from_utf8(value).map_err(|error| {
            error.into_bytes().zeroize();
            not_text(reference)
        })?;
        let measured = self.measured(reference, text)?;
        Ok(Resolved { version: format!("{place_version}-{}", measured.version), ..measured })
    }

    /// The HMAC-SHA256 of a value under a key made of the master key, 64 hex digits: whoever keeps it can tell that the
    /// value became another, and nobody what it is. `place` says, part by part, where the value stands.
    pub fn keyed_digest(&self, place: &[&str], value: &[u8]) -> String {
        keyed_digest(&self.0.key, place, value)
    }

    /// 12 hex digits that stand for a value: keyed, so that a version in a fingerprint is no oracle for
    /// guessing a weak secret.
    fn fingerprint(&self, value: &str) -> String {
        let mut keyed = self.0.key.expose().to_vec();
        keyed.extend_from_slice(Digest::of(value).as_bytes());
        let version = Digest::of(&keyed).short();
        keyed.zeroize();
        version
    }
}

fn not_text(reference: &SecretReference) -> SecretError {
    SecretError::Unusable { reference: reference.clone(), why: "it is not UTF-8 text".to_owned() }
}

/// One field of a JSON object; a string gives its text, other values their JSON.
fn field(reference: &SecretReference, key: &str, value: &SecretString) -> Result<SecretString> {
    let wrong = |why| SecretError::Field { reference: reference.clone(), why };
    // The parser's message could quote the value: it is dropped.
    let mut object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(value.expose_secret()).map_err(|_| wrong("the secret is no JSON object"))?;
    match object.remove(key) {
        None => Err(wrong("the secret has no such field")),
        Some(serde_json::Value::String(text)) => Ok(SecretString::from(text)),
        Some(other) => Ok(SecretString::from(other.to_string())),
    }
}

#[cfg(test)]
pub(crate) mod tests;
