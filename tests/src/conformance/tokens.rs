use slipway_records::{TokenPage, TokenRow};
use slipway_types::access::RepositoryGrant;
use slipway_types::id::TokenId;

use super::prelude::*;

fn new_token(name: &str, role: Option<Role>) -> NewToken {
    NewToken {
        name: name.into(),
        hash: Digest::of(TokenId::new().to_string()),
        person: None,
        break_glass: false,
        role,
        application_id: None,
        pulls_for: None,
        grants: Vec::new(),
        expires_at: None,
    }
}

async fn insert(records: &Shared, token: NewToken) -> TokenRow {
    let mut tx = begin(records).await;
    let row = tx.token_insert(token).await.unwrap();
    tx.commit().await.unwrap();
    row
}

pub async fn a_token_is_found_by_hash(records: Shared) {
    let shop = application(&records, "shop").await.id;
    let limited = NewToken {
        application_id: Some(shop),
        expires_at: Some(at(100)),
        ..new_token("ci", Some(Role::Developer))
    };
    let grant = |repository: &str, push| RepositoryGrant { repository: repository.into(), push };
    let build = NewToken {
        grants: vec![grant("default/shop/i/api", true), grant("default/shop/i/web", false)],
        ..new_token("build 1", None)
    };
    let mut reader = read(&records).await;
    for token in [limited, build] {
        let row = insert(&records, token.clone()).await;
        assert_eq!((row.role, row.expires_at, &row.grants), (token.role, token.expires_at, &token.grants));
        assert_eq!(reader.token_get(row.id).await.unwrap().as_ref(), Some(&row));
        assert_eq!(reader.token_by_hash(&token.hash).await.unwrap(), Some(row));
    }
    assert_eq!(reader.token_by_hash(&Digest::of("other")).await.unwrap(), None);
    assert_eq!(reader.token_get(TokenId::new()).await.unwrap(), None);
}

pub async fn a_token_name_is_taken_by_a_live_token_only(records: Shared) {
    let first = insert(&records, new_token("ci", Some(Role::Admin))).await;
    assert!(is_conflict(&begin(&records).await.token_insert(new_token("ci", Some(Role::Reader))).await));
    let mut tx = begin(&records).await;
    assert!(tx.token_revoke(first.id, at(1)).await.unwrap());
    assert_ne!(tx.token_insert(new_token("ci", Some(Role::Reader))).await.unwrap().id, first.id);
    tx.commit().await.unwrap();
}

pub async fn tokens_of_people_are_listed_by_name(records: Shared) {
    for (name, role) in [("b", Some(Role::Admin)), ("build 1", None), ("a", Some(Role::Reader))] {
        insert(&records, new_token(name, role)).await;
    }
    let listed = read(&records).await.token_list().await.unwrap();
    assert_eq!(listed.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

pub async fn tokens_of_people_are_paged_with_or_without_those_that_ended(records: Shared) {
    let reader = |name: &str| new_token(name, Some(Role::Reader));
    let revoked = insert(&records, reader("b")).await;
    let mut tx = begin(&records).await;
    assert!(tx.token_revoke(revoked.id, at(5)).await.unwrap());
    tx.commit().await.unwrap();
    let ended = NewToken { expires_at: Some(at(100)), ..reader("c") };
    for token in [reader("a"), reader("b"), ended, reader("d"), new_token("build 1", None)] {
        insert(&records, token).await;
    }
    let mut reader = read(&records).await;
    for (holding_at, wanted) in [
        (None, vec!["a", "b", "b", "c", "d"]),
        (Some(at(99)), vec!["a", "b", "c", "d"]),
        (Some(at(100)), vec!["a", "b", "d"]),
    ] {
        let (mut seen, mut after): (Vec<TokenRow>, _) = (Vec::new(), None);
        loop {
            let page = TokenPage { holding_at, after: after.take(), limit: 2 };
            let rows = reader.token_page(&page).await.unwrap();
            after = rows.last().map(|last| (last.name.clone(), last.id));
            let ends = rows.len() < 2;
            seen.extend(rows);
            if ends {
                break;
            }
        }
        assert_eq!(seen.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), wanted);
    }
    assert!(reader.token_any_ended(at(0)).await.unwrap());
}

pub async fn only_an_end_of_a_token_of_people_counts_as_one(records: Shared) {
    let ended = NewToken { expires_at: Some(at(100)), ..new_token("a", Some(Role::Reader)) };
    insert(&records, ended).await;
    insert(&records, NewToken { expires_at: Some(at(1)), ..new_token("build 1", None) }).await;
    let mut reader = read(&records).await;
    for (time, wanted) in [(99, false), (100, true)] {
        assert_eq!(reader.token_any_ended(at(time)).await.unwrap(), wanted, "{time}");
    }
}

pub async fn use_is_noted_to_the_minute(records: Shared) {
    let token = new_token("ci", Some(Role::Reader));
    let row = insert(&records, token.clone()).await;
    let minute = DateTime::from_timestamp(1_700_000_040, 0).unwrap();
    for seconds in [0, 59, -30] {
        let mut tx = begin(&records).await;
        tx.token_used(row.id, minute).await.unwrap();
        tx.token_used(row.id, minute + chrono::TimeDelta::seconds(seconds)).await.unwrap();
        tx.commit().await.unwrap();
        let now = read(&records).await.token_by_hash(&token.hash).await.unwrap().unwrap();
        assert_eq!(now.last_used_at, Some(minute));
    }
}

pub async fn a_token_is_revoked_once(records: Shared) {
    let token = new_token("ci", Some(Role::Reader));
    let row = insert(&records, token.clone()).await;
    let mut tx = begin(&records).await;
    assert!(tx.token_revoke(row.id, at(5)).await.unwrap());
    assert!(!tx.token_revoke(row.id, at(6)).await.unwrap());
    assert!(!tx.token_revoke(TokenId::new(), at(6)).await.unwrap());
    tx.commit().await.unwrap();
    let now = read(&records).await.token_by_hash(&token.hash).await.unwrap().unwrap();
    assert_eq!(now.revoked_at, Some(at(5)));
}
