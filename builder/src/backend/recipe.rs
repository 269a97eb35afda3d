//! The Dockerfile as an engine gets it: every image by a name that cannot move, every stage that the
//! target does not need taken out, where it is wished a label on every stage.

use std::collections::BTreeMap;

use slipway_git::Snapshot;
use slipway_network::Network;
use slipway_types::Fault;

use super::assemble::join;
use crate::dockerfile::{
    BaseKey, CopyOrigin, Dockerfile, Instruction, MAX_DOCKERFILE_BYTES, Parameters, ParseError, StageBase,
    StagePlan,
};

/// The largest `.dockerignore`, in bytes.
const DOCKERIGNORE_BYTES_MAX: u64 = 1 << 20;

/// A Dockerfile as it is in the commit.
pub(super) struct Recipe {
    /// Its path from the repository's root.
    path: String,
    text: String,
    pub(super) dockerfile: Dockerfile,
    /// Content of `<Dockerfile>.dockerignore`, which wins over the context's own.
    pub(super) dockerignore: Option<Vec<u8>>,
}

/// A Dockerfile as an engine gets it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) text: String,
    pub(super) parameters: Parameters,
    /// Line and first line's text of each of the engine's steps.
    steps: Vec<(usize, String)>,
    /// Build arguments, those that BuildKit gives without being asked among them.
    pub(super) arguments: BTreeMap<String, String>,
}

impl Recipe {
    pub(super) async fn read(
        snapshot: Snapshot,
        context: &str,
        dockerfile: &str,
    ) -> Result<(Self, Snapshot), Fault> {
        let path = join(context, dockerfile);
        let read = move || {
            let resolved = snapshot.resolve(&path).map_err(|error| error.fault())?;
            let limit = MAX_DOCKERFILE_BYTES as u64;
            let bytes = snapshot.read_blob(&resolved.entry.id, limit).map_err(|error| error.fault())?;
            let beside = format!("{path}.dockerignore");
            let dockerignore = match snapshot.entry(&beside).map_err(|error| error.fault())? {
                Some(_) => {
                    Some(snapshot.read_file(&beside, DOCKERIGNORE_BYTES_MAX).map_err(|error| error.fault())?)
                }
                None => None,
            };
            Ok((Self::parse(path, &bytes, dockerignore)?, snapshot))
        };
        tokio::task::spawn_blocking(read).await.map_err(|error| {
            Fault::bug("dockerfile", format!("reading the Dockerfile ended badly: {error}"))
        })?
    }

    fn parse(path: String, bytes: &[u8], dockerignore: Option<Vec<u8>>) -> Result<Self, Fault> {
        let dockerfile = Dockerfile::parse(bytes).map_err(|error| invalid(&path, &error))?;
        let text = String::from_utf8_lossy(bytes).into_owned();
        Ok(Self { path, text, dockerfile, dockerignore })
    }

    /// Refuses what the classic builder would misread.
    pub(super) fn check(&self, parameters: &Parameters) -> Result<(), Fault> {
        let found = self.dockerfile.requirements(parameters).map_err(|error| self.invalid(&error))?;
        let Some(needed) = found.needs_buildkit.or(found.beyond_classic) else { return Ok(()) };
        let message = format!("{}:{}: {} needs BuildKit", self.path, needed.line, needed.what);
        Err(Fault::permanent("needs_buildkit", message)
            .hint("The Docker back-end uses the engine's classic builder, which cannot do this."))
    }

    pub(super) fn invalid(&self, error: &ParseError) -> Fault {
        invalid(&self.path, error)
    }

    /// `names`: what the engine calls each image. `label`: `key=value` for every stage.
    pub(super) fn prepare(
        &self,
        parameters: Parameters,
        names: &BTreeMap<BaseKey, String>,
        label: Option<&str>,
    ) -> Result<Prepared, Fault> {
        let plan = self.dockerfile.plan(&parameters).map_err(|error| self.invalid(&error))?;
        let mut lines: Vec<Vec<String>> = self.text.lines().map(|line| vec![line.to_owned()]).collect();
        for index in 0..self.dockerfile.stages.len() {
            self.prepare_stage(index, &plan, &mut lines, names, label);
            if plan.reachable.contains(&index) {
                self.prepare_copies(index, &parameters, &mut lines, names)?;
            }
        }
        let origins: Vec<usize> =
            lines.iter().enumerate().flat_map(|(at, lines)| lines.iter().map(move |_| at + 1)).collect();
        let text = lines.concat().join("\n") + "\n";
        let steps = self.steps(&text, &origins)?;
        let arguments = self.arguments(&parameters);
        Ok(Prepared { text, parameters, steps, arguments })
    }

