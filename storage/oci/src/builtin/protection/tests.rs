use bytes::Bytes;
use chrono::Utc;
use slipway_records::{DeploymentCause, Inserted, NewDeployment, NewRun, NewSource, NewVersion, SourceKind};
use slipway_types::environment::{EnvironmentSettings, Signer};
use slipway_types::label::Labels;
use slipway_types::signing::PublicKey;
use slipway_types::{CommitId, GitRef};

use super::*;
use crate::builtin::tests::{image, registry};
use crate::builtin::{BuiltinRegistry, NewManifest, PreparedSignature, SIGNATURES_MAX, revision_tag};
use crate::signature::{SIGNATURE_ANNOTATION, Signature, SigningKey, payload, signature_tag};

const REPOSITORY: &str = "default/shop/c/api";

const IMAGES: &str = "default/shop/i/api";

/// Publishes `bytes`, and `image` with it, as version 1.0.0 of `shop`'s component `api`, as the packager
/// does.
async fn publish(registry: &BuiltinRegistry, bytes: Bytes, image: Option<Digest>) -> Digest {
    let (git_ref, commit) = (GitRef::Branch("main".into()), CommitId::zero());
    let manifest = NewManifest::new(REPOSITORY, bytes).tagged("1.0.0");
    let prepared = registry.prepare_manifest(manifest).await.unwrap();
    let mut tx = registry.records.begin().await.unwrap();
    let source = NewSource {
        name: "shop".parse().unwrap(),
        kind: SourceKind::Builtin,
        credential: None,
        poll_interval_s: 300,
    };
    let source = tx.source_insert(source).await.unwrap();
    let shop = tx.application_insert(&"shop".parse().unwrap(), source.id, "").await.unwrap();
    let run = NewRun {
        application_id: shop.id,
        git_ref: git_ref.clone(),
        commit: commit.clone(),
        actor: "ann".into(),
        subject: String::new(),
        author: String::new(),
        committed_at: Utc::now(),
        delivery_id: None,
        retry_of: None,
        fresh: false,
    };
    let run = Inserted::into_inner(tx.run_insert(run).await.unwrap());
    let version = NewVersion {
        application_id: shop.id,
        component: Some("api".parse().unwrap()),
        version: Version::release(1, 0, 0),
        digest: prepared.digest(),
        size: 1,
        built_as: Version::release(1, 0, 0),
        run_id: run.id,
        git_ref,
        commit,
        fingerprint: Digest::of("fingerprint"),
        detail: serde_json::json!({}),
        labels: Labels::default(),
    };
    tx.version_insert(version).await.unwrap();
    if let Some(digest) = image {
        tx.tag_put(IMAGES, "1.0.0", &digest).await.unwrap();
    }
    registry.put_manifests_tx(tx.as_mut(), std::slice::from_ref(&prepared)).await.unwrap();
    tx.commit().await.unwrap();
    prepared.digest()
}

#[tokio::test]
async fn a_tag_that_names_a_published_version_stays_where_it_is() {
    let (_directory, registry) = registry().await;
    let other = image(&registry, REPOSITORY, b"other").await;
    let bytes = image(&registry, REPOSITORY, b"layer").await;
    // Pushed by hand before the version was published: the packager takes the tag over.
    let by_hand = NewManifest::new(REPOSITORY, other.clone()).tagged("1.0.0");
    registry.put_manifest(by_hand.clone()).await.unwrap();
    let digest = publish(&registry, bytes.clone(), None).await;
    assert_eq!(registry.find_manifest(REPOSITORY, "1.0.0").await.unwrap().digest, digest);

    let error = registry.put_manifest(by_hand).await.unwrap_err();
    assert!(matches!(error, RegistryError::TagProtected { .. }) && error.code() == "DENIED", "{error}");
    let error = registry.delete_manifest(REPOSITORY, "1.0.0").await.unwrap_err();
    assert!(matches!(error, RegistryError::TagProtected { .. }), "{error}");
    let error = registry.delete_manifest(REPOSITORY, &digest.to_string()).await.unwrap_err();
    assert!(matches!(error, RegistryError::ContentProtected { .. }), "{error}");
    let error = registry.delete_blob(REPOSITORY, &Digest::of("layer")).await.unwrap_err();
    assert!(matches!(error, RegistryError::ContentProtected { .. }), "{error}");

    // The same again, other tags and unpublished manifests are free.
    registry.put_manifest(NewManifest::new(REPOSITORY, bytes).tagged("1.0.0")).await.unwrap();
    registry.put_manifest(NewManifest::new(REPOSITORY, other.clone()).tagged("1.0.1")).await.unwrap();
    registry.delete_manifest(REPOSITORY, "1.0.1").await.unwrap();
    registry.delete_manifest(REPOSITORY, &Digest::of(&other).to_string()).await.unwrap();
    assert_eq!(registry.find_manifest(REPOSITORY, "1.0.0").await.unwrap().digest, digest);
}

