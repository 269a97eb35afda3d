//! What the operator's file says of versions, held against the bundle that is deployed.
//!
//! A deployment always has one bundle with one digest. So nothing here picks anything: a choice that the
//! bundle does not meet is a violation, with the command that gets a bundle that does.

use slipway_oam::{Choice, Placed};
use slipway_records::{PackageVersion, Read};
use slipway_types::name::ChannelName;
use slipway_types::selection::{LabelSelector, VersionRange};
use slipway_types::{Digest, Fault, Version, Violation};

use super::Ground;
use crate::packages::{self, Package};
use crate::records_fault;

/// The bundle is another than the file asks for.
const BUNDLE_MISMATCH: &str = "bundle_mismatch";
/// The bundle holds another package of a component than the file asks for.
const PACKAGE_MISMATCH: &str = "package_mismatch";
/// The text of a choice cannot be read.
const INVALID_CHOICE: &str = "invalid_choice";

/// What is deployed, and what a choice of it may look at.
struct Chosen<'a> {
    version: &'a Version,
    /// Its row; `None` if it is not kept under this version.
    row: Option<PackageVersion>,
    /// The component, where it is a package.
    component: Option<&'a str>,
    digest: Digest,
}

impl Ground<'_> {
    /// The choices that the bundle does not meet.
    pub(super) async fn choices(
        &self,
        application: &slipway_oam::Application,
    ) -> Result<Vec<Violation>, Fault> {
        let packages = application.components.iter().filter_map(|component| {
            component.package.as_ref().map(|choice| (component.name.as_str(), choice))
        });
        let packages: Vec<(&str, &Placed<Choice>)> = packages.collect();
        if application.bundle.is_none() && packages.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = self.stage.records.read().await.map_err(|error| records_fault(&error))?;
        let mut found = Vec::new();
        if let Some(choice) = &application.bundle {
            let bundle = &self.request.bundle;
            let chosen = Chosen {
                version: &bundle.version,
                row: Some(bundle.clone()),
                component: None,
                digest: bundle.digest,
            };
            if let Some(why) = self.unmet(read.as_mut(), &choice.value, &chosen).await? {
                found.push(self.not_that_bundle(choice, &why));
            }
        }
        for (name, choice) in packages {
            let package = self.packages.iter().find(|package| package.member.component.as_str() == name);
            let why = match package {
                None => Some(Why::Other("the bundle has no package of it".to_owned())),
                Some(package) => self.unmet_package(read.as_mut(), choice, package).await?,
            };
            found.extend(why.map(|why| self.not_that_package(name, choice, &why)));
        }
        Ok(found)
    }

    async fn unmet_package(
        &self,
        read: &mut dyn Read,
        choice: &Placed<Choice>,
        package: &Package,
    ) -> Result<Option<Why>, Fault> {
        let member = &package.member;
        let row = read.version_find(self.request.application.id, Some(&member.component), &member.version);
        let chosen = Chosen {
            version: &member.version,
            row: row.await.map_err(|error| records_fault(&error))?,
            component: Some(member.component.as_str()),
            digest: member.digest,
        };
        self.unmet(read, &choice.value, &chosen).await
    }

    /// Why `choice` does not mean what is deployed.
    async fn unmet(
        &self,
        read: &mut dyn Read,
        choice: &Choice,
        chosen: &Chosen<'_>,
    ) -> Result<Option<Why>, Fault> {
        let is = format!("it is {}", chosen.version);
        Ok(match choice {
            Choice::Version(text) => match text.parse::<Version>() {
                Ok(wanted) if wanted == *chosen.version => None,
                Ok(_) => Some(Why::Other(is)),
                Err(error) => Some(Why::Unreadable(error.to_string())),
            },
            Choice::Range(text) => match text.parse::<VersionRange>() {
                Ok(range) if range.contains(chosen.version) => None,
                Ok(_) => Some(Why::Other(is)),
                Err(error) => Some(Why::Unreadable(error.to_string())),
            },
            Choice::Selector(text) => match text.parse::<LabelSelector>() {
                Ok(selector) if chosen.row.as_ref().is_some_and(|row| selector.matches(&row.labels)) => None,
                Ok(_) => Some(Why::Other(format!("{is}, whose labels do not match"))),
                Err(error) => Some(Why::Unreadable(error.to_string())),
            },
            Choice::Channel(text) => match text.parse::<ChannelName>() {
                Ok(name) => self.not_in_channel(read, &name, chosen).await?,
                Err(error) => Some(Why::Unreadable(error.to_string())),
            },
        })
    }

    async fn not_in_channel(
        &self,
        read: &mut dyn Read,
        name: &ChannelName,
        chosen: &Chosen<'_>,
    ) -> Result<Option<Why>, Fault> {
        let channel = read.channel_get(self.request.application.id, name).await;
        let Some(channel) = channel.map_err(|error| records_fault(&error))? else {
            return Ok(Some(Why::Other(format!("there is no channel `{name}`"))));
        };
        let named = read.version_get(channel.version_id).await.map_err(|error| records_fault(&error))?;
        let Some(named) = named else {
            return Ok(Some(Why::Other("the channel's bundle is gone".to_owned())));
        };
        let Some(component) = chosen.component else {
            let meant = named.digest == chosen.digest;
            return Ok((!meant).then(|| Why::Instead(named.version.clone())));
        };
        let members = packages::members(&named)?;
        let member = members.into_iter().find(|member| member.component.as_str() == component);
        Ok(match member {
            Some(member) if member.digest == chosen.digest => None,
            Some(member) => Some(Why::Instead(member.version)),
            None => {
                Some(Why::Other(format!("the bundle {} of the channel has no package of it", named.version)))
            }
        })
    }

    fn not_that_bundle(&self, choice: &Placed<Choice>, why: &Why) -> Violation {
        let application = &self.request.application.name;
        let environment = &self.request.environment.name;
        let option = match (&choice.value, why) {
            (_, Why::Instead(version)) => format!("--bundle {version}"),
            (Choice::Version(text), _) => format!("--bundle {text}"),
            (Choice::Range(text), _) => format!("--range '{text}'"),
            (Choice::Selector(text), _) => format!("--selector '{text}'"),
            (Choice::Channel(text), _) => format!("--channel {text}"),
        };
        let message = format!(
            "the file asks for {}, the bundle {} is to be deployed: {}",
            said(&choice.value),
            self.request.bundle.version,
            why.in_words()
        );
        let hint = format!(
            "deploy one that it asks for: slipway deploy create {application} --env {environment} {option}; or change the file"
        );
        why.violation(BUNDLE_MISMATCH, &format!("bundle.{}", key_of(&choice.value)), message, hint)
            .at(choice.at.clone())
    }

    fn not_that_package(&self, component: &str, choice: &Placed<Choice>, why: &Why) -> Violation {
        let bundle = &self.request.bundle.version;
        let message = format!(
            "the file asks for {} of `{component}`, the bundle {bundle} is to be deployed: {}",
            said(&choice.value),
            why.in_words()
        );
        let wanted = match (&choice.value, why) {
            (_, Why::Instead(version)) => version.to_string(),
            (Choice::Version(text), _) => text.clone(),
            _ => "VERSION".to_owned(),
        };
        let application = &self.request.application.name;
        let hint = format!(
            "a deployment has one bundle: compose it by `slipway bundle create {application} --from {bundle} --set {component}={wanted}` and deploy that"
        );
        let path = format!("components[{component}].package.{}", key_of(&choice.value));
        why.violation(PACKAGE_MISMATCH, &path, message, hint).at(choice.at.clone())
    }
}

