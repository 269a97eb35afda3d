use std::fmt::Write as _;

use proptest::prelude::*;
use slipway_buildkits::schema::Schema;

use super::*;

const MISTAKES: &str = include_str!("tests/mistakes.txt");
const EXAMPLE: &str = include_str!("tests/example.yaml");

/// One case of `mistakes.txt`.
struct Case {
    title: &'static str,
    /// Whether a JSON Schema can see the mistake.
    schema_sees: bool,
    yaml: String,
    problems: &'static str,
}

/// `=== title` (with `[schema]` if the JSON Schema sees it too), the file, `---> ` and the report.
/// `→` in a file stands for a tab.
fn cases() -> Vec<Case> {
    let case = |text: &'static str| {
        let (title, rest) = text.split_once('\n').unwrap();
        let (yaml, problems) = rest.split_once("--->\n").unwrap_or_else(|| panic!("{title}"));
        let (title, schema_sees) = title.strip_suffix(" [schema]").map_or((title, false), |t| (t, true));
        Case { title, schema_sees, yaml: yaml.replace('→', "\t"), problems: problems.trim_end() }
    };
    MISTAKES.split("=== ").skip(1).map(case).collect()
}

fn report(bytes: &[u8]) -> String {
    Manifest::parse(bytes, "slipway.yaml").map_or_else(|problems| problems.to_string(), |_| "accepted".into())
}

#[test]
fn every_kind_of_mistake_is_named_with_its_place() {
    let mut wrong = String::new();
    for case in cases() {
        let got = report(case.yaml.as_bytes());
        if got != case.problems {
            writeln!(wrong, "=== {}\n{}--->\n{got}\n", case.title, case.yaml).unwrap();
        }
    }
    assert!(wrong.is_empty(), "these reports differ:\n{wrong}");
}

#[test]
fn the_example_of_each_kit_is_accepted() {
    for kit in slipway_buildkits::Kits::builtin().all() {
        assert_eq!(report(kit.example().as_bytes()), "accepted", "{}", kit.name());
        assert!(kit.example().contains(&format!("kit: {}\n", kit.name())), "{}", kit.example());
    }
}

#[test]
fn the_json_schema_and_the_decoder_agree() {
    let schema = Schema::compile(serde_json::from_str(SCHEMA_JSON).unwrap()).unwrap();
    let json = |yaml: &str| yaml::read(yaml.as_bytes(), &YamlOptions::default()).ok().map(|d| d[0].to_json());
    assert_eq!(schema.problems(&json(EXAMPLE).unwrap()), []);
    for case in cases() {
        if let Some(json) = json(&case.yaml) {
            assert_eq!(!schema.problems(&json).is_empty(), case.schema_sees, "{}", case.title);
        }
    }
}

#[test]
fn the_json_schema_holds_the_kits_own_schemas() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA_JSON).unwrap();
    let kits = Kits::builtin();
    for name in kits.names() {
        let mut own = kits.get(name).unwrap().schema().clone();
        own.as_object_mut().unwrap().remove("$schema");
        assert_eq!(schema["$defs"][format!("with-{name}")], own, "{name}");
    }
    assert_eq!(schema["$defs"]["component"]["properties"]["kit"]["enum"], serde_json::json!(kits.names()));
}

#[test]
fn the_example_reads_as_written_and_keeps_its_places() {
    let manifest = Manifest::parse(EXAMPLE.as_bytes(), "apps/shop/slipway.yaml").unwrap();
    let api = manifest.component(&"api".parse().unwrap()).unwrap();
    assert_eq!(api.context.value.as_str(), "apps/shop/services/api");
    assert_eq!(
        (api.context.at, api.context.path.as_str()),
        (Position { line: 7, column: 14 }, "components[0].context")
    );
    assert_eq!(api.watch[0].value.as_str(), "libs/**");
    let missing = manifest.problem(&api.context, "there is no such directory").to_string();
    assert_eq!(missing, "apps/shop/slipway.yaml:7:14: components[0].context: there is no such directory");
    let view = serde_json::to_value(manifest.view()).unwrap();
    assert_eq!(view["labels"], serde_json::json!({"source/team": "commerce"}));
    assert_eq!(view["components"][0]["workload"]["overridable"][2], "env.*");
    assert_eq!(serde_json::from_value::<ManifestView>(view).unwrap(), manifest.view());
    let declaration = manifest.declaration(api);
    assert_eq!(declaration.with["args"]["PROFILE"], "release");
}

