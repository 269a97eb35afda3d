//! Pushes that mean harm, spoken by hand.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use slipway_tests::server::{Answer, App, Server, ServerOptions};

use crate::world::shop;

const ZERO: &str = "0000000000000000000000000000000000000000";
/// A pack of no objects with its checksum.
const EMPTY_PACK: &[u8] =
    b"PACK\0\0\0\x02\0\0\0\0\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e";

fn pkt(line: &[u8]) -> Vec<u8> {
    [format!("{:04x}", line.len() + 4).as_bytes(), line].concat()
}

/// A push that sets a ref to a commit the server has.
fn push_of(name: &[u8], old: &str, new: &str) -> Vec<u8> {
    let line = [format!("{old} {new} ").as_bytes(), name, b"\0report-status\n"].concat();
    [pkt(&line), b"0000".to_vec(), EMPTY_PACK.to_vec()].concat()
}

fn receive(server: &Server, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let authorization = format!("Bearer {}", server.token());
    let own = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/x-git-receive-pack-request"),
    ];
    server.request("POST", "/git/shop.git/git-receive-pack", &[&own, headers].concat(), body)
}

fn published(server: &Server) -> (App, String) {
    let app = server.create_app("shop");
    let repository = shop("FROM scratch\nCOPY . /srv/\n");
    server.publish(&app, &repository, "main", "Begin");
    (app, repository.head())
}

/// The refs that the server has.
fn refs(server: &Server, app: &App) -> String {
    let listed = shop("FROM scratch\n").remote(server.token(), &["ls-remote", &app.git_url]);
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    listed.text()
}

#[test]
fn faults_by_ref_names_that_climb_move_nothing() {
    let server = Server::fresh();
    let (app, head) = published(&server);
    let before = refs(&server, &app);
    let names: [&[u8]; 18] = [
        b"refs/heads/../../../../tmp/slipway-evil",
        b"refs/heads/..",
        b"refs/heads/a..b",
        b"refs/heads/.hidden",
        b"refs/heads/x.lock",
        b"refs/heads/a//b",
        b"refs/heads/a/",
        b"refs/heads/a b",
        b"refs/heads/a\x01b",
        b"refs/heads/a~1",
        b"refs/heads/a^{}",
        b"refs/heads/a:b",
        b"refs/heads/@{u}",
        b"refs/heads/-x/../y",
        b"HEAD",
        b"refs/hooks/x",
        b"config",
        b"/etc/passwd",
    ];
    for name in names {
        let shown = String::from_utf8_lossy(name).into_owned();
        let answer = receive(&server, &[], &push_of(name, ZERO, &head));
        let refused = answer.status == 400 || answer.text().contains("ng ");
        assert!(refused, "{shown}: {} {}", answer.status, answer.text());
    }
    let not_utf8 = receive(&server, &[], &push_of(b"refs/heads/\xff\xfe", ZERO, &head));
    assert_eq!(not_utf8.status, 400, "{}", not_utf8.text());
    assert_eq!(refs(&server, &app), before);
    assert!(!std::path::Path::new("/tmp/slipway-evil").exists());
    // What the test says by hand is a push indeed.
    let good = receive(&server, &[], &push_of(b"refs/heads/by-hand", ZERO, &head));
    assert!(good.text().contains("ok refs/heads/by-hand"), "{} {}", good.status, good.text());
}

#[test]
fn faults_by_objects_that_are_not_there_or_no_commits_move_nothing() {
    let server = Server::fresh();
    let (app, head) = published(&server);
    let before = refs(&server, &app);
    let absent = "1".repeat(40);
    let tree = {
        let clone = server.scratch().join("clone");
        let cloned = shop("FROM scratch\n")
            .remote(server.token(), &["clone", "--quiet", &app.git_url, clone.to_str().expect("a path")]);
        assert_eq!(cloned.code, 0, "{}", cloned.stderr);
        let parsed =
            shop("FROM scratch\n").git(&["-C", clone.to_str().expect("a path"), "rev-parse", "HEAD^{tree}"]);
        fs::remove_dir_all(&clone).expect("the clone goes");
        parsed
    };
    for (name, old, new) in [
        (b"refs/heads/absent".as_slice(), ZERO, absent.as_str()),
        (b"refs/heads/tree", ZERO, &tree),
        (b"refs/tags/v9.9.9", ZERO, &absent),
        (b"refs/heads/main", ZERO, &head),
        (b"refs/heads/main", &absent, ZERO),
        (b"refs/heads/other", &absent, ZERO),
    ] {
        let answer = receive(&server, &[], &push_of(name, old, new));
        assert!(answer.text().contains("ng "), "{} {}", answer.status, answer.text());
    }
    assert_eq!(refs(&server, &app), before);
}

