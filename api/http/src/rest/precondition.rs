//! `if_current`: what must hold now for a change to happen.

use serde::{Deserialize, Deserializer};

/// A compare-and-swap's condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Precondition<T> {
    /// The field was absent: whatever holds now is replaced.
    #[default]
    Unchecked,
    /// This must hold; `None`: nothing may be there.
    Current(Option<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Precondition<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<T>::deserialize(deserializer).map(Self::Current)
    }
}
