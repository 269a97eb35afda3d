//! The plan of a large application, from the request to the answer: rendered, checked, and held against
//! the cluster by server-side dry run.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{GitRepository, Server};

use crate::report::{below, line, quantile};

const COMPONENTS: usize = 50;
const ROUNDS: usize = 20;
/// Milliseconds.
const TARGET: f64 = 200.0;

/// Each a web service with two traits.
fn application() -> String {
    let mut text = "apiVersion: core.oam.dev/v1beta1\nkind: Application\nmetadata: {name: bench}\nspec:\n  components:\n".to_owned();
    for n in 1..=COMPONENTS {
        write!(
            text,
            "  - name: part-{n}\n    type: webservice\n    properties: {{image: \"registry.example/part:{n}\", port: 8080}}\n    traits:\n    - {{type: scaler, properties: {{replicas: 0}}}}\n    - {{type: labels, properties: {{team: bench}}}}\n"
        )
        .expect("text");
    }
    text
}

pub(crate) fn run() -> Result<bool> {
    let namespace = Namespace::create();
    let server = Server::start(namespace.options());
    let kubeconfig = namespace.cluster.kubeconfig.display().to_string();
    server.cli(&["cluster", "add", "test", "--kubeconfig-file", &kubeconfig]).ok();
    let address = format!("local/test/{}", namespace.name);
    server.cli(&["env", "create", "bench", "--address", &address]).ok();
    let app = server.create_app("bench");
    let repository = GitRepository::new();
    let file = "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: bench}\ncomponents: [{name: unused, kit: dockerfile, context: .}]\n";
    repository.write("slipway.yaml", file);
    repository.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    server.publish(&app, &repository, "main", "Begin");
    let body = json!({
        "application": "bench", "environment": "bench", "select": {"prerelease": "yes"}, "document": application(),
    });
    let body = body.to_string();
    let authorization = format!("Bearer {}", server.token());
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let plan = || -> Result<(f64, Value)> {
        let began = Instant::now();
        let answer = server.request("POST", "/api/v1/deployments/plan", &headers, body.as_bytes());
        let ms = began.elapsed().as_secs_f64() * 1000.0;
        let plan: Value = answer.json();
        ensure!(answer.status == 200 && plan["violations"] == json!([]), "{}", answer.text());
        let objects = plan["differences"].as_array().map_or(0, Vec::len);
        ensure!(objects >= COMPONENTS, "{objects} objects");
        Ok((ms, plan))
    };
    // The first finds no process of the plug-in host and no connection yet.
    let (first, planned) = plan()?;
    line(format!(
        "{COMPONENTS} components with two traits each, {} objects; the first plan took {first:.0} ms",
        planned["differences"].as_array().map_or(0, Vec::len)
    ));
    let new = measure("nothing there yet", &plan)?;
    apply(&namespace, &server, &body, &headers)?;
    let (_, planned) = plan()?;
    let created =
        planned["differences"].as_array().into_iter().flatten().filter(|one| one["change"] == "create");
    ensure!(created.count() == 0, "what was applied is not seen: {planned:#}");
    Ok(measure("all there already", &plan)? && new)
}

fn measure(what: &str, plan: &dyn Fn() -> Result<(f64, Value)>) -> Result<bool> {
    let took = (0..ROUNDS).map(|_| Ok(plan()?.0)).collect::<Result<Vec<f64>>>()?;
    let p95 = quantile(&took, 0.95);
    line(format!("{what}: p50 {:.0} ms, p95 {p95:.0} ms, of {ROUNDS}", quantile(&took, 0.5)));
    Ok(below(&format!("plan, {what}, p95"), p95, TARGET, "ms"))
}

/// Applies what the plan renders, as a receiver would.
fn apply(namespace: &Namespace, server: &Server, body: &str, headers: &[(&str, &str)]) -> Result<()> {
    let mut body: Value = serde_json::from_str(body)?;
    body["objects"] = json!(true);
    let answer = server.request("POST", "/api/v1/deployments/plan", headers, body.to_string().as_bytes());
    let plan: Value = answer.json();
    let file = server.scratch().join("objects.json");
    std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": plan["objects"]}).to_string())?;
    let file = file.display().to_string();
    namespace.kubectl(&[
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=slipway",
        "--filename",
        &file,
    ]);
    Ok(())
}
