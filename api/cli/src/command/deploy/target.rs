//! Which deployment is meant: `ID`, `APP@ENV`, `APP@ENV#GENERATION`, or `APP --env ENV`.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value;

use crate::client::{Client, Usage};
use crate::output::text;

/// Rows asked for at once.
const PAGE: usize = 200;

/// The name of a deployment.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Its id; APP@ENV for the newest there; APP@ENV#GENERATION; or APP with --env
    deployment: String,
    /// The environment, where only an application is given
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
}

/// The same, taken apart.
#[derive(Debug, PartialEq, Eq)]
enum Meant<'a> {
    Id(&'a str),
    In { app: &'a str, env: &'a str, generation: Option<u64> },
}

fn parse<'a>(name: &'a str, env: Option<&'a str>) -> Result<Meant<'a>, Usage> {
    if uuid::Uuid::parse_str(name).is_ok() {
        return match env {
            None => Ok(Meant::Id(name)),
            Some(_) => Err(Usage("an id says it all: leave --env out".into())),
        };
    }
    let (name, generation) = match name.split_once('#') {
        Some((rest, number)) => match number.parse() {
            Ok(number) => (rest, Some(number)),
            Err(_) => return Err(Usage(format!("`{number}` is no generation: write {rest}#7"))),
        },
        None => (name, None),
    };
    match (name.split_once('@'), env) {
        (Some((app, env)), None) if !app.is_empty() && !env.is_empty() => {
            Ok(Meant::In { app, env, generation })
        }
        (None, Some(env)) if !name.is_empty() => Ok(Meant::In { app: name, env, generation }),
        (None, None) => Err(Usage(format!("say where: {name}@ENVIRONMENT or {name} --env ENVIRONMENT"))),
        _ => Err(Usage(format!("`{name}` names no deployment: write its id, APP@ENV or APP@ENV#GENERATION"))),
    }
}

impl Target {
    /// Its id.
    pub(super) async fn id(&self, client: &Client) -> Result<String> {
        match parse(&self.deployment, self.env.as_deref())? {
            Meant::Id(id) => Ok(id.to_owned()),
            Meant::In { app, env, generation } => Ok(text(&find(client, app, env, generation).await?["id"])),
        }
    }

    /// All that is known of it.
    pub(super) async fn view(&self, client: &Client) -> Result<Value> {
        view(client, &self.id(client).await?).await
    }
}

/// All that is known of the deployment `id`.
pub(super) async fn view(client: &Client, id: &str) -> Result<Value> {
    client.get(&format!("/api/v1/deployments/{id}"), &[]).await
}

/// The newest deployment, or the one of that generation.
async fn find(client: &Client, app: &str, env: &str, generation: Option<u64>) -> Result<Value> {
    let limit = if generation.is_some() { PAGE } else { 1 };
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![
            ("application", app.to_owned()),
            ("environment", env.to_owned()),
            ("limit", limit.to_string()),
        ];
        query.extend(after.take().map(|after| ("after", after)));
        let page = client.get("/api/v1/deployments", &query).await?;
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(generation) = generation else {
            match items.first() {
                Some(newest) => return Ok(newest.clone()),
                None => {
                    bail!("{app} was never deployed in {env}: slipway deploy create {app} --env {env}")
                }
            }
        };
        let number = |row: &Value| row["generation"].as_u64().unwrap_or(0);
        if let Some(found) = items.iter().find(|row| number(row) == generation) {
            return Ok(found.clone());
        }
        // In an environment that was made anew at another address they are counted from 1 again: an older one may have a
        // greater number.
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => {
                bail!("{app} in {env} has no generation {generation}: slipway deploy list {app} --env {env}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_name_a_deployment() {
        let id = "01a1fd91-1437-758d-9532-782b688bbc74";
        let meant = |app, env, generation| Ok(Meant::In { app, env, generation });
        let parsed = |name, env| parse(name, env).map_err(|usage| usage.0);
        assert_eq!(parsed(id, None), Ok(Meant::Id(id)));
        assert_eq!(parsed("shop@prod", None), meant("shop", "prod", None));
        assert_eq!(parsed("pay/shop@prod#7", None), meant("pay/shop", "prod", Some(7)));
        assert_eq!(parsed("shop", Some("prod")), meant("shop", "prod", None));
        assert_eq!(parsed("shop#3", Some("prod")), meant("shop", "prod", Some(3)));
    }

    #[test]
    fn what_names_no_deployment_is_told_how_to() {
        let wrong = |name, env| parse(name, env).unwrap_err().0;
        assert!(wrong("shop", None).contains("shop@ENVIRONMENT"));
        assert!(wrong("shop@prod", Some("prod")).contains("names no deployment"));
        assert!(wrong("shop@prod#x", None).contains("no generation"));
        assert!(wrong("@prod", None).contains("names no deployment"));
        assert!(wrong("01a1fd91-1437-758d-9532-782b688bbc74", Some("prod")).contains("--env"));
    }
}
