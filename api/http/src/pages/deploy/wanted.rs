//! What was chosen so far: every step of a deployment carries it in its address, and nothing is kept on the server.

use slipway_records::{Application, Environment, PackageVersion, Read};
use slipway_types::name::EnvironmentName;
use slipway_types::{ApplicationName, Role, Version};

use crate::auth::Caller;
use crate::pages::address;
use crate::pages::forms::Fields;
use crate::problem::ApiError;
use crate::rest::environments;

/// The longest document in an address, in bytes; what is longer travels in forms. Proxies take lines of 8 KiB.
const DOCUMENT_IN_ADDRESS_BYTES_MAX: usize = 3 << 10;

/// Where an application and an environment are chosen.
pub(super) const PLACE: &str = "/deploy";
/// Where a bundle is chosen.
pub(super) const BUNDLES: &str = "/deploy/bundles";
/// Where the configuration is written.
pub(super) const CONFIGURATION: &str = "/deploy/configuration";
/// Where what would change is shown.
pub(super) const REVIEW: &str = "/deploy/review";

/// What was chosen so far; empty: nothing yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) application: String,
    pub(super) environment: String,
    /// By which the bundle is looked for.
    pub(super) branch: String,
    pub(super) bundle: String,
    /// Configuration for this deployment alone, as YAML.
    pub(super) document: String,
}

/// What was chosen, as the records have it.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) application: Application,
    pub(super) environment: Environment,
    pub(super) bundle: PackageVersion,
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error| ApiError::bad_request("bad_query", format!("{name}: {error}")))
}

impl Wanted {
    pub(super) fn of(fields: &Fields) -> Self {
        let text = |name: &str| fields.text(name).unwrap_or_default().to_owned();
        Self {
            application: text("application"),
            environment: text("environment"),
            branch: text("branch"),
            bundle: text("bundle"),
            document: fields.exact("document").unwrap_or_default().replace("\r\n", "\n"),
        }
    }

    /// The same with another document.
    pub(super) fn with_document(&self, document: String) -> Self {
        Self { document, ..self.clone() }
    }

    /// The address of a step, with all of it.
    pub(super) fn address(&self, step: &str) -> String {
        let pairs = [
            ("application", self.application.as_str()),
            ("environment", self.environment.as_str()),
            ("branch", self.branch.as_str()),
            ("bundle", self.bundle.as_str()),
            ("document", self.document.as_str()),
        ];
        address::with_query(step, pairs)
    }

    /// Whether the document fits into an address.
    pub(super) fn fits_address(&self) -> bool {
        self.document.len() <= DOCUMENT_IN_ADDRESS_BYTES_MAX
    }

    /// How forms are sent.
    pub(super) fn method(&self) -> &'static str {
        if self.fits_address() { "get" } else { "post" }
    }

    /// The step that must come first, if one was left out before `step`.
    pub(super) fn missing(&self, step: &str) -> Option<String> {
        if self.application.is_empty() || self.environment.is_empty() {
            return Some(self.address(PLACE));
        }
        (self.bundle.is_empty() && step != BUNDLES).then(|| self.address(BUNDLES))
    }

    pub(super) fn application_name(&self) -> Result<ApplicationName, ApiError> {
        parsed("application", &self.application)
    }

    pub(super) fn environment_name(&self) -> Result<EnvironmentName, ApiError> {
        parsed("environment", &self.environment)
    }

    pub(super) fn version(&self) -> Result<Version, ApiError> {
        parsed("bundle", &self.bundle)
    }

    /// The place, if the caller may deploy there.
    pub(super) async fn place(
        &self,
        read: &mut dyn Read,
        caller: &Caller,
    ) -> Result<(Application, Environment), ApiError> {
        let application = caller.application(read, &self.application_name()?, Role::Operator).await?;
        let environment = environments::found(read, &self.environment_name()?).await?;
        Ok((application, environment))
    }

    /// All of it, if the caller may deploy there.
    pub(super) async fn chosen(&self, read: &mut dyn Read, caller: &Caller) -> Result<Chosen, ApiError> {
        let (application, environment) = self.place(read, caller).await?;
        let version = self.version()?;
        let bundle = read.version_find(application.id, None, &version).await?;
        let bundle = bundle.ok_or_else(|| ApiError::not_found("bundle version", &version))?;
        Ok(Chosen { application, environment, bundle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_travels_in_addresses() {
        let query =
            "application=team%2Fshop&environment=prod&bundle=1.0.0&document=++a%3A+1%0D%0Ab%3A+%26&p%2Fx=1";
        let wanted = Wanted::of(&Fields::of(query.as_bytes()));
        assert_eq!(wanted.document, "  a: 1\nb: &");
        let address = wanted.address(REVIEW);
        let again = Wanted::of(&Fields::of(address.split_once('?').unwrap().1.as_bytes()));
        assert_eq!(again, wanted);
    }

    #[test]
    fn steps_that_were_left_out_come_first() {
        let place = Wanted { application: "shop".into(), environment: "prod".into(), ..Wanted::default() };
        for (wanted, step, first) in [
            (Wanted::default(), REVIEW, Some("/deploy")),
            (
                Wanted { environment: String::new(), ..place.clone() },
                BUNDLES,
                Some("/deploy?application=shop"),
            ),
            (place.clone(), BUNDLES, None),
            (place.clone(), CONFIGURATION, Some("/deploy/bundles?application=shop&environment=prod")),
            (Wanted { bundle: "1.0.0".into(), ..place }, REVIEW, None),
        ] {
            assert_eq!(wanted.missing(step).as_deref(), first);
        }
    }

    #[test]
    fn what_is_long_is_sent_by_forms() {
        let wanted = Wanted::default();
        assert_eq!(wanted.method(), "get");
        let long = wanted.with_document("x".repeat(DOCUMENT_IN_ADDRESS_BYTES_MAX + 1));
        assert_eq!(long.method(), "post");
    }
}
