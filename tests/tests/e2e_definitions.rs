//! Definitions that people write, push, install, offer, and remove.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use slipway_tests::server::definition::{DEFINITION_ARTIFACT, archive, trait_files};
use slipway_tests::server::{Server, ServerOptions, World};
use slipway_tests::wait;

const PLAIN: &str = r#"{"type": "object", "additionalProperties": false, "properties": {}}"#;
const NOTHING: &str = "def render(ctx):\n    return []\n";
/// A definition that is wrong is refused within this time, on a machine that has nothing else to do.
const IN_TIME: Duration = Duration::from_secs(1);
/// Other tests take the cores for a while; who is slow by itself is slow in each of so many tries.
const TRIES: u32 = 8;
/// How much a refusal may cost the server; the bombs are far larger.
const GROWTH_MAX: u64 = 40 << 20;

fn token(server: &Server, role: &str) -> String {
    let made = server.json(&["token", "create", role, "--role", role]);
    made["token"].as_str().expect("a token").to_owned()
}

/// Writes a definition and gives its directory.
fn written(server: &Server, kind: &str, name: &str) -> String {
    let directory = server.scratch().join(name).display().to_string();
    server.cli(&["definition", "new", kind, name, "--dir", &directory]).ok();
    directory
}

fn raise(directory: &str, from: &str, to: &str) {
    let path = format!("{directory}/definition.yaml");
    let text = fs::read_to_string(&path).expect("a file");
    assert!(text.contains(from), "{text}");
    fs::write(&path, text.replace(from, to)).expect("a file");
}

fn pushed(server: &Server, directory: &str) -> String {
    let done = server.json(&["definition", "push", directory]);
    done["pinned"].as_str().expect("a reference").to_owned()
}

fn row(server: &Server, name: &str, version: &str) -> Option<Value> {
    let rows = server.json(&["definition", "list"]);
    let rows = rows.as_array().cloned().unwrap_or_default();
    rows.into_iter().find(|row| row["name"] == name && row["version"] == version)
}

#[test]
fn a_definition_is_pushed_installed_offered_and_removed() {
    let server = Server::fresh();
    let directory = written(&server, "trait", "careful");
    let pinned = pushed(&server, &directory);
    assert!(pinned.contains("/definitions/trait/careful@sha256:"), "{pinned}");
    let again = server.json(&["definition", "push", &directory]);
    assert_eq!((again["pinned"].as_str(), &again["new"]), (Some(&*pinned), &json!(false)));

    assert!(row(&server, "careful", "1.0.0").is_none());
    server.cli(&["definition", "install", &pinned]).ok();
    server.cli(&["definition", "install", &pinned]).ok();
    let installed = row(&server, "careful", "1.0.0").expect("it is installed");
    assert_eq!((&installed["source"]["from"], &installed["enabled"]), (&json!("package"), &json!(true)));
    assert_eq!(installed["source"]["reference"], pinned.as_str());
    let shown = server.cli(&["definition", "show", "careful"]).ok();
    assert!(shown.stdout.contains(&pinned) && shown.stdout.contains("seconds*"), "{}", shown.stdout);

    server.cli(&["definition", "disable", "careful"]).ok();
    assert_eq!(row(&server, "careful", "1.0.0").expect("it is kept")["enabled"], json!(false));
    let shown = server.json(&["definition", "show", "trait", "careful@1.0.0"]);
    assert_eq!((&shown["enabled"], shown["files"]["main.star"].is_string()), (&json!(false), true));
    server.cli(&["definition", "enable", "careful@1.0.0"]).ok();

    let unsure = server.cli(&["definition", "uninstall", "careful"]);
    assert!(unsure.code == 2 && unsure.stderr.contains("--yes"), "{}", unsure.stderr);
    server.cli(&["definition", "uninstall", "careful", "--yes"]).ok();
    assert!(row(&server, "careful", "1.0.0").is_none());
    let builtin = server.cli(&["definition", "uninstall", "trait", "hpa", "--yes"]);
    assert!(
        builtin.code == 1 && builtin.stderr.contains("no such definition is installed"),
        "{}",
        builtin.stderr
    );

    let audit = server.json(&["audit", "list", "--subject", "definition/trait/careful"]);
    let audit = audit.as_array().cloned().unwrap_or_default();
    let actions: Vec<&str> = audit.iter().rev().filter_map(|entry| entry["action"].as_str()).collect();
    let expected = ["definition.install", "definition.disable", "definition.enable", "definition.remove"];
    assert_eq!(actions, expected);
    assert_eq!(audit[0]["detail"]["reference"], pinned.as_str());
    server.cli(&["audit", "verify"]).ok();
}

