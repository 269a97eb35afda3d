use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;
use slipway_records::{
    Approval, BundleCheck, CheckState, ConfigurationOrigin, Deployment, DeploymentCause, DeploymentFilter,
    Environment, Hold, NewConfiguration, NewConfigurationSource, NewDeployment, Observation, ReconcileState,
    Seen, SourceAway, Trouble,
};
use slipway_types::Violation;
use slipway_types::environment::{ClusterFacts, ClusterSettings, EnvironmentSettings};
use slipway_types::id::DeploymentId;
use slipway_types::state::{DeploymentEvent, DeploymentState};

use super::prelude::*;

pub(super) async fn environment(records: &Shared, name: &str) -> Environment {
    let mut tx = begin(records).await;
    let address = word(&format!("eu/kind/{name}"));
    let made =
        tx.environment_insert(&word(name), &address, &EnvironmentSettings::default(), "ann").await.unwrap();
    tx.commit().await.unwrap();
    made
}

pub(super) async fn bundle(records: &Shared, application: &Application, n: u32) -> PackageVersion {
    let run = insert_run(records, new_run(application.id, n)).await;
    let mut tx = begin(records).await;
    let version: Version = word(&format!("0.1.{n}"));
    let new = NewVersion {
        application_id: application.id,
        component: None,
        version: version.clone(),
        digest: Digest::of(format!("bundle {n}")),
        size: 1,
        built_as: version,
        run_id: run.id,
        git_ref: branch("main"),
        commit: commit(n),
        fingerprint: Digest::of(format!("lock {n}")),
        detail: json!({"members": []}),
        labels: Labels::new(),
    };
    let row = tx.version_insert(new).await.unwrap().into_inner();
    tx.commit().await.unwrap();
    row
}

pub(super) fn new_deployment(
    application: &Application,
    environment: &Environment,
    bundle: &PackageVersion,
) -> NewDeployment {
    NewDeployment {
        application_id: application.id,
        environment_id: environment.id,
        bundle_id: bundle.id,
        bundle_version: bundle.version.clone(),
        bundle_digest: bundle.digest,
        lock: bundle.fingerprint,
        choice: json!({"asked": "x"}),
        cause: DeploymentCause::Promote { from: "dev".into() },
        created_by: "ann".into(),
        document: Some("kind: Application\n".into()),
    }
}

pub(super) async fn insert(records: &Shared, new: NewDeployment) -> Deployment {
    let mut tx = begin(records).await;
    let made = tx.deployment_insert(new).await.unwrap();
    tx.commit().await.unwrap();
    made
}

/// A deployment of a first bundle in an environment of that name.
pub(super) async fn deployed(records: &Shared, application: &Application, name: &str) -> Deployment {
    let (environment, row) = (environment(records, name).await, bundle(records, application, 1).await);
    insert(records, new_deployment(application, &environment, &row)).await
}

pub(super) async fn save(records: &Shared, deployment: &mut Deployment) -> bool {
    let mut tx = begin(records).await;
    let saved = tx.deployment_save(deployment).await.unwrap();
    tx.commit().await.unwrap();
    saved
}

pub async fn a_cluster_is_kept_whole_and_its_name_and_uid_are_taken_once(records: Shared) {
    let settings =
        ClusterSettings { labels: [("region".into(), "north".into())].into(), ..Default::default() };
    let facts = ClusterFacts { version: "1.30".into(), nodes: 3, ..Default::default() };
    let mut tx = begin(&records).await;
    let mut made = tx.cluster_insert(&word("kind"), "uid-1", &settings, Some(&facts), "ann").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(read(&records).await.cluster_by_name(&word("kind")).await.unwrap(), Some(made.clone()));
    assert_eq!(read(&records).await.cluster_by_uid("uid-1").await.unwrap(), Some(made.clone()));
    for (name, uid) in [("kind", "uid-2"), ("other", "uid-1")] {
        let refused = begin(&records).await.cluster_insert(&word(name), uid, &settings, None, "ann").await;
        assert!(matches!(refused, Err(RecordsError::Conflict { .. })), "{name} {uid}");
    }
    let mut stale = made.clone();
    let mut tx = begin(&records).await;
    made.settings.cordoned = Some("upgrade".into());
    assert!(tx.cluster_save(&mut made).await.unwrap());
    assert!(!tx.cluster_save(&mut stale).await.unwrap());
    assert!(tx.cluster_remove(made.id).await.unwrap() && !tx.cluster_remove(made.id).await.unwrap());
    assert!(tx.cluster_list().await.unwrap().is_empty());
    tx.cluster_insert(&word("kind"), "uid-1", &settings, None, "ann").await.unwrap();
    tx.commit().await.unwrap();
}

