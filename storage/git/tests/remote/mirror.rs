use slipway_git::{Credential, Fetched, Notify, Wanted};
use slipway_records::{Origin, RefMove};
use slipway_types::{Fault, GitRef};

use crate::world::{World, new_source};

fn notify() -> Notify {
    Notify::Moved { origin: Origin::Sweep, actor: "sweep".into() }
}

async fn fetch(world: &World, url: &str, credential: Option<&Credential>) -> Result<Fetched, Fault> {
    world.store.fetch(world.source, url, credential, &Wanted::All, &Notify::None).await
}

#[tokio::test]
async fn a_mirror_follows_its_forge() {
    let forge = World::new().await;
    let work = forge.work("w").await;
    let first = work.tip().await;
    work.ok(&["tag", "-a", "-m", "x", "nightly"]).await;
    work.ok(&["push", "-q", "origin", "main", "main:old", "--tags"]).await;
    let world = World::new().await;
    let mirror = new_source(world.records.as_ref(), "mirror").await;
    let fetch = async |wanted: &Wanted, notify: &Notify| {
        world.store.fetch(mirror, &forge.url, None, wanted, notify).await.unwrap()
    };
    let fetched = fetch(&Wanted::All, &notify()).await;
    assert_eq!((fetched.moved.len(), fetched.heads.len()), (3, 3));
    assert!(fetched.moved.iter().all(|(_, delivery)| delivery.is_some()));
    let tag = fetched.heads.iter().find(|head| head.name.short() == "nightly").unwrap();
    assert!(tag.object != tag.peeled && tag.peeled == first);
    assert!(fetch(&Wanted::All, &notify()).await.moved.is_empty());

    let second = work.commit("b", "b").await;
    work.ok(&["push", "-q", "origin", "main", ":old", "main:new"]).await;
    let only = Wanted::Refs(vec![GitRef::Branch("main".into())]);
    let fetched = fetch(&only, &Notify::None).await;
    assert_eq!(fetched.moved.len(), 1);
    assert!(fetched.moved[0].1.is_none());
    let tree = world.store.snapshot(mirror, &second).await.unwrap();
    assert_eq!(tree.read_file("b", 10).unwrap(), b"b");
    fetch(&Wanted::All, &notify()).await;
    let rows = world.records.read().await.unwrap().git_refs(mirror).await.unwrap();
    let names: Vec<String> = rows.iter().map(|row| row.name.to_string()).collect();
    assert_eq!(names, ["refs/heads/main", "refs/heads/new", "refs/tags/nightly"]);
}

#[tokio::test]
async fn a_version_tag_that_a_forge_moves_or_drops_stays() {
    let forge = World::new().await;
    let work = forge.work("w").await;
    let first = work.tip().await;
    work.ok(&["tag", "v1.0.0"]).await;
    let second = work.commit("b", "b").await;
    work.ok(&["push", "-q", "origin", "main", "v1.0.0"]).await;
    let world = World::new().await;
    let tag = GitRef::Tag("v1.0.0".into());
    let mut old = Some(first.clone());
    for new in [Some(first.clone()), Some(second), None] {
        let object = new.clone().map(|commit| (commit.clone(), commit));
        let change = RefMove { name: tag.clone(), old, new: object };
        let mut write = forge.records.begin().await.unwrap();
        assert!(write.git_ref_move(forge.source, &change).await.unwrap());
        write.commit().await.unwrap();
        let fetched =
            world.store.fetch(world.source, &forge.url, None, &Wanted::All, &Notify::None).await.unwrap();
        assert_eq!(fetched.refused.len(), usize::from(new != Some(first.clone())), "{new:?}");
        assert_eq!(world.head("refs/tags/v1.0.0").await, Some(first.clone()));
        old = new;
    }
}

#[tokio::test]
async fn what_goes_wrong_with_a_forge_is_classified() {
    let world = World::new().await;
    let token = Credential::parse(&"user:hunter2".into());
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, code) in [
        (format!("http://{dead}/x.git"), "unreachable"),
        (world.url.replace("/shop.git", "/a/b/c.git"), "not_found"),
        ("https://10.0.0.1/x.git".into(), "address_refused"),
        ("git@github.com:a/b.git".into(), "address_refused"),
    ] {
        let fault = fetch(&world, &url, Some(&token)).await.unwrap_err();
        assert_eq!(fault.code, code, "{url}: {}", fault.message);
        assert!(!fault.to_string().contains("hunter2"));
    }
}

#[tokio::test]
async fn credentials_reach_the_forge_by_askpass() {
    use axum::http::{HeaderMap, StatusCode};
    let world = World::new().await;
    let elsewhere = world.url.clone();
    let redirect = async move || axum::response::Redirect::temporary(&format!("{elsewhere}/info/refs"));
    let routes = axum::Router::new().route("/moved.git/info/refs", axum::routing::get(redirect));
    let routes = routes.fallback(async |headers: HeaderMap| {
        let given = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        match given.as_deref() {
            // `bot:s3cret` in Base64.
            Some("Basic Ym90OnMzY3JldA==") => (StatusCode::NOT_FOUND, [("x", "y")]),
            _ => (StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"forge\"")]),
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x.git", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    for (credential, code) in [(Some("bot:s3cret"), "not_found"), (Some("bot:wrong"), "auth"), (None, "auth")]
    {
        let credential = credential.map(|value| Credential::parse(&value.into()));
        let fault = fetch(&world, &url, credential.as_ref()).await.unwrap_err();
        assert_eq!(fault.code, code, "{}", fault.message);
    }
    let moved = url.replace("x.git", "moved.git");
    let fault = fetch(&world, &moved, None).await.unwrap_err();
    assert_eq!(fault.code, "address_refused", "{}", fault.message);
    server.abort();
}

#[tokio::test]
async fn names_are_resolved_once_and_pinned() {
    let world = World::new().await;
    let work = world.work("w").await;
    work.ok(&["push", "-q", "origin", "main"]).await;
    let url = world.url.replace("127.0.0.1", "localhost");
    assert_eq!(fetch(&world, &url, None).await.unwrap().heads.len(), 1);
}
