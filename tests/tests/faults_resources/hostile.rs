//! Requests that mean harm, over HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use slipway_tests::server::{Answer, Server};

use crate::world::shop;

fn authorized(server: &Server, method: &str, path: &str, body: &[u8]) -> Answer {
    let authorization = format!("Bearer {}", server.token());
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    server.request(method, path, &headers, body)
}

#[test]
fn faults_by_paths_that_climb_reach_no_file() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop("FROM scratch\nCOPY . /srv/\n");
    server.publish(&app, &repository, "main", "Begin");
    let key = std::fs::read(server.data().join("secret.key")).expect("the key");
    for climb in ["../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "....//", "%00/", "./../"] {
        let climb = climb.repeat(8);
        for path in [
            format!("/{climb}secret.key"),
            format!("/{climb}etc/passwd"),
            format!("/git/{climb}secret.key"),
            format!("/git/shop.git/{climb}secret.key"),
            format!("/git/shop.git/{climb}info/refs?service=git-upload-pack"),
            format!("/git/{climb}shop.git/info/refs?service=git-upload-pack"),
            format!("/v2/{climb}secret.key/manifests/latest"),
            format!("/v2/default/shop/i/web/blobs/sha256:{climb}secret.key"),
            format!("/v2/default/shop/i/web/manifests/{climb}secret.key"),
            format!("/api/v1/applications/{climb}secret.key"),
            format!("/api/v1/sources/{climb}shop"),
        ] {
            let answer = authorized(&server, "GET", &path, b"");
            assert!((400..500).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
            let leaked = answer.body.windows(key.len()).any(|window| window == key);
            assert!(!leaked && !answer.text().contains("root:"), "{path} answers with a file");
        }
    }
    for dumb in ["HEAD", "objects/info/packs", "config", "packed-refs", "objects/pack/"] {
        let answer = authorized(&server, "GET", &format!("/git/shop.git/{dumb}"), b"");
        assert!((400..500).contains(&answer.status), "{dumb}: {}", answer.status);
    }
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn faults_by_names_that_climb_in_slipway_yaml_are_problems_of_the_file() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let repository = shop("FROM scratch\nCOPY . /srv/\n");
    let manifest = |component: &str| {
        format!(
            "apiVersion: slipway.dev/v1\nkind: Application\nmetadata: {{name: shop}}\ncomponents:\n  - {component}\n"
        )
    };
    for component in [
        "{name: web, kit: dockerfile, context: ../..}",
        "{name: web, kit: dockerfile, context: /../../etc}",
        "{name: web, kit: dockerfile, context: web, with: {dockerfile: ../../../etc/passwd}}",
        "{name: web, kit: dockerfile, context: web/../../x}",
        "{name: ../web, kit: dockerfile, context: web}",
        "{name: web, kit: ../dockerfile, context: web}",
        "{name: web, kit: manifests, context: ../../..}",
        "{name: web, kit: dockerfile, context: web, watch: [../../**]}",
    ] {
        repository.write("slipway.yaml", manifest(component));
        let run = server.deliver(&app, &repository, "main", component);
        assert_eq!(run["state"], "failed", "{component}: {run:#}");
        let reason = run["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("slipway.yaml:5:"), "{component} has no line: {run:#}");
    }
    // Links that lead outside, and a context that is one.
    repository.write("slipway.yaml", manifest("{name: web, kit: dockerfile, context: outside}"));
    repository.symlink("/etc", "outside");
    let run = server.deliver(&app, &repository, "main", "A link as a context");
    assert_eq!(run["state"], "failed", "{run:#}");
    repository.write("slipway.yaml", manifest("{name: web, kit: dockerfile, context: web}"));
    repository.write("web/Dockerfile", "FROM scratch\nCOPY passwd /srv/\n");
    repository.symlink("/etc/passwd", "web/passwd");
    let run = server.deliver(&app, &repository, "main", "A link in a context");
    let log = server.cli(&["run", "logs", run["id"].as_str().expect("an id"), "web"]).stdout;
    assert!(!log.contains("root:"), "{log}");
    if run["state"] == "done" {
        let bundle = server.bundle_of(&run).to_string();
        assert!(!bundle.contains("root:"), "{bundle}");
    }
}

#[test]
fn faults_by_bodies_without_measure_are_refused_as_too_large() {
    let server = Server::fresh();
    server.create_app("shop");
    let large = vec![b' '; 8 << 20];
    for (method, path) in [
        ("POST", "/api/v1/applications"),
        ("PUT", "/api/v1/secrets/large"),
        ("POST", "/hooks/shop/github"),
        ("PUT", "/v2/default/shop/i/web/manifests/large"),
    ] {
        let answer = authorized(&server, method, path, &large);
        assert_eq!(answer.status, 413, "{method} {path}: {}", answer.text());
        let said = answer.json();
        let is_problem = said["code"].is_string() || said["errors"][0]["code"].is_string();
        assert!(is_problem, "{method} {path}: {said:#}");
    }
    // Deep and odd JSON.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [deep.as_bytes(), b"{\"name\": \"\\ud800\"}", b"\xff\xfe", b"{\"name\": 1e999}", b""] {
        let answer = authorized(&server, "POST", "/api/v1/applications", body);
        assert!([400, 422].contains(&answer.status), "{}", answer.text());
        assert!(answer.json()["code"].is_string());
    }
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn faults_by_clients_that_never_finish_their_request_keep_nobody_waiting() {
    let server = Server::fresh();
    let app = server.create_app("shop");
    let mut slow = Vec::new();
    for index in 0..300 {
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        let begun: String = match index % 3 {
            0 => "GET /api/v1/applications HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_owned(),
            1 => "POST /hooks/shop/github HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{".to_owned(),
            _ => format!(
                "POST /git/shop.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
                 Content-Type: application/x-git-receive-pack-request\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n00",
                server.token()
            ),
        };
        stream.write_all(begun.as_bytes()).expect("a byte or two");
        slow.push(stream);
    }
    let began = Instant::now();
    assert_eq!(server.get("/api/v1/applications").status, 200);
    // The slow are given up after 75 s: that is what others would wait for.
    assert!(began.elapsed() < Duration::from_secs(30), "others waited {:?}", began.elapsed());
    let bundle = server.publish(&app, &shop("FROM scratch\nCOPY . /srv/\n"), "main", "Beside the slow");
    assert_eq!(bundle["version"], "0.1.0-main.1");
    drop(slow);
}

#[test]
fn faults_by_bytes_that_are_no_http_leave_the_server_as_it_was() {
    let server = Server::fresh();
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"GET\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/v1/applications HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n",
        b"POST /api/v1/applications HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /hooks/shop/github HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    ] {
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
        // Whether it answers or hangs up is its affair.
        drop(stream.write_all(bytes));
        let mut answer = [0; 64];
        let read = stream.read(&mut answer).unwrap_or(0);
        let said = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(!said.contains(" 500 ") && !said.contains(" 200 "), "{said}");
    }
    assert_eq!(server.get("/readyz").status, 200);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
