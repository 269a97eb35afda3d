//! The definitions that this server may use: the built-in ones, installed ones, those of a directory.
//!
//! What is installed stands in the records and lies in the object store, so every server of a database
//! offers the same. [`Definitions::current`] looks at the rows every time and loads only what is new: by
//! digest, so that a definition is read once, and one that lacks its files is looked for now and then. What
//! cannot be used is told as a fault and stops nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slipway_definitions::catalogue::Taken;
use slipway_definitions::{Catalogue, Definition, DefinitionKind, code};
use slipway_objects::{BlobError, Blobs};
use slipway_records::defining::{DefinitionFault, DefinitionSource};
use slipway_records::{InstalledDefinition, Records};
use slipway_types::{Digest, Fault, Version, Violation};
use tokio::sync::Mutex;

pub mod artifact;
pub mod check;
mod directory;
pub mod held;
mod port;

use directory::Found;

/// How long what a directory holds is taken for granted.
const DIRECTORY_AGE: Duration = Duration::from_secs(5);
/// How long files that are lacking are not looked for again: another server may have brought them meanwhile.
const LACKING_AGE: Duration = Duration::from_secs(10);

/// A definition's kind, name and version.
pub type Identity = (DefinitionKind, String, String);

/// The definitions of one moment.
#[derive(Debug, Default)]
pub struct Offer {
    /// Those that new plans may use.
    pub catalogue: Catalogue,
    /// What is installed, disabled ones too.
    pub installed: Vec<InstalledDefinition>,
    /// Where those come from that are not part of Slipway.
    pub sources: BTreeMap<Identity, DefinitionSource>,
    /// What cannot be used.
    pub faults: Vec<DefinitionFault>,
}

/// Where definitions are looked for. Cheap to clone; clones share what was loaded.
#[derive(Clone)]
pub struct Definitions {
    records: Arc<dyn Records>,
    blobs: Blobs,
    directory: Option<PathBuf>,
    loaded: Arc<Mutex<Loaded>>,
}

/// Why an installed definition cannot be used.
#[derive(Debug, Clone)]
pub(crate) struct Unusable {
    violations: Vec<Violation>,
    /// Whether its files are lacking, which can be brought again.
    lacking: bool,
}

/// An archive that was read.
struct Archive {
    read: Result<Arc<Definition>, Unusable>,
    read_at: Instant,
}

/// What was loaded, and what it was loaded for.
#[derive(Default)]
struct Loaded {
    /// By their digests.
    archives: HashMap<Digest, Archive>,
    found: Arc<Found>,
    looked_at: Option<Instant>,
    offer: Option<Arc<Offer>>,
}

/// The identity of a definition.
pub fn identity(definition: &Definition) -> Identity {
    (definition.kind(), definition.name().to_owned(), definition.version().to_string())
}

fn identity_of(row: &InstalledDefinition) -> Identity {
    (row.kind, row.name.to_string(), row.version.to_string())
}

impl Definitions {
    /// Definitions of `records` and `blobs`, and of a directory of this machine.
    pub fn new(records: Arc<dyn Records>, blobs: Blobs, directory: Option<PathBuf>) -> Self {
        Self { records, blobs, directory, loaded: Arc::default() }
    }

    /// What may be used now.
    pub async fn current(&self) -> Result<Arc<Offer>, Fault> {
        let mut read = self.records.read().await.map_err(|error| crate::records_fault(&error))?;
        let installed = read.definition_list().await.map_err(|error| crate::records_fault(&error))?;
        drop(read);
        let mut loaded = self.loaded.lock().await;
        let is_moved = self.look(&mut loaded).await?;
        let is_stale = loaded.forget_stale();
        if is_moved || is_stale {
            // And stays forgotten if what follows fails.
            loaded.offer = None;
        }
        if let Some(offer) = loaded.offer.as_ref().filter(|offer| offer.installed == installed) {
            return Ok(Arc::clone(offer));
        }
        loaded.archives.retain(|digest, _| installed.iter().any(|row| row.archive == *digest));
        let is_new = |row: &&InstalledDefinition| row.enabled && !loaded.archives.contains_key(&row.archive);
        let new: Vec<&InstalledDefinition> = installed.iter().filter(is_new).collect();
        for row in new {
            let read = self.read(row).await?;
            loaded.archives.insert(row.archive, Archive::new(read));
        }
        let offer = Arc::new(offer(installed, &loaded));
        loaded.offer = Some(Arc::clone(&offer));
        Ok(offer)
    }