#[test]
fn versions_stand_side_by_side_and_never_change() {
    let server = Server::fresh();
    let directory = written(&server, "policy", "regional");
    let first = pushed(&server, &directory);
    server.cli(&["definition", "install", &first]).ok();
    raise(&directory, "version: 1.0.0", "version: 2.0.0");
    let second = pushed(&server, &directory);
    server.cli(&["definition", "install", &second]).ok();
    assert!(row(&server, "regional", "1.0.0").is_some() && row(&server, "regional", "2.0.0").is_some());
    assert_eq!(server.json(&["definition", "show", "policy", "regional"])["version"], "2.0.0");
    let which = server.cli(&["definition", "disable", "regional"]);
    assert!(which.code == 2 && which.stderr.contains("regional@2.0.0"), "{}", which.stderr);

    // The same version with other contents: neither the registry's tag nor the installed one moves.
    fs::write(format!("{directory}/README.md"), "other words\n").expect("a file");
    let refused = server.cli(&["definition", "push", &directory]);
    assert!(refused.code != 0 && refused.stderr.contains("raise metadata.version"), "{}", refused.stderr);
    let other = format!("{}/definitions/policy/other:1", server.address());
    let other = server.json(&["definition", "push", &directory, &other]);
    let refused = server.cli(&["definition", "install", other["pinned"].as_str().expect("a reference")]);
    assert!(refused.code == 1 && refused.stderr.contains("other contents"), "{}", refused.stderr);
}

#[test]
fn roles_are_kept_apart() {
    let server = Server::fresh();
    let (operator, developer) = (token(&server, "operator"), token(&server, "developer"));
    let of = |kind: &str, name: &str| pushed(&server, &written(&server, kind, name));
    let (traits, component, step) = (of("trait", "t-one"), of("component", "c-one"), of("step", "s-one"));
    let attempt = |token: &str, reference: &str| server.cli_as(token, &["definition", "install", reference]);
    assert!(attempt(&developer, &traits).stderr.contains("operator"));
    for reference in [&component, &step] {
        let refused = attempt(&operator, reference);
        assert!(refused.code == 1 && refused.stderr.contains("admin"), "{}", refused.stderr);
    }
    assert!(row(&server, "c-one", "1.0.0").is_none());
    attempt(&operator, &traits).ok();
    attempt(server.token(), &component).ok();
    let refused = server.cli_as(&operator, &["definition", "disable", "component", "c-one"]);
    assert!(refused.code == 1 && refused.stderr.contains("admin"), "{}", refused.stderr);
    server.cli_as(&operator, &["definition", "uninstall", "t-one", "--yes"]).ok();
}

