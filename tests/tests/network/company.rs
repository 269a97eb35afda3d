//! A company: an authority of its own, a forge and registry with its certificate, a proxy.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use slipway_tests::server::{GitRepository, Server, ServerOptions, World, packages, run_within};
use slipway_tests::services;
use tempfile::TempDir;

const OPENSSL_WITHIN: Duration = Duration::from_secs(30);
const LISTEN_WITHIN: Duration = Duration::from_secs(60);

/// A server that reaches nothing but through the proxy.
pub(crate) fn behind_proxy() -> ServerOptions {
    let proxy = services::corporate_proxy();
    let options = ServerOptions { world: Some(World::Embedded), ..ServerOptions::default() };
    options
        .env("SLIPWAY__NETWORK__PROXY", &proxy.url)
        .env("SLIPWAY__NETWORK__PROXY_USER", proxy.user)
        .env("SLIPWAY__NETWORK__PROXY_PASSWORD", "secret://env/SLIPWAY_SECRET_PROXY")
        .env("SLIPWAY__NETWORK__PROXY_RESOLVES", "true")
        .env("SLIPWAY_SECRET_PROXY", proxy.password)
}

/// Another Slipway, which is the company's forge and registry, behind TLS at a name of the proxy's.
pub(crate) struct Company {
    server: Server,
    directory: TempDir,
    host: String,
    tls: Child,
}

impl Company {
    pub(crate) fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("slipway-company.").tempdir().unwrap();
        certify(directory.path());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("forge.corp.test:{port}");
        let options = ServerOptions { world: Some(World::Embedded), ..ServerOptions::default() };
        let server = Server::start(options.env("SLIPWAY__SERVER__PUBLIC_URL", &format!("https://{host}")));
        let inner = server.url().trim_start_matches("http://").to_owned();
        let pem = directory.path().join("server.pem");
        let tls = Command::new(services::tool("socat"))
            .arg(format!(
                "OPENSSL-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,verify=0,cert={}",
                pem.display()
            ))
            .arg(format!("TCP:{inner}"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + LISTEN_WITHIN;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "socat does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { server, directory, host, tls }
    }

    /// `NAME:PORT` by which the proxy knows it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Certificate of the authority.
    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    pub(crate) fn token(&self) -> &str {
        self.server.token()
    }

    pub(crate) fn git_url(&self, name: &str) -> String {
        format!("https://{}/git/{name}.git", self.host)
    }

    /// Pushes a repository; gives its commit.
    pub(crate) fn publish_source(&self, name: &str, repository: &GitRepository) -> String {
        let app = self.server.create_app(name);
        self.push(&app.git_url, repository)
    }

    /// An image that only who has the token may read; gives its reference.
    pub(crate) fn publish_base(&self) -> String {
        let app = self.server.create_app("base");
        let repository = crate::files("base", "FROM scratch\nCOPY index.html /base/\n");
        let commit = self.push(&app.git_url, &repository);
        let run = self.server.wait_run("base", &commit);
        let bundle = self.server.bundle_of(&run);
        let image = packages(&bundle)[0]["images"][0].as_str().unwrap().to_owned();
        let (_, path) = image.split_once('/').unwrap();
        format!("{}/{path}", self.host)
    }

    fn push(&self, git_url: &str, repository: &GitRepository) -> String {
        let commit = repository.commit("Begin");
        // Its public address is for those behind the proxy.
        let path = git_url.split_once(&self.host).unwrap().1;
        let pushed =
            repository.push(&format!("{}{path}", self.server.url()), self.token(), &["HEAD:refs/heads/main"]);
        assert_eq!(pushed.code, 0, "{}", pushed.stderr);
        commit
    }

    pub(crate) fn asked_of_proxy(&self) -> String {
        std::fs::read_to_string(services::corporate_proxy().log).unwrap()
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        drop(self.tls.kill());
        drop(self.tls.wait());
    }
}

/// Makes `ca.pem`, and `server.pem` with key and certificate for the forge.
fn certify(directory: &Path) {
    let openssl = |args: &[&str]| {
        let mut command = Command::new(services::tool("openssl"));
        command.args(args).current_dir(directory);
        let finished = run_within(command, OPENSSL_WITHIN);
        assert_eq!(finished.code, 0, "openssl {}: {}", args.join(" "), finished.stderr);
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    openssl(
        &[
            &["req", "-x509", "-subj", "/CN=Company", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"],
            &key[..],
            &["-addext", "keyUsage=critical,keyCertSign,cRLSign"],
        ]
        .concat(),
    );
    openssl(
        &[&["req", "-subj", "/CN=forge", "-keyout", "server.key", "-out", "server.csr"], &key[..]].concat(),
    );
    let extensions = "subjectAltName=DNS:forge.corp.test\nextendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:FALSE\n";
    std::fs::write(directory.join("extensions"), extensions).unwrap();
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "extensions",
        "-out",
        "server.crt",
    ]);
    let pem = ["server.key", "server.crt"].map(|name| std::fs::read_to_string(directory.join(name)).unwrap());
    std::fs::write(directory.join("server.pem"), pem.concat()).unwrap();
}