#[tokio::test]
async fn the_image_of_a_published_version_stays_where_it_is() {
    let (_directory, registry) = registry().await;
    let built = image(&registry, IMAGES, b"built").await;
    let other = image(&registry, IMAGES, b"other").await;
    let package = image(&registry, REPOSITORY, b"layer").await;
    let image = registry.put_manifest(NewManifest::new(IMAGES, built.clone())).await.unwrap().digest();
    let tagged = |bytes: &Bytes, tag| NewManifest::new(IMAGES, bytes.clone()).tagged(tag);
    // Nothing is published yet.
    registry.put_manifest(tagged(&other, "1.0.0")).await.unwrap();
    publish(&registry, package, Some(image)).await;

    let error = registry.put_manifest(tagged(&other, "1.0.0")).await.unwrap_err();
    assert!(matches!(error, RegistryError::TagProtected { .. }), "{error}");
    let error = registry.delete_manifest(IMAGES, "1.0.0").await.unwrap_err();
    assert!(matches!(error, RegistryError::TagProtected { .. }), "{error}");
    let error = registry.delete_manifest(IMAGES, &image.to_string()).await.unwrap_err();
    assert!(matches!(error, RegistryError::ContentProtected { .. }), "{error}");
    let error = registry.delete_blob(IMAGES, &Digest::of("built")).await.unwrap_err();
    assert!(matches!(error, RegistryError::ContentProtected { .. }), "{error}");

    registry.put_manifest(tagged(&built, "1.0.0")).await.unwrap();
    registry.put_manifest(tagged(&other, "nightly")).await.unwrap();
    registry.delete_manifest(IMAGES, "nightly").await.unwrap();
    assert_eq!(registry.find_manifest(IMAGES, "1.0.0").await.unwrap().digest, image);
}

#[tokio::test]
async fn signatures_of_a_published_version_are_added_to_and_not_pushed_out() {
    let (_directory, registry) = registry().await;
    let package = image(&registry, REPOSITORY, b"layer").await;
    let subject = publish(&registry, package, None).await;
    let tag = signature_tag(&subject);
    let sign = async || {
        let key = SigningKey::new().unwrap();
        let payload = payload("host.example.com/default/shop/c/api", &subject);
        let signature = Signature::read(payload.clone(), &key.sign(&payload), REPOSITORY, &subject).unwrap();
        let prepared =
            registry.prepare_signature(REPOSITORY, &subject, &signature, &key.public()).await.unwrap();
        (key.public(), prepared)
    };
    let store = async |prepared: &PreparedSignature| {
        let mut tx = registry.records.begin().await.unwrap();
        let stored = registry.put_signature_tx(tx.as_mut(), prepared).await.unwrap();
        if stored {
            tx.commit().await.unwrap();
        }
        stored
    };
    // Of two that were made at once one comes too late, and is made anew.
    let ((ann, first), (_, second)) = (sign().await, sign().await);
    assert!(store(&first).await && !store(&second).await);
    let (bob, third) = sign().await;
    assert!(store(&third).await);
    let by = async |wanted: &[PublicKey]| {
        let offered = registry.signatures(REPOSITORY, &subject, wanted).await.unwrap();
        offered.iter().filter_map(|one| one.key).collect::<Vec<_>>()
    };
    assert_eq!(by(&[]).await, [ann, bob]);
    assert_eq!(by(&[bob]).await, [bob, ann], "who is wanted comes first");
    let referrers = registry.referrers(REPOSITORY, &subject, None).await.unwrap();
    assert_eq!(referrers.manifests.len(), 1, "what was replaced is gone");

    let (_, whole) = registry.get_manifest(REPOSITORY, &tag).await.unwrap();
    let mut less: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    less["layers"].as_array_mut().unwrap().pop();
    let put = async |value: &serde_json::Value| {
        registry.put_manifest(NewManifest::new(REPOSITORY, value.to_string()).tagged(tag.clone())).await
    };
    let error = put(&less).await.unwrap_err();
    assert!(matches!(error, RegistryError::SignaturesProtected { .. }) && error.status() == 403, "{error}");
    let mut more: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    let mut another = more["layers"][0].clone();
    another["annotations"][SIGNATURE_ANNOTATION] = "AAAA".into();
    more["layers"].as_array_mut().unwrap().push(another.clone());
    put(&more).await.unwrap();
    assert_eq!(registry.signatures(REPOSITORY, &subject, &[]).await.unwrap().len(), 3);
    // In another form it would not be looked at any more.
    let mut hidden = more.clone();
    hidden["layers"][0]["mediaType"] = "application/x".into();
    let error = put(&hidden).await.unwrap_err();
    assert!(matches!(error, RegistryError::SignaturesProtected { .. }), "{error}");
    for n in 0..1000 {
        another["annotations"][SIGNATURE_ANNOTATION] = n.to_string().into();
        more["layers"].as_array_mut().unwrap().push(another.clone());
    }
    let error = put(&more).await.unwrap_err();
    assert!(matches!(error, RegistryError::ManifestInvalid(_)), "{error}");

    // Under the tag of what is no version anything may lie.
    let free = signature_tag(&Digest::of("nothing"));
    for bytes in [whole.clone(), less.to_string().into()] {
        registry.put_manifest(NewManifest::new(REPOSITORY, bytes).tagged(free.clone())).await.unwrap();
    }
}

