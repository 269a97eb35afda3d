use slipway_records::deploying::{DeploymentOrder, DeploymentWord};
use slipway_records::{Deployment, OrderRow, OrderState};
use slipway_types::id::OrderId;

use super::deployments::deployed;
use super::prelude::*;

fn order(deployment: &Deployment, word: DeploymentWord) -> OrderRow {
    OrderRow {
        id: OrderId::new(),
        order: DeploymentOrder {
            deployment: deployment.id,
            word,
            node: Some("web".into()),
            person: "ann".into(),
            actor: "ann-laptop".into(),
            reason: Some("it is slow".into()),
        },
        heard: Some(1 << 62),
        state: OrderState::Pending,
        why: None,
        given_at: at(1),
        settled_at: None,
    }
}

async fn keep(records: &Shared, row: &OrderRow) {
    let mut tx = begin(records).await;
    tx.order_insert(row).await.unwrap();
    tx.commit().await.unwrap();
}

pub async fn an_order_is_kept_whole_and_settled_once(records: Shared) {
    let made = deployed(&records, &application(&records, "shop").await, "prod").await;
    let row = order(&made, DeploymentWord::Suspend);
    assert_eq!(read(&records).await.order_get(row.id).await.unwrap(), None);
    keep(&records, &row).await;
    assert_eq!(read(&records).await.order_get(row.id).await.unwrap(), Some(row.clone()));
    let mut tx = begin(&records).await;
    tx.order_note(&row, "it is away").await.unwrap();
    let noted = tx.order_get(row.id).await.unwrap().unwrap();
    assert_eq!(noted, OrderRow { why: Some("it is away".into()), ..row.clone() });
    assert!(tx.order_settle(&row, OrderState::Refused, Some("it cannot")).await.unwrap());
    assert!(!tx.order_settle(&row, OrderState::Told, None).await.unwrap(), "it is settled");
    tx.order_note(&row, "it is away again").await.unwrap();
    tx.commit().await.unwrap();
    let settled = read(&records).await.order_get(row.id).await.unwrap().unwrap();
    assert_eq!((settled.state, settled.why.as_deref()), (OrderState::Refused, Some("it cannot")));
    assert!(settled.settled_at.is_some_and(|at| at >= row.given_at));
}

pub async fn orders_are_pending_in_their_order_and_listed_newest_first(records: Shared) {
    let shop = application(&records, "shop").await;
    let made = deployed(&records, &shop, "prod").await;
    let words = [DeploymentWord::Suspend, DeploymentWord::Resume, DeploymentWord::Promote];
    let rows = words.map(|word| order(&made, word));
    let bare = OrderRow {
        heard: None,
        order: DeploymentOrder { node: None, reason: None, ..rows[0].order.clone() },
        ..order(&made, DeploymentWord::Suspend)
    };
    for row in rows.iter().chain([&bare]) {
        keep(&records, row).await;
    }
    let mut tx = begin(&records).await;
    assert!(tx.order_settle(&rows[1], OrderState::Told, None).await.unwrap());
    tx.commit().await.unwrap();
    let mut read = read(&records).await;
    let pending = read.orders_pending(made.id).await.unwrap();
    assert_eq!(pending, [rows[0].clone(), rows[2].clone(), bare.clone()]);
    let newest: Vec<OrderId> = read.orders_of(made.id, 3).await.unwrap().iter().map(|row| row.id).collect();
    assert_eq!(newest, [bare.id, rows[2].id, rows[1].id]);
    let other = slipway_types::id::DeploymentId::new();
    assert!(read.orders_pending(other).await.unwrap().is_empty());
}
