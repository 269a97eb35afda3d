//! What may be done to an object that is wanted.

use std::fmt;

use serde_json::Value;
use slipway_handoff::{Object, ObjectRef};

use super::FIELD_MANAGER;
use super::left::is_left;
use super::leftover::name_service_account;
use super::live::{Live, Terminating};
use super::marks::{Marks, keep_marks, mark};
use super::once::without_once;
use super::owners::Owners;
use super::same::is_same;
use super::selector::keep_selector;

/// An object that a generation wants.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// How it is to be treated.
    pub object: &'a Object,
    /// Its manifest, holes filled and secrets put in.
    pub manifest: &'a Value,
    /// Whether somebody asked that the very object that is there be taken over, if it is nobody's.
    pub adopt: bool,
}

/// One server-side apply.
#[derive(Clone, PartialEq)]
pub struct Write {
    /// As whom.
    pub manager: &'static str,
    /// Whether fields that others own are taken over.
    pub force: bool,
    /// What is sent. With a resource version, so that a change since the object was read is a conflict.
    pub body: Value,
}

/// What is done to an object that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is not there. Sent without force: what came in between and differs is a conflict.
    Create(Write),
    /// It is this inventory's, or is taken over, and differs.
    Update(Write),
    /// It is shared and another owner leads: this inventory joins the owners.
    Join(Write),
    /// It is as wanted, whichever generation wrote it, or led by another owner beside this inventory.
    AlreadySame,
    /// It is shared and somebody made it whom Slipway does not know: it is used as it is, never written and
    /// never removed.
    Borrow,
    /// It is on its way out: once it is gone it is made anew.
    Wait(Terminating),
    /// It is not this generation's to write.
    Refused(Refusal),
}

/// Why an object is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is there and somebody else's.
    #[error(
        "{object} is there already and belongs to {owner}: name it otherwise, share it by a policy of both, or \
         label the object as this application's to take it over"
    )]
    Foreign {
        /// The object.
        object: ObjectRef,
        /// Whose it is, in words.
        owner: String,
    },
    /// A higher generation of the same inventory wrote it.
    #[error(
        "{object} was written by generation {generation}, this is {own}: look at what runs, then deploy anew"
    )]
    Newer {
        /// The object.
        object: ObjectRef,
        /// The generation in the cluster.
        generation: u64,
        /// The generation that asked.
        own: u64,
    },
}

/// Whose an object in the cluster is.
enum Standing {
    Ours,
    Joined,
    ToJoin,
    Outside,
    Foreign,
}

impl Wanted<'_> {
    fn is_shared(&self) -> bool {
        // Nothing in a namespace is one application's alone, so neither is the namespace.
        self.object.shared || self.object.object.is_namespace()
    }

    fn standing(&self, marks: &Marks, live: &Live<'_>) -> Standing {
        let owners = Owners::of(live);
        match owners.lead(live) {
            Some(lead) if lead == marks.inventory().as_str() => Standing::Ours,
            Some(_) if !self.is_shared() || !live.is_shared() => Standing::Foreign,
            Some(_) if owners.has(marks.inventory()) => Standing::Joined,
            Some(_) => Standing::ToJoin,
            None if self.adopt || marks.is_named_by(live) => Standing::Ours,
            None if is_left(&self.object.object, live) => Standing::Ours,
            None if self.is_shared() => Standing::Outside,
            None => Standing::Foreign,
        }
    }

    fn body(&self, marks: &Marks, live: Option<&Live<'_>>) -> Value {
        let mut body = self.manifest.clone();
        if let Some(live) = live {
            without_once(&mut body, &self.object.once, live);
            keep_selector(&mut body, live.object(), self.adopt);
        }
        let owners = self.is_shared().then(|| {
            let mut owners = live.map(Owners::of).unwrap_or_default();
            owners.add(marks.inventory());
            owners
        });
        mark(&mut body, marks, self.object, owners.as_ref());
        body
    }
}

/// What is done to `wanted`, which is in the cluster as `live`; `None`: the cluster said that it is not there.
pub fn before_apply(wanted: &Wanted<'_>, marks: &Marks, live: Option<&Live<'_>>) -> Verdict {
    let Some(live) = live else {
        return Verdict::Create(Write {
            manager: FIELD_MANAGER,
            force: false,
            body: wanted.body(marks, None),
        });
    };
    let object = || wanted.object.object.clone();
    if let Some(generation) = marks.newer_on(live) {
        return Verdict::Refused(Refusal::Newer { object: object(), generation, own: marks.generation() });
    }
    if let Some(terminating) = live.terminating() {
        return Verdict::Wait(terminating);
    }
    match wanted.standing(marks, live) {
        Standing::Ours => update(wanted, marks, live),
        Standing::Joined => Verdict::AlreadySame,
        Standing::ToJoin => {
            let mut owners = Owners::of(live);
            owners.add(marks.inventory());
            Verdict::Join(owners.write(&wanted.object.object, live))
        }
        Standing::Outside => Verdict::Borrow,
        Standing::Foreign => {
            Verdict::Refused(Refusal::Foreign { object: object(), owner: live.told_owner() })
        }
    }
}

fn update(wanted: &Wanted<'_>, marks: &Marks, live: &Live<'_>) -> Verdict {
    let mut body = wanted.body(marks, Some(live));
    name_service_account(&mut body, live);
    let mut unmarked = body.clone();
    if marks.leave(live) {
        keep_marks(&mut unmarked, live);
    }
    if is_same(live, &unmarked, FIELD_MANAGER) {
        return Verdict::AlreadySame;
    }
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), live.resource_version().into());
    }
    Verdict::Update(Write { manager: FIELD_MANAGER, force: true, body })
}

impl fmt::Debug for Write {
    /// Without the body, which may be a Secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = ObjectRef::of(&self.body).map(|object| object.to_string());
        let mut shown = f.debug_struct("Write");
        shown.field("object", &object).field("manager", &self.manager).field("force", &self.force);
        shown.field("resource_version", &self.body["metadata"]["resourceVersion"].as_str()).finish()
    }
}

impl fmt::Debug for Wanted<'_> {
    /// Without the manifest, which may be a Secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted")
            .field("object", self.object)
            .field("adopt", &self.adopt)
            .finish_non_exhaustive()
    }
}
