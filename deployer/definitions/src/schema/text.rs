//! The text of a schema: JSON in which no key stands twice.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Reads `text`; of two values of one key JSON would forget the first.
pub(super) fn read(text: &[u8]) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    Once { path: String::new() }.deserialize(&mut reader)?;
    reader.end()?;
    serde_json::from_slice(text)
}

/// A value at a JSON pointer, looked through for keys that stand twice.
struct Once {
    path: String,
}

impl Once {
    fn inside(&self, step: impl fmt::Display) -> Self {
        Self { path: format!("{}/{step}", self.path) }
    }
}

impl<'de> DeserializeSeed<'de> for Once {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut count = 0;
        while items.next_element_seed(self.inside(count))?.is_some() {
            count += 1;
        }
        Ok(())
    }

    // Numbers that fit no machine word come as a map of one entry too.
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut known = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            let inside = self.inside(&key);
            if !known.insert(key) {
                return Err(A::Error::custom(format!("`{}` stands twice", inside.path)));
            }
            entries.next_value_seed(inside)?;
        }
        Ok(())
    }
}
