use futures::future::join_all;
use serde_json::json;
use slipway_records::incident::About;
use slipway_records::{
    Deployment, Incident, IncidentFilter, NewNotice, NoticeCounts, NoticeDelivery, NoticeState, Topic, Tried,
};
use slipway_types::id::{IncidentId, NoticeId};
use slipway_types::name::NoticeChannelName;

use super::deployments::deployed;
use super::prelude::*;

fn about(deployment: &Deployment, state: &str) -> About {
    About {
        deployment: deployment.id,
        generation: deployment.generation,
        version: deployment.bundle_version.clone(),
        state: state.to_owned(),
        blocker: Some("web: 0 of 1 replicas\0".into()),
        deployed_by: "ann".into(),
        since: at(1),
    }
}

fn incident(deployment: &Deployment, topic: Topic) -> Incident {
    Incident {
        id: IncidentId::new(),
        application_id: deployment.application_id,
        environment_id: deployment.environment_id,
        topic,
        about: About { blocker: Some("web".into()), ..about(deployment, "failed") },
        ended: None,
        opened_at: at(1),
        closed_at: None,
        row_version: 1,
    }
}

async fn insert(records: &Shared, incident: &Incident) -> bool {
    let mut tx = begin(records).await;
    let made = tx.incident_insert(incident).await.unwrap();
    tx.commit().await.unwrap();
    made
}

async fn close(records: &Shared, incident: &mut Incident, closed_at: DateTime<Utc>) {
    incident.closed_at = Some(closed_at);
    let mut tx = begin(records).await;
    assert!(tx.incident_save(incident).await.unwrap());
    tx.commit().await.unwrap();
}

