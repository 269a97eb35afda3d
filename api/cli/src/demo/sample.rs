//! The sample application: four components of three kits, none of which needs a build engine.

use std::path::Path;

use anyhow::{Context, Result};

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
      properties: {port: 8080}
      overridable: [replicas]
  - name: assets
    kit: dockerfile
    context: assets
  - name: config
    kit: manifests
    context: config
  - name: cache
    kit: helm
    context: cache
";

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

/// Writes the sample.
pub(crate) fn write(root: &Path, name: &str) -> Result<()> {
    put(root, "slipway.yaml", &SLIPWAY_YAML.replace("NAME", name))?;
    FILES.iter().try_for_each(|(path, content)| put(root, path, content))
}

/// Changes one component: `web`.
pub(crate) fn change(root: &Path) -> Result<()> {
    put(root, "web/site/index.html", "<!doctype html>\n<title>Shop</title>\n<p>Good morning.</p>\n")
}

fn put(root: &Path, path: &str, content: &str) -> Result<()> {
    let path = root.join(path);
    let directory = path.parent().context("a sample file has no directory")?;
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    std::fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
}
