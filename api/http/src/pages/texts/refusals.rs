//! What the server refuses by, in Chinese. The English is that of the API: where a text of it is changed, and not here,
//! pages say it in English with the code of the problem.

use crate::pages::language::Language;

/// A text of the server, in the language that there are words in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pages) struct Said {
    pub(in crate::pages) text: String,
    /// The tag of BCP 47.
    pub(in crate::pages) language: &'static str,
    /// Whether the visitor reads another language.
    pub(in crate::pages) is_foreign: bool,
}

impl Said {
    /// What stands in that language already.
    pub(in crate::pages) fn own(language: Language, text: impl Into<String>) -> Self {
        Self { text: text.into(), language: language.tag(), is_foreign: false }
    }

    /// The same with what comes behind it.
    pub(in crate::pages) fn and(self, next: &Self) -> Self {
        let is_chinese = [&self, next].iter().all(|said| said.language == Language::Chinese.tag());
        let text = format!("{}{}{}", self.text, if is_chinese { "。" } else { ". " }, next.text);
        // What is in two languages is mostly the English that has no words in the other.
        let language = if is_chinese { Language::Chinese } else { Language::English };
        Self { text, language: language.tag(), is_foreign: self.is_foreign || next.is_foreign }
    }

    /// English, for whoever reads it.
    pub(super) fn english(text: &str) -> Self {
        Self::own(Language::English, text)
    }
}

/// English texts with `{}` where something is filled in, and the Chinese with the number of what stands there. The first
/// that fits counts.
const CHINESE: &[(&str, &str)] = &[
    ("there is no {} `{}`", "没有名为 `{1}` 的{0}"),
    ("nothing is at {}", "{0} 处没有任何内容"),
    ("{} does not take {}", "{0} 不接受 {1} 请求"),
    ("this needs the role {} on {}", "此操作需要对{1}拥有 {0} 角色"),
    ("ask an admin for a token with that role ({})", "请向管理员申请具有该角色的令牌（{0}）"),
    ("{} `{}` exists already", "{0} `{1}` 已经存在"),
    ("there is a {} `{}` already", "{0} `{1}` 已经存在"),
    ("there is an {} `{}` already", "{0} `{1}` 已经存在"),
    (
        "`{}` is not a valid {} name: use lower-case letters, digits and single `-` between them, start with a letter, \
         at most {} characters",
        "`{0}` 不是有效的{1}名称：请使用小写字母、数字以及它们之间的单个 `-`，以字母开头，最多 {2} 个字符",
    ),
    ("unknown field `{}`: expected one of {}", "没有名为 `{0}` 的字段，可用的字段有 {1}"),
    ("unknown field `{}`: expected {} or {}", "没有名为 `{0}` 的字段，可用的字段有 {1} 和 {2}"),
    ("unknown field `{}`: expected {}", "没有名为 `{0}` 的字段，可用的字段是 {1}"),
    ("unknown field `{}`: it takes none", "没有名为 `{0}` 的字段，此处不接受任何字段"),
    ("{} stands twice", "{0} 出现了两次"),
    ("{} is missing", "缺少 {0}"),
    ("is empty", "不能为空"),
    ("say why", "请说明原因"),
    ("say why: it stays with the change", "请说明原因，它会与修改一同保留"),
    ("expected a whole number", "应为整数"),
    ("expected an id", "应为编号"),
    ("give the `next` of the page before", "请使用上一页给出的 `next`"),
    ("{} is not between {} and {}", "{0} 不在 {1} 到 {2} 之间"),
    ("it was not said that this is meant: tick the box", "尚未确认此操作，请勾选确认框"),
    (
        "this form does not come from a page of yours: nothing was changed",
        "此表单不是来自您的页面，没有做任何修改",
    ),
    (
        "open the page again, here, and send the form from there; sign in anew if that does not help",
        "请在此处重新打开页面并提交表单；如果仍不成功，请重新登录",
    ),
    ("the form broke off or is longer than is taken here", "表单不完整，或超过了允许的长度"),
    ("{} was removed: nothing is made for it any more", "{0} 已被删除，不再为它创建任何内容"),
    ("look at what there is now, then decide again", "请查看当前的内容，再重新决定"),
    (
        "the token is not known here: check for typing errors, or ask an administrator for one",
        "没有这个令牌：请检查是否输入有误，或向管理员申请",
    ),
    (
        "the token `{}` expired at {}: ask an administrator for a new one",
        "令牌 `{0}` 已于 {1} 过期，请向管理员申请新的令牌",
    ),
    ("the token `{}` was revoked", "令牌 `{0}` 已被吊销"),
    ("more than {} sign-ins by one token in a minute", "同一令牌一分钟内的登录超过了 {0} 次"),
    ("no answer within {} = {}", "在 {0} = {1} 的时限内没有答复"),
    ("the database does not answer", "数据库没有响应"),
    ("the server failed at this request", "服务器未能处理此请求"),
    ("the server's log has the cause under this request_id", "可凭请求编号在服务器日志中找到原因"),
];

