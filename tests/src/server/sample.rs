//! The sample application of the end-to-end tests.

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
