//! Carrying out stages: each instruction changes the tree, the configuration or the variables.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::dockerfile::expand::{Expander, Variables};
use crate::dockerfile::glob::has_wildcard;
use crate::dockerfile::parse::trigger;
use crate::dockerfile::{Argument, BaseKey, Copy, CopyOrigin, Instruction, Located, StageBase, StagePlan};

use super::base::BaseImage;
use super::blocks::{BlockOptions, is_stopped};
use super::config::ImageConfig;
use super::configure::configure;
use super::contents::Contents;
use super::context::ContextTree;
use super::copy::{self, CopyError, CopySpec, Target};
use super::layer::{self, Changes};
use super::owner;
use super::tree::{Content, Kind, Node, Origin, Tree, clean, parent};
use super::{AssembleError, AssembledLayer, Input, LayerSource, Options, oci_layer_type};

/// Files of accounts that `--chown` reads.
const ACCOUNT_FILES: [&[u8]; 2] = [b"etc/passwd", b"etc/group"];
/// Largest file of accounts.
const MAX_ACCOUNT_BYTES: u64 = 1 << 20;

/// The result of the target stage.
pub(super) struct Built {
    pub(super) config: ImageConfig,
    pub(super) layers: Vec<AssembledLayer>,
    pub(super) warnings: Vec<String>,
}

/// Builds the stages that the target needs, in order.
pub(super) fn build(input: &Input<'_>, options: &Options) -> Result<Built, AssembleError> {
    let plan = input.dockerfile.plan(input.parameters)?;
    let context = ContextTree::read(input.context.as_ref(), input.dockerignore, options.max_context_entries)?;
    let chain = chain(&plan);
    let mut builder =
        Builder { input, options, plan, context, chain, done: BTreeMap::new(), warnings: Vec::new() };
    let reachable = builder.plan.reachable.clone();
    for index in reachable {
        let state = builder.stage(index)?;
        builder.done.insert(index, state);
    }
    let target = builder.done.remove(&builder.plan.target).expect("invariant: the target is reachable");
    Ok(Built { config: target.config, layers: target.layers, warnings: builder.warnings })
}

/// The target and the stages it is built from: only their layers are written.
fn chain(plan: &StagePlan) -> BTreeSet<usize> {
    let mut chain = BTreeSet::from([plan.target]);
    let mut at = plan.target;
    while let StageBase::Stage(base) = plan.bases[at] {
        chain.insert(base);
        at = base;
    }
    chain
}

struct Builder<'a> {
    input: &'a Input<'a>,
    options: &'a Options,
    plan: StagePlan,
    context: ContextTree,
    chain: BTreeSet<usize>,
    done: BTreeMap<usize, State>,
    warnings: Vec<String>,
}

/// A stage while it is built, and afterwards.
pub(super) struct State {
    index: usize,
    pub(super) config: ImageConfig,
    files: Files,
    layers: Vec<AssembledLayer>,
    /// What `$name` means: the environment and the arguments.
    pub(super) variables: Variables,
    /// Whether this stage itself has a CMD.
    pub(super) has_command: bool,
}

/// A stage's tree; that of a base is not read before somebody asks.
#[derive(Clone)]
enum Files {
    Base(Arc<BaseImage>),
    Own(Tree),
}

impl Files {
    fn tree(&self, max_entries: usize) -> Result<&Tree, AssembleError> {
        match self {
            Self::Base(base) => base.tree(max_entries),
            Self::Own(tree) => Ok(tree),
        }
    }

    fn own(&mut self, max_entries: usize) -> Result<&mut Tree, AssembleError> {
        if let Self::Base(base) = self {
            *self = Self::Own(base.tree(max_entries)?.clone());
        }
        match self {
            Self::Own(tree) => Ok(tree),
            Self::Base(_) => unreachable!("it was replaced above"),
        }
    }
}

