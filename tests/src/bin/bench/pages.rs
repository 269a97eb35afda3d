//! How long the server takes for every page there is with 100,000 bundles behind it, beside the API's answer with the
//! same facts, how much a first visit loads, and how soon a slow telephone can use it.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use slipway_tests::browser::FIRST_LOAD_BYTES_MAX;
use slipway_tests::server::{Answer, ServerOptions, World};
use slipway_tests::whole::{PAGES, Whole};

use crate::report::{below, line, median, ms, quantile};

mod phone;
mod seed;

const TARGET_MS: f64 = 50.0;
/// So often each page is asked for, and each answer of the API.
const ROUNDS: u32 = 200;
/// So many of the slowest are named again at the end.
const WORST: usize = 5;

/// What lists are narrowed by where there is much of everything, besides [`PAGES`].
const NARROWED: &[&str] = &[
    "/sign-in",
    "/?q=app-42",
    "/applications/shop?branch=feature-17",
    "/applications/shop?selector=tier%3Dgold%2Chalf%3D0",
    "/applications/shop?selector=half%3D0%2Cparity%3D1",
    "/applications/shop?q=user-49%40example.com",
    "/applications/shop/packages?component=nothing-like-it",
    "/applications/shop/packages?branch=nothing-like-it",
    "/applications/shop/packages?component=part-1&branch=main",
    "/applications/shop/runs?branch=nothing-like-it",
    "/applications/shop/runs?state=timed_out",
    "/applications/shop/packages/compare",
    "/deployments?environment=place-3",
    "/deployments/history?application=app-0",
    "/deployments/history?environment=place-3",
    "/deployments/history?state=expired",
    "/deploy/bundles?application=shop&environment=place-0",
    "/deploy?application=shop&bundle=0.1.0-main.1",
    "/infrastructure/environments/place-3",
];

/// What the API is asked for the facts of a page.
const BESIDE: &[(&str, &str)] = &[
    ("/", "/api/v1/applications"),
    ("/applications/shop", "/api/v1/bundles?application=shop&limit=25"),
    ("/applications/shop?branch=feature-17", "/api/v1/bundles?application=shop&branch=feature-17&limit=25"),
    (
        "/applications/shop?selector=tier%3Dgold%2Chalf%3D0",
        "/api/v1/bundles?application=shop&selector=tier%3Dgold%2Chalf%3D0&prerelease=yes&limit=25",
    ),
    (
        "/applications/shop?selector=half%3D0%2Cparity%3D1",
        "/api/v1/bundles?application=shop&selector=half%3D0%2Cparity%3D1&prerelease=yes&limit=25",
    ),
    ("/applications/shop/bundles/0.1.0-main.1", "/api/v1/bundles/shop/0.1.0-main.1"),
    ("/applications/shop/packages", "/api/v1/packages?application=shop"),
    ("/applications/shop/packages/web/0.1.0-main.1", "/api/v1/packages/shop/web/0.1.0-main.1"),
    ("/applications/shop/runs", "/api/v1/runs?application=shop"),
    ("/applications/shop/runs/1", "/api/v1/runs/shop%231"),
    ("/deployments", "/api/v1/where"),
    ("/deployments/history", "/api/v1/deployments"),
    ("/deployments/{delivered}", "/api/v1/deployments/{delivered}"),
    ("/deployments/{waiting}", "/api/v1/deployments/{waiting}"),
    ("/where", "/api/v1/where"),
    ("/infrastructure", "/api/v1/environments"),
    ("/infrastructure/environments/prod", "/api/v1/environments/prod"),
    ("/infrastructure/clusters/test", "/api/v1/clusters/test"),
    ("/infrastructure/definitions", "/api/v1/definitions"),
    ("/infrastructure/addons", "/api/v1/addons"),
    ("/infrastructure/addons/cache", "/api/v1/addons/cache"),
    ("/infrastructure/sources", "/api/v1/sources"),
    ("/infrastructure/sources/shop", "/api/v1/sources/shop"),
    ("/infrastructure/secrets", "/api/v1/secrets"),
    ("/infrastructure/tokens", "/api/v1/tokens"),
    ("/infrastructure/notices", "/api/v1/notices/channels"),
    ("/infrastructure/server", "/api/v1/server"),
    ("/infrastructure/audit", "/api/v1/audit"),
];

/// Somebody who is signed in.
struct Visitor {
    whole: Whole,
    cookie: String,
}

/// What a page took.
struct Measured {
    page: &'static str,
    p50: f64,
    p99: f64,
    bytes: f64,
    /// The p99 of the API's answer with the same facts.
    beside: Option<f64>,
}

