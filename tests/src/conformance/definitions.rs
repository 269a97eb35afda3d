use slipway_records::{DefinitionHold, FrozenDefinition, InstalledDefinition, NewConfiguration};
use slipway_types::DefinitionKind;
use slipway_types::id::DeploymentId;
use slipway_types::state::{DeploymentEvent, DeploymentState};

use super::deployments::deployed;
use super::prelude::*;

fn installed(kind: DefinitionKind, name: &str, version: &str) -> InstalledDefinition {
    InstalledDefinition {
        kind,
        name: word(name),
        version: word(version),
        digest: Digest::of(format!("files of {name} {version}")),
        archive: Digest::of(format!("archive of {name} {version}")),
        reference: format!("registry.example/{name}@{}", Digest::of(name)),
        enabled: true,
        installed_at: at(1),
        installed_by: "ann".into(),
    }
}

fn frozen(name: &str, version: &str) -> FrozenDefinition {
    let digest = Digest::of(format!("files of {name} {version}"));
    FrozenDefinition { kind: DefinitionKind::Trait, name: word(name), version: word(version), digest }
}

fn hold(application: &Application, name: &str, major: u64) -> DefinitionHold {
    DefinitionHold {
        application_id: application.id,
        kind: DefinitionKind::Trait,
        name: word(name),
        major,
        set_at: at(2),
        set_by: "ann".into(),
    }
}

pub async fn a_definition_is_kept_whole_and_a_version_is_taken_once(records: Shared) {
    let (one, two) =
        (installed(DefinitionKind::Trait, "hpa", "2.0.0"), installed(DefinitionKind::Trait, "hpa", "2.1.0"));
    let other_kind = installed(DefinitionKind::Component, "hpa", "2.0.0");
    let mut tx = begin(&records).await;
    for definition in [&one, &two, &other_kind] {
        tx.definition_insert(definition).await.unwrap();
    }
    tx.commit().await.unwrap();
    let listed = read(&records).await.definition_list().await.unwrap();
    assert_eq!(listed, [other_kind, one.clone(), two.clone()]);
    let again = InstalledDefinition { digest: Digest::of("other"), ..one.clone() };
    let refused = begin(&records).await.definition_insert(&again).await;
    assert!(is_conflict(&refused), "{refused:?}");
}

