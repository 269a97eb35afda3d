//! A cluster that falls silent, and comes back.

use std::time::{Duration, Instant};

use slipway_kubernetes::{CallError, ClusterOptions};
use slipway_tests::plain_api::PlainApi;
use slipway_tests::server::{FickleProxy, Mood};

use crate::{Field, cluster_at};

/// Longer than the pauses between questions are after a few of them.
const WITHIN: Duration = Duration::from_secs(40);
/// So many requests are refused in less than the time in which one fails.
const REFUSED: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_a_silent_cluster_are_refused_at_once_until_it_is_back() {
    let field = Field::prepare().await;
    let plain = PlainApi::start(&field.namespace);
    let proxy = FickleProxy::start(plain.address());
    let options = ClusterOptions { call_timeout_ms: 4_000, ..ClusterOptions::default() };
    let limit = Duration::from_millis(options.call_timeout_ms);
    let cluster = cluster_at(proxy.address(), options).await;
    cluster.answers().await.expect("an answer");
    assert!(cluster.is_known().await && cluster.outage().is_none());

    proxy.is(Mood::Hangs);
    let first = cluster.answers().await.expect_err("no answer");
    assert!(matches!(&first, CallError::Away(why) if why.contains("no answer")), "{first}");
    tokio::time::timeout(WITHIN, cluster.turned(false, true)).await.expect("it is away");
    assert!(cluster.is_known().await);
    let began = Instant::now();
    let requests = (0..REFUSED).map(|_| cluster.answers());
    for answer in futures::future::join_all(requests).await {
        let error = answer.expect_err("it is away");
        assert!(
            matches!(&error, CallError::Unreachable(outage) if outage.why.contains("no answer")),
            "{error}"
        );
        assert!(error.to_string().contains("; it is asked again at "), "{error}");
    }
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());

    proxy.is(Mood::Well);
    tokio::time::timeout(WITHIN, cluster.turned(true, true)).await.expect("it is back");
    cluster.answers().await.expect("an answer");
    assert!(cluster.outage().is_none());
}
