use super::prelude::*;

async fn put(records: &Shared, name: &str, value: &[u8], by: &str) -> u64 {
    let sealed = SealedSecret { sealed_key: vec![0, 1, 255], sealed_value: value.to_vec() };
    let mut tx = begin(records).await;
    let row = tx.secret_put(name, &sealed, by).await.unwrap();
    tx.commit().await.unwrap();
    row.version
}

pub async fn a_secret_counts_its_versions_and_goes_on_after_removal(records: Shared) {
    assert_eq!(put(&records, "npm", b"one", "ann").await, 1);
    assert_eq!(put(&records, "npm", b"", "bob").await, 2);
    let mut reader = read(&records).await;
    let (row, sealed) = reader.secret_get("npm").await.unwrap().unwrap();
    assert_eq!((row.name.as_str(), row.version, row.set_by.as_str()), ("npm", 2, "bob"));
    assert_eq!((sealed.sealed_key, sealed.sealed_value), (vec![0, 1, 255], Vec::new()));

    let mut tx = begin(&records).await;
    assert!(tx.secret_remove("npm").await.unwrap());
    assert!(!tx.secret_remove("npm").await.unwrap());
    assert!(!tx.secret_remove("unheard-of").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(reader.secret_get("npm").await.unwrap(), None);
    assert_eq!(reader.secret_list().await.unwrap(), []);
    assert_eq!(put(&records, "npm", b"three", "ann").await, 3);
}

pub async fn secrets_are_listed_by_name(records: Shared) {
    for name in ["webhook/shop", "npm", "a"] {
        put(&records, name, b"x", "ann").await;
    }
    let listed = read(&records).await.secret_list().await.unwrap();
    let names: Vec<_> = listed.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["a", "npm", "webhook/shop"]);
}