async fn tell(records: &Shared, incident: &Incident, channel: &str, once: &str) -> Option<NoticeId> {
    let new = NewNotice {
        channel: word(channel),
        once: once.into(),
        incident_id: incident.id,
        body: json!({"a": [1, null]}),
    };
    let mut tx = begin(records).await;
    let id = tx.notice_insert(new).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn tried(records: &Shared, ids: &[NoticeId], tried: Tried) {
    let mut tx = begin(records).await;
    tx.notices_tried(ids, &tried).await.unwrap();
    tx.commit().await.unwrap();
}

async fn pending(records: &Shared, channel: &str) -> Vec<NoticeDelivery> {
    let channel: NoticeChannelName = word(channel);
    read(records).await.notices_pending(&channel, 10).await.unwrap()
}

pub async fn one_incident_of_a_kind_is_open_in_a_place(records: Shared) {
    let shop = application(&records, "shop").await;
    let deployment = deployed(&records, &shop, "prod").await;
    let first = incident(&deployment, Topic::Trouble);
    let others: Vec<Incident> = (0..4).map(|_| incident(&deployment, Topic::Trouble)).collect();
    assert!(insert(&records, &first).await);
    let made = join_all(others.iter().map(|other| insert(&records, other))).await;
    assert_eq!(made, [false; 4]);
    assert!(insert(&records, &incident(&deployment, Topic::Approval)).await, "of another kind");

    let mut reader = read(&records).await;
    assert_eq!(reader.incident_get(first.id).await.unwrap(), Some(first.clone()));
    let (place, key) = ((deployment.environment_id, shop.id), Topic::Trouble.key(deployment.id));
    assert_eq!(reader.incident_open(place.0, place.1, &key).await.unwrap(), Some(first.clone()));
    drop(reader);

    let (mut first, mut stale) = (first.clone(), first);
    first.about = about(&deployment, "timed_out");
    first.ended = Some(About { blocker: None, ..about(&deployment, "live") });
    close(&records, &mut first, at(9)).await;
    assert_eq!(first.row_version, 2);
    let mut tx = begin(&records).await;
    assert!(!tx.incident_save(&mut stale).await.unwrap(), "somebody was faster");
    tx.commit().await.unwrap();
    let mut reader = read(&records).await;
    let kept = reader.incident_get(first.id).await.unwrap().unwrap();
    assert_eq!((&kept.ended, kept.closed_at, kept.row_version), (&first.ended, Some(at(9)), 2));
    assert_eq!(kept.about.state, "timed_out");
    assert_eq!(reader.incident_open(place.0, place.1, &key).await.unwrap(), None);
    drop(reader);
    assert!(insert(&records, &incident(&deployment, Topic::Trouble)).await, "the next one");
}

pub async fn incidents_are_filtered_before_the_limit(records: Shared) {
    let (shop, cart) = (application(&records, "shop").await, application(&records, "cart").await);
    let (prod, dev) = (deployed(&records, &shop, "prod").await, deployed(&records, &cart, "dev").await);
    let mut over = incident(&prod, Topic::Trouble);
    assert!(insert(&records, &over).await);
    close(&records, &mut over, at(5)).await;
    let (here, there) = (incident(&prod, Topic::Trouble), incident(&dev, Topic::Trouble));
    for one in [&here, &there, &incident(&dev, Topic::GatesBroken)] {
        assert!(insert(&records, one).await);
    }
    let mut reader = read(&records).await;
    let trouble = IncidentFilter { topic: Some(Topic::Trouble), ..IncidentFilter::default() };
    let of_shop = IncidentFilter { application: Some(shop.id), ..trouble.clone() };
    let of_dev = IncidentFilter { environment: Some(dev.environment_id), ..trouble.clone() };
    let open = IncidentFilter { open_only: true, ..of_shop.clone() };
    for (filter, limit, expected) in [
        (&trouble, 10, vec![there.id, here.id, over.id]),
        (&trouble, 1, vec![there.id]),
        (&of_shop, 10, vec![here.id, over.id]),
        (&of_dev, 10, vec![there.id]),
        (&open, 10, vec![here.id]),
    ] {
        let found = reader.incident_list(filter, Page::first(limit)).await.unwrap();
        let found: Vec<IncidentId> = found.iter().map(|incident| incident.id).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    let page = Page { limit: 10, after: Some(there.id.as_uuid()) };
    assert_eq!(reader.incident_list(&trouble, page).await.unwrap().len(), 2);
    assert_eq!(reader.incident_list(&IncidentFilter::default(), Page::first(10)).await.unwrap().len(), 4);
}

pub async fn a_channel_is_told_once_and_oldest_first(records: Shared) {
    let shop = application(&records, "shop").await;
    let deployment = deployed(&records, &shop, "prod").await;
    let incident = incident(&deployment, Topic::Trouble);
    assert!(insert(&records, &incident).await);
    let again = join_all((0..4).map(|_| tell(&records, &incident, "ops", "x/opened"))).await;
    let made: Vec<NoticeId> = again.into_iter().flatten().collect();
    assert_eq!(made.len(), 1);
    let other = tell(&records, &incident, "mail", "x/opened").await.unwrap();
    let second = tell(&records, &incident, "ops", "x/recovered").await.unwrap();
    let waiting = pending(&records, "ops").await;
    assert_eq!(waiting.iter().map(|notice| notice.id).collect::<Vec<_>>(), [made[0], second]);
    let first = &waiting[0];
    assert_eq!((&first.body, first.once.as_str(), first.attempts), (&json!({"a": [1, null]}), "x/opened", 0));
    assert_eq!((first.state, first.incident_id, first.ended_at), (NoticeState::Pending, incident.id, None));
    let told = read(&records).await.notices_of(incident.id).await.unwrap();
    assert_eq!(told.iter().map(|notice| notice.id).collect::<Vec<_>>(), [made[0], other, second]);
    // The one that was taken is not told a second time.
    tried(&records, &made, Tried::Sent("ok".into())).await;
    assert_eq!(tell(&records, &incident, "ops", "x/opened").await, None);
}

pub async fn what_came_of_a_notice_is_noted_once(records: Shared) {
    let shop = application(&records, "shop").await;
    let deployment = deployed(&records, &shop, "prod").await;
    let incident = incident(&deployment, Topic::Trouble);
    assert!(insert(&records, &incident).await);
    let mut ids = Vec::new();
    for once in ["a", "b", "c", "d"] {
        ids.push(tell(&records, &incident, "ops", once).await.unwrap());
    }
    let ops: NoticeChannelName = word("ops");
    tried(&records, &ids[..1], Tried::Again("503\0".into(), at(7))).await;
    let waiting = pending(&records, "ops").await;
    assert_eq!((waiting[0].attempts, waiting[0].next_at, waiting.len()), (1, Some(at(7)), 4));
    assert!(waiting[0].answer.as_deref().is_some_and(|answer| answer.starts_with("503")));

    let fold = NoticeId::new();
    let mut tx = begin(&records).await;
    tx.notices_fold(&ids[1..3], fold).await.unwrap();
    tx.commit().await.unwrap();
    tried(&records, &ids[..3], Tried::Sent("ok".into())).await;
    tried(&records, &ids, Tried::Failed("gone".into())).await;
    assert!(pending(&records, "ops").await.is_empty());
    let mut reader = read(&records).await;
    let told = reader.notices_of(incident.id).await.unwrap();
    let states: Vec<_> = told.iter().map(|notice| (notice.state, notice.folded_into)).collect();
    let sent = NoticeState::Sent;
    let expected = [(sent, None), (sent, Some(fold)), (sent, Some(fold)), (NoticeState::Failed, None)];
    assert_eq!(states, expected);
    assert!(told.iter().all(|notice| notice.ended_at.is_some() && notice.next_at.is_none()));
    // Two messages: one alone, and one that told of two.
    let minute_ago = Utc::now() - TimeDelta::minutes(1);
    assert_eq!(reader.notices_sent_since(&ops, minute_ago).await.unwrap(), 2);
    let later = Utc::now() + TimeDelta::minutes(1);
    assert_eq!(reader.notices_sent_since(&ops, later).await.unwrap(), 0);
    let last = reader.notice_last(&ops).await.unwrap().unwrap();
    assert_eq!((last.id, last.answer.as_deref()), (ids[3], Some("gone")));
    assert_eq!(reader.notice_last(&word("mail")).await.unwrap(), None);
}

pub async fn what_was_given_up_is_listed_and_may_be_sent_again(records: Shared) {
    let shop = application(&records, "shop").await;
    let deployment = deployed(&records, &shop, "prod").await;
    let incident = incident(&deployment, Topic::Trouble);
    assert!(insert(&records, &incident).await);
    let mut ids = Vec::new();
    for once in ["a", "b", "c"] {
        ids.push(tell(&records, &incident, "ops", once).await.unwrap());
    }
    let mail = tell(&records, &incident, "mail", "a").await.unwrap();
    let mut tx = begin(&records).await;
    tx.notices_fold(&ids[1..], NoticeId::new()).await.unwrap();
    tx.commit().await.unwrap();
    tried(&records, &ids[..1], Tried::Sent("ok".into())).await;
    tried(&records, &[ids[1], ids[2], mail], Tried::Failed("gone".into())).await;

    let (ops, all): (NoticeChannelName, _) = (word("ops"), Page::first(10));
    let mut reader = read(&records).await;
    let mut found = Vec::new();
    for (channel, page) in [
        (None, all.clone()),
        (Some(&ops), all.clone()),
        (Some(&ops), Page::first(1)),
        (Some(&ops), Page { limit: 10, after: Some(ids[2].as_uuid()) }),
    ] {
        let rows = reader.notices_failed(channel, page).await.unwrap();
        found.push(rows.iter().map(|notice| notice.id).collect::<Vec<_>>());
    }
    assert_eq!(found, [vec![mail, ids[2], ids[1]], vec![ids[2], ids[1]], vec![ids[2]], vec![ids[1]]]);
    assert_eq!(reader.notices_counted(&ops).await.unwrap(), NoticeCounts { pending: 0, failed: 2 });
    assert_eq!(reader.notice_get(mail).await.unwrap().unwrap().answer.as_deref(), Some("gone"));
    assert_eq!(reader.notice_get(NoticeId::new()).await.unwrap(), None);
    drop(reader);

    let mut tx = begin(&records).await;
    // Only what was given up, and only that channel's.
    assert_eq!(tx.notices_again(&ops, Some(ids[0])).await.unwrap(), 0);
    assert_eq!(tx.notices_again(&ops, Some(mail)).await.unwrap(), 0);
    assert_eq!(tx.notices_again(&ops, Some(ids[1])).await.unwrap(), 1);
    assert_eq!(tx.notices_again(&ops, None).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let waiting = pending(&records, "ops").await;
    assert_eq!(waiting.iter().map(|notice| notice.id).collect::<Vec<_>>(), ids[1..]);
    assert!(
        waiting.iter().all(|one| one.attempts == 0 && one.ended_at.is_none() && one.folded_into.is_none())
    );
    assert!(pending(&records, "mail").await.is_empty());
    let counted = read(&records).await.notices_counted(&ops).await.unwrap();
    assert_eq!(counted, NoticeCounts { pending: 2, failed: 0 });
}

pub async fn incidents_that_are_over_are_forgotten_by_age(records: Shared) {
    let shop = application(&records, "shop").await;
    let deployment = deployed(&records, &shop, "prod").await;
    let mut made = Vec::new();
    for closed in [Some(10), Some(20), Some(90), None] {
        let mut incident = incident(&deployment, Topic::Trouble);
        assert!(insert(&records, &incident).await);
        tell(&records, &incident, "ops", &format!("{}/opened", incident.id)).await.unwrap();
        if let Some(closed) = closed {
            close(&records, &mut incident, at(closed)).await;
        }
        made.push(incident.id);
    }
    for expected in [1, 1, 0] {
        let mut tx = begin(&records).await;
        assert_eq!(tx.incidents_forget(at(50), 1).await.unwrap(), expected);
        tx.commit().await.unwrap();
    }
    let mut reader = read(&records).await;
    let left = reader.incident_list(&IncidentFilter::default(), Page::first(10)).await.unwrap();
    assert_eq!(left.iter().map(|incident| incident.id).collect::<Vec<_>>(), [made[3], made[2]]);
    assert!(reader.notices_of(made[0]).await.unwrap().is_empty());
    assert_eq!(reader.notices_of(made[2]).await.unwrap().len(), 1);
}
