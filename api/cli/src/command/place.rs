//! What runs where, and what keeps it there: `slipway where`, `pin`, `hold` and `release`.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::environment::tell_faults;
use super::{Exit, Global, in_path};
use crate::client::{Client, Problem, Usage};
use crate::output::{age, data, json as print_json, one_line, table, text};

#[derive(Debug, Args)]
pub(crate) struct WhereArgs {
    /// Only this application
    app: Option<String>,
    /// Only in this environment
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// The application
    app: String,
    /// The version; what runs there now if absent
    version: Option<String>,
    /// The environment
    #[arg(long, value_name = "NAME")]
    env: String,
    /// Why; shown to everybody who looks at the environment
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    /// The application
    app: String,
    /// The environment
    #[arg(long, value_name = "NAME")]
    env: String,
    /// Why; shown to everybody who looks at the environment
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// The application
    app: String,
    /// The environment
    #[arg(long, value_name = "NAME")]
    env: String,
}

/// What runs in which environment.
pub(crate) async fn places(client: &Client, app: Option<&str>, env: Option<&str>) -> Result<Vec<Value>> {
    let given = [("application", app), ("environment", env)];
    let query: Vec<_> = given.into_iter().filter_map(|(key, value)| Some((key, value?.to_owned()))).collect();
    client.whole("/api/v1/where", &query).await
}

pub(crate) async fn show(args: WhereArgs, global: &Global) -> Result<Exit> {
    let rows = places(&global.client()?, args.app.as_deref(), args.env.as_deref()).await?;
    if global.json() {
        print_json(&Value::Array(rows));
        return Ok(Exit::OK);
    }
    let cells: Vec<_> = rows.iter().map(cells).collect();
    let head = ["APPLICATION", "ENVIRONMENT", "VERSION", "FROM", "AGE", "STATE", "PIN", "BEHIND", "NEXT"];
    table(&head, &cells, "Nothing is deployed yet. Begin with: slipway deploy plan APP --env ENVIRONMENT");
    for row in &rows {
        row["broken_configuration"].as_array().into_iter().flatten().for_each(tell_faults);
    }
    Ok(Exit::OK)
}

fn cells(place: &Value) -> Vec<String> {
    let commit: String = text(&place["commit"]).chars().take(8).collect();
    vec![
        text(&place["application"]),
        text(&place["environment"]),
        text(&place["version"]),
        if place["branch"].is_null() { commit } else { format!("{}@{commit}", text(&place["branch"])) },
        age(&place["since"]),
        text(&place["state"]),
        pin(&place["pin"]),
        behind(place),
        pending(&place["pending"]),
    ]
}

fn pin(pin: &Value) -> String {
    if pin.is_null() {
        return "-".into();
    }
    let what = if pin["version"].is_null() { "held".into() } else { text(&pin["version"]) };
    format!("{what}: {} ({})", text(&pin["reason"]), text(&pin["by"]))
}

fn behind(place: &Value) -> String {
    let upstream = &place["upstream"];
    match (place["behind"] == true, upstream.is_null()) {
        (true, false) => format!("{} has {}", text(&upstream["environment"]), text(&upstream["version"])),
        (true, true) => "yes".into(),
        (false, _) => "-".into(),
    }
}

fn pending(pending: &Value) -> String {
    if pending.is_null() {
        return "-".into();
    }
    let reason = pending["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{} {}{reason}", text(&pending["version"]), text(&pending["state"]))
}

/// What keeps applications in an environment as they are, two lines each: why, and what lets it go on.
fn kept(places: &[Value]) -> Vec<String> {
    let held = places.iter().filter(|place| !place["pin"].is_null());
    held.flat_map(|place| {
        let (app, env) = (text(&place["application"]), text(&place["environment"]));
        [
            format!("{app} in {env} is {}", one_line(&pin(&place["pin"]))),
            format!("  let it go on: slipway release {app} --env {env}"),
        ]
    })
    .collect()
}

