//! Slipway installed by its chart: two servers over PostgreSQL and S3 that build by Jobs.

use std::fs;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{App, Balancer, Database, GitRepository, Server, packages, run_within, running};
use slipway_tests::{services, wait};
use tempfile::TempDir;
use uuid::Uuid;

use crate::helm::helm_ok;
use crate::image;

const READY_WITHIN: Duration = Duration::from_mins(4);
const PORT: u16 = 7300;

/// A release, its namespaces and all that it stands on. What it leaves goes with the namespaces.
struct Installed {
    server: Namespace,
    builds: Namespace,
    address: String,
    token: String,
    scratch: TempDir,
    // The pods reach these by way of this machine.
    _ways: Vec<Balancer>,
    _database: Database,
}

impl Installed {
    fn install() -> Self {
        let image = image::build();
        let (server, builds) = (Namespace::create(), Namespace::create());
        let database = Database::create();
        let host = server.cluster.host_address;
        let way_to = |address: &str| {
            let way = Balancer::start(&format!("{host}:0"));
            way.add(address);
            way
        };
        let (user, rest) = database.url().split_once('@').expect("an address with a user");
        let (postgres, name) = rest.split_once('/').expect("an address with a database");
        let s3 = services::s3();
        let endpoint = s3.endpoint.trim_start_matches("http://");
        let ways = vec![way_to(postgres), way_to(endpoint)];
        let (cluster_ip, node_port) = free_addresses(&server);
        let node =
            server.kubectl(&["get", "nodes", "--output", "jsonpath={.items[0].status.addresses[0].address}"]);
        let address = format!("http://{}:{node_port}", node.trim());
        let token = format!("slw_{}", "Tt0".repeat(15).get(..43).expect("ASCII"));
        let (repository, digest) = image.split_once('@').expect("an image by digest");
        let little = json!({"requests": {"cpu": "10m", "memory": "64Mi"}});
        let values = json!({
            "image": {"repository": repository, "digest": digest},
            "publicUrl": address,
            "server": {"replicas": 2, "resources": little},
            "builder": {"resources": little},
            "deployer": {"resources": little},
            "gc": {"resources": little},
            "persistence": {"enabled": false},
            "preStopSeconds": 2,
            "service": {"type": "NodePort", "clusterIP": cluster_ip, "nodePort": node_port},
            "networkPolicy": {"enabled": true},
            "secrets": {
                "create": {
                    "admin-token": token, "secret.key": "5c".repeat(32), "s3": s3.secret_key, "database": "unused",
                },
                "keys": {
                    "adminToken": "admin-token", "keyFile": "secret.key", "s3SecretKey": "s3", "databasePassword": "database",
                },
            },
            "kaniko": {
                "enabled": true,
                "namespace": builds.name,
                "image": server.cluster.executor_image,
                "maxJobs": 2,
                // The cluster of the tests has no DNS.
                "address": format!("http://{cluster_ip}:{PORT}"),
                "podOverlay": {"spec": {"containers": [{"name": "kaniko", "securityContext": {"capabilities": {"add": [
                    "CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "SETFCAP", "KILL", "SYS_CHROOT", "MKNOD",
                ]}}}]}},
            },
            "config": {
                "database": {"url": format!("{user}@{}/{name}", ways[0].address()), "max_connections": 8},
                "storage": {
                    "url": format!("s3://{}/{name}", s3.bucket),
                    "s3_endpoint": format!("http://{}", ways[1].address()),
                    "s3_region": s3.region,
                    "s3_access_key": s3.access_key,
                    "s3_allow_http": true,
                },
                "kaniko": {"requests": [], "limits": []},
            },
        });
        let scratch = TempDir::new().expect("a directory");
        fs::write(scratch.path().join("values.json"), values.to_string()).expect("a file");
        let installed = Self { server, builds, address, token, scratch, _ways: ways, _database: database };
        installed.helm("install", &[]);
        installed
    }

    fn helm(&self, verb: &str, args: &[&str]) -> String {
        let kubeconfig = self.server.cluster.kubeconfig.display().to_string();
        let values = self.scratch.path().join("values.json").display().to_string();
        let mut all =
            vec!["--kubeconfig", &kubeconfig, "--namespace", &self.server.name, "--wait", "--timeout", "240"];
        if verb != "uninstall" {
            all.extend(["--values", &values]);
        }
        all.extend(args);
        helm_ok(verb, &all)
    }

    fn pods(&self) -> Vec<Value> {
        let listed = self.server.kubectl(&["get", "pods", "--output", "json"]);
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        listed["items"].as_array().expect("pods").clone()
    }

    /// Waits until `count` pods are ready and no other is there to stay.
    fn await_ready(&self, count: usize) {
        let ready = |pod: &Value| {
            pod["status"]["containerStatuses"][0]["ready"] == true
                && pod["metadata"]["deletionTimestamp"].is_null()
        };
        wait::until(&format!("{count} pods are ready"), READY_WITHIN, || {
            let is = self.pods().iter().filter(|pod| ready(pod)).count() == count;
            if is { Ok(()) } else { Err(self.server.kubectl(&["get", "pods,events"])) }
        });
    }

