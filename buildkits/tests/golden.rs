//! Each `<kit>/golden/*.yaml`: a declaration and files give exactly these verbs, or this error.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use slipway_buildkits::{Declaration, Kit, Kits, MemoryContext, Verb};
use slipway_yaml::{self as yaml, YamlOptions};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    declaration: Declaration,
    #[serde(default)]
    files: std::collections::BTreeMap<String, String>,
    verbs: Option<Value>,
    error: Option<String>,
}

fn cases(kit: &str) -> Vec<(String, Golden)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kit).join("golden");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let documents = yaml::read(&std::fs::read(&path).unwrap(), &YamlOptions::default()).unwrap();
        for (index, document) in documents.iter().enumerate() {
            let golden = serde_json::from_value(document.to_json())
                .unwrap_or_else(|error| panic!("{}[{index}]: {error}", path.display()));
            cases.push((format!("{}[{index}]", path.display()), golden));
        }
    }
    cases
}

#[test]
fn kits_plan_as_their_golden_files_say() {
    let mut failures = Vec::new();
    for name in Kits::builtin().names() {
        let kit = Kits::builtin().get(name).unwrap();
        let cases = cases(name);
        assert!(cases.iter().any(|(_, c)| c.verbs.is_some()), "{name} has no golden plan");
        failures.extend(cases.into_iter().filter_map(|(title, case)| failure(kit, &title, case)));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn failure(kit: &dyn Kit, title: &str, golden: Golden) -> Option<String> {
    let files = MemoryContext::new(golden.files);
    let got = kit.plan(&golden.declaration, &files);
    match (got, golden.verbs, golden.error) {
        (Ok(verbs), Some(wanted), None) => {
            let json = serde_json::to_value(&verbs).unwrap();
            assert_eq!(serde_json::from_value::<Vec<Verb>>(json.clone()).unwrap(), verbs, "{title}");
            (json != wanted).then(|| format!("{title}:\n  got    {json}\n  wanted {wanted}"))
        }
        (Err(error), None, Some(wanted)) => {
            let got = error.to_string();
            (got != wanted).then(|| format!("{title}:\n  got    {got}\n  wanted {wanted}"))
        }
        (got, verbs, error) => Some(format!("{title}:\n  got {got:?}\n  wanted {verbs:?} {error:?}")),
    }
}
