//! From a commit to the plan of its components: the part that reads the tree.
//!
//! Everything wrong is reported at once, each with its place in `slipway.yaml`. Blocking: it reads
//! git objects. What needs a network or the records is done by [`crate::planner`].

use std::collections::{BTreeMap, BTreeSet};

use slipway_buildkits::{Kits, Verb, VerbName};
use slipway_git::{EntryKind, Snapshot, TreeEntry};
use slipway_records::plan::{BuildPlan, CheckImage, CheckPlan, ComponentPlan, PackedFile};
use slipway_types::{ApplicationName, ComponentName, Fault, ImageReference, Platform};

use crate::backend::assemble::join;
use crate::backend::{Choice, Requirements};
use crate::dockerfile::{Dockerfile, MAX_DOCKERFILE_BYTES, Parameters};
use crate::manifest::{
    Check, CheckIn, Component, Manifest, Positioned, Problem, Problems, TIMEOUT_SECONDS_DEFAULT,
};

mod listing;

use listing::GitListing;

/// The name of the file that developers write.
pub const FILE_NAME: &str = "slipway.yaml";
/// The largest `slipway.yaml` that is read at all, in bytes; the parser's own limit is lower and
/// names itself.
const READ_BYTES_MAX: u64 = 16 << 20;
/// The most problems reported at once.
const PROBLEMS_MAX: usize = 100;

/// What a reader of a commit must know.
pub struct Wanted<'a> {
    /// The application that is planned; the file must name it.
    pub application: &'a ApplicationName,
    /// Directory of `slipway.yaml`.
    pub path: &'a str,
    /// Plan this component only.
    pub only: Option<&'a ComponentName>,
    /// The largest context, in bytes.
    pub max_context_bytes: u64,
}

/// A component read from the tree, its images not yet resolved.
#[derive(Debug)]
pub struct Draft {
    /// The plan so far; `image` is filled from `image` below.
    pub plan: ComponentPlan,
    /// Its image, if it has one.
    pub image: Option<DraftImage>,
    /// Where the component's `context` stands, for problems found later.
    pub place: Place,
    /// Secrets its build names.
    pub secrets: Vec<String>,
    /// Its checks.
    pub checks: Vec<DraftCheck>,
}

/// A check read from the file, its image not yet resolved and without a back-end.
#[derive(Debug)]
pub struct DraftCheck {
    /// The plan so far.
    pub plan: CheckPlan,
    /// The back-end that the file asks for.
    pub asked: Choice,
    /// Where it stands.
    pub place: Place,
}

/// A place in `slipway.yaml`, with the file's name.
#[derive(Debug, Clone)]
pub struct Place {
    file: String,
    field: Positioned<()>,
}

impl Place {
    /// A problem at this place.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(&self.file, self.field.at, &self.field.path, message)
    }
}

/// An image as declared.
#[derive(Debug)]
pub enum DraftImage {
    /// To be built.
    Build {
        /// The plan so far, without bases, secrets' versions and back-end.
        plan: BuildPlan,
        /// What the Dockerfile asks of a back-end.
        requirements: Requirements,
        /// External images, with the line that names each.
        bases: Vec<(usize, ImageReference)>,
    },
    /// To be pinned.
    Pin {
        /// The reference as declared.
        reference: ImageReference,
        /// Wanted platforms.
        platforms: Vec<Platform>,
    },
}

/// Reads and checks `slipway.yaml` and everything it names in the tree.
pub fn read(snapshot: &Snapshot, wanted: &Wanted<'_>) -> Result<Vec<Draft>, Fault> {
    let file = join(wanted.path, FILE_NAME);
    let bytes = match snapshot.entry(&file).map_err(|error| error.fault())? {
        Some(entry) if entry.kind.is_file() => {
            snapshot.read_blob(&entry.id, READ_BYTES_MAX).map_err(|error| error.fault())?
        }
        _ => return Err(missing(wanted, &file)),
    };
    let manifest = Manifest::parse(&bytes, &file).map_err(fault)?;
    let mut problems = Vec::new();
    if manifest.name.value != *wanted.application {
        let message = format!(
            "the push went to application `{}`, the file names `{}`",
            wanted.application, manifest.name.value
        );
        problems.push(manifest.problem(&manifest.name, message));
    }
    let mut drafts = Vec::new();
    for component in &manifest.components {
        if wanted.only.is_some_and(|only| component.name.value != *only) {
            continue;
        }
        let reader = Reader { snapshot, manifest: &manifest, component, wanted };
        match reader.draft() {
            Ok(draft) => drafts.push(draft),
            Err(found) => problems.extend(found),
        }
    }
    // A run of one component publishes no bundle that could be held.
    if wanted.only.is_none() && problems.is_empty() {
        for check in &manifest.checks {
            problems.extend(attach(&manifest, check, &mut drafts).err());
        }
        problems.extend(named_twice(&drafts));
    }
    if !problems.is_empty() {
        return Err(fault(Problems::new(problems, PROBLEMS_MAX)));
    }
    if drafts.is_empty() {
        let name = wanted.only.map(ToString::to_string).unwrap_or_default();
        return Err(Fault::permanent("component_unknown", format!("{file} declares no component `{name}`")));
    }
    Ok(drafts)
}

