//! Starlark into JSON, written down as far as it may be.

use std::fmt::Write as _;

use starlark::values::dict::DictRef;
use starlark::values::float::StarlarkFloat;
use starlark::values::list::ListRef;
use starlark::values::structs::StructRef;
use starlark::values::tuple::TupleRef;
use starlark::values::{UnpackValue, Value, ValueLike};

use super::fault::cut;
use crate::error::Limit;
use crate::frame::Fault;
use crate::options::PluginOptions;

/// Steps of a path an error shows from its beginning.
const STEPS_SHOWN: usize = 16;

/// `value` as JSON text.
pub(super) fn json(value: Value, options: &PluginOptions) -> Result<Vec<u8>, Fault> {
    let mut writer = Writer { options, text: Vec::new(), values: 0, path: Vec::new() };
    writer.value(value)?;
    Ok(writer.text)
}

/// One step down into a value.
enum Step {
    Index(usize),
    Key(String),
}

struct Writer<'a> {
    options: &'a PluginOptions,
    text: Vec<u8>,
    values: u64,
    path: Vec<Step>,
}

impl Writer<'_> {
    fn value(&mut self, value: Value) -> Result<(), Fault> {
        self.values += 1;
        if self.values > self.options.max_output_values {
            return Err(limit(Limit::OutputValues, self.options.max_output_values));
        }
        if self.path.len() as u64 > self.options.max_depth {
            return Err(limit(Limit::Depth, self.options.max_depth));
        }
        if value.is_none() {
            self.put(b"null")
        } else if let Some(flag) = value.unpack_bool() {
            self.put(if flag { b"true" } else { b"false" })
        } else if let Some(text) = value.unpack_str() {
            self.string(text)
        } else if value.get_type() == "int" {
            self.integer(value)
        } else if let Some(number) = value.downcast_ref::<StarlarkFloat>() {
            self.float(number.0)
        } else if let Some(list) = ListRef::from_value(value) {
            self.list(list.content())
        } else if let Some(tuple) = TupleRef::from_value(value) {
            self.list(tuple.content())
        } else if let Some(dict) = DictRef::from_value(value) {
            self.dict(&dict)
        } else if let Some(fields) = StructRef::from_value(value) {
            self.fields(fields.iter().map(|(name, value)| (name.as_str().to_owned(), value)))
        } else {
            Err(self.bad(format!(
                "a value of type `{}`; only None, bool, int, float, string, list, tuple, dict and struct can be returned",
                value.get_type()
            )))
        }
    }

    fn integer(&mut self, value: Value) -> Result<(), Fault> {
        let text = if let Ok(Some(number)) = i64::unpack_value(value) {
            number.to_string()
        } else if let Ok(Some(number)) = u64::unpack_value(value) {
            number.to_string()
        } else {
            return Err(self.bad("an int that does not fit into 64 bits; return it as a string".to_owned()));
        };
        self.put(text.as_bytes())
    }

    fn float(&mut self, number: f64) -> Result<(), Fault> {
        if !number.is_finite() {
            return Err(self.bad(format!("the float {number}, which JSON does not know")));
        }
        let text = serde_json::to_vec(&number).map_err(|error| self.bad(error.to_string()))?;
        self.put(&text)
    }

    fn string(&mut self, text: &str) -> Result<(), Fault> {
        // Quoting makes a text at most six times as long, so look before the memory is taken.
        if text.len() as u64 > self.options.max_output_bytes {
            return Err(limit(Limit::OutputSize, self.options.max_output_bytes));
        }
        let quoted = serde_json::to_vec(text).map_err(|error| self.bad(error.to_string()))?;
        self.put(&quoted)
    }

    fn list(&mut self, items: &[Value]) -> Result<(), Fault> {
        self.put(b"[")?;
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.put(b",")?;
            }
            self.path.push(Step::Index(index));
            self.value(*item)?;
            self.path.pop();
        }
        self.put(b"]")
    }

    fn dict(&mut self, dict: &DictRef) -> Result<(), Fault> {
        let mut fields = Vec::with_capacity(dict.len());
        for (key, value) in dict.iter() {
            let Some(name) = key.unpack_str() else {
                let found = cut(&key.to_string_for_type_error(), 80);
                return Err(self.bad(format!("a dict with the key {found}; keys must be strings")));
            };
            fields.push((name.to_owned(), value));
        }
        self.fields(fields.into_iter())
    }

    fn fields<'v>(&mut self, fields: impl Iterator<Item = (String, Value<'v>)>) -> Result<(), Fault> {
        self.put(b"{")?;
        for (index, (name, value)) in fields.enumerate() {
            if index > 0 {
                self.put(b",")?;
            }
            self.string(&name)?;
            self.put(b":")?;
            self.path.push(Step::Key(name));
            self.value(value)?;
            self.path.pop();
        }
        self.put(b"}")
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if (self.text.len() + bytes.len()) as u64 > self.options.max_output_bytes {
            return Err(limit(Limit::OutputSize, self.options.max_output_bytes));
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn bad(&self, why: String) -> Fault {
        let mut path = String::new();
        for step in self.path.iter().take(STEPS_SHOWN) {
            let written = match step {
                Step::Index(index) => write!(path, "[{index}]"),
                Step::Key(key) if path.is_empty() => write!(path, "{}", cut(key, 80)),
                Step::Key(key) => write!(path, ".{}", cut(key, 80)),
            };
            written.expect("invariant: writing to a string succeeds");
        }
        Fault::BadResult { path, why }
    }
}

fn limit(which: Limit, limit: u64) -> Fault {
    Fault::Limit { which, limit, at: None }
}
