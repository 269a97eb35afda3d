//! From logical lines to instructions.

use super::heredoc::Heredoc;
use super::heredoc::Opening;
use super::instruction::{
    Argument, CommandLine, Copy, Document, Healthcheck, Instruction, Located, Onbuild, Pair, Run, Stage,
};
use super::lines::{self, LogicalLine};
use super::words::{Command, Form, plain_words, quoted_words, split_command};
use super::{Dockerfile, ParseError, duration};

/// Reads a whole file.
pub(super) fn dockerfile(bytes: &[u8]) -> Result<Dockerfile, ParseError> {
    let read = lines::read(bytes)?;
    let escape = read.escape;
    let mut global_arguments = Vec::new();
    let mut stages: Vec<Stage> = Vec::new();
    for logical in &read.logical {
        let at = |message: String| ParseError::new(logical.line, message);
        let command = split_command(&logical.text, escape);
        if command.keyword == "FROM" {
            stages.push(from(&command, logical.line).map_err(at)?);
            continue;
        }
        let instruction = instruction(&command, logical, escape, &logical.text).map_err(at)?;
        match (stages.last_mut(), instruction) {
            (Some(stage), instruction) => stage.instructions.push(Located {
                line: logical.line,
                end_line: logical.end_line,
                instruction,
            }),
            (None, Instruction::Arg(arguments)) => global_arguments.push((logical.line, arguments)),
            (None, other) => {
                return Err(at(format!(
                    "no build stage in current context: {} before FROM",
                    other.keyword()
                )));
            }
        }
    }
    if stages.is_empty() {
        return Err(ParseError::new(1, "the Dockerfile has no FROM: there is no stage to build"));
    }
    Ok(Dockerfile { syntax: read.syntax, escape, global_arguments, stages })
}

/// Reads an `ONBUILD` trigger as a base image's configuration stores it.
pub(crate) fn trigger(text: &str, line: usize) -> Result<Located, ParseError> {
    let at = |message: String| ParseError::new(line, format!("ONBUILD trigger of the base: {message}"));
    let read = lines::read(text.as_bytes()).map_err(|error| at(error.message))?;
    let [logical] = read.logical.as_slice() else {
        return Err(at(format!("{text:?} is not one instruction")));
    };
    let command = split_command(&logical.text, read.escape);
    let instruction = instruction(&command, logical, read.escape, &logical.text).map_err(at)?;
    Ok(Located { line, end_line: line, instruction })
}

fn from(command: &Command, line: usize) -> Result<Stage, String> {
    let mut flags = Flags::new(&command.flags);
    let platform = flags.take("platform")?;
    flags.finish("FROM")?;
    let words = plain_words(&command.arguments);
    let name = match words.as_slice() {
        [_] => None,
        [_, keyword, name] if keyword.eq_ignore_ascii_case("as") => Some(stage_name(name)?),
        _ => return Err("FROM requires either one or three arguments".into()),
    };
    Ok(Stage { line, base: words[0].clone(), platform, name, instructions: Vec::new() })
}

fn stage_name(name: &str) -> Result<String, String> {
    let lower = name.to_lowercase();
    let valid = lower.starts_with(|c: char| c.is_ascii_lowercase())
        && lower.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
    if valid {
        return Ok(lower);
    }
    Err(format!("invalid name for build stage: {name:?}, name can't start with a number or contain symbols"))
}

fn instruction(
    command: &Command,
    logical: &LogicalLine,
    escape: char,
    original: &str,
) -> Result<Instruction, String> {
    let keyword = command.keyword.as_str();
    let text = &command.arguments;
    match keyword {
        "COPY" | "ADD" | "RUN" | "HEALTHCHECK" => {}
        _ => Flags::new(&command.flags).finish(keyword)?,
    }
    Ok(match keyword {
        "ADD" => Instruction::Add(copy(command, &logical.heredocs)?),
        "COPY" => Instruction::Copy(copy(command, &logical.heredocs)?),
        "ARG" => Instruction::Arg(arguments(text, escape)?),
        "CMD" => Instruction::Cmd(command_line(text)?),
        "ENTRYPOINT" => Instruction::Entrypoint(command_line(text)?),
        "ENV" => Instruction::Env(pairs(text, "ENV", escape)?),
        "LABEL" => Instruction::Label(pairs(text, "LABEL", escape)?),
        "EXPOSE" => {
            let mut ports = at_least_one(plain_words(text), keyword)?;
            ports.sort();
            Instruction::Expose(ports)
        }
        "HEALTHCHECK" => Instruction::Healthcheck(healthcheck(command)?),
        "MAINTAINER" => Instruction::Maintainer(exactly_one(text, keyword)?),
        "ONBUILD" => Instruction::Onbuild(onbuild(text, logical, escape, original)?),
        "RUN" => Instruction::Run(run(command, &logical.heredocs)?),
        "SHELL" => match Form::read(text)? {
            Form::Exec(words) => Instruction::Shell(at_least_one(words, keyword)?),
            Form::Shell(_) => return Err("SHELL requires the arguments to be in JSON form".into()),
        },
        "STOPSIGNAL" => Instruction::StopSignal(exactly_one(text, keyword)?),
        "USER" => Instruction::User(exactly_one(text, keyword)?),
        "VOLUME" => {
            let volumes = at_least_one(Form::list(text)?, keyword)?;
            let volumes: Vec<String> = volumes.iter().map(|v| v.trim().to_owned()).collect();
            if volumes.iter().any(String::is_empty) {
                return Err("VOLUME specified can not be an empty string".into());
            }
            Instruction::Volume(volumes)
        }
        "WORKDIR" => Instruction::Workdir(exactly_one(text, keyword)?),
        _ => return Err(format!("unknown instruction: {}", command.keyword)),
    })
}

