//! A component that only copies files, beside `docker build` and `docker push` of the same directory.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use slipway_tests::server::{GitRepository, Server, run_within};
use slipway_tests::services;

use crate::push::push_to_bundle;
use crate::report::{ROUNDS, at_least, line, median, ms};
use crate::sample;

const FILES: usize = 500;
const CONTEXT_BYTES: usize = 98 << 20;
const TARGET_RATIO: f64 = 5.0;
const DOCKER_WITHIN: Duration = Duration::from_mins(10);

pub(crate) fn run() -> Result<bool> {
    let peer = Peer { engine: services::docker().host, registry: services::registry() };
    let server = Server::fresh();
    let app = server.create_app("bench");
    let repository = GitRepository::new();
    repository.write(
        "slipway.yaml",
        "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {name: bench}\n\
         components:\n  - {name: web, kit: dockerfile, context: web}\n",
    );
    repository.write("web/Dockerfile", "FROM scratch\nCOPY files /srv/\n");
    for file in 0..FILES {
        write(&repository, file, 0);
    }
    line(format!("{FILES} half-random files, {} MiB in all, one changed each round", CONTEXT_BYTES >> 20));
    line("ours: start of `git push` to the bundle; peer: `docker build` and `docker push`; both warm");
    let context = repository.path().join("web");
    let first = (push_to_bundle(&server, &app, &repository).elapsed, peer.build_and_push(&context, 0)?);
    line(format!("before: ours {:.0} ms, peer {:.0} ms", ms(first.0), ms(first.1)));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        write(&repository, round * (FILES / ROUNDS) - 1, round);
        ours.push(ms(push_to_bundle(&server, &app, &repository).elapsed));
        theirs.push(ms(peer.build_and_push(&context, round)?));
        line(format!("round {round}: ours {:.0} ms, peer {:.0} ms", ours[round - 1], theirs[round - 1]));
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    line(format!("medians: ours {ours:.0} ms, peer {theirs:.0} ms"));
    Ok(at_least("peer's time by ours", theirs / ours, TARGET_RATIO, "times"))
}

fn write(repository: &GitRepository, file: usize, round: usize) {
    let content = sample::half_random((file * 1000 + round) as u64, CONTEXT_BYTES / FILES);
    repository.write(&format!("web/files/{:02}/{file:03}.bin", file % 20), content);
}

struct Peer {
    engine: String,
    registry: String,
}

impl Peer {
    fn build_and_push(&self, context: &Path, round: usize) -> Result<Duration> {
        let tag = format!("{}/bench/web:{round}", self.registry);
        let directory = context.to_str().context("the context's path is not UTF-8")?;
        let began = Instant::now();
        self.docker(&["build", "--quiet", "--tag", &tag, directory]);
        self.docker(&["push", "--quiet", &tag]);
        let elapsed = began.elapsed();
        // The cache of the round before stays, its tag does not.
        if round > 0 {
            let before = format!("{}/bench/web:{}", self.registry, round - 1);
            self.docker(&["rmi", "--no-prune", &before]);
        }
        fs::metadata(context).context("the context is gone")?;
        Ok(elapsed)
    }

    fn docker(&self, words: &[&str]) {
        let mut command = Command::new(services::tool("docker"));
        command.args(["--host", &self.engine]).args(words);
        let done = run_within(command, DOCKER_WITHIN);
        assert_eq!(done.code, 0, "docker {}:\n{}", words.join(" "), done.stderr);
    }
}
