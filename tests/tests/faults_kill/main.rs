//! The server is killed (SIGKILL) 200 times at chosen points of the pipeline while pushes stream in.
//! Nothing that is a head may be lost, doubled, stuck, corrupt or half published, and repeating every
//! finished step changes nothing.
//!
//! The choice follows from a printed seed; `SLIPWAY_TEST_SEED` repeats one.

mod database;
mod evidence;
mod process;
mod stream;
mod verdict;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use slipway_records::fault_point::POINTS;
use slipway_tests::random::Random;
use slipway_tests::server::Server;

use database::Database;
use process::Victim;
use stream::Stream;

const KILLS: usize = 200;
/// So often each point is hit; the rest are kills at any moment.
const KILLS_PER_POINT: usize = 9;
const MIN_KILLS_PER_STAGE: usize = 10;
const POINT_WITHIN: Duration = Duration::from_secs(90);
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// When the server is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// At the Nth time it comes to a point.
    Point(&'static str, u32),
    /// So long after it was started.
    After(Duration),
}

#[test]
fn faults_of_200_kills_lose_nothing_and_double_nothing() {
    let seed = Random::seed_of_environment();
    eprintln!("SLIPWAY_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let mut server = Server::fresh();
    let mut stream = Stream::start(&server, Random::new(seed ^ 0x5eed));
    server.stop();
    let database = Database::open(&server.data());
    let mut hits: BTreeMap<&str, usize> = BTreeMap::new();
    let began = Instant::now();
    for moment in schedule(&mut random) {
        let victim = Victim::start(&server, moment);
        let marker = endure(&victim, &mut stream, moment);
        victim.kill();
        stream.abandon();
        if let Moment::Point(point, _) = moment {
            assert_eq!(marker.as_deref(), Some(point));
            evidence::assert_stage(&database, &server.data(), point);
            *hits.entry(stage_of(point)).or_default() += 1;
        } else {
            *hits.entry("any").or_default() += 1;
        }
    }
    eprintln!("{KILLS} kills in {:?}, by stage: {hits:?}; {} pushes", began.elapsed(), stream.pushes());
    assert_eq!(hits.values().sum::<usize>(), KILLS);
    assert!(hits.values().all(|hits| *hits >= MIN_KILLS_PER_STAGE), "{hits:?}");

    server.restart();
    verdict::wait_idle(&database);
    verdict::assert_heads_are_served(&database, &server);
    verdict::assert_nothing_is_stuck(&database);
    verdict::assert_numbers_are_used_once(&database);
    verdict::assert_blobs_are_sound(&server.data());
    let versions = verdict::assert_versions_can_be_pulled(&database, &server);
    stream.assert_clonable(&server);
    eprintln!("{versions} versions are whole");

    server.stop();
    let before = database.content();
    let jobs = database.enqueue_everything_again();
    // Upkeep is no repetition: it may write packs anew at any time.
    server
        .options_mut()
        .env
        .insert("SLIPWAY__SERVER__ROLES".to_owned(), "api,registry,builder,deployer".to_owned());
    server.restart();
    verdict::wait_idle(&database);
    server.stop();
    let after = database.content();
    for (table, rows) in &before {
        assert_eq!(rows, &after[table], "repeating {jobs} finished jobs changed table {table}");
    }
}

/// Each point equally often, the rest at any moment, in an order of chance.
fn schedule(random: &mut Random) -> Vec<Moment> {
    let mut moments: Vec<Moment> = Vec::new();
    for point in POINTS {
        for _ in 0..KILLS_PER_POINT {
            // Rare points are met once a push; the others may be passed a few times first.
            moments.push(Moment::Point(point, 1 + u32::try_from(random.below(3)).expect("a small number")));
        }
    }
    while moments.len() < KILLS {
        moments.push(Moment::After(Duration::from_millis(50 + random.below(400))));
    }
    assert_eq!(moments.len(), KILLS);
    random.shuffle(&mut moments);
    moments
}

/// Pushes until the moment has come; gives the point at which the server stopped.
fn endure(victim: &Victim, stream: &mut Stream, moment: Moment) -> Option<String> {
    let began = Instant::now();
    loop {
        if let Some(point) = victim.stopped_at() {
            return Some(point);
        }
        if let Moment::After(time) = moment
            && began.elapsed() >= time
        {
            return None;
        }
        assert!(victim.runs(), "the server ended by itself, waiting for {moment:?}:\n{}", victim.log());
        assert!(began.elapsed() < POINT_WITHIN, "the server never came to {moment:?}:\n{}", victim.log());
        if victim.listens() {
            stream.go_on();
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn stage_of(point: &'static str) -> &'static str {
    point.split_once('.').map_or(point, |(stage, _)| stage)
}