/// Why what is deployed is not what a choice means.
enum Why {
    /// It means this version.
    Instead(Version),
    /// It means another, or nothing.
    Other(String),
    /// Nobody knows what it means.
    Unreadable(String),
}

impl Why {
    fn in_words(&self) -> String {
        match self {
            Self::Instead(version) => format!("that is {version}"),
            Self::Other(why) | Self::Unreadable(why) => why.clone(),
        }
    }

    fn violation(&self, code: &str, path: &str, message: String, hint: String) -> Violation {
        match self {
            Self::Unreadable(why) => Violation::new(INVALID_CHOICE, path, why.clone()),
            Self::Instead(_) | Self::Other(_) => Violation::new(code, path, message).hint(hint),
        }
    }
}

fn key_of(choice: &Choice) -> &'static str {
    match choice {
        Choice::Version(_) => "version",
        Choice::Channel(_) => "channel",
        Choice::Selector(_) => "selector",
        Choice::Range(_) => "range",
    }
}

fn said(choice: &Choice) -> String {
    match choice {
        Choice::Version(text) => format!("version {text}"),
        Choice::Channel(text) => format!("what the channel `{text}` names"),
        Choice::Selector(text) => format!("one with the labels `{text}`"),
        Choice::Range(text) => format!("one in the range `{text}`"),
    }
}
