//! The modules of a program, each evaluated after those it loads.

use std::collections::BTreeMap;

use starlark::codemap::FileSpan;
use starlark::environment::{FrozenModule, Globals, Module};
use starlark::eval::FileLoader;
use starlark::syntax::AstModule;

use super::{DIALECT, Watch, fault};
use crate::frame::{Fault, Source};

/// Evaluates the entry of `source` and what it loads; the frozen entry.
pub(super) fn load(source: &Source, globals: &Globals, watch: &Watch) -> Result<FrozenModule, Fault> {
    let mut loading = Loading { source, globals, watch, done: Loadable::default(), under_way: Vec::new() };
    loading.module(&source.entry, None)
}

struct Loading<'a> {
    source: &'a Source,
    globals: &'a Globals,
    watch: &'a Watch<'a>,
    done: Loadable,
    /// The modules that wait for each other, outermost first.
    under_way: Vec<String>,
}

impl Loading<'_> {
    fn module(&mut self, name: &str, wanted: Option<&FileSpan>) -> Result<FrozenModule, Fault> {
        if let Some(module) = self.done.0.get(name) {
            return Ok(module.clone());
        }
        let Some(text) = self.source.modules.get(name) else { return Err(self.missing(name, wanted)) };
        if self.under_way.iter().any(|waiting| waiting == name) {
            let circle = format!("{} → {name}", self.under_way.join(" → "));
            return Err(fault::at(wanted, format!("modules load each other in a circle: {circle}")));
        }
        self.under_way.push(name.to_owned());
        let parsed = AstModule::parse(name, text.clone(), &DIALECT);
        let parsed = parsed.map_err(|error| fault::of(&error, self.watch))?;
        for load in parsed.loads() {
            self.module(load.module_id, Some(&load.span))?;
        }
        let module = self.evaluate(parsed)?;
        self.under_way.pop();
        self.done.0.insert(name.to_owned(), module.clone());
        Ok(module)
    }

    fn evaluate(&self, parsed: AstModule) -> Result<FrozenModule, Fault> {
        Module::with_temp_heap(|module| {
            let mut evaluator = self.watch.evaluator(&module)?;
            evaluator.set_loader(&self.done);
            evaluator.eval_module(parsed, self.globals).map_err(|error| fault::of(&error, self.watch))?;
            drop(evaluator);
            module.freeze().map_err(|error| Fault::failed(format!("a module cannot be kept: {error:?}")))
        })
    }

    fn missing(&self, name: &str, wanted: Option<&FileSpan>) -> Fault {
        let names: Vec<_> = self.source.modules.keys().map(String::as_str).collect();
        fault::at(wanted, format!("there is no module `{name}`; the modules are: {}", names.join(", ")))
    }
}

/// The modules that others may load by now.
#[derive(Default)]
struct Loadable(BTreeMap<String, FrozenModule>);

impl FileLoader for Loadable {
    fn load(&self, path: &str) -> starlark::Result<FrozenModule> {
        self.0.get(path).cloned().ok_or_else(|| {
            starlark::Error::new_other(std::io::Error::other(format!("there is no module `{path}`")))
        })
    }
}
