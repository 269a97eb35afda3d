//! Secrets of components: by scope, and out of clusters.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::Server;
use slipway_tests::wait;

use crate::world::{Field, options};

/// What every secret here holds somewhere: in no file that anybody may read.
const VALUE: &str = "hunter2-in-the-clear";
/// How long the cluster may take to give a service account its token.
const TOKEN_WITHIN: Duration = Duration::from_secs(90);

/// An environment whose receiver leaves Secrets out.
fn external() -> Value {
    json!({"receiver": {"type": "oci", "secrets": "external"}})
}

/// Operator configuration by which `web` gets a variable from a secret.
pub(crate) fn application(references: &[&str]) -> String {
    let env: serde_json::Map<String, Value> = references
        .iter()
        .enumerate()
        .map(|(index, reference)| (format!("SECRET_{index}"), json!(reference)))
        .collect();
    json!({
        "apiVersion": "core.oam.dev/v1beta1", "kind": "Application", "metadata": {"name": "shop"},
        "spec": {"components": [{"name": "web", "properties": {"env": env}}]},
    })
    .to_string()
}

/// Sets a secret, as somebody.
pub(crate) fn set(field: &Field, token: &str, name: &str, value: &str, scope: &[&str]) -> i32 {
    let file = field.server.scratch().join("value");
    fs::write(&file, value).expect("a file");
    let file = file.display().to_string();
    let args = [&["secret", "set", name, "--from-file", &file][..], scope].concat();
    field.server.cli_as(token, &args).code
}

/// What stands against a plan with these secrets.
fn violations(field: &Field, references: &[&str]) -> Vec<Value> {
    let file = field.server.scratch().join("application.json");
    fs::write(&file, application(references)).expect("a file");
    let file = file.display().to_string();
    let plan = ["deploy", "plan", "shop", "--env", "staging", "--branch", "main", "-f", &file, "-o", "json"];
    let said = field.server.cli(&plan);
    let found = said.json()["violations"].as_array().cloned().unwrap_or_default();
    assert_eq!(said.code, i32::from(!found.is_empty()), "{}", said.stderr);
    found
}

/// The one thing that stands against a plan with a secret: code, message and way out.
fn refusal(field: &Field, reference: &str) -> (String, String, String) {
    let found = violations(field, &[reference]);
    assert_eq!(found.len(), 1, "{found:#?}");
    let text = |key: &str| found[0][key].as_str().unwrap_or_default().to_owned();
    assert!(text("message").contains(reference), "{found:#?}");
    (text("code"), text("message"), text("hint"))
}

/// Deploys with these secrets.
pub(crate) fn deploy(field: &Field, references: &[&str]) -> Value {
    let file = field.server.scratch().join("application.json");
    fs::write(&file, application(references)).expect("a file");
    let file = file.display().to_string();
    let create = ["deploy", "create", "shop", "--env", "staging", "--branch", "main", "-f", &file];
    field.server.cli(&create).ok();
    field.wait("staging", &["delivered"])
}

/// The secrets that a deployment's revision records.
pub(crate) fn recorded(field: &Field, deployment: &Value) -> Vec<Value> {
    document(field, deployment)["secrets"].as_array().cloned().unwrap_or_default()
}

/// A deployment's revision, whole.
pub(crate) fn document(field: &Field, deployment: &Value) -> Value {
    let revision = deployment["revision"].as_str().expect("a revision");
    let repository = format!("default/shop/d/local/test/{}/default", field.namespace.name);
    let document = field.server.get(&format!("/v2/{repository}/blobs/{revision}"));
    assert_eq!(document.status, 200, "{}", document.text());
    document.json()
}

fn token(field: &Field, name: &str, role: &str, more: &[&str]) -> String {
    let args = [&["token", "create", name, "--role", role][..], more].concat();
    field.server.json(&args)["token"].as_str().expect("a token").to_owned()
}

