//! Wildcard patterns of three dialects, matched without backtracking.
//!
//! The dialects are Go's `filepath.Match` (sources of COPY), moby's pattern matcher
//! (`.dockerignore`) and the shell's parameter expansion (`${name#pattern}`).

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// Any character; with `slash` also `/`.
    One {
        slash: bool,
    },
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// Any run of characters; with `slash` also over `/`.
    Run {
        slash: bool,
    },
    /// Nothing, or anything that ends with `/`.
    Directories,
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
}

/// A pattern that is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub(crate) struct BadPattern;

/// Whether `text` holds a wildcard that no backslash escapes.
pub(crate) fn has_wildcard(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

impl Glob {
    /// A pattern as Go's `filepath.Match` reads it: `*` and `?` stop at `/`.
    pub(crate) fn file_path(pattern: &str) -> Result<Self, BadPattern> {
        let chars: Vec<char> = pattern.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(&c) = chars.get(at) {
            at += 1;
            match c {
                '*' => tokens.push(Token::Run { slash: false }),
                '?' => tokens.push(Token::One { slash: false }),
                '[' => tokens.push(class(&chars, &mut at)?),
                '\\' => {
                    tokens.push(Token::Literal(*chars.get(at).ok_or(BadPattern)?));
                    at += 1;
                }
                _ => tokens.push(Token::Literal(c)),
            }
        }
        Ok(Self { tokens })
    }

    /// A pattern as moby's pattern matcher reads it: like [`Glob::file_path`], and `**` crosses
    /// directories.
    pub(crate) fn ignore(pattern: &str) -> Result<Self, BadPattern> {
        Self::file_path(pattern)?;
        let chars: Vec<char> = pattern.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(&c) = chars.get(at) {
            at += 1;
            match c {
                '*' if chars.get(at) == Some(&'*') => {
                    at += 1;
                    if chars.get(at) == Some(&'/') {
                        at += 1;
                    }
                    let at_end = at == chars.len();
                    tokens.push(if at_end { Token::Run { slash: true } } else { Token::Directories });
                }
                '*' => tokens.push(Token::Run { slash: false }),
                '?' => tokens.push(Token::One { slash: false }),
                '[' => tokens.push(class(&chars, &mut at)?),
                '\\' => {
                    tokens.push(Token::Literal(*chars.get(at).ok_or(BadPattern)?));
                    at += 1;
                }
                _ => tokens.push(Token::Literal(c)),
            }
        }
        Ok(Self { tokens })
    }

    /// A pattern as the shell's parameter expansion reads it, without classes.
    pub(crate) fn shell(pattern: &str) -> Result<Self, BadPattern> {
        let mut tokens = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Run { slash: true },
                '?' => Token::One { slash: true },
                '\\' => match chars.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Token::Literal(escaped),
                    _ => return Err(BadPattern),
                },
                c => Token::Literal(c),
            });
        }
        Ok(Self { tokens })
    }

    /// The pattern read backwards, for matching ends of texts.
    pub(crate) fn reversed(&self) -> Self {
        Self { tokens: self.tokens.iter().rev().cloned().collect() }
    }

    /// Whether the whole of `text` matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut last = false;
        self.prefixes(text.chars(), |_, is_match| last = is_match);
        last
    }

    /// Length in characters of the longest, or else shortest, beginning of `text` that matches.
    pub(crate) fn prefix(&self, text: &[char], longest: bool) -> Option<usize> {
        let mut found = None;
        self.prefixes(text.iter().copied(), |length, is_match| {
            if is_match && (longest || found.is_none()) {
                found = Some(length);
            }
        });
        found
    }

    /// Tells `visit` of each beginning of `text`, from the empty one on, whether it matches.
    fn prefixes(&self, text: impl Iterator<Item = char>, mut visit: impl FnMut(usize, bool)) {
        let end = self.tokens.len();
        let mut states = vec![false; end + 1];
        self.enter(&mut states, 0);
        visit(0, states[end]);
        for (index, c) in text.enumerate() {
            let mut next = vec![false; end + 1];
            for (state, _) in states.iter().enumerate().take(end).filter(|(_, active)| **active) {
                self.step(&mut next, state, c);
            }
            states = next;
            visit(index + 1, states[end]);
        }
    }

    fn enter(&self, states: &mut [bool], mut state: usize) {
        loop {
            states[state] = true;
            match self.tokens.get(state) {
                Some(Token::Run { .. } | Token::Directories) => state += 1,
                _ => return,
            }
        }
    }

    fn step(&self, next: &mut [bool], state: usize, c: char) {
        match &self.tokens[state] {
            Token::Literal(literal) if *literal == c => self.enter(next, state + 1),
            Token::One { slash } if *slash || c != '/' => self.enter(next, state + 1),
            Token::Class { negated, ranges } => {
                if ranges.iter().any(|&(low, high)| low <= c && c <= high) != *negated {
                    self.enter(next, state + 1);
                }
            }
            Token::Run { slash } if *slash || c != '/' => self.enter(next, state),
            Token::Directories => {
                // Inside a directory name nothing may follow yet, so the state alone stays.
                next[state] = true;
                if c == '/' {
                    self.enter(next, state + 1);
                }
            }
            Token::Literal(_) | Token::One { .. } | Token::Run { .. } => {}
        }
    }
}

/// Reads a class; `at` stands behind its `[`.
fn class(chars: &[char], at: &mut usize) -> Result<Token, BadPattern> {
    let negated = chars.get(*at) == Some(&'^');
    if negated {
        *at += 1;
    }
    let mut ranges = Vec::new();
    loop {
        if chars.get(*at) == Some(&']') && !ranges.is_empty() {
            *at += 1;
            return Ok(Token::Class { negated, ranges });
        }
        let low = class_char(chars, at)?;
        let high = if chars.get(*at) == Some(&'-') {
            *at += 1;
            class_char(chars, at)?
        } else {
            low
        };
        ranges.push((low, high));
    }
}

fn class_char(chars: &[char], at: &mut usize) -> Result<char, BadPattern> {
    let mut c = *chars.get(*at).ok_or(BadPattern)?;
    if c == '-' || c == ']' {
        return Err(BadPattern);
    }
    if c == '\\' {
        *at += 1;
        c = *chars.get(*at).ok_or(BadPattern)?;
    }
    *at += 1;
    Ok(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_paths_match_as_in_go() {
        for (pattern, text, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/ff", false),
            ("ab[c]", "abc", true),
            ("ab[^b-d]", "abe", true),
            ("ab[^b-d]", "abc", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a/b", false),
            ("[\\]a]", "]", true),
            ("a???b", "a☺☺☺b", true),
        ] {
            assert_eq!(Glob::file_path(pattern).unwrap().matches(text), expected, "{pattern} {text}");
        }
        for bad in ["[", "[]a]", "[-]", "[x-]", "[a-b-c]", "a[", "\\", "[^"] {
            assert!(Glob::file_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shell_patterns_match_ends() {
        let text: Vec<char> = "a.b.c".chars().collect();
        let glob = Glob::shell("*.").unwrap();
        assert_eq!(glob.prefix(&text, false), Some(2));
        assert_eq!(glob.prefix(&text, true), Some(4));
    }
}
