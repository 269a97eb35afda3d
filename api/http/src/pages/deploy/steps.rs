//! The steps of a deployment, to go back to those that are done.

use askama::Template;
use askama::filters::HtmlSafe;

use super::wanted::{BUNDLES, CONFIGURATION, PLACE, REVIEW, Wanted};
use crate::pages::texts::DeployTexts;

/// The steps.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/deploy_steps.html")]
pub(super) struct Steps {
    label: &'static str,
    steps: Vec<Step>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    text: &'static str,
    /// What was chosen there.
    chosen: String,
    /// Where it can be changed.
    address: Option<String>,
    is_here: bool,
}

impl HtmlSafe for Steps {}

impl Steps {
    /// The steps, of which `here` is the present one.
    pub(super) fn new(d: &'static DeployTexts, wanted: &Wanted, here: &str) -> Self {
        let place = match (wanted.application.as_str(), wanted.environment.as_str()) {
            (application, "") => application.to_owned(),
            (application, environment) => format!("{application} → {environment}"),
        };
        let all = [
            (PLACE, d.step_place, place),
            (BUNDLES, d.step_bundle, wanted.bundle.clone()),
            (CONFIGURATION, d.step_configuration, String::new()),
            (REVIEW, d.step_review, String::new()),
        ];
        let at = all.iter().position(|(step, ..)| *step == here).unwrap_or_default();
        let steps = all.into_iter().enumerate().map(|(index, (step, text, chosen))| Step {
            text,
            chosen,
            // A long document would be lost on the way.
            address: (index < at && wanted.fits_address()).then(|| wanted.address(step)),
            is_here: index == at,
        });
        Self { label: d.steps, steps: steps.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::texts::ENGLISH;

    #[test]
    fn done_steps_lead_back_and_later_ones_nowhere() {
        let wanted = Wanted {
            application: "<b>".to_owned(),
            environment: "prod".to_owned(),
            bundle: "1.0.0".to_owned(),
            ..Wanted::default()
        };
        let steps = Steps::new(ENGLISH.deploying, &wanted, CONFIGURATION);
        let leads: Vec<_> = steps.steps.iter().map(|step| (step.address.is_some(), step.is_here)).collect();
        assert_eq!(leads, [(true, false), (true, false), (false, true), (false, false)]);
        let text = steps.to_string();
        assert!(!text.contains("<b>") && text.matches("aria-current=\"step\"").count() == 1, "{text}");
        let long = Steps::new(ENGLISH.deploying, &wanted.with_document("x".repeat(9000)), REVIEW);
        assert!(long.steps.iter().all(|step| step.address.is_none()));
    }
}
