//! What is told of a failure: pods, the end of their logs, events.

use std::pin::pin;

use futures::AsyncReadExt as _;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, LogParams};
use serde_json::Value;

use crate::call::CallError;
use crate::cluster::Cluster;
use crate::listing::Freshness;

/// The end of a log that is kept, in bytes.
const LOG_BYTES_MAX: usize = 256 * 1024;
/// How much of a log is read at once, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

impl Cluster {
    /// The pods in a namespace that a label selector chooses, the oldest first.
    pub async fn pods_of(
        &self,
        namespace: &str,
        selector: &str,
        freshness: Freshness,
    ) -> Result<Vec<Value>, CallError> {
        let resource = ApiResource::erase::<Pod>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let mut pods = self.every(&api, &resource, &freshness.list().labels(selector)).await?;
        let made = |pod: &Value| text_at(pod, "/metadata/creationTimestamp").to_owned();
        pods.sort_by_cached_key(|pod| (made(pod), text_at(pod, "/metadata/name").to_owned()));
        pods.iter_mut().for_each(without_managers);
        Ok(pods)
    }

    /// The last `lines` lines that a container wrote, up to 256 KiB of them and then whole lines only. With
    /// `previous`, what it wrote before it was started again. What it wrote may hold secrets.
    ///
    /// # Errors
    ///
    /// Besides what any request meets: there is no such pod (404), or it has no such container, or that was
    /// not started yet or not again (400).
    pub async fn last_log(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
        lines: i64,
    ) -> Result<String, CallError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let wanted = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: Some(lines.max(0)),
            ..LogParams::default()
        };
        self.ask(read_end(&pods, pod, &wanted)).await
    }

    /// The newest events about an object, the newest first, at most `limit`. With `uid`, none about an earlier
    /// object of its name. Those about an object without a namespace are in `default`.
    pub async fn events_about(
        &self,
        namespace: &str,
        name: &str,
        uid: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Value>, CallError> {
        let resource = ApiResource::erase::<Event>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let mut about = format!("involvedObject.name={}", escaped(name));
        if let Some(uid) = uid {
            about.push_str(&format!(",involvedObject.uid={}", escaped(uid)));
        }
        let mut events = self.every(&api, &resource, &ListParams::default().fields(&about)).await?;
        events.sort_by_cached_key(|event| std::cmp::Reverse(time_of(event)));
        events.truncate(limit);
        events.iter_mut().for_each(without_managers);
        Ok(events)
    }
}

fn text_at<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn without_managers(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

/// When an event happened last, so that later ones compare as greater.
fn time_of(event: &Value) -> String {
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    let time = times.into_iter().map(|pointer| text_at(event, pointer)).find(|time| !time.is_empty());
    // Some have a fraction before the letter, which is less than it.
    time.unwrap_or_default().trim_end_matches('Z').to_owned()
}

/// A value as a field selector takes it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

async fn read_end(pods: &Api<Pod>, pod: &str, wanted: &LogParams) -> kube::Result<String> {
    let mut log = pin!(pods.log_stream(pod, wanted).await?);
    let (mut end, mut piece) = (End::default(), vec![0; PIECE_BYTES]);
    loop {
        let length = log.read(&mut piece).await.map_err(kube::Error::ReadEvents)?;
        if length == 0 {
            return Ok(end.text());
        }
        end.take(piece.get(..length).unwrap_or_default());
    }
}

/// The end of what was taken in.
#[derive(Default)]
struct End {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl End {
    fn take(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
        // Cut now and then alone: each cut moves what stays.
        if self.bytes.len() > 2 * LOG_BYTES_MAX {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let over = self.bytes.len().saturating_sub(LOG_BYTES_MAX);
        self.is_cut |= over > 0;
        self.bytes.drain(..over);
    }

    fn text(mut self) -> String {
        self.cut();
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        // What stands for bytes that are no text is longer than they were.
        if text.len() > LOG_BYTES_MAX {
            let over = text.len() - LOG_BYTES_MAX;
            let from = text.char_indices().map(|(at, _)| at).find(|at| *at >= over).unwrap_or(text.len());
            text.drain(..from);
            self.is_cut = true;
        }
        if self.is_cut
            && let Some((_, whole)) = text.split_once('\n')
        {
            return whole.to_owned();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn end_of(pieces: impl IntoIterator<Item = Vec<u8>>) -> String {
        let mut end = End::default();
        for piece in pieces {
            end.take(&piece);
        }
        end.text()
    }

    #[test]
    fn of_a_long_log_the_end_is_kept_in_whole_lines() {
        let all: Vec<u8> = (0..100_000).flat_map(|line| format!("line {line}\n").into_bytes()).collect();
        let end = end_of(all.chunks(1000).map(<[u8]>::to_vec));
        assert!(end.len() <= LOG_BYTES_MAX && end.len() > LOG_BYTES_MAX - 20, "{}", end.len());
        assert!(end.starts_with("line ") && end.ends_with("line 99999\n"));
    }

    #[test]
    fn a_short_log_is_kept_as_it_is() {
        assert_eq!(end_of([b"one\ntw".to_vec(), b"o".to_vec()]), "one\ntwo");
        assert_eq!(end_of([]), "");
    }

    #[test]
    fn what_is_no_text_is_no_longer_than_text() {
        let end = end_of([vec![0xff; 3 * LOG_BYTES_MAX]]);
        assert!(end.len() <= LOG_BYTES_MAX && end.starts_with('\u{fffd}'), "{}", end.len());
    }

    #[test]
    fn an_event_is_as_late_as_it_was_last_seen() {
        let old = json!({"lastTimestamp": "2026-01-01T00:00:05Z", "metadata": {}});
        let fraction = json!({"lastTimestamp": null, "eventTime": "2026-01-01T00:00:05.250000Z"});
        let series = json!({
            "eventTime": "2026-01-01T00:00:00.000000Z",
            "series": {"lastObservedTime": "2026-01-01T00:00:06.000000Z"},
        });
        assert!(time_of(&old) < time_of(&fraction) && time_of(&fraction) < time_of(&series));
    }

    #[test]
    fn a_name_says_nothing_in_a_selector() {
        assert_eq!(escaped(r"a,b=c\d"), r"a\,b\=c\\d");
    }
}
