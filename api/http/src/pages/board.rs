//! `/where`: what every environment runs of every application, and where one leads to the next.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use slipway_records::{Application, Environment};
use slipway_types::environment::Follow;
use slipway_types::{ApplicationName, Role};

use super::frame::{Frame, Section, show};
use super::parts::{Moment, Status};
use super::tabs::Link;
use super::texts::{DeployTexts, Texts};
use super::visitor::Member;
use super::{address, deploy};
use crate::auth::Caller;
use crate::extract::Query;
use crate::problem::ApiError;
use crate::rest::places::{self, PlaceView};
use crate::state::ServerState;

/// Applications on one page.
const ROWS_MAX: usize = 20;
/// Cells on one page, of at most 1 kB each: many environments leave room for fewer applications.
const CELLS_MAX: usize = 60;

/// Which applications.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BoardQuery {
    /// A part of their names.
    q: String,
    /// The name of the last one of the page before.
    after: String,
}

/// Applications and environments.
#[derive(Template)]
#[template(path = "where.html")]
struct BoardPage {
    t: &'static Texts,
    d: &'static DeployTexts,
    frame: Frame,
    q: String,
    environments: Vec<Column>,
    rows: Vec<Row>,
    may_deploy: bool,
    next: Option<String>,
}

/// An environment.
struct Column {
    name: String,
    address: String,
    upstream: Option<String>,
}

/// An application.
struct Row {
    name: String,
    address: String,
    cells: Vec<Cell>,
}

/// An application in an environment.
struct Cell {
    environment: String,
    running: Option<Running>,
    pending: Option<Pending>,
    /// Why it stays as it is, and at which version.
    pin: Option<Pin>,
    /// What it follows by itself.
    follows: Option<String>,
    /// What upstream runs, where that is something else.
    behind: Option<String>,
    /// Where what upstream runs is deployed here.
    promote: Option<Link>,
    /// Where a bundle for it is chosen.
    deploy: Option<String>,
    /// What is followed from git for it and could not be taken.
    broken: bool,
}

struct Running {
    status: Status,
    version: String,
    address: String,
    source: Option<String>,
    since: Option<Moment>,
    reason: Option<String>,
    /// Whether others changed some of it.
    drifted: bool,
}

struct Pending {
    status: Status,
    version: String,
    address: String,
    reason: Option<String>,
}

struct Pin {
    version: Option<String>,
    reason: String,
}

/// Environments from those that nothing comes before to those at the end of the way, else by name.
fn in_order(mut rest: Vec<Environment>) -> Vec<Environment> {
    let mut found: Vec<Environment> = Vec::new();
    while !rest.is_empty() {
        let is_next = |environment: &Environment| match &environment.settings.upstream {
            Some(upstream) => !rest.iter().any(|other| other.name == *upstream),
            None => true,
        };
        let ready: Vec<bool> = rest.iter().map(is_next).collect();
        // Those that wait for each other come as they are.
        let none = !ready.contains(&true);
        let mut ready = ready.into_iter();
        found.extend(rest.extract_if(.., |_| ready.next() == Some(true) || none));
    }
    found
}