pub async fn an_environment_is_found_by_name_and_address_and_saved_on_the_revision_read(records: Shared) {
    let mut prod = environment(&records, "prod").await;
    let mut read_row = read(&records).await;
    assert_eq!(read_row.environment_by_name(&prod.name).await.unwrap(), Some(prod.clone()));
    assert_eq!(read_row.environment_by_address(&prod.address).await.unwrap(), Some(prod.clone()));
    drop(read_row);
    let taken = begin(&records).await;
    let mut taken = taken;
    let same_address =
        taken.environment_insert(&word("other"), &prod.address, &EnvironmentSettings::default(), "ann").await;
    assert!(matches!(same_address, Err(RecordsError::Conflict { .. })));
    drop(taken);
    let mut stale = prod.clone();
    let mut tx = begin(&records).await;
    prod.settings.create_namespace = true;
    assert!(tx.environment_save(&mut prod, "bob").await.unwrap());
    assert!(!tx.environment_save(&mut stale, "cem").await.unwrap());
    assert_eq!(tx.environment_get(prod.id).await.unwrap().unwrap().changed_by, "bob");
    assert!(tx.environment_remove(prod.id).await.unwrap());
    assert_eq!(tx.environment_by_name(&prod.name).await.unwrap(), None);
    assert!(tx.environment_get(prod.id).await.unwrap().is_some());
    tx.commit().await.unwrap();
}

