//! What an expression may look like: how deep, and made of what.

use std::collections::BTreeSet;

use cel::ParseErrors;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::parser::Expression as Tree;

use super::pattern::Pattern;
use super::{BRACKETS_MAX, BYTES_MAX, DEPTH_MAX, ExpressionError, PATTERNS_MAX};

/// How often the parser itself may go down; brackets and `?:` both count.
pub(super) const PARSER_DEPTH: u16 = 11;

/// Types that an expression may name: `type(self.port) == int`.
pub(super) const TYPES: &[&str] =
    &["bool", "int", "uint", "double", "string", "list", "map", "null_type", "type"];

/// Functions that take one value.
const OF_ONE: &[&str] = &["size", "int", "uint", "double", "string", "bool", "type", "dyn"];
/// Functions of a text that take another one.
const OF_TEXT: &[&str] = &["contains", "startsWith", "endsWith"];
/// The function that takes a pattern.
pub(super) const MATCHES: &str = "matches";

const OPERATORS: &[&str] = &[
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::IN,
    operators::NOT_STRICTLY_FALSE,
];

/// The longest message of the parser that is kept, in characters.
const SYNTAX_CHARS_MAX: usize = 300;

/// Refuses what the parser would not survive: it takes about 150 KiB of stack for each open bracket in a
/// build without optimisation.
pub(super) fn before_parsing(text: &str) -> Result<(), ExpressionError> {
    if text.trim().is_empty() || text.len() > BYTES_MAX {
        return Err(ExpressionError::Length(text.len()));
    }
    let (mut open, mut quote, mut escaped) = (0_usize, None, false);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(mark), letter) if mark == letter => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, '(' | '[' | '{') => open += 1,
            (None, ')' | ']' | '}') => open = open.saturating_sub(1),
            _ => {}
        }
        if open > BRACKETS_MAX {
            return Err(ExpressionError::Depth);
        }
    }
    Ok(())
}

/// What the parser found wrong first.
pub(super) fn syntax(errors: ParseErrors) -> ExpressionError {
    let Some(first) = errors.errors.first() else {
        return ExpressionError::Syntax("it cannot be read".to_owned());
    };
    if errors.errors.iter().any(|error| error.msg.contains("Recursion limit")) {
        return ExpressionError::Depth;
    }
    let (line, column) = first.pos;
    let message: String = first.msg.chars().take(SYNTAX_CHARS_MAX).collect();
    ExpressionError::Syntax(format!("line {line}, column {column}: {message}"))
}

/// What an expression is made of.
pub(super) struct Checked {
    /// The names it looks up.
    pub(super) names: BTreeSet<String>,
    /// Its patterns, in the order in which [`super::meter::metered`] meets them.
    pub(super) patterns: Vec<Pattern>,
}

/// Refuses a tree that is too deep or has in it what is not offered.
pub(super) fn check(tree: &Tree) -> Result<Checked, ExpressionError> {
    depth(tree)?;
    let mut checked = Checked { names: BTreeSet::new(), patterns: Vec::new() };
    checked.tree(tree, &mut Vec::new())?;
    Ok(checked)
}

/// Without recursion: a chain such as `a.b.c` is as deep as it is long.
fn depth(tree: &Tree) -> Result<(), ExpressionError> {
    let mut open = vec![(tree, 1)];
    while let Some((tree, level)) = open.pop() {
        if level > DEPTH_MAX {
            return Err(ExpressionError::Depth);
        }
        open.extend(children(&tree.expr).into_iter().map(|child| (child, level + 1)));
    }
    Ok(())
}

/// The parts of an expression, in the order in which they stand in it.
pub(super) fn children(expr: &Expr) -> Vec<&Tree> {
    match expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Struct(of) => of.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Comprehension(each) => {
            vec![&each.iter_range, &each.accu_init, &each.loop_cond, &each.loop_step, &each.result]
        }
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn entry_parts(entry: &EntryExpr) -> Vec<&Tree> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

impl Checked {
    /// `bound` are the variables of the loops around.
    fn tree<'t>(&mut self, tree: &'t Tree, bound: &mut Vec<&'t str>) -> Result<(), ExpressionError> {
        match &tree.expr {
            Expr::Ident(name) => {
                if !bound.contains(&name.as_str()) {
                    self.names.insert(name.clone());
                }
            }
            Expr::Comprehension(each) => return self.comprehension(each, bound),
            Expr::Call(call) => self.call(call)?,
            Expr::Struct(of) => {
                return Err(ExpressionError::Unsupported(format!("the message `{}`", of.type_name)));
            }
            Expr::Unspecified => return Err(ExpressionError::Syntax("a part is missing".to_owned())),
            Expr::Literal(LiteralValue::Bytes(_)) => {
                return Err(ExpressionError::Unsupported("a literal of bytes".to_owned()));
            }
            Expr::Map(_) | Expr::List(_) | Expr::Select(_) | Expr::Literal(_) => {}
        }
        children(&tree.expr).into_iter().try_for_each(|child| self.tree(child, bound))
    }

    fn comprehension<'t>(
        &mut self,
        each: &'t ComprehensionExpr,
        bound: &mut Vec<&'t str>,
    ) -> Result<(), ExpressionError> {
        self.tree(&each.iter_range, bound)?;
        self.tree(&each.accu_init, bound)?;
        let outside = bound.len();
        bound.extend([each.iter_var.as_str(), each.accu_var.as_str()]);
        bound.extend(each.iter_var2.as_deref());
        for inside in [&each.loop_cond, &each.loop_step, &each.result] {
            self.tree(inside, bound)?;
        }
        bound.truncate(outside);
        Ok(())
    }

    fn call(&mut self, call: &CallExpr) -> Result<(), ExpressionError> {
        let name = call.func_name.as_str();
        let values = call.args.len() + usize::from(call.target.is_some());
        let known = match call.target {
            None if OPERATORS.contains(&name) => true,
            None => values == 1 && OF_ONE.contains(&name),
            Some(_) => (values == 1 && name == "size") || (values == 2 && OF_TEXT.contains(&name)),
        };
        if known {
            return Ok(());
        }
        if name == MATCHES && values == 2 {
            return self.pattern(call);
        }
        Err(ExpressionError::Unsupported(format!("the function `{name}` of {values} values")))
    }

    /// A pattern is compiled once, here, so that an unusable one is found before anything waits for it.
    fn pattern(&mut self, call: &CallExpr) -> Result<(), ExpressionError> {
        let Some(Expr::Literal(LiteralValue::String(pattern))) = call.args.last().map(|arg| &arg.expr) else {
            return Err(ExpressionError::Unsupported("a pattern that is no literal text".to_owned()));
        };
        if self.patterns.len() == PATTERNS_MAX {
            return Err(ExpressionError::Unsupported(format!("more than {PATTERNS_MAX} patterns")));
        }
        self.patterns.push(Pattern::compile(pattern.inner())?);
        Ok(())
    }
}
