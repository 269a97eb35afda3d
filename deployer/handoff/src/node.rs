//! Nodes of a graph: objects that become ready together, what fills them, and what they give.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_types::{ComponentName, Digest, SecretReference};

use crate::graph::NodeName;
use crate::pointer::Pointer;

/// How long a node may take if nothing else is said, in milliseconds.
pub const TIMEOUT_MS_DEFAULT: u64 = 600_000;

/// The highest [`Retry::limit`].
pub const RETRY_LIMIT_MAX: u32 = 20;
/// The highest [`Approvals::count`].
pub const APPROVALS_MAX: u32 = 20;

/// One node. What it does, in order: call, apply objects, hold; then it waits until it is ready.
///
/// It begins once each of `needs` is ready or left out, and each of `after` has ended, however. One of `needs`
/// that ended otherwise makes it skipped. Then `when` is judged, once: if that is false, or if the node takes an
/// output of a node that is not ready, it is left out. Nothing of it happens, what needs it goes on without it,
/// and its objects are not wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The component it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentName>,
    /// When in its component's life it runs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub phase: Phase,
    /// Nodes that must be ready, or left out, before it starts.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub needs: BTreeSet<NodeName>,
    /// Nodes that must have ended before it starts, however they did.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<NodeName>,
    /// Whether it runs at all: CEL over nodes that come before it, `nodes["NAME"].state` (`ready`, `failed`,
    /// `timed_out`, `skipped`), `.message` and `.reason` (`Execute`, `FailedAfterRetries`, `Timeout`, `Skip`,
    /// `Terminate`; both empty if it is ready), and over what they gave, `outputs["NAME"]["OUTPUT"]`. What is not
    /// there makes it false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Its rendered objects, in the order they are applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Object>,
    /// Outputs of other nodes that fill holes of its objects before they are applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// Values it gives when ready.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Output>,
    /// Objects of any node or of nobody that must come to a state before it is ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Wait>,
    /// One HTTP request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// A stop until somebody says to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// How often it begins anew by itself when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whether its objects are there on the way only, beside those of before: they go when the whole is live. A
    /// rollback leaves the node out, and so does the first generation of a key.
    #[serde(default, skip_serializing_if = "is_default")]
    pub temporary: bool,
    /// How long it may take from its start until it is ready, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            component: None,
            phase: Phase::Main,
            needs: BTreeSet::new(),
            after: BTreeSet::new(),
            when: None,
            objects: Vec::new(),
            inputs: Vec::new(),
            outputs: BTreeMap::new(),
            waits: Vec::new(),
            call: None,
            hold: None,
            retry: None,
            temporary: false,
            timeout_ms: TIMEOUT_MS_DEFAULT,
        }
    }
}

impl Node {
    /// Nodes that it waits for, in whatever way.
    pub fn before(&self) -> impl Iterator<Item = &NodeName> {
        self.needs.union(&self.after)
    }

    /// Whether it asks for more than to be started when what it needs is ready.
    pub fn is_conditional(&self) -> bool {
        let is_approved = self.hold.as_ref().is_some_and(|hold| hold.approvals.is_some());
        is_approved || self.temporary || self.when.is_some() || self.retry.is_some() || !self.after.is_empty()
    }
}

/// When in its component's life a node runs. The order itself is in [`Node::needs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the workload.
    Pre,
    /// The workload itself.
    #[default]
    Main,
    /// After the workload.
    Post,
}

/// Which object of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectRef {
    /// E.g. `apps/v1`.
    pub api_version: String,
    /// E.g. `Deployment`.
    pub kind: String,
    /// Namespace; `None`: the object has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl ObjectRef {
    /// What `object` says that it is; `None` if it says too little.
    pub fn of(object: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let metadata = &object["metadata"];
        Some(Self {
            api_version: text(&object["apiVersion"])?,
            kind: text(&object["kind"])?,
            namespace: text(&metadata["namespace"]),
            name: text(&metadata["name"])?,
        })
    }

    /// The API group; empty for the core one.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// The same object in every version of its API.
    pub fn identity(&self) -> (&str, &str, Option<&str>, &str) {
        (self.group(), &self.kind, self.namespace.as_deref(), &self.name)
    }

    /// Whether it is a Namespace.
    pub fn is_namespace(&self) -> bool {
        self.group().is_empty() && self.kind == "Namespace"
    }

    /// Whether it is a Secret.
    pub fn is_secret(&self) -> bool {
        self.group().is_empty() && self.kind == "Secret"
    }

    /// Whether it makes its pods anew when its template changes. Templates of Jobs never change, and those of CronJobs
    /// count from the next run on.
    pub fn rolls_pods(&self) -> bool {
        matches!(
            (self.group(), self.kind.as_str()),
            ("apps", "Deployment" | "StatefulSet" | "DaemonSet")
                | ("apps.kruise.io", "CloneSet" | "StatefulSet" | "DaemonSet")
        )
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} ", self.api_version, self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// A rendered object: its bytes by digest, and how it is to be treated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Which object.
    pub object: ObjectRef,
    /// Digest of its canonical JSON.
    pub manifest: Digest,
    /// When it is ready.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ready: Ready,
    /// Fields that are sent when the object is made and never again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub once: Vec<Pointer>,
    /// When it goes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub collect: Collect,
    /// Whether other applications may own it too: it goes with its last owner.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shared: bool,
}

