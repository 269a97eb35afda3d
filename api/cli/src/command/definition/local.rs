//! Definitions on this machine: written, tested and tried without a server.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use slipway_definitions::{
    Definition, DefinitionKind, Folder, FolderError, FolderOptions, context_faults, scaffold,
    test_definition, try_definition,
};
use slipway_plugins::{Host, PluginOptions, Session};
use slipway_types::Violation;
use slipway_types::name::DefinitionName;

use crate::client::Usage;
use crate::command::document::Document;
use crate::command::{Exit, Global};
use crate::output::{data, json as print_json, one_line, say, violation};

/// Writes the files of a new definition.
pub(super) fn new(
    kind: DefinitionKind,
    name: &DefinitionName,
    directory: Option<PathBuf>,
    global: &Global,
) -> Result<()> {
    let directory = directory.unwrap_or_else(|| PathBuf::from(name.as_str()));
    let shown = directory.display();
    if directory.read_dir().is_ok_and(|mut files| files.next().is_some()) || directory.is_file() {
        bail!(Usage(format!("{shown} is there already: name another directory with --dir")));
    }
    let files = scaffold(kind, name);
    for (path, contents) in &files {
        let path = directory.join(path);
        let parent = path.parent().unwrap_or(&directory);
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let written: Vec<&String> = files.keys().collect();
    global.tell(
        &json!({"directory": directory, "files": written}),
        format!("Wrote a {} into {shown}.", kind.noun()),
    );
    say(format!("Next: slipway definition test {shown}"));
    Ok(())
}

/// A definition, or what is wrong with its files.
pub(super) fn load(directory: &Path) -> Result<Result<Arc<Definition>, Vec<Violation>>> {
    let folder = match Folder::read(directory, &FolderOptions::default()) {
        Ok(folder) => folder,
        Err(FolderError::Violations(found)) => return Ok(Err(found)),
        Err(error @ FolderError::Io { .. }) => bail!(Usage(error.to_string())),
    };
    Ok(Definition::load(folder).map(Arc::new))
}

/// This program is its own plug-in host.
pub(super) fn host() -> Host {
    let command = vec!["/proc/self/exe".into(), crate::PLUGIN_HOST.into()];
    Host::new(command, PluginOptions::default())
}

async fn session() -> Result<Session> {
    host().session().await.context("cannot start the plug-in host")
}

pub(super) fn refused(found: &[Violation], global: &Global) -> Exit {
    if global.json() {
        print_json(&json!({"violations": found}));
    } else {
        for line in found.iter().flat_map(violation) {
            data(line);
        }
    }
    Exit(1)
}

/// Runs the examples.
pub(super) async fn test(directory: &Path, global: &Global) -> Result<Exit> {
    let definition = match load(directory)? {
        Ok(definition) => definition,
        Err(found) => return Ok(refused(&found, global)),
    };
    let report = match test_definition(&mut session().await?, &definition).await? {
        Ok(report) => report,
        Err(found) => return Ok(refused(&found, global)),
    };
    if global.json() {
        print_json(&serde_json::to_value(&report)?);
    } else {
        for example in &report.examples {
            data(format!(
                "{} {}",
                if example.differences.is_empty() { "passed" } else { "FAILED" },
                example.name
            ));
            example.differences.iter().for_each(|line| data(format!("    {line}")));
            example.talk.iter().for_each(|line| data(format!("    printed: {}", one_line(line))));
        }
        let failed = report.examples.iter().filter(|example| !example.differences.is_empty()).count();
        match report.examples.len() {
            0 => say("There is no example: write one into examples/NAME.yaml."),
            all => say(format!("{}: {} of {all} examples passed", report.definition, all - failed)),
        }
    }
    Ok(if report.passed() { Exit::OK } else { Exit(1) })
}

/// Shows what it returns.
pub(super) async fn attempt(
    directory: &Path,
    properties: Option<&Path>,
    context: Option<&Path>,
    global: &Global,
) -> Result<Exit> {
    let given = |file: Option<&Path>, none: Value| -> Result<Value> {
        Ok(file.map(Document::open).transpose()?.map_or(none, |document| document.root.to_json()))
    };
    let (properties, context) = (given(properties, json!({}))?, given(context, Value::Null)?);
    let definition = match load(directory)? {
        Ok(definition) => definition,
        Err(found) => return Ok(refused(&found, global)),
    };
    // Whoever calls gave it, not the definition's author.
    if let Some(fault) = context_faults(&definition, &context).first() {
        let hint = fault.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        bail!(Usage(format!("--context: {fault}{hint}")));
    }
    let trial = try_definition(&mut session().await?, &definition, &properties, &context).await?;
    let is_refused = !trial.violations.is_empty();
    if global.json() {
        print_json(&json!({"returned": trial.returned, "talk": trial.talk, "violations": trial.violations}));
    } else {
        for line in &trial.talk {
            say(format!("printed: {}", one_line(line)));
        }
        if let Some(returned) = &trial.returned {
            data(serde_json::to_string_pretty(returned)?);
        }
        for line in trial.violations.iter().flat_map(violation) {
            say(line);
        }
    }
    Ok(if is_refused { Exit(1) } else { Exit::OK })
}
