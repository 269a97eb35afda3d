//! From bytes to logical lines: directives, comments, continuations, heredoc bodies.

use super::heredoc::{Heredoc, Opening};
use super::words::{Form, split_command};
use super::{MAX_DOCKERFILE_BYTES, ParseError, Syntax};

/// Longest single line, as BuildKit's scanner has it.
const MAX_LINE_BYTES: usize = 65_535;

/// One instruction with its continuation lines joined.
#[derive(Debug)]
pub(super) struct LogicalLine {
    pub(super) line: usize,
    pub(super) end_line: usize,
    pub(super) text: String,
    pub(super) heredocs: Vec<Heredoc>,
}

/// A file as logical lines.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) syntax: Option<Syntax>,
    pub(super) escape: char,
    pub(super) logical: Vec<LogicalLine>,
}

/// Splits a file into logical lines.
pub(super) fn read(bytes: &[u8]) -> Result<Lines, ParseError> {
    if bytes.len() > MAX_DOCKERFILE_BYTES {
        let message = format!("the Dockerfile is larger than max_dockerfile_bytes = {MAX_DOCKERFILE_BYTES}");
        return Err(ParseError::new(1, message));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].split(|&b| b == b'\n').count();
        ParseError::new(line, "the Dockerfile is not UTF-8 text")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        Reader { rest: text, line: 0, escape: '\\', syntax: None, seen: Vec::new(), directives_done: false };
    let mut lines = Vec::new();
    while let Some(line) = reader.logical_line()? {
        lines.push(line);
    }
    Ok(Lines { syntax: reader.syntax, escape: reader.escape, logical: lines })
}

struct Reader<'a> {
    rest: &'a str,
    /// Lines read so far.
    line: usize,
    escape: char,
    syntax: Option<Syntax>,
    seen: Vec<String>,
    directives_done: bool,
}

impl<'a> Reader<'a> {
    /// The next line with its line end.
    fn raw_line(&mut self) -> Result<Option<&'a str>, ParseError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let end = self.rest.find('\n').map_or(self.rest.len(), |end| end + 1);
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.line += 1;
        if line.len() > MAX_LINE_BYTES {
            return Err(ParseError::new(
                self.line,
                format!("the line is longer than {MAX_LINE_BYTES} bytes"),
            ));
        }
        Ok(Some(line))
    }

    fn logical_line(&mut self) -> Result<Option<LogicalLine>, ParseError> {
        while let Some(raw) = self.raw_line()? {
            let line = without_end(raw).trim_start();
            self.directive(line)?;
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            return self.starting_with(line).map(Some);
        }
        Ok(None)
    }

    fn starting_with(&mut self, first: &str) -> Result<LogicalLine, ParseError> {
        let start = self.line;
        let mut text = String::new();
        let mut continued = self.append(&mut text, first);
        while continued {
            let Some(raw) = self.raw_line()? else { break };
            let line = without_end(raw);
            let trimmed = line.trim_start();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            continued = self.append(&mut text, line);
        }
        let mut heredocs = Vec::new();
        if text.contains("<<") && self.may_hold_heredocs(&text) {
            for opening in Opening::all(&text) {
                heredocs.push(self.heredoc(opening, start)?);
            }
        }
        Ok(LogicalLine { line: start, end_line: self.line, text, heredocs })
    }

    /// Appends `line` without its continuation mark; says whether it had one.
    fn append(&self, text: &mut String, line: &str) -> bool {
        let trimmed = line.trim_end_matches([' ', '\t']);
        match trimmed.strip_suffix(self.escape) {
            Some(body) if !body.ends_with(self.escape) => {
                text.push_str(body);
                true
            }
            _ => {
                text.push_str(line);
                false
            }
        }
    }

    fn may_hold_heredocs(&self, text: &str) -> bool {
        let mut command = split_command(text, self.escape);
        if command.keyword == "ONBUILD" {
            command = split_command(&command.arguments, self.escape);
        }
        matches!(command.keyword.as_str(), "ADD" | "COPY" | "RUN")
            && !matches!(Form::read(&command.arguments), Ok(Form::Exec(_)))
    }

    fn heredoc(&mut self, opening: Opening, start: usize) -> Result<Heredoc, ParseError> {
        let mut content = String::new();
        while let Some(raw) = self.raw_line()? {
            if opening.is_closed_by(raw.trim_end_matches(['\r', '\n'])) {
                return Ok(Heredoc { opening, content });
            }
            content.push_str(raw);
        }
        Err(ParseError::new(start, format!("the heredoc <<{} is not closed", opening.name)))
    }

    /// Takes in a parser directive; they stand before anything else.
    fn directive(&mut self, line: &str) -> Result<(), ParseError> {
        if self.directives_done {
            return Ok(());
        }
        let Some((name, value)) = directive(line) else {
            self.directives_done = true;
            return Ok(());
        };
        if self.seen.contains(&name) {
            let message = format!("only one {name} parser directive can be used");
            return Err(ParseError::new(self.line, message));
        }
        match name.as_str() {
            "escape" => {
                self.escape = match value {
                    "\\" => '\\',
                    "`" => '`',
                    _ => {
                        let message = format!("invalid escape token {value:?}: it must be \\ or `");
                        return Err(ParseError::new(self.line, message));
                    }
                }
            }
            "syntax" => {
                let image = value.split(' ').next().unwrap_or(value).to_owned();
                self.syntax = Some(Syntax { line: self.line, image });
            }
            _ => {}
        }
        self.seen.push(name);
        Ok(())
    }
}

fn directive(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.strip_prefix('#')?.trim_start().split_once('=')?;
    let name = name.trim_end().to_ascii_lowercase();
    let value = value.trim();
    (!value.is_empty() && matches!(name.as_str(), "syntax" | "escape" | "check")).then_some((name, value))
}

fn without_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}
