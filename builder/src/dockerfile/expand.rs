//! Variable expansion and word splitting, after BuildKit's shell lexer.

use std::collections::BTreeMap;

use super::glob::Glob;

/// Values by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// Largest result of one expansion: repeated doubling must not fill the memory.
const MAX_EXPANDED_BYTES: usize = 1 << 20;
/// Deepest nesting of `${a:-${b:-…}}`.
const MAX_EXPANSION_DEPTH: usize = 32;
/// Longest value in which `${name/pattern/replacement}` searches.
const MAX_REPLACED_CHARS: usize = 16 << 10;

/// What an expansion is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Quotes and escapes are removed, unknown names are empty.
    Instruction,
    /// Quotes are ordinary characters, unknown names are empty.
    Document,
    /// Quotes are removed, variables stay.
    Unquoted,
    /// Quotes and variables stay.
    Quoted,
    /// Quotes, escapes and variables stay.
    Raw,
}

/// How to expand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expander {
    escape: char,
    purpose: Purpose,
}

impl Expander {
    /// Expands as instructions do: quotes and escapes are removed, unknown names are empty.
    pub(crate) fn new(escape: char) -> Self {
        Self { escape, purpose: Purpose::Instruction }
    }

    /// Expands as heredocs do: quotes are ordinary characters.
    pub(crate) fn document() -> Self {
        Self { escape: '\\', purpose: Purpose::Document }
    }

    /// Splits a line into words and leaves quotes, escapes and variables as they stand.
    pub(crate) fn raw() -> Self {
        Self { escape: '\\', purpose: Purpose::Raw }
    }

    /// Removes quotes (or not) and leaves variables as they stand.
    pub(crate) fn unset(raw_quotes: bool) -> Self {
        Self { escape: '\\', purpose: if raw_quotes { Purpose::Quoted } else { Purpose::Unquoted } }
    }

    fn keeps_quotes(self) -> bool {
        matches!(self.purpose, Purpose::Quoted | Purpose::Raw)
    }

    fn keeps_unset(self) -> bool {
        matches!(self.purpose, Purpose::Unquoted | Purpose::Quoted | Purpose::Raw)
    }

    /// `text` with its variables replaced, as one word.
    pub(crate) fn word(self, text: &str, variables: &Variables) -> Result<String, String> {
        self.run(text, variables).map(|(word, _)| word)
    }

    /// `text` with its variables replaced, then split at unquoted spaces.
    pub(crate) fn words(self, text: &str, variables: &Variables) -> Result<Vec<String>, String> {
        self.run(text, variables).map(|(_, words)| words)
    }

    fn run(self, text: &str, variables: &Variables) -> Result<(String, Vec<String>), String> {
        let raw_escapes = self.purpose == Purpose::Raw;
        let chars = text.chars().collect();
        let mut lexer = Lexer { options: self, raw_escapes, chars, at: 0, variables, depth: 0, produced: 0 };
        lexer
            .until(None, raw_escapes)
            .map_err(|why| format!("failed to process {:?}: {why}", shortened(text)))
    }
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(120).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// The words of a text, split where spaces are neither quoted nor escaped.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    current: String,
}

impl Words {
    fn split(&mut self, text: &str) {
        for c in text.chars() {
            if c.is_whitespace() {
                self.end();
            } else {
                self.current.push(c);
            }
        }
    }

    fn end(&mut self) {
        if !self.current.is_empty() {
            self.done.push(std::mem::take(&mut self.current));
        }
    }
}

