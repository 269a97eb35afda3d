use super::prelude::*;

async fn run(records: &Shared) -> Run {
    let shop = application(records, "shop").await;
    insert_run(records, new_run(shop.id, 1)).await
}

async fn insert(records: &Shared, builds: &[Build]) {
    let mut tx = begin(records).await;
    tx.builds_insert(builds).await.unwrap();
    tx.commit().await.unwrap();
}

pub async fn builds_are_kept_whole_and_listed_by_position(records: Shared) {
    let run = run(&records).await;
    let (api, web) = (new_build(&run, "api", 1), new_build(&run, "web", 0));
    insert(&records, &[api.clone(), web.clone()]).await;
    let mut read = read(&records).await;
    assert_eq!(read.build_get(api.id).await.unwrap().as_ref(), Some(&api));
    assert_eq!(read.builds_of(run.id).await.unwrap(), [web, api]);
    assert_eq!(read.build_get(BuildId::new()).await.unwrap(), None);
    assert_eq!(read.builds_of(RunId::new()).await.unwrap(), []);
}

pub async fn builds_that_exist_stay_as_they_are(records: Shared) {
    let run = run(&records).await;
    let first = new_build(&run, "api", 0);
    insert(&records, std::slice::from_ref(&first)).await;
    insert(&records, &[new_build(&run, "api", 5), new_build(&run, "web", 1)]).await;
    let builds = read(&records).await.builds_of(run.id).await.unwrap();
    assert_eq!(builds.len(), 2);
    assert_eq!(builds[0], first);
}

pub async fn a_build_is_saved_only_on_the_generation_read(records: Shared) {
    let run = run(&records).await;
    let mut build = new_build(&run, "api", 0);
    insert(&records, std::slice::from_ref(&build)).await;
    let mut stale = build.clone();

    build.state = build.state.apply(BuildEvent::Start, 1).unwrap();
    build.attempt = 1;
    build.backend = Some("docker".into());
    build.backend_why = Some("RUN in line 3".into());
    build.plan = serde_json::json!({"changed": true});
    build.image_fingerprint = Some(Digest::of("fingerprint"));
    build.stages_ms = serde_json::json!({"queue": 12});
    build.started_at = Some(at(5));
    let mut tx = begin(&records).await;
    assert!(tx.build_save(&mut build).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(build.generation, stale.generation + 1);
    assert_eq!(read(&records).await.build_get(build.id).await.unwrap().as_ref(), Some(&build));

    let (before, mut tx) = (stale.clone(), begin(&records).await);
    assert!(!tx.build_save(&mut stale).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(stale, before);
    assert_eq!(read(&records).await.build_get(build.id).await.unwrap(), Some(build));
}

fn result(run: &Run, build: &Build, time: i64) -> BuildResult {
    BuildResult {
        application_id: run.application_id,
        component: build.component.clone(),
        fingerprint: Digest::of("inputs"),
        build_id: build.id,
        images: vec![image(&format!("image {time}"))],
        built_at: at(time),
    }
}

async fn put(records: &Shared, result: &BuildResult) {
    let mut tx = begin(records).await;
    tx.result_put(result).await.unwrap();
    tx.commit().await.unwrap();
}

pub async fn a_result_belongs_to_its_application_component_and_fingerprint(records: Shared) {
    let run = run(&records).await;
    let other = application(&records, "other").await;
    let build = new_build(&run, "api", 0);
    insert(&records, std::slice::from_ref(&build)).await;
    let kept = result(&run, &build, 1);
    put(&records, &kept).await;
    let (mine, api, print) = (run.application_id, &kept.component, &kept.fingerprint);
    let mut read = read(&records).await;
    assert_eq!(read.result_find(mine, api, print).await.unwrap().as_ref(), Some(&kept));
    assert_eq!(read.result_find(other.id, api, print).await.unwrap(), None);
    assert_eq!(read.result_find(mine, &word("web"), print).await.unwrap(), None);
    assert_eq!(read.result_find(mine, api, &Digest::of("others")).await.unwrap(), None);
}

pub async fn a_newer_result_takes_the_place_of_an_older_one(records: Shared) {
    let run = run(&records).await;
    let build = new_build(&run, "api", 0);
    insert(&records, std::slice::from_ref(&build)).await;
    let newer = result(&run, &build, 2);
    for result in [&result(&run, &build, 1), &newer, &result(&run, &build, 1)] {
        put(&records, result).await;
    }
    let mut read = read(&records).await;
    let found = read.result_find(run.application_id, &newer.component, &newer.fingerprint).await.unwrap();
    assert_eq!(found, Some(newer));
}
