//! What a selection means, slow and obvious: every condition looked at for every bundle, one by one.

use slipway_types::selection::{
    Author, Condition, LabelSelector, Prereleases, Selection, SelectionOrder, VersionRange,
};

use super::prelude::*;
use crate::random::Random;

/// A bundle with what is known of it besides its row.
pub(super) struct Known {
    pub(super) version: PackageVersion,
    pub(super) author: String,
    pub(super) actor: String,
    /// Whether a check of its developers holds it.
    pub(super) held: bool,
}

/// A catalogue as it stands.
pub(super) struct Model {
    pub(super) bundles: Vec<Known>,
    /// What each channel names, and what each environment runs.
    pub(super) pointers: Vec<(String, VersionId)>,
}

/// A selection with its range and selector in a form that is evaluated here.
pub(super) struct Asked {
    pub(super) selection: Selection,
    range: Vec<Vec<Comparator>>,
    terms: Vec<Term>,
}

#[derive(Debug, Clone, Copy)]
struct Partial {
    major: u64,
    minor: Option<u64>,
    patch: Option<u64>,
    pre: Option<&'static str>,
}

type Comparator = (&'static str, Partial);

/// Key, how it is compared, with what.
type Term = (&'static str, &'static str, Vec<&'static str>);

pub(super) const KEYS: [&str; 4] = ["a", "b", "source/c", "in"];
pub(super) const VALUES: [&str; 4] = ["x", "y", "Z 1", ""];
pub(super) const BRANCHES: [&str; 3] = ["main", "feature/x", "dev"];
pub(super) const COMMITS: [&str; 4] = ["abcd01", "abcd02", "abce", "0000"];
pub(super) const PEOPLE: [(&str, &str); 4] =
    [("Ann Lee <Ann@example.com>", "ann"), ("Bob <bob@example.com>", "ann"), ("ann", "Bob"), ("Cé <>", "ci")];
const ASKED_AUTHORS: [&str; 8] =
    ["ANN", "ann lee", "ann@EXAMPLE.com", "Ann Lee <ann@example.com>", "bob", "cé", "nobody", "Bob "];
pub(super) const CHANNELS: [&str; 2] = ["stable", "edge"];
pub(super) const ENVIRONMENTS: [&str; 2] = ["staging", "prod"];
const PRES: [&str; 4] = ["main.1", "main.10", "rc.1", "0"];

impl Partial {
    fn random(random: &mut Random) -> Self {
        let [major, minor, patch] = [random.below(3), random.below(3), random.below(3)];
        let depth = random.below(4);
        Self {
            major,
            minor: (depth > 0).then_some(minor),
            patch: (depth > 1).then_some(patch),
            pre: (depth > 2).then(|| random.pick(&PRES)),
        }
    }

    fn text(self) -> String {
        let Self { major, minor, patch, pre } = self;
        match (minor, patch, pre) {
            (Some(minor), Some(patch), Some(pre)) => format!("{major}.{minor}.{patch}-{pre}"),
            (Some(minor), Some(patch), None) => format!("{major}.{minor}.{patch}"),
            (Some(minor), ..) => format!("{major}.{minor}"),
            _ => major.to_string(),
        }
    }

    /// Where a version stands to all that it stands for.
    fn place(self, version: &Version) -> std::cmp::Ordering {
        let (major, minor, _) = version.core();
        match (self.minor, self.patch) {
            (Some(_), Some(_)) => version.precedence(&word(&self.text())),
            (Some(wanted), None) => (major, minor).cmp(&(self.major, wanted)),
            (None, _) => major.cmp(&self.major),
        }
    }
}

fn compares((operator, partial): &Comparator, version: &Version) -> bool {
    let place = partial.place(version);
    let (major, minor, patch) = version.core();
    match *operator {
        "<" => place.is_lt(),
        "<=" => place.is_le(),
        ">" => place.is_gt(),
        ">=" => place.is_ge(),
        "" | "=" => place.is_eq(),
        "~" => place.is_ge() && major == partial.major && partial.minor.is_none_or(|wanted| minor == wanted),
        "^" => {
            let same = match (partial.major, partial.minor, partial.patch) {
                (0, Some(0), Some(wanted)) => (major, minor, patch) == (0, 0, wanted),
                (0, Some(wanted), _) => (major, minor) == (0, wanted),
                (wanted, ..) => major == wanted,
            };
            place.is_ge() && same
        }
        other => panic!("{other}"),
    }
}

fn holds((key, how, values): &Term, labels: &Labels) -> bool {
    let value = labels.get(&word::<LabelKey>(key)).map(LabelValue::as_str);
    match (*how, value) {
        ("exists", value) => value.is_some(),
        ("absent", value) => value.is_none(),
        ("=" | "in", value) => value.is_some_and(|value| values.contains(&value)),
        ("!=" | "notin", value) => value.is_none_or(|value| !values.contains(&value)),
        (other, _) => panic!("{other}"),
    }
}

fn random_range(random: &mut Random) -> (Vec<Vec<Comparator>>, VersionRange) {
    const OPERATORS: [&str; 8] = ["", "=", "<", "<=", ">", ">=", "^", "~"];
    loop {
        let alternatives: Vec<Vec<Comparator>> = (0..=random.below(2))
            .map(|_| {
                (0..=random.below(2)).map(|_| (random.pick(&OPERATORS), Partial::random(random))).collect()
            })
            .collect();
        let text = |comparators: &Vec<Comparator>| {
            let words: Vec<String> = comparators
                .iter()
                .map(|(operator, version)| format!("{operator}{}", version.text()))
                .collect();
            words.join(" ")
        };
        let text: Vec<String> = alternatives.iter().map(text).collect();
        // What holds no version at all is refused.
        if let Ok(range) = text.join(" || ").parse() {
            return (alternatives, range);
        }
    }
}

fn random_selector(random: &mut Random) -> (Vec<Term>, LabelSelector) {
    loop {
        let terms: Vec<Term> = (0..=random.below(3))
            .map(|_| {
                let how = random.pick(&["=", "!=", "in", "notin", "exists", "absent"]);
                let count = match how {
                    "=" | "!=" => 1,
                    "in" | "notin" => 1 + random.below(3),
                    _ => 0,
                };
                let values = (0..count).map(|_| random.pick(&["x", "y", "Z 1", "", "unheard"])).collect();
                (random.pick(&["a", "b", "source/c", "in", "unknown"]), how, values)
            })
            .collect();
        let text = |(key, how, values): &Term| {
            let values: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
            match *how {
                "exists" => (*key).to_owned(),
                "absent" => format!("!{key}"),
                "in" | "notin" => format!("{key} {how} ({})", values.join(",")),
                sign => format!("{key}{sign}{}", values[0]),
            }
        };
        let text: Vec<String> = terms.iter().map(text).collect();
        // So are contradictions.
        if let Ok(selector) = text.join(", ").parse() {
            return (terms, selector);
        }
    }
}

impl Asked {
    /// Some selection; every condition stands in some of them.
    pub(super) fn random(random: &mut Random, model: &Model) -> Self {
        let mut asked = Self { selection: Selection::default(), range: Vec::new(), terms: Vec::new() };
        let chance = |random: &mut Random| random.below(4) == 0;
        let time = |random: &mut Random| {
            let times: Vec<_> = model.bundles.iter().map(|known| known.version.created_at).collect();
            random.pick(&times)
        };
        if random.below(2) == 0 {
            let (range, parsed) = random_range(random);
            (asked.range, asked.selection.range) = (range, Some(parsed));
        }
        if random.below(2) == 0 {
            (asked.terms, asked.selection.selector) = random_selector(random);
        }
        let selection = &mut asked.selection;
        selection.branch = chance(random).then(|| word(random.pick(&["main", "feature/x", "dev", "gone"])));
        selection.commit = chance(random).then(|| word(random.pick(&["abcd", "abcd01", "0000", "ffff"])));
        selection.author = chance(random).then(|| word(random.pick(&ASKED_AUTHORS)));
        selection.published_after = chance(random).then(|| time(random));
        selection.published_before = chance(random).then(|| time(random));
        selection.channel = (random.below(8) == 0).then(|| word(random.pick(&["stable", "edge", "unset"])));
        selection.deployed_in = (random.below(8) == 0).then(|| word(random.pick(&["staging", "prod", "dr"])));
        selection.held = random.below(2) == 0;
        selection.prerelease =
            random.pick(&[Prereleases::Auto, Prereleases::Yes, Prereleases::Yes, Prereleases::No]);
        asked
    }
}

impl Model {
    fn meets(&self, asked: &Asked, condition: Condition, known: &Known) -> bool {
        let (selection, version) = (&asked.selection, &known.version);
        let points = |name: &str| self.pointers.contains(&(name.to_owned(), version.id));
        match condition {
            Condition::Prerelease => {
                let named = asked.range.iter().flatten().any(|(_, partial)| partial.pre.is_some());
                let narrow = selection.branch.is_some()
                    || selection.commit.is_some()
                    || selection.channel.is_some()
                    || selection.deployed_in.is_some()
                    || named;
                !version.version.is_prerelease()
                    || selection.prerelease == Prereleases::Yes
                    || (selection.prerelease == Prereleases::Auto && narrow)
            }
            Condition::Range => {
                let all = |comparators: &Vec<Comparator>| {
                    comparators.iter().all(|comparator| compares(comparator, &version.version))
                };
                asked.range.is_empty() || asked.range.iter().any(all)
            }
            Condition::Selector => asked.terms.iter().all(|term| holds(term, &version.labels)),
            Condition::Branch => {
                let of = |name: &str| version.git_ref.branch() == Some(name);
                selection.branch.as_ref().is_none_or(|branch| of(branch.as_str()))
            }
            Condition::Channel => selection.channel.as_ref().is_none_or(|name| points(name.as_str())),
            Condition::Commit => {
                let begins = |prefix: &str| version.commit.as_str().starts_with(prefix);
                selection.commit.as_ref().is_none_or(|prefix| begins(prefix.as_str()))
            }
            Condition::Author => {
                let keys = Author::keys(&known.author, &known.actor);
                selection.author.as_ref().is_none_or(|author| keys.contains(&author.key()))
            }
            Condition::Published => {
                selection.published_after.is_none_or(|after| version.created_at >= after)
                    && selection.published_before.is_none_or(|before| version.created_at < before)
            }
            Condition::DeployedIn => selection.deployed_in.as_ref().is_none_or(|name| points(name.as_str())),
            Condition::Held => selection.held || !known.held,
        }
    }

    /// The identities of bundles that meet every condition but `failing`, which they do not meet.
    pub(super) fn select(
        &self,
        asked: &Asked,
        failing: Option<Condition>,
        order: SelectionOrder,
    ) -> Vec<VersionId> {
        let passes = |known: &&Known| {
            Condition::ALL
                .into_iter()
                .all(|condition| self.meets(asked, condition, known) != (failing == Some(condition)))
        };
        let mut found: Vec<&PackageVersion> =
            self.bundles.iter().filter(passes).map(|known| &known.version).collect();
        found.sort_by(|one, other| match order {
            SelectionOrder::Precedence => other.version.precedence(&one.version),
            SelectionOrder::Newest => other.id.cmp(&one.id),
        });
        found.into_iter().map(|version| version.id).collect()
    }
}
