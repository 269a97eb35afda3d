use slipway_records::Origin;
use slipway_types::{CommitId, GitRef};

use crate::world::{World, options, serve};

#[tokio::test]
async fn a_first_push_is_accepted_delivered_and_cloned_back() {
    let world = World::new().await;
    let work = world.work("w").await;
    let pushed = work.git(&["push", "origin", "main"]).await;
    let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
    assert!(pushed.status.success(), "{said}");
    assert!(said.contains("remote: building"), "{said}");
    let tip = work.tip().await;
    assert_eq!(world.head("refs/heads/main").await, Some(tip.clone()));
    let deliveries = world.deliveries().await;
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0].git_ref, Some(GitRef::Branch("main".into())));
    assert_eq!(deliveries[0].commit, Some(tip));
    assert_eq!((deliveries[0].origin, deliveries[0].actor.as_str()), (Origin::Push, "ann"));
    let depth = world.records.queue().depth().await.unwrap();
    assert!(depth.iter().any(|depth| depth.kind == "deliver" && depth.count == 1), "{depth:?}");
    for version in ["0", "2"] {
        let to = world.dir.path().join(format!("clone{version}"));
        let protocol = format!("protocol.version={version}");
        work.ok(&["-c", &protocol, "clone", "-q", &world.url, to.to_str().unwrap()]).await;
        assert_eq!(std::fs::read_to_string(to.join("a.txt")).unwrap(), "one\n");
    }
    assert_eq!(world.quarantined(), 0);
}

#[tokio::test]
async fn thin_packs_forced_moves_and_deletions_are_taken() {
    let world = World::new().await;
    let work = world.work("w").await;
    let large = (0..2000).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
    work.commit("large.txt", &large).await;
    work.ok(&["push", "-q", "origin", "main"]).await;
    // A small change of a large file is sent as a delta against what the server has.
    let second = work.commit("large.txt", &format!("{large}\nmore")).await;
    work.ok(&["push", "-q", "origin", "main"]).await;
    assert_eq!(world.head("refs/heads/main").await, Some(second));
    work.ok(&["reset", "-q", "--hard", "HEAD~2"]).await;
    let other = work.commit("b.txt", "other\n").await;
    assert!(work.fails(&["push", "origin", "main"]).await.contains("rejected"));
    work.ok(&["push", "-q", "--force", "origin", "main", "main:gone"]).await;
    assert_eq!(world.head("refs/heads/main").await, Some(other));
    let before = world.deliveries().await.len();
    work.ok(&["push", "-q", "origin", ":gone"]).await;
    assert_eq!(world.head("refs/heads/gone").await, None);
    assert_eq!(world.deliveries().await.len(), before);
}

#[tokio::test]
async fn a_ref_to_known_objects_stores_no_pack() {
    let world = World::new().await;
    let work = world.work("w").await;
    work.ok(&["push", "-q", "origin", "main"]).await;
    assert_eq!(world.packs().await, 1);
    work.ok(&["push", "-q", "origin", "main:refs/heads/second"]).await;
    assert_eq!(world.head("refs/heads/second").await, Some(work.tip().await));
    assert_eq!(world.packs().await, 1);
}

#[tokio::test]
async fn a_version_tag_never_moves_and_other_tags_do() {
    let world = World::new().await;
    let work = world.work("w").await;
    let first = work.tip().await;
    work.ok(&["tag", "-a", "-m", "x", "v1.0.0"]).await;
    work.ok(&["tag", "nightly"]).await;
    work.ok(&["push", "-q", "origin", "main", "--tags"]).await;
    let row = world.refs().await.into_iter().find(|row| row.name.short() == "v1.0.0").unwrap();
    assert_ne!(row.object, row.commit);
    assert_eq!(row.commit, first);
    work.commit("b.txt", "two\n").await;
    work.ok(&["tag", "-f", "v1.0.0"]).await;
    work.ok(&["tag", "-f", "nightly"]).await;
    let said = work.fails(&["push", "--force", "origin", "v1.0.0", "nightly"]).await;
    assert!(said.contains("v1.0.0") && said.contains(first.short()), "{said}");
    assert_eq!(world.head("refs/tags/v1.0.0").await, Some(row.object));
    assert_eq!(world.head("refs/tags/nightly").await, Some(work.tip().await));
    assert!(work.fails(&["push", "origin", ":refs/tags/v1.0.0"]).await.contains("never goes"));
}