#[test]
fn the_narrowest_scope_gives_a_secret_and_others_are_out_of_reach() {
    let field = Field::prepare();
    field.environment("staging", "default", &external());
    field.publish("one\n");
    let reference = "secret://builtin/db";
    let (code, _, hint) = refusal(&field, reference);
    assert_eq!(code, "secret_missing");
    assert!(hint.contains("slipway secret set db --app shop --env staging"), "{hint}");

    let admin = field.server.token().to_owned();
    let scopes: [(&[&str], &str); 4] = [
        (&[], "global"),
        (&["--team", "default"], "team/default"),
        (&["--app", "shop"], "application/default/shop"),
        (&["--app", "shop", "--env", "staging"], "environment/default/shop/staging"),
    ];
    for (given, scope) in scopes {
        assert_eq!(set(&field, &admin, "db", VALUE, given), 0);
        let secrets = recorded(&field, &deploy(&field, &[reference]));
        assert_eq!(secrets[0]["scope"], scope, "{secrets:#?}");
        assert_eq!((&secrets[0]["reference"], &secrets[0]["version"]), (&json!(reference), &json!("1")));
    }
    assert_eq!(set(&field, &admin, "db", "another", &["--app", "shop", "--env", "staging"]), 0);
    assert_eq!(recorded(&field, &deploy(&field, &[reference]))[0]["version"], "2");

    field.server.create_app("cart");
    assert_eq!(set(&field, &admin, "only-cart", VALUE, &["--app", "cart"]), 0);
    assert_eq!(set(&field, &admin, "only-finance", VALUE, &["--team", "finance"]), 0);
    for name in ["only-cart", "only-finance", "application/default/cart:only-cart"] {
        assert_eq!(refusal(&field, &format!("secret://builtin/{name}")).0, "secret_missing");
    }
    for own in ["builtin/kubeconfig/test", "builtin/webhook/cart", "env/SLIPWAY_SECRET_X", "file//etc/passwd"]
    {
        let (code, message, _) = refusal(&field, &format!("secret://{own}"));
        assert_eq!(code, "secret_not_allowed", "{message}");
    }
}

#[test]
fn operators_keep_the_secrets_of_their_application_and_administrators_the_others() {
    let field = Field::prepare();
    field.environment("staging", "default", &external());
    field.server.create_app("cart");
    let of_shop = token(&field, "ops-shop", "operator", &["--app", "shop"]);
    let operator = token(&field, "ops", "operator", &[]);
    let developer = token(&field, "dev", "developer", &[]);
    let shop: &[&str] = &["--app", "shop"];
    for (who, scope, may) in [
        (&of_shop, shop, true),
        (&of_shop, &["--app", "shop", "--env", "staging"], true),
        (&of_shop, &["--app", "cart"], false),
        (&of_shop, &["--team", "default"], false),
        (&of_shop, &[], false),
        (&operator, &["--app", "cart"], true),
        (&operator, &["--team", "default"], false),
        (&operator, &[], false),
        (&developer, shop, false),
    ] {
        assert_eq!(set(&field, who, "db", VALUE, scope) == 0, may, "{scope:?}");
    }
    assert_ne!(set(&field, &of_shop, "x", VALUE, &["--app", "cart"]), 0);
    let listed =
        field.server.cli_as(&of_shop, &["secret", "list", "--app", "shop", "-o", "json"]).ok().json();
    let scopes: Vec<&str> =
        listed.as_array().into_iter().flatten().filter_map(|s| s["scope"].as_str()).collect();
    assert_eq!(scopes, ["application/default/shop", "environment/default/shop/staging"]);
    assert_ne!(field.server.cli_as(&of_shop, &["secret", "list"]).code, 0);
    assert_ne!(field.server.cli_as(&developer, &["secret", "list", "--app", "shop"]).code, 0);
    let all = field.server.json(&["secret", "list"]);
    assert!(all.as_array().is_some_and(|all| all.len() > 3) && !all.to_string().contains(VALUE));

    let remove = ["secret", "remove", "db", "--app", "shop"];
    let unsure = field.server.cli_as(&of_shop, &remove);
    assert!(unsure.code == 2 && unsure.stderr.contains("--yes"), "{}", unsure.stderr);
    let meant = [&remove[..], &["--yes"]].concat();
    field.server.cli_as(&of_shop, &meant).ok();
    assert_ne!(field.server.cli_as(&of_shop, &meant).code, 0);
    field.server.cli(&["token", "revoke", "dev"]).ok();
    let entries = field.server.json(&["audit", "list", "--limit", "100"]);
    let has = |action: &str, subject: &str| {
        let mut entries = entries.as_array().into_iter().flatten();
        entries.any(|entry| entry["action"] == action && entry["subject"] == subject)
    };
    for (action, subject) in [
        ("secret.set", "secret/application/default/shop:db"),
        ("secret.set", "secret/environment/default/shop/staging:db"),
        ("secret.remove", "secret/application/default/shop:db"),
        ("token.create", "token/ops-shop"),
        ("token.revoke", "token/dev"),
    ] {
        assert!(has(action, subject), "{action} {subject}: {entries:#}");
    }
    assert!(!has("secret.set", "secret/application/default/cart:x"));
    let refused = entries.as_array().into_iter().flatten().filter(|entry| entry["actor"] == "dev").count();
    assert_eq!(refused, 0, "{entries:#}");
    let text = entries.to_string();
    assert!(!text.contains(VALUE) && ![&of_shop, &operator, &developer].iter().any(|t| text.contains(*t)));
    assert_eq!(field.server.json(&["audit", "verify"])["ok"], true);
}