impl Object {
    /// An object that is ready by the rules of its kind and goes when no revision has it any more.
    pub fn new(object: ObjectRef, manifest: Digest) -> Self {
        Self {
            object,
            manifest,
            ready: Ready::Kstatus,
            once: Vec::new(),
            collect: Collect::OnUpdate,
            shared: false,
        }
    }

    /// Whether it is not simply applied, and removed when no revision has it any more.
    pub fn is_owned_otherwise(&self) -> bool {
        !self.once.is_empty() || self.collect != Collect::OnUpdate || self.shared
    }
}

/// When an object is ready.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// By the rules of its kind (kstatus; a Job must complete).
    #[default]
    Kstatus,
    /// When this CEL expression over `self`, the object, is true.
    Cel(String),
    /// As soon as it is applied.
    Applied,
}

/// When an object goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collect {
    /// When a live revision no longer has it.
    #[default]
    OnUpdate,
    /// When the application is removed.
    OnDelete,
    /// Never.
    Never,
}

/// An object that must come to a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Which object.
    pub object: ObjectRef,
    /// The state: CEL over `self`, the object.
    pub until: String,
}

/// What stands in the address of a [`Call`] for the value of its secret.
pub const SECRET_PLACE: &str = "{secret}";

/// One HTTP request; any answer of the class 2xx is success.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// Where to. The receiver's own allow-list decides.
    pub url: String,
    /// What is sent, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// A secret of the application, as it is when the request is made: it stands where the path has
    /// [`SECRET_PLACE`], else it is sent as `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretReference>,
}

/// A stop. A rollback passes one that asks for no approvals, and any if the revision was live before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Goes on by itself after so many milliseconds; `None`: only when somebody resumes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// What people are told meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Who must say to go on; `None`: one person, anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Approvals>,
}

/// People who must say to go on, each by a resume of this very node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvals {
    /// How many, from 1 to [`APPROVALS_MAX`].
    pub count: u32,
    /// Whether the one of the submission's cause may be one of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub author_may: bool,
}

/// How often a node begins anew by itself when its call or one of its objects failed. Its time goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How often, from 1 to [`RETRY_LIMIT_MAX`].
    pub limit: u32,
    /// The pause before it, in milliseconds.
    pub backoff_ms: u64,
}

/// A value of another node on its way into holes of this one's objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The node that gives it; it must be among those needed, directly or through others.
    pub node: NodeName,
    /// Which of its outputs.
    pub output: String,
    /// Where it goes.
    pub holes: Vec<Hole>,
}

/// A place in an object of the same node that takes a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hole {
    /// The object.
    pub object: ObjectRef,
    /// The place in it; what holds the place must exist, what stands there is replaced.
    pub path: Pointer,
    /// What fits. Nothing is converted.
    #[serde(rename = "type")]
    pub accepts: HoleType,
}

/// What fits into a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoleType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A list.
    Array,
    /// A mapping.
    Object,
}

impl HoleType {
    /// Whether `value` fits.
    pub fn takes(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }
}

/// What a node gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Read from an object when the node is ready; that it is not there yet is waited for.
    From {
        /// The object, of this node or any other.
        object: ObjectRef,
        /// Where in it.
        path: Pointer,
    },
    /// Read from the JSON object that the container of a Job left as its termination message; the Job has completed.
    Message {
        /// The Job, of this node.
        object: ObjectRef,
        /// Which key of it.
        key: String,
    },
    /// Known beforehand.
    Value(Value),
}

fn default_timeout_ms() -> u64 {
    TIMEOUT_MS_DEFAULT
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