#[test]
fn nobody_takes_the_name_of_a_built_in_definition_unnoticed() {
    let server = Server::fresh();
    let operator = token(&server, "operator");
    let reference =
        server.push_definition("definitions/trait/x", &trait_files("hpa", "7.0.0", PLAIN, NOTHING, "[]"));
    let refused = server.cli(&["definition", "install", &reference]);
    assert!(refused.code == 1 && refused.stderr.contains("--beside-builtin"), "{}", refused.stderr);
    let refused = server.cli_as(&operator, &["definition", "install", &reference, "--beside-builtin"]);
    assert!(refused.code == 1 && refused.stderr.contains("admin"), "{}", refused.stderr);
    server.cli(&["definition", "install", &reference, "--beside-builtin"]).ok();
    assert!(row(&server, "hpa", "1.0.0").is_some() && row(&server, "hpa", "7.0.0").is_some());

    // What becomes of it is an admin's to say too.
    for word in [&["disable", "hpa"][..], &["uninstall", "hpa", "--yes"]] {
        let refused = server.cli_as(&operator, &[&["definition"], word].concat());
        assert!(refused.code == 1 && refused.stderr.contains("admin"), "{}", refused.stderr);
    }
    server.cli(&["definition", "disable", "hpa"]).ok();
    let refused = server.cli_as(&operator, &["definition", "enable", "hpa"]);
    assert!(refused.code == 1 && refused.stderr.contains("admin"), "{}", refused.stderr);
    server.cli(&["definition", "enable", "hpa"]).ok();

    // The very version of a built-in one, and an alias that is one's name.
    let mut same = trait_files("hpa", "1.0.0", PLAIN, NOTHING, "[]");
    let reference = server.push_definition("definitions/trait/x", &same);
    let refused = server.cli(&["definition", "install", &reference, "--beside-builtin"]);
    assert!(refused.code == 1 && refused.stderr.contains("raise its version"), "{}", refused.stderr);
    same[0].1 = same[0].1.replace("name: hpa", "name: mine\n  aliases: [pdb]");
    let reference = server.push_definition("definitions/trait/x", &same);
    let refused = server.cli(&["definition", "install", &reference]);
    assert!(refused.code == 1 && refused.stderr.contains("cannot answer to `pdb`"), "{}", refused.stderr);
}

