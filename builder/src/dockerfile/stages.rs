//! What the stages of a Dockerfile need: base images, earlier stages, an engine.

use std::collections::{BTreeMap, BTreeSet};

use slipway_types::Platform;

use super::expand::{Expander, Variables};
use super::instruction::{Copy, Instruction, Stage};
use super::{Dockerfile, ParseError};

/// What a build is told from outside.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    /// Values of `ARG`s.
    pub build_args: BTreeMap<String, String>,
    /// What the image is for.
    pub platform: Platform,
    /// What the build runs on; `FROM --platform=$BUILDPLATFORM`.
    pub build_platform: Platform,
    /// The stage to build: its name or number. The last one if `None`.
    pub target: Option<String>,
}

/// Which image: its reference as the Dockerfile names it, and the platform wanted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseKey {
    /// The reference after expansion of variables.
    pub text: String,
    /// The platform.
    pub platform: Platform,
}

/// An image that the Dockerfile takes from a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseReference {
    /// Line of the first `FROM` or `COPY --from` that names it.
    pub line: usize,
    /// Which image.
    pub key: BaseKey,
}

/// A place in the Dockerfile that asks for something of the back-end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Line.
    pub line: usize,
    /// What stands there, e.g. `RUN --mount` or `COPY --link`.
    pub what: String,
}

/// What the stages that are built ask of a back-end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirements {
    /// First instruction that runs a command: `assemble` cannot do it.
    pub needs_run: Option<Requirement>,
    /// First thing that only BuildKit does: neither `assemble` nor the classic builder can.
    pub needs_buildkit: Option<Requirement>,
    /// First thing that `assemble` and BuildKit do but the classic builder does not.
    pub beyond_classic: Option<Requirement>,
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StageBase {
    Scratch,
    Stage(usize),
    Image(BaseKey),
}

/// Where a COPY takes its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CopyOrigin {
    Context,
    Stage(usize),
    Image(BaseKey),
}

/// The stages with all that is known before anything is read.
#[derive(Debug, Clone)]
pub(crate) struct StagePlan {
    /// Names that every stage may ask for by `ARG`.
    pub(crate) globals: Variables,
    /// Bases of all stages.
    pub(crate) bases: Vec<StageBase>,
    /// The stage whose image is the result.
    pub(crate) target: usize,
    /// The stages to build, in order; the target is the last.
    pub(crate) reachable: BTreeSet<usize>,
}

impl Dockerfile {
    /// The images to take from registries, each once, in order of their lines.
    pub fn base_references(&self, parameters: &Parameters) -> Result<Vec<BaseReference>, ParseError> {
        let plan = self.plan(parameters)?;
        let mut references: Vec<BaseReference> = Vec::new();
        let mut add = |line, key: &BaseKey| {
            if !references.iter().any(|reference| reference.key == *key) {
                references.push(BaseReference { line, key: key.clone() });
            }
        };
        for &index in &plan.reachable {
            let stage = &self.stages[index];
            if let StageBase::Image(key) = &plan.bases[index] {
                add(stage.line, key);
            }
            for (line, copy) in copies(stage) {
                if let CopyOrigin::Image(key) = self.copy_origin(copy, index, line, parameters)? {
                    add(line, &key);
                }
            }
        }
        Ok(references)
    }

    /// What the stages that are built ask of a back-end. Triggers of base images are not seen here.
    pub fn requirements(&self, parameters: &Parameters) -> Result<Requirements, ParseError> {
        let plan = self.plan(parameters)?;
        let mut found = Requirements::default();
        if let Some(syntax) = self.syntax.as_ref().filter(|syntax| !is_plain_syntax(&syntax.image)) {
            let what = format!("# syntax={}", syntax.image);
            found.needs_buildkit = Some(Requirement { line: syntax.line, what });
        }
        for &index in &plan.reachable {
            let stage = &self.stages[index];
            if let StageBase::Stage(base) = plan.bases[index] {
                for located in &self.stages[base].instructions {
                    if let Instruction::Onbuild(onbuild) = &located.instruction {
                        requirement(stage.line, &onbuild.instruction, &mut found);
                    }
                }
            }
            for located in &stage.instructions {
                requirement(located.line, &located.instruction, &mut found);
            }
        }
        Ok(found)
    }