    /// Has the files of an archive looked for anew, because they were just brought.
    pub(crate) async fn forget(&self, archive: &Digest) {
        let mut loaded = self.loaded.lock().await;
        if loaded.archives.get(archive).is_some_and(Archive::is_lacking) {
            loaded.archives.remove(archive);
            loaded.offer = None;
        }
    }

    /// What is installed and disabled, as far as it can be read.
    pub(crate) async fn disabled(&self, offer: &Offer) -> Result<Vec<Arc<Definition>>, Fault> {
        let mut disabled = Vec::new();
        for row in offer.installed.iter().filter(|row| !row.enabled) {
            disabled.extend(self.load(row).await?.ok());
        }
        Ok(disabled)
    }

    /// Looks at the directory, if it is time; whether something there is not as it was.
    async fn look(&self, loaded: &mut Loaded) -> Result<bool, Fault> {
        let Some(directory) = self.directory.clone() else { return Ok(false) };
        if loaded.looked_at.is_some_and(|at| at.elapsed() < DIRECTORY_AGE) {
            return Ok(false);
        }
        let known = Arc::clone(&loaded.found);
        let found = tokio::task::spawn_blocking(move || directory::look(&directory, &known)).await;
        let found =
            found.map_err(|_| Fault::bug("definitions_unreadable", "reading a directory ended badly"))?;
        loaded.looked_at = Some(Instant::now());
        let is_moved = *loaded.found != found;
        loaded.found = Arc::new(found);
        Ok(is_moved)
    }

    /// The installed definition of a row, or what is wrong with it. Only a store that does not answer is a
    /// fault.
    pub(crate) async fn load(
        &self,
        row: &InstalledDefinition,
    ) -> Result<Result<Arc<Definition>, Unusable>, Fault> {
        let mut loaded = self.loaded.lock().await;
        if let Some(known) = loaded.archives.get(&row.archive).filter(|known| !known.is_stale()) {
            return Ok(known.read.clone());
        }
        let read = self.read(row).await?;
        loaded.archives.insert(row.archive, Archive::new(read.clone()));
        // What an offer tells of it may be something else.
        loaded.offer = loaded.offer.take().filter(|_| !row.enabled);
        Ok(read)
    }

    async fn read(&self, row: &InstalledDefinition) -> Result<Result<Arc<Definition>, Unusable>, Fault> {
        let unusable = |message: String, lacking: bool| {
            let hint = match lacking {
                true => format!("install it again: slipway definition install {}", row.reference),
                false => "remove it and install it again".to_owned(),
            };
            let violation = Violation::new(code::INVALID_DEFINITION, "package", message).hint(hint);
            Ok(Err(Unusable { violations: vec![violation], lacking }))
        };
        let bytes = match self.blobs.get(&row.archive, artifact::MAX_LAYER_BYTES).await {
            Ok(bytes) => bytes,
            Err(error @ (BlobError::Missing { .. } | BlobError::Corrupt { .. })) => {
                return unusable(error.to_string(), true);
            }
            Err(error) => {
                let message = format!("the object store did not give {}: {error}", row.archive);
                return Err(Fault::transient("storage_unavailable", message));
            }
        };
        let read = match artifact::read(bytes).await? {
            Ok(definition) => definition,
            Err(violations) => return Ok(Err(Unusable { violations, lacking: false })),
        };
        let is_same = read.digest() == row.digest
            && read.kind() == row.kind
            && read.name() == row.name.as_str()
            && *read.version() == row.version;
        if !is_same {
            return unusable(format!("{} is not what was installed", row.archive), false);
        }
        Ok(Ok(read))
    }
}

