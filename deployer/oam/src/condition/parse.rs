//! Reading the text of an `if`, by recursive descent.

use serde_json::Value;

use super::{CONDITION_CHARS_MAX, Expression, InvalidCondition, Operand, Operator, PHASES};
use crate::{Path, Segment};

/// The deepest nesting of brackets and `!`.
const MAX_NESTING: usize = 32;

const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Less),
    (">", Operator::More),
];

type Parsed<T> = Result<T, InvalidCondition>;

pub(super) fn expression(text: &str) -> Parsed<Expression> {
    if text.len() > CONDITION_CHARS_MAX {
        let message = format!("longer than {CONDITION_CHARS_MAX} characters");
        return Err(InvalidCondition { column: 1, message });
    }
    let mut reader = Reader { text, at: 0, nesting: 0 };
    let expression = reader.or()?;
    reader.space();
    if reader.rest().is_empty() {
        Ok(expression)
    } else {
        Err(reader.wrong("`&&`, `||` or the end expected"))
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    nesting: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn wrong(&self, message: impl Into<String>) -> InvalidCondition {
        InvalidCondition { column: self.text[..self.at].chars().count() + 1, message: message.into() }
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Whether `word` comes next; if so, goes behind it.
    fn take(&mut self, word: &str) -> bool {
        self.space();
        let taken = self.rest().starts_with(word);
        self.at += if taken { word.len() } else { 0 };
        taken
    }

    fn or(&mut self) -> Parsed<Expression> {
        self.joined("||", Self::and, Expression::Or)
    }

    fn and(&mut self) -> Parsed<Expression> {
        self.joined("&&", Self::term, Expression::And)
    }

    fn joined(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Parsed<Expression>,
        join: fn(Vec<Expression>) -> Expression,
    ) -> Parsed<Expression> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.take(word) {
            parts.push(part(self)?);
        }
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => Ok(join(parts)),
        }
    }

    fn term(&mut self) -> Parsed<Expression> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(self.wrong(format!("nested deeper than {MAX_NESTING} levels")));
        }
        let negated = !self.rest().trim_start().starts_with("!=") && self.take("!");
        let term = if negated {
            self.term().map(|inner| Expression::Not(Box::new(inner)))
        } else if self.take("(") {
            let inner = self.or()?;
            if self.take(")") { Ok(inner) } else { Err(self.wrong("`)` expected")) }
        } else {
            self.comparison()
        };
        self.nesting -= 1;
        term
    }

    fn comparison(&mut self) -> Parsed<Expression> {
        self.space();
        let begin = self.at;
        let (left, is_phase) = self.operand()?;
        if let Some((word, operator)) = self.operator() {
            self.at += word.len();
            let (right, _) = self.operand()?;
            return Ok(Expression::Compare { left, operator, right });
        }
        match left {
            // `status.x.failed` says what its phase is.
            Operand::Status { step, field } if is_phase => Ok(Expression::Compare {
                left: Operand::Status { step, field: "phase".to_owned() },
                operator: Operator::Equal,
                right: Operand::Literal(Value::String(field)),
            }),
            left @ (Operand::Literal(Value::Bool(_)) | Operand::Input { .. }) => Ok(Expression::Holds(left)),
            _ => {
                self.at = begin;
                Err(self.wrong("this is neither true nor false: compare it, e.g. with `== \"…\"`"))
            }
        }
    }

    fn operator(&mut self) -> Option<(&'static str, Operator)> {
        self.space();
        OPERATORS.into_iter().find(|(word, _)| self.rest().starts_with(word))
    }

    /// A value, and whether it is a phase used as a truth.
    fn operand(&mut self) -> Parsed<(Operand, bool)> {
        self.space();
        match self.rest().chars().next() {
            None => Err(self.wrong("a value expected, found the end")),
            Some('"' | '\'') => self.string().map(|text| (Operand::Literal(Value::String(text)), false)),
            Some(c) if c.is_ascii_digit() || c == '-' => self.number().map(|number| (number, false)),
            Some(c) if c.is_ascii_alphabetic() => self.reference(),
            Some(c) => Err(self.wrong(format!("`{c}` does not begin a value"))),
        }
    }

    fn string(&mut self) -> Parsed<String> {
        let rest = self.rest();
        if let Some(inside) = rest.strip_prefix('\'') {
            let end = inside.find('\'').ok_or_else(|| self.wrong("the text is not closed"))?;
            self.at += end + 2;
            return Ok(inside[..end].to_owned());
        }
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let Some(Ok(text)) = stream.next() else { return Err(self.wrong("the text is not closed")) };
        self.at += stream.byte_offset();
        Ok(text)
    }

    fn number(&mut self) -> Parsed<Operand> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | '.'))).unwrap_or(rest.len());
        let number: serde_json::Number = rest[..end].parse().map_err(|_| self.wrong("no such number"))?;
        self.at += end;
        Ok(Operand::Literal(Value::Number(number)))
    }

    fn reference(&mut self) -> Parsed<(Operand, bool)> {
        let begin = self.at;
        let text = self.path_text()?;
        let path: Path = match text {
            "true" | "false" => return Ok((Operand::Literal(Value::Bool(text == "true")), false)),
            text => text.parse().map_err(|_| {
                self.at = begin;
                self.wrong(format!("`{}` is no reference", text.chars().take(60).collect::<String>()))
            })?,
        };
        let operand = match path.segments() {
            [Segment::Key(root), Segment::Key(step), Segment::Key(field)] if root == "status" => {
                let is_phase = PHASES.contains(&field.as_str());
                if is_phase || matches!(field.as_str(), "phase" | "message" | "reason") {
                    return Ok((Operand::Status { step: step.clone(), field: field.clone() }, is_phase));
                }
                None
            }
            [Segment::Key(root), Segment::Key(name), ..] if root == "inputs" => {
                Some(Operand::Input { name: name.clone(), path: path.skip(2) })
            }
            [Segment::Key(root), Segment::Key(field)] if root == "context" => {
                Some(Operand::Context(field.clone()))
            }
            _ => None,
        };
        self.at = if operand.is_some() { self.at } else { begin };
        operand.map(|operand| (operand, false)).ok_or_else(|| {
            self.wrong(
                "`status.STEP.phase`, `inputs.NAME` or `context.FIELD` expected; any other value in quotes",
            )
        })
    }

    /// The text of a path: letters, digits, dots, and brackets with what stands in them.
    fn path_text(&mut self) -> Parsed<&'t str> {
        let begin = self.at;
        loop {
            let rest = self.rest();
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            self.at += rest.find(|c| !plain(c)).unwrap_or(rest.len());
            if !self.rest().starts_with('[') {
                return Ok(&self.text[begin..self.at]);
            }
            self.at += 1;
            if self.rest().starts_with('"') {
                self.string()?;
            }
            let inside = self.rest();
            self.at += inside.find(']').ok_or_else(|| self.wrong("`]` expected"))? + 1;
        }
    }
}
