//! From a logical line to keyword, flags and arguments.

/// An instruction split into its parts; nothing is expanded yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// Upper case.
    pub(super) keyword: String,
    /// `--name=value` words before the arguments.
    pub(super) flags: Vec<String>,
    /// What follows, trimmed.
    pub(super) arguments: String,
}

/// How a command line is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// A JSON array of strings.
    Exec(Vec<String>),
    /// Anything else.
    Shell(String),
}

const BLANK: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// Splits a line into keyword, flags and arguments.
pub(super) fn split_command(line: &str, escape: char) -> Command {
    let line = line.trim();
    let (keyword, rest) = line.split_once(BLANK).unwrap_or((line, ""));
    let (flags, arguments) = split_flags(rest, escape);
    Command { keyword: keyword.to_ascii_uppercase(), flags, arguments: arguments.trim().to_owned() }
}

/// Takes the leading words that start with `--`.
fn split_flags(text: &str, escape: char) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with("--") {
        let (word, tail) = flag_word(rest, escape);
        rest = tail.trim_start();
        if word == "--" {
            break;
        }
        if !word.is_empty() {
            flags.push(word);
        }
    }
    (flags, rest)
}

/// The first word of `text`, its quotes and escapes removed.
fn flag_word(text: &str, escape: char) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, &text[at..]),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == escape => word.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => word.push(c),
        }
    }
    (word, "")
}

/// Splits at blanks outside quotes; quotes and escapes stay in the words.
pub(super) fn quoted_words(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        if c == escape && quote != Some('\'') {
            // An escape at the very end is dropped.
            if let Some(escaped) = chars.next() {
                word.push(c);
                word.push(escaped);
            }
            continue;
        }
        match quote {
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Splits at blanks, whatever the quotes.
pub(super) fn plain_words(text: &str) -> Vec<String> {
    text.split(BLANK).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

impl Form {
    /// Reads the exec form if the text is a JSON array of strings. An array of other things is an
    /// error; a text that only looks like JSON is the shell form.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if !text.trim_start().starts_with('[') {
            return Ok(Self::Shell(text.to_owned()));
        }
        match serde_json::from_str::<Vec<serde_json::Value>>(text) {
            Err(_) => Ok(Self::Shell(text.to_owned())),
            Ok(values) => {
                values
                    .into_iter()
                    .map(|value| match value {
                        serde_json::Value::String(text) => Ok(text),
                        _ => Err("when using JSON array syntax, arrays must be comprised of strings only"
                            .to_owned()),
                    })
                    .collect::<Result<_, _>>()
                    .map(Self::Exec)
            }
        }
    }

    /// The words of a list that may be written as a JSON array.
    pub(super) fn list(text: &str) -> Result<Vec<String>, String> {
        Self::read(text).map(|form| match form {
            Self::Exec(words) => words,
            Self::Shell(text) => plain_words(&text),
        })
    }
}
