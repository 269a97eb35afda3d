//! What a server says of the machine it runs on: room on its disks, the object store and the proxy that it reaches,
//! programs beside it. All is looked at at once, and each in bounded time.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use slipway_builder::disk::free_bytes;
use slipway_charts::{RenderError, Renderer};
use slipway_network::Network;
use slipway_objects::Blobs;
use slipway_records::port::{MachineCheck, MachineFinding};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::config::Config;
use crate::output::size;
use crate::serve::or_below;

/// How long each thing that is looked at may take.
const LOOK_LIMIT: Duration = Duration::from_secs(5);
/// The most characters of what an object store answered.
const ANSWER_CHARS_MAX: usize = 400;

/// The first helm whose charts render as a server asks for it.
const HELM_MIN: (u32, u32) = (3, 8);

/// What is looked at.
pub(super) struct Machine {
    /// How many bytes are free now.
    free_bytes: fn(&Path) -> io::Result<u64>,
    /// The data directory.
    data: PathBuf,
    /// Where uploads under way lie.
    spool: PathBuf,
    /// Below so much free space no run begins.
    min_free_bytes: u64,
    /// Who renders charts.
    charts: Renderer,
    blobs: Blobs,
    network: Network,
}

impl Machine {
    /// The machine whose data directory is `data`.
    pub(super) fn new(
        config: &Config,
        data: &Path,
        charts: &Renderer,
        blobs: &Blobs,
        network: &Network,
    ) -> Self {
        Self {
            free_bytes,
            data: data.to_owned(),
            spool: or_below(&config.storage.spool_dir, data, "spool"),
            min_free_bytes: config.storage.min_free_bytes,
            charts: charts.clone(),
            blobs: blobs.clone(),
            network: network.clone(),
        }
    }

    /// A disk of another machine may not answer at all.
    async fn room(&self, check: &'static str, directory: &Path, advice: &str) -> MachineFinding {
        let (free_bytes, path) = (self.free_bytes, directory.to_owned());
        let looked = tokio::task::spawn_blocking(move || free_bytes(&path));
        let shown = directory.display();
        let (ok, detail) = match timeout(LOOK_LIMIT, looked).await {
            Ok(Ok(Ok(free))) => {
                let is_short = free < self.min_free_bytes.max(1);
                let (room, least) = (size(free), size(self.min_free_bytes));
                let told = format!("{room} free in {shown}, storage.min_free_bytes is {least}");
                (!is_short, if is_short { format!("{told}: {advice}") } else { told })
            }
            Ok(Ok(Err(error))) => (
                false,
                format!("the free space in {shown} is not known: {error}; see that the directory is there"),
            ),
            Ok(Err(error)) => (false, format!("the free space in {shown} is not known: {error}")),
            Err(_) => {
                (false, format!("the disk under {shown} did not answer within {LOOK_LIMIT:?}: see its mount"))
            }
        };
        MachineFinding { check, ok, needed: true, detail }
    }

    async fn data_room(&self) -> MachineFinding {
        self.room("disk", &self.data, "new runs wait: free space there, or enlarge the disk").await
    }

    async fn spool_room(&self) -> MachineFinding {
        let advice = "uploads fail when it is full: free space there, or name another directory by \
                      storage.spool_dir";
        self.room("spool", &self.spool, advice).await
    }

    /// The error of the store names the next step itself.
    async fn objects(&self) -> MachineFinding {
        let (ok, detail) = match self.blobs.probe(LOOK_LIMIT).await {
            Ok(()) => (true, "the object store can be written".to_owned()),
            Err(error) => {
                let told = format!("{:#}", anyhow::Error::from(error));
                (false, told.chars().take(ANSWER_CHARS_MAX).collect())
            }
        };
        MachineFinding { check: "objects", ok, needed: true, detail }
    }

    /// The proxy, if there is one to go through.
    async fn proxy(&self) -> Option<MachineFinding> {
        let address = self.network.proxy()?.host_and_port();
        let advice = "see that the proxy runs there, or correct network.proxy";
        let (ok, detail) = match timeout(LOOK_LIMIT, TcpStream::connect(&address)).await {
            Ok(Ok(_)) => (true, format!("{address} takes connections")),
            Ok(Err(error)) => (false, format!("{address} takes no connections ({error}): {advice}")),
            Err(_) => (false, format!("{address} did not answer within {LOOK_LIMIT:?}: {advice}")),
        };
        Some(MachineFinding { check: "proxy", ok, needed: true, detail })
    }
}

#[async_trait]
impl MachineCheck for Machine {
    async fn look(&self) -> Vec<MachineFinding> {
        let (disk, spool, objects, proxy, programs) = tokio::join!(
            self.data_room(),
            self.spool_room(),
            self.objects(),
            self.proxy(),
            programs(&self.charts)
        );
        [disk, spool, objects].into_iter().chain(proxy).chain(programs).collect()
    }
}

/// The programs that charts and kustomizations are rendered by.
pub(crate) async fn programs(charts: &Renderer) -> [MachineFinding; 2] {
    let (helm, kustomize) = tokio::join!(
        timeout(LOOK_LIMIT, charts.helm_version()),
        timeout(LOOK_LIMIT, charts.kustomize_version())
    );
    let found = |check, looked: Result<(bool, String), Elapsed>| {
        let late = |_| (false, format!("it did not say its version within {LOOK_LIMIT:?}: try it by hand"));
        let (ok, detail) = looked.unwrap_or_else(late);
        MachineFinding { check, ok, needed: false, detail }
    };
    let helm = helm.map(|version| {
        judged(version, Some(HELM_MIN), "charts", "install helm 3.8 or later, or name its path by")
    });
    let kustomize = kustomize.map(|version| {
        judged(version, None, "kustomizations", "install kustomize, or name its path or that of kubectl by")
    });
    [found("helm", helm), found("kustomize", kustomize)]
}

