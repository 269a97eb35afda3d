//! The kits by name.

use std::sync::LazyLock;

use crate::kit::{BuiltinKit, Kit, KitLimits};
use crate::{dockerfile, helm, image, kustomize, manifests};

/// The kits a server knows.
pub struct Kits(Vec<Box<dyn Kit>>);

static BUILTIN: LazyLock<Kits> = LazyLock::new(|| Kits::builtin_within(&KitLimits::default()));

impl Kits {
    /// The kits compiled into Slipway, with the default limits.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// The kits compiled into Slipway, with `limits`.
    pub fn builtin_within(limits: &KitLimits) -> Self {
        macro_rules! kit {
            ($name:ident) => {
                Box::new(
                    BuiltinKit::new(
                        include_str!(concat!("../", stringify!($name), "/kit.yaml")),
                        include_str!(concat!("../", stringify!($name), "/schema.json")),
                        limits.clone(),
                        $name::plan,
                    )
                    .with_example(include_str!(concat!("../", stringify!($name), "/example.yaml"))),
                ) as Box<dyn Kit>
            };
        }
        Self(vec![kit!(dockerfile), kit!(helm), kit!(image), kit!(kustomize), kit!(manifests)])
    }

    /// The kit of that name.
    pub fn get(&self, name: &str) -> Option<&dyn Kit> {
        self.0.iter().find(|kit| kit.name() == name).map(AsRef::as_ref)
    }

    /// Every kit, by name.
    pub fn all(&self) -> impl Iterator<Item = &(dyn Kit + 'static)> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Every kit's name, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|kit| kit.name()).collect()
    }
}

impl std::fmt::Debug for Kits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Kits").field(&self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_is_a_kit_under_its_own_name() {
        let kits = Kits::builtin();
        assert_eq!(kits.names(), ["dockerfile", "helm", "image", "kustomize", "manifests"]);
        assert!(kits.get("dockerfile").is_some() && kits.get("jib").is_none());
    }
}