    fn prepare_stage(
        &self,
        index: usize,
        plan: &StagePlan,
        lines: &mut [Vec<String>],
        names: &BTreeMap<BaseKey, String>,
        label: Option<&str>,
    ) {
        let stage = &self.dockerfile.stages[index];
        let end = self.dockerfile.stages.get(index + 1).map_or(lines.len(), |next| next.line - 1);
        let reachable = plan.reachable.contains(&index);
        let from_end = match stage.instructions.first() {
            Some(first) if reachable => first.line - 1,
            _ => end,
        };
        let (base, labelled) = match &plan.bases[index] {
            // Nothing asks for it, but the stages behind it are counted.
            _ if !reachable => ("scratch", false),
            StageBase::Scratch => ("scratch", true),
            StageBase::Stage(source) => {
                (self.dockerfile.stages[*source].name.as_deref().unwrap_or_default(), false)
            }
            StageBase::Image(key) => (names.get(key).map_or(key.text.as_str(), String::as_str), true),
        };
        let mut from = format!("FROM {base}");
        if let Some(name) = &stage.name {
            from.push_str(" AS ");
            from.push_str(name);
        }
        for line in &mut lines[stage.line - 1..from_end] {
            *line = vec![String::new()];
        }
        lines[stage.line - 1] = match label {
            Some(label) if labelled => vec![from, format!("LABEL {label}")],
            _ => vec![from],
        };
    }

    fn prepare_copies(
        &self,
        index: usize,
        parameters: &Parameters,
        lines: &mut [Vec<String>],
        names: &BTreeMap<BaseKey, String>,
    ) -> Result<(), Fault> {
        for located in &self.dockerfile.stages[index].instructions {
            let Instruction::Copy(copy) = &located.instruction else { continue };
            let origin = self.dockerfile.copy_origin(copy, index, located.line, parameters);
            let CopyOrigin::Image(key) = origin.map_err(|error| self.invalid(&error))? else { continue };
            let (Some(name), Some(from)) = (names.get(&key), &copy.from) else { continue };
            let written = format!("--from={from}");
            let holder = lines[located.line - 1..located.end_line]
                .iter_mut()
                .flatten()
                .find(|line| line.contains(&written));
            let Some(line) = holder else {
                let message = format!("{}:{}: write {written} without quotes", self.path, located.line);
                return Err(Fault::permanent("dockerfile", message));
            };
            *line = line.replacen(&written, &format!("--from={name}"), 1);
        }
        Ok(())
    }

    /// The engine counts every instruction, arguments before the first stage too.
    fn steps(&self, text: &str, origins: &[usize]) -> Result<Vec<(usize, String)>, Fault> {
        let sent = Dockerfile::parse(text.as_bytes()).map_err(|error| {
            Fault::bug(
                "dockerfile_rewrite",
                format!("{}: it reads differently once rewritten: {error}", self.path),
            )
        })?;
        let mut lines: Vec<usize> = sent.global_arguments.iter().map(|(line, _)| *line).collect();
        for stage in &sent.stages {
            lines.push(stage.line);
            lines.extend(stage.instructions.iter().map(|located| located.line));
        }
        let original: Vec<&str> = self.text.lines().collect();
        Ok(lines
            .into_iter()
            .map(|line| origins.get(line - 1).copied().unwrap_or(line))
            .map(|line| {
                (line, original.get(line - 1).map_or_else(String::new, |text| text.trim().to_owned()))
            })
            .collect())
    }

    /// The declared arguments, with those that BuildKit gives without being asked.
    fn arguments(&self, parameters: &Parameters) -> BTreeMap<String, String> {
        let stages = self.dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
        let inside = stages.filter_map(|located| match &located.instruction {
            Instruction::Arg(arguments) => Some(arguments),
            _ => None,
        });
        let declared = inside.chain(self.dockerfile.global_arguments.iter().map(|(_, arguments)| arguments));
        let mut values = BTreeMap::new();
        for argument in declared.flatten() {
            if let Some(value) = platform_argument(&argument.name, parameters) {
                values.insert(argument.name.clone(), value);
            }
        }
        values.extend(parameters.build_args.clone());
        values
    }
}

