//! JSON as CEL values. Text is borrowed, so a copy of a value costs by its nodes.

use std::collections::HashMap;

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;
use serde_json::{Number, Value};

use super::ExpressionError;
use super::meter::Meter;

/// The deepest value; what the API server takes is shallower.
const VALUE_DEPTH_MAX: usize = 128;

/// `value` for the evaluator, each of its nodes a step.
pub(super) fn convert<'v>(value: &'v Value, meter: &Meter) -> Result<Box<dyn Val + 'v>, ExpressionError> {
    nested(value, meter, VALUE_DEPTH_MAX)
}

fn nested<'v>(value: &'v Value, meter: &Meter, levels: usize) -> Result<Box<dyn Val + 'v>, ExpressionError> {
    meter.spend(1).map_err(|_| ExpressionError::Steps)?;
    let inside = || {
        levels.checked_sub(1).ok_or_else(|| {
            ExpressionError::Failed(format!("a value nests deeper than {VALUE_DEPTH_MAX} levels"))
        })
    };
    Ok(match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) => convert_number(number),
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => {
            let levels = inside()?;
            let items: Result<Vec<_>, _> = items.iter().map(|item| nested(item, meter, levels)).collect();
            Box::new(CelList::from(items?))
        }
        Value::Object(fields) => {
            let levels = inside()?;
            let fields: Result<HashMap<_, _>, _> = fields
                .iter()
                .map(|(key, field)| Ok((CelMapKey::from(key.as_str()), nested(field, meter, levels)?)))
                .collect();
            Box::new(CelMap::from(fields?))
        }
    })
}

fn convert_number<'v>(number: &Number) -> Box<dyn Val + 'v> {
    if let Some(number) = number.as_i64() {
        return Box::new(CelInt::from(number));
    }
    match number.as_u64() {
        Some(number) => Box::new(CelUInt::from(number)),
        None => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
    }
}