    /// Resolves names of stages and variables before the first stage.
    pub(crate) fn plan(&self, parameters: &Parameters) -> Result<StagePlan, ParseError> {
        let globals = self.globals(parameters)?;
        let mut bases = Vec::with_capacity(self.stages.len());
        for (index, stage) in self.stages.iter().enumerate() {
            bases.push(self.base(index, stage, &globals, parameters)?);
        }
        let target = self.target(parameters)?;
        let mut reachable = BTreeSet::new();
        let mut open = vec![target];
        while let Some(index) = open.pop() {
            if !reachable.insert(index) {
                continue;
            }
            if let StageBase::Stage(base) = bases[index] {
                open.push(base);
            }
            for (line, copy) in copies(&self.stages[index]) {
                if let CopyOrigin::Stage(source) = self.copy_origin(copy, index, line, parameters)? {
                    open.push(source);
                }
            }
            open.extend(self.mounted_stages(index));
        }
        Ok(StagePlan { globals, bases, target, reachable })
    }

    /// Where a COPY of stage `index` takes its files.
    pub(crate) fn copy_origin(
        &self,
        copy: &Copy,
        index: usize,
        line: usize,
        parameters: &Parameters,
    ) -> Result<CopyOrigin, ParseError> {
        let Some(from) = &copy.from else { return Ok(CopyOrigin::Context) };
        let at = |message: String| ParseError::new(line, message);
        let plain = Expander::new(self.escape).word(from, &Variables::new()).map_err(at)?;
        if plain != *from {
            return Err(at(format!(
                "variables are not expanded in --from={from}: name a stage (FROM ... AS name) that uses the ARG"
            )));
        }
        let source = match from.parse::<usize>() {
            Ok(number) if number < self.stages.len() => Some(number),
            Ok(number) => return Err(at(format!("--from={number}: there is no such stage"))),
            Err(_) => self.stage_named(from),
        };
        match source {
            Some(source) if source < index => Ok(CopyOrigin::Stage(source)),
            Some(_) => Err(at(format!(
                "cannot copy from stage {from:?}, it needs to be defined before the current stage"
            ))),
            None => {
                Ok(CopyOrigin::Image(BaseKey { text: from.clone(), platform: parameters.platform.clone() }))
            }
        }
    }

    fn stage_named(&self, name: &str) -> Option<usize> {
        let name = name.to_lowercase();
        self.stages.iter().rposition(|stage| stage.name.as_deref() == Some(&name))
    }

    fn mounted_stages(&self, index: usize) -> Vec<usize> {
        let runs = self.stages[index].instructions.iter().filter_map(|located| match &located.instruction {
            Instruction::Run(run) => Some(run),
            _ => None,
        });
        runs.flat_map(|run| &run.flags)
            .flat_map(|flag| flag.split(['=', ',']).zip(flag.split(['=', ',']).skip(1)))
            .filter(|(name, _)| *name == "from")
            .filter_map(|(_, from)| from.parse::<usize>().ok().or_else(|| self.stage_named(from)))
            .filter(|&source| source < index)
            .collect()
    }

    fn target(&self, parameters: &Parameters) -> Result<usize, ParseError> {
        let last = self.stages.len() - 1;
        let Some(target) = &parameters.target else { return Ok(last) };
        let numbered = || target.parse::<usize>().ok().filter(|&number| number <= last);
        self.stage_named(target)
            .or_else(numbered)
            .ok_or_else(|| ParseError::new(1, format!("target stage {target:?} could not be found")))
    }

    fn base(
        &self,
        index: usize,
        stage: &Stage,
        globals: &Variables,
        parameters: &Parameters,
    ) -> Result<StageBase, ParseError> {
        let at = |message: String| ParseError::new(stage.line, message);
        let expander = Expander::new(self.escape);
        let text = expander.word(&stage.base, globals).map_err(at)?;
        if text.is_empty() {
            return Err(at(format!("base name ({}) should not be blank", stage.base)));
        }
        let platform = match &stage.platform {
            None => parameters.platform.clone(),
            Some(written) => {
                let word = expander.word(written, globals).map_err(at)?;
                platform(&word, &parameters.build_platform).map_err(at)?
            }
        };
        let earlier = &self.stages[..index];
        Ok(match earlier.iter().rposition(|earlier| earlier.name.as_deref() == Some(&text)) {
            Some(source) => StageBase::Stage(source),
            None if text == "scratch" => StageBase::Scratch,
            None => StageBase::Image(BaseKey { text, platform }),
        })
    }