#[tokio::test]
async fn signatures_of_others_keep_none_out_that_an_environment_asks_for() {
    let (_directory, registry) = registry().await;
    let package = image(&registry, REPOSITORY, b"layer").await;
    let subject = publish(&registry, package, None).await;
    let payload = payload("host.example.com/default/shop/c/api", &subject);
    let sign = async |key: &SigningKey| {
        let signature = Signature::read(payload.clone(), &key.sign(&payload), REPOSITORY, &subject).unwrap();
        let prepared = registry.prepare_signature(REPOSITORY, &subject, &signature, &key.public()).await?;
        let mut tx = registry.records.begin().await?;
        assert!(registry.put_signature_tx(tx.as_mut(), &prepared).await?);
        tx.commit().await?;
        Ok::<_, RegistryError>(())
    };
    let [early, late, stranger] = [(); 3].map(|()| SigningKey::new().unwrap());
    sign(&early).await.unwrap();
    // Whoever may push fills what room there is with what looks like signatures.
    let tag = signature_tag(&subject);
    let (_, bytes) = registry.get_manifest(REPOSITORY, &tag).await.unwrap();
    let mut full: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let mut another = full["layers"][0].clone();
    for n in 1..SIGNATURES_MAX {
        another["annotations"][SIGNATURE_ANNOTATION] = format!("{n:04}").into();
        full["layers"].as_array_mut().unwrap().insert(0, another.clone());
    }
    let put = async |value: &serde_json::Value| {
        registry.put_manifest(NewManifest::new(REPOSITORY, value.to_string()).tagged(tag.clone())).await
    };
    put(&full).await.unwrap();
    let error = sign(&late).await.unwrap_err();
    assert!(error.to_string().contains("that no environment asks for"), "{error}");

    let signer =
        |name: &str, key: &SigningKey| Signer { name: name.parse().unwrap(), key: key.public().into() };
    let mut settings = EnvironmentSettings::default();
    settings.gates.signatures = vec![signer("early", &early), signer("late", &late)];
    let mut tx = registry.records.begin().await.unwrap();
    let address = "unit/cluster/prod".parse().unwrap();
    tx.environment_insert(&"prod".parse().unwrap(), &address, &settings, "ann").await.unwrap();
    tx.commit().await.unwrap();
    sign(&late).await.unwrap();
    // Those of the environment have room of their own, so one more of the others is let in, and no second.
    sign(&stranger).await.unwrap();
    assert!(sign(&SigningKey::new().unwrap()).await.is_err());
    let wanted = [early.public(), late.public()];
    let offered = registry.signatures(REPOSITORY, &subject, &wanted).await.unwrap();
    let keys: Vec<_> = offered.iter().take(2).map(|one| one.key).collect();
    assert_eq!(keys, wanted.map(Some));
    assert_eq!(offered.len(), SIGNATURES_MAX + 2);
    assert_eq!(registry.signatures(REPOSITORY, &subject, &[]).await.unwrap().len(), SIGNATURES_MAX);

    // With a client such as cosign, which pushes a manifest of all, the same holds.
    let (_, bytes) = registry.get_manifest(REPOSITORY, &tag).await.unwrap();
    let whole: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let with = |text: String| {
        let mut more = whole.clone();
        let mut layer = another.clone();
        layer["annotations"][SIGNATURE_ANNOTATION] = text.into();
        more["layers"].as_array_mut().unwrap().push(layer);
        more
    };
    put(&with(late.sign(&payload))).await.unwrap();
    let error = put(&with("AAAA".to_owned())).await.unwrap_err();
    assert!(matches!(error, RegistryError::ManifestInvalid(_)), "{error}");
}