/// What a follower takes, in a few words.
fn follows(environment: &Environment, application: &ApplicationName) -> Option<String> {
    let follow = environment.settings.follow.as_ref()?;
    let Follow { applications, channel, branch, selector, range, from, .. } = follow;
    let names = [application.to_string(), application.path()];
    if !applications.is_empty() && !names.iter().any(|name| applications.contains(name)) {
        return None;
    }
    let words = [
        channel.as_ref().map(ToString::to_string),
        branch.as_ref().map(ToString::to_string),
        selector.as_ref().map(ToString::to_string),
        range.as_ref().map(ToString::to_string),
        from.as_ref().map(ToString::to_string),
    ];
    Some(words.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// What every environment runs of the applications that the form asks for.
pub(super) async fn page(
    State(state): State<ServerState>,
    member: Member,
    Query(query): Query<BoardQuery>,
) -> Result<Response, ApiError> {
    let (t, caller) = (member.visitor.texts(), &member.session.caller);
    let d = t.deploying;
    caller.somewhere(Role::Reader)?;
    let mut read = state.records.read().await?;
    let mut seen = read.application_list().await?;
    seen.retain(|application| caller.may(Role::Reader, Some(application.id)));
    let environments = in_order(read.environment_list().await?);
    let (applications, next) = one_page(seen, &query, rows_max(environments.len()));
    let places = places::views(read.as_mut(), &applications).await?;
    drop(read);
    let places =
        places.into_iter().map(|place| ((place.application.clone(), place.environment.clone()), place));
    let board = Board { t, caller, environments, places: places.collect(), now: Utc::now() };
    show(&BoardPage {
        t,
        d,
        frame: Frame::new(&member.visitor, Section::Places, d.where_title),
        rows: applications.iter().map(|application| board.row(application)).collect(),
        environments: board.environments.iter().map(column).collect(),
        may_deploy: caller.somewhere(Role::Operator).is_ok(),
        q: query.q,
        next,
    })
}

/// How many applications fit on one page beside so many environments.
fn rows_max(environments: usize) -> usize {
    (CELLS_MAX / environments.max(1)).clamp(1, ROWS_MAX)
}

fn one_page(
    mut all: Vec<Application>,
    query: &BoardQuery,
    rows_max: usize,
) -> (Vec<Application>, Option<String>) {
    let wanted = query.q.trim().to_ascii_lowercase();
    all.retain(|application| {
        let name = application.name.to_string();
        name.contains(&wanted) && (query.after.is_empty() || name > query.after)
    });
    all.sort_by_key(|application| application.name.to_string());
    let more = all.len() > rows_max;
    all.truncate(rows_max);
    let last = all.last().filter(|_| more).map(|application| application.name.to_string());
    let next =
        last.map(|last| address::with_query("/where", [("q", query.q.as_str()), ("after", last.as_str())]));
    (all, next)
}

fn column(environment: &Environment) -> Column {
    Column {
        name: environment.name.to_string(),
        address: environment.address.to_string(),
        upstream: environment.settings.upstream.as_ref().map(ToString::to_string),
    }
}

/// All that a cell is made from.
struct Board<'a> {
    t: &'static Texts,
    caller: &'a Caller,
    environments: Vec<Environment>,
    places: HashMap<(String, String), PlaceView>,
    now: DateTime<Utc>,
}

impl Board<'_> {
    fn row(&self, application: &Application) -> Row {
        Row {
            name: application.name.to_string(),
            address: address::application(&application.name),
            cells: self.environments.iter().map(|environment| self.cell(application, environment)).collect(),
        }
    }

    fn place(&self, application: &str, environment: &str) -> Option<&PlaceView> {
        self.places.get(&(application.to_owned(), environment.to_owned()))
    }

    fn cell(&self, application: &Application, environment: &Environment) -> Cell {
        let (name, at) = (application.name.to_string(), environment.name.to_string());
        let place = self.place(&name, &at);
        let upstream = environment.settings.upstream.as_ref().map(ToString::to_string);
        let before = upstream.as_ref().and_then(|upstream| self.place(&name, upstream)?.version.clone());
        let running = place.and_then(|place| self.running(place));
        let is_behind = place.is_some_and(|place| place.behind);
        let is_next = before.is_some() && (running.is_none() || is_behind);
        let may_deploy = self.caller.may(Role::Operator, Some(application.id));
        let way = |bundle: Option<&str>| deploy::address(&application.name, &at, bundle);
        // What runs nothing yet and is not next on the way offers nothing.
        let is_open = running.is_some() || upstream.is_none() || is_next;
        Cell {
            follows: follows(environment, &application.name),
            pin: place.and_then(|place| place.pin.as_ref()).map(|pin| Pin {
                version: pin.version.clone(),
                reason: format!("{}: {}", pin.by, pin.reason),
            }),
            pending: place.and_then(|place| place.pending.as_ref()).map(|pending| Pending {
                status: Status::of(self.t, pending.state),
                version: pending.version.clone(),
                address: address::deployment(&pending.id),
                reason: pending.reason.clone(),
            }),
            behind: before.clone().filter(|_| is_behind),
            broken: place.is_some_and(|place| !place.broken_configuration.is_empty()),
            deploy: (may_deploy && is_open).then(|| way(None)),
            promote: before
                .filter(|_| may_deploy && is_next)
                .map(|version| Link { address: way(Some(&version)), text: version }),
            running,
            environment: at,
        }
    }

    fn running(&self, place: &PlaceView) -> Option<Running> {
        let (state, version) = (place.state?, place.version.clone()?);
        let commit = place.commit.as_deref().map(|commit| commit.get(..8).unwrap_or(commit));
        let source = match (place.branch.as_deref(), commit) {
            (Some(branch), Some(commit)) => Some(format!("{branch}@{commit}")),
            (branch, commit) => branch.or(commit).map(str::to_owned),
        };
        Some(Running {
            status: Status::of(self.t, state),
            address: place.deployment.as_deref().map(address::deployment).unwrap_or_default(),
            version,
            source,
            since: place.since.map(|since| Moment::new(self.t, since, self.now)),
            reason: place.reason.clone(),
            drifted: place.drifted,
        })
    }
}