#[test]
fn faults_by_garbage_for_packets_are_refused_at_once() {
    let server = Server::fresh();
    let (app, head) = published(&server);
    let before = refs(&server, &app);
    let line = format!("{ZERO} {head} refs/heads/x\0report-status\n");
    let command = pkt(line.as_bytes());
    let bodies: Vec<Vec<u8>> = vec![
        b"zzzz".to_vec(),
        b"0001".to_vec(),
        b"0003".to_vec(),
        b"fff1".to_vec(),
        b"ffff0123".to_vec(),
        b"00".to_vec(),
        b"0004".to_vec(),
        pkt(b"hello\n"),
        pkt(b"push-cert\0\n"),
        [pkt(b"shallow 123\n"), b"0000".to_vec()].concat(),
        command.clone(),
        [command.clone(), b"0000".to_vec()].concat(),
        [command.clone(), b"0000PAC".to_vec()].concat(),
        [command.clone(), b"0000PACK\0\0\0\x02\xff\xff\xff\xff".to_vec()].concat(),
        [command.clone(), b"0000PACK\0\0\0\x09\0\0\0\x01garbage garbage garbage".to_vec()].concat(),
        [command.clone(), b"0000".to_vec(), vec![b'x'; 1 << 20]].concat(),
        vec![b'0'; 1 << 20],
    ];
    for body in bodies {
        let began = Instant::now();
        let answer = receive(&server, &[], &body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let told = answer.text();
        let refused = answer.status == 400 || answer.status == 200 && !told.contains("ok refs");
        assert!(refused, "{shown}: {} {told}", answer.status);
        assert!(began.elapsed() < Duration::from_secs(10), "{shown} took {:?}", began.elapsed());
    }
    assert_eq!(refs(&server, &app), before);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// The most memory the server has ever used, in bytes.
fn peak_memory(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the process' status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[test]
fn faults_by_bombs_of_gzip_are_stopped_at_the_limit() {
    let server = Server::start(ServerOptions::default().env("SLIPWAY__GIT__MAX_PACK_BYTES", "1048576"));
    let (app, head) = published(&server);
    let before = refs(&server, &app);
    let memory = peak_memory(&server);
    let line = format!("{ZERO} {head} refs/heads/bomb\0report-status\n");
    // Behind a proper beginning half a gigabyte of nothing; and nothing alone.
    let pack = [pkt(line.as_bytes()), b"0000PACK\0\0\0\x02\0\0\0\x01".to_vec()].concat();
    for beginning in [pack, Vec::new()] {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&beginning).expect("gzip");
        let zeros = vec![0; 1 << 20];
        for _ in 0..512 {
            bomb.write_all(&zeros).expect("gzip");
        }
        let bomb = bomb.finish().expect("gzip");
        assert!(bomb.len() < 4 << 20, "the bomb is small: {}", bomb.len());
        let began = Instant::now();
        let answer = receive(&server, &[("Content-Encoding", "gzip")], &bomb);
        assert!(!answer.text().contains("ok refs"), "{} {}", answer.status, answer.text());
        assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    }
    let torn = receive(&server, &[("Content-Encoding", "gzip")], b"\x1f\x8b\x08\x00garbage");
    assert!((400..500).contains(&torn.status), "{} {}", torn.status, torn.text());
    let grown = peak_memory(&server).saturating_sub(memory);
    assert!(grown < 64 << 20, "memory grew by {grown} bytes");
    assert_eq!(refs(&server, &app), before);
}

#[test]
fn faults_by_a_push_that_is_too_large_are_told_with_the_limit() {
    let server = Server::start(ServerOptions::default().env("SLIPWAY__GIT__MAX_PACK_BYTES", "1048576"));
    let app = server.create_app("shop");
    let repository = shop("FROM scratch\nCOPY . /srv/\n");
    repository.write("web/large", crate::world::noise(3 << 20, 7));
    repository.commit("Large");
    let pushed = repository.push(&app.git_url, server.token(), &["HEAD:refs/heads/main"]);
    assert_ne!(pushed.code, 0);
    assert!(pushed.stderr.contains("max_pack_bytes"), "the limit is not named: {}", pushed.stderr);
}
