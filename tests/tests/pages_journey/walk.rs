//! The whole way, in both languages, on a telephone and on a desktop.

use slipway_tests::browser::{DESKTOP, PHONE};

use crate::shop::Shop;
use crate::visit::{Taste, Visit};
use crate::words::{CHINESE, ENGLISH, Words};

fn from_the_first_visit_to_a_bundle(words: &'static Words, window: (u32, u32)) {
    let shop = Shop::open();
    let visit = Visit::begin(&shop.server, Taste { words, window });
    visit.first_visit();
    let git_url = visit.create_application();
    shop.registry.hold();
    let push = shop.push_aside(&git_url, "Open the shop");
    shop.registry.await_held();
    visit.watch_run(1);
    visit.cancel_run(1);
    visit.retry_run(2);
    visit.read_log_of_planning(2);
    shop.registry.release();
    visit.see_it_done(2);
    push.join().expect("git ends");
    visit.read_log(2);
    visit.find_bundle();
    visit.look_around();
}

#[test]
fn in_english_on_a_desktop() {
    from_the_first_visit_to_a_bundle(&ENGLISH, DESKTOP);
}

#[test]
fn in_english_on_a_telephone() {
    from_the_first_visit_to_a_bundle(&ENGLISH, PHONE);
}

#[test]
fn in_chinese_on_a_desktop() {
    from_the_first_visit_to_a_bundle(&CHINESE, DESKTOP);
}

#[test]
fn in_chinese_on_a_telephone() {
    from_the_first_visit_to_a_bundle(&CHINESE, PHONE);
}
