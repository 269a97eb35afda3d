//! JSON into Starlark.

use serde_json::Value as Json;
use starlark::values::dict::AllocDict;
use starlark::values::list::AllocList;
use starlark::values::{Heap, Value};

use crate::frame::Fault;

/// `json` on `heap`; `path` says where it stands in the input. The parent has bounded its depth.
pub(super) fn value<'v>(heap: Heap<'v>, json: &Json, path: &str) -> Result<Value<'v>, Fault> {
    Ok(match json {
        Json::Null => Value::new_none(),
        Json::Bool(flag) => Value::new_bool(*flag),
        Json::String(text) => heap.alloc(text.as_str()),
        Json::Number(number) => {
            let whole = !number.to_string().contains(['.', 'e', 'E']);
            if let Some(number) = number.as_i64() {
                heap.alloc(number)
            } else if let Some(number) = number.as_u64() {
                heap.alloc(number)
            } else if let Some(number) = number.as_f64().filter(|number| !whole && number.is_finite()) {
                heap.alloc(number)
            } else {
                let why = format!("the number {number} does not fit into 64 bits: write it as a string");
                return Err(Fault::BadInput { path: path.to_owned(), why });
            }
        }
        Json::Array(items) => {
            let mut values = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                values.push(
                    value(heap, item, path).map_err(|fault| beneath(fault, path, &format!("[{index}]")))?,
                );
            }
            heap.alloc(AllocList(values))
        }
        Json::Object(fields) => {
            let mut values = Vec::with_capacity(fields.len());
            for (key, field) in fields {
                values.push((
                    key.as_str(),
                    value(heap, field, path).map_err(|fault| beneath(fault, path, &format!(".{key}")))?,
                ));
            }
            heap.alloc(AllocDict(values))
        }
    })
}

/// Puts a step between `path` and what follows it, so that paths are only built for faults.
fn beneath(fault: Fault, path: &str, step: &str) -> Fault {
    match fault {
        Fault::BadInput { path: whole, why } => {
            let rest = whole.strip_prefix(path).unwrap_or(&whole);
            Fault::BadInput { path: format!("{path}{step}{rest}"), why }
        }
        other => other,
    }
}
