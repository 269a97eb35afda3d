//! YAML files that people hand to commands.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use slipway_yaml::{Node, Position, YamlOptions};

use crate::client::Usage;

/// Takes the place of a file's name: read standard input.
const STANDARD_INPUT: &str = "-";

/// One YAML document with the name of its file.
#[derive(Debug)]
pub(crate) struct Document {
    name: String,
    /// What stands in it.
    pub root: Node,
}

/// Reads a text file, or standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<String> {
    let max_bytes = YamlOptions::default().max_bytes;
    let name = path.display();
    let mut text = String::new();
    let input: Box<dyn Read> = if path == Path::new(STANDARD_INPUT) {
        Box::new(std::io::stdin())
    } else {
        let file = std::fs::File::open(path);
        Box::new(file.map_err(|error| Usage(format!("cannot read {name}: {error}")))?)
    };
    input
        .take(max_bytes as u64 + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {name}"))?;
    if text.len() > max_bytes {
        bail!(Usage(format!("{name} is longer than {max_bytes} bytes: is it the right file?")));
    }
    Ok(text)
}

impl Document {
    /// Reads and parses a file, or standard input for `-`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let text = read(path)?;
        let name = if path == Path::new(STANDARD_INPUT) {
            "standard input".into()
        } else {
            path.display().to_string()
        };
        Self::parse(&name, &text)
    }

    /// Parses the text of the file `name`.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self> {
        let name = name.to_owned();
        match slipway_yaml::read(text.as_bytes(), &YamlOptions::default()) {
            Ok(mut documents) => match (documents.pop(), documents.is_empty()) {
                (Some(root), true) => Ok(Self { name, root }),
                (None, _) => bail!(Usage(format!("{name} is empty"))),
                (Some(_), false) => bail!(Usage(format!("{name} holds several documents: give one"))),
            },
            Err(errors) => {
                let lines = errors.iter().map(|error| {
                    let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                    format!("{name}{}: {}{hint}", shown(error.at), error.message)
                });
                bail!(Usage(lines.collect::<Vec<_>>().join("\n")))
            }
        }
    }

    /// A mistake at a place of the file.
    pub(crate) fn mistake(&self, at: Position, message: &str) -> String {
        format!("{}{}: {message}", self.name, shown(at))
    }
}

fn shown(at: Position) -> String {
    format!(":{}:{}", at.line, at.column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_have_their_place() {
        let parse = |text: &str| Document::parse("a.yaml", text).unwrap_err().to_string();
        assert_eq!(parse("a: 1\na: 2\n"), "a.yaml:2:1: the key `a` stands twice");
        assert_eq!(parse("a: 1\n---\nb: 2\n"), "a.yaml holds several documents: give one");
        assert_eq!(parse(""), "a.yaml is empty");
        assert!(Document::parse("a.yaml", "a: {b: [1]}").is_ok());
    }

    #[test]
    fn a_file_that_is_not_there_is_wrong_usage() {
        let error = Document::open(Path::new("/does/not/exist")).unwrap_err();
        assert_eq!(crate::client::exit_code(&error), 2, "{error:#}");
    }
}