pub async fn every_version_of_a_configuration_is_kept(records: Shared) {
    let shop = application(&records, "shop").await;
    for (level, document) in [("", "a"), ("eu", "b"), ("", "c")] {
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
    let mut read = read(&records).await;
    let now = read.configuration_at(shop.id, "").await.unwrap().unwrap();
    assert_eq!((now.version, now.document.as_str(), now.digest), (2, "c", Digest::of("c")));
    let history = read.configuration_history(shop.id, "", 10).await.unwrap();
    assert_eq!(history.iter().map(|row| row.version).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(read.configuration_at(shop.id, "eu/kind").await.unwrap(), None);
}

pub async fn a_level_follows_one_file_and_remembers_what_was_seen(records: Shared) {
    let (shop, cart) = (application(&records, "shop").await, application(&records, "cart").await);
    let follow = |level: &str, path: &str| NewConfigurationSource {
        application_id: shop.id,
        level: level.into(),
        source_id: cart.source_id,
        branch: "main".into(),
        path: path.into(),
        by: "ann".into(),
        reason: Some("git".into()),
    };
    let mut tx = begin(&records).await;
    tx.configuration_source_put(follow("eu", "a.yaml")).await.unwrap();
    let mut made = tx.configuration_source_put(follow("eu", "b.yaml")).await.unwrap();
    tx.configuration_source_put(follow("", "c.yaml")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((made.path.as_str(), made.revision, &made.seen_commit), ("b.yaml", 2, &None));
    let mut stale = made.clone();
    made.seen_commit = Some(commit(7));
    made.seen_at = Some(at(5));
    made.faults = vec![Violation::new("x", "components[web]", "y").hint("z")];
    made.away = Some(SourceAway { since: at(1), why: "no answer".into(), next_at: at(9) });
    let mut tx = begin(&records).await;
    assert!(tx.configuration_source_seen(&mut made).await.unwrap());
    assert!(!tx.configuration_source_seen(&mut stale).await.unwrap());
    tx.commit().await.unwrap();
    let mut reader = read(&records).await;
    let rows = reader.configuration_sources(shop.id).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.level.as_str()).collect::<Vec<_>>(), ["", "eu"]);
    assert_eq!(rows[1], made);
    assert_eq!(reader.configuration_sources_of(cart.source_id).await.unwrap(), rows);
    assert!(reader.configuration_sources_of(shop.source_id).await.unwrap().is_empty());
    assert!(reader.configuration_sources(cart.id).await.unwrap().is_empty());

    let origin = ConfigurationOrigin {
        source: word("cart"),
        branch: "main".into(),
        path: "b.yaml".into(),
        commit: commit(7),
    };
    let mut tx = begin(&records).await;
    for (level, document, origin) in
        [("eu", "a", None), ("eu", "b", Some(origin.clone())), ("", "c", None), ("eu/kind", "", None)]
    {
        let new = NewConfiguration {
            application_id: shop.id,
            level: level.into(),
            document: document.into(),
            by: "ann".into(),
            reason: None,
            origin,
        };
        tx.configuration_put(new).await.unwrap();
    }
    assert!(tx.configuration_source_remove(shop.id, "eu").await.unwrap());
    assert!(!tx.configuration_source_remove(shop.id, "eu").await.unwrap());
    tx.commit().await.unwrap();
    let newest = reader.configurations_in_force(Some(shop.id)).await.unwrap();
    let shown: Vec<_> =
        newest.iter().map(|row| (row.level.as_str(), row.version, row.document.as_str())).collect();
    assert_eq!(shown, [("", 1, "c"), ("eu", 2, "b")]);
    assert_eq!(newest[1].origin, Some(origin));
    assert_eq!(newest[0].origin, None);
    drop(reader);

    let mut tx = begin(&records).await;
    assert_eq!(tx.configuration_sources_of(cart.source_id).await.unwrap().len(), 1);
    tx.application_delete(shop.id).await.unwrap();
    assert!(tx.configuration_sources_of(cart.source_id).await.unwrap().is_empty());
    tx.commit().await.unwrap();
}

pub async fn what_is_followed_anew_is_not_taken_for_what_was(records: Shared) {
    let shop = application(&records, "shop").await;
    let follow = |level: String, path: &str| NewConfigurationSource {
        application_id: shop.id,
        level,
        source_id: shop.source_id,
        branch: "main".into(),
        path: path.into(),
        by: "ann".into(),
        reason: None,
    };
    let mut tx = begin(&records).await;
    let mut before = tx.configuration_source_put(follow("eu".into(), "a.yaml")).await.unwrap();
    assert!(tx.configuration_source_remove(shop.id, "eu").await.unwrap());
    let mut now = tx.configuration_source_put(follow("eu".into(), "b.yaml")).await.unwrap();
    assert_eq!(before.revision, now.revision);
    now.away = Some(SourceAway { since: at(1), why: "no answer".into(), next_at: at(9) });
    assert!(!tx.configuration_source_seen(&mut before).await.unwrap());
    assert!(tx.configuration_source_seen(&mut now).await.unwrap());
    let anew = tx.configuration_source_put(follow("eu".into(), "c.yaml")).await.unwrap();
    assert_eq!(anew.away, None);
    assert!(tx.configuration_source_remove(shop.id, "eu").await.unwrap());
    tx.commit().await.unwrap();

    // Of those who see nothing followed and follow then, only one sees nothing.
    let first_alone = |level: u32| {
        let (records, new) = (&records, follow(format!("eu-{level}"), "a.yaml"));
        async move {
            let mut tx = begin(records).await;
            tx.configuration_sources_lock(new.application_id).await.unwrap();
            if tx.configuration_sources(new.application_id).await.unwrap().is_empty() {
                tx.configuration_source_put(new).await.unwrap();
            }
            tx.commit().await.unwrap();
        }
    };
    join_all((0..4).map(first_alone)).await;
    assert_eq!(read(&records).await.configuration_sources(shop.id).await.unwrap().len(), 1);
}

pub async fn a_deployment_is_kept_whole_and_numbered_in_its_place(records: Shared) {
    let (shop, prod) = (application(&records, "shop").await, environment(&records, "prod").await);
    let row = bundle(&records, &shop, 1).await;
    let mut made = insert(&records, new_deployment(&shop, &prod, &row)).await;
    assert_eq!((made.generation, &made.state), (1, &DeploymentState::Draft { why: None }));
    let asked = [
        DeploymentEvent::Freeze(Digest::of("r")),
        DeploymentEvent::Approve(Some("ann".into()), at(3)),
        DeploymentEvent::Cordon("upgrade".into()),
        DeploymentEvent::Uncordon(at(4)),
        DeploymentEvent::Submit(at(5)),
    ];
    made.state = asked.into_iter().try_fold(made.state.clone(), DeploymentState::apply).unwrap();
    made.revision = Some(Digest::of("r"));
    made.violations = vec![Violation::new("x", "components[web]", "y").hint("z")];
    made.notes = vec!["a note".into()];
    made.frozen_at = Some(at(5));
    made.live_at = Some(at(6));
    assert!(save(&records, &mut made).await);
    let mut read = read(&records).await;
    assert_eq!(read.deployment_get(made.id).await.unwrap(), Some(made.clone()));
    let found = read.deployment_by_generation(prod.id, shop.id, 1).await.unwrap();
    assert_eq!(found, Some(made));
    drop(read);
    let next = join_all((0..4).map(|_| insert(&records, new_deployment(&shop, &prod, &row)))).await;
    let generations: BTreeSet<u64> = next.iter().map(|row| row.generation).collect();
    assert_eq!(generations, (2..=5).collect());
}

pub async fn generations_of_an_address_go_on_when_its_environment_is_made_anew(records: Shared) {
    let (shop, other) = (application(&records, "shop").await, application(&records, "other").await);
    let (row, others) = (bundle(&records, &shop, 1).await, bundle(&records, &other, 1).await);
    let first = environment(&records, "prod").await;
    for generation in 1..=2 {
        let made = insert(&records, new_deployment(&shop, &first, &row)).await;
        assert_eq!(made.generation, generation);
    }
    let mut tx = begin(&records).await;
    assert!(tx.environment_remove(first.id).await.unwrap());
    tx.commit().await.unwrap();
    let anew = environment(&records, "prod").await;
    assert_eq!((anew.address == first.address, anew.id == first.id), (true, false));
    assert_eq!(insert(&records, new_deployment(&shop, &anew, &row)).await.generation, 3);
    assert_eq!(insert(&records, new_deployment(&other, &anew, &others)).await.generation, 1);

    // What drives the address may know of more than the rows of deployments do.
    let mut known = ReconcileState {
        environment: anew.address.clone(),
        application: shop.name.clone(),
        generation: 9,
        sequence: 0,
        document: "{}".into(),
        is_settled: true,
        updated_at: at(1),
        row_version: 0,
    };
    let mut tx = begin(&records).await;
    assert!(tx.reconcile_save(&mut known, &[]).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(insert(&records, new_deployment(&shop, &anew, &row)).await.generation, 10);
    assert_eq!(insert(&records, new_deployment(&other, &anew, &others)).await.generation, 2);
    let elsewhere = environment(&records, "staging").await;
    assert_eq!(insert(&records, new_deployment(&shop, &elsewhere, &row)).await.generation, 1);
}

pub async fn a_deployment_is_saved_only_on_the_version_read(records: Shared) {
    let (shop, prod) = (application(&records, "shop").await, environment(&records, "prod").await);
    let row = bundle(&records, &shop, 1).await;
    let mut made = insert(&records, new_deployment(&shop, &prod, &row)).await;
    let mut stale = made.clone();
    assert!(save(&records, &mut made).await);
    assert!(!save(&records, &mut stale).await);
}

pub async fn deployments_are_filtered_before_the_limit(records: Shared) {
    let (shop, prod) = (application(&records, "shop").await, environment(&records, "prod").await);
    let dev = environment(&records, "dev").await;
    let row = bundle(&records, &shop, 1).await;
    let first = insert(&records, new_deployment(&shop, &prod, &row)).await;
    for _ in 0..3 {
        insert(&records, new_deployment(&shop, &dev, &row)).await;
    }
    let mut read = read(&records).await;
    let filter = DeploymentFilter { environment: Some(prod.id), ..Default::default() };
    assert_eq!(read.deployment_list(&filter, Page::first(1)).await.unwrap(), std::slice::from_ref(&first));
    let there = DeploymentFilter { environment: Some(prod.id), ..Default::default() };
    for filter in [
        DeploymentFilter { application: Some(shop.id), ..there.clone() },
        DeploymentFilter { bundle: Some(row.id), ..there.clone() },
        DeploymentFilter { states: vec!["draft"], ..there.clone() },
        DeploymentFilter { application: Some(shop.id), states: vec!["live", "draft"], ..there },
    ] {
        assert_eq!(
            read.deployment_list(&filter, Page::first(2)).await.unwrap(),
            std::slice::from_ref(&first),
            "{filter:?}"
        );
    }
    for states in [vec!["draft"], vec!["live", "draft"]] {
        let filter = DeploymentFilter { states, ..Default::default() };
        assert_eq!(read.deployment_list(&filter, Page::first(10)).await.unwrap().len(), 4);
    }
    let filter = DeploymentFilter { states: vec!["live"], ..Default::default() };
    assert!(read.deployment_list(&filter, Page::first(1)).await.unwrap().is_empty());
    let all = read.deployment_list(&DeploymentFilter::default(), Page::first(10)).await.unwrap();
    assert!(all.len() == 4 && all.windows(2).all(|pair| pair[0].id > pair[1].id));
}

pub async fn the_newest_deployment_that_went_out_is_what_runs(records: Shared) {
    let (shop, prod) = (application(&records, "shop").await, environment(&records, "prod").await);
    let (cart, dev) = (application(&records, "cart").await, environment(&records, "dev").await);
    let row = bundle(&records, &shop, 1).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut made = insert(&records, new_deployment(&shop, &prod, &row)).await;
        made.state = DeploymentState::Delivered { artifact: "x".into() };
        made.handed_off_at = Some(at(1));
        assert!(save(&records, &mut made).await);
        ids.push(made.id);
    }
    insert(&records, new_deployment(&shop, &prod, &row)).await;
    let mut read = read(&records).await;
    let out: Vec<DeploymentId> = read.deployments_out().await.unwrap().iter().map(|row| row.id).collect();
    assert_eq!(out, [ids[1]]);
    for (application, wanted) in [(&shop, vec![ids[1]]), (&cart, vec![])] {
        let out = read.deployments_out_of(application.id).await.unwrap();
        assert_eq!(out.iter().map(|row| row.id).collect::<Vec<_>>(), wanted);
    }
    let here = read.deployment_out(prod.id, shop.id).await.unwrap();
    assert_eq!(here.map(|row| row.id), Some(ids[1]));
    assert_eq!(read.deployment_out(dev.id, shop.id).await.unwrap(), None);
    assert_eq!(read.deployment_out(prod.id, cart.id).await.unwrap(), None);
    assert_eq!(read.deployments_open(prod.id, shop.id).await.unwrap().len(), 3);
    drop(read);

    // What was stopped is there until it is taken away.
    for (state, left) in
        [(DeploymentState::Terminated { by: "ann".into() }, true), (DeploymentState::Deleted, false)]
    {
        let mut made = insert(&records, new_deployment(&shop, &prod, &row)).await;
        (made.state, made.handed_off_at) = (state, Some(at(1)));
        assert!(save(&records, &mut made).await);
        let mut read = self::read(&records).await;
        let out = read.deployments_out().await.unwrap();
        assert_eq!(out.iter().any(|row| row.id == made.id), left);
        assert_eq!(out.len(), usize::from(left), "{out:?}");
        let here = read.deployment_out(prod.id, shop.id).await.unwrap();
        assert_eq!(here, out.into_iter().next());
    }
}

pub async fn what_never_went_out_is_found_until_something_newer_is_asked_for(records: Shared) {
    let (shop, cart) = (application(&records, "shop").await, application(&records, "cart").await);
    let (prod, dev) = (environment(&records, "prod").await, environment(&records, "dev").await);
    let row = bundle(&records, &shop, 1).await;
    let rejected = || DeploymentState::Rejected { violations: 1 };
    let expired = || DeploymentState::Expired { which: "an hour".into() };
    let mut expected = Vec::new();
    for (application, place, states, is_found) in [
        (&shop, &prod, vec![rejected()], true),
        (&shop, &dev, vec![rejected(), DeploymentState::Live], false),
        (&cart, &prod, vec![DeploymentState::Live, rejected(), expired()], true),
        (&cart, &dev, vec![expired(), DeploymentState::Withdrawn { by: "ann".into() }], false),
    ] {
        let mut last = None;
        for state in states {
            let mut made = insert(&records, new_deployment(application, place, &row)).await;
            made.state = state;
            assert!(save(&records, &mut made).await);
            last = Some(made.id);
        }
        expected.extend(last.filter(|_| is_found));
    }
    expected.reverse();
    let mut read = read(&records).await;
    for (limit, wanted) in [(9, &expected[..]), (1, &expected[..1])] {
        let found = read.deployments_fallen_last(limit).await.unwrap();
        assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), wanted);
    }
}

