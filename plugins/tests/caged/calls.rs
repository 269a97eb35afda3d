//! What a call brings back when all goes well, and how it fails when the plug-in is wrong.

use serde_json::json;
use slipway_plugins::{PluginError, PluginOptions, Program, Refusal};

use crate::{limited, run, session};

async fn failure(text: &str) -> String {
    run(text, json!({"properties": {"port": 1}})).await.unwrap_err().to_string()
}

#[tokio::test]
async fn json_goes_in_and_comes_out_unchanged() {
    let value = json!({
        "none": null, "yes": true, "no": false, "small": -1, "large": u64::MAX, "least": i64::MIN,
        "half": 0.5, "text": "äöü \u{1F980} \"quoted\"\n", "list": [1, [2, []]], "dict": {"a": {"b": {}}}
    });
    let brought = run("def render(ctx): return ctx.value", json!({"value": value})).await.unwrap();
    assert_eq!(brought, value);
}

#[tokio::test]
async fn top_level_keys_are_fields_and_what_is_below_are_dicts() {
    let text =
        "def render(ctx):\n  return [ctx.app['name'], ctx.properties.get('port', 80), f'{ctx.name}-x']";
    let input = json!({"app": {"name": "shop"}, "properties": {}, "name": "web"});
    assert_eq!(run(text, input).await.unwrap(), json!(["shop", 80, "web-x"]));
}

#[tokio::test]
async fn structs_tuples_and_the_rest_of_the_language_work() {
    let text = "
NAMES = [n.upper() for n in ['a', 'b']]
for n in NAMES:
    pass
def render(ctx):
    f = lambda x, *, y = 1: x + y
    return struct(names = NAMES, pair = (1, f(1, y = 2)), seen = sorted(set([2, 1, 2])))
";
    assert_eq!(
        run(text, json!({})).await.unwrap(),
        json!({"names": ["A", "B"], "pair": [1, 3], "seen": [1, 2]})
    );
}

#[tokio::test]
async fn every_verb_is_a_dict() {
    let text = r#"
ref = {"apiVersion": "v1", "kind": "Service", "name": "web"}
def render(ctx):
    job_object = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "m"}}
    return [
        object.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
                      "stringData": {"password": secret.ref("secret://builtin/shop/db#password")}}),
        job.run(job_object),
        container.run("plan", image = "i:1", env = {"A": "b", "T": secret.ref("secret://builtin/t")}, retries = None),
        http.call(method = "POST", url = "https://hooks.example/x", body = {"a": 1}),
        wait(object = ref, until = "object.status.ready"),
        output.set("host", object = ref, path = "spec.clusterIP"),
        output.set("port", value = 80),
        chart.render(values = {"a": 1}, release = "shop"),
        chart.render(),
        kustomize.build(path = "overlays/prod"),
        files.objects(paths = ["a.yaml"]),
    ]
"#;
    let reference = json!({"apiVersion": "v1", "kind": "Service", "name": "web"});
    let expected = json!([
        {"verb": "object.apply", "object": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "stringData": {"password": {"$secret": "secret://builtin/shop/db#password"}}}},
        {"verb": "job.run", "object": {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "m"}}},
        {"verb": "container.run", "name": "plan", "image": "i:1",
            "env": {"A": "b", "T": {"$secret": "secret://builtin/t"}}},
        {"verb": "http.call", "method": "POST", "url": "https://hooks.example/x", "body": {"a": 1}},
        {"verb": "wait", "object": reference, "until": "object.status.ready"},
        {"verb": "output.set", "name": "host", "object": reference, "path": "spec.clusterIP"},
        {"verb": "output.set", "name": "port", "value": 80},
        {"verb": "chart.render", "values": {"a": 1}, "release": "shop"},
        {"verb": "chart.render", "values": {}},
        {"verb": "kustomize.build", "path": "overlays/prod"},
        {"verb": "files.objects", "paths": ["a.yaml"]},
    ]);
    assert_eq!(run(text, json!({})).await.unwrap(), expected);
}