#[test]
fn a_disabled_definition_keeps_its_names() {
    let server = Server::fresh();
    let install = |files: &[(&'static str, String)]| {
        let reference = server.push_definition("definitions/trait/x", files);
        server.cli(&["definition", "install", &reference])
    };
    let mut first = trait_files("aaa", "1.0.0", PLAIN, NOTHING, "[]");
    first[0].1 = first[0].1.replace("name: aaa", "name: aaa\n  aliases: [zoom]");
    install(&first).ok();
    server.cli(&["definition", "disable", "aaa"]).ok();
    let refused = install(&trait_files("zoom", "1.0.0", PLAIN, NOTHING, "[]"));
    assert!(refused.code == 1 && refused.stderr.contains("an alias of"), "{}", refused.stderr);
    server.cli(&["definition", "enable", "aaa"]).ok();
    assert!(row(&server, "aaa", "1.0.0").is_some_and(|row| row["enabled"] == true));
}

#[test]
fn what_is_wrong_is_told_and_nothing_is_installed() {
    let server = Server::fresh();
    let good = || trait_files("mine", "1.0.0", PLAIN, NOTHING, "[]");
    let with = |file: &str, from: &str, to: &str| {
        let mut files = good();
        let found = files.iter_mut().find(|(path, _)| *path == file).expect("that file");
        assert!(found.1.contains(from), "{}", found.1);
        found.1 = found.1.replace(from, to);
        files
    };
    let cases = [
        ("unsupported_api_level", with("definition.yaml", "api: 1", "api: 2")),
        ("invalid_definition", with("definition.yaml", "kind: TraitDefinition", "kind: Pod")),
        ("invalid_definition", with("schema.json", "\"type\": \"object\"", "\"type\": \"string\"")),
        ("example_failed", with("examples/plain.yaml", "expect: []", "expect: [{kind: Pod}]")),
        ("example_failed", with("main.star", "return []", "return 1 +")),
        ("invalid_definition", with("examples/plain.yaml", "expect: []", "refuse: {path: x}")),
        ("example_failed", with("main.star", "return []", "return [len]")),
        ("example_failed", with("main.star", "return []", "return {'nonsense': 1}")),
    ];
    for (code, files) in cases {
        let reference = server.push_definition("definitions/trait/mine", &files);
        let refused = server.post("/api/v1/definitions", &json!({"reference": reference}));
        assert_eq!(refused.status, 422, "{}", refused.text());
        let violations = refused.json()["violations"].clone();
        assert_eq!(violations[0]["code"], code, "{violations:#}");
    }
    let layer = archive(&[("../../etc/cron.d/x", "x"), ("main.star", "x")]);
    let reference = server.push_artifact("definitions/trait/mine", DEFINITION_ARTIFACT, &layer);
    let refused = server.post("/api/v1/definitions", &json!({"reference": reference}));
    assert!(
        refused.status == 422 && refused.text().contains("no file of a definition"),
        "{}",
        refused.text()
    );
    let image = server.push_artifact("definitions/trait/mine", "application/vnd.other", &layer);
    let refused = server.post("/api/v1/definitions", &json!({"reference": image}));
    assert!(refused.status == 422 && refused.text().contains("artifactType"), "{}", refused.text());
    let nowhere = format!("{}/definitions/trait/nowhere:1", server.address());
    let refused = server.post("/api/v1/definitions", &json!({"reference": nowhere}));
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(row(&server, "mine", "1.0.0").is_none());
    let audit = server.json(&["audit", "list", "--subject", "definition/trait/mine"]);
    assert_eq!(audit, json!([]));
    let reference = server.push_definition("definitions/trait/mine", &good());
    assert_eq!(server.post("/api/v1/definitions", &json!({"reference": reference})).status, 201);
}

/// What a definition does that wants too much.
const BOMBS: [(&str, &str); 8] = [
    ("list", "x = [0]\n    for i in range(100): x = x + x\n    return x"),
    ("string", "s = 'a'\n    for i in range(60): s += s\n    return s"),
    ("sort", "return sorted([str(i) for i in range(100000000)])"),
    ("replace", "s = 'aaaa'\n    for i in range(40): s = s.replace('a', 'aaaaaaaaaaaaaaaa')\n    return s"),
    ("recursion", "f = lambda g: g(g)\n    return f(f)"),
    ("loop", "for i in range(1000000000):\n        for j in range(1000000000): pass"),
    ("depth", "x = []\n    for i in range(300000): x = [x]\n    return x"),
    (
        "result",
        "return [object.apply({'apiVersion': 'v1', 'kind': 'A' * 3000000, 'metadata': {'name': 'x'}})]",
    ),
];

/// Refuses an installation, the best of some tries in time. What a harmless one takes beside it is the
/// slowness of a machine that is busy with other things.
fn refused_in_time(server: &Server, what: &str, reference: &str, codes: &[&str], harmless: &str) {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let began = Instant::now();
        let plain = server.post("/api/v1/definitions", &json!({"reference": harmless}));
        assert_eq!(plain.status, 200, "{}", plain.text());
        let slowness = began.elapsed();
        let (began, before) = (Instant::now(), server.peak_bytes());
        let refused = server.post("/api/v1/definitions", &json!({"reference": reference}));
        best = best.min(began.elapsed().saturating_sub(slowness));
        let grown = server.peak_bytes().saturating_sub(before);
        assert_eq!(refused.status, 422, "{what}: {}", refused.text());
        let code = refused.json()["violations"][0]["code"].as_str().unwrap_or_default().to_owned();
        assert!(codes.contains(&code.as_str()), "{what}: {}", refused.text());
        assert!(refused.text().len() < 20_000, "{what}: {} bytes", refused.text().len());
        assert!(grown < GROWTH_MAX, "{what}: the server grew by {grown} bytes");
        if best < IN_TIME {
            return;
        }
    }
    panic!("{what}: refused after {best:?} only");
}

#[test]
fn bombs_are_refused_in_a_second_and_cost_the_server_nothing() {
    let server = Server::start(ServerOptions { world: Some(World::Embedded), ..ServerOptions::default() });
    let good =
        server.push_definition("definitions/trait/good", &trait_files("good", "1.0.0", PLAIN, NOTHING, "[]"));
    assert_eq!(server.post("/api/v1/definitions", &json!({"reference": good})).status, 201);
    let before = server.peak_bytes();
    for (what, body) in BOMBS {
        let called = format!("def render(ctx):\n    {body}\n");
        let loaded = format!("def boom():\n    {body}\n\nx = boom()\n\ndef render(ctx):\n    return []\n");
        // What a module keeps for itself is returned to nobody.
        let forms = if what == "result" { vec![called] } else { vec![called, loaded] };
        for main in forms {
            let files = trait_files("bomb", "1.0.0", PLAIN, &main, "[]");
            let reference = server.push_definition("definitions/trait/bomb", &files);
            refused_in_time(&server, what, &reference, &["definition_limit", "example_failed"], &good);
        }
    }
    for (what, schema) in schemas() {
        let files = trait_files("bomb", "1.0.0", &schema, NOTHING, "[]");
        let reference = server.push_definition("definitions/trait/bomb", &files);
        refused_in_time(&server, what, &reference, &["invalid_definition"], &good);
    }
    let zeros = "\0".repeat(64 << 20);
    let layer = archive(&[("main.star", &zeros)]);
    let reference = server.push_artifact("definitions/trait/bomb", DEFINITION_ARTIFACT, &layer);
    refused_in_time(&server, "an archive", &reference, &["invalid_definition"], &good);
    let large = noise(6 << 20);
    let reference = server.push_artifact("definitions/trait/bomb", DEFINITION_ARTIFACT, &large);
    refused_in_time(&server, "a large layer", &reference, &["invalid_definition"], &good);
    let grown = server.peak_bytes().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "the server grew by {grown} bytes over all");
    assert!(row(&server, "bomb", "1.0.0").is_none());
}

