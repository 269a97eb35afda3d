//! What the benches of builds on a cluster build.

use std::fs;

use anyhow::{Context, Result};
use slipway_tests::server::GitRepository;

/// An application of so many components, each of which runs one command while it is built. What the
/// command leaves differs each time, so that no push finds its layer there.
pub(crate) fn application(name: &str, components: usize) -> Result<GitRepository> {
    let busybox = fs::read("/bin/busybox").context("busybox-static is not installed")?;
    let repository = GitRepository::new();
    let mut yaml = format!(
        "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {{name: {name}}}\nbackend: kaniko\ncomponents:\n"
    );
    for number in 0..components {
        let component = component(number);
        yaml.push_str(&format!("  - {{name: {component}, kit: dockerfile, context: {component}}}\n"));
        repository.write(
            &format!("{component}/Dockerfile"),
            "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"/bin/busybox date > /made\"]\n\
             COPY index.html /srv/\n",
        );
        repository.write(&format!("{component}/index.html"), format!("{number}\n"));
        repository.write_executable(&format!("{component}/busybox"), &busybox);
    }
    repository.write("slipway.yaml", yaml);
    Ok(repository)
}

/// The name of one of the components.
pub(crate) fn component(number: usize) -> String {
    format!("c{number:03}")
}