#[tokio::test]
async fn a_constructor_says_what_it_was_wrongly_given_and_where() {
    for (call, said) in [
        (
            "object.apply([])",
            "main.star:2:10: at `object.apply([])`: object.apply: the object must be a dict, not `list`",
        ),
        ("object.apply({'kind': 'X'})", "object.apply: the object has no `apiVersion`"),
        (
            "object.apply({'kind': 'X', 'apiVersion': 'v1', 'metadata': {}})",
            "the object has no `metadata.name`",
        ),
        (
            "job.run({'kind': 'Pod', 'apiVersion': 'v1', 'metadata': {'name': 'x'}})",
            "job.run takes a `batch/v1` `Job`, not a `v1` `Pod`",
        ),
        ("container.run('plan')", "container.run needs an `image`"),
        ("container.run('plan', imge = 'i')", "container.run: there is no `imge`; it takes again, args,"),
        ("container.run('plan', image = 'i', env = {'A': 1})", "the variable `A` must be text"),
        ("http.call(method = 'BREW', url = 'https://x')", "the method `BREW` is none of"),
        ("http.call(method = 'GET', url = 'file:///etc/passwd')", "begins with neither https:// nor http://"),
        ("wait(object = {'kind': 'X'}, until = 'true')", "wait: `object` has no `apiVersion`"),
        ("output.set('x')", "output.set takes a name and either"),
        ("secret.ref('hunter2')", "secret.ref takes `secret://provider/path#key`"),
        ("kustomize.build(path = '../x')", "must be relative and stay inside the package"),
        ("files.objects(paths = ['/x'])", "must be relative and stay inside the package"),
    ] {
        let message = failure(&format!("def render(ctx):\n  return {call}")).await;
        assert!(message.contains(said), "{call}: {message}");
        assert!(message.starts_with("main.star:2:10: "), "{call}: {message}");
    }
    let message = failure("def render(ctx): return secret.ref('hunter2')").await;
    assert_eq!(message.matches("hunter2").count(), 1, "only the text of the call itself shows it: {message}");
}

#[tokio::test]
async fn a_refusal_is_no_failure() {
    let text = "
def check(port):
    if port > 65535:
        refuse('port', 'a port is at most 65535, not %d' % port, hint = 'use 8080')
def render(ctx):
    check(ctx.properties['port'])
    return []";
    let error = run(text, json!({"properties": {"port": 70000}})).await.unwrap_err();
    let PluginError::Refused(refusals) = error else { panic!("{error}") };
    let message = "a port is at most 65535, not 70000".to_owned();
    assert_eq!(refusals, [Refusal { path: "port".to_owned(), message, hint: Some("use 8080".to_owned()) }]);
    assert_eq!(run(text, json!({"properties": {"port": 1}})).await.unwrap(), json!([]));
}

#[tokio::test]
async fn mistakes_are_told_with_file_line_and_column() {
    for (text, said) in [
        ("def render(ctx):\n  retrun []", "main.star:2:11: at `]`: unexpected symbol"),
        ("def render(ctx)\n  return []", "main.star:1:16: "),
        ("def render(ctx):\n  return ctx.nothing", "main.star:2:10: at `ctx.nothing`: "),
        ("def render(ctx):\n  return [1][7]", "main.star:2:10: at `[1][7]`: "),
        ("def render(ctx):\n  return nowhere", "main.star:2:10: at `nowhere`: "),
        ("def render(ctx):\n  fail('no', 'way')", "main.star:2:3: at `fail('no', 'way')`: no way"),
        ("def render(ctx):\n  return ctx.properties['host']", "main.star:2:10: "),
        ("def render(ctx):\n  return ctx.properties.port", "main.star:2:10: at `ctx.properties.port`: "),
        (
            "def render(ctx):\n  return ctx.properties.port",
            "; the fields of a dict are read with `[\"name\"]`",
        ),
        (
            "def render(ctx):\n  while 1:\n    pass",
            "main.star:2:3: at `while`: cannot use reserved keyword `while`; loop with `for",
        ),
        ("", "`main.star` defines no function `render` (it defines: nothing): add"),
        ("def render(ctx):\n  return 1 + 'a'", "main.star:2:10: at `1 + 'a'`: "),
        ("def render():\n  return 1", "`render` is called with one argument, `ctx`: "),
        ("x = 1", "`main.star` defines no function `render` (it defines: x): add `def render(ctx):`"),
        ("render = 1", "`render` is called with one argument, `ctx`: "),
        ("def render(ctx):\n\treturn 1", "tabs are not allowed"),
    ] {
        let message = failure(text).await;
        assert!(message.contains(said), "{text}: {message}");
    }
}