struct Lexer<'a> {
    options: Expander,
    raw_escapes: bool,
    chars: Vec<char>,
    at: usize,
    variables: &'a Variables,
    depth: usize,
    produced: usize,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    /// Reads up to `stop`, which is consumed, or to the end of the text.
    fn until(&mut self, stop: Option<char>, raw_escapes: bool) -> Result<(String, Vec<String>), String> {
        self.depth += 1;
        if self.depth > MAX_EXPANSION_DEPTH {
            return Err(format!("substitutions are nested deeper than {MAX_EXPANSION_DEPTH}"));
        }
        let outer = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        let result = self.until_inner(stop);
        self.raw_escapes = outer;
        self.depth -= 1;
        result
    }

    fn until_inner(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), String> {
        let mut result = String::new();
        let mut words = Words::default();
        while let Some(c) = self.peek() {
            if stop == Some(c) {
                self.at += 1;
                words.end();
                return Ok((result, words.done));
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    self.count(value.len())?;
                    result.push_str(&value);
                    words.split(&value);
                }
                '<' => {
                    let text = self.less_than();
                    result.push_str(&text);
                    words.current.push_str(&text);
                }
                '\'' | '"' if self.options.purpose != Purpose::Document => {
                    let text = if c == '"' { self.double_quotes()? } else { self.single_quotes()? };
                    result.push_str(&text);
                    words.current.push_str(&text);
                }
                _ => self.plain(&mut result, &mut words),
            }
        }
        if let Some(stop) = stop {
            return Err(format!("unexpected end of statement while looking for matching {stop}"));
        }
        words.end();
        Ok((result, words.done))
    }

    fn plain(&mut self, result: &mut String, words: &mut Words) {
        let Some(c) = self.next() else { return };
        if c != self.options.escape {
            result.push(c);
            words.split(c.encode_utf8(&mut [0; 4]));
            return;
        }
        if self.raw_escapes {
            result.push(c);
            words.current.push(c);
        }
        if let Some(escaped) = self.next() {
            result.push(escaped);
            words.current.push(escaped);
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), String> {
        self.produced += bytes;
        if self.produced > MAX_EXPANDED_BYTES {
            return Err(format!("the expanded text is larger than {MAX_EXPANDED_BYTES} bytes"));
        }
        Ok(())
    }

    fn single_quotes(&mut self) -> Result<String, String> {
        let mut result = String::new();
        let quote = self.next();
        if self.options.keeps_quotes() {
            result.extend(quote);
        }
        loop {
            match self.next() {
                None => {
                    return Err("unexpected end of statement while looking for matching single-quote".into());
                }
                Some('\'') => {
                    if self.options.keeps_quotes() {
                        result.push('\'');
                    }
                    return Ok(result);
                }
                Some(c) => result.push(c),
            }
        }
    }

    fn double_quotes(&mut self) -> Result<String, String> {
        let mut result = String::new();
        let quote = self.next();
        if self.options.keeps_quotes() {
            result.extend(quote);
        }
        loop {
            match self.peek() {
                None => {
                    return Err("unexpected end of statement while looking for matching double-quote".into());
                }
                Some('"') => {
                    self.at += 1;
                    if self.options.keeps_quotes() {
                        result.push('"');
                    }
                    return Ok(result);
                }
                Some('$') => {
                    let value = self.dollar()?;
                    self.count(value.len())?;
                    result.push_str(&value);
                }
                Some(c) if c == self.options.escape => {
                    self.at += 1;
                    if self.raw_escapes {
                        result.push(c);
                    }
                    match self.peek() {
                        None => {}
                        Some(next) if next == '"' || next == '$' || next == self.options.escape => {
                            self.at += 1;
                            result.push(next);
                        }
                        Some(_) => result.push(c),
                    }
                }
                Some(c) => {
                    self.at += 1;
                    result.push(c);
                }
            }
        }
    }

    /// `<` alone, or `<<` with the spaces before a heredoc's name.
    fn less_than(&mut self) -> String {
        self.at += 1;
        if self.peek() != Some('<') {
            return "<".to_owned();
        }
        self.at += 1;
        let mut text = "<<".to_owned();
        while let Some(c @ ('\t' | '\r' | ' ')) = self.peek() {
            self.at += 1;
            text.push(c);
        }
        text
    }

    fn name(&mut self) -> String {
        let start = self.at;
        match self.peek() {
            Some(c) if c.is_numeric() => {
                while self.peek().is_some_and(char::is_numeric) {
                    self.at += 1;
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => self.at += 1,
            _ => {
                while self.peek().is_some_and(|c| c.is_alphabetic() || c.is_numeric() || c == '_') {
                    self.at += 1;
                }
            }
        }
        self.chars[start..self.at].iter().collect()
    }

    fn dollar(&mut self) -> Result<String, String> {
        self.at += 1;
        if self.peek() != Some('{') {
            let name = self.name();
            return Ok(match self.variables.get(&name) {
                _ if name.is_empty() => "$".to_owned(),
                Some(value) => value.clone(),
                None if self.options.keeps_unset() => format!("${name}"),
                None => String::new(),
            });
        }
        self.at += 1;
        match self.peek() {
            None => return Err("syntax error: missing '}'".into()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".into()),
            Some(_) => {}
        }
        let name = self.name();
        match self.next() {
            Some('}') => Ok(match self.variables.get(&name) {
                Some(value) => value.clone(),
                None if self.options.keeps_unset() => format!("${{{name}}}"),
                None => String::new(),
            }),
            Some(':') => match self.next() {
                Some(operator @ ('-' | '+' | '?')) => self.conditional(&name, operator, true),
                other => Err(unsupported(&format!(":{}", other.map(String::from).unwrap_or_default()))),
            },
            Some(operator @ ('-' | '+' | '?')) => self.conditional(&name, operator, false),
            Some(operator @ ('#' | '%')) => self.trimmed(&name, operator),
            Some('/') => self.replaced(&name),
            None => Err("syntax error: missing '}'".into()),
            Some(other) => Err(unsupported(&other.to_string())),
        }
    }

    fn operand(&mut self, stop: char, raw_escapes: bool) -> Result<String, String> {
        let result = self.until(Some(stop), raw_escapes);
        match result {
            Ok((word, _)) => Ok(word),
            Err(_) if self.peek().is_none() && self.depth <= MAX_EXPANSION_DEPTH => {
                Err(format!("syntax error: missing '{stop}'"))
            }
            Err(why) => Err(why),
        }
    }

    /// `${name:-word}`, `${name:+word}`, `${name:?word}`, and without the colon.
    fn conditional(&mut self, name: &str, operator: char, empty_is_unset: bool) -> Result<String, String> {
        let word = self.operand('}', false)?;
        let value = self.variables.get(name);
        if value.is_none() && self.options.keeps_unset() {
            let colon = if empty_is_unset { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{operator}{word}}}"));
        }
        let set = value.filter(|value| !empty_is_unset || !value.is_empty());
        match (operator, set) {
            ('+', None) => Ok(String::new()),
            ('-', None) | ('+', Some(_)) => Ok(word),
            (_, Some(value)) => Ok(value.clone()),
            (_, None) if !word.is_empty() => Err(format!("{name}: {word}")),
            (_, None) if value.is_some() => Err(format!("{name}: is not allowed to be empty")),
            (_, None) => Err(format!("{name}: is not allowed to be unset")),
        }
    }

    /// `${name#pattern}`, `${name%pattern}`, doubled for the longest match.
    fn trimmed(&mut self, name: &str, operator: char) -> Result<String, String> {
        let word = self.operand('}', true)?;
        let value = match self.variables.get(name) {
            None if self.options.keeps_unset() => return Ok(format!("${{{name}{operator}{word}}}")),
            value => value.cloned().unwrap_or_default(),
        };
        let (pattern, longest) = match word.strip_prefix(operator) {
            Some(pattern) => (pattern, true),
            None => (word.as_str(), false),
        };
        let glob = pattern_of(pattern)?;
        let mut chars: Vec<char> = value.chars().collect();
        if operator == '#' {
            let length = glob.prefix(&chars, longest).unwrap_or(0);
            return Ok(chars[length..].iter().collect());
        }
        chars.reverse();
        let length = glob.reversed().prefix(&chars, longest).unwrap_or(0);
        Ok(chars[length..].iter().rev().collect())
    }

    /// `${name/pattern/replacement}`, doubled first slash for every match.
    fn replaced(&mut self, name: &str) -> Result<String, String> {
        let every = self.peek() == Some('/');
        if every {
            self.at += 1;
        }
        let pattern = self.operand('/', true)?;
        let replacement = self.operand('}', true)?;
        let value = match self.variables.get(name) {
            None if self.options.keeps_unset() => return Ok(format!("${{{name}/{pattern}/{replacement}}}")),
            value => value.cloned().unwrap_or_default(),
        };
        let chars: Vec<char> = value.chars().collect();
        if chars.len() > MAX_REPLACED_CHARS {
            return Err(format!("the value of {name} is longer than {MAX_REPLACED_CHARS} characters"));
        }
        let glob = pattern_of(&pattern)?;
        let mut result = String::new();
        let mut at = 0;
        let mut open = true;
        while at < chars.len() {
            let found = if open { glob.prefix(&chars[at..], true) } else { None };
            if let Some(length) = found.filter(|&length| length > 0) {
                result.push_str(&replacement);
                self.count(replacement.len())?;
                at += length;
                open = every;
            } else {
                result.push(chars[at]);
                at += 1;
            }
        }
        Ok(result)
    }
}

fn pattern_of(pattern: &str) -> Result<Glob, String> {
    Glob::shell(pattern).map_err(|_| format!("invalid pattern ({pattern}) in substitution"))
}

fn unsupported(modifier: &str) -> String {
    format!("unsupported modifier ({modifier}) in substitution")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        [("x", "1"), ("empty", ""), ("path", "a/b.tar.gz"), ("s", "a b")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn words_expand_as_in_buildkit() {
        for (text, expected) in [
            ("$x", "1"),
            ("${x}y", "1y"),
            ("$xy", ""),
            ("\\$x", "$x"),
            ("'$x'", "$x"),
            ("\"$x\"", "1"),
            ("\"\\$x\\a\"", "$x\\a"),
            ("a\\b", "ab"),
            ("${none:-d}", "d"),
            ("${empty:-d}", "d"),
            ("${empty-d}", ""),
            ("${x:+set}", "set"),
            ("${empty:+set}", ""),
            ("${none:-${x}}", "1"),
            ("${path#*/}", "b.tar.gz"),
            ("${path%.*}", "a/b.tar"),
            ("${path%%.*}", "a/b"),
            ("${path/a/z}", "z/b.tar.gz"),
            ("${path//./_}", "a/b_tar_gz"),
            ("$", "$"),
            ("${x:?no}", "1"),
        ] {
            assert_eq!(Expander::new('\\').word(text, &variables()).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(Expander::new('`').word("`$x\\", &variables()).as_deref(), Ok("$x\\"));
        for bad in ["${", "${}", "${x", "'", "\"", "${none:?why}", "${x:=a}", "${x^}", "${x/a}"] {
            assert!(Expander::new('\\').word(bad, &variables()).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_split_after_expansion_and_outside_quotes() {
        let words = |text| Expander::new('\\').words(text, &variables()).unwrap();
        assert_eq!(words("$s \"$s\" c\\ d"), ["a", "b", "a b", "c d"]);
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = "${a:-".repeat(100_000);
        assert!(Expander::new('\\').word(&deep, &variables()).unwrap_err().contains("nested deeper"));
        let large: Variables = [("l".to_owned(), "x".repeat(600_000))].into();
        assert!(Expander::new('\\').word("$l$l", &large).unwrap_err().contains("larger than"));
    }
}
