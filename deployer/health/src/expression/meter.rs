//! Counting the steps of an evaluator that counts none.
//!
//! Calls of functions that no text can name, for `@` is not a letter of CEL, are put into the tree:
//! `@rounds` around what a loop runs over, charging its rounds times the size of its body before it runs;
//! `@value` around each value that an operator, a function or a literal list copies or compares, charging
//! its size. Both give back what they were given. A loop of `map` or `filter` keeps its shape, by which the
//! evaluator knows that it only appends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::common::types::{CelBool, CelInt, CelList, CelMap, CelMapKey, CelString};
use cel::common::value::{CowVal, Val};
use cel::parser::Expression as Tree;
use cel::{Context, ExecutionError, FunctionContext};

use super::STEPS_MAX;
use super::pattern::Pattern;
use super::shape::{MATCHES, children};

const ROUNDS: &str = "@rounds";
const VALUE: &str = "@value";
const PATTERN: &str = "@pattern";

/// So many bytes of text are copied or compared in the time of one step.
const BYTES_PER_STEP: usize = 16;
/// A key is hashed when its mapping is copied or compared.
const STEPS_PER_KEY: u64 = 1;

/// The steps of one evaluation.
#[derive(Default)]
pub(super) struct Meter {
    spent: AtomicU64,
}

impl Meter {
    /// Takes `steps`; an error once more than allowed are taken, and from then on.
    pub(super) fn spend(&self, steps: u64) -> Result<(), ExecutionError> {
        let spent = self.spent.load(Ordering::Relaxed).saturating_add(steps);
        self.spent.store(spent, Ordering::Relaxed);
        if spent > STEPS_MAX { Err(ExecutionError::InternalError("steps".to_owned())) } else { Ok(()) }
    }

    /// Whether too many were taken. The evaluator forgets an error beside `|| true`, the meter does not.
    pub(super) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed) > STEPS_MAX
    }

    fn left(&self) -> u64 {
        STEPS_MAX.saturating_sub(self.spent.load(Ordering::Relaxed))
    }

    fn spend_on(&self, value: &dyn Val) -> Result<(), ExecutionError> {
        let left = self.left();
        let mut remaining = left.saturating_add(1);
        weigh(value, &mut remaining);
        self.spend(left.saturating_add(1) - remaining)
    }
}

/// Takes the size of `value` from `left`, and stops at nothing left.
fn weigh(value: &dyn Val, left: &mut u64) {
    *left = left.saturating_sub(1);
    if *left == 0 {
        return;
    }
    if let Some(text) = value.downcast_ref::<CelString>() {
        *left = left.saturating_sub(of_text(text));
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        for item in list.inner() {
            weigh(item.as_ref(), left);
            if *left == 0 {
                return;
            }
        }
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        for (key, item) in map.inner() {
            let text = if let CelMapKey::String(text) = key { of_text(text) } else { 0 };
            *left = left.saturating_sub(text.saturating_add(STEPS_PER_KEY));
            weigh(item.as_ref(), left);
            if *left == 0 {
                return;
            }
        }
    }
}

fn of_text(text: &CelString<'_>) -> u64 {
    steps(text.inner().len() / BYTES_PER_STEP)
}

fn steps(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

type Function = Box<
    dyn for<'c, 'v> Fn(&mut FunctionContext<'c, 'v>) -> Result<CowVal<'c, 'v>, ExecutionError> + Send + Sync,
>;

/// Gives `context` the functions that a metered tree calls.
pub(super) fn add_functions(context: &mut Context<'_, '_>, meter: &Arc<Meter>, patterns: &Arc<[Pattern]>) {
    let (rounds, value, matched) = (Arc::clone(meter), Arc::clone(meter), Arc::clone(meter));
    let patterns = Arc::clone(patterns);
    let functions: [(&str, Function); 3] = [
        (VALUE, Box::new(move |call| value.spend_on(first(call)?).and_then(|()| given_back(call)))),
        (ROUNDS, Box::new(move |call| spend_on_rounds(call, &rounds).and_then(|()| given_back(call)))),
        (PATTERN, Box::new(move |call| is_match(call, &matched, &patterns))),
    ];
    for (name, function) in functions {
        context.add_function(name, function).expect("invariant: no standard function begins with `@`");
    }
}

fn first<'a>(call: &'a FunctionContext<'_, '_>) -> Result<&'a dyn Val, ExecutionError> {
    call.args.first().map(AsRef::as_ref).ok_or_else(ExecutionError::missing_argument_or_target)
}

/// The number that was put beside the value when the tree was rewritten.
fn beside(call: &FunctionContext<'_, '_>) -> Result<i64, ExecutionError> {
    let number = call.args.get(1).and_then(|value| value.downcast_ref::<CelInt>());
    number.map(|number| *number.inner()).ok_or_else(ExecutionError::missing_argument_or_target)
}

fn given_back<'c, 'v>(call: &mut FunctionContext<'c, 'v>) -> Result<CowVal<'c, 'v>, ExecutionError> {
    if call.args.is_empty() {
        return Err(ExecutionError::missing_argument_or_target());
    }
    Ok(call.args.swap_remove(0))
}