impl Archive {
    fn new(read: Result<Arc<Definition>, Unusable>) -> Self {
        Self { read, read_at: Instant::now() }
    }

    fn is_lacking(&self) -> bool {
        matches!(&self.read, Err(unusable) if unusable.lacking)
    }

    fn is_stale(&self) -> bool {
        self.is_lacking() && self.read_at.elapsed() >= LACKING_AGE
    }
}

impl Loaded {
    /// Forgets what lacked its files for a while, so that it is looked for again; whether there was any.
    fn forget_stale(&mut self) -> bool {
        let before = self.archives.len();
        self.archives.retain(|_, archive| !archive.is_stale());
        self.archives.len() < before
    }
}

/// Everything together; what has no place beside what is there already is a fault.
fn offer(installed: Vec<InstalledDefinition>, loaded: &Loaded) -> Offer {
    let mut offer = Offer { catalogue: Catalogue::builtin(), ..Offer::default() };
    for row in &installed {
        let known = loaded.archives.get(&row.archive).filter(|_| row.enabled);
        let why = match known.map(|known| &known.read) {
            None => format!(
                "{} is disabled: slipway definition enable {} {}@{}",
                row.version, row.kind, row.name, row.version
            ),
            Some(Ok(definition)) => {
                let source = DefinitionSource::Package { reference: row.reference.clone() };
                match offer.add(definition, source, true) {
                    Ok(()) => continue,
                    Err(why) => why,
                }
            }
            Some(Err(unusable)) => {
                let place = row.reference.clone();
                offer.faults.push(DefinitionFault { place, violations: unusable.violations.clone() });
                format!("{} cannot be used here: slipway definition list", row.version)
            }
        };
        offer.catalogue.withhold(row.kind, row.name.as_str(), row.version.clone(), why);
    }
    for (path, definition) in &loaded.found.definitions {
        // The same that is installed and disabled gives way too: somebody keeps it from plans.
        let same = installed.iter().find(|row| identity_of(row) == identity(definition));
        if same.is_some_and(|row| !row.enabled && row.digest == definition.digest()) {
            continue;
        }
        let source = DefinitionSource::Directory { path: path.clone() };
        // What does not fit is told by a fault; the message is for those who ask for it by name.
        drop(offer.add(definition, source, false));
    }
    offer.faults.extend(loaded.found.faults.iter().cloned());
    offer.installed = installed;
    offer
}

impl Offer {
    /// Adds a definition, or notes why it has no place. Only what somebody installed on purpose may stand
    /// beside a definition that is part of Slipway.
    fn add(
        &mut self,
        definition: &Arc<Definition>,
        source: DefinitionSource,
        beside_builtin: bool,
    ) -> Result<(), String> {
        let place = match &source {
            DefinitionSource::Builtin => "Slipway".to_owned(),
            DefinitionSource::Directory { path } => path.clone(),
            DefinitionSource::Package { reference } => reference.clone(),
        };
        let taken = if is_builtin(definition) && !beside_builtin {
            let message = format!("{definition} has the name of a definition that is part of Slipway");
            let taken = Violation::new(code::NAME_TAKEN, "metadata.name", message);
            Err(taken.hint("give it a name of its own"))
        } else {
            self.catalogue.add(Arc::clone(definition)).map_err(|taken: Taken| taken.violation())
        };
        if let Err(violation) = taken {
            let message = violation.message.clone();
            self.faults.push(DefinitionFault { place, violations: vec![violation] });
            return Err(message);
        }
        // What was there first, since what is installed comes before a directory, keeps its source.
        self.sources.entry(identity(definition)).or_insert(source);
        Ok(())
    }

    /// Where a definition comes from.
    pub fn source(&self, definition: &Definition) -> DefinitionSource {
        self.sources.get(&identity(definition)).cloned().unwrap_or(DefinitionSource::Builtin)
    }

