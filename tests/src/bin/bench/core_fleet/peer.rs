//! The same objects written by a client alone: one server-side apply each, and a watch until the controllers have seen to all.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt as _;
use futures::stream;
use slipway_kubernetes::{Cluster, ClusterOptions, ObjectKey, connect, read_kubeconfig};
use slipway_network::Network;
use slipway_tests::namespace::Namespace;
use tokio::runtime::Runtime;

use super::witness::Witness;
use super::{Cost, MOVES_WITHIN, name, objects};
use crate::report::{cpu_seconds, line};

/// Applications at once: as many as the core drives at once in one cluster.
const AT_ONCE: usize = 16;
const WRITER: &str = "bench";
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The cluster of a namespace.
pub(super) async fn connected(namespace: &Namespace) -> Result<Cluster> {
    let file = read_kubeconfig(&namespace.cluster.kubeconfig)?;
    let client = connect(Some(file), None, &Network::default()).await?;
    Ok(Cluster::new(client, ClusterOptions::default()))
}

async fn write(cluster: &Cluster, namespace: &str, application: &str) -> Result<()> {
    for object in objects::of(application) {
        let key = ObjectKey::of(&object, namespace).context("an object has a name")?;
        let applied = cluster.apply(&key, &object, WRITER).await?;
        ensure!(applied.is_some(), "{key}: its kind is not served");
    }
    Ok(())
}

/// Writes the objects of so many applications, and tells what that took.
pub(super) fn apply(applications: usize) -> Result<Cost> {
    let namespace = Namespace::create();
    let apiserver = namespace.cluster.apiserver_pid().context("the API server runs")?;
    let cpu = || anyhow::Ok((cpu_seconds(std::process::id())?, cpu_seconds(apiserver)?));
    let runtime = Runtime::new()?;
    let cluster = runtime.block_on(connected(&namespace))?;
    let witness = Witness::begin(&runtime, &cluster, &namespace.name);
    let (before, began) = (cpu()?, Instant::now());
    let written = runtime.block_on(async {
        let all = (1..=applications).map(|number| {
            let (cluster, namespace) = (&cluster, namespace.name.as_str());
            async move { write(cluster, namespace, &name(number)).await }
        });
        stream::iter(all).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await
    });
    written.into_iter().collect::<Result<Vec<()>>>()?;
    line(format!("a client alone wrote the same in {:.0} s", began.elapsed().as_secs_f64()));
    while witness.good() < applications * objects::DEPLOYMENTS {
        ensure!(began.elapsed() < MOVES_WITHIN, "{} Deployments are seen to alone", witness.good());
        thread::sleep(LOOK_EVERY);
    }
    let (after, took_s) = (cpu()?, began.elapsed().as_secs_f64());
    let cost = Cost { took_s, own_s: after.0 - before.0, server_s: after.1 - before.1 };
    cost.told("the controllers had seen to it", applications);
    Ok(cost)
}
