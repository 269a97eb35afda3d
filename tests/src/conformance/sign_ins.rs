use slipway_records::SignIn;
use slipway_types::id::TokenId;

use super::prelude::*;

async fn token(records: &Shared, name: &str) -> TokenId {
    let mut tx = begin(records).await;
    let new = NewToken {
        name: name.into(),
        hash: Digest::of(name),
        person: None,
        break_glass: false,
        role: Some(Role::Reader),
        application_id: None,
        pulls_for: None,
        grants: Vec::new(),
        expires_at: None,
    };
    let row = tx.token_insert(new).await.unwrap();
    tx.commit().await.unwrap();
    row.id
}

async fn insert(records: &Shared, token_id: TokenId, browser: &str, expires_at: i64) -> SignIn {
    let sign_in = SignIn {
        hash: Digest::of(browser),
        token_id,
        created_at: at(0),
        last_seen_at: at(0),
        expires_at: at(expires_at),
    };
    let mut tx = begin(records).await;
    tx.sign_in_insert(&sign_in).await.unwrap();
    tx.commit().await.unwrap();
    sign_in
}

pub async fn a_sign_in_is_kept_whole_and_found_by_its_hash(records: Shared) {
    let token = token(&records, "ann").await;
    let (one, two) = (insert(&records, token, "one", 10).await, insert(&records, token, "two", 20).await);
    assert!(is_conflict(&begin(&records).await.sign_in_insert(&one).await), "a hash is taken once");
    let mut read = read(&records).await;
    for sign_in in [one, two] {
        assert_eq!(read.sign_in_get(&sign_in.hash).await.unwrap(), Some(sign_in));
    }
    assert_eq!(read.sign_in_get(&Digest::of("three")).await.unwrap(), None);
}

pub async fn a_sign_in_is_seen_to_the_minute(records: Shared) {
    let token = token(&records, "ann").await;
    let kept = insert(&records, token, "one", 1000).await;
    let minute = DateTime::from_timestamp(1_700_000_040, 0).unwrap();
    for seconds in [0, 59, -30] {
        let mut tx = begin(&records).await;
        tx.sign_in_seen(&kept.hash, minute + TimeDelta::seconds(seconds)).await.unwrap();
        tx.commit().await.unwrap();
        let now = read(&records).await.sign_in_get(&kept.hash).await.unwrap().unwrap();
        assert_eq!(now.last_seen_at, minute, "{seconds}");
    }
}

pub async fn sign_ins_end_by_hash_and_by_age(records: Shared) {
    let token = token(&records, "ann").await;
    let left = insert(&records, token, "left", 100).await;
    let mut old = Vec::new();
    for (browser, expires_at) in [("old", 10), ("older", 5)] {
        old.push(insert(&records, token, browser, expires_at).await.hash);
    }
    let out = insert(&records, token, "out", 100).await;
    let mut tx = begin(&records).await;
    assert!(tx.sign_in_remove(&out.hash).await.unwrap());
    assert!(!tx.sign_in_remove(&out.hash).await.unwrap());
    assert_eq!(tx.sign_ins_forget(at(50), 1).await.unwrap(), 1, "a few at a time");
    assert_eq!(tx.sign_in_get(&old[1]).await.unwrap(), None, "the oldest first");
    assert_eq!(tx.sign_ins_forget(at(50), 10).await.unwrap(), 1);
    assert_eq!(tx.sign_ins_forget(at(50), 10).await.unwrap(), 0);
    tx.commit().await.unwrap();
    let mut read = read(&records).await;
    assert_eq!(read.sign_in_get(&left.hash).await.unwrap(), Some(left));
    assert_eq!(read.sign_in_get(&out.hash).await.unwrap(), None);
}
