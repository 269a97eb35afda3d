//! The Docker engine goes away while it builds.

use std::fs;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use slipway_tests::server::{Server, ServerOptions};
use slipway_tests::services;

use crate::world::{assert_failed, assert_retry_is_done, shop};

const STEP_BEGINS_WITHIN: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A way to a real engine that can be cut.
struct Way {
    socket: PathBuf,
    engine: String,
    open: Arc<Mutex<Vec<UnixStream>>>,
}

impl Way {
    fn new(directory: &Path) -> Self {
        let engine = services::docker().host.trim_start_matches("unix://").to_owned();
        let way = Self { socket: directory.join("docker.sock"), engine, open: Arc::default() };
        way.lay();
        way
    }

    /// Connections go through from now on.
    fn lay(&self) {
        let listener = UnixListener::bind(&self.socket).expect("a socket");
        let (engine, open) = (self.engine.clone(), Arc::clone(&self.open));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = UnixStream::connect(&engine) else { continue };
                let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (Ok(from), Ok(to), Ok(kept)) = (from.try_clone(), to.try_clone(), from.try_clone())
                    else {
                        continue;
                    };
                    open.push(kept);
                    thread::spawn(move || pass_on(from, to));
                }
            }
        });
    }

    /// Nothing goes through any more, and what was under way breaks off.
    fn cut(&self) {
        fs::remove_file(&self.socket).expect("the socket is there");
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // The other side may have closed it.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

fn pass_on(mut from: UnixStream, mut to: UnixStream) {
    drop(io::copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Write));
}

#[test]
fn faults_of_an_engine_that_goes_away_in_a_build_fail_the_run_by_name_and_a_retry_succeeds() {
    let directory = tempfile::tempdir().expect("a directory");
    let way = Way::new(directory.path());
    let host = format!("unix://{}", way.socket.display());
    let server = Server::start(ServerOptions::default().env("SLIPWAY__BUILD__DOCKER_HOST", &host));
    let app = server.create_app("shop");
    // The engine shows the command too: only what it says holds the sum.
    let step = "RUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo step $((40 + 2)) runs; /bin/busybox sleep 15; echo step $((40 + 2)) ends\"]";
    let repository = shop(&format!("FROM scratch\nCOPY busybox /bin/busybox\n{step}\nCOPY index.html /\n"));
    repository.write_executable("web/busybox", fs::read("/bin/busybox").expect("busybox is installed"));
    let log = || server.cli(&["run", "logs", "shop#1", "web"]).stdout;
    let run = thread::scope(|scope| {
        scope.spawn(|| {
            let end = Instant::now() + STEP_BEGINS_WITHIN;
            while !log().contains("step 42 runs") {
                assert!(Instant::now() < end, "the step does not begin: {}", server.log());
                thread::sleep(POLL_INTERVAL);
            }
            way.cut();
        });
        server.deliver(&app, &repository, "main", "Begin")
    });
    let reason = assert_failed(&run, "Docker");
    assert!(reason.contains("web") && reason.contains(&host), "what and where is not named: {reason}");
    let kept = log();
    assert!(kept.contains("step 42 runs") && !kept.contains("step 42 ends"), "{kept}");
    assert!(server.bundles("shop").is_empty());
    way.lay();
    assert_retry_is_done(&server, &run);
    assert_eq!(server.bundles("shop").len(), 1);
}
