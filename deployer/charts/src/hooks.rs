//! What a chart runs before its objects, after them, and apart from them.

use std::collections::BTreeSet;

use serde::Serialize;
use slipway_types::{Place, Violation};

use crate::rendered::{Note, ObjectName, RenderedObject};
use crate::request::Request;

const HOOK: &str = "helm.sh/hook";
const WEIGHT: &str = "helm.sh/hook-weight";
const DELETE_POLICY: &str = "helm.sh/hook-delete-policy";

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookEvent {
    /// Before the first deployment.
    PreInstall,
    /// After the first deployment.
    PostInstall,
    /// Before each later deployment.
    PreUpgrade,
    /// After each later deployment.
    PostUpgrade,
    /// Before all is removed.
    PreDelete,
    /// After all is removed.
    PostDelete,
    /// Before a rollback.
    PreRollback,
    /// After a rollback.
    PostRollback,
}

/// An object that runs at certain times and belongs to no revision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hook {
    /// The object and its template.
    #[serde(flatten)]
    pub object: RenderedObject,
    /// When it runs.
    pub on: BTreeSet<HookEvent>,
    /// Lower ones run first; equal ones by name.
    pub weight: i64,
    /// An earlier one of the same name goes before it is made (`before-hook-creation`).
    pub recreate: bool,
    /// It goes once it succeeded (`hook-succeeded`).
    pub remove_when_succeeded: bool,
    /// It goes once it failed (`hook-failed`).
    pub remove_when_failed: bool,
}

/// The hooks of a chart, each list in the order they run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Hooks {
    /// `pre-install` and `pre-upgrade`; which of them, `on` says.
    pub before: Vec<Hook>,
    /// `post-install` and `post-upgrade`; which of them, `on` says.
    pub after: Vec<Hook>,
    /// Those of removal and rollback: no node of a deployment runs them.
    pub apart: Vec<Hook>,
}

impl Hooks {
    /// The objects of all hooks.
    pub fn objects(&self) -> impl Iterator<Item = &RenderedObject> {
        self.before.iter().chain(&self.after).chain(&self.apart).map(|hook| &hook.object)
    }
}

/// What a word of the annotation `helm.sh/hook` means.
enum Word {
    Event(HookEvent),
    Test,
    /// A hook of Helm 2 that later ones pass over.
    CrdInstall,
}

fn word(text: &str) -> Option<Word> {
    Some(match text {
        "pre-install" => Word::Event(HookEvent::PreInstall),
        "post-install" => Word::Event(HookEvent::PostInstall),
        "pre-upgrade" => Word::Event(HookEvent::PreUpgrade),
        "post-upgrade" => Word::Event(HookEvent::PostUpgrade),
        "pre-delete" => Word::Event(HookEvent::PreDelete),
        "post-delete" => Word::Event(HookEvent::PostDelete),
        "pre-rollback" => Word::Event(HookEvent::PreRollback),
        "post-rollback" => Word::Event(HookEvent::PostRollback),
        "test" | "test-success" | "test-failure" => Word::Test,
        "crd-install" => Word::CrdInstall,
        _ => return None,
    })
}

/// What becomes of the objects of a chart.
#[derive(Default)]
pub(crate) struct Sorted {
    pub(crate) crds: Vec<RenderedObject>,
    pub(crate) objects: Vec<RenderedObject>,
    pub(crate) hooks: Hooks,
    pub(crate) notes: Vec<Note>,
    pub(crate) found: Vec<Violation>,
}

/// Tells hooks and files of `crds/` from other objects.
pub(crate) fn sort(objects: Vec<RenderedObject>, request: &Request<'_>) -> Sorted {
    let mut sorted = Sorted::default();
    for object in objects {
        let annotation = annotation(&object, HOOK);
        if annotation.is_empty() {
            let list = if is_of_crds(&object) { &mut sorted.crds } else { &mut sorted.objects };
            list.push(object);
        } else {
            sorted.take_hook(object, &annotation, request);
        }
    }
    for list in [&mut sorted.hooks.before, &mut sorted.hooks.after, &mut sorted.hooks.apart] {
        list.sort_by_key(|hook| (hook.weight, ObjectName::of(&hook.object.object).name));
    }
    sorted
}