/// Schemas that would take long, or much, to compile.
fn schemas() -> Vec<(&'static str, String)> {
    let object = |properties: &str, more: &str| {
        format!(
            r#"{{"type": "object", "additionalProperties": false, "properties": {{{properties}}}{more}}}"#
        )
    };
    let pattern = |n: usize| {
        format!(r#""p{n}": {{"type": "string", "pattern": "^(\\w{{1,20}}-){{1,{}}}$"}}"#, 20 + n % 7)
    };
    let patterns: Vec<String> = (0..4000).map(pattern).collect();
    let deep = format!(r#""a": {}{{}}{}"#, r#"{"items": "#.repeat(3000), "}".repeat(3000));
    let laughs: Vec<String> = (0..40)
        .map(|n| {
            format!(
                r##""d{n}": {{"anyOf": [{{"$ref": "#/$defs/d{m}"}}, {{"$ref": "#/$defs/d{m}"}}]}}"##,
                m = n + 1
            )
        })
        .chain([r#""d40": {"type": "string"}"#.to_owned()])
        .collect();
    vec![
        ("patterns", object(&patterns.join(","), "")),
        ("one pattern", object(r#""p": {"type": "string", "pattern": "^((a{1,99}){1,99}){1,99}$"}"#, "")),
        ("a deep schema", object(&deep, "")),
        (
            "references",
            object(r##""a": {"$ref": "#/$defs/d0"}"##, &format!(r#", "$defs": {{{}}}"#, laughs.join(","))),
        ),
    ]
}

/// Bytes that do not compress.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn a_directory_of_definitions_is_read_and_what_is_broken_in_it_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = ServerOptions { world: Some(World::Embedded), ..ServerOptions::default() };
    let path = directory.path().display().to_string();
    let server = Server::start(options.env("SLIPWAY__DEPLOY__DEFINITIONS_DIR", &path));
    let of = |name: &str| format!("{path}/{name}");
    for (kind, name) in [("trait", "here"), ("step", "steps/below")] {
        let bare = name.rsplit('/').next().expect("a name");
        server.cli(&["definition", "new", kind, bare, "--dir", &of(name)]).ok();
    }
    let within = Duration::from_secs(90);
    wait::holds("the directory is read", within, || row(&server, "here", "1.0.0").is_some());
    let found = row(&server, "below", "1.0.0").expect("one level below");
    assert_eq!(found["source"], json!({"from": "directory", "path": of("steps/below")}));

    server.cli(&["definition", "new", "trait", "hpa", "--dir", &of("shadow")]).ok();
    server.cli(&["definition", "new", "trait", "newer", "--dir", &of("newer")]).ok();
    raise(&of("newer"), "api: 1", "api: 9");
    wait::until("what cannot be taken is told", within, || {
        let told = server.cli(&["definition", "list"]).stderr;
        if told.contains("API") && told.contains("/shadow") { Ok(()) } else { Err(told) }
    });
    let doctor = server.cli(&["doctor"]);
    assert!(doctor.stdout.contains("definitions") && doctor.stdout.contains("/newer"), "{}", doctor.stdout);
    assert!(row(&server, "here", "1.0.0").is_some(), "the others are there");
    let refused = server.cli(&["definition", "uninstall", "here", "--yes"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
}