    fn globals(&self, parameters: &Parameters) -> Result<Variables, ParseError> {
        let mut globals = platform_variables(parameters);
        let target = parameters.target.clone().or_else(|| self.stages.last().and_then(|s| s.name.clone()));
        globals.insert("TARGETSTAGE".to_owned(), target.unwrap_or_else(|| "default".to_owned()));
        for (name, value) in &mut globals {
            if let Some(given) = parameters.build_args.get(name) {
                value.clone_from(given);
            }
        }
        for (line, arguments) in &self.global_arguments {
            for argument in arguments {
                let value = match (parameters.build_args.get(&argument.name), &argument.default) {
                    (Some(given), _) => given.clone(),
                    (None, Some(default)) => Expander::new(self.escape)
                        .word(default, &globals)
                        .map_err(|message| ParseError::new(*line, message))?,
                    (None, None) => continue,
                };
                globals.insert(argument.name.clone(), value);
            }
        }
        Ok(globals)
    }
}

fn platform_variables(parameters: &Parameters) -> Variables {
    let mut variables = Variables::new();
    for (prefix, platform) in [("BUILD", &parameters.build_platform), ("TARGET", &parameters.platform)] {
        for (suffix, value) in [
            ("PLATFORM", platform.to_string()),
            ("OS", platform.os.clone()),
            ("OSVERSION", String::new()),
            ("ARCH", platform.architecture.clone()),
            ("VARIANT", platform.variant.clone().unwrap_or_default()),
        ] {
            variables.insert(format!("{prefix}{suffix}"), value);
        }
    }
    variables
}

/// Reads a platform; a bare architecture or system takes the rest from the build's platform.
fn platform(text: &str, build: &Platform) -> Result<Platform, String> {
    if text.is_empty() {
        return Err("empty platform value".to_owned());
    }
    let architecture = |name: &str| match name {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    };
    if !text.contains('/') {
        return Ok(match text {
            "linux" | "windows" | "darwin" | "freebsd" => Platform { os: text.to_owned(), ..build.clone() },
            _ => Platform { os: build.os.clone(), architecture: architecture(text), variant: None },
        });
    }
    let mut parsed: Platform = text.parse().map_err(|error| format!("failed to parse platform: {error}"))?;
    parsed.architecture = architecture(&parsed.architecture);
    Ok(parsed)
}

/// Whether the directive names Docker's own front-end of major version 1.
pub(crate) fn is_plain_syntax(image: &str) -> bool {
    let image = image.strip_prefix("docker.io/").unwrap_or(image);
    image
        .strip_prefix("docker/dockerfile:1")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '@']))
}

fn copies(stage: &Stage) -> impl Iterator<Item = (usize, &Copy)> {
    stage.instructions.iter().filter_map(|located| match &located.instruction {
        Instruction::Copy(copy) => Some((located.line, copy)),
        _ => None,
    })
}

fn requirement(line: usize, instruction: &Instruction, found: &mut Requirements) {
    let here = |what: String| Requirement { line, what };
    match instruction {
        Instruction::Run(run) => {
            found.needs_run.get_or_insert_with(|| here("RUN".to_owned()));
            if let Some(flag) = run.flags.first() {
                let name = flag.split_once('=').map_or(flag.as_str(), |(name, _)| name);
                found.needs_buildkit.get_or_insert_with(|| here(format!("RUN {name}")));
            } else if run.has_heredoc {
                found.needs_buildkit.get_or_insert_with(|| here("RUN with a heredoc".to_owned()));
            }
        }
        Instruction::Copy(copy) | Instruction::Add(copy) => {
            let keyword = instruction.keyword();
            if let Some(flag) = &copy.buildkit_flag {
                found.needs_buildkit.get_or_insert_with(|| here(format!("{keyword} {flag}")));
            }
            if !copy.documents.is_empty() {
                found.beyond_classic.get_or_insert_with(|| here(format!("{keyword} with a heredoc")));
            } else if copy.chmod.is_some() {
                found.beyond_classic.get_or_insert_with(|| here(format!("{keyword} --chmod")));
            }
        }
        _ => {}
    }
}