/// A Secret in a namespace, with an annotation that says who reads it.
fn make(namespace: &Namespace, name: &str, readers: Option<&str>) {
    let literal = format!("--from-literal=password={VALUE}");
    namespace.kubectl(&["create", "secret", "generic", name, &literal]);
    if let Some(readers) = readers {
        namespace.kubectl(&["annotate", "secret", name, &format!("slipway.dev/readable-by={readers}")]);
    }
}

fn resource_version(namespace: &Namespace, name: &str) -> String {
    namespace.kubectl(&["get", "secret", name, "--output", "jsonpath={.metadata.resourceVersion}"])
}

#[test]
fn a_secret_of_the_cluster_is_read_where_the_application_may() {
    let shared = Namespace::create();
    let namespace = Namespace::create();
    let listed = format!("[\"test/{}\"]", shared.name);
    let server = Server::start(options(&namespace).env("SLIPWAY__SECRETS__KUBERNETES_NAMESPACES", &listed));
    let field = Field::on_server(server, namespace);
    field.environment("staging", "default", &external());
    field.publish("one\n");
    let own = field.namespace.name.clone();
    make(&field.namespace, "db", None);
    let reference = format!("secret://kubernetes/{own}/db#password");
    let named = format!("secret://kubernetes/test/{own}/db#password");
    let secrets = recorded(&field, &deploy(&field, &[&reference, &named]));
    let counted = resource_version(&field.namespace, "db");
    for secret in &secrets {
        let version = secret["version"].as_str().expect("a version");
        assert!(
            version.starts_with(&format!("{counted}-")) && version.len() > counted.len() + 6,
            "{version}"
        );
    }
    let patch = json!({"stringData": {"password": "another"}}).to_string();
    field.namespace.kubectl(&["patch", "secret", "db", "--patch", &patch]);
    let moved = recorded(&field, &deploy(&field, &[&reference, &named]));
    assert_ne!(moved[0]["version"], secrets[0]["version"]);

    let (code, _, hint) = refusal(&field, &format!("secret://kubernetes/{own}/none#password"));
    assert!(code == "secret_missing" && hint.contains("kubectl") && hint.contains(&own), "{code} {hint}");
    let (code, message, _) = refusal(&field, &format!("secret://kubernetes/{own}/db#user"));
    assert!(code == "secret_unusable" && message.contains("no key `user`"), "{code} {message}");
    let (code, _, hint) = refusal(&field, &format!("secret://kubernetes/none/{own}/db#password"));
    assert_eq!(code, "secret_not_allowed", "{hint}");
    for elsewhere in ["kube-system/x#token", "default/x#token", "kube-public/cluster-info#x"] {
        let (code, message, _) = refusal(&field, &format!("secret://kubernetes/{elsewhere}"));
        assert_eq!(code, "secret_not_allowed", "{message}");
    }
    let account = field.namespace.kubectl(&["get", "secrets", "--output", "name"]);
    let account =
        account.lines().find_map(|line| line.strip_prefix("secret/default-token-")).expect("a token");
    let (code, message, _) =
        refusal(&field, &format!("secret://kubernetes/{own}/default-token-{account}#token"));
    assert!(code == "secret_not_allowed" && message.contains("service-account-token"), "{message}");

    make(&shared, "open", Some("cart, shop"));
    make(&shared, "closed", Some("cart"));
    make(&shared, "silent", None);
    let there = |name: &str| format!("secret://kubernetes/{}/{name}#password", shared.name);
    assert_eq!(violations(&field, &[&there("open")]), Vec::<Value>::new());
    for name in ["closed", "silent"] {
        let (code, _, hint) = refusal(&field, &there(name));
        assert!(code == "secret_not_allowed" && hint.contains("slipway.dev/readable-by"), "{code} {hint}");
    }
}