fn at_least_one(words: Vec<String>, keyword: &str) -> Result<Vec<String>, String> {
    if words.is_empty() {
        return Err(format!("{keyword} requires at least one argument"));
    }
    Ok(words)
}

fn exactly_one(text: &str, keyword: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err(format!("{keyword} requires exactly one argument"));
    }
    Ok(text.to_owned())
}

fn command_line(text: &str) -> Result<CommandLine, String> {
    Ok(match Form::read(text)? {
        Form::Exec(words) => CommandLine::Exec(words),
        Form::Shell(text) => CommandLine::Shell(text),
    })
}

fn arguments(text: &str, escape: char) -> Result<Vec<Argument>, String> {
    at_least_one(quoted_words(text, escape), "ARG")?
        .into_iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => Err("ARG names can not be blank".to_owned()),
            Some((name, default)) => {
                Ok(Argument { name: name.to_owned(), default: Some(default.to_owned()) })
            }
            None => Ok(Argument { name: word, default: None }),
        })
        .collect()
}

fn pairs(text: &str, keyword: &str, escape: char) -> Result<Vec<Pair>, String> {
    let words = at_least_one(quoted_words(text, escape), keyword)?;
    if !words[0].contains('=') {
        // The old form: one name, a blank, and all the rest is the value.
        let (name, value) = text
            .split_once([' ', '\t', '\u{b}', '\u{c}', '\r'])
            .ok_or_else(|| format!("{keyword} must have two arguments"))?;
        let value = value.trim_start_matches([' ', '\t', '\u{b}', '\u{c}', '\r']);
        return Ok(vec![Pair { name: name.to_owned(), value: value.to_owned() }]);
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            None => Err(format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value")),
            Some(("", _)) => Err(format!("{keyword} names can not be blank")),
            Some((name, value)) => Ok(Pair { name: name.to_owned(), value: value.to_owned() }),
        })
        .collect()
}

fn copy(command: &Command, heredocs: &[Heredoc]) -> Result<Copy, String> {
    let keyword = command.keyword.as_str();
    let mut flags = Flags::new(&command.flags);
    let mut copy = Copy { chown: flags.take("chown")?, chmod: flags.take("chmod")?, ..Copy::default() };
    let only_buildkit: &[&str] = if keyword == "COPY" {
        copy.from = flags.take("from")?.filter(|from| !from.is_empty());
        &["link", "parents", "exclude"]
    } else {
        &["link", "keep-git-dir", "checksum", "unpack", "exclude"]
    };
    copy.buildkit_flag = flags.take_any(only_buildkit);
    flags.finish(keyword)?;
    let mut words = Form::list(&command.arguments)?;
    if words.len() < 2 {
        return Err(format!(
            "{keyword} requires at least two arguments, but only {} provided. Destination could not be determined",
            if words.is_empty() { "none were" } else { "one was" }
        ));
    }
    copy.destination = words.pop().unwrap_or_default();
    if Opening::parse(&copy.destination).is_some() {
        return Err(format!("{keyword} cannot accept a heredoc as a destination"));
    }
    for word in words {
        let Some(opening) = Opening::parse(&word) else {
            copy.sources.push(word);
            continue;
        };
        let content = heredocs.iter().rev().find(|heredoc| heredoc.opening.name == opening.name);
        copy.documents.push(Document {
            content: content.map(Heredoc::text).unwrap_or_default(),
            name: opening.name,
            expand: opening.expand,
        });
    }
    Ok(copy)
}

fn run(command: &Command, heredocs: &[Heredoc]) -> Result<Run, String> {
    let known = ["--mount", "--network", "--security", "--device"];
    for flag in &command.flags {
        let name = flag.split_once('=').map_or(flag.as_str(), |(name, _)| name);
        if !known.contains(&name) {
            return Err(format!("unknown flag: {name}"));
        }
    }
    Ok(Run {
        flags: command.flags.clone(),
        command: command_line(&command.arguments)?,
        has_heredoc: !heredocs.is_empty(),
    })
}

