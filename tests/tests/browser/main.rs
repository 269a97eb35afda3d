//! The browser that other tests look at pages with: it finds what is wrong with a page, and nothing where there
//! is nothing.

mod site;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use slipway_tests::browser::html::{assert_valid_html, mistakes};
use slipway_tests::browser::picture::{Difference, Picture, Tolerance};
use slipway_tests::browser::{Browser, BrowserOptions, DESKTOP, Key, Line, Motion, PHONE, Scheme};
use slipway_tests::wait;

use site::{FOREIGN, HOME, Site};

const TOLD_WITHIN: Duration = Duration::from_secs(45);

#[test]
fn nothing_is_found_on_a_sound_page() {
    let site = Site::start();
    let browser = Browser::on(site.origin());
    for scheme in [Scheme::Light, Scheme::Dark] {
        for window in [PHONE, DESKTOP] {
            browser.prefers(scheme, Motion::NoPreference);
            browser.window(window);
            browser.open("/");
            assert_eq!(browser.title(), "Home");
            browser.assert_accessible();
            browser.assert_fits_the_window();
            browser.assert_clean();
        }
    }
    assert_valid_html(HOME);
}

#[test]
fn what_is_planted_on_a_page_is_found() {
    let site = Site::start();
    let browser =
        Browser::start(site.origin(), &BrowserOptions { window: PHONE, ..BrowserOptions::default() });
    browser.open("/faulty");
    let mut console = Vec::new();
    wait::holds("the planted message is told", TOLD_WITHIN, || {
        console.extend(browser.take_console());
        console.iter().any(|message| message.contains("a planted message"))
    });
    let requests = browser.take_requests();
    let page = format!("{}/faulty", site.origin());
    assert!(requests.contains(&page) && requests.contains(&FOREIGN.to_owned()), "{requests:?}");
    browser.reload();
    assert_eq!(browser.take_foreign_requests(), [FOREIGN]);
    let violations = browser.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].starts_with("image-alt (critical): "), "{violations:?}");
    let wide = browser.standing_out();
    assert!(wide.iter().any(|element| element == "div wide wide"), "{wide:?}");
    let unclosed = mistakes(&HOME.replace("</span>", ""));
    assert!(unclosed.iter().any(|mistake| mistake.starts_with("line 14: ")), "{unclosed:?}");
}

#[test]
fn a_journey_needs_no_mouse() {
    let site = Site::start();
    let browser = Browser::on(site.origin());
    browser.open("/");
    browser.tab_to("link", "Greeting");
    browser.press(Key::BackTab);
    assert_eq!(browser.focused().name, "Home");
    browser.press(Key::Tab);
    browser.press(Key::Enter);
    browser.await_location("/form");
    browser.tab_to("textbox", "Your name");
    browser.write("Ada");
    browser.press(Key::Enter);
    // Tab had chosen what stood there.
    browser.await_location("/greeted?who=Ada&manner=short");
    assert_eq!(browser.names("heading"), ["Hello, who=Ada&manner=short"]);
}

#[test]
fn elements_are_found_by_what_people_are_told() {
    let site = Site::start();
    let browser = Browser::on(site.origin());
    browser.open("/");
    browser.follow("Greeting");
    browser.fill("Your name", "Grace");
    assert_eq!(browser.field("Your name").value(), "Grace");
    browser.choose("Manner", "long");
    browser.press_button("Greet");
    browser.await_text("Hello, who=Grace&manner=long");
    assert_eq!(browser.location(), "/greeted?who=Grace&manner=long");
    browser.await_gone("heading", "Greeting");
    assert_eq!(browser.find("button", "Greet").text(), "Greet");
    assert!(browser.names("dialog").is_empty());
}

#[test]
fn a_browser_is_its_users() {
    let site = Site::start();
    let options = BrowserOptions {
        window: PHONE,
        language: "zh-CN".to_owned(),
        scheme: Scheme::Dark,
        motion: Motion::Reduced,
    };
    let browser = Browser::start(site.origin(), &options);
    browser.open("/");
    let what = "return [innerWidth, matchMedia('(prefers-color-scheme: dark)').matches,
        matchMedia('(prefers-reduced-motion: reduce)').matches, navigator.language,
        Intl.DateTimeFormat().resolvedOptions().locale]";
    assert_eq!(browser.run_script(what, &[]), json!([390, true, true, "zh-CN", "zh-CN"]));
    let languages = site.languages();
    assert!(
        !languages.is_empty() && languages.iter().all(|asked| asked == "zh-CN,zh;q=0.9"),
        "{languages:?}"
    );
    browser.window(DESKTOP);
    browser.prefers(Scheme::Light, Motion::NoPreference);
    browser.open("/form");
    assert_eq!(browser.run_script(what, &[]), json!([1440, false, false, "zh-CN", "zh-CN"]));

    browser.line(Line::Slow { latency_ms: 400, bytes_per_second: 1_000_000 });
    let began = Instant::now();
    browser.open("/form");
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    browser.line(Line::Cut);
    assert_eq!(browser.run_script("return navigator.onLine", &[]), json!(false));
    browser.line(Line::Free);
    browser.open("/form");

    let process = PathBuf::from(format!("/proc/{}", browser.pid()));
    assert!(process.exists());
    drop(browser);
    wait::holds("the browser has ended", TOLD_WITHIN, || !process.exists());
}

#[test]
fn pictures_tell_pages_apart() {
    let site = Site::start();
    let browser =
        Browser::start(site.origin(), &BrowserOptions { window: PHONE, ..BrowserOptions::default() });
    let look = || Picture::from_png(&browser.photograph()).expect("a picture");
    let differing = |one: &Picture, other: &Picture| match one.difference(other, Tolerance::EXACT) {
        None => 0,
        Some(Difference::Pixels { differing, .. }) => differing,
        Some(other) => panic!("{other:?}"),
    };
    browser.open("/");
    let first = look();
    browser.reload();
    assert_eq!(differing(&first, &look()), 0, "the number of the visit is marked as changing");
    browser.run_script(
        "const dot = document.body.appendChild(document.createElement('i'));
         Object.assign(dot.style, { position: 'absolute', left: '300px', top: '300px', width: '1px', height: '1px',
             background: 'red' });",
        &[],
    );
    assert_eq!(differing(&first, &look()), 1);
    browser.reload();
    browser.run_script("document.querySelector('.visits').removeAttribute('data-changing')", &[]);
    assert!(differing(&first, &look()) > 10, "the number is seen");

    let heading = |text: &str| {
        browser.run_script("document.querySelector('h1').textContent = arguments[0]", &[json!(text)]);
        look()
    };
    let (one, other) = (heading("部"), heading("署"));
    assert!(differing(&one, &other) > 10, "no font has Chinese characters");
    browser.run_script("document.querySelector('main').style.height = '3000px'", &[]);
    let longer = look();
    assert!(
        matches!(first.difference(&longer, Tolerance::default()), Some(Difference::Size { .. })),
        "to its end"
    );
}
