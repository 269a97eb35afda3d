//! Instances of add-ons, and who is bound to them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use slipway_types::id::{AddonBindingId, AddonId, ApplicationId, EnvironmentId};
use slipway_types::name::{AddonName, DefinitionName, EnvironmentName};
use slipway_types::state::{AddonEvent, AddonState};
use slipway_types::{ApplicationName, Digest, TeamName, Version};

use crate::Result;
use crate::failure::Found;
use crate::job::{JobPayload, NewJob};

/// An instance of an add-on: one resource in one environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddonInstance {
    /// Identity.
    pub id: AddonId,
    /// Unique among those not released.
    pub name: AddonName,
    /// The team that it belongs to.
    pub team: TeamName,
    /// The person or group that answers for it.
    pub owner: String,
    /// Where it lies; never changes.
    pub environment_id: EnvironmentId,
    /// The definition that makes it.
    pub definition: DefinitionName,
    /// Which version of it.
    pub version: Version,
    /// What its definition's schema asks for.
    pub properties: Value,
    /// Whether it may not be released.
    pub protected: bool,
    /// Where it stands.
    pub state: AddonState,
    /// What it gives, once it is ready; no secrets.
    pub outputs: BTreeMap<String, Value>,
    /// Names of the secrets that were made for each binding of this generation: outputs as well.
    pub binding_secrets: Vec<String>,
    /// Whether it is reached from its own cluster alone.
    pub in_cluster: bool,
    /// Whether its definition runs something before it is taken away.
    #[serde(default)]
    pub has_release: bool,
    /// What was found when something of it failed last, until it is ready.
    #[serde(default)]
    pub failure: Option<AddonFailure>,
    /// Rises with every change that is handed off.
    pub generation: u64,
    /// The newest generation whose outputs are known.
    pub ready_generation: u64,
    /// The newest generation that its receiver has; 0: none.
    pub handed_off: u64,
    /// What this generation was frozen to.
    pub revision: Option<Digest>,
    /// The revision that its receiver had before.
    pub predecessor: Option<Digest>,
    /// The number of the last event that was heard.
    pub sequence: u64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
    /// When its generation was made.
    pub changed_at: DateTime<Utc>,
    /// By whom.
    pub changed_by: String,
    /// When this generation was last kept by a cordon.
    #[serde(default)]
    pub cordoned_at: Option<DateTime<Utc>>,
    /// Rises with every stored change; the key of compare-and-swap.
    #[serde(skip)]
    pub row_version: i64,
}

/// The most bytes of the ends of logs that are kept with an instance.
pub const ADDON_LOG_BYTES_KEPT: usize = 8 << 10;

/// What was found when a node of an instance failed or timed out. No text of it holds a value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddonFailure {
    /// Of which generation.
    pub generation: u64,
    /// Which node: `resource`, `job.NAME` or `run.NAME`.
    pub node: String,
    /// Which of its attempts.
    pub attempt: u32,
    /// When it failed.
    pub at: DateTime<Utc>,
    /// What was found.
    pub found: Found,
    /// The end of what its containers wrote, at most [`ADDON_LOG_BYTES_KEPT`].
    pub log: String,
}

impl AddonInstance {
    /// What it is handed off as.
    pub fn handed_off_as(&self) -> ApplicationName {
        ApplicationName::of_addon(&self.name)
    }

    /// Makes a new generation that is to be planned and handed off; `false` if its state does not allow that.
    pub fn change(&mut self, event: AddonEvent, by: &str, at: DateTime<Utc>) -> bool {
        let Ok(state) = self.state.clone().apply(event) else { return false };
        self.state = state;
        // What its receiver may have stays known: a removal is made from it.
        self.predecessor = self.revision.or(self.predecessor);
        self.generation += 1;
        self.revision = None;
        self.changed_at = at;
        by.clone_into(&mut self.changed_by);
        self.cordoned_at = None;
        true
    }

    /// What deadlines of its generation count from: none runs during a cordon.
    pub fn runs_since(&self) -> DateTime<Utc> {
        self.cordoned_at.unwrap_or(self.changed_at)
    }

