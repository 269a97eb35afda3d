//! The sample applications of the end-to-end tests.

use std::fs;

use serde_json::json;

use super::GitRepository;

/// Three components, two of them with an image, that need no build engine.
pub const SHOP_YAML: &str = "\
apiVersion: slipway.dev/v1
kind: Application
metadata: {name: shop}
components:
  - {name: web, kit: dockerfile, context: web}
  - {name: api, kit: dockerfile, context: api}
  - {name: config, kit: manifests, context: config}
";

/// A repository with [`SHOP_YAML`] and what it names, not committed yet.
pub fn shop() -> GitRepository {
    GitRepository::with(&[
        ("slipway.yaml", SHOP_YAML),
        ("web/Dockerfile", "FROM scratch\nCOPY index.html /srv/\n"),
        ("web/index.html", "<p>Hello.</p>\n"),
        ("api/Dockerfile", "FROM scratch\nCOPY server /bin/server\nENTRYPOINT [\"/bin/server\"]\n"),
        ("api/server", "#!/bin/sh\n"),
        ("config/settings.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"),
    ])
}

/// A repository whose one image, built by Kaniko, runs `script` while it is built.
pub fn running(script: &str) -> GitRepository {
    let run = json!(["/bin/busybox", "sh", "-c", script]);
    let repository = GitRepository::with(&[
        (
            "slipway.yaml",
            "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: shop}\nbackend: kaniko\ncomponents:\n  \
             - {name: web, kit: dockerfile, context: web}\n",
        ),
        (
            "web/Dockerfile",
            &format!(
                "FROM scratch\nCOPY busybox /bin/busybox\nRUN {run}\nCOPY index.html /srv/\nCMD [\"/bin/busybox\", \"cat\", \"/made\", \"/srv/index.html\"]\n"
            ),
        ),
        ("web/index.html", "hello\n"),
    ]);
    repository.write_executable("web/busybox", fs::read("/bin/busybox").expect("busybox-static"));
    repository
}