#[tokio::test]
async fn an_atomic_push_with_one_bad_ref_moves_nothing() {
    let world = World::new().await;
    let work = world.work("w").await;
    let said = work.fails(&["push", "--atomic", "origin", "main", "main:refs/notes/x"]).await;
    assert!(said.contains("only branches and tags are accepted"), "{said}");
    assert!(said.contains("another ref of this atomic push"), "{said}");
    assert!(world.refs().await.is_empty() && world.deliveries().await.is_empty());
    assert_eq!(world.packs().await, 0);
    work.fails(&["push", "origin", "main", "main:refs/notes/x"]).await;
    assert_eq!(world.head("refs/heads/main").await, Some(work.tip().await));
}

#[tokio::test]
async fn names_in_each_others_way_are_refused() {
    let world = World::new().await;
    let work = world.work("w").await;
    work.ok(&["push", "-q", "origin", "main:refs/heads/a"]).await;
    let said = work.fails(&["push", "origin", "main:refs/heads/a/b", "main:refs/heads/c"]).await;
    assert!(said.contains("in the way of refs/heads/a"), "{said}");
    assert!(world.head("refs/heads/c").await.is_some());
    work.ok(&["push", "-q", "origin", ":refs/heads/a", "main:refs/heads/a/b"]).await;
    assert!(world.head("refs/heads/a/b").await.is_some());
}