/// Tells what keeps applications in an environment as they are; nothing of an environment that is no more.
pub(crate) async fn tell_kept(client: &Client, app: Option<&str>, env: &str) -> Result<()> {
    match places(client, app, Some(env)).await {
        Ok(places) => kept(&places).iter().for_each(data),
        Err(error) if error.downcast_ref::<Problem>().is_some_and(Problem::is_not_found) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn hold_path(app: &str, env: &str) -> String {
    format!("/api/v1/environments/{}/holds/{}", in_path(env), in_path(app))
}

pub(crate) async fn pin_to(args: PinArgs, global: &Global) -> Result<Exit> {
    let client = global.client()?;
    let (app, env) = (&args.app, &args.env);
    let version = match args.version {
        Some(version) => version,
        None => match places(&client, Some(app), Some(env)).await?.first() {
            Some(place) if place["version"].is_string() => text(&place["version"]),
            _ => bail!(Usage(format!("nothing of {app} runs in {env}: name the version to pin it to"))),
        },
    };
    let body = json!({"version": version, "reason": args.reason});
    client.put(&hold_path(app, env), &body).await?;
    let pinned = json!({"application": app, "environment": env, "version": version, "reason": args.reason});
    let line =
        format!("{app} in {env} is pinned to {version}. Let it go again: slipway release {app} --env {env}");
    global.tell(&pinned, line);
    Ok(Exit::OK)
}

pub(crate) async fn hold(args: HoldArgs, global: &Global) -> Result<Exit> {
    let (app, env) = (&args.app, &args.env);
    global.client()?.put(&hold_path(app, env), &json!({"reason": args.reason})).await?;
    let held = json!({"application": app, "environment": env, "version": null, "reason": args.reason});
    let line = format!("{app} in {env} stays as it is. Let it go again: slipway release {app} --env {env}");
    global.tell(&held, line);
    Ok(Exit::OK)
}

pub(crate) async fn release(args: ReleaseArgs, global: &Global) -> Result<Exit> {
    let (app, env) = (&args.app, &args.env);
    global.client()?.delete(&hold_path(app, env)).await?;
    let released = json!({"application": app, "environment": env, "released": true});
    global.tell(&released, format!("{app} in {env} is neither pinned nor held any more."));
    Ok(Exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_row() {
        let place = json!({
            "application": "shop", "environment": "prod", "version": "1.4.2", "branch": "main",
            "commit": "0123456789abcdef", "state": "live", "since": null, "behind": true,
            "upstream": {"environment": "staging", "version": "1.5.0", "same": false},
            "pin": {"version": "1.4.2", "reason": "fair", "by": "ann"},
            "pending": {"version": "1.5.0", "state": "awaiting", "reason": "1 of 2 approvals"},
        });
        let wanted = [
            "shop",
            "prod",
            "1.4.2",
            "main@01234567",
            "-",
            "live",
            "1.4.2: fair (ann)",
            "staging has 1.5.0",
            "1.5.0 awaiting: 1 of 2 approvals",
        ];
        assert_eq!(cells(&place), wanted);
    }

    #[test]
    fn a_hold_names_no_version() {
        assert_eq!(pin(&json!({"reason": "fair", "by": "ann"})), "held: fair (ann)");
        let place = |pin: Value| json!({"application": "shop", "environment": "staging", "pin": pin});
        let held = place(json!({"reason": "following stopped: generation 2 is rejected", "by": "slipway"}));
        let told = [
            "shop in staging is held: following stopped: generation 2 is rejected (slipway)",
            "  let it go on: slipway release shop --env staging",
        ];
        assert_eq!(kept(&[place(Value::Null), held]), told);
        let place = json!({"commit": "0123456789", "behind": false});
        assert_eq!(cells(&place)[3..], ["01234567", "-", "-", "-", "-", "-"]);
    }
}
