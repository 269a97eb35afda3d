//! What pages say, in every language they are written in. One value of [`Texts`] is a whole language: a text that
//! is missing in it does not compile. What the server itself says of a thing (reasons, faults) is English, as in the
//! API, and pages mark it so; what it refuses most has words in every language.

use chrono::TimeDelta;

use super::theme::Theme;
use super::times::Times;

mod chinese;
mod deploying;
mod deployment;
mod english;
pub(super) mod infrastructure;
mod refusals;
mod versions;

pub(super) use chinese::CHINESE;
pub(super) use deploying::DeployTexts;
pub(super) use english::ENGLISH;
pub(super) use refusals::Said;
pub(super) use versions::VersionTexts;

macro_rules! texts {
    ($($name:ident)*) => {
        /// All texts of pages in one language.
        pub(super) struct Texts {
            $(pub(super) $name: &'static str,)*
            /// Those of the pages of deployments.
            pub(super) deployment: &'static deployment::DeploymentTexts,
            /// Of packages and bundles.
            pub(super) versions: &'static VersionTexts,
            /// Of what runs where, and of deploying.
            pub(super) deploying: &'static DeployTexts,
            /// How long ago something was.
            pub(super) ago: fn(TimeDelta) -> String,
            /// How long something took.
            pub(super) took: fn(TimeDelta) -> String,
            /// A run of an application, by its number.
            pub(super) run_of: fn(&str, i64) -> String,
            /// An application in an environment.
            pub(super) deployed_to: fn(&str, &str) -> String,
            /// Which component took longest, and how long.
            pub(super) slowest: fn(&str, &str) -> String,
            /// The word for a state of a run, build, check or deployment.
            pub(super) state: fn(&'static str) -> &'static str,
            /// The title of a problem, by its HTTP status.
            pub(super) problem: fn(u16) -> &'static str,
            /// What the server refuses something by.
            pub(super) refusal: fn(&str) -> Said,
            /// Which colours.
            pub(super) theme: fn(Theme) -> &'static str,
            /// To have times told so.
            pub(super) times: fn(Times) -> &'static str,
        }

        #[cfg(test)]
        impl Texts {
            /// Every text without placeholders, by its name.
            fn plain(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

texts! {
    access_token address after any api_description application application_created applications
    ask_an_admin_to_create attempt back_to_page beginning behind branch bundles cancel_run changed channel checks clusters
    colours commit component components composed_by copy cordoned create create_first_application deploy_help
    deployed_in deployments digest directory directory_help download drifted earlier end_of_log environment environments
    failed_in filters find find_application find_in_log first_step_create first_step_deploy first_step_push
    follow held images infrastructure labels language last_bundle last_compared last_run later link_to_line log
    log_of_run look_on main_navigation mirrored_from mirrored_help name name_help needs_you new_application
    next_page no_applications no_bundles nodes none_yet nothing nothing_deployed nothing_found nothing_reused
    nothing_written nothing_yet nowhere on_its_way own_remote packages packaging pinned planning published push_first push_help
    reload request_id retry_run reused run run_graph runs runs_there save settings show_all sign_in
    sign_in_by_token sign_out size skip_log skip_to_content slowest_one source source_help source_url started_by
    state_of_run time timeline to_application to_applications token_help token_of_build token_of_environment upstream version version_commit_author webhook
    webhook_help webhook_secret_once what_slipway_does where_you_are whole_log
}

impl Texts {
    pub(super) fn ago(&self, since: TimeDelta) -> String {
        (self.ago)(since)
    }

    pub(super) fn took(&self, time: TimeDelta) -> String {
        (self.took)(time)
    }

    pub(super) fn run_of(&self, application: &str, number: i64) -> String {
        (self.run_of)(application, number)
    }

    pub(super) fn deployed_to(&self, application: &str, environment: &str) -> String {
        (self.deployed_to)(application, environment)
    }

    pub(super) fn slowest(&self, component: &str, took: &str) -> String {
        (self.slowest)(component, took)
    }

    pub(super) fn state(&self, word: &'static str) -> &'static str {
        (self.state)(word)
    }

    pub(super) fn problem(&self, status: u16) -> &'static str {
        (self.problem)(status)
    }

    pub(super) fn refusal(&self, text: &str) -> Said {
        (self.refusal)(text)
    }

    pub(super) fn theme(&self, theme: Theme) -> &'static str {
        (self.theme)(theme)
    }

    pub(super) fn times(&self, times: Times) -> &'static str {
        (self.times)(times)
    }
}

/// The largest unit of a time that it holds at least once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    Seconds,
    Minutes(i64),
    Hours(i64),
    Days(i64),
    Months(i64),
    Years(i64),
}

impl Span {
    /// Times that lie ahead, by clocks that differ, count as none.
    fn of(time: TimeDelta) -> Self {
        let seconds = time.num_seconds().max(0);
        match seconds {
            0..60 => Self::Seconds,
            60..3_600 => Self::Minutes(seconds / 60),
            3_600..86_400 => Self::Hours(seconds / 3_600),
            86_400..2_592_000 => Self::Days(seconds / 86_400),
            2_592_000..31_536_000 => Self::Months(seconds / 2_592_000),
            _ => Self::Years(seconds / 31_536_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use slipway_types::state::{DeploymentState, RunState};

    use super::*;

    /// Of builds and checks, which have no list of their own.
    const OTHER_STATES: [&str; 9] =
        ["pushing", "pushed", "reused", "running", "pending", "passed", "error", "skipped", "removed"];

    #[test]
    fn every_text_says_something_and_is_translated() {
        for ((name, english), (_, chinese)) in ENGLISH.plain().into_iter().zip(CHINESE.plain()) {
            assert!(!english.trim().is_empty() && !chinese.trim().is_empty(), "{name}");
            assert!(english.is_ascii(), "{name}: {english}");
            assert!(!chinese.is_ascii(), "{name}: {chinese}");
        }
    }

    #[test]
    fn every_state_has_a_word() {
        let words = RunState::WORDS.into_iter().chain(DeploymentState::WORDS).chain(OTHER_STATES);
        for word in words {
            assert!(!ENGLISH.state(word).contains('_'), "{word}");
            assert!(!CHINESE.state(word).is_ascii(), "{word}");
        }
    }

    #[test]
    fn problems_and_colours_are_translated() {
        for status in [400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503] {
            assert!(ENGLISH.problem(status).is_ascii() && !CHINESE.problem(status).is_ascii(), "{status}");
        }
        for theme in Theme::ALL {
            assert!(ENGLISH.theme(theme).is_ascii() && !CHINESE.theme(theme).is_ascii(), "{theme:?}");
        }
        for times in [Times::Ago, Times::Exact] {
            assert!(ENGLISH.times(times).is_ascii() && !CHINESE.times(times).is_ascii(), "{times:?}");
        }
    }

    #[test]
    fn one_is_not_many() {
        for (seconds, english, chinese) in [
            (-5, "just now", "刚刚"),
            (20, "just now", "刚刚"),
            (60, "1 minute ago", "1 分钟前"),
            (7_200, "2 hours ago", "2 小时前"),
            (86_400, "1 day ago", "1 天前"),
            (40 * 86_400, "1 month ago", "1 个月前"),
            (800 * 86_400, "2 years ago", "2 年前"),
        ] {
            let time = TimeDelta::seconds(seconds);
            assert_eq!((ENGLISH.ago(time).as_str(), CHINESE.ago(time).as_str()), (english, chinese));
        }
    }

    #[test]
    fn what_took_how_long() {
        for (ms, english) in [
            (0, "0 ms"),
            (-3, "0 ms"),
            (950, "950 ms"),
            (1_250, "1.2 s"),
            (59_999, "59 s"),
            (61_000, "1 min 1 s"),
            (3_660_000, "1 h 1 min"),
        ] {
            assert_eq!(ENGLISH.took(TimeDelta::milliseconds(ms)), english);
        }
    }
}
