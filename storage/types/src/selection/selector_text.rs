//! Reading the text of a label selector.

use std::collections::BTreeSet;

use super::selector::VALUES_MAX;
use crate::label::{LabelKey, LabelValue};

/// One term, as written.
pub(super) struct Term {
    pub(super) key: LabelKey,
    pub(super) condition: Condition,
}

pub(super) enum Condition {
    In(BTreeSet<LabelValue>),
    NotIn(BTreeSet<LabelValue>),
    Exists,
    Absent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Sign(&'static str),
}

/// Whether a value of such characters needs no quotes.
pub(super) fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "-_./:@+".contains(c)
}

/// The longer of two that begin alike comes first.
const SIGNS: [&str; 7] = ["==", "!=", "=", "!", "(", ")", ","];

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Word(text) => format!("`{text}`"),
            Self::Quoted(text) => format!("`\"{text}\"`"),
            Self::Sign(sign) => format!("`{sign}`"),
        }
    }
}

fn quoted(rest: &str) -> Result<(String, &str), String> {
    let mut text = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((text, &rest[at + 1..])),
            '\\' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => text.push(c),
                _ => return Err("in quotes `\\` goes only before `\"` and `\\`".to_owned()),
            },
            c => text.push(c),
        }
    }
    Err("a quote is not closed".to_owned())
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix('"') {
            let (text, after) = quoted(after)?;
            tokens.push(Token::Quoted(text));
            rest = after;
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else if is_plain(first) {
            let end = rest.find(|c| !is_plain(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            return Err(format!(
                "`{first}` has no meaning here: a value that has it stands in double quotes"
            ));
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

struct Reader {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Reader {
    fn take(&mut self, sign: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Sign(found) if *found == sign)).is_some()
    }

    fn take_word(&mut self, word: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Word(found) if found == word)).is_some()
    }

    /// What is missing, and before what.
    fn missing(&mut self, what: &str) -> String {
        match self.tokens.peek() {
            Some(token) => format!("{what} is missing before {}", token.shown()),
            None => format!("{what} is missing at the end"),
        }
    }

    fn key(&mut self) -> Result<LabelKey, String> {
        match self.tokens.next_if(|token| matches!(token, Token::Word(_))) {
            Some(Token::Word(word)) => word.parse().map_err(|error| format!("{error}")),
            _ => Err(self.missing("a key")),
        }
    }

    fn value(&mut self) -> Result<Option<LabelValue>, String> {
        match self.tokens.next_if(|token| !matches!(token, Token::Sign(_))) {
            Some(Token::Word(text) | Token::Quoted(text)) => {
                text.parse().map(Some).map_err(|error| format!("{error}"))
            }
            _ => Ok(None),
        }
    }

    /// The value after a sign; nothing is the empty one.
    fn single(&mut self) -> Result<BTreeSet<LabelValue>, String> {
        let value = match self.value()? {
            Some(value) => value,
            None => "".parse().map_err(|error| format!("{error}"))?,
        };
        Ok(BTreeSet::from([value]))
    }

    fn values(&mut self) -> Result<BTreeSet<LabelValue>, String> {
        if !self.take("(") {
            return Err(self.missing("`(`"));
        }
        let mut values = BTreeSet::new();
        loop {
            let Some(value) = self.value()? else {
                let missing = self.missing("a value");
                return Err(format!("{missing}; the empty one is written `\"\"`"));
            };
            values.insert(value);
            if values.len() > VALUES_MAX {
                return Err(format!("more than {VALUES_MAX} values in one term"));
            }
            if self.take(")") {
                return Ok(values);
            }
            if !self.take(",") {
                return Err(self.missing("`,` or `)`"));
            }
        }
    }

    fn term(&mut self) -> Result<Term, String> {
        if self.take("!") {
            return Ok(Term { key: self.key()?, condition: Condition::Absent });
        }
        let key = self.key()?;
        let condition = if self.take("=") || self.take("==") {
            Condition::In(self.single()?)
        } else if self.take("!=") {
            Condition::NotIn(self.single()?)
        } else if self.take_word("in") {
            Condition::In(self.values()?)
        } else if self.take_word("notin") {
            Condition::NotIn(self.values()?)
        } else {
            Condition::Exists
        };
        Ok(Term { key, condition })
    }
}

/// The terms of a selector; none for an empty text.
pub(super) fn terms(text: &str) -> Result<Vec<Term>, String> {
    let mut reader = Reader { tokens: tokens(text)?.into_iter().peekable() };
    let mut terms = Vec::new();
    if reader.tokens.peek().is_none() {
        return Ok(terms);
    }
    loop {
        terms.push(reader.term()?);
        if reader.tokens.peek().is_none() {
            return Ok(terms);
        }
        if !reader.take(",") {
            return Err(reader.missing("a comma"));
        }
    }
}