/// A user of the cluster that sees what a server must see, and no Secret. Gone when dropped.
struct Limited<'a>(&'a Namespace);

impl<'a> Limited<'a> {
    fn create(namespace: &'a Namespace) -> Self {
        let name = &namespace.name;
        let account = format!("--serviceaccount={name}:limited");
        namespace.kubectl(&["create", "serviceaccount", "limited"]);
        namespace.kubectl(&["create", "clusterrole", name, "--verb=get,list", "--resource=namespaces,nodes"]);
        namespace.kubectl(&[
            "create",
            "clusterrolebinding",
            name,
            &format!("--clusterrole={name}"),
            &account,
        ]);
        Self(namespace)
    }

    /// A kubeconfig of that user.
    fn kubeconfig(&self, directory: &Path) -> String {
        let namespace = self.0;
        let account = ["get", "serviceaccount", "limited", "--output", "jsonpath={.secrets[0].name}"];
        let secret =
            wait::until("the account has a token", TOKEN_WITHIN, || match namespace.try_kubectl(&account) {
                Ok(secret) if !secret.is_empty() => Ok(secret),
                Ok(other) | Err(other) => Err(other),
            });
        let token = namespace.kubectl(&[
            "get",
            "secret",
            &secret,
            "--output",
            "go-template={{.data.token | base64decode}}",
        ]);
        let shown = ["config", "view", "--raw", "--minify", "--flatten", "--output", "json"];
        let mut config: Value = serde_json::from_str(&namespace.kubectl(&shown)).expect("JSON");
        config["users"][0]["user"] = json!({"token": token});
        let file = directory.join("limited.json");
        fs::write(&file, config.to_string()).expect("a file");
        file.display().to_string()
    }
}

impl Drop for Limited<'_> {
    fn drop(&mut self) {
        for kind in ["clusterrolebinding", "clusterrole"] {
            drop(self.0.try_kubectl(&["delete", kind, &self.0.name]));
        }
    }
}

#[test]
fn a_cluster_that_forbids_a_secret_is_named_with_the_way_out() {
    let field = Field::prepare();
    field.environment("staging", "default", &external());
    field.publish("one\n");
    make(&field.namespace, "db", None);
    let limited = Limited::create(&field.namespace);
    let file = limited.kubeconfig(field.server.scratch());
    field.server.cli(&["cluster", "rotate-credentials", "test", "--kubeconfig-file", &file]).ok();
    let (code, message, hint) =
        refusal(&field, &format!("secret://kubernetes/{}/db#password", field.namespace.name));
    assert!(code == "secret_not_allowed" && message.contains("forbids"), "{code} {message}");
    assert!(hint.contains("--resource=secrets"), "{hint}");
    assert!(!message.contains(VALUE));
}