#[tokio::test]
async fn of_two_pushes_of_one_ref_at_once_one_wins() {
    let world = World::new().await;
    let work = world.work("w").await;
    work.ok(&["push", "-q", "origin", "main"]).await;
    let mut rivals = Vec::new();
    for name in ["x", "y"] {
        let to = world.dir.path().join(name);
        work.ok(&["clone", "-q", &world.url, to.to_str().unwrap()]).await;
        let rival = crate::world::Work { dir: to };
        rival.commit("a.txt", name).await;
        rivals.push(rival);
    }
    let old = work.tip().await;
    let mut pushes = Vec::new();
    for rival in &rivals {
        let new = rival.tip().await;
        let mut bytes = Vec::new();
        let command = format!("{old} {new} refs/heads/main\0report-status");
        slipway_git::pkt_line::write(&mut bytes, command.as_bytes());
        bytes.extend_from_slice(slipway_git::pkt_line::FLUSH);
        let range = format!("{old}..{new}");
        rival.ok(&["bundle", "create", "-q", "b", "HEAD", &range]).await;
        let bundle = std::fs::read(rival.dir.join("b")).unwrap();
        let at = bundle.windows(6).position(|window| window == b"\n\nPACK").unwrap() + 2;
        bytes.extend_from_slice(&bundle[at..]);
        let (store, source) = (world.store.clone(), world.source);
        pushes
            .push(tokio::spawn(async move { store.receive(source, bytes.as_slice(), "ann").await.unwrap() }));
    }
    let mut won = 0;
    for push in pushes {
        let received = push.await.unwrap();
        let report = String::from_utf8_lossy(&received.report).into_owned();
        match received.moved.len() {
            1 => won += 1,
            _ => assert!(report.contains("ng refs/heads/main the ref has moved"), "{report}"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(world.deliveries().await.len(), 2);
}

#[tokio::test]
async fn broken_packs_leave_nothing() {
    let world = World::new().await;
    let work = world.work("w").await;
    let tip = work.tip().await;
    work.ok(&["bundle", "create", "-q", "b", "HEAD"]).await;
    let bundle = std::fs::read(work.dir.join("b")).unwrap();
    let at = bundle.windows(6).position(|window| window == b"\n\nPACK").unwrap() + 2;
    let pack = &bundle[at..];
    let mut flipped = pack.to_vec();
    flipped[pack.len() / 2] ^= 0x55;
    let missing = "1".repeat(40);
    let tip = tip.as_str();
    for (what, new, pack) in [
        ("cut", tip, &pack[..pack.len() - 30]),
        ("flipped", tip, flipped.as_slice()),
        ("absent", tip, b"".as_slice()),
        ("of other objects", missing.as_str(), pack),
    ] {
        let mut body = Vec::new();
        let zero = CommitId::zero();
        let command = format!("{zero} {new} refs/heads/main\0report-status");
        slipway_git::pkt_line::write(&mut body, command.as_bytes());
        body.extend_from_slice(slipway_git::pkt_line::FLUSH);
        body.extend_from_slice(pack);
        let received = world.store.receive(world.source, body.as_slice(), "ann").await.unwrap();
        let report = String::from_utf8_lossy(&received.report).into_owned();
        assert!(report.contains("ng refs/heads/main"), "{what}: {report}");
        assert!(received.moved.is_empty(), "{what}");
        assert_eq!((world.packs().await, world.refs().await.len()), (0, 0), "{what}");
        assert_eq!(world.quarantined(), 0, "{what}");
    }
}

#[tokio::test]
async fn hostile_commands_are_refused_by_name() {
    let world = World::new().await;
    let work = world.work("w").await;
    work.ok(&["push", "-q", "origin", "main"]).await;
    let tip = work.tip().await;
    for name in [
        "refs/heads/../../config",
        "refs/heads/-x",
        "refs/heads/a.lock",
        "refs/heads/x y",
        "refs/pull/1/head",
        "HEAD",
        "refs/heads/a\u{1b}[31m",
    ] {
        let mut body = Vec::new();
        let command = format!("{} {tip} {name}\0report-status", CommitId::zero());
        slipway_git::pkt_line::write(&mut body, command.as_bytes());
        body.extend_from_slice(slipway_git::pkt_line::FLUSH);
        body.extend_from_slice(b"PACK\0\0\0\x02\0\0\0\0");
        let received = world.store.receive(world.source, body.as_slice(), "ann").await.unwrap();
        assert_eq!(received.refused.len(), 1, "{name:?}");
        assert!(received.moved.is_empty(), "{name:?}");
    }
    assert_eq!(world.refs().await.len(), 1);
    for garbage in ["0000", "", "zzzz", "0007abc0000", "fffe"] {
        let received = world.store.receive(world.source, garbage.as_bytes(), "ann").await;
        assert!(received.is_err() || garbage == "0000", "{garbage:?}");
    }
}

#[tokio::test]
async fn limits_are_named() {
    let mut few = options();
    few.max_pack_bytes = 1000;
    few.max_refs = 1;
    let world = World::with(few).await;
    let work = world.work("w").await;
    work.ok(&["push", "-q", "origin", "main"]).await;
    assert!(work.fails(&["push", "origin", "main:two"]).await.contains("max_refs"));
    let noise: String = (0..2000u32).map(|n| n.wrapping_mul(2_654_435_761).to_string()).collect();
    work.commit("noise", &noise).await;
    assert!(work.fails(&["push", "origin", "main"]).await.contains("max_pack_bytes"));
}

#[tokio::test]
async fn a_branch_must_be_a_commit() {
    let world = World::new().await;
    let work = world.work("w").await;
    work.ok(&["push", "-q", "origin", "main"]).await;
    let said = work.fails(&["push", "origin", "HEAD^{tree}:refs/tags/tree"]).await;
    assert!(said.contains("a tag must lead to a commit"), "{said}");
}

#[tokio::test]
async fn two_servers_without_a_shared_disk_take_turns() {
    let world = World::new().await;
    let work = world.work("w").await;
    let second = world.second().await;
    let (second_url, server) = serve(second.clone(), world.source).await;
    for (turn, url) in [&world.url, &second_url, &world.url, &second_url].into_iter().enumerate() {
        let tip = work.commit("turn.txt", &turn.to_string()).await;
        work.ok(&["push", "-q", url, "main"]).await;
        for store in [&world.store, &second] {
            let snapshot = store.snapshot(world.source, &tip).await.unwrap();
            assert_eq!(snapshot.read_file("turn.txt", 10).unwrap(), turn.to_string().as_bytes());
        }
    }
    assert_eq!(world.deliveries().await.len(), 4);
    server.abort();
}

#[tokio::test]
async fn a_cache_that_is_lost_or_damaged_is_made_anew() {
    let world = World::new().await;
    let work = world.work("w").await;
    work.ok(&["push", "-q", "origin", "main"]).await;
    let tip = work.tip().await;
    let repository = world.store.sync(world.source).await.unwrap();
    std::fs::remove_dir_all(&repository).unwrap();
    let snapshot = world.store.snapshot(world.source, &tip).await.unwrap();
    assert_eq!(snapshot.read_file("a.txt", 100).unwrap(), b"one\n");
    drop(snapshot);
    // A pack that a crash cut short is fetched again by the next boot.
    let packs = std::fs::read_dir(repository.join("objects/pack")).unwrap();
    let pack = packs.map(|e| e.unwrap().path()).find(|p| p.extension().unwrap() == "pack").unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&pack, permissions).unwrap();
    std::fs::write(&pack, b"PACK").unwrap();
    let cache = world.dir.path().join("cache");
    let reopened = slipway_git::GitStore::open(cache, world.blobs.clone(), world.records.clone(), options())
        .await
        .unwrap();
    reopened.sync(world.source).await.unwrap();
    let snapshot = reopened.snapshot(world.source, &tip).await.unwrap();
    assert_eq!(snapshot.read_file("a.txt", 100).unwrap(), b"one\n");
    let to = world.dir.path().join("c");
    work.ok(&["clone", "-q", &world.url, to.to_str().unwrap()]).await;
}

#[tokio::test]
async fn a_shallow_clone_pushes_what_the_server_can_complete() {
    let world = World::new().await;
    let work = world.work("w").await;
    work.commit("b.txt", "two\n").await;
    work.ok(&["push", "-q", "origin", "main"]).await;
    let to = world.dir.path().join("shallow");
    work.ok(&["clone", "-q", "--depth=1", &world.url, to.to_str().unwrap()]).await;
    let shallow = crate::world::Work { dir: to };
    let tip = shallow.commit("c.txt", "three\n").await;
    shallow.ok(&["push", "-q", "origin", "main"]).await;
    assert_eq!(world.head("refs/heads/main").await, Some(tip));
    let other = World::new().await;
    let said = shallow.fails(&["push", &other.url, "main"]).await;
    assert!(said.contains("rejected") || said.contains("failed"), "{said}");
    assert!(other.refs().await.is_empty());
}

#[tokio::test]
async fn a_silent_client_is_given_up_and_leaves_nothing() {
    let mut short = options();
    short.idle_timeout_ms = 50;
    let world = World::with(short).await;
    let work = world.work("w").await;
    let mut body = Vec::new();
    let command = format!("{} {} refs/heads/main\0report-status", CommitId::zero(), work.tip().await);
    slipway_git::pkt_line::write(&mut body, command.as_bytes());
    body.extend_from_slice(slipway_git::pkt_line::FLUSH);
    body.extend_from_slice(b"PACK\0\0\0\x02\0\0\0\x03");
    let (mut client, server) = tokio::io::duplex(1 << 16);
    tokio::io::AsyncWriteExt::write_all(&mut client, &body).await.unwrap();
    let error = world.store.receive(world.source, server, "ann").await.unwrap_err();
    assert!(error.to_string().contains("idle_timeout_ms"), "{error}");
    assert_eq!(world.quarantined(), 0);
    drop(client);
}