/// Gives a check to the component whose image it runs in; one in another image goes to the first.
fn attach(manifest: &Manifest, check: &Check, drafts: &mut [Draft]) -> Result<(), Problem> {
    let (image, at) = match &check.image.value {
        CheckIn::Component(name) => {
            let at = drafts.iter().position(|draft| draft.plan.name == *name);
            (CheckImage::Component(name.clone()), at.unwrap_or_default())
        }
        CheckIn::Reference(reference) => (CheckImage::Pinned(reference.clone()), 0),
    };
    let images = check.needs.iter().map(|need| (need.at, need.path.as_str(), &need.value));
    let own = match &image {
        CheckImage::Component(name) => Some((check.image.at, check.image.path.as_str(), name)),
        CheckImage::Pinned(_) => None,
    };
    for (at, path, name) in own.into_iter().chain(images) {
        if drafts.iter().any(|draft| draft.plan.name == *name && draft.image.is_none()) {
            let message = format!("the component `{name}` has no image");
            return Err(Problem::new(&manifest.file, at, path, message));
        }
    }
    let Some(draft) = drafts.get_mut(at) else { return Ok(()) };
    let component = manifest.component(&draft.plan.name).and_then(|component| component.backend.as_ref());
    let asked = component.or(manifest.backend.as_ref()).map(|named| named.value).unwrap_or_default();
    let field = Positioned { value: (), at: check.name.at, path: check.name.path.clone() };
    draft.checks.push(DraftCheck {
        plan: CheckPlan {
            name: check.name.value.clone(),
            image,
            command: check.command.clone(),
            env: check.env.clone(),
            timeout_seconds: check.timeout_seconds,
            needs: check.needs.iter().map(|need| need.value.clone()).collect(),
            backend: String::new(),
            backend_why: String::new(),
        },
        asked,
        place: Place { file: manifest.file.clone(), field },
    });
    Ok(())
}

/// Checks of kits may have the names of declared ones.
fn named_twice(drafts: &[Draft]) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let checks = drafts.iter().flat_map(|draft| &draft.checks);
    let twice = checks.filter(|check| !seen.insert(check.plan.name.clone()));
    twice.map(|check| check.place.problem(format!("there are two checks `{}`", check.plan.name))).collect()
}

/// The fault of a `slipway.yaml` with problems.
pub fn fault(problems: Problems) -> Fault {
    Fault::permanent("slipway_yaml_invalid", problems.to_string())
        .hint("Check it before pushing: slipway validate")
}

fn missing(wanted: &Wanted<'_>, file: &str) -> Fault {
    let name = wanted.application;
    Fault::permanent("slipway_yaml_missing", format!("there is no {file} at this commit")).hint(format!(
        "Write one and push again, for example:\n\n\
             apiVersion: slipway.dev/v1\n\
             kind: Application\n\
             metadata: {{name: {name}}}\n\
             components:\n  \
               - name: web\n    \
                 kit: dockerfile\n    \
                 context: .\n"
    ))
}

struct Reader<'a> {
    snapshot: &'a Snapshot,
    manifest: &'a Manifest,
    component: &'a Component,
    wanted: &'a Wanted<'a>,
}