/// Deploys version 1.0.0 of `shop`'s component `api` in `prod`, where it is live as this revision.
async fn live(registry: &BuiltinRegistry, revision: &str) {
    let mut tx = registry.records.begin().await.unwrap();
    let shop = tx.application_by_name(&"shop".parse().unwrap()).await.unwrap().unwrap();
    let api: ComponentName = "api".parse().unwrap();
    let version = tx.version_find(shop.id, Some(&api), &Version::release(1, 0, 0)).await.unwrap().unwrap();
    let name = "prod".parse().unwrap();
    let prod = match tx.environment_by_name(&name).await.unwrap() {
        Some(prod) => prod,
        None => {
            let address = "unit/cluster/prod".parse().unwrap();
            tx.environment_insert(&name, &address, &EnvironmentSettings::default(), "ann").await.unwrap()
        }
    };
    let new = NewDeployment {
        application_id: shop.id,
        environment_id: prod.id,
        bundle_id: version.id,
        bundle_version: version.version,
        bundle_digest: version.digest,
        lock: version.fingerprint,
        choice: serde_json::Value::Null,
        cause: DeploymentCause::Deploy,
        created_by: "ann".into(),
        document: None,
    };
    let mut made = tx.deployment_insert(new).await.unwrap();
    made.revision = Some(Digest::of(revision));
    made.live_at = Some(Utc::now());
    assert!(tx.deployment_save(&mut made).await.unwrap());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_a_rollback_may_need_stays_and_its_refusal_says_for_what() {
    const REVISIONS: &str = "default/shop/d/unit/cluster/prod/default";
    let (_directory, registry) = registry().await;
    let registry = registry.with_rollback_depth(2);
    let package = image(&registry, REPOSITORY, b"layer").await;
    let package = publish(&registry, package, None).await.to_string();
    let tag = revision_tag(&Digest::of("first"));
    let objects = image(&registry, REVISIONS, b"objects").await;
    let kept = registry.put_manifest(NewManifest::new(REVISIONS, objects).tagged(tag.clone())).await.unwrap();
    let kept = kept.digest().to_string();
    live(&registry, "first").await;

    let is_told = |error: &RegistryError| {
        let text = error.to_string();
        matches!(error, RegistryError::RollbackProtected { generation: 1, depth: 2, .. })
            && text.contains("generation 1")
            && text.contains("`prod`")
            && error.status() == 403
    };
    for (repository, content) in
        [(REPOSITORY, &*package), (REPOSITORY, "1.0.0"), (REVISIONS, &*kept), (REVISIONS, &*tag)]
    {
        let error = registry.delete_manifest(repository, content).await.unwrap_err();
        assert!(is_told(&error), "{content}: {error}");
    }
    let error = registry.delete_blob(REVISIONS, &Digest::of("objects")).await.unwrap_err();
    assert!(is_told(&error), "{error}");
    // Whoever pushes does not take its place either.
    let other = image(&registry, REVISIONS, b"other").await;
    let error = registry.put_manifest(NewManifest::new(REVISIONS, other).tagged(tag.clone())).await;
    assert!(is_told(&error.unwrap_err()));

    // What is live several times counts once.
    live(&registry, "second").await;
    live(&registry, "second").await;
    assert!(is_told(&registry.delete_manifest(REVISIONS, &tag).await.unwrap_err()));
    live(&registry, "third").await;
    registry.delete_manifest(REVISIONS, &tag).await.unwrap();
    registry.delete_manifest(REVISIONS, &kept).await.unwrap();
    let error = registry.delete_manifest(REPOSITORY, &package).await.unwrap_err();
    assert!(matches!(error, RegistryError::RollbackProtected { generation: 4, .. }), "{error}");
}