fn healthcheck(command: &Command) -> Result<Healthcheck, String> {
    let text = &command.arguments;
    let (kind, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    if kind.is_empty() {
        return Err("HEALTHCHECK requires at least one argument".into());
    }
    let rest = rest.trim_start();
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if rest.is_empty() => {
            Ok(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() })
        }
        "NONE" => Err("HEALTHCHECK NONE takes no arguments".into()),
        "CMD" => {
            let mut flags = Flags::new(&command.flags);
            let mut check = Healthcheck {
                interval: interval(&mut flags, "interval")?,
                timeout: interval(&mut flags, "timeout")?,
                start_period: interval(&mut flags, "start-period")?,
                start_interval: interval(&mut flags, "start-interval")?,
                ..Healthcheck::default()
            };
            if let Some(retries) = flags.take("retries")?.filter(|retries| !retries.is_empty()) {
                let parsed = retries.parse::<u32>().ok().filter(|&n| i32::try_from(n).is_ok());
                check.retries = parsed
                    .ok_or_else(|| format!("--retries must be a number that is not negative: {retries}"))?;
            }
            flags.finish("HEALTHCHECK")?;
            check.test = match Form::read(rest)? {
                Form::Exec(words) if !words.is_empty() => {
                    std::iter::once("CMD".to_owned()).chain(words).collect()
                }
                Form::Shell(text) if !text.is_empty() => vec!["CMD-SHELL".to_owned(), text],
                _ => return Err("Missing command after HEALTHCHECK CMD".into()),
            };
            Ok(check)
        }
        _ => Err(format!("Unknown type {kind:?} in HEALTHCHECK (try CMD)")),
    }
}

fn interval(flags: &mut Flags, name: &str) -> Result<u64, String> {
    let Some(text) = flags.take(name)?.filter(|text| !text.is_empty()) else { return Ok(0) };
    let nanos = duration::parse(&text)?;
    if (1..1_000_000).contains(&nanos) {
        return Err(format!("Interval {name:?} cannot be less than 1ms"));
    }
    Ok(nanos)
}

fn onbuild(text: &str, logical: &LogicalLine, escape: char, original: &str) -> Result<Onbuild, String> {
    if text.is_empty() {
        return Err("ONBUILD requires at least one argument".into());
    }
    let command = split_command(text, escape);
    match command.keyword.as_str() {
        "ONBUILD" => return Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".into()),
        keyword @ ("MAINTAINER" | "FROM") => {
            return Err(format!("{keyword} isn't allowed as an ONBUILD trigger"));
        }
        _ => {}
    }
    let inner = instruction(&command, logical, escape, text)?;
    let stripped = original.trim_start();
    let mut stored = stripped.get("ONBUILD".len()..).unwrap_or_default().trim_start().to_owned();
    for heredoc in &logical.heredocs {
        stored.push('\n');
        stored.push_str(&heredoc.content);
        stored.push_str(&heredoc.opening.name);
    }
    Ok(Onbuild { text: stored, keyword: command.keyword, instruction: Box::new(inner) })
}

/// The `--name=value` words of one instruction.
struct Flags {
    left: Vec<(String, Option<String>)>,
}

impl Flags {
    fn new(words: &[String]) -> Self {
        let split = |word: &String| match word.split_once('=') {
            Some((name, value)) => (name[2..].to_owned(), Some(value.to_owned())),
            None => (word[2..].to_owned(), None),
        };
        Self { left: words.iter().filter(|word| word.starts_with("--")).map(split).collect() }
    }

    fn take(&mut self, name: &str) -> Result<Option<String>, String> {
        let Some(at) = self.left.iter().position(|(flag, _)| flag == name) else { return Ok(None) };
        let (_, value) = self.left.remove(at);
        if self.left.iter().any(|(flag, _)| flag == name) {
            return Err(format!("duplicate flag specified: --{name}"));
        }
        value.map(Some).ok_or_else(|| format!("missing a value on flag: --{name}"))
    }

    /// Takes all flags of `names`, and returns the first that is set.
    fn take_any(&mut self, names: &[&str]) -> Option<String> {
        let is_off = |value: &Option<String>| value.as_deref() == Some("false");
        let is_named = |name: &String| names.contains(&name.as_str());
        let first = self.left.iter().find(|(name, value)| is_named(name) && !is_off(value));
        let first = first.map(|(name, _)| format!("--{name}"));
        self.left.retain(|(name, _)| !is_named(name));
        first
    }

    fn finish(self, keyword: &str) -> Result<(), String> {
        match self.left.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("unknown flag: --{name} ({keyword})")),
        }
    }
}