impl Prepared {
    /// Tells commands of the proxy by the arguments that every engine knows undeclared and keeps out of
    /// image and history (Dockerfile reference, "Predefined ARGs"). What the component sets itself stays.
    pub(super) fn with_proxy(mut self, network: &Network) -> Self {
        let own: Vec<String> = self.arguments.keys().map(|name| name.to_ascii_lowercase()).collect();
        let variables = network.build_variables().into_iter();
        self.arguments.extend(variables.filter(|(name, _)| !own.contains(&name.to_ascii_lowercase())));
        self
    }

    /// Where the engine stood at its step, counted from 1: `Dockerfile:3: RUN make`.
    pub(super) fn place(&self, dockerfile: &str, step: Option<usize>) -> String {
        let found = step.and_then(|step| self.steps.get(step.checked_sub(1)?));
        let Some((line, text)) = found else { return dockerfile.to_owned() };
        let cut: String = text.chars().take(200).collect();
        format!("{dockerfile}:{line}: {cut}")
    }
}

fn invalid(path: &str, error: &ParseError) -> Fault {
    let column = error.column.map_or(String::new(), |column| format!(":{column}"));
    Fault::permanent("dockerfile", format!("{path}:{}{column}: {}", error.line, error.message))
}

fn platform_argument(name: &str, parameters: &Parameters) -> Option<String> {
    let (platform, part) = match name.strip_prefix("TARGET") {
        Some(part) => (&parameters.platform, part),
        None => (&parameters.build_platform, name.strip_prefix("BUILD")?),
    };
    match part {
        "PLATFORM" => Some(platform.to_string()),
        "OS" => Some(platform.os.clone()),
        "ARCH" => Some(platform.architecture.clone()),
        "VARIANT" => Some(platform.variant.clone().unwrap_or_default()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "ARG BASE=x.y/base:1\nFROM ${BASE} \\\n  AS Build\nRUN make\n\nFROM x.y/unused:2 AS unused\nRUN false\nCOPY a b\n\
                           FROM --platform=$BUILDPLATFORM build AS late\nARG TARGETARCH\nFROM scratch\nCOPY --from=build /a /a\nCOPY \\\n  --from=x.y/tools:3 /t /t\n";

    fn key(text: &str) -> BaseKey {
        BaseKey { text: text.to_owned(), platform: slipway_types::Platform::default() }
    }

    fn prepared(parameters: Parameters) -> Prepared {
        let recipe = Recipe::parse("Dockerfile".into(), WRITTEN.as_bytes(), None).unwrap();
        let names = [(key("x.y/base:1"), "l/b:1".to_owned()), (key("x.y/tools:3"), "l/t:3".to_owned())];
        recipe.prepare(parameters, &names.into(), Some("who=me")).unwrap()
    }

    #[test]
    fn images_are_pinned_and_needless_stages_taken_out() {
        let sent = prepared(Parameters::default());
        assert_eq!(
            sent.text,
            "ARG BASE=x.y/base:1\nFROM l/b:1 AS build\nLABEL who=me\n\nRUN make\n\nFROM scratch AS unused\n\n\n\
             FROM scratch AS late\n\nFROM scratch\nLABEL who=me\nCOPY --from=build /a /a\nCOPY \\\n  --from=l/t:3 /t /t\n"
        );
        assert_eq!(sent.arguments["TARGETARCH"], "amd64");
    }

    #[test]
    fn a_step_of_the_engine_is_a_line_of_the_author() {
        let sent = prepared(Parameters { target: Some("late".into()), ..Parameters::default() });
        assert!(sent.text.contains("FROM build AS late\nARG TARGETARCH\n"), "{}", sent.text);
        assert_eq!(sent.place("D", Some(1)), "D:1: ARG BASE=x.y/base:1");
        assert_eq!(sent.place("D", Some(2)), "D:2: FROM ${BASE} \\");
        assert_eq!(sent.place("D", Some(4)), "D:4: RUN make");
        assert_eq!(sent.place("D", Some(7)), "D:10: ARG TARGETARCH");
        assert_eq!(sent.place("D", Some(99)), "D");
    }

    #[test]
    fn what_only_buildkit_reads_is_refused_with_its_line() {
        for (text, what) in [
            ("FROM scratch\nRUN --mount=type=cache,target=/x true", "RUN --mount"),
            ("FROM scratch\nCOPY --chmod=0755 a b", "COPY --chmod"),
            ("FROM scratch\nCOPY <<X /x\nhi\nX", "COPY with a heredoc"),
        ] {
            let recipe = Recipe::parse("d/Dockerfile".into(), text.as_bytes(), None).unwrap();
            let fault = recipe.check(&Parameters::default()).unwrap_err();
            assert_eq!(fault.message, format!("d/Dockerfile:2: {what} needs BuildKit"));
        }
    }
}
