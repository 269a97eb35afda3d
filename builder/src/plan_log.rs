//! What a run's own log says of planning: of what, from which images, and how each component is built.

use slipway_records::Run;
use slipway_records::plan::{ComponentPlan, ImagePlan};
use slipway_types::{ApplicationName, ComponentName};

/// What is planned; of later attempts which it is.
pub(crate) fn begins(application: &ApplicationName, run: &Run, attempt: u32) -> String {
    let again = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
    format!("planning {application} at {} of {}{again}", run.commit.short(), run.git_ref.short())
}

/// What was planned for a component.
pub(crate) fn lines(plan: &ComponentPlan) -> Vec<String> {
    let ComponentPlan { name, kit, needs, image, files, .. } = plan;
    let mut lines = Vec::new();
    match image {
        Some(ImagePlan::Build(build)) => {
            let platforms: Vec<String> = build.platforms.iter().map(ToString::to_string).collect();
            let (backend, why) = (&build.backend, &build.backend_why);
            lines.push(format!("{name}: {kit} with {backend} ({why}) for {}", platforms.join(", ")));
            lines.extend(
                build.bases.iter().map(|base| format!("{name}: {} is {}", base.reference, base.digest)),
            );
        }
        Some(ImagePlan::Pin { reference, digest, .. }) => {
            lines.push(format!("{name}: {kit} pins {reference} at {digest}"));
        }
        None => lines.push(format!("{name}: {kit} packs {} files", files.len())),
    }
    if !needs.is_empty() {
        let needs: Vec<&str> = needs.iter().map(ComponentName::as_str).collect();
        lines.push(format!("{name}: after {}", needs.join(", ")));
    }
    lines.extend(plan.notes().into_iter().map(|note| format!("{name}: {note}")));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use slipway_types::Digest;

    use super::*;

    fn plan(image: ImagePlan) -> ComponentPlan {
        ComponentPlan {
            name: "web".parse().unwrap(),
            kit: "image".to_owned(),
            kit_digest: Digest::of("kit"),
            context: String::new(),
            needs: vec!["api".parse().unwrap()],
            image: Some(image),
            files: Vec::new(),
            workload: json!({}),
            labels: slipway_types::label::Labels::new(),
            checks: Vec::new(),
        }
    }

    #[test]
    fn a_component_says_from_what_it_is_after_what_and_why() {
        let pinned = ImagePlan::Pin {
            reference: "docker.io/library/nginx:1".parse().unwrap(),
            digest: Digest::of("nginx"),
            platforms: Vec::new(),
            note: Some("of an earlier answer".to_owned()),
        };
        let told = lines(&plan(pinned));
        let pin = format!("at {}", Digest::of("nginx"));
        assert!(
            told[0].starts_with("web: image pins docker.io/library/nginx:1") && told[0].ends_with(&pin),
            "{told:?}"
        );
        assert_eq!(told[1..], ["web: after api", "web: of an earlier answer"]);
    }
}
