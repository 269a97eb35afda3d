//! The steps of a journey from the first visit to a bundle.

use serde_json::json;

use crate::visit::Visit;

impl Visit<'_> {
    /// The first page is no page yet: it leads to where one signs in, and back.
    pub(crate) fn first_visit(&self) {
        self.browser.open("/");
        self.browser.await_location("/sign-in");
        self.look("sign-in");
        self.sign_in(self.server.token());
        self.browser.find("heading", self.words.no_applications);
        self.look("first-visit");
    }

    /// Makes the application `shop`; gives the address to push to, as the page tells it.
    pub(crate) fn create_application(&self) -> String {
        self.browser.open("/");
        self.browser.follow(self.words.create_first);
        self.browser.await_location("/new-application");
        self.look("new-application");
        self.browser.fill(self.words.name, "No Name!");
        self.browser.press_button(self.words.create);
        self.browser.await_text("name: ");
        assert_eq!(self.browser.field(self.words.name).value(), "No Name!", "what was typed is kept");
        // Chromium writes to the console that the form was refused.
        self.browser.take_console();
        self.look("new-application-refused");
        self.browser.fill(self.words.name, "shop");
        self.browser.press_button(self.words.create);
        self.browser.await_text(self.words.created);
        let git_url = self.git_url();
        self.look("created-application");
        self.browser.follow(self.words.to_application);
        self.browser.await_location("/applications/shop");
        self.browser.await_text(self.words.nothing_published);
        self.look("application-without-bundles");
        git_url
    }

    /// The address that the page tells to push to.
    fn git_url(&self) -> String {
        let text = self.browser.text();
        let told = text.split_once("git remote add slipway ").expect("the page tells where to push").1;
        told.split_whitespace().next().expect("an address").to_owned()
    }

    /// Comes to a run by the application's list, and waits until it plans.
    pub(crate) fn watch_run(&self, number: u32) {
        self.browser.open("/applications/shop");
        self.browser.follow(self.words.runs);
        self.browser.await_location("/applications/shop/runs");
        self.browser.follow(&format!("#{number}"));
        let page = format!("/applications/shop/runs/{number}");
        self.browser.await_location(&page);
        self.await_status(self.words.planning);
        self.look("run-planning");
        self.browser.open(&page);
        self.await_status(self.words.planning);
        self.mark();
    }

    /// Marks the page that is loaded; [`Visit::assert_same_page`] holds that it was not loaded again.
    pub(crate) fn mark(&self) {
        self.browser.run_script("document.body.dataset.marked = 'yes'", &[]);
    }

    pub(crate) fn assert_same_page(&self) {
        let marked = self.browser.run_script("return document.body.dataset.marked", &[]);
        assert_eq!(marked, json!("yes"), "{} was loaded again", self.browser.location());
    }

    /// Stops a run; the page shows by itself that it has.
    pub(crate) fn cancel_run(&self, number: u32) {
        self.browser.press_button(self.words.cancel_run);
        self.browser.await_gone("button", self.words.cancel_run);
        self.mark();
        self.await_status(self.words.cancelled);
        self.assert_same_page();
        self.browser.find("button", self.words.retry_run);
        self.browser.open(&format!("/applications/shop/runs/{number}"));
        self.look("run-cancelled");
    }

    /// Repeats a run, which becomes this one.
    pub(crate) fn retry_run(&self, number: u32) {
        self.browser.press_button(self.words.retry_run);
        self.browser.await_location(&format!("/applications/shop/runs/{number}"));
        self.await_status(self.words.planning);
        self.mark();
    }

    /// Sees what a run that plans has said so far, and comes back to it.
    pub(crate) fn read_log_of_planning(&self, number: u32) {
        let page = format!("/applications/shop/runs/{number}");
        self.browser.follow(self.words.log_of_run);
        self.browser.await_location(&format!("{page}/logs/run"));
        self.browser.await_text("of main");
        self.look("log-of-planning");
        self.browser.open(&page);
        self.await_status(self.words.planning);
        self.mark();
    }

    /// Sees a run come to its end, on a page that nobody loads again.
    pub(crate) fn see_it_done(&self, number: u32) {
        self.await_status(self.words.done);
        self.assert_same_page();
        self.browser.open(&format!("/applications/shop/runs/{number}"));
        self.browser.find("link", "0.1.0-main.1");
        // Planning, three components, packaging.
        let drawn =
            self.browser.run_script("return document.querySelectorAll('#drawing .node.good').length", &[]);
        assert_eq!(drawn, json!(5), "{}", self.browser.text());
        self.look("run-done");
    }

    /// Reads what a build wrote, and looks for a word in it.
    pub(crate) fn read_log(&self, number: u32) {
        self.browser.open(&format!("/applications/shop/runs/{number}"));
        self.browser.follow(self.words.log_web);
        let page = format!("/applications/shop/runs/{number}/logs/build.web");
        self.browser.await_location(&page);
        self.browser.await_text("assembling for linux/amd64");
        self.look("log");
        self.browser.open(&page);
        self.browser.fill(self.words.find_in_log, "ASSEMBLING");
        self.browser.press_button(self.words.find);
        self.browser.await_location(&format!("{page}?find=ASSEMBLING"));
        let found = self.browser.run_script("return document.querySelectorAll('ol.log li').length", &[]);
        assert_eq!(found, json!(1), "{}", self.browser.text());
        // A line's link leads to the line.
        self.browser.run_script("document.querySelector('ol.log a.at').click()", &[]);
        self.browser.await_text("pushed ");
        let target = self.browser.run_script("return document.querySelector('li:target')?.innerText", &[]);
        assert!(target.as_str().is_some_and(|line| line.contains("assembling for")), "{target}");
    }

    /// Finds the bundle by its branch, and does not find it by another.
    pub(crate) fn find_bundle(&self) {
        self.browser.open("/");
        self.look("home");
        self.browser.open("/");
        self.browser.follow("shop");
        self.browser.await_location("/applications/shop");
        self.browser.await_text("0.1.0-main.1");
        self.look("bundles");
        for (branch, text) in [("other", self.words.nothing_found), ("main", "0.1.0-main.1")] {
            self.browser.open("/applications/shop");
            self.browser.fill(self.words.branch, branch);
            self.browser.press_button(self.words.find);
            self.browser.await_location(&format!("/applications/shop?branch={branch}&selector=&channel=&q="));
            self.browser.await_text(text);
            self.browser.find("link", self.words.show_all);
        }
        self.look("bundles-of-branch");
        self.browser.open("/applications/shop");
        self.browser.follow(self.words.packages);
        self.browser.await_location("/applications/shop/packages");
        self.look("packages");
        self.browser.follow(self.words.runs);
        self.browser.await_location("/applications/shop/runs");
        self.look("runs");
    }

    /// Comes by the navigation to the lists that are empty yet.
    pub(crate) fn look_around(&self) {
        self.browser.follow(self.words.deployments);
        self.browser.await_location("/deployments");
        self.look("deployments-none");
        self.browser.follow(self.words.infrastructure);
        self.browser.await_location("/infrastructure");
        self.look("infrastructure-new");
    }
}
