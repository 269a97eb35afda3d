//! Orders to receivers: none takes effect unrecorded or twice, whoever is killed, away or overtaken meanwhile.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use slipway_handoff::{Capability, Command};
use slipway_records::fault_point::ORDER_POINTS;
use slipway_tests::server::Server;
use slipway_tests::wait;

use crate::ledger::Ledger;
use crate::observing::Ground;
use crate::service::Fault;

use Capability::{Observe, Resume, Suspend};

/// How long the server may take to a point, or to tell an order again.
const WITHIN: Duration = Duration::from_secs(90);

/// How long whoever orders may wait at a receiver that says nothing: less than a request to it may take.
const ORDERED_WITHIN: Duration = Duration::from_secs(45);

/// Sends an order without waiting for its answer.
fn order(server: &Server, deployment: &Value, word: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let (id, token, body) = (deployment["id"].as_str().expect("an id"), server.token(), "{}");
    let host = server.address();
    let request = format!(
        "POST /api/v1/deployments/{id}/{word} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("a request");
    stream
}

/// Waits until the newest order of a deployment is in a state; gives all of them, newest first.
fn settled(server: &Server, deployment: &Value, state: &str) -> Vec<Value> {
    let id = deployment["id"].as_str().expect("an id");
    wait::until(&format!("the order is {state}"), WITHIN, || {
        let orders = server.json(&["deploy", "show", id])["orders"].as_array().cloned().unwrap_or_default();
        if orders.first().is_some_and(|order| order["state"] == state) {
            Ok(orders)
        } else {
            Err(json!(orders))
        }
    })
}

#[test]
fn faults_of_kills_around_an_order_leave_one_effect_and_one_record() {
    let mut ground = Ground::prepare(&[Observe, Suspend, Resume], &[]);
    let version = ground.field.publish("one\n");
    let made = ground.deploy(&version);
    ground.field.wait_for(&made, &["handed_off"]);
    let ledger = Ledger::open(&ground.server().data());
    // What is ordered, where that leads, how often it was told when the server is killed and in the end, and how many
    // orders of that word are on record.
    let ways = [
        ("suspend", "suspended", (0, 1), "1"),
        ("resume", "progressing", (1, 2), "1"),
        ("suspend", "suspended", (1, 1), "2"),
    ];
    for (point, (word, state, (before, after), recorded)) in ORDER_POINTS.into_iter().zip(ways) {
        let heard = ground.service.ordered().len();
        let marker = ground.server().scratch().join(format!("marker-{point}"));
        ground.field.server.stop();
        let options = ground.field.server.options_mut();
        options.env.insert("SLIPWAY_TEST_STOP_AT".into(), format!("{point}:1"));
        options.env.insert("SLIPWAY_TEST_STOP_MARKER".into(), marker.display().to_string());
        ground.field.server.restart();
        let asking = order(ground.server(), &made, word);
        wait::holds(&format!("the server comes to {point}"), WITHIN, || {
            fs::read_to_string(&marker).is_ok_and(|reached| reached == point)
        });
        ground.field.server.kill9();
        drop(asking);
        assert_eq!(ground.service.ordered().len() - heard, before, "killed at {point}");
        let kept = ledger.rows_of_killed(&format!(
            "select count(*) from deployment_order o join audit a on json_extract(a.detail, '$.order') = o.id
            where a.action = 'deployment.{word}'"
        ));
        assert_eq!(kept, [recorded], "killed at {point}: there is no effect without a record");
        ground.field.server.options_mut().env.remove("SLIPWAY_TEST_STOP_AT");
        ground.field.server.restart();
        settled(ground.server(), &made, "told");
        ground.field.wait_for(&made, &[state]);
        let told = ground.service.ordered().split_off(heard);
        assert_eq!(told.len(), after, "killed at {point}: {told:?}");
        assert!(told.iter().all(|id| *id == told[0]), "killed at {point}: {told:?}");
    }
    let expected = [Command::Suspend, Command::Resume { node: None }, Command::Suspend];
    assert_eq!(ground.service.commands(), expected);
    let entries = ledger.rows(
        "select action, count(*) from audit where action like 'order.%' or action in
        ('deployment.suspend', 'deployment.resume') group by action order by action",
    );
    assert_eq!(entries, ["deployment.resume|1", "deployment.suspend|2", "order.told|3"]);
    assert_eq!(ledger.rows("select state, count(*) from deployment_order group by state"), ["told|3"]);
}

#[test]
fn an_order_to_a_service_that_is_away_is_kept_once_and_told_until_it_answers() {
    let ground = Ground::prepare(&[Observe, Suspend, Resume], &[]);
    let (server, service) = (ground.server(), &ground.service);
    let version = ground.field.publish("one\n");
    let made = ground.deploy(&version);
    ground.field.wait_for(&made, &["handed_off"]);
    for fault in [Fault::Answers(503), Fault::TakesInSilence] {
        service.fail(Some(fault));
        let kept = server.cli(&["deploy", "suspend", "shop@prod", "--reason", "it is slow"]).ok();
        assert!(kept.stderr.contains("told until its receiver answers"), "{}", kept.stderr);
        let shown = ground.show();
        assert_eq!(
            (&shown["orders"][0]["state"], &shown["orders"][0]["word"]),
            (&json!("pending"), &json!("suspend"))
        );
        assert_eq!(
            shown["orders"].as_array().map(Vec::len),
            Some(1),
            "the same order is kept once: {shown:#}"
        );
    }
    assert_ne!(ground.show()["state"], "suspended");
    service.fail(None);
    settled(server, &made, "told");
    ground.field.wait_for(&made, &["suspended"]);
    assert_eq!(service.commands(), [Command::Suspend], "what comes again does nothing");

    // What a newer generation takes the place of is not told any more.
    service.fail(Some(Fault::HearsNoOrders));
    server.cli(&["deploy", "resume", "shop@prod"]).ok();
    let newer = ground.deploy(&version);
    ground.field.wait_for(&newer, &["handed_off"]);
    let orders = settled(server, &made, "overtaken");
    assert!(orders[0]["why"].as_str().is_some_and(|why| why.contains("superseded")), "{orders:#?}");
    service.fail(None);
    assert_eq!(service.commands(), [Command::Suspend]);
    let subject = format!("deployment/{}", made["id"].as_str().expect("an id"));
    let audit = server.json(&["audit", "list", "--subject", &subject]).to_string();
    for said in ["deployment.suspend", "it is slow", "order.told", "deployment.resume", "order.overtaken"] {
        assert!(audit.contains(said), "{said}: {audit}");
    }
}

/// The words of a deployment's orders and how each stands, newest first.
fn words(shown: &Value) -> Vec<(&str, &str)> {
    let orders = shown["orders"].as_array().into_iter().flatten();
    orders.filter_map(|order| Some((order["word"].as_str()?, order["state"].as_str()?))).collect()
}

#[test]
fn orders_to_a_service_that_is_away_take_effect_in_their_order_and_once() {
    let ground = Ground::prepare(&[Observe, Suspend, Resume], &[]);
    let (server, service) = (ground.server(), &ground.service);
    let version = ground.field.publish("one\n");
    let made = ground.deploy(&version);
    ground.field.wait_for(&made, &["handed_off"]);
    // The first is taken without a word, and the next are not even heard.
    for (fault, word) in [
        (Fault::TakesInSilence, "suspend"),
        (Fault::HearsNoOrders, "resume"),
        (Fault::HearsNoOrders, "suspend"),
    ] {
        service.fail(Some(fault));
        let kept = server.cli(&["deploy", word, "shop@prod"]).ok();
        assert!(kept.stderr.contains("told until its receiver answers"), "{word}: {}", kept.stderr);
    }
    let shown = ground.show();
    assert_eq!(words(&shown), [("suspend", "pending"), ("resume", "pending"), ("suspend", "pending")]);
    assert_ne!(shown["state"], "suspended", "nothing is known of it: {shown:#}");

    service.fail(None);
    settled(server, &made, "told");
    let shown = ground.field.wait_for(&made, &["suspended"]);
    assert_eq!(words(&shown), [("suspend", "told"), ("resume", "told"), ("suspend", "told")]);
    let expected = [Command::Suspend, Command::Resume { node: None }, Command::Suspend];
    assert_eq!(service.commands(), expected);
    let mut ordered = service.ordered();
    ordered.dedup();
    assert_eq!(ordered.len(), 3, "none comes after a later one: {ordered:?}");
    let ledger = Ledger::open(&server.data());
    assert_eq!(ledger.rows("select count(*) from audit where action = 'order.told'"), ["3"]);
}

/// Gives `prod` other settings.
fn set(ground: &Ground, settings: &Value) {
    let file = ground.server().scratch().join("settings.json");
    fs::write(&file, settings.to_string()).expect("a file");
    ground.server().cli(&["env", "set", "prod", "-f", &file.display().to_string()]).ok();
}

#[test]
fn an_order_to_whoever_takes_the_connection_and_says_nothing_is_kept_in_time_and_told_later() {
    let ground = Ground::prepare(&[Observe, Suspend], &[]);
    let (server, service) = (ground.server(), &ground.service);
    let version = ground.field.publish("one\n");
    let made = ground.deploy(&version);
    ground.field.wait_for(&made, &["handed_off"]);
    // Connections stand as soon as the kernel has them, and nobody reads.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut elsewhere = service.settings();
    elsewhere["receiver"]["url"] = format!("http://{}/base", silent.local_addr().expect("an address")).into();
    set(&ground, &elsewhere);

    let begun = Instant::now();
    let kept = server.cli(&["deploy", "suspend", "shop@prod"]).ok();
    assert!(begun.elapsed() < ORDERED_WITHIN, "{:?}", begun.elapsed());
    for said in ["told until its receiver answers", "is pending: the receiver gives no answer yet"] {
        assert!(kept.stderr.contains(said), "{said}: {}", kept.stderr);
    }
    let shown = ground.show();
    assert_eq!(words(&shown), [("suspend", "pending")], "{shown:#}");
    assert_ne!(shown["state"], "suspended");
    assert!(service.ordered().is_empty());

    set(&ground, &service.settings());
    drop(silent);
    settled(server, &made, "told");
    ground.field.wait_for(&made, &["suspended"]);
    assert_eq!(service.commands(), [Command::Suspend]);
}
