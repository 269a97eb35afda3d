//! A build that is hostile, with all that its pod is given.

use std::fs;

use serde_json::json;
use slipway_tests::namespace::Namespace;
use slipway_tests::server::{GitRepository, Server, packages, running};

use crate::web_build;

/// What the executor's container runs instead: each line of its output is a try and what came of it.
const TRIES: &str = r#"
login=$(jq -r '.auths[].auth' /kaniko/.docker/config.json)
own() { curl --silent --output /dev/null --write-out "%{http_code}" --max-time 10 --header "Authorization: Basic $login" "$@"; }
bare() { curl --silent --insecure --output /dev/null --write-out "%{http_code}" --max-time 5 "$@"; }
echo "pull-own $(own $SERVER/v2/default/shop/i/web/tags/list)"
echo "push-own $(own -X POST $SERVER/v2/default/shop/i/web/blobs/uploads/)"
echo "delete-own $(own -X DELETE $SERVER/v2/default/shop/i/web/blobs/$BLOB)"
echo "pull-other $(own $SERVER/v2/default/other/i/web/manifests/$OTHER)"
echo "push-other $(own -X POST $SERVER/v2/default/other/i/web/blobs/uploads/)"
echo "push-cache-of-other $(own -X POST $SERVER/v2/default/other/cache/blobs/uploads/)"
echo "mount-from-other $(own -X POST "$SERVER/v2/default/shop/i/web/blobs/uploads/?mount=$BLOB&from=default/other/i/web")"
echo "push-package $(own -X POST $SERVER/v2/default/shop/c/web/blobs/uploads/)"
echo "catalog $(own $SERVER/v2/_catalog)"
echo "applications $(own $SERVER/api/v1/applications)"
echo "secrets $(own $SERVER/api/v1/secrets)"
echo "git $(own "$SERVER/git/other.git/info/refs?service=git-upload-pack")"
echo "api-server $(bare https://10.96.0.1/api/v1/namespaces/default/secrets)"
echo "kubelet $(bare https://$NODE:10250/pods)"
echo "kubelet-plain $(bare http://$NODE:10255/pods)"
[ -e /var/run/secrets/kubernetes.io/serviceaccount/token ] && echo "service-account there" || echo "service-account absent"
[ -S /var/run/docker.sock ] && echo "docker-socket there" || echo "docker-socket absent"
mount -t tmpfs none /mnt 2>/dev/null && echo "mount done" || echo "mount refused"
echo "INFO Pushed"
exit 1
"#;

#[test]
fn kaniko_gives_a_hostile_build_nothing_but_its_own() {
    let namespace = Namespace::create();
    let options = namespace.options();
    let address = options.listen.clone();
    let server = Server::start(options);
    let other = server.create_app("other");
    let secret = GitRepository::with(&[
        (
            "slipway.yaml",
            "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: other}\ncomponents:\n  \
             - {name: web, kit: dockerfile, context: .}\n",
        ),
        ("Dockerfile", "FROM scratch\nCOPY secret /\n"),
        ("secret", "nobody else's\n"),
    ]);
    let bundle = server.publish(&other, &secret, "main", "Hide it");
    let image = packages(&bundle)[0]["images"][0].as_str().expect("an image").to_owned();
    let digest = image.rsplit('@').next().expect("a digest").to_owned();
    let manifest = server.get(&format!("/v2/default/other/i/web/manifests/{digest}")).json();
    let blob = manifest["layers"][0]["digest"].as_str().expect("a layer").to_owned();

    let mut server = server;
    server.stop();
    let overlay = server.scratch().join("hostile.yaml");
    let node =
        namespace.kubectl(&["get", "nodes", "--output", "jsonpath={.items[0].status.addresses[0].address}"]);
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    let container = json!({
        "name": "kaniko",
        "command": ["bash", "-c", format!("echo INFO FROM; {TRIES}")],
        "env": [
            variable("SERVER", &format!("http://{address}")),
            variable("OTHER", &digest),
            variable("BLOB", &blob),
            variable("NODE", node.trim()),
        ],
    });
    let pod = json!({"spec": {"containers": [container]}});
    fs::write(&overlay, pod.to_string()).expect("a file");
    let path = overlay.display().to_string();
    server.options_mut().env.insert("SLIPWAY__KANIKO__POD_OVERLAY".into(), path);
    server.restart();
    let app = server.create_app("shop");
    let run = server.deliver(&app, &running("true"), "main", "Attack");
    assert!(web_build(&run)["reason"].to_string().contains("exit code 1"), "{run:#}");
    let log = server.cli(&["run", "logs", "shop#1", "web"]).ok().stdout;
    for (attempt, outcome) in [
        // What it may do shows that the refusals are none of its own making.
        ("pull-own", "200"),
        ("push-own", "202"),
        ("delete-own", "403"),
        ("pull-other", "404"),
        ("push-other", "403"),
        ("push-cache-of-other", "403"),
        // An upload begins, without the blob.
        ("mount-from-other", "202"),
        ("push-package", "403"),
        ("catalog", "403"),
        ("applications", "403"),
        ("secrets", "403"),
        ("git", "404"),
        ("api-server", "403"),
        ("kubelet", "401"),
        ("kubelet-plain", "000"),
        ("service-account", "absent"),
        ("docker-socket", "absent"),
        ("mount", "refused"),
    ] {
        let line = log.lines().find_map(|line| line.strip_prefix(&format!("{attempt} ")));
        assert_eq!(line, Some(outcome), "{attempt}\n{log}");
    }
    namespace.assert_empty();
}
