//! English.

use chrono::TimeDelta;

use super::{Span, Texts};
use crate::pages::theme::Theme;
use crate::pages::times::Times;

/// English.
pub(in crate::pages) static ENGLISH: Texts = Texts {
    access_token: "Access token",
    address: "Address",
    after: "after",
    any: "any",
    api_description: "The API",
    application: "Application",
    application_created: "The application is made.",
    applications: "Applications",
    ask_an_admin_to_create: "An administrator makes applications: ask one for yours.",
    attempt: "attempt",
    back_to_page: "Back to the page",
    beginning: "Beginning",
    behind: "behind: upstream runs",
    branch: "Branch",
    bundles: "Bundles",
    cancel_run: "Cancel the run",
    changed: "Changed",
    channel: "Channel",
    checks: "Checks",
    clusters: "Clusters",
    colours: "Colours",
    commit: "Commit",
    component: "Component",
    components: "Components",
    composed_by: "composed by",
    copy: "Copy",
    cordoned: "cordoned",
    create: "Create",
    create_first_application: "Create the first application",
    deploy_help: "Choose a bundle and deploy it:",
    deployed_in: "Deployed in",
    deployments: "Deployments",
    digest: "Digest",
    directory: "Directory (optional)",
    directory_help: "Where in the repository it lies, if not at its root:",
    download: "Download",
    drifted: "drifted",
    earlier: "Earlier",
    end_of_log: "End",
    environment: "Environment",
    environments: "Environments",
    failed_in: "Failed at the step",
    filters: "Filters",
    find: "Find",
    find_application: "Application",
    find_in_log: "Find in the log",
    first_step_create: "Create an application: it gets a git remote of its own, or mirrors a repository.",
    first_step_push: "Push: every commit becomes images, versioned packages and a bundle.",
    first_step_deploy: "Deploy: choose a bundle for an environment, and see what becomes of it.",
    follow: "Follow",
    held: "Held",
    images: "Images",
    infrastructure: "Infrastructure",
    labels: "Labels",
    language: "Language",
    last_bundle: "Last bundle",
    last_compared: "Last compared",
    last_run: "Last run",
    later: "Later",
    link_to_line: "Link to this line",
    log: "Log",
    log_of_run: "Log of planning and packaging",
    look_on: "Look on",
    main_navigation: "Main",
    mirrored_from: "Mirrored from",
    mirrored_help: "Push there: a webhook tells of it at once, and the heads are compared from time to time. \
        In the repository lies a",
    name: "Name",
    name_help: "Lower-case letters, digits and hyphens, as in shop; with its team, as in commerce/shop.",
    needs_you: "Needs you",
    new_application: "New application",
    next_page: "Next page",
    no_applications: "No applications yet",
    no_bundles: "Nothing is published yet.",
    nodes: "Nodes",
    none_yet: "none yet",
    nothing: "nothing",
    nothing_deployed: "Nothing is deployed",
    nothing_found: "Nothing was found.",
    nothing_reused: "nothing is reused",
    nothing_written: "Nothing was written.",
    nothing_yet: "Nothing is written yet.",
    nowhere: "nowhere",
    on_its_way: "On its way",
    own_remote: "Slipway's own remote",
    packages: "Packages",
    packaging: "packaging",
    pinned: "pinned",
    planning: "planning",
    published: "Published",
    push_first: "Push for the first time",
    push_help: "The password is your access token, the user name may be anything. In the repository lies a",
    reload: "Load again",
    request_id: "By this the server's log finds the request:",
    retry_run: "Run again",
    reused: "reused",
    run: "Run",
    run_graph: "What waits for what",
    runs: "Runs",
    runs_there: "Runs there",
    save: "Save",
    settings: "Settings",
    show_all: "Show all",
    sign_in: "Sign in",
    sign_in_by_token: "Paste an access token of this server. The browser keeps a sign-in of its own, not the token.",
    sign_out: "Sign out",
    size: "Size",
    skip_log: "Skip the log",
    skip_to_content: "Skip to content",
    slowest_one: "slowest",
    source: "Source",
    source_help: "Clone address of a repository to mirror. Without it, the application gets a git remote here.",
    source_url: "Repository (optional)",
    started_by: "started by",
    state_of_run: "State",
    time: "Time",
    timeline: "What was under way when",
    to_application: "To the application",
    to_applications: "To the applications",
    token_help: "The first one lies in the server's data directory. Others are made by",
    token_of_build: "this token belongs to a build: it is not for people",
    token_of_environment: "by this token an environment pulls images: it is not for people",
    upstream: "Upstream",
    version: "Version",
    version_commit_author: "Version, commit or author",
    webhook: "Webhook",
    webhook_help: "Have the forge tell of pushes, at the address of its kind:",
    webhook_secret_once: "The webhook's secret, shown this once:",
    what_slipway_does: "Slipway turns a git push into images, versioned packages and bundles, and brings them to where \
        they run.",
    where_you_are: "Where you are",
    whole_log: "The whole log",
    deployment: &super::deployment::ENGLISH,
    versions: &super::versions::ENGLISH,
    deploying: &super::deploying::ENGLISH,
    ago,
    took,
    run_of: |application, number| format!("{application} run #{number}"),
    deployed_to: |application, environment| format!("{application} in {environment}"),
    slowest: |component, took| format!("Slowest: {component}, {took}"),
    state,
    problem,
    refusal: super::Said::english,
    theme,
    times,
};

fn ago(since: TimeDelta) -> String {
    let (count, unit) = match Span::of(since) {
        Span::Seconds => return "just now".to_owned(),
        Span::Minutes(count) => (count, "minute"),
        Span::Hours(count) => (count, "hour"),
        Span::Days(count) => (count, "day"),
        Span::Months(count) => (count, "month"),
        Span::Years(count) => (count, "year"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// The same units in every language that writes them so.
pub(super) fn took(time: TimeDelta) -> String {
    let ms = time.num_milliseconds().max(0);
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms} ms"),
        1..10 => format!("{seconds}.{} s", ms % 1000 / 100),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

fn state(word: &'static str) -> &'static str {
    match word {
        "timed_out" => "timed out",
        "handed_off" => "handed off",
        word => word,
    }
}

fn problem(status: u16) -> &'static str {
    match status {
        401 => "Sign in first",
        403 => "You may not do this",
        404 => "There is no such page",
        409 => "It stands otherwise now",
        413 => "That is too large",
        400..=499 => "This request is wrong",
        503 => "Not now",
        _ => "The server failed",
    }
}

fn theme(theme: Theme) -> &'static str {
    match theme {
        Theme::Device => "As the device",
        Theme::Light => "Light",
        Theme::Dark => "Dark",
    }
}

fn times(times: Times) -> &'static str {
    match times {
        Times::Ago => "Say how long ago things were",
        Times::Exact => "Show exact times",
    }
}