/// Files below a directory that hold the value, in the clear or in base64.
fn holding(directory: &Path, forms: &[Vec<u8>]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, forms));
        } else if let Ok(bytes) = fs::read(&path)
            && forms.iter().any(|form| bytes.windows(form.len()).any(|window| window == form))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

/// What must be found nowhere: the value, and what all of its base64 forms share.
fn forms() -> Vec<Vec<u8>> {
    use base64::Engine as _;
    let encoded = |before: &str| {
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{before}{VALUE}"));
        text.as_bytes()[4..24].to_vec()
    };
    vec![VALUE.as_bytes().to_vec(), encoded(""), encoded("1"), encoded("12")]
}

fn leaks(text: &str) -> bool {
    forms().iter().any(|form| text.contains(std::str::from_utf8(form).expect("text")))
}

#[test]
fn a_value_is_in_no_artifact_log_row_answer_metric_or_argument() {
    let field = Field::prepare();
    field.environment("staging", "default", &external());
    field.publish("one\n");
    let admin = field.server.token().to_owned();
    assert_eq!(set(&field, &admin, "db", VALUE, &["--app", "shop", "--env", "staging"]), 0);
    fs::remove_file(field.server.scratch().join("value")).expect("the file goes");
    make(&field.namespace, "db", None);
    let own = field.namespace.name.clone();
    let inside = format!("secret://kubernetes/{own}/db#password");
    let delivered = deploy(&field, &["secret://builtin/db", &inside]);
    assert_eq!(recorded(&field, &delivered).len(), 2);
    let artifact = delivered["reason"].as_str().expect("an artifact");
    assert_eq!(holding(&field.pull(artifact), &forms()), Vec::<String>::new());

    // Refusals are where values slip out: a field of what is no JSON, a key that is not there.
    for reference in ["secret://builtin/db#user", &format!("secret://kubernetes/{own}/db#user")] {
        let (code, message, hint) = refusal(&field, reference);
        assert!(code == "secret_unusable" && !leaks(&message) && !leaks(&hint), "{message} {hint}");
    }
    let authorization = format!("Bearer {admin}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let bad = json!({"value": VALUE, "more": VALUE}).to_string();
    for path in ["/api/v1/secrets/db", "/api/v1/secrets/db?application=none", "/api/v1/secrets/UPPER"] {
        let body = if path.ends_with("/db") { bad.clone() } else { json!({"value": VALUE}).to_string() };
        let answer = field.server.request("PUT", path, &headers, body.as_bytes());
        assert!(answer.status >= 400 && !leaks(&answer.text()), "{path}: {}", answer.text());
    }
    let id = delivered["id"].as_str().expect("an id");
    for args in [
        &["deploy", "show", id, "-o", "json"][..],
        &["deploy", "plan", "shop", "--env", "staging", "--branch", "main", "-o", "json"],
        &["secret", "list"],
        &["audit", "list", "--limit", "100", "-o", "json"],
        &["env", "config", "shop", "-o", "json"],
    ] {
        let said = field.server.cli(args);
        assert!(!leaks(&said.stdout) && !leaks(&said.stderr), "{args:?}");
    }
    for path in ["/metrics", "/api/v1/where", "/api/v1/secrets", "/api/v1/deployments"] {
        assert!(!leaks(&field.server.get(path).text()), "{path}");
    }
    let arguments = fs::read(format!("/proc/{}/cmdline", field.server.pid())).expect("arguments");
    let environment = fs::read(format!("/proc/{}/environ", field.server.pid())).expect("variables");
    assert!(!leaks(&String::from_utf8_lossy(&arguments)) && !leaks(&String::from_utf8_lossy(&environment)));
    assert!(!leaks(&field.server.log()));
    assert_eq!(holding(&field.server.data(), &forms()), Vec::<String>::new());
}