pub async fn a_definition_is_disabled_and_removed_by_its_version(records: Shared) {
    let (one, two) =
        (installed(DefinitionKind::Policy, "a", "1.0.0"), installed(DefinitionKind::Policy, "a", "1.1.0"));
    let mut tx = begin(&records).await;
    tx.definition_insert(&one).await.unwrap();
    tx.definition_insert(&two).await.unwrap();
    assert!(tx.definition_enable(one.kind, &one.name, &one.version, false).await.unwrap());
    assert!(!tx.definition_enable(DefinitionKind::Step, &one.name, &one.version, false).await.unwrap());
    let enabled: Vec<bool> = tx.definition_list().await.unwrap().iter().map(|row| row.enabled).collect();
    assert_eq!(enabled, [false, true]);
    assert!(tx.definition_remove(one.kind, &one.name, &one.version).await.unwrap());
    assert!(!tx.definition_remove(one.kind, &one.name, &one.version).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(read(&records).await.definition_list().await.unwrap(), [two]);
}

pub async fn the_blob_of_a_definition_stays_and_one_being_removed_is_refused(records: Shared) {
    let kept = installed(DefinitionKind::Trait, "kept", "1.0.0");
    let late = installed(DefinitionKind::Trait, "late", "1.0.0");
    let mut tx = begin(&records).await;
    tx.definition_insert(&kept).await.unwrap();
    tx.blobs_note(&[kept.archive, late.archive], at(1)).await.unwrap();
    assert_eq!(tx.blobs_referenced(&[kept.archive, late.archive]).await.unwrap(), [kept.archive]);
    assert!(!tx.blob_condemn(&kept.archive, at(2), at(3)).await.unwrap());
    assert!(tx.blob_condemn(&late.archive, at(2), at(3)).await.unwrap());
    tx.commit().await.unwrap();
    let refused = begin(&records).await.definition_insert(&late).await.unwrap_err();
    assert!(refused.is_transient(), "{refused:?}");
}

pub async fn a_definition_is_used_until_its_deployment_ends(records: Shared) {
    let shop = application(&records, "shop").await;
    let revision = Digest::of("revision");
    let mut made = deployed(&records, &shop, "prod").await;
    made.state = made.state.clone().apply(DeploymentEvent::Freeze(revision)).unwrap();
    made.revision = Some(revision);
    let mut tx = begin(&records).await;
    assert!(tx.deployment_save(&mut made).await.unwrap());
    let definitions = [frozen("hpa", "2.0.0"), frozen("pdb", "1.0.0")];
    tx.revision_made_by(&revision, &definitions).await.unwrap();
    tx.revision_made_by(&revision, &definitions).await.unwrap();
    tx.revision_made_by(&Digest::of("of nobody"), &[frozen("env", "1.0.0")]).await.unwrap();
    tx.commit().await.unwrap();
    let uses = read(&records).await.definition_uses().await.unwrap();
    let found: Vec<_> = uses.iter().map(|one| one.definition.clone()).collect();
    assert_eq!(found, definitions);
    assert_eq!((&uses[0].application, uses[0].environment.as_str()), (&shop.name, "prod"));
    made.state = DeploymentState::Superseded { by: DeploymentId::new(), failed: None };
    let mut tx = begin(&records).await;
    assert!(tx.deployment_save(&mut made).await.unwrap());
    tx.commit().await.unwrap();
    assert!(read(&records).await.definition_uses().await.unwrap().is_empty());
}

pub async fn the_first_hold_stays_until_somebody_says_otherwise(records: Shared) {
    let (shop, cart) = (application(&records, "shop").await, application(&records, "cart").await);
    let mut tx = begin(&records).await;
    assert!(tx.definition_hold_first(&hold(&shop, "hpa", 1)).await.unwrap());
    assert!(!tx.definition_hold_first(&hold(&shop, "hpa", 2)).await.unwrap());
    assert!(tx.definition_hold_first(&hold(&cart, "hpa", 2)).await.unwrap());
    let of_shop = tx.definition_holds(Some(shop.id)).await.unwrap();
    assert_eq!(of_shop, [hold(&shop, "hpa", 1)]);
    tx.definition_hold_put(&hold(&shop, "hpa", 3)).await.unwrap();
    tx.definition_hold_put(&hold(&shop, "pdb", 1)).await.unwrap();
    let majors: Vec<u64> = tx.definition_holds(None).await.unwrap().iter().map(|row| row.major).collect();
    assert_eq!(majors, [3, 1, 2]);
    let name = word("pdb");
    assert!(tx.definition_hold_remove(shop.id, DefinitionKind::Trait, &name).await.unwrap());
    assert!(!tx.definition_hold_remove(shop.id, DefinitionKind::Trait, &name).await.unwrap());
    tx.application_delete(cart.id).await.unwrap();
    assert_eq!(tx.definition_holds(None).await.unwrap(), [hold(&shop, "hpa", 3)]);
    tx.commit().await.unwrap();
}

pub async fn only_the_newest_configurations_are_in_force(records: Shared) {
    let shop = application(&records, "shop").await;
    for (level, document) in [("", "a"), ("eu", "b"), ("", "c"), ("us", "d"), ("us", "")] {
        let mut tx = begin(&records).await;
        let new = NewConfiguration {
            application_id: shop.id,
            level: level.into(),
            document: document.into(),
            by: "ann".into(),
            reason: None,
            origin: None,
        };
        tx.configuration_put(new).await.unwrap();
        tx.commit().await.unwrap();
    }
    let cart = application(&records, "cart").await;
    let gone = application(&records, "gone").await;
    let mut tx = begin(&records).await;
    for other in [&cart, &gone] {
        let new = NewConfiguration {
            application_id: other.id,
            level: "eu".into(),
            document: "x".into(),
            by: "ann".into(),
            reason: None,
            origin: None,
        };
        tx.configuration_put(new).await.unwrap();
    }
    tx.application_delete(gone.id).await.unwrap();
    tx.commit().await.unwrap();
    let mut reader = read(&records).await;
    let found = reader.configurations_in_force(Some(shop.id)).await.unwrap();
    let shown: Vec<_> = found.iter().map(|row| (row.level.as_str(), row.document.as_str())).collect();
    assert_eq!(shown, [("", "c"), ("eu", "b")]);
    let all = reader.configurations_in_force(None).await.unwrap();
    let of_cart = all.iter().filter(|row| row.application_id == cart.id).count();
    assert_eq!((all.len(), of_cart), (3, 1));
    assert!(reader.configurations_in_force(Some(gone.id)).await.unwrap().is_empty());
}