    /// The job that brings it on.
    pub fn job(&self) -> NewJob {
        NewJob::new(JobPayload::Addon { addon: self.id }, None)
    }
}

/// An application in an environment that is bound to an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonBinding {
    /// Identity.
    pub id: AddonBindingId,
    /// To which instance.
    pub addon_id: AddonId,
    /// The instance's name.
    pub addon: AddonName,
    /// Who.
    pub application_id: ApplicationId,
    /// Its name.
    pub application: ApplicationName,
    /// Where it is deployed.
    pub environment_id: EnvironmentId,
    /// That environment's name.
    pub environment: EnvironmentName,
    /// What the instance calls it, of `[a-z0-9_]`.
    pub account: String,
    /// What variables begin with by which all its components get the outputs; `None`: they name what they want.
    pub prefix: Option<String>,
    /// The instance's generation from which on it is known there.
    pub generation: u64,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Who said so.
    pub created_by: String,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

impl AddonBinding {
    /// The part of names by which a definition tells this binding from others: eight hex digits.
    pub fn short(&self) -> String {
        let whole = self.id.as_uuid().simple().to_string();
        // The end of such an identifier is random, its beginning a time.
        whole[whole.len() - 8..].to_owned()
    }

    /// The name of a built-in secret that was made for it.
    pub fn secret(&self, output: &str) -> String {
        format!("addon/{}/{}/{output}", self.addon, self.short())
    }
}

/// The longest account, in characters: PostgreSQL has names of 63 bytes, and definitions may add to it.
pub const ACCOUNT_CHARS_MAX: usize = 40;
/// Hex digits by which accounts are told apart that would read the same.
const ACCOUNT_HEX: usize = 6;

/// What instances call an application in an environment, of `[a-z0-9_]`: no two are called the same.
pub fn account_of(application: &ApplicationName, environment: &EnvironmentName) -> String {
    let plain = application.to_string().replace(['/', '-'], "_");
    let account = format!("{plain}_{}", environment.as_str().replace('-', "_"));
    let whole = format!("{} {environment}", application.path());
    let is_clear = !whole.contains('-') && account.len() <= ACCOUNT_CHARS_MAX;
    if is_clear {
        return account;
    }
    let kept = account.len().min(ACCOUNT_CHARS_MAX - ACCOUNT_HEX - 1);
    format!("{}_{}", &account[..kept], &Digest::of(whole).hex()[..ACCOUNT_HEX])
}

/// Looking up add-ons.
#[async_trait]
pub trait ReadAddons {
    /// One instance, released ones too.
    async fn addon_get(&mut self, id: AddonId) -> Result<Option<AddonInstance>>;
    /// One instance by name. Released ones are not found.
    async fn addon_by_name(&mut self, name: &AddonName) -> Result<Option<AddonInstance>>;
    /// All instances by name but released ones.
    async fn addon_list(&mut self) -> Result<Vec<AddonInstance>>;
    /// The instances by name that come after that name, released ones left out, at most `limit`, which is capped at
    /// [`crate::PAGE_ROWS_MAX`]; `None`: from the first.
    async fn addon_page(&mut self, after: Option<&AddonName>, limit: u32) -> Result<Vec<AddonInstance>>;
    /// Who is or was bound to an instance, oldest first.
    async fn addon_bindings(&mut self, addon: AddonId) -> Result<Vec<AddonBinding>>;
    /// All bindings that have not ended, oldest first.
    async fn addon_bindings_live(&mut self) -> Result<Vec<AddonBinding>>;
    /// The bindings of these instances that have not ended, oldest first.
    async fn addon_bindings_among(&mut self, addons: &[AddonId]) -> Result<Vec<AddonBinding>>;
    /// What an application in an environment is bound to, oldest first.
    async fn addon_bindings_of(
        &mut self,
        application: ApplicationId,
        environment: EnvironmentId,
    ) -> Result<Vec<AddonBinding>>;
}

