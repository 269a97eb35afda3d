//! The sample application: components of several kits, none of which needs a build engine.

use std::path::Path;

use anyhow::{Context, Result};

/// What both samples declare; `NAME` and `WEB` are filled in.
const SLIPWAY_YAML: &str = "\
apiVersion: slipway.dev/v1
kind: Application
metadata:
  name: NAME
  labels: {team: demo}
components:
  - name: web
    kit: dockerfile
    context: web
    workload:
      type: webservice
      properties: WEB
      overridable: [replicas]
  - name: assets
    kit: dockerfile
    context: assets
  - name: config
    kit: manifests
    context: config
";
/// What is left out of the sample for a cluster, since rendering a chart takes `helm`.
const CHART: &str = "  - name: cache
    kit: helm
    context: cache
";
const WEB: &str = "{port: 8080}";
/// Nodes that cannot pull the image run no pod of it.
const WEB_WITHOUT_PODS: &str = "{port: 8080, replicas: 0}";
const WEB_WITH_A_POD: &str =
    "{port: 8080, replicas: 1, cmd: [/bin/busybox, httpd, -f, -p, \"8080\", -h, /srv/www]}";

const FILES: [(&str, &str); 10] = [
    (
        "web/Dockerfile",
        "FROM scratch\nCOPY site /srv/www\nEXPOSE 8080\nLABEL org.opencontainers.image.title=web\n",
    ),
    ("web/.dockerignore", "*.md\n"),
    ("web/README.md", "The shop's pages.\n"),
    ("web/site/index.html", "<!doctype html>\n<title>Shop</title>\n<p>Hello.</p>\n"),
    ("assets/Dockerfile", "FROM scratch\nCOPY --chmod=0644 logo.svg /assets/\n"),
    (
        "assets/logo.svg",
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='3'/></svg>\n",
    ),
    (
        "config/settings.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: shop-settings\ndata:\n  currency: EUR\n",
    ),
    ("cache/Chart.yaml", "apiVersion: v2\nname: cache\nversion: 1.0.0\n"),
    ("cache/values.yaml", "replicas: 1\n"),
    (
        "cache/templates/service.yaml",
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Release.Name }}-cache\nspec:\n  ports: [{port: 6379}]\n",
    ),
];

const SERVING_DOCKERFILE: &str =
    "FROM scratch\nCOPY --chmod=0755 busybox /bin/busybox\nCOPY site /srv/www\nEXPOSE 8080\n";

/// The ConfigMap of the sample that is deployed.
pub(crate) const SETTINGS: &str = "shop-settings";
/// What it says in the first version and in the second one.
pub(crate) const GREETINGS: [&str; 2] = ["Hello.", "Good morning."];

/// What the sample is for.
pub(crate) enum Purpose {
    /// Being built.
    Built,
    /// Being deployed, too.
    Deployed {
        /// What pods run; without it there are none.
        program: Option<Vec<u8>>,
    },
}

impl Purpose {
    fn declaration(&self) -> String {
        let (web, chart) = match self {
            Self::Built => (WEB, CHART),
            Self::Deployed { program: None } => (WEB_WITHOUT_PODS, ""),
            Self::Deployed { program: Some(_) } => (WEB_WITH_A_POD, ""),
        };
        format!("{}{chart}", SLIPWAY_YAML.replace("WEB", web))
    }

    /// The components that the second version changes, by name.
    pub(crate) fn changed(&self) -> &'static [&'static str] {
        match self {
            Self::Built => &["web"],
            Self::Deployed { .. } => &["config", "web"],
        }
    }
}

/// Writes the sample.
pub(crate) fn write(root: &Path, name: &str, purpose: &Purpose) -> Result<()> {
    put(root, "slipway.yaml", purpose.declaration().replace("NAME", name))?;
    let is_wanted = |path: &str| matches!(purpose, Purpose::Built) || !path.starts_with("cache/");
    for (path, content) in FILES.into_iter().filter(|(path, _)| is_wanted(path)) {
        put(root, path, content)?;
    }
    if let Purpose::Deployed { program } = purpose {
        put(root, "config/settings.yaml", settings(GREETINGS[0]))?;
        if let Some(program) = program {
            put(root, "web/Dockerfile", SERVING_DOCKERFILE)?;
            put(root, "web/busybox", program)?;
        }
    }
    Ok(())
}

/// Makes the second version of it.
pub(crate) fn change(root: &Path, purpose: &Purpose) -> Result<()> {
    if let Purpose::Deployed { .. } = purpose {
        put(root, "config/settings.yaml", settings(GREETINGS[1]))?;
    }
    put(root, "web/site/index.html", "<!doctype html>\n<title>Shop</title>\n<p>Good morning.</p>\n")
}

fn settings(greeting: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {SETTINGS}\ndata:\n  greeting: {greeting}\n")
}

fn put(root: &Path, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
    let path = root.join(path);
    let directory = path.parent().context("a sample file has no directory")?;
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_purpose_writes_a_declaration_without_holes() {
        for (purpose, told) in [
            (Purpose::Built, "kit: helm"),
            (Purpose::Deployed { program: None }, "replicas: 0"),
            (Purpose::Deployed { program: Some(b"program".to_vec()) }, "httpd"),
        ] {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), "shop", &purpose).unwrap();
            let text = std::fs::read_to_string(root.path().join("slipway.yaml")).unwrap();
            assert!(text.contains(told) && !text.contains("NAME") && !text.contains("WEB"), "{text}");
            assert_eq!(root.path().join("web/busybox").exists(), told == "httpd");
            assert_eq!(root.path().join("cache").exists(), told == "kit: helm");
        }
    }
}
