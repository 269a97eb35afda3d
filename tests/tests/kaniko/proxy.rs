//! A cluster behind the company's proxy.

use slipway_tests::namespace::Namespace;
use slipway_tests::server::{Server, running};
use slipway_tests::services;

use crate::web_build;

#[test]
fn kaniko_reaches_its_cluster_through_the_proxy_and_tells_builds_of_it() {
    let (namespace, proxy) = (Namespace::create(), services::corporate_proxy());
    let options = namespace
        .options()
        .env("SLIPWAY__NETWORK__PROXY", &proxy.url)
        .env("SLIPWAY__NETWORK__PROXY_USER", proxy.user)
        .env("SLIPWAY__NETWORK__PROXY_PASSWORD", "secret://env/SLIPWAY_SECRET_PROXY")
        .env("SLIPWAY__NETWORK__NO_PROXY", "corp.example.com")
        .env("SLIPWAY_SECRET_PROXY", proxy.password);
    let server = Server::start(options);
    let app = server.create_app("shop");
    let repository = running("echo \"<$HTTP_PROXY|$https_proxy|$NO_PROXY>\"; echo made > /made");
    let run = server.deliver(&app, &repository, "main", "Ask for the proxy");
    assert_eq!(run["state"], "done", "{run:#}\n{}", server.log());
    assert_eq!(web_build(&run)["backend"], "kaniko");
    let log = server.cli(&["run", "logs", "shop#1", "web"]).ok().stdout;
    assert!(log.contains(&format!("<{0}|{0}|localhost,", proxy.url)), "{log}");
    assert!(log.contains(",corp.example.com>") && !log.contains(proxy.password), "{log}");

    let cluster =
        namespace.kubectl(&["config", "view", "--output", "jsonpath={.clusters[0].cluster.server}"]);
    let address = cluster.trim_start_matches("https://");
    let asked = std::fs::read_to_string(&proxy.log).expect("the proxy's log");
    assert!(asked.contains(&format!("CONNECT {address} ")), "{address} is not in the proxy's log");
    namespace.assert_empty();
}