impl Reader<'_> {
    fn draft(&self) -> Result<Draft, Vec<Problem>> {
        let kit = Kits::builtin()
            .get(&self.component.kit.value)
            .ok_or_else(|| vec![self.manifest.problem(&self.component.kit, "the kit does not exist")])?;
        let context = self.context().map_err(|problem| vec![problem])?;
        let mut files = Vec::new();
        if kit.description().verbs.iter().any(|verb| *verb != VerbName::ImagePin) {
            files = self.files(&context).map_err(|problem| vec![problem])?;
            self.check_hazards(&context)?;
        }
        let listing = GitListing::new(self.snapshot, &context, &files);
        let declaration = self.manifest.declaration(self.component);
        let verbs = kit
            .plan(&declaration, &listing)
            .map_err(|error| vec![self.manifest.kit_problem(self.component, &error)])?;
        let mut draft = Draft {
            plan: ComponentPlan {
                name: self.component.name.value.clone(),
                kit: kit.name().to_owned(),
                kit_digest: kit.digest(),
                context: context.clone(),
                needs: self.component.needs.iter().map(|need| need.value.clone()).collect(),
                image: None,
                files: Vec::new(),
                workload: declaration.workload,
                labels: self.manifest.labels.clone(),
                checks: Vec::new(),
            },
            image: None,
            place: self.place(),
            secrets: self.component.secrets.iter().map(|secret| secret.value.clone()).collect(),
            checks: Vec::new(),
        };
        for verb in verbs {
            self.apply(&mut draft, verb, &context, &files).map_err(|problem| vec![problem])?;
        }
        draft.plan.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(draft)
    }

    fn place(&self) -> Place {
        let field = &self.component.context;
        let field = Positioned { value: (), at: field.at, path: field.path.clone() };
        Place { file: self.manifest.file.clone(), field }
    }

    fn problem(&self, message: impl Into<String>) -> Problem {
        self.manifest.problem(&self.component.context, message)
    }

    /// The context's directory, links followed inside the repository.
    fn context(&self) -> Result<String, Problem> {
        let declared = self.component.context.value.as_str();
        let resolved =
            self.snapshot.resolve(declared).map_err(|error| self.problem(error.fault().message))?;
        if resolved.entry.kind != EntryKind::Directory {
            return Err(self.problem(format!("`{declared}` is not a directory")));
        }
        Ok(resolved.entry.path)
    }

    /// All that lies below the context but directories, sorted.
    fn files(&self, context: &str) -> Result<Vec<TreeEntry>, Problem> {
        let mut entries =
            self.snapshot.list(context, true).map_err(|error| self.problem(error.fault().message))?;
        entries.retain(|entry| entry.kind != EntryKind::Directory);
        let mut bytes = 0;
        for entry in entries.iter().filter(|entry| entry.kind.is_file()) {
            bytes +=
                self.snapshot.blob_size(&entry.id).map_err(|error| self.problem(error.fault().message))?;
        }
        let limit = self.wanted.max_context_bytes;
        if bytes > limit {
            return Err(self
                .problem(format!("the context has {bytes} bytes, the limit max_context_bytes is {limit}")));
        }
        Ok(entries)
    }

    /// LFS pointers and submodule links are never packed: they stand for content that is not there.
    fn check_hazards(&self, context: &str) -> Result<(), Vec<Problem>> {
        let watched = self.watched().map_err(|problem| vec![problem])?;
        let paths = std::iter::once(context).chain(watched.keys().map(String::as_str));
        let mut problems = Vec::new();
        for path in paths {
            let hazards =
                self.snapshot.hazards(path).map_err(|error| vec![self.problem(error.fault().message)])?;
            problems.extend(hazards.into_iter().map(|hazard| {
                let line = hazard.line.map_or(String::new(), |line| format!(":{line}"));
                self.problem(format!("{}{line}: {}", hazard.path, hazard.kind.what()))
            }));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn watched(&self) -> Result<BTreeMap<String, String>, Problem> {
        let patterns: Vec<&str> = self.component.watch.iter().map(|pattern| pattern.value.as_str()).collect();
        if patterns.is_empty() {
            return Ok(BTreeMap::new());
        }
        let found = self.snapshot.matching(&patterns).map_err(|error| self.problem(error.fault().message))?;
        Ok(found.into_iter().map(|entry| (entry.path, entry.id.to_string())).collect())
    }

    fn apply(
        &self,
        draft: &mut Draft,
        verb: Verb,
        context: &str,
        files: &[TreeEntry],
    ) -> Result<(), Problem> {
        match verb {
            Verb::ImageBuild { dockerfile, target, args, platforms, .. } => {
                let plan = BuildPlan {
                    context_tree: self.context_tree(context)?,
                    dockerfile,
                    target,
                    args,
                    platforms,
                    bases: Vec::new(),
                    secrets: BTreeMap::new(),
                    watched: self.watched()?,
                    backend: String::new(),
                    recipe: 0,
                    backend_why: String::new(),
                };
                draft.image = Some(self.build(plan, context)?);
            }
            Verb::ImagePin { reference, platforms, .. } => {
                draft.image = Some(DraftImage::Pin { reference, platforms });
            }
            Verb::FilesPack { root, paths, .. } => {
                for path in paths {
                    draft.plan.files.push(self.packed(context, &root, path, files)?);
                }
            }
            Verb::ContainerRun { name, image, command, env, timeout_seconds, needs } => {
                let component = |name: &String| {
                    name.parse::<ComponentName>().map_err(|error| self.problem(error.to_string()))
                };
                draft.checks.push(DraftCheck {
                    plan: CheckPlan {
                        name: format!("source/{name}")
                            .parse()
                            .map_err(|error| self.problem(format!("{error}")))?,
                        image: CheckImage::Component(component(&image)?),
                        command,
                        env,
                        timeout_seconds: timeout_seconds.unwrap_or(TIMEOUT_SECONDS_DEFAULT),
                        needs: needs.iter().map(component).collect::<Result<_, _>>()?,
                        backend: String::new(),
                        backend_why: String::new(),
                    },
                    asked: self.asked_backend(),
                    place: self.place(),
                });
            }
            Verb::ChartPackage { .. } => {
                return Err(
                    self.problem("this kit asks for chart.package, which this release does not carry out")
                );
            }
        }
        Ok(())
    }

    fn asked_backend(&self) -> Choice {
        let backend = self.component.backend.as_ref().or(self.manifest.backend.as_ref());
        backend.map(|named| named.value).unwrap_or_default()
    }

    fn context_tree(&self, context: &str) -> Result<String, Problem> {
        let tree = self.snapshot.tree_id(context).map_err(|error| self.problem(error.fault().message))?;
        tree.map(|id| id.to_string()).ok_or_else(|| self.problem(format!("`{context}` is not a directory")))
    }

    fn build(&self, plan: BuildPlan, context: &str) -> Result<DraftImage, Problem> {
        let path = join(context, &plan.dockerfile);
        let resolved = self.snapshot.resolve(&path).map_err(|error| self.problem(error.fault().message))?;
        let bytes = self
            .snapshot
            .read_blob(&resolved.entry.id, MAX_DOCKERFILE_BYTES as u64)
            .map_err(|error| self.problem(format!("{path}: {}", error.fault().message)))?;
        let invalid = |error: crate::dockerfile::ParseError| {
            let column = error.column.map_or(String::new(), |column| format!(":{column}"));
            self.problem(format!("{path}:{}{column}: {}", error.line, error.message))
        };
        let dockerfile = Dockerfile::parse(&bytes).map_err(invalid)?;
        let mut requirements = Requirements {
            secrets: !self.component.secrets.is_empty(),
            backend: self.asked_backend(),
            foreign_platforms: plan.platforms.iter().any(|platform| *platform != Platform::default()),
            ..Requirements::default()
        };
        let mut bases: BTreeMap<ImageReference, usize> = BTreeMap::new();
        for platform in &plan.platforms {
            let parameters = Parameters {
                build_args: plan.args.clone(),
                platform: platform.clone(),
                build_platform: Platform::default(),
                target: plan.target.clone(),
            };
            let found = dockerfile.requirements(&parameters).map_err(invalid)?;
            requirements.run = requirements.run.or(found.needs_run.map(|run| run.line));
            requirements.buildkit =
                requirements.buildkit.or(found.needs_buildkit.map(|needed| (needed.line, needed.what)));
            requirements.beyond_classic =
                requirements.beyond_classic.or(found.beyond_classic.map(|needed| (needed.line, needed.what)));
            for base in dockerfile.base_references(&parameters).map_err(invalid)? {
                if self.is_need(&base.key.text) {
                    continue;
                }
                let reference = base
                    .key
                    .text
                    .parse()
                    .map_err(|error| self.problem(format!("{path}:{}: {error}", base.line)))?;
                bases.entry(reference).or_insert(base.line);
            }
        }
        let bases = bases.into_iter().map(|(reference, line)| (line, reference)).collect();
        Ok(DraftImage::Build { plan, requirements, bases })
    }

    /// Whether a reference is the placeholder of a needed component's image.
    fn is_need(&self, text: &str) -> bool {
        self.component.needs.iter().any(|need| text == format!("${{{}.image}}", need.value))
    }

    fn packed(
        &self,
        context: &str,
        root: &str,
        path: String,
        files: &[TreeEntry],
    ) -> Result<PackedFile, Problem> {
        let source = join(&join(context, root), &path);
        let source = source.trim_matches('/').replace("//", "/");
        let at = files.binary_search_by(|entry| entry.path.as_str().cmp(source.as_str()));
        let entry =
            at.map(|at| &files[at]).map_err(|_| self.problem(format!("`{source}` does not exist")))?;
        let link = match entry.kind {
            EntryKind::Symlink => {
                Some(self.snapshot.link_target(entry).map_err(|error| self.problem(error.fault().message))?)
            }
            _ => None,
        };
        Ok(PackedFile {
            path,
            object: entry.id.to_string(),
            executable: entry.kind == EntryKind::Executable,
            link,
            source,
        })
    }
}
