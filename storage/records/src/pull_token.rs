//! Tokens by which the nodes of an environment pull an application. A hand-off makes them; they end with what
//! they are for.

use chrono::Utc;
use serde_json::json;
use slipway_types::id::ApplicationId;
use slipway_types::name::EnvironmentName;
use slipway_types::{Address, ApplicationName};

use crate::audit::NewAuditEntry;
use crate::deployment::Deployment;
use crate::environment::Environment;
use crate::token::TokenRow;
use crate::{Result, Write};

/// Who ends what nothing needs any more.
const SLIPWAY: &str = "slipway";

/// Name of the token by which `environment` pulls `application`.
pub fn name(environment: &EnvironmentName, application: &ApplicationName) -> String {
    format!("pull {environment} {}", application.path().replace('/', " "))
}

/// Ends a token, as `actor`'s doing, with an audit entry that says why.
pub async fn end(tx: &mut dyn Write, token: &TokenRow, actor: &str, because: &str) -> Result<()> {
    if tx.token_revoke(token.id, Utc::now()).await? {
        tx.audit(NewAuditEntry {
            actor: actor.to_owned(),
            action: "token.revoke",
            subject: format!("token/{}", token.name),
            detail: json!({"id": token.id, "because": because}),
        })
        .await?;
    }
    Ok(())
}

/// Ends all by which an environment pulls: `actor` removes it. What another stage of its namespace may need stays.
pub async fn end_of_environment(tx: &mut dyn Write, environment: &Environment, actor: &str) -> Result<()> {
    for token in tx.pull_tokens_of_environment(environment.id).await? {
        let Some(application) = token.application_id else { continue };
        let tokens = of_namespace(tx, environment, application).await?;
        let others: Vec<&TokenRow> =
            tokens.iter().filter(|other| other.pulls_for != Some(environment.id)).collect();
        if !are_needed(tx, &others).await? {
            end_all(tx, &tokens, actor, "the environment was removed").await?;
        }
    }
    Ok(())
}

/// Ends all by which an application is pulled: `actor` removes it.
pub async fn end_of_application(tx: &mut dyn Write, application: ApplicationId, actor: &str) -> Result<()> {
    let tokens = tx.pull_tokens_of_application(application).await?;
    end_all(tx, &tokens, actor, "the application was removed").await
}

/// Ends the tokens of a deployment's namespace if that ended and nothing else of the application is there or on its
/// way. To be called once the deployment is saved and its audit entry made, in the same transaction.
pub async fn follow(tx: &mut dyn Write, deployment: &Deployment) -> Result<()> {
    if !deployment.state.is_terminal() {
        return Ok(());
    }
    let Some(place) = tx.environment_get(deployment.environment_id).await? else { return Ok(()) };
    let tokens = of_namespace(tx, &place, deployment.application_id).await?;
    if are_needed(tx, &tokens.iter().collect::<Vec<_>>()).await? {
        return Ok(());
    }
    end_all(tx, &tokens, SLIPWAY, "nothing of the application is there any more").await
}

/// The tokens by which an application is pulled into the namespace of `place`: its stages share one pull secret,
/// which holds that of the last hand-off.
async fn of_namespace(
    tx: &mut dyn Write,
    place: &Environment,
    application: ApplicationId,
) -> Result<Vec<TokenRow>> {
    let namespace =
        |address: &Address| [address.unit(), address.cluster(), address.namespace()].map(str::to_owned);
    let mut found = Vec::new();
    for token in tx.pull_tokens_of_application(application).await? {
        let Some(id) = token.pulls_for else { continue };
        let Some(environment) = tx.environment_get(id).await? else { continue };
        if namespace(&environment.address) != namespace(&place.address) {
            continue;
        }
        // It is locked by this, so who hands something off there at this moment finds it whole or ended, and of two
        // that end at once the later sees the other.
        found.extend(tx.token_live_by_name(&token.name).await?.filter(|locked| locked.id == token.id));
    }
    Ok(found)
}

/// Whether something of the application of some of these is in their environment, or may go there yet.
async fn are_needed(tx: &mut dyn Write, tokens: &[&TokenRow]) -> Result<bool> {
    for token in tokens {
        let (Some(environment), Some(application)) = (token.pulls_for, token.application_id) else {
            continue;
        };
        if tx.deployment_out(environment, application).await?.is_some() {
            return Ok(true);
        }
        let open = tx.deployments_open(environment, application).await?;
        if open.iter().any(|other| other.state.is_pending()) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn end_all(tx: &mut dyn Write, tokens: &[TokenRow], actor: &str, because: &str) -> Result<()> {
    for token in tokens {
        end(tx, token, actor, because).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_named_by_its_place_and_the_team_of_what_it_pulls() {
        let environment = "prod".parse().unwrap();
        for (application, expected) in
            [("shop", "pull prod default shop"), ("commerce/till", "pull prod commerce till")]
        {
            assert_eq!(name(&environment, &application.parse().unwrap()), expected);
        }
    }
}
