//! Much at once.

use std::time::{Duration, Instant};

use slipway_tests::server::{Server, shop};

mod faults {
    use super::*;

    #[test]
    fn a_thousand_branches_in_one_push_all_get_a_run_that_ends() {
        const BRANCHES: usize = 1000;
        let server = Server::fresh();
        let app = server.create_app("shop");
        let repository = shop();
        let commit = repository.commit("one");
        let refs: Vec<_> =
            (0..BRANCHES).map(|n| format!("create refs/heads/branch-{n} {commit}\n")).collect();
        repository.update_refs(&refs.concat());
        server.push(&app, &repository, &["refs/heads/branch-*:refs/heads/branch-*"]);
        let end = Instant::now() + Duration::from_mins(8);
        loop {
            let live = server.json(&[
                "run",
                "list",
                "--app",
                "shop",
                "--state",
                "queued,planning,building,packaging,cancelling",
                "--limit",
                "5",
            ]);
            let bundles = server
                .json(&["bundle", "list", "--app", "shop", "--limit", "2000"])
                .as_array()
                .unwrap()
                .len();
            if live.as_array().unwrap().is_empty() && bundles == BRANCHES {
                break;
            }
            assert!(Instant::now() < end, "{bundles} bundles; still live: {live:#}");
            std::thread::sleep(Duration::from_millis(500));
        }
        let runs = server.json(&["run", "list", "--app", "shop", "--limit", "3000"]);
        assert_eq!(runs.as_array().unwrap().len(), BRANCHES);
    }

    #[test]
    fn a_push_of_many_files_is_built() {
        let server = Server::fresh();
        let app = server.create_app("shop");
        let repository = shop();
        for number in 0..5000 {
            repository.write(&format!("web/files/{}/{number}.txt", number % 97), format!("{number}\n"));
        }
        repository.write("web/Dockerfile", "FROM scratch\nCOPY files /files/\n");
        let began = Instant::now();
        server.publish(&app, &repository, "main", "many");
        repository.write("web/files/0/0.txt", "changed\n");
        server.publish(&app, &repository, "main", "one of them");
        assert!(began.elapsed() < Duration::from_mins(2), "{:?}", began.elapsed());
    }
}