    /// Waits until nothing of the release is left, its pods included.
    fn await_gone(&self) {
        let kinds = "all,configmaps,secrets,serviceaccounts,roles,rolebindings,networkpolicies,\
                     poddisruptionbudgets,persistentvolumeclaims";
        let selector = "app.kubernetes.io/instance=slipway";
        for namespace in [&self.server, &self.builds] {
            wait::until("nothing is left", READY_WITHIN, || {
                let left = namespace.kubectl(&["get", kinds, "--selector", selector, "--output=name"]);
                if left.is_empty() { Ok(()) } else { Err(left) }
            });
        }
    }
}

/// A cluster address and a node's port that no Service has.
fn free_addresses(namespace: &Namespace) -> (String, u16) {
    let used = namespace.kubectl(&[
        "get",
        "services",
        "--all-namespaces",
        "--output",
        "jsonpath={range .items[*]}{.spec.clusterIP} {.spec.ports[*].nodePort} {end}",
    ]);
    let used: Vec<&str> = used.split_whitespace().collect();
    loop {
        let random = Uuid::new_v4().into_bytes();
        let address = format!("10.96.{}.{}", random[0], random[1].clamp(2, 250));
        let port = 30_000 + u16::from_be_bytes([random[2], random[3]]) % 2_700;
        if !used.contains(&address.as_str()) && !used.contains(&port.to_string().as_str()) {
            return (address, port);
        }
    }
}

/// Pushes and gives the build, which a Job of `builds` made.
fn push(server: &Server, app: &App, repository: &GitRepository, message: &str) -> Value {
    let run = server.deliver(app, repository, "main", message);
    let logs = || server.cli(&["run", "logs", run["id"].as_str().expect("an id"), "web"]).stdout;
    assert_eq!(run["state"], "done", "{run:#}\n{}", logs());
    assert_eq!(run["builds"][0]["backend"], "kaniko", "{run:#}");
    run
}

fn assert_hardened(pods: &[Value]) {
    for pod in pods {
        assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true);
        let container = &pod["spec"]["containers"][0]["securityContext"];
        assert_eq!(container["readOnlyRootFilesystem"], true);
        assert_eq!(container["allowPrivilegeEscalation"], false);
        assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
    }
}

#[test]
fn chart_installs_servers_that_build_by_jobs_and_outlive_their_pods() {
    let installed = Installed::install();
    installed.await_ready(2);
    let token =
        installed.server.kubectl(&["get", "secret", "slipway", "--output", "jsonpath={.data.admin-token}"]);
    let token = String::from_utf8(STANDARD.decode(token.trim()).expect("base64")).expect("text");
    assert_eq!(token, installed.token);
    let server = Server::elsewhere(&installed.address, &token);

    let pods = installed.pods();
    assert_hardened(&pods);
    let name = pods[0]["metadata"]["name"].as_str().expect("a name");
    let inside = |command: &[&str]| installed.server.try_kubectl(&[&["exec", name, "--"], command].concat());
    assert_eq!(inside(&["id", "-u"]).expect("its user").trim(), "10001");
    let refused = inside(&["touch", "/usr/probe"]).expect_err("the root file system is written");
    assert!(refused.contains("Read-only file system"), "{refused}");
    inside(&["slipway", "config", "check", "--config", "/etc/slipway/config/slipway.toml"])
        .expect("its own settings");

    // The Role of the chart is all that it needs.
    let found = server.cli(&["doctor"]).stdout;
    assert!(found.contains("ok   builds   kaniko"), "{found}");

    let app = server.create_app("shop");
    let repository = running("echo made > /made");
    let run = push(&server, &app, &repository, "Build it in the cluster");
    let events = installed.builds.kubectl(&["get", "events", "--field-selector=involvedObject.kind=Job"]);
    assert!(events.contains("SuccessfulCreate"), "{events}");
    installed.builds.assert_empty();
    let bundle = server.bundle_of(&run);
    let image = packages(&bundle)[0]["images"][0].as_str().expect("an image").to_owned();
    let mut pull = Command::new(services::tool("skopeo"));
    pull.args(["copy", "--src-tls-verify=false", "--src-creds", &format!("any:{token}")]);
    pull.arg(format!("docker://{image}")).arg(format!("dir:{}", server.scratch().join("image").display()));
    let pulled = run_within(pull, READY_WITHIN);
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);

    // One goes; the other serves at once.
    installed.server.kubectl(&["delete", "pod", name, "--wait=false"]);
    repository.write("web/index.html", "again\n");
    let again = push(&server, &app, &repository, "Build it while a server goes");
    assert_ne!(again["version"], run["version"]);
    installed.await_ready(2);

    // The same work by servers that each do a part of it.
    installed.helm("upgrade", &["--set", "splitRoles=true,config.log.level=debug"]);
    installed.await_ready(5);
    assert_hardened(&installed.pods());
    repository.write("web/index.html", "after the upgrade\n");
    push(&server, &app, &repository, "Build it after an upgrade");

    installed.builds.assert_empty();
    installed.helm("uninstall", &[]);
    installed.await_gone();
}