/// Whether every page meets all targets.
pub(crate) fn run(bundles: u32) -> Result<bool> {
    let amounts = seed::Amounts::of(bundles);
    let began = Instant::now();
    let options = ServerOptions { world: Some(World::Embedded), ..ServerOptions::default() };
    let mut whole = Whole::open_in(options);
    whole.server.stop();
    seed::fill(&whole.server.data(), &amounts)?;
    whole.server.restart();
    amounts.tell();
    line(format!(
        "made in {:.0} s; {ROUNDS} times each, over loopback on a connection of its own",
        began.elapsed().as_secs_f64()
    ));
    let visitor = Visitor::sign_in(whole)?;
    let mut all = visitor.measure()?;
    all.sort_by(|one, other| other.p99.total_cmp(&one.p99));
    line(format!("the slowest of {} pages:", all.len()));
    for measured in all.iter().take(WORST) {
        line(measured.row());
    }
    let slowest = all.first().context("there are pages")?;
    let largest = all.iter().max_by(|one, other| one.bytes.total_cmp(&other.bytes)).unwrap_or(slowest);
    let soon = below(&format!("the slowest page, {}, p99", slowest.page), slowest.p99, TARGET_MS, "ms");
    let what = format!("the largest first load, {}", largest.page);
    let small = below(&what, largest.bytes, f64::from(FIRST_LOAD_BYTES_MAX), "bytes");
    Ok(phone::run(&visitor.whole) && small && soon)
}

impl Measured {
    fn row(&self) -> String {
        let Self { page, p50, p99, bytes, beside } = self;
        let beside = beside.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        format!("{p50:>8.1} {p99:>8.1} {beside:>8} {:>8.1}  {page}", bytes / 1000.0)
    }
}

impl Visitor {
    fn sign_in(whole: Whole) -> Result<Self> {
        let server = &whole.server;
        let headers = [
            ("Accept", "text/html"),
            ("Origin", server.url()),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        let body = format!("token={}", server.token());
        let answer = server.request("POST", "/sign-in", &headers, body.as_bytes());
        ensure!(answer.status == 303, "sign-in: {} {}", answer.status, answer.text());
        let cookie = answer.header("set-cookie").context("no cookie")?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Self { whole, cookie })
    }

    /// The page of signing in as somebody sees it who is not, all others as the visitor does.
    fn page(&self, path: &str) -> Answer {
        let cookie = if path == "/sign-in" { "" } else { self.cookie.as_str() };
        let headers = [("Accept", "text/html"), ("Accept-Encoding", "gzip"), ("Cookie", cookie)];
        self.whole.server.request("GET", path, &headers, b"")
    }

    fn ask(&self, path: &str) -> Answer {
        self.whole.server.get(path)
    }

    /// Every page, each told of as soon as it is measured.
    fn measure(&self) -> Result<Vec<Measured>> {
        line(format!("{:>8} {:>8} {:>8} {:>8}", "p50 ms", "p99 ms", "API p99", "kB"));
        let mut all: Vec<Measured> = Vec::new();
        for page in PAGES.iter().chain(NARROWED).copied() {
            if all.iter().any(|known| known.page == page) {
                continue;
            }
            let path = self.whole.address(page);
            let (p50, p99) = self.timed(|visitor| visitor.page(&path))?;
            let beside = match BESIDE.iter().find(|(known, _)| *known == page) {
                Some((_, api)) => {
                    let api = self.whole.address(api);
                    Some(self.timed(|visitor| visitor.ask(&api))?.1)
                }
                None => None,
            };
            let measured = Measured { page, p50, p99, bytes: self.first_load(&path)?, beside };
            line(measured.row());
            all.push(measured);
        }
        Ok(all)
    }

    /// The p50 and p99 of what is asked, in milliseconds.
    fn timed(&self, ask: impl Fn(&Self) -> Answer) -> Result<(f64, f64)> {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let answer = ask(self);
            times.push(ms(began.elapsed()));
            ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        }
        Ok((median(&times), quantile(&times, 0.99)))
    }

    /// Bytes of the bodies of a page and of what its head loads.
    #[expect(clippy::cast_precision_loss, reason = "a page is smaller than an f64 counts exactly")]
    fn first_load(&self, path: &str) -> Result<f64> {
        let page = self.page(path);
        let text = page.text();
        let mut bytes = page.body.len();
        let assets: BTreeSet<&str> =
            text.split('"').filter(|address| address.starts_with("/assets/")).collect();
        ensure!(assets.len() >= 3, "style, script and icon: {assets:?}");
        for asset in assets {
            let answer = self.page(asset);
            ensure!(answer.status == 200, "{asset}: {}", answer.status);
            bytes += answer.body.len();
        }
        Ok(bytes as f64)
    }
}