fn spend_on_rounds(call: &FunctionContext<'_, '_>, meter: &Meter) -> Result<(), ExecutionError> {
    let range = first(call)?;
    let rounds = range
        .downcast_ref::<CelList>()
        .map(|list| list.inner().len())
        .or_else(|| range.downcast_ref::<CelMap>().map(|map| map.inner().len()))
        .unwrap_or(0);
    let body = u64::try_from(beside(call)?).unwrap_or(u64::MAX);
    meter.spend(steps(rounds).saturating_mul(body))?;
    meter.spend_on(range)
}

fn is_match<'c, 'v>(
    call: &mut FunctionContext<'c, 'v>,
    meter: &Meter,
    patterns: &[Pattern],
) -> Result<CowVal<'c, 'v>, ExecutionError> {
    let value = first(call)?;
    let text = value.downcast_ref::<CelString>().ok_or_else(|| {
        ExecutionError::no_such_member_overload(MATCHES, vec![value.get_type().name().to_owned()])
    })?;
    let pattern = usize::try_from(beside(call)?).ok().and_then(|at| patterns.get(at));
    let pattern = pattern.ok_or_else(ExecutionError::missing_argument_or_target)?;
    meter.spend(pattern.steps(text.inner()))?;
    Ok(CowVal::owned(CelBool::from(pattern.is_match(text.inner()))))
}

/// The same expression, counted. `patterns` is how many calls of `matches` were met before.
pub(super) fn metered(tree: Tree, patterns: &mut i64) -> Tree {
    let Tree { id, expr } = tree;
    let expr = match expr {
        Expr::Call(call) => metered_call(call, patterns),
        Expr::Select(mut select) => {
            *select.operand = metered(*select.operand, patterns);
            Expr::Select(select)
        }
        Expr::List(mut list) => {
            list.elements = list.elements.into_iter().map(|item| value(item, patterns)).collect();
            Expr::List(list)
        }
        Expr::Map(mut map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    entry.key = value(std::mem::take(&mut entry.key), patterns);
                    entry.value = value(std::mem::take(&mut entry.value), patterns);
                }
            }
            Expr::Map(map)
        }
        Expr::Comprehension(each) => Expr::Comprehension(Box::new(metered_loop(*each, patterns))),
        other => other,
    };
    Tree { id, expr }
}

fn metered_loop(each: ComprehensionExpr, patterns: &mut i64) -> ComprehensionExpr {
    let body = size(&each.loop_cond).saturating_add(size(&each.loop_step)).saturating_add(1);
    let body = Expr::Literal(LiteralValue::Int(CelInt::from(i64::try_from(body).unwrap_or(i64::MAX))));
    let range = metered(each.iter_range, patterns);
    ComprehensionExpr {
        iter_range: called(ROUNDS, vec![range, Tree { id: 0, expr: body }]),
        accu_init: metered(each.accu_init, patterns),
        loop_cond: metered(each.loop_cond, patterns),
        loop_step: metered(each.loop_step, patterns),
        result: metered(each.result, patterns),
        iter_var: each.iter_var,
        iter_var2: each.iter_var2,
        accu_var: each.accu_var,
    }
}

/// How many parts an expression has, long literals counting more.
fn size(tree: &Tree) -> u64 {
    let own = match &tree.expr {
        Expr::Literal(LiteralValue::String(text)) => of_text(text).saturating_add(1),
        _ => 1,
    };
    children(&tree.expr).into_iter().map(size).fold(own, u64::saturating_add)
}

fn metered_call(mut call: CallExpr, patterns: &mut i64) -> Expr {
    let name = call.func_name.as_str();
    if name == MATCHES {
        return matching(call, patterns);
    }
    // These give back one of their parts, or look into the first without copying it.
    let passes_on = matches!(
        name,
        operators::CONDITIONAL
            | operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::NOT_STRICTLY_FALSE
            | operators::INDEX
    );
    let mut part = |tree: Tree| if passes_on { metered(tree, patterns) } else { value(tree, patterns) };
    call.target = call.target.map(|target| Box::new(part(*target)));
    call.args = call.args.into_iter().map(part).collect();
    Expr::Call(call)
}

/// A call of `matches` with the number of its pattern instead of the pattern. A target comes first.
fn matching(call: CallExpr, patterns: &mut i64) -> Expr {
    let at = Tree { id: 0, expr: Expr::Literal(LiteralValue::Int(CelInt::from(*patterns))) };
    *patterns += 1;
    let text = call.target.map(|target| *target).or_else(|| call.args.into_iter().next());
    let text = metered(text.unwrap_or_default(), patterns);
    called(PATTERN, vec![text, at]).expr
}

/// `tree`, charged for the size of its value. What a literal costs is known, lists and mappings charge for
/// their own parts, and what a loop gathers must stay a bare name.
fn value(tree: Tree, patterns: &mut i64) -> Tree {
    let is_plain = match &tree.expr {
        Expr::Literal(_) | Expr::List(_) | Expr::Map(_) => true,
        Expr::Ident(name) => name.starts_with('@'),
        _ => false,
    };
    let tree = metered(tree, patterns);
    if is_plain { tree } else { called(VALUE, vec![tree]) }
}

fn called(name: &str, args: Vec<Tree>) -> Tree {
    Tree { id: 0, expr: Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }) }
}
