//! The add-on `postgres` on a real cluster: one database, two applications in two namespaces, each by its own account.

use std::fs;

use serde_json::{Value, json};
use slipway_tests::namespace::Namespace;
use slipway_tests::server::GitRepository;

use crate::cluster::{self, assert_none};
use crate::ground::{Ground, core, document, served};

/// What of the instance is in the cluster.
const OF_ORDERS: &str = "slipway.dev/team=addons,slipway.dev/application=orders";
/// The claim that its StatefulSet makes.
const CLAIM: &str = "data-orders-0";

/// Makes a volume for the claim, as this cluster makes none by itself, and gives its class. It goes with the claim, and
/// what it holds goes with the cluster at the latest.
fn volume(space: &Namespace) -> &str {
    let class = space.name.as_str();
    let path = space.cluster.audit_log.with_file_name("volumes").join(class);
    let volume = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": class},
        "spec": {
            "storageClassName": class,
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": path, "type": "DirectoryOrCreate"},
        },
    });
    cluster::make(space, &volume);
    class
}

/// What makes the instance, on a volume of this class.
fn apply(ground: &Ground, class: &str) -> Value {
    let image = format!("image={}", ground.namespace.cluster.postgres_image);
    let class = format!("storageClass={class}");
    let apply = ["addon", "apply", "orders", "--definition", "postgres", "--env", "prod"];
    let set = ["--set", image.as_str(), "--set", class.as_str(), "--set", "storage=1Gi"];
    ground.server.json(&[&apply[..], &set[..]].concat())
}

/// An application that is told how it reaches the database, by the variables that `psql` reads.
fn told(application: &str) -> Value {
    let web = json!({
        "name": "web",
        "properties": {"env": {
            "PGHOST": "addon://orders/host",
            "PGDATABASE": "addon://orders/database",
            "PGUSER": "addon://orders/account",
            "PGPASSWORD": "addon://orders/password",
        }},
    });
    let mut told = document(&json!({"components": [web]}));
    told["metadata"]["name"] = application.into();
    told
}

/// Publishes the application `cart`, which serves a page.
fn publish_cart(ground: &Ground) -> String {
    let declared = json!({
        "apiVersion": "slipway.dev/v1",
        "kind": "Application",
        "metadata": {"name": "cart"},
        "components": [served("web")],
    })
    .to_string();
    let repository = GitRepository::with(&[
        ("slipway.yaml", declared.as_str()),
        ("web/Dockerfile", "FROM scratch\nCOPY busybox /bin/busybox\nCOPY site /srv\n"),
        ("web/site/index.html", "cart\n"),
    ]);
    repository.write_executable("web/busybox", fs::read("/bin/busybox").expect("busybox-static"));
    let cart = ground.server.create_app("cart");
    let bundle = ground.server.publish(&cart, &repository, "main", "Begin");
    bundle["version"].as_str().expect("a version").to_owned()
}

/// Deploys it.
fn deploy_cart(ground: &Ground, version: &str) {
    let file = ground.file("cart.json", &told("cart"));
    let create = ["deploy", "create", "cart", "--env", "other", "--bundle", version, "-f", &file];
    ground.live(&ground.server.json(&[&create[..], &["--no-wait"]].concat()));
}

/// The application of a namespace, as far as it asks the database.
struct Client<'a> {
    space: &'a Namespace,
    image: &'a str,
    /// Where the database is, as long as there is nobody to ask for its name.
    address: Value,
}

impl Client<'_> {
    /// What a pod gets for a statement that has just the variables of the application's own pods, those in `over`
    /// changed; `Err`: what it complains of.
    fn asks(&self, statement: &str, over: &[(&str, &str)]) -> Result<String, String> {
        let space = self.space;
        let mut env = cluster::field(space, "deployment", "web", "/spec/template/spec/containers/0/env");
        let mut told = env.as_array().into_iter().flatten();
        let host = told.find(|one| one["name"] == "PGHOST").expect("the host is told")["value"].clone();
        for (name, value) in over {
            let all = env.as_array_mut().expect("variables");
            all.retain(|one| one["name"] != *name);
            all.push(json!({"name": name, "value": value}));
        }
        let command = ["psql", "-v", "ON_ERROR_STOP=1", "-qtA", "-c", statement];
        let container = json!({"image": self.image, "command": command, "env": env});
        cluster::run(space, &container, (&host, &self.address))
    }

    /// The same where it must be answered.
    fn gets(&self, statement: &str) -> String {
        self.asks(statement, &[]).unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// It is not let in.
    fn assert_refused(&self, over: &[(&str, &str)]) {
        let refused = self.asks("select 1", over);
        assert!(refused.as_ref().is_err_and(|error| error.contains("authentication failed")), "{refused:?}");
    }
}

/// Who made each order.
const MADE: &str = "select string_agg(made_by, ' ' order by made_by) from orders";
/// Makes one.
const MAKE: &str = "insert into orders values (session_user)";

#[test]
fn two_applications_have_one_database_each_by_an_account_of_its_own() {
    let ground = Ground::prepare();
    let (server, space, other) = (&ground.server, &ground.namespace, Namespace::create());
    ground.environment("other", &other, &core());
    let (of_shop, of_cart) = (ground.publish("one\n"), publish_cart(&ground));
    let ready = apply(&ground, volume(space));
    assert_eq!(
        (&ready["state"], &ready["outputs"]["database"]),
        (&json!("ready"), &json!("app")),
        "{ready:#}"
    );
    server.json(&["addon", "bind", "orders", "shop", "--env", "prod"]);
    server.json(&["addon", "bind", "orders", "cart", "--env", "other"]);
    ground.deployed("prod", &of_shop, Some(&told("shop")));
    deploy_cart(&ground, &of_cart);

    let image = space.cluster.postgres_image.as_str();
    let address = cluster::field(space, "service", "orders", "/spec/clusterIP");
    let shop = Client { space, image, address: address.clone() };
    let cart = Client { space: &other, image, address };
    shop.gets(&format!("create table orders (made_by text); {MAKE}"));
    cart.gets(MAKE);
    assert_eq!(cart.gets(MADE), "cart_other shop_prod", "both work on the same tables");
    shop.assert_refused(&[("PGUSER", "cart_other")]);

    let held = server.cli(&["addon", "release", "orders", "--yes"]);
    assert!(held.code == 1 && held.stderr.contains("`shop` in `prod`, `cart` in `other`"), "{}", held.stderr);
    server.json(&["addon", "unbind", "orders", "cart", "--env", "other"]);
    cart.assert_refused(&[]);
    assert_eq!(shop.gets(MADE), "cart_other shop_prod", "what was made stays, and others keep their way in");

    server.json(&["addon", "unbind", "orders", "shop", "--env", "prod"]);
    shop.assert_refused(&[]);
    server.cli(&["addon", "protect", "orders", "--off"]).ok();
    server.cli(&["addon", "release", "orders", "--yes"]).ok();
    assert_eq!(server.json(&["addon", "list"]), json!([]));
    // What it kept goes by an order of its own.
    assert!(cluster::object(space, "persistentvolumeclaim", CLAIM).is_some(), "the data stay");
    space.kubectl(&["delete", "persistentvolumeclaim", "--selector", "slipway.dev/application=orders"]);
    assert_none(space, OF_ORDERS);
}