/// Words that are filled in, and stand for nothing that anybody named.
const WORDS: &[(&str, &str)] = &[
    ("add-on", "附加资源"),
    ("an application", "某个应用"),
    ("application", "应用"),
    ("branch or tag", "分支或标签"),
    ("build of component", "组件构建"),
    ("bundle version", "应用包版本"),
    ("channel", "通道"),
    ("check", "检查"),
    ("cluster", "集群"),
    ("component", "组件"),
    ("definition", "定义"),
    ("delivery", "推送记录"),
    ("deployment", "部署"),
    ("environment", "环境"),
    ("file", "文件"),
    ("kit", "构建套件"),
    ("notice channel", "通知通道"),
    ("package version", "组件包版本"),
    ("page", "页面"),
    ("run", "运行"),
    ("secret", "密钥"),
    ("source", "来源"),
    ("team", "团队"),
    ("the whole server", "整个服务器"),
    ("token", "令牌"),
    ("version", "版本"),
];

/// A text of the server in Chinese, with the field before it as it is; in English where there are no words for it.
pub(super) fn chinese(text: &str) -> Said {
    let is_field = |place: &str| place.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.');
    let of_field = || {
        let (place, rest) = text.split_once(": ").filter(|(place, _)| is_field(place))?;
        Some(format!("{place}: {}", translated(rest)?))
    };
    match translated(text).or_else(of_field) {
        Some(words) => Said::own(Language::Chinese, words),
        None => Said { is_foreign: true, ..Said::english(text) },
    }
}

fn translated(text: &str) -> Option<String> {
    CHINESE.iter().find_map(|(english, words)| Some(filled(words, &read(english, text)?)))
}

/// What stands in a text in the place of each `{}`, if it is that text.
fn read<'t>(english: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let mut parts = english.split("{}").peekable();
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut found = Vec::new();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        let (value, after) = if is_last { (rest.strip_suffix(part)?, "") } else { rest.split_once(part)? };
        // What is quoted ends with its quote: what goes on behind that is another text.
        if part.starts_with('`') && value.contains('`') {
            return None;
        }
        found.push(value);
        rest = after;
    }
    rest.is_empty().then_some(found)
}

/// One pass, so that what is filled in is not read again.
fn filled(words: &str, found: &[&str]) -> String {
    let mut text = String::new();
    let mut rest = words;
    while let Some((before, after)) = rest.split_once('{') {
        let (number, behind) = after.split_once('}').unwrap_or((after, ""));
        let value = number.parse::<usize>().ok().and_then(|number| found.get(number)).copied();
        let value = value.unwrap_or_default();
        // What stands in quotes was named by somebody.
        let words = WORDS.iter().find(|(english, _)| *english == value && !before.ends_with('`'));
        let word = words.map_or(value, |(_, word)| *word);
        text.push_str(before);
        text.push_str(word);
        rest = behind;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use axum::http::{Method, Uri};
    use slipway_records::RecordsError;
    use slipway_secrets::AuthError;
    use slipway_types::{ApplicationName, Role};

    use super::*;
    use crate::problem::{self, ApiError};

    #[test]
    fn what_is_refused_most_has_chinese_words() {
        let address = Uri::from_static("/nowhere");
        let conflict = RecordsError::Conflict { what: "application `shop`".to_owned() };
        let name = "No Name".parse::<ApplicationName>().unwrap_err();
        for error in [
            ApiError::not_found("application", "shop"),
            ApiError::forbidden(Role::Admin, "the whole server"),
            ApiError::from(conflict),
            ApiError::bad_request("bad_body", format!("name: {name}")),
            problem::method_not_allowed(&Method::GET, &address),
        ] {
            for text in [Some(error.detail()), error.way_out()].into_iter().flatten() {
                let said = chinese(text);
                assert!(!said.is_foreign && said.language == "zh-Hans", "{text}");
                assert!(!said.text.contains('{') && !said.text.is_ascii(), "{text}: {}", said.text);
            }
        }
        let expired = AuthError::Expired { name: "ci".to_owned(), at: chrono::Utc::now() };
        for text in [
            problem::not_found(&address).detail().to_owned(),
            AuthError::Unknown.to_string(),
            expired.to_string(),
            AuthError::Revoked { name: "ci".to_owned() }.to_string(),
        ] {
            assert!(!chinese(&text).is_foreign, "{text}");
        }
    }

    #[test]
    fn what_is_filled_in_stays_and_words_are_told() {
        for (english, words) in [
            ("there is no application `{0}`", "没有名为 `{0}` 的应用"),
            ("there is no application `page`", "没有名为 `page` 的应用"),
            ("this needs the role admin on the whole server", "此操作需要对整个服务器拥有 admin 角色"),
            ("reason: say why", "reason: 请说明原因"),
            (
                "brnach: unknown field `brnach`: expected `q` or `after`",
                "brnach: 没有名为 `brnach` 的字段，可用的字段有 `q` 和 `after`",
            ),
        ] {
            assert_eq!(chinese(english).text, words);
        }
    }

    #[test]
    fn what_has_no_words_is_english() {
        let said = chinese("something new: it is");
        assert_eq!(
            (said.text.as_str(), said.language, said.is_foreign),
            ("something new: it is", "en", true)
        );
        assert!(chinese("there is no run `1` of `shop`").is_foreign);
    }

    #[test]
    fn every_number_stands_for_something() {
        for (english, words) in CHINESE {
            let places = english.matches("{}").count();
            assert_eq!(words.matches('{').count(), places, "{english}");
            assert!((0..places).all(|number| words.contains(&format!("{{{number}}}"))), "{english}");
        }
    }
}