#[test]
fn what_a_kit_finds_wrong_stands_at_its_place_in_the_file() {
    use slipway_buildkits::{KitError, MemoryContext};
    let manifest = Manifest::parse(EXAMPLE.as_bytes(), "slipway.yaml").unwrap();
    let api = &manifest.components[0];
    let kit = Kits::builtin().get(&api.kit.value).unwrap();
    let error = kit.plan(&manifest.declaration(api), &MemoryContext::default()).unwrap_err();
    assert_eq!(
        manifest.kit_problem(api, &error).to_string(),
        "slipway.yaml:8:24: components[0].with.dockerfile: there is no file `Dockerfile` in the context \
         `services/api`; name it by `with.dockerfile`, from the context's top"
    );
    let in_file = KitError::file("Chart.yaml", Position { line: 3, column: 1 }, "wrong");
    assert_eq!(
        manifest.kit_problem(api, &in_file).to_string(),
        "slipway.yaml:7:14: components[0].context: Chart.yaml:3:1: wrong"
    );
}

#[test]
fn files_that_are_no_manifest_at_all_are_refused() {
    let large = vec![b'a'; 10 << 20];
    assert_eq!(
        report(&large),
        "slipway.yaml:1:1: the file has 10485760 bytes, the limit max_manifest_bytes is 1048576; move large values \
         into files of a component's context"
    );
    assert_eq!(report(b"a: b\nc: \xff\xfe"), "slipway.yaml:2:4: the file is not UTF-8 text");
    assert_eq!(report(b"\x7fELF\x02"), "slipway.yaml:1:1: the character U+007F may not stand in YAML");
    assert_eq!(report("[".repeat(200).as_bytes()), "slipway.yaml:1:33: nested deeper than 32 levels");
    let many = (0..300).map(|n| format!("unknown{n}: 1")).collect::<Vec<_>>().join("\n");
    assert_eq!(report(many.as_bytes()).lines().count(), 100);
    let empty = "slipway.yaml:1:1: the file is empty; begin with `apiVersion: slipway.dev/v1`";
    for nothing in ["", "\n", "# only\n", "---\n", "~"] {
        assert_eq!(report(nothing.as_bytes()), empty, "{nothing:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        report(&bytes);
    }

    /// Pieces of the corpus, put together in any order: near enough to reach deep into the decoder.
    #[test]
    fn any_mix_of_manifest_lines_is_read_without_panic(
        picks in proptest::collection::vec((0usize..10_000, 0usize..12, ".{0,3}"), 0..40)
    ) {
        let lines: Vec<&str> = EXAMPLE.lines().chain(MISTAKES.lines()).collect();
        let mut text = String::new();
        for (pick, indent, noise) in picks {
            let line = lines[pick % lines.len()];
            writeln!(text, "{}{}{noise}", " ".repeat(indent), line.trim_start()).unwrap();
        }
        report(text.as_bytes());
    }

    /// One character of the example changed or removed: refused or read, always with places in the file.
    #[test]
    fn a_damaged_example_is_reported_inside_the_file(at in 0usize..2_000, with in "[-:{}\\[\\]#&*!\"' \n\ta]?") {
        let at = at % EXAMPLE.len();
        let text = format!("{}{with}{}", &EXAMPLE[..at], &EXAMPLE[at + 1..]);
        if let Err(problems) = Manifest::parse(text.as_bytes(), "slipway.yaml") {
            for problem in problems {
                prop_assert!((1..=text.lines().count() + 1).contains(&problem.line), "{problem}");
            }
        }
    }
}