impl Builder<'_> {
    fn base(&self, key: &BaseKey, line: usize) -> Result<Arc<BaseImage>, AssembleError> {
        let found = self.input.bases.get(key).cloned();
        found.ok_or_else(|| AssembleError::UnresolvedBase { line, key: key.clone() })
    }

    fn stage(&mut self, index: usize) -> Result<State, AssembleError> {
        let written = &self.input.dockerfile.stages[index];
        let mut state = self.start(index, written.line)?;
        let triggers = state.config.start_stage();
        for pair in &state.config.config.env {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            state.variables.insert(name.to_owned(), value.to_owned());
        }
        for text in triggers {
            let located = trigger(&text, written.line)?;
            self.instruction(&mut state, &located)?;
        }
        for located in &written.instructions {
            self.instruction(&mut state, located)?;
        }
        Ok(state)
    }

    fn start(&self, index: usize, line: usize) -> Result<State, AssembleError> {
        let (config, files, layers, variables) = match &self.plan.bases[index] {
            StageBase::Scratch => {
                (ImageConfig::scratch(), Files::Own(Tree::default()), Vec::new(), Variables::new())
            }
            StageBase::Stage(base) => {
                let base = self.done.get(base).expect("invariant: a base stage comes earlier");
                (base.config.clone(), base.files.clone(), base.layers.clone(), base.variables.clone())
            }
            StageBase::Image(key) => {
                let base = self.base(key, line)?;
                let layers = base_layers(&base, key);
                (base.config.clone(), Files::Base(base), layers, Variables::new())
            }
        };
        Ok(State { index, config, files, layers, variables, has_command: false })
    }

    fn instruction(&mut self, state: &mut State, located: &Located) -> Result<(), AssembleError> {
        if self.input.cancelled.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(AssembleError::Cancelled);
        }
        let line = located.line;
        match &located.instruction {
            Instruction::Add(copy) | Instruction::Copy(copy) => {
                self.copy(state, copy, line, located.instruction.keyword())
            }
            Instruction::Workdir(path) => self.workdir(state, path, line),
            Instruction::Run(_) => Err(AssembleError::NotAssemblable { line, instruction: "RUN".to_owned() }),
            Instruction::Arg(arguments) => self.arguments(state, arguments, line),
            other => {
                let escape = self.input.dockerfile.escape;
                configure(state, other, escape).map_err(|message| AssembleError::Refused { line, message })
            }
        }
    }

    fn arguments(&self, state: &mut State, arguments: &[Argument], line: usize) -> Result<(), AssembleError> {
        let mut shown = Vec::new();
        for argument in arguments {
            let name = &argument.name;
            let value = match (self.input.parameters.build_args.get(name), &argument.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.expand(state, default, line)?),
                (None, None) => self.plan.globals.get(name).cloned(),
            };
            match value {
                Some(value) => {
                    shown.push(format!("{name}={value}"));
                    state.variables.insert(name.clone(), value);
                }
                None => shown.push(name.clone()),
            }
        }
        state.config.record(format!("ARG {}", shown.join(" ")), false);
        Ok(())
    }

    fn expand(&self, state: &State, text: &str, line: usize) -> Result<String, AssembleError> {
        Expander::new(self.input.dockerfile.escape)
            .word(text, &state.variables)
            .map_err(|message| AssembleError::Refused { line, message })
    }

    fn workdir(&mut self, state: &mut State, path: &str, line: usize) -> Result<(), AssembleError> {
        let path = self.expand(state, path, line)?;
        let directory = absolute(&state.config.config.working_dir, &path);
        state.config.config.working_dir.clone_from(&directory);
        let max = self.options.max_base_entries;
        let user = state.config.config.user.clone();
        let mut changes = Changes::new();
        let tree = state.files.tree(max)?;
        let refused = |error: CopyError| AssembleError::Refused { line, message: error.to_string() };
        let resolved = tree.resolve(directory.as_bytes()).map_err(|error| refused(error.into()))?;
        if !tree.is_directory(&resolved) {
            let owner = (!user.is_empty()).then(|| owner::lookup_known(tree, &user));
            let tree = state.files.own(max)?;
            let mut target = Target { tree, changes: &mut changes };
            target.make_directories(&resolved, owner).map_err(refused)?;
        }
        self.commit(state, &changes, format!("WORKDIR {directory}"))
    }

    fn copy(
        &mut self,
        state: &mut State,
        copy: &Copy,
        line: usize,
        keyword: &str,
    ) -> Result<(), AssembleError> {
        if let Some(flag) = &copy.buildkit_flag {
            return Err(AssembleError::NeedsBuildkit { line, what: format!("{keyword} {flag}") });
        }
        let (spec, mut sources, created_by) = self.specify(state, copy, line, keyword)?;
        let origin = self.input.dockerfile.copy_origin(copy, state.index, line, self.input.parameters)?;
        let mut changes = Changes::new();
        let mut unmatched = Vec::new();
        let mut files = std::mem::replace(&mut state.files, Files::Own(Tree::default()));
        let tree = files.own(self.options.max_base_entries)?;
        let mut target = Target { tree, changes: &mut changes };
        if !sources.is_empty() {
            let image = match &origin {
                CopyOrigin::Image(key) => Some(self.base(key, line)?),
                CopyOrigin::Context | CopyOrigin::Stage(_) => None,
            };
            let from = self.source_tree(&origin, image.as_deref(), line)?;
            for source in sources.drain(..) {
                if is_remote(&source) {
                    return Err(AssembleError::Remote { line, address: source });
                }
                let found = copy_source(from, &source, &spec, &mut target);
                let count = found.map_err(|error| self.explain(error, &origin, &source, line))?;
                if count == 0 {
                    unmatched.push(format!("line {line}: {keyword} {source} matches nothing"));
                }
            }
        }
        Self::documents(state, copy, &spec, &mut target, line)?;
        self.keep_accounts(&mut target)?;
        state.files = files;
        self.warnings.append(&mut unmatched);
        self.commit(state, &changes, created_by)
    }

    fn source_tree<'t>(
        &'t self,
        origin: &CopyOrigin,
        image: Option<&'t BaseImage>,
        line: usize,
    ) -> Result<&'t Tree, AssembleError> {
        let max = self.options.max_base_entries;
        match (origin, image) {
            (CopyOrigin::Stage(source), _) => {
                let message = format!("stage {source} is named by a trigger only, and was not built");
                let state = self.done.get(source).ok_or(AssembleError::Refused { line, message })?;
                state.files.tree(max)
            }
            (_, Some(image)) => image.tree(max),
            (_, None) => Ok(&self.context.tree),
        }
    }

    /// Expands all that a COPY or ADD says.
    fn specify(
        &self,
        state: &State,
        copy: &Copy,
        line: usize,
        keyword: &str,
    ) -> Result<(CopySpec, Vec<String>, String), AssembleError> {
        let expand = |text: &String| self.expand(state, text, line);
        let chown = copy.chown.as_ref().map(expand).transpose()?.filter(|text| !text.is_empty());
        let chmod = copy.chmod.as_ref().map(expand).transpose()?.filter(|text| !text.is_empty());
        let sources = copy.sources.iter().map(expand).collect::<Result<Vec<_>, _>>()?;
        let destination = expand(&copy.destination)?;
        let mut words = vec![keyword.to_owned()];
        words.extend(chown.iter().map(|value| format!("--chown={value}")));
        words.extend(chmod.iter().map(|value| format!("--chmod={value}")));
        words.extend(sources.iter().cloned());
        words.extend(copy.documents.iter().map(|document| format!("<<{}", document.name)));
        words.push(format!("{destination} # buildkit"));
        let created_by = words.join(" ");
        let owner = match &chown {
            None => None,
            Some(text) => {
                let tree = state.files.tree(self.options.max_base_entries)?;
                let unknown = |owner::UnknownName { kind, name, file }| AssembleError::UnknownName {
                    line,
                    kind,
                    name,
                    file,
                };
                Some(owner::lookup(tree, text).map_err(unknown)?)
            }
        };
        let mode = match &chmod {
            None => None,
            Some(text) => Some(octal_mode(text).ok_or_else(|| AssembleError::Refused {
                line,
                message: format!("invalid chmod parameter {text:?}: it must be octal, from 0 to 07777"),
            })?),
        };
        let unpack = (keyword == "ADD").then(|| Arc::clone(&self.input.context));
        let destination = copy_destination(&state.config.config.working_dir, &destination);
        Ok((CopySpec { destination, owner, mode, unpack }, sources, created_by))
    }

    fn documents(
        state: &State,
        copy: &Copy,
        spec: &CopySpec,
        target: &mut Target<'_>,
        line: usize,
    ) -> Result<(), AssembleError> {
        for document in &copy.documents {
            let refused = |message| AssembleError::Refused { line, message };
            let content = if document.expand {
                Expander::document().word(&document.content, &state.variables).map_err(refused)?
            } else {
                document.content.clone()
            };
            let path = clean(document.name.as_bytes());
            if path.is_empty() || !parent(&path).is_empty() {
                return Err(refused(format!("the heredoc name {:?} is no file name", document.name)));
            }
            let mut tree = Tree::default();
            tree.put(path.clone(), Node::new(Kind::File(Content::bytes(content.as_bytes())), 0o644));
            copy::copy(&tree, &path, spec, target).map_err(|error| refused(error.to_string()))?;
        }
        Ok(())
    }

    /// Takes in files of accounts, so that a later `--chown` can read them.
    fn keep_accounts(&self, target: &mut Target<'_>) -> Result<(), AssembleError> {
        for path in ACCOUNT_FILES {
            let Some(node) = target.changes.get(path).cloned() else { continue };
            let Kind::File(Content { size, origin: Origin::Context(name) }) = &node.kind else { continue };
            if *size > MAX_ACCOUNT_BYTES {
                continue;
            }
            let failed = |source| AssembleError::Context { path: name.to_string(), source };
            let mut bytes = Vec::new();
            let file = self.input.context.open(name).map_err(failed)?;
            file.take(MAX_ACCOUNT_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
            let kept = Node { kind: Kind::File(Content::bytes(&bytes)), ..node };
            target.tree.put(path.to_vec(), kept.clone());
            target.changes.insert(path.to_vec(), kept);
        }
        Ok(())
    }

    fn explain(&self, error: CopyError, origin: &CopyOrigin, source: &str, line: usize) -> AssembleError {
        match error {
            CopyError::Missing => {
                let place = match origin {
                    CopyOrigin::Context => "the build context".to_owned(),
                    CopyOrigin::Stage(stage) => match &self.input.dockerfile.stages[*stage].name {
                        Some(name) => format!("stage {name}"),
                        None => format!("stage {stage}"),
                    },
                    CopyOrigin::Image(key) => format!("image {}", key.text),
                };
                let ignored = if *origin == CopyOrigin::Context { self.ignored(source) } else { None };
                AssembleError::SourceMissing { line, path: source.to_owned(), place, ignored }
            }
            CopyError::Refused(message) => AssembleError::Refused { line, message },
            CopyError::Compression { archive, compression } => {
                AssembleError::ArchiveCompression { line, path: archive, compression }
            }
            CopyError::Archive { archive, source } => AssembleError::Archive { archive, source },
        }
    }

    /// The pattern that leaves `source`, or a directory it lies in, out of the context.
    fn ignored(&self, source: &str) -> Option<String> {
        let path = clean(source.as_bytes());
        let mut path = path.as_slice();
        while !path.is_empty() {
            if let Some(pattern) = self.context.ignored.get(String::from_utf8_lossy(path).as_ref()) {
                return Some(pattern.clone());
            }
            path = parent(path);
        }
        None
    }

    /// Ends an instruction that may change the tree.
    fn commit(&self, state: &mut State, changes: &Changes, created_by: String) -> Result<(), AssembleError> {
        state.config.record(created_by, !changes.is_empty());
        if changes.is_empty() || !self.chain.contains(&state.index) {
            return Ok(());
        }
        let Options { spool_dir, max_spool_bytes, compress_threads, .. } = self.options;
        let contents = Contents::prepare(changes, self.input.context.as_ref(), spool_dir, *max_spool_bytes)?;
        let options = BlockOptions {
            threads: *compress_threads,
            cache: self.input.cache,
            cancelled: self.input.cancelled,
        };
        let written =
            layer::write(changes, &contents, options, self.input.sink).map_err(|error| match error {
                AssembleError::Sink(error) if is_stopped(&error) => AssembleError::Cancelled,
                other => other,
            })?;
        state.layers.push(AssembledLayer {
            digest: written.digest,
            size: written.size,
            media_type: slipway_types::media_type::OCI_LAYER_GZIP.to_owned(),
            diff_id: written.diff_id,
            source: LayerSource::New,
        });
        Ok(())
    }
}