/// Whether a program renders `what`, and what it is or is to be done.
fn judged(
    version: Result<String, RenderError>,
    least: Option<(u32, u32)>,
    what: &str,
    advice: &str,
) -> (bool, String) {
    match version {
        Ok(version) => match least.filter(|least| is_older(&version, *least)) {
            None => (true, version),
            Some((major, minor)) => (
                false,
                format!("{version}: {what} cannot be rendered; update it to {major}.{minor} or later"),
            ),
        },
        Err(RenderError::ProgramMissing { option, .. }) => {
            (false, format!("not found: {what} cannot be rendered; {advice} `{option}`"))
        }
        Err(error) => (false, format!("{what} cannot be rendered: {:#}", anyhow::Error::from(error))),
    }
}

/// Whether `version`, such as `v3.17.3+g1` or `2.47.3`, is before `least`; what is no version is not.
pub(crate) fn is_older(version: &str, least: (u32, u32)) -> bool {
    let plain = version.strip_prefix('v').unwrap_or(version);
    let mut numbers = plain.split('.').map_while(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) < least,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use slipway_charts::ChartOptions;
    use slipway_network::Proxy;
    use slipway_objects::BlobsOptions;

    use super::*;

    async fn machine(free_bytes: fn(&Path) -> io::Result<u64>, min_free_bytes: u64) -> Machine {
        let charts = Renderer::new(ChartOptions {
            helm_program: "no-such-helm".into(),
            kustomize_program: "no-such-kustomize".into(),
            ..ChartOptions::default()
        });
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(BlobsOptions::new("memory:///", directory.path())).await.unwrap();
        Machine {
            free_bytes,
            data: PathBuf::from("/data"),
            spool: PathBuf::from("/spool"),
            min_free_bytes,
            charts,
            blobs,
            network: Network::default(),
        }
    }

    #[tokio::test]
    async fn a_disk_without_room_is_told_by_the_name_of_its_limit() {
        let short = machine(|_| Ok(1 << 29), 1 << 30).await;
        let found = short.data_room().await;
        assert!(!found.ok && found.needed);
        assert_eq!(
            found.detail,
            "512.0 MiB free in /data, storage.min_free_bytes is 1.0 GiB: new runs wait: free space there, or \
             enlarge the disk"
        );
        let found = short.spool_room().await;
        assert!(!found.ok && found.detail.contains("/spool"), "{found:?}");
        assert!(found.detail.ends_with("by storage.spool_dir"), "{found:?}");
        assert!(machine(|_| Ok(1 << 30), 1 << 30).await.data_room().await.ok);
        let full = machine(|_| Ok(0), 0).await;
        assert!(!full.data_room().await.ok, "a full disk is full without a limit too");
        assert!(!machine(|_| Err(io::ErrorKind::NotFound.into()), 0).await.data_room().await.ok);
    }

    #[tokio::test]
    async fn a_proxy_is_looked_at_if_there_is_one() {
        let mut machine = machine(|_| Ok(1), 1).await;
        assert!(machine.proxy().await.is_none());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Proxy::new(&format!("http://{address}"), None, &[]).unwrap();
        machine.network = Network::new(Some(proxy), None);
        let found = machine.proxy().await.unwrap();
        assert!(found.ok && found.detail.starts_with(&address.to_string()), "{found:?}");
        drop(listener);
        let found = machine.proxy().await.unwrap();
        assert!(!found.ok && found.needed && found.detail.ends_with("correct network.proxy"), "{found:?}");
    }

    #[tokio::test]
    async fn programs_that_are_not_there_are_not_needed_and_name_what_is_lost() {
        let found = machine(|_| Ok(1), 1).await.look().await;
        let [disk, spool, objects, helm, kustomize] = &found[..] else { panic!("{found:?}") };
        assert!(disk.ok && spool.ok && objects.ok, "{found:?}");
        assert!(!helm.ok && !helm.needed && !kustomize.ok && !kustomize.needed, "{found:?}");
        assert!(helm.detail.starts_with("not found: charts cannot be rendered; install helm"), "{helm:?}");
        assert!(helm.detail.ends_with("by `deploy.helm`"), "{helm:?}");
        assert!(kustomize.detail.ends_with("by `deploy.kustomize`"), "{kustomize:?}");
    }

    #[test]
    fn a_helm_that_is_too_old_is_named_with_the_one_that_is_needed() {
        let judged =
            |version: &str| judged(Ok(version.to_owned()), Some(HELM_MIN), "charts", "install it by");
        assert_eq!(judged("v3.17.3+ge4da497"), (true, "v3.17.3+ge4da497".to_owned()));
        let (ok, detail) = judged("v3.7.2");
        assert!(!ok && detail.contains("update it to 3.8"), "{detail}");
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for older in ["v3.7.2", "2.31.8", "1.99.1"] {
            assert!(is_older(older, (3, 8)), "{older}");
        }
        for other in ["v3.8.0", "v3.10", "4.0", "unknown", ""] {
            assert!(!is_older(other, (3, 8)), "{other}");
        }
    }
}
