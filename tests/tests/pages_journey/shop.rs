//! What is pushed on a journey: an application whose runs wait until the test lets them go on.

use std::thread::{self, JoinHandle};

use slipway_tests::server::{GitRepository, Server, ServerOptions, StubRegistry, shop};
use slipway_tests::whole::publish_shop;

/// A server, a repository, and the registry of its base images, which can keep runs waiting.
pub(crate) struct Shop {
    pub(crate) server: Server,
    pub(crate) repository: GitRepository,
    pub(crate) registry: StubRegistry,
}

impl Shop {
    /// A server as a newcomer gets it, and a repository that it has never seen.
    pub(crate) fn open() -> Self {
        let registry = StubRegistry::start("one");
        let options = ServerOptions::default()
            .env("SLIPWAY__REGISTRIES__ALLOW_PRIVATE_HOSTS", registry.address())
            .env("SLIPWAY__REGISTRIES__RESOLVE_TIMEOUT_MS", "120000");
        let repository = shop();
        let dockerfile = format!("FROM {}/base:1\nCOPY index.html /srv/\n", registry.address());
        repository.write("web/Dockerfile", dockerfile);
        Self { server: Server::start(options), repository, registry }
    }

    /// Pushes to `main` of the address that a page told; git ends with the run.
    pub(crate) fn push_aside(&self, git_url: &str, message: &str) -> JoinHandle<()> {
        self.repository.commit(message);
        let path = self.repository.path().to_owned();
        let (url, token) = (git_url.to_owned(), self.server.token().to_owned());
        thread::spawn(move || {
            // How it ends is no concern here: the pages tell what became of the run.
            drop(GitRepository::push_from(&path, &url, &token, &["HEAD:refs/heads/main"]));
        })
    }
}

/// A server with the application `shop`: a bundle with labels and a channel, then a run that failed.
pub(crate) fn published() -> Server {
    let server = Server::fresh();
    publish_shop(&server);
    server
}