/// Changing add-ons.
#[async_trait]
pub trait WriteAddons {
    /// Stores a new instance. `Conflict` if its name is taken. [`Removed`](crate::RecordsError::Removed) if its
    /// environment was; until the transaction ends that is not.
    async fn addon_insert(&mut self, addon: &AddonInstance) -> Result<()>;
    /// Stores everything that may change if the row still has `addon.row_version`, and raises it; `false` if
    /// somebody was faster.
    async fn addon_save(&mut self, addon: &mut AddonInstance) -> Result<bool>;
    /// Stores a binding; `false` if that application is bound there already. [`Removed`](crate::RecordsError::Removed)
    /// if the environment was; until the transaction ends that is not.
    async fn addon_bind(&mut self, binding: &AddonBinding) -> Result<bool>;
    /// Ends a binding; `false` if it has ended.
    async fn addon_unbind(&mut self, binding: AddonBindingId, by: &str, at: DateTime<Utc>) -> Result<bool>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> AddonInstance {
        AddonInstance {
            id: AddonId::new(),
            name: "orders".parse().unwrap(),
            team: "default".parse().unwrap(),
            owner: "ann".into(),
            environment_id: EnvironmentId::new(),
            definition: "redis".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            properties: serde_json::json!({}),
            protected: true,
            state: AddonState::Ready,
            outputs: BTreeMap::new(),
            binding_secrets: Vec::new(),
            in_cluster: true,
            has_release: false,
            failure: None,
            generation: 1,
            ready_generation: 1,
            handed_off: 1,
            revision: Some(Digest::of("first")),
            predecessor: None,
            sequence: 0,
            created_at: Utc::now(),
            created_by: "ann".into(),
            changed_at: Utc::now(),
            changed_by: "ann".into(),
            cordoned_at: None,
            row_version: 1,
        }
    }

    #[test]
    fn what_its_receiver_may_have_stays_known_however_often_it_is_changed() {
        let mut orders = instance();
        assert!(orders.change(AddonEvent::Change, "bob", Utc::now()));
        assert_eq!((orders.generation, orders.revision), (2, None));
        assert_eq!((orders.predecessor, orders.changed_by.as_str()), (Some(Digest::of("first")), "bob"));
        assert!(orders.change(AddonEvent::Change, "bob", Utc::now()));
        assert_eq!(orders.predecessor, Some(Digest::of("first")), "the second was never frozen");
        orders.revision = Some(Digest::of("third"));
        assert!(orders.change(AddonEvent::Release, "bob", Utc::now()));
        assert_eq!((orders.generation, orders.predecessor), (4, Some(Digest::of("third"))));
        assert!(!orders.change(AddonEvent::Change, "bob", Utc::now()));
        assert_eq!(orders.generation, 4);
    }

    #[test]
    fn deadlines_count_from_the_end_of_a_cordon_until_the_next_change() {
        let mut orders = instance();
        assert_eq!(orders.runs_since(), orders.changed_at);
        let later = orders.changed_at + chrono::TimeDelta::days(2);
        orders.cordoned_at = Some(later);
        assert_eq!(orders.runs_since(), later);
        let last = later + chrono::TimeDelta::days(1);
        assert!(orders.change(AddonEvent::Change, "bob", last));
        assert_eq!((orders.runs_since(), orders.cordoned_at), (last, None));
    }

    #[test]
    fn accounts_tell_all_applications_and_environments_apart() {
        let of = |application: &str, environment: &str| {
            account_of(&application.parse().unwrap(), &environment.parse().unwrap())
        };
        assert_eq!(of("shop", "prod"), "shop_prod");
        assert_eq!(of("commerce/shop", "prod"), "commerce_shop_prod");
        let long = "a".repeat(40);
        let all = [
            of("shop", "prod"),
            of("shop-web", "prod"),
            of("shop", "web-prod"),
            of("shop/web", "prod"),
            of(&format!("{long}/{long}"), &long),
        ];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len(), "{all:?}");
        assert!(all.iter().all(|account| account.len() <= ACCOUNT_CHARS_MAX), "{all:?}");
        assert_eq!(of("default/shop-web", "prod"), of("shop-web", "prod"));
    }
}
