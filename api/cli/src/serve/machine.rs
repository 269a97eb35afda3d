//! What a server says of the machine it runs on: room on its disk, programs beside it.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use slipway_builder::disk::free_bytes;
use slipway_charts::{RenderError, Renderer};
use slipway_records::port::{MachineCheck, MachineFinding};

use crate::config::Config;
use crate::output::size;

/// The first helm whose charts render as a server asks for it.
const HELM_MIN: (u32, u32) = (3, 8);

/// What is looked at.
pub(super) struct Machine {
    /// How many bytes are free now.
    free_bytes: fn(&Path) -> io::Result<u64>,
    /// The data directory.
    data: PathBuf,
    /// Below so much free space no run begins.
    min_free_bytes: u64,
    /// Who renders charts.
    charts: Renderer,
}

impl Machine {
    /// The machine whose data directory is `data`.
    pub(super) fn new(config: &Config, data: &Path, charts: &Renderer) -> Self {
        let min_free_bytes = config.storage.min_free_bytes;
        Self { free_bytes, data: data.to_owned(), min_free_bytes, charts: charts.clone() }
    }

    fn disk(&self) -> MachineFinding {
        let data = self.data.display();
        let (ok, detail) = match (self.free_bytes)(&self.data) {
            Err(error) => (false, format!("the free space in {data} is not known: {error}")),
            Ok(free) => {
                let (shown, least) = (size(free), size(self.min_free_bytes));
                let told = format!("{shown} free in {data}, storage.min_free_bytes is {least}");
                let is_short = free < self.min_free_bytes.max(1);
                let advice = "new runs wait: free space there, or enlarge the disk";
                (!is_short, if is_short { format!("{told}: {advice}") } else { told })
            }
        };
        MachineFinding { check: "disk", ok, needed: true, detail }
    }
}

#[async_trait]
impl MachineCheck for Machine {
    async fn look(&self) -> Vec<MachineFinding> {
        let mut found = vec![self.disk()];
        found.extend(programs(&self.charts).await);
        found
    }
}

/// The programs that charts and kustomizations are rendered by.
pub(crate) async fn programs(charts: &Renderer) -> [MachineFinding; 2] {
    let (helm, kustomize) = tokio::join!(charts.helm_version(), charts.kustomize_version());
    let found = |check, (ok, detail)| MachineFinding { check, ok, needed: false, detail };
    [
        found(
            "helm",
            judged(helm, Some(HELM_MIN), "charts", "install helm 3.8 or later, or name its path by"),
        ),
        found(
            "kustomize",
            judged(
                kustomize,
                None,
                "kustomizations",
                "install kustomize, or name its path or that of kubectl by",
            ),
        ),
    ]
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

    use super::*;

    fn machine(free_bytes: fn(&Path) -> io::Result<u64>, min_free_bytes: u64) -> Machine {
        let charts = Renderer::new(ChartOptions {
            helm_program: "no-such-helm".into(),
            kustomize_program: "no-such-kustomize".into(),
            ..ChartOptions::default()
        });
        Machine { free_bytes, data: PathBuf::from("/data"), min_free_bytes, charts }
    }

    #[test]
    fn a_disk_without_room_is_told_by_the_name_of_its_limit() {
        let found = machine(|_| Ok(1 << 29), 1 << 30).disk();
        assert!(!found.ok && found.needed);
        assert_eq!(
            found.detail,
            "512.0 MiB free in /data, storage.min_free_bytes is 1.0 GiB: new runs wait: free space there, or \
             enlarge the disk"
        );
        assert!(machine(|_| Ok(1 << 30), 1 << 30).disk().ok);
        assert!(!machine(|_| Ok(0), 0).disk().ok, "a full disk is full without a limit too");
        assert!(!machine(|_| Err(io::ErrorKind::NotFound.into()), 0).disk().ok);
    }

    #[tokio::test]
    async fn programs_that_are_not_there_are_not_needed_and_name_what_is_lost() {
        let found = machine(|_| Ok(1), 1).look().await;
        let [disk, helm, kustomize] = &found[..] else { panic!("{found:?}") };
        assert!(disk.ok);
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