pub async fn what_a_receiver_says_is_saved_only_on_the_version_read(records: Shared) {
    let (application, place) = (application(&records, "shop").await, environment(&records, "prod").await);
    let bundle = bundle(&records, &application, 1).await;
    let made = insert(&records, new_deployment(&application, &place, &bundle)).await;
    assert_eq!(read(&records).await.observation_get(made.id).await.unwrap(), None);
    let at = Utc::now().trunc_subsecs(3);
    let seen = Seen { state: "waiting".into(), reason: "1 of 3\0".into(), sequence: 4, at };
    let mut first = Observation {
        run: "run-1".into(),
        sequence: 1 << 62,
        deadline: Some(at),
        whole: Some(seen.clone()),
        nodes: [("web".to_owned(), seen)].into(),
        trouble: Some(Trouble { why: "no route".into(), since: at }),
        ..Observation::default()
    };
    let mut second = first.clone();
    let mut tx = begin(&records).await;
    assert!(tx.observation_save(made.id, &mut first).await.unwrap());
    assert!(!tx.observation_save(made.id, &mut second).await.unwrap(), "somebody was first");
    tx.commit().await.unwrap();
    let kept = read(&records).await.observation_get(made.id).await.unwrap().unwrap();
    assert_eq!((kept.sequence, kept.deadline, kept.nodes.len()), (1 << 62, Some(at), 1));
    assert!(kept.nodes["web"].reason.starts_with("1 of 3"));
    assert_eq!((kept.row_version, first.row_version, second.row_version), (1, 1, 0));
    let heard = read(&records).await.observations_of(&[DeploymentId::new(), made.id]).await.unwrap();
    assert_eq!(heard, [(made.id, kept.clone())]);
    let mut stale = kept.clone();
    first.trouble = None;
    let mut tx = begin(&records).await;
    assert!(tx.observation_save(made.id, &mut first).await.unwrap());
    assert!(!tx.observation_save(made.id, &mut stale).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(read(&records).await.observation_get(made.id).await.unwrap().unwrap().trouble, None);
}

pub async fn a_person_has_one_word_on_a_deployment(records: Shared) {
    let (shop, prod) = (application(&records, "shop").await, environment(&records, "prod").await);
    let row = bundle(&records, &shop, 1).await;
    let made = insert(&records, new_deployment(&shop, &prod, &row)).await;
    let mut tx = begin(&records).await;
    for (person, token, revision) in [("bob", "bob", "a"), ("bob", "bob-phone", "b"), ("ann", "ann", "a")] {
        let approval = Approval {
            deployment_id: made.id,
            person: person.into(),
            revision: Digest::of(revision),
            token: token.into(),
            reason: None,
            at: at(i64::try_from(token.len()).unwrap()),
        };
        tx.approval_put(&approval).await.unwrap();
    }
    tx.commit().await.unwrap();
    let words = read(&records).await.approvals_of(made.id).await.unwrap();
    let said: Vec<(&str, Digest)> = words.iter().map(|word| (word.person.as_str(), word.revision)).collect();
    assert_eq!(said, [("ann", Digest::of("a")), ("bob", Digest::of("b"))]);
}

pub async fn generations_never_fall_at_an_address(records: Shared) {
    let (shop, prod) = (application(&records, "shop").await, environment(&records, "prod").await);
    let row = bundle(&records, &shop, 1).await;
    let mut first = insert(&records, new_deployment(&shop, &prod, &row)).await;
    assert_eq!(first.generation, 1);
    let raise = async |deployment: &mut Deployment, floor: u64| {
        let mut tx = begin(&records).await;
        let raised = tx.deployment_raise(deployment, floor).await.unwrap();
        tx.commit().await.unwrap();
        raised
    };
    let mut stale = first.clone();
    assert!(raise(&mut first, 8).await);
    assert_eq!(first.generation, 9);
    assert_eq!(read(&records).await.deployment_get(first.id).await.unwrap(), Some(first.clone()));
    assert!(!raise(&mut stale, 20).await, "on the row that was read alone");
    assert!(raise(&mut first, 3).await);
    assert_eq!(first.generation, 10, "above what there is already");
    first.state = DeploymentState::Frozen { revision: Digest::of("r") };
    assert!(save(&records, &mut first).await);
    assert!(!raise(&mut first, 20).await, "what is frozen keeps its generation");

    let mut tx = begin(&records).await;
    assert!(tx.environment_remove(prod.id).await.unwrap());
    let settings = EnvironmentSettings::default();
    let anew = tx.environment_insert(&prod.name, &prod.address, &settings, "ann").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(insert(&records, new_deployment(&shop, &anew, &row)).await.generation, 11);
    let other = environment(&records, "other").await;
    assert_eq!(insert(&records, new_deployment(&shop, &other, &row)).await.generation, 1);
}

pub async fn holds_and_checks_are_kept_and_let_go(records: Shared) {
    let (shop, prod) = (application(&records, "shop").await, environment(&records, "prod").await);
    let row = bundle(&records, &shop, 1).await;
    let mut tx = begin(&records).await;
    let hold = Hold {
        environment_id: prod.id,
        application_id: shop.id,
        version_id: Some(row.id),
        reason: "audit".into(),
        by: "ann".into(),
        at: at(1),
        rollback_to: Some(7),
    };
    tx.hold_put(&Hold { version_id: None, rollback_to: None, ..hold.clone() }).await.unwrap();
    tx.hold_put(&hold).await.unwrap();
    assert_eq!(tx.hold_list().await.unwrap(), std::slice::from_ref(&hold));
    assert_eq!(tx.hold_get(prod.id, shop.id).await.unwrap(), Some(hold));
    assert!(tx.hold_release(prod.id, shop.id).await.unwrap());
    assert!(!tx.hold_release(prod.id, shop.id).await.unwrap());
    let check = BundleCheck {
        version_id: row.id,
        name: word("e2e"),
        state: CheckState::Pending,
        detail: None,
        url: None,
        reported_by: "ci".into(),
        reported_at: at(2),
    };
    tx.check_put(&check).await.unwrap();
    let green = BundleCheck { state: CheckState::Passed, detail: Some("12 tests".into()), ..check };
    tx.check_put(&green).await.unwrap();
    assert_eq!(tx.checks_of(row.id).await.unwrap(), std::slice::from_ref(&green));
    let of = |by: &str| BundleCheck { state: CheckState::Failed, reported_by: by.into(), ..green.clone() };
    let (first, last) = (of("Ann"), of("dev"));
    for report in [&last, &first] {
        tx.check_put(report).await.unwrap();
    }
    let all = [first, green, last];
    assert_eq!(tx.checks_of(row.id).await.unwrap(), all);
    let other = VersionId::new();
    assert_eq!(tx.checks_among(&[other, row.id]).await.unwrap(), all);
    assert!(tx.checks_among(&[other]).await.unwrap().is_empty());
    tx.commit().await.unwrap();
}
