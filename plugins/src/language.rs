//! Starlark as plug-ins see it.
//!
//! A program's modules are evaluated once and frozen; each call runs in a module of its own, so
//! no value outlives its call. Values are told apart from what the interpreter may do with them:
//! everything it has beyond the standard stands in `verbs`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use slipway_types::Digest;
use starlark::PrintHandler;
use starlark::environment::{FrozenModule, Globals, GlobalsBuilder, LibraryExtension, Module};
use starlark::eval::Evaluator;
use starlark::syntax::Dialect;
use starlark::values::Value;
use starlark::values::structs::AllocStruct;

use crate::cage;
use crate::error::Limit;
use crate::frame::{Call, Fault};
use crate::options::PluginOptions;

mod fault;
mod given;
mod modules;
mod returned;
mod verbs;

/// How many names of a module an error lists.
const NAMES_LISTED: usize = 20;

/// The language a plug-in's modules are written in.
pub(crate) const DIALECT: Dialect = Dialect {
    enable_keyword_only_arguments: true,
    enable_f_strings: true,
    enable_top_level_stmt: true,
    enable_load_reexport: false,
    ..Dialect::Standard
};

/// Evaluates calls and keeps their programs.
pub(crate) struct Interpreter {
    options: PluginOptions,
    globals: Globals,
    programs: BTreeMap<Digest, Loaded>,
}

/// A program whose modules have run.
struct Loaded {
    entry: String,
    module: FrozenModule,
}

/// What became of a call.
pub(crate) struct Outcome {
    pub(crate) known: bool,
    pub(crate) talk: Vec<String>,
    pub(crate) value: Result<Vec<u8>, Fault>,
}

impl Interpreter {
    pub(crate) fn new(options: PluginOptions) -> Self {
        let extensions = [LibraryExtension::StructType, LibraryExtension::SetType, LibraryExtension::Print];
        let globals = GlobalsBuilder::extended_by(&extensions).with(verbs::register).build();
        Self { options, globals, programs: BTreeMap::new() }
    }

    /// Runs one call on the JSON `given`.
    pub(crate) fn answer(&mut self, call: Call, given: &[u8]) -> Outcome {
        let Self { options, globals, programs } = self;
        let watch = Watch::new(options);
        let digest = call.program;
        let loaded = match call.source {
            Some(source) => modules::load(&source, globals, &watch).map(|module| {
                programs.insert(digest, Loaded { entry: source.entry, module });
            }),
            None => Ok(()),
        };
        let value = loaded.and_then(|()| match programs.get(&digest) {
            Some(loaded) => loaded.call(&call.function, given, &watch),
            None => Err(Fault::failed("the program was not sent")),
        });
        Outcome { known: programs.contains_key(&digest), talk: watch.lines.into_inner(), value }
    }
}

impl Loaded {
    fn call(&self, function: &str, given: &[u8], watch: &Watch) -> Result<Vec<u8>, Fault> {
        let defined =
            self.module.get_option(function).ok().flatten().ok_or_else(|| self.missing(function))?;
        let given: serde_json::Value = serde_json::from_slice(given)
            .map_err(|error| Fault::BadInput { path: String::new(), why: error.to_string() })?;
        Module::with_temp_heap(|module| {
            let heap = module.heap();
            let argument = match &given {
                serde_json::Value::Object(fields) => {
                    let mut values: Vec<(&str, Value)> = Vec::with_capacity(fields.len());
                    for (key, value) in fields {
                        values.push((key, given::value(heap, value, key)?));
                    }
                    heap.alloc(AllocStruct(values))
                }
                other => given::value(heap, other, "")?,
            };
            let callable = heap.access_owned_frozen_value(&defined);
            let mut evaluator = watch.evaluator(&module)?;
            let called = evaluator.eval_function(callable, &[argument], &[]);
            let value = called.map_err(|error| match fault::of(&error, watch) {
                // Only the call itself stands nowhere in the plug-in's text.
                Fault::Failed { message, at: None, .. } => {
                    Fault::failed(format!("`{function}` is called with one argument, `ctx`: {message}"))
                }
                fault => fault,
            })?;
            returned::json(value, watch.options)
        })
    }

    fn missing(&self, function: &str) -> Fault {
        let mut names: Vec<_> = self.module.names().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        names.truncate(NAMES_LISTED);
        let defined = match names.as_slice() {
            [] => "nothing".to_owned(),
            names => names.join(", "),
        };
        Fault::failed(format!(
            "`{}` defines no function `{function}` (it defines: {defined}): add `def {function}(ctx):`",
            self.entry
        ))
    }
}

/// Watches over one call: its CPU time and what it prints.
pub(crate) struct Watch<'a> {
    options: &'a PluginOptions,
    deadline: Duration,
    expired: Cell<bool>,
    lines: RefCell<Vec<String>>,
    printed_bytes: Cell<u64>,
}

impl<'a> Watch<'a> {
    fn new(options: &'a PluginOptions) -> Self {
        let deadline = cage::cpu_time() + Duration::from_millis(options.max_cpu_ms);
        Self {
            options,
            deadline,
            expired: Cell::new(false),
            lines: RefCell::default(),
            printed_bytes: Cell::new(0),
        }
    }

    /// An evaluator under this watch.
    fn evaluator<'v, 's>(&'s self, module: &'s Module<'v>) -> Result<Evaluator<'v, 's, 's>, Fault> {
        let mut evaluator = Evaluator::new(module);
        evaluator.set_print_handler(self);
        evaluator.set_check_cancelled(Box::new(|| {
            // Once only: asked again on its way out, the error would be replaced by one without a place.
            let expired = !self.expired.get() && cage::cpu_time() > self.deadline;
            if expired {
                self.expired.set(true);
            }
            expired
        }));
        let depth = usize::try_from(self.options.max_call_depth).unwrap_or(usize::MAX);
        evaluator.set_max_callstack_size(depth).map_err(|error| Fault::failed(error.to_string()))?;
        Ok(evaluator)
    }

    fn limit(&self, which: Limit, limit: u64, at: Option<slipway_types::Place>) -> Fault {
        Fault::Limit { which, limit, at }
    }
}

impl PrintHandler for Watch<'_> {
    fn println(&self, text: &str) -> starlark::Result<()> {
        let printed = self.printed_bytes.get() + text.len() as u64 + 1;
        // Talk is a courtesy: too much of it ends the talk, never the call.
        if printed <= self.options.max_talk_bytes {
            self.lines.borrow_mut().push(text.to_owned());
        } else if self.printed_bytes.get() <= self.options.max_talk_bytes {
            self.lines.borrow_mut().push(format!("… more than {} bytes", self.options.max_talk_bytes));
        }
        self.printed_bytes.set(printed);
        Ok(())
    }
}
