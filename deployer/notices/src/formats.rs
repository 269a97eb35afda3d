//! Messages as each kind of channel takes them. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::letter::Letter;
use crate::message::{Content, Message};

/// The longest text of a Slack section, in characters, less what escaping and the link need.
const SLACK_CHARS_MAX: usize = 2_500;
/// The longest markdown of a WeCom robot, in bytes.
const WECOM_BYTES_MAX: usize = 4_096;
/// The longest message of a DingTalk robot, in bytes, less what stands around the lines.
const DINGTALK_LINES_BYTES_MAX: usize = 16_000;
/// The longest request of a Feishu bot, 20 KB, less what stands around the lines.
const FEISHU_LINES_BYTES_MAX: usize = 16_000;
/// Notices of one webhook message of several.
const SEVERAL_MAX: usize = 50;
/// What the link is called.
const MORE: &str = "Show the deployment";

/// JSON for a service of one's own. `kind` is `notice`, `several` or `test`; `id` is the same whenever the
/// same message comes again.
pub(crate) fn webhook(message: &Message) -> Value {
    let letter = Letter::of(message);
    let mut body = json!({"version": 1, "id": message.id, "title": letter.title});
    match &message.content {
        Content::One(notice) => {
            body["kind"] = "notice".into();
            body["notice"] = json!(notice);
        }
        Content::Several(notices) => {
            body["kind"] = "several".into();
            body["count"] = notices.len().into();
            body["notices"] = json!(notices.iter().take(SEVERAL_MAX).collect::<Vec<_>>());
        }
        Content::Test(by) => {
            body["kind"] = "test".into();
            body["by"] = by.as_str().into();
        }
    }
    body
}

/// For a Slack incoming webhook: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.
/// What could be a mention or a link is escaped as
/// <https://docs.slack.dev/messaging/formatting-message-text> asks for.
pub(crate) fn slack(letter: &Letter) -> Value {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let title = escape(&letter.title);
    let lines: String = letter.lines.iter().flat_map(|line| ["\n", line.as_str()]).collect();
    let lines = escape(&lines.chars().take(SLACK_CHARS_MAX).collect::<String>());
    let lines: String = lines.chars().take(SLACK_CHARS_MAX).collect();
    let link = letter.link.as_ref().map(|link| format!("\n<{}|{MORE}>", escape(link))).unwrap_or_default();
    let text = format!("*{title}*{lines}{link}");
    json!({
        "text": title,
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}}],
    })
}

/// For a DingTalk custom robot: <https://open.dingtalk.com/document/robots/custom-robot-access>.
pub(crate) fn dingtalk(letter: &Letter) -> Value {
    let title = harmless(&letter.title);
    let mut room = DINGTALK_LINES_BYTES_MAX;
    let lines = letter.lines.iter().map(|line| format!("\n\n{}", harmless(line)));
    let lines: String = lines.take_while(|line| take(&mut room, line.len())).collect();
    let link = letter.link.as_ref().map(|link| format!("\n\n[{MORE}]({link})")).unwrap_or_default();
    json!({"msgtype": "markdown", "markdown": {"title": title, "text": format!("### {title}{lines}{link}")}})
}

/// What a DingTalk robot with a secret wants in the query, `sign` beside `timestamp` in milliseconds and not
/// older than an hour: the HMAC-SHA256 of both under the secret, in base64
/// (<https://open.dingtalk.com/document/robots/customize-robot-security-settings>).
pub(crate) fn dingtalk_sign(secret: &str, timestamp_ms: i64) -> String {
    STANDARD.encode(hmac(secret.as_bytes(), format!("{timestamp_ms}\n{secret}").as_bytes()))
}

/// For a Feishu or Lark custom bot: <https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot>.
/// `proof`: the time in seconds, and the signature.
pub(crate) fn feishu(letter: &Letter, proof: Option<(i64, String)>) -> Value {
    let mut room = FEISHU_LINES_BYTES_MAX;
    let lines = letter.lines.iter().map(|line| json!([{"tag": "text", "text": line}]));
    let mut content: Vec<Value> = lines.take_while(|line| take(&mut room, line.to_string().len())).collect();
    content.extend(letter.link.as_ref().map(|link| json!([{"tag": "a", "text": MORE, "href": link}])));
    let post = json!({"title": letter.title, "content": content});
    let mut body = json!({"msg_type": "post", "content": {"post": {"zh_cn": post}}});
    if let Some((timestamp, sign)) = proof {
        body["timestamp"] = timestamp.to_string().into();
        body["sign"] = sign.into();
    }
    body
}

/// What a Feishu bot with a secret wants: the HMAC-SHA256 of nothing under the time in seconds, not older than
/// an hour, and the secret, in base64 (<https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot>).
pub(crate) fn feishu_sign(secret: &str, timestamp_s: i64) -> String {
    STANDARD.encode(hmac(format!("{timestamp_s}\n{secret}").as_bytes(), b""))
}

/// For a WeCom group robot: <https://developer.work.weixin.qq.com/document/path/91770>.
pub(crate) fn wecom(letter: &Letter) -> Value {
    let title = format!("**{}**", harmless(&letter.title));
    let link = letter.link.as_ref().map(|link| format!("\n[{MORE}]({link})")).unwrap_or_default();
    let mut room = WECOM_BYTES_MAX.saturating_sub(title.len() + link.len());
    let lines = letter.lines.iter().map(|line| format!("\n> {}", harmless(line)));
    let lines: String = lines.take_while(|line| take(&mut room, line.len())).collect();
    json!({"msgtype": "markdown", "markdown": {"content": format!("{title}{lines}{link}")}})
}

/// Takes so many bytes of the room, if it has them.
fn take(room: &mut usize, bytes: usize) -> bool {
    let left = room.checked_sub(bytes);
    *room = left.unwrap_or(0);
    left.is_some()
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("invariant: HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// Text that is no link, mention or emphasis in markdown: these robots know no escapes.
fn harmless(text: &str) -> String {
    let replaced = |c: char| match c {
        '<' => '＜',
        '>' => '＞',
        '[' => '［',
        ']' => '］',
        '`' => '\'',
        '*' => '＊',
        other => other,
    };
    text.chars().map(replaced).collect()
}