    /// What is installed and not disabled, and cannot be used.
    pub fn unusable(&self) -> impl Iterator<Item = &InstalledDefinition> {
        let is_used = move |row: &InstalledDefinition| {
            matches!(self.sources.get(&identity_of(row)), Some(DefinitionSource::Package { .. }))
        };
        self.installed.iter().filter(move |row| row.enabled && !is_used(row))
    }

    /// The row of an installed definition.
    pub fn row(&self, kind: DefinitionKind, name: &str, version: &Version) -> Option<&InstalledDefinition> {
        let wanted = |row: &&InstalledDefinition| {
            row.kind == kind && row.name.as_str() == name && row.version == *version
        };
        self.installed.iter().find(wanted)
    }
}

/// Whether a definition that is part of Slipway has its kind and name.
pub(crate) fn is_builtin(definition: &Definition) -> bool {
    let same =
        |known: &&Arc<Definition>| known.kind() == definition.kind() && known.name() == definition.name();
    slipway_definitions::builtin::definitions().iter().any(|known| same(&known))
}

#[cfg(test)]
mod tests {
    use slipway_definitions::{Folder, FolderOptions, scaffold};

    use super::*;

    #[test]
    fn what_is_installed_is_not_hidden_by_the_same_in_a_directory() {
        let files = scaffold(DefinitionKind::Trait, &"graceful".parse().unwrap()).into_iter();
        let files = files.map(|(path, text)| (path, text.into())).collect();
        let folder = Folder::new(files, &FolderOptions::default()).unwrap();
        let definition = Arc::new(Definition::load(folder).unwrap());
        let row = InstalledDefinition { digest: definition.digest(), ..row("graceful") };
        let mut loaded = Loaded::default();
        let found = BTreeMap::from([("/d/graceful".to_owned(), Arc::clone(&definition))]);
        loaded.found = Arc::new(Found { definitions: found, faults: Vec::new() });
        loaded.archives.insert(row.archive, Archive::new(Ok(Arc::clone(&definition))));
        let together = offer(vec![row.clone()], &loaded);
        assert!(matches!(together.source(&definition), DefinitionSource::Package { .. }));
        assert_eq!((together.unusable().count(), together.faults.len()), (0, 0));
        let disabled = offer(vec![InstalledDefinition { enabled: false, ..row }], &loaded);
        let kept = disabled.catalogue.get(DefinitionKind::Trait, "graceful", definition.version());
        assert!(kept.is_none(), "what somebody disabled stays disabled");
        let alone = offer(Vec::new(), &loaded);
        assert!(matches!(alone.source(&definition), DefinitionSource::Directory { .. }));
    }

    fn row(name: &str) -> InstalledDefinition {
        InstalledDefinition {
            kind: DefinitionKind::Trait,
            name: name.parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            digest: Digest::of(name),
            archive: Digest::of(name),
            reference: format!("registry.example/{name}:1"),
            enabled: true,
            installed_at: chrono::DateTime::UNIX_EPOCH,
            installed_by: "anna".to_owned(),
        }
    }

    /// An archive that was read so many seconds ago and cannot be used.
    fn unusable(lacking: bool, seconds: u64) -> Archive {
        let read_at = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        Archive { read: Err(Unusable { violations: Vec::new(), lacking }), read_at }
    }

    #[test]
    fn what_lacks_its_files_is_looked_for_again_after_a_while_and_can_be_seen() {
        let (gone, broken) = (row("gone"), row("broken"));
        let mut loaded = Loaded::default();
        loaded.archives.insert(broken.archive, unusable(false, 60));
        loaded.archives.insert(gone.archive, unusable(true, 0));
        let disabled = InstalledDefinition { enabled: false, ..row("disabled") };
        let lacking = offer(vec![broken.clone(), disabled, gone.clone()], &loaded);
        assert_eq!(lacking.unusable().collect::<Vec<_>>(), [&broken, &gone]);
        assert!(!loaded.forget_stale(), "not every plan asks the object store");
        loaded.archives.insert(gone.archive, unusable(true, LACKING_AGE.as_secs()));
        assert!(loaded.forget_stale() && !loaded.archives.contains_key(&gone.archive));
        assert!(loaded.archives.contains_key(&broken.archive));
    }
}
