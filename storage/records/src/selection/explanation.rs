//! Why a selection leads to what it leads to, in numbers and in words.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use slipway_types::Version;
use slipway_types::id::ApplicationId;
use slipway_types::selection::{Condition, Prereleases, Selection, SelectionOrder};

use super::{ReadSelections, SelectionPage};
use crate::Result;

/// Where counting for an explanation stops.
const COUNT_MAX: u32 = 1000;

/// A number of bundles, counted up to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// How many were counted.
    pub number: u32,
    /// Whether there may be more.
    pub or_more: bool,
}

/// A bundle that all conditions but one would have selected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearestMiss {
    /// Its version, the first of these in the order asked for.
    pub version: Version,
    /// The one that it does not meet.
    pub condition: Condition,
}

/// Why a selection leads to what it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What was asked.
    pub selection: Selection,
    /// In which order.
    pub order: SelectionOrder,
    /// Bundles of the application.
    pub candidates: Count,
    /// Those that meet every condition.
    pub matching: Count,
    /// Those that meet every condition but this one.
    pub left_out: BTreeMap<Condition, Count>,
    /// Conditions that no bundle meets; looked for only if nothing matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub met_by_none: Vec<Condition>,
    /// What comes nearest; looked for only if nothing matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestMiss>,
    /// What was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Version>,
    /// All that in words for people.
    pub lines: Vec<String>,
}

impl Count {
    fn of(number: u32) -> Self {
        Self { number: number.min(COUNT_MAX), or_more: number > COUNT_MAX }
    }

    fn of_bundles(self) -> String {
        format!("{self} bundle{}", if self.number == 1 { "" } else { "s" })
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.number, if self.or_more { "+" } else { "" })
    }
}

impl Explanation {
    /// The same with what was chosen.
    #[must_use]
    pub(super) fn choosing(mut self, chosen: Option<&Version>) -> Self {
        if let Some(version) = chosen {
            let first = match self.order {
                SelectionOrder::Precedence => "the highest version",
                SelectionOrder::Newest => "the one published last",
            };
            let why = if self.matching.number == 1 {
                "the only match".to_owned()
            } else {
                format!("{first} of {} that match", self.matching)
            };
            self.lines.push(format!("{version} is chosen: {why}"));
            self.chosen = Some(version.clone());
        }
        self
    }

    fn in_words(&self, application: &str) -> Vec<String> {
        let mut lines = vec![self.question()];
        lines.push(format!(
            "the application has {}, of which {} match",
            self.candidates.of_bundles(),
            self.matching
        ));
        for (condition, count) in &self.left_out {
            lines.push(match condition {
                Condition::Prerelease => prereleases_left_out(*count, &self.selection),
                Condition::Held => format!(
                    "{count} left out, held by checks that are not green: see `slipway check list \
                     {application} VERSION`"
                ),
                _ => format!("{count} left out by {} alone", named(*condition, &self.selection)),
            });
        }
        if self.matching.number == 0 {
            lines.extend(self.ways_out(application));
        }
        lines
    }

    fn question(&self) -> String {
        let selection = &self.selection;
        let order = match self.order {
            SelectionOrder::Precedence => "the highest version first",
            SelectionOrder::Newest => "the one published last first",
        };
        let mut text = format!("asked for {selection}, {order}");
        if selection.prerelease == Prereleases::Auto {
            text.push_str(if selection.branch.is_some() {
                "; pre-releases take part, since a branch is given"
            } else if selection.commit.is_some() {
                "; pre-releases take part, since a commit is given"
            } else if selection.channel.is_some() {
                "; pre-releases take part, since a channel is given"
            } else if selection.takes_prereleases() {
                "; pre-releases take part, since the range names one"
            } else {
                "; pre-releases, which builds of branches are too, take no part"
            });
        }
        text
    }

    fn ways_out(&self, application: &str) -> Vec<String> {
        let selection = &self.selection;
        if self.candidates.number == 0 {
            return vec![
                "nothing is published yet: a git push of a slipway.yaml publishes a bundle".to_owned(),
            ];
        }
        if let Some(NearestMiss { version, condition }) = &self.nearest {
            let way = match condition {
                Condition::Prerelease => "add --prerelease yes, or --branch NAME".to_owned(),
                Condition::Held => format!("see `slipway check list {application} {version}`"),
                _ => format!("change or leave out {}", named(*condition, selection)),
            };
            return vec![format!(
                "nothing matches; the nearest is {version}, which fails by {} only: {way}",
                named(*condition, selection)
            )];
        }
        if self.met_by_none.is_empty() {
            return vec![
                "nothing matches: some bundles meet each condition, none meets all but one; leave out several"
                    .to_owned(),
            ];
        }
        let mut lines: Vec<String> =
            self.met_by_none.iter().map(|condition| met_by_none(*condition, selection)).collect();
        lines.push("nothing matches: change these conditions, or leave them out".to_owned());
        lines
    }
}

