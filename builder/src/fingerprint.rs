//! The image fingerprint: a digest of everything that can change an image.
//!
//! It is the SHA-256 of canonical JSON (keys sorted, no white space), so equal inputs give equal
//! fingerprints on every server. No host, port, path or clock is among the inputs.

use std::collections::BTreeMap;

use serde_json::json;
use slipway_records::plan::{BuildPlan, ImagePlan};
use slipway_types::state::BuiltImage;
use slipway_types::{ComponentName, Digest};

/// Raised when the inputs or their order below change.
const FORMAT: u32 = 1;

/// The fingerprint of an image whose needed components are built; `kit_digest` is the kit's.
pub fn image(
    plan: &ImagePlan,
    kit_digest: &Digest,
    needs: &BTreeMap<ComponentName, Vec<BuiltImage>>,
) -> Digest {
    let inputs = match plan {
        ImagePlan::Build(build) => build_inputs(build, needs),
        ImagePlan::Pin { reference, digest, platforms, .. } => json!({
            "pin": {"host": reference.host, "repository": reference.repository, "digest": digest, "platforms": platforms},
        }),
    };
    let document = json!({"format": FORMAT, "kit": kit_digest, "inputs": inputs});
    Digest::of(canonical(&document))
}

fn build_inputs(build: &BuildPlan, needs: &BTreeMap<ComponentName, Vec<BuiltImage>>) -> serde_json::Value {
    let needs: BTreeMap<&str, Vec<Digest>> = needs
        .iter()
        .map(|(name, images)| (name.as_str(), images.iter().map(|image| image.digest).collect()))
        .collect();
    json!({
        "context": build.context_tree,
        "dockerfile": build.dockerfile,
        "target": build.target,
        "args": build.args,
        "platforms": build.platforms,
        "bases": build.bases.iter().map(|base| (base.reference.to_string(), base.digest)).collect::<BTreeMap<_, _>>(),
        "secrets": build.secrets,
        "watched": build.watched,
        "backend": build.backend,
        "recipe": build.recipe,
        "needs": needs,
    })
}

/// The one way to write JSON that is hashed: `serde_json` without `preserve_order` keeps object keys
/// sorted, and its compact form has no white space.
pub fn canonical(value: &serde_json::Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("invariant: a JSON value serialises")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use slipway_records::plan::PlannedBase;

    use super::*;

    fn plan() -> BuildPlan {
        BuildPlan {
            context_tree: "1".repeat(40),
            dockerfile: "Dockerfile".into(),
            target: None,
            args: BTreeMap::from([("B".into(), "2".into()), ("A".into(), "1".into())]),
            platforms: vec!["linux/amd64".parse().unwrap()],
            bases: vec![],
            secrets: BTreeMap::new(),
            watched: BTreeMap::new(),
            backend: "assemble".into(),
            recipe: 1,
            backend_why: "no RUN".into(),
        }
    }

    #[test]
    fn keys_are_sorted_so_that_equal_inputs_have_equal_bytes() {
        let text = String::from_utf8(canonical(&json!({"b": 1, "a": {"d": 1, "c": 2}}))).unwrap();
        assert_eq!(text, r#"{"a":{"c":2,"d":1},"b":1}"#);
    }

    #[test]
    fn every_input_changes_the_fingerprint_and_the_reason_does_not() {
        let kit = Digest::of("kit");
        let of = |plan: BuildPlan| image(&ImagePlan::Build(plan), &kit, &BTreeMap::new());
        let base = of(plan());
        assert_eq!(base, of(BuildPlan { backend_why: "other words".into(), ..plan() }));
        let changed = [
            of(BuildPlan { context_tree: "2".repeat(40), ..plan() }),
            of(BuildPlan { dockerfile: "x".into(), ..plan() }),
            of(BuildPlan { target: Some("x".into()), ..plan() }),
            of(BuildPlan { args: BTreeMap::new(), ..plan() }),
            of(BuildPlan { platforms: vec!["linux/arm64".parse().unwrap()], ..plan() }),
            of(BuildPlan { secrets: BTreeMap::from([("npm".into(), "2".into())]), ..plan() }),
            of(BuildPlan { watched: BTreeMap::from([("a".into(), "b".into())]), ..plan() }),
            of(BuildPlan { backend: "docker".into(), ..plan() }),
            of(BuildPlan { recipe: 2, ..plan() }),
            of(BuildPlan { bases: vec![planned_base("debian:13", "one")], ..plan() }),
            of(BuildPlan { bases: vec![planned_base("debian:13", "two")], ..plan() }),
            of(BuildPlan { bases: vec![planned_base("debian:12", "one")], ..plan() }),
            image(&ImagePlan::Build(plan()), &Digest::of("other kit"), &BTreeMap::new()),
            image(&ImagePlan::Build(plan()), &kit, &needs("api", "one")),
            image(&ImagePlan::Build(plan()), &kit, &needs("api", "two")),
            image(&ImagePlan::Build(plan()), &kit, &needs("web", "one")),
        ];
        assert_all_differ(changed.into_iter().chain([base]));
    }

    #[test]
    fn a_pin_is_its_place_digest_and_platforms() {
        let kit = Digest::of("kit");
        let pin = |reference: &str, digest: &str, platforms: &[&str], note: Option<&str>| {
            let plan = ImagePlan::Pin {
                reference: reference.parse().unwrap(),
                digest: Digest::of(digest),
                platforms: platforms.iter().map(|platform| platform.parse().unwrap()).collect(),
                note: note.map(ToOwned::to_owned),
            };
            image(&plan, &kit, &BTreeMap::new())
        };
        let first = pin("redis:7", "one", &[], None);
        assert_eq!(first, pin("redis:8", "one", &[], Some("of earlier")), "only where the tag led counts");
        let others = [
            pin("valkey:7", "one", &[], None),
            pin("quay.io/library/redis:7", "one", &[], None),
            pin("redis:7", "two", &[], None),
            pin("redis:7", "one", &["linux/arm64"], None),
            image(&ImagePlan::Build(plan()), &kit, &BTreeMap::new()),
        ];
        assert_all_differ(others.into_iter().chain([first]));
    }

    fn planned_base(reference: &str, digest: &str) -> PlannedBase {
        PlannedBase { reference: reference.parse().unwrap(), digest: Digest::of(digest), note: None }
    }

    fn needs(name: &str, digest: &str) -> BTreeMap<ComponentName, Vec<BuiltImage>> {
        let image = BuiltImage {
            repository: format!("default/shop/i/{name}"),
            registry: None,
            digest: Digest::of(digest),
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            size: 1,
            platforms: Vec::new(),
        };
        BTreeMap::from([(name.parse().unwrap(), vec![image])])
    }

    fn assert_all_differ(fingerprints: impl Iterator<Item = Digest>) {
        let mut seen = BTreeSet::new();
        for (number, fingerprint) in fingerprints.enumerate() {
            assert!(seen.insert(fingerprint), "number {number} equals one before it");
        }
    }
}