/// Copies all that one source names; says how many paths that were.
fn copy_source(
    from: &Tree,
    source: &str,
    spec: &CopySpec,
    target: &mut Target<'_>,
) -> Result<usize, CopyError> {
    let found = copy::matching(from, source)?;
    for path in &found {
        copy::copy(from, path, spec, target)?;
    }
    debug_assert!(!found.is_empty() || has_wildcard(source));
    Ok(found.len())
}

fn base_layers(base: &BaseImage, key: &BaseKey) -> Vec<AssembledLayer> {
    let diff_ids = &base.config.rootfs.diff_ids;
    base.layers
        .iter()
        .zip(diff_ids)
        .map(|(layer, diff_id)| AssembledLayer {
            digest: layer.digest,
            size: layer.size,
            media_type: oci_layer_type(&layer.media_type),
            diff_id: *diff_id,
            source: LayerSource::Base(key.clone()),
        })
        .collect()
}

fn octal_mode(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777 && !text.starts_with('+'))
}

/// `path` as WORKDIR stores it: an absolute one as it is written.
fn absolute(current: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let joined = clean(format!("{current}/{path}").as_bytes());
    format!("/{}", String::from_utf8_lossy(&joined))
}

/// The destination of a COPY; its end still says whether a directory is meant.
fn copy_destination(working_dir: &str, written: &str) -> String {
    // As in BuildKit, `/.` at the end counts in absolute paths only.
    let names_directory = matches!(written, "" | ".") || written.ends_with('/');
    let mut destination = absolute(working_dir, written);
    if names_directory && !destination.ends_with('/') {
        destination.push('/');
    }
    destination
}

fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@"].iter().any(|scheme| source.starts_with(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_join_the_working_directory() {
        for (directory, written, expected) in [
            ("/", "a", "/a"),
            ("/w", ".", "/w/"),
            ("/w", "./", "/w/"),
            ("/w", "../x", "/x"),
            ("/w", "a/", "/w/a/"),
            ("", "a", "/a"),
            ("/w", "/b/.", "/b/."),
            ("/w", "b/.", "/w/b"),
        ] {
            assert_eq!(copy_destination(directory, written), expected, "{directory} {written}");
        }
    }
}