fn prereleases_left_out(count: Count, selection: &Selection) -> String {
    let what = if count.number == 1 { "pre-release" } else { "pre-releases" };
    let or_branch = if selection.branch.is_none() { ", or --branch NAME" } else { "" };
    format!("{count} {what} left out: add --prerelease yes{or_branch}")
}

/// A condition as people wrote it.
fn named(condition: Condition, selection: &Selection) -> String {
    let only = Selection { prerelease: Prereleases::Auto, ..selection.only(condition) };
    match condition {
        Condition::Prerelease => "being a pre-release".to_owned(),
        Condition::Held => "being held by its checks".to_owned(),
        _ => only.to_string(),
    }
}

fn met_by_none(condition: Condition, selection: &Selection) -> String {
    let name = named(condition, selection);
    match condition {
        Condition::Prerelease => {
            "all bundles are pre-releases: add --prerelease yes, or --branch NAME".to_owned()
        }
        Condition::Range => format!("no bundle lies in {name}, pre-releases included"),
        Condition::Selector => format!("no bundle has the labels of {name}"),
        Condition::Branch => format!("no bundle was published from {name}"),
        Condition::Channel => format!("{name} names no bundle: set it with `slipway channel set`"),
        Condition::Commit => format!("no bundle was published from {name}"),
        Condition::Author => format!("no bundle's commit was written or pushed by {name}"),
        Condition::Published => format!("no bundle was {name}"),
        Condition::DeployedIn => format!("no bundle is {name}"),
        Condition::Held => "all bundles are held by checks that are not green".to_owned(),
    }
}

/// Counts what each condition leaves out, and says all that.
pub(super) async fn explain<R: ReadSelections + ?Sized>(
    read: &mut R,
    application: ApplicationId,
    selection: &Selection,
    order: SelectionOrder,
) -> Result<Explanation> {
    // One more than is told, so that `1000` and `1000+` differ.
    let most = COUNT_MAX + 1;
    let all = Selection { prerelease: Prereleases::Yes, held: true, ..Selection::default() };
    let candidates = Count::of(read.selection_count(application, &all, None, most).await?);
    let matching = Count::of(read.selection_count(application, selection, None, most).await?);
    let mut explanation = Explanation {
        selection: selection.clone(),
        order,
        candidates,
        matching,
        left_out: BTreeMap::new(),
        met_by_none: Vec::new(),
        nearest: None,
        chosen: None,
        lines: Vec::new(),
    };
    for condition in selection.conditions() {
        let count = read.selection_count(application, selection, Some(condition), most).await?;
        if count > 0 {
            explanation.left_out.insert(condition, Count::of(count));
        }
    }
    if matching.number == 0 && candidates.number > 0 {
        look_around(read, application, &mut explanation).await?;
    }
    let application = match explanation.left_out.contains_key(&Condition::Held) {
        true => read.application_get(application).await?.map(|found| found.name.to_string()),
        false => None,
    };
    explanation.lines = explanation.in_words(application.as_deref().unwrap_or("APP"));
    Ok(explanation)
}

/// What would have to change for something to match.
async fn look_around<R: ReadSelections + ?Sized>(
    read: &mut R,
    application: ApplicationId,
    explanation: &mut Explanation,
) -> Result<()> {
    let selection = explanation.selection.clone();
    if let Some(&condition) = explanation.left_out.keys().next() {
        let page = SelectionPage { order: explanation.order, limit: 1, after: None };
        let nearest = read.selection_list(application, &selection, Some(condition), &page).await?;
        explanation.nearest =
            nearest.into_iter().next().map(|found| NearestMiss { version: found.version, condition });
    } else {
        for condition in selection.conditions() {
            if read.selection_count(application, &selection.only(condition), None, 1).await? == 0 {
                explanation.met_by_none.push(condition);
            }
        }
    }
    Ok(())
}
