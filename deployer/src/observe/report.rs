//! Reports that receivers send by themselves.

use std::collections::BTreeMap;

use chrono::Utc;
use slipway_handoff::Event;
use slipway_handoff::http::signature::WINDOW_MS_DEFAULT;
use slipway_handoff::http::{Claim, Keys, Refused, SigningKey, reported};
use slipway_records::deploying::{ReportRefused, ReportTaken};
use slipway_records::{Deployment, Environment};
use slipway_secrets::SecretError;
use slipway_types::environment::ReceiverSettings;
use slipway_types::secret::SecretProvider;
use slipway_types::{Address, ApplicationName, Fault, SecretReference};

use super::{Look, is_watched};
use crate::stage::Stage;

impl Stage {
    /// Takes a report about the environment at `address`: proven by the key of that environment's receiver,
    /// and about nothing else. Repeating one changes nothing.
    pub async fn take_report(
        &self,
        address: &Address,
        headers: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Result<ReportTaken, ReportRefused> {
        let away = ReportRefused::Unavailable;
        let fault = |error| ReportRefused::Unavailable(crate::records_fault(&error));
        let claim = Claim::read(|name| headers.get(name).map(String::as_str));
        claim.parts().map_err(|unproven| refused(unproven.into()))?;
        let mut read = self.records.read().await.map_err(fault)?;
        let environment = read.environment_by_address(address).await.map_err(fault)?;
        drop(read);
        let keys = Keys::new(self.report_key(environment.as_ref()).await.map_err(away)?);
        let (_, events) = reported(&keys, &claim, body, Utc::now(), WINDOW_MS_DEFAULT).map_err(refused)?;
        let Some(environment) = environment else {
            return Err(ReportRefused::Unproven("the signature fits no known key".to_owned()));
        };
        if let Some(other) = events.iter().find(|event| event.key.environment != *address) {
            let message = format!("an event is about {}, this address is that of {address}", other.key);
            return Err(ReportRefused::Foreign(message));
        }
        self.take_events(&environment, events).await.map_err(away)
    }

    /// The key by which an environment's receiver signs; `None` if there is none that reports. One that is
    /// missing or cannot be used proves nothing either: any other answer would tell a stranger that the
    /// environment is there. Where the records of secrets are away, they are so for all.
    async fn report_key(&self, environment: Option<&Environment>) -> Result<Option<SigningKey>, Fault> {
        let receiver = environment.map(|environment| &environment.settings.receiver);
        let (Some(environment), Some(ReceiverSettings::Http { key_id, key, .. })) = (environment, receiver)
        else {
            self.ask_for_no_secret().await?;
            return Ok(None);
        };
        if key.provider != SecretProvider::Builtin {
            self.ask_for_no_secret().await?;
        }
        match self.secrets.resolve(key).await {
            // One that cannot be used: deployments say so when they are planned.
            Ok(secret) => Ok(SigningKey::new(key_id.clone(), &secret.value).ok()),
            Err(error @ SecretError::Records(_)) => Err(error.into()),
            Err(error) => {
                tracing::warn!(environment = %environment.name, %error, "the key of a report cannot be read");
                Ok(None)
            }
        }
    }

    /// Asks the records for a secret as is done for a key that they hold, so that they are away for all
    /// environments alike.
    async fn ask_for_no_secret(&self) -> Result<(), Fault> {
        match self.secrets.resolve(&SecretReference::builtin("receivers/none")).await {
            Err(error @ SecretError::Records(_)) => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn take_events(&self, environment: &Environment, events: Vec<Event>) -> Result<ReportTaken, Fault> {
        let all = events.len();
        let mut by_application: BTreeMap<ApplicationName, Vec<Event>> = BTreeMap::new();
        for event in events {
            by_application.entry(event.key.application.clone()).or_default().push(event);
        }
        let mut taken = 0;
        for (application, events) in by_application {
            let Some(deployment) = self.newest_out(environment, &application).await? else { continue };
            if !is_watched(&deployment.state) {
                continue;
            }
            let Some(subject) = self.subject(deployment.id).await? else { continue };
            taken += self.store(&subject, &Look::Told(events)).await?.taken;
        }
        Ok(ReportTaken { taken, dropped: all - taken })
    }

    /// What the receiver of an environment has of an application.
    async fn newest_out(
        &self,
        environment: &Environment,
        application: &ApplicationName,
    ) -> Result<Option<Deployment>, Fault> {
        let fault = |error| crate::records_fault(&error);
        let mut read = self.records.read().await.map_err(fault)?;
        let Some(application) = read.application_by_name(application).await.map_err(fault)? else {
            return Ok(None);
        };
        let open = read.deployments_open(environment.id, application.id).await.map_err(fault)?;
        Ok(open.into_iter().rev().find(|deployment| deployment.state.is_out()))
    }
}

fn refused(refused: Refused) -> ReportRefused {
    let message = refused.to_string();
    match refused {
        Refused::Unproven(_) => ReportRefused::Unproven(message),
        Refused::Large => ReportRefused::Large(message),
        Refused::Form(_) => ReportRefused::Form(message),
    }
}