impl Sorted {
    fn take_hook(&mut self, object: RenderedObject, annotation: &str, request: &Request<'_>) {
        let what = object.described();
        let mut on = BTreeSet::new();
        let (mut tests, mut outdated) = (false, false);
        for name in annotation.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match word(&name.to_ascii_lowercase()) {
                Some(Word::Event(event)) => _ = on.insert(event),
                Some(Word::Test) => tests = true,
                Some(Word::CrdInstall) => outdated = true,
                None => {
                    let shown: String = name.chars().take(40).collect();
                    let message = format!("{what} is a hook of the unknown kind `{shown}`");
                    let hint = "known are pre- and post- install, upgrade, delete and rollback, and test";
                    self.found.push(request.whole("invalid_hook", message).hint(hint));
                }
            }
        }
        if tests {
            self.note(&object, "test_hook_dropped", format!("{what} is a test and is left out"));
        }
        if outdated {
            let message = format!("{what} is a hook `crd-install`, which ended with Helm 2: it is left out");
            self.note(&object, "crd_hook_dropped", message);
        }
        if on.is_empty() {
            return;
        }
        let policies = self::annotation(&object, DELETE_POLICY);
        let policies: BTreeSet<&str> = policies.split(',').map(str::trim).filter(|p| !p.is_empty()).collect();
        let weight = self.weight(&object, &what);
        let hook = Hook {
            object,
            on,
            weight,
            // Helm's own default.
            recreate: policies.is_empty() || policies.contains("before-hook-creation"),
            remove_when_succeeded: policies.contains("hook-succeeded"),
            remove_when_failed: policies.contains("hook-failed"),
        };
        self.place(hook, &what);
    }

    /// A weight that is no number counts as 0, as with Helm.
    fn weight(&mut self, object: &RenderedObject, what: &str) -> i64 {
        let text = annotation(object, WEIGHT);
        if text.is_empty() {
            return 0;
        }
        text.parse().unwrap_or_else(|_| {
            let shown: String = text.chars().take(40).collect();
            self.note(
                object,
                "hook_weight_ignored",
                format!("the weight `{shown}` of {what} is no whole number"),
            );
            0
        })
    }

    fn place(&mut self, hook: Hook, what: &str) {
        use HookEvent::{PostInstall, PostUpgrade, PreInstall, PreUpgrade};
        let of = |events: &[HookEvent]| -> Option<Hook> {
            let on: BTreeSet<HookEvent> = hook.on.iter().copied().filter(|on| events.contains(on)).collect();
            (!on.is_empty()).then(|| Hook { on, ..hook.clone() })
        };
        let before = of(&[PreInstall, PreUpgrade]);
        let after = of(&[PostInstall, PostUpgrade]);
        let apart: Vec<HookEvent> = hook
            .on
            .iter()
            .copied()
            .filter(|on| ![PreInstall, PreUpgrade, PostInstall, PostUpgrade].contains(on))
            .collect();
        if let Some(apart) = of(&apart) {
            let message = format!("{what} is a hook of removal or rollback: no deployment runs it");
            self.note(&hook.object, "hook_kept_apart", message);
            self.hooks.apart.push(apart);
        }
        self.hooks.before.extend(before);
        self.hooks.after.extend(after);
    }

    fn note(&mut self, object: &RenderedObject, code: &str, message: String) {
        let at = object.source.as_ref().map(|file| Place { file: file.clone(), line: 1, column: 1 });
        self.notes.push(Note { at, code: code.to_owned(), message });
    }
}

fn annotation(object: &RenderedObject, name: &str) -> String {
    object.object["metadata"]["annotations"][name].as_str().unwrap_or_default().trim().to_owned()
}

/// Whether the file lies in `crds/` of the chart or of one below it.
fn is_of_crds(object: &RenderedObject) -> bool {
    let Some(source) = &object.source else { return false };
    let mut parts = source.split('/').skip(1);
    loop {
        match parts.next() {
            Some("charts") => _ = parts.next(),
            Some("crds") => return true,
            _ => return false,
        }
    }
}