#[cfg(test)]
mod tests {
    use slipway_types::environment::EnvironmentSettings;
    use slipway_types::id::EnvironmentId;

    use super::*;

    fn environment(name: &str, settings: EnvironmentSettings) -> Environment {
        let at = DateTime::from_timestamp(0, 0).unwrap();
        Environment {
            id: EnvironmentId::new(),
            name: name.parse().unwrap(),
            address: "eu/kind/shop".parse().unwrap(),
            settings,
            revision: 1,
            created_at: at,
            created_by: "ann".to_owned(),
            changed_at: at,
            changed_by: "ann".to_owned(),
            removed_at: None,
        }
    }

    fn after(name: &str, upstream: Option<&str>) -> Environment {
        let upstream = upstream.map(|name| name.parse().unwrap());
        environment(name, EnvironmentSettings { upstream, ..EnvironmentSettings::default() })
    }

    #[test]
    fn environments_stand_in_the_order_of_the_way() {
        for (all, wanted) in [
            (
                vec![after("prod", Some("staging")), after("staging", Some("test")), after("test", None)],
                vec!["test", "staging", "prod"],
            ),
            (vec![after("a", Some("gone")), after("b", None)], vec!["a", "b"]),
            (vec![after("a", Some("b")), after("b", Some("a")), after("c", None)], vec!["c", "a", "b"]),
            (vec![], vec![]),
        ] {
            let found: Vec<_> = in_order(all).iter().map(|one| one.name.to_string()).collect();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn many_environments_leave_room_for_fewer_applications() {
        for (environments, rows) in [(0, 20), (3, 20), (6, 10), (12, 5), (100, 1)] {
            assert_eq!(rows_max(environments), rows, "{environments}");
        }
    }

    #[test]
    fn who_follows_says_what() {
        let follow = Follow {
            branch: Some("main".parse().unwrap()),
            applications: ["default/shop".to_owned()].into(),
            ..Follow::default()
        };
        let place = environment("a", EnvironmentSettings { follow: Some(follow), ..Default::default() });
        assert_eq!(follows(&place, &"shop".parse().unwrap()).as_deref(), Some("main"));
        assert_eq!(follows(&place, &"till".parse().unwrap()), None);
        assert_eq!(follows(&after("b", None), &"shop".parse().unwrap()), None);
    }
}