fn modules(pairs: &[(&str, &str)]) -> Program {
    let modules = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Program::new(modules, "main.star")
}

#[tokio::test]
async fn modules_load_each_other_by_plain_name() {
    let program = modules(&[
        ("main.star", "load('pod.star', 'pod')\ndef render(ctx): return pod(ctx.name)"),
        ("pod.star", "load('labels.star', l = 'labels')\ndef pod(name): return l(name)"),
        ("labels.star", "def labels(name): return {'app': name}"),
    ]);
    let mut session = session().await;
    let brought = session.call(&program, "render", &json!({"name": "web"})).await.unwrap();
    assert_eq!(brought, json!({"app": "web"}));
}

#[tokio::test]
async fn a_circle_and_a_missing_module_are_refused_at_the_load() {
    let mut session = session().await;
    let circle =
        modules(&[("main.star", "load('a.star', 'a')"), ("a.star", "\nload('main.star', 'b')\na = 1")]);
    let said = session.call(&circle, "render", &json!({})).await.unwrap_err().to_string();
    assert!(said.starts_with("a.star:2:6: "), "{said}");
    assert!(said.contains("main.star → a.star → main.star"), "{said}");
    for name in ["b.star", "/etc/passwd", "../main.star", "@prelude//x"] {
        let text = format!("load('{name}', 'x')");
        let missing = modules(&[("main.star", &text)]);
        let said = session.call(&missing, "render", &json!({})).await.unwrap_err().to_string();
        assert!(said.contains(&format!("there is no module `{name}`; the modules are: main.star")), "{said}");
    }
}

#[tokio::test]
async fn an_error_inside_a_helper_names_its_callers() {
    let program = modules(&[
        ("main.star", "load('pod.star', 'pod')\ndef render(ctx):\n  return pod(ctx)"),
        ("pod.star", "def pod(ctx):\n  name = ctx.name\n  return ctx.missing"),
    ]);
    let error = session().await.call(&program, "render", &json!({"name": "x"})).await.unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with("pod.star:3:10: at `ctx.missing`: "), "{said}");
    assert!(said.ends_with(", called from main.star:3:10"), "{said}");
}

#[tokio::test]
async fn nothing_leaks_from_one_call_into_the_next() {
    let text = "
seen = []
def render(ctx):
    ctx.properties['x'] = 1
    return sorted(ctx.properties.keys())
def remember(ctx):
    seen.append(1)
    return seen";
    let (mut session, program) = (session().await, Program::single("main.star", text));
    let input = json!({"properties": {"a": 1}});
    for _ in 0..2 {
        assert_eq!(session.call(&program, "render", &input).await.unwrap(), json!(["a", "x"]));
        let said = session.call(&program, "remember", &input).await.unwrap_err().to_string();
        assert!(said.contains("main.star:7:5") && said.to_lowercase().contains("immutable"), "{said}");
    }
}

#[tokio::test]
async fn what_is_printed_is_kept_apart_and_bounded() {
    let mut session = limited(PluginOptions { max_talk_bytes: 20, ..PluginOptions::default() }).await;
    let program = Program::single(
        "main.star",
        "def render(ctx):\n  for i in range(1000): print('line', i)\n  return 1",
    );
    assert_eq!(session.call(&program, "render", &json!({})).await.unwrap(), json!(1));
    assert_eq!(session.talk(), ["line 0", "line 1", "… more than 20 bytes"]);
    let quiet = Program::single("main.star", "def render(ctx): return 2");
    session.call(&quiet, "render", &json!({})).await.unwrap();
    assert!(session.talk().is_empty());
}

#[tokio::test]
async fn there_is_no_clock_no_chance_no_file_and_no_environment() {
    for name in
        ["open", "time", "random", "os", "env", "json", "breakpoint", "debug", "exec", "eval", "call_stack"]
    {
        let message = failure(&format!("def render(ctx): return {name}")).await;
        assert!(message.contains(&format!("`{name}`")), "{message}");
    }
}
