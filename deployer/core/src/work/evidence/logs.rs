//! The ends of containers' logs, without values of secrets.

use futures::future::{BoxFuture, join_all};
use serde_json::Value;
use slipway_kubernetes::Cluster;
use slipway_records::failure::{Found, FoundContainer, FoundLog};
use slipway_secrets::Mask;

use super::Asking;
use super::containers::{self, Candidate};

/// So many lines of each log are kept, up to what [`Cluster::last_log`] gives.
const LINES: i64 = 500;
/// So many of them are told with the container itself, each up to so many characters.
const TAIL_LINES: usize = 5;
const TAIL_CHARS_MAX: usize = 400;

/// What a kubelet answers, as if it were a log, of a container that it has just removed.
const GONE: &str = "unable to retrieve container logs for ";
/// What it answers, with 400, where the instance before was removed.
const GONE_BEFORE: &str = "previous terminated container ";

/// What one log is, or why it cannot be read.
type Text = Result<String, String>;

/// Reads the logs of the pods' containers, and puts them one behind the other; `mask`: why values of secrets cannot
/// be hidden, if they cannot.
pub(super) async fn read(
    pods: &[Value],
    mask: Result<&Mask, &String>,
    cluster: &Cluster,
    asking: &Asking<'_>,
    found: &mut Found,
    log: &mut String,
) {
    let candidates = containers::of(pods, found);
    let mask = match mask {
        Ok(mask) => mask,
        Err(why) => {
            found.containers.extend(candidates.into_iter().map(|candidate| unread(candidate, why)));
            return;
        }
    };
    let mut reads: Vec<BoxFuture<'_, (Text, Option<Text>)>> = Vec::with_capacity(candidates.len());
    for candidate in candidates.iter().filter(|candidate| candidate.has_run) {
        reads.push(Box::pin(texts_of(candidate, cluster, asking)));
    }
    let mut texts = join_all(reads).await.into_iter();
    for candidate in candidates {
        let mut container = candidate.container;
        if candidate.has_run
            && let Some((now, before)) = texts.next()
        {
            put(&mut container, now, before, mask, log);
        }
        found.containers.push(container);
    }
}

/// A container whose log is not kept.
fn unread(candidate: Candidate, why: &str) -> FoundContainer {
    let mut container = candidate.container;
    if candidate.has_run {
        let said = format!("it is not kept, since values of secrets cannot be hidden in it: {why}");
        container.log.problem = Some(said);
    }
    container
}

async fn texts_of(candidate: &Candidate, cluster: &Cluster, asking: &Asking<'_>) -> (Text, Option<Text>) {
    let now = text_of(candidate, false, cluster, asking).await;
    if !candidate.has_run_before {
        return (now, None);
    }
    (now, Some(text_of(candidate, true, cluster, asking).await))
}

async fn text_of(candidate: &Candidate, previous: bool, cluster: &Cluster, asking: &Asking<'_>) -> Text {
    let FoundContainer { pod, container, .. } = &candidate.container;
    taken(asking.ask(cluster.last_log(&candidate.namespace, pod, container, previous, LINES)).await)
}

/// What was answered, or why that is no log.
fn taken(answer: Result<String, String>) -> Text {
    let is_gone = match &answer {
        Ok(text) => text.starts_with(GONE) && text.lines().count() == 1,
        Err(why) => why.starts_with(GONE_BEFORE) && why.contains(" not found"),
    };
    if is_gone {
        return Err("its log is not there any more: the node has removed the container".to_owned());
    }
    answer.map_err(|why| format!("its log could not be read: {why}"))
}

/// Puts the logs of a container behind what is there. One that waits to be started again has one log alone, which is
/// that of its last instance.
fn put(container: &mut FoundContainer, now: Text, before: Option<Text>, mask: &Mask, log: &mut String) {
    let same = before.as_ref() == Some(&now);
    container.log = piece(now, mask, log);
    container.previous = match before {
        Some(_) if same => Some(container.log.clone()),
        Some(before) => Some(piece(before, mask, log)),
        None => None,
    };
}

fn piece(text: Text, mask: &Mask, log: &mut String) -> FoundLog {
    let text = match text {
        Ok(text) => mask.mask(&text),
        Err(why) => return FoundLog { problem: Some(why), ..FoundLog::default() },
    };
    if text.is_empty() {
        return FoundLog { problem: Some("it wrote nothing".to_owned()), ..FoundLog::default() };
    }
    let offset = log.len() as u64;
    log.push_str(&text);
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines.iter().skip(lines.len().saturating_sub(TAIL_LINES));
    FoundLog {
        offset,
        bytes: text.len() as u64,
        lines: lines.len() as u64,
        tail: tail.map(|line| line.chars().take(TAIL_CHARS_MAX).collect()).collect(),
        problem: None,
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn mask() -> Mask {
        Mask::new(&[SecretString::from("hunter2")])
    }

    #[test]
    fn logs_of_removed_containers_are_told_as_that() {
        let gone = Err("its log is not there any more: the node has removed the container".to_owned());
        assert_eq!(taken(Ok("unable to retrieve container logs for containerd://1".to_owned())), gone);
        let before = "previous terminated container \"web\" in pod \"web-1\" not found (400)";
        assert_eq!(taken(Err(before.to_owned())), gone);
        assert_eq!(
            taken(Err("timed out".to_owned())),
            Err("its log could not be read: timed out".to_owned())
        );
        assert_eq!(taken(Ok("begins\n".to_owned())), Ok("begins\n".to_owned()));
    }

    #[test]
    fn logs_lie_one_behind_the_other_without_secrets() {
        let (mask, mut log, mut container) = (mask(), String::new(), FoundContainer::default());
        log.push_str("another\n");
        let many: String = ["1", "2", "3", "4", "5", "6", "7"]
            .map(|line| ["line ", line, " of hunter2\n"].concat())
            .concat();
        put(&mut container, Ok(many), Some(Ok("before\n".to_owned())), &mask, &mut log);
        let of = |piece: &FoundLog| {
            let (from, length) =
                (usize::try_from(piece.offset).unwrap(), usize::try_from(piece.bytes).unwrap());
            log[from..from + length].to_owned()
        };
        assert_eq!(container.log.lines, 7);
        assert!(
            of(&container.log).starts_with("line 1 of ***\n")
                && of(&container.log).ends_with("line 7 of ***\n")
        );
        assert_eq!(container.log.tail.len(), TAIL_LINES);
        assert_eq!(container.log.tail.last().map(String::as_str), Some("line 7 of ***"));
        assert_eq!(container.previous.as_ref().map(of).as_deref(), Some("before\n"));
        assert!(!log.contains("hunter2"));
    }

    #[test]
    fn one_log_is_kept_once_and_what_is_missing_is_told() {
        let (mask, mut log, mut container) = (mask(), String::new(), FoundContainer::default());
        let text = || Ok("once\n".to_owned());
        put(&mut container, text(), Some(text()), &mask, &mut log);
        assert_eq!(log, "once\n");
        assert_eq!(container.previous.as_ref(), Some(&container.log));
        put(&mut container, Ok(String::new()), Some(Err("it is gone".to_owned())), &mask, &mut log);
        assert_eq!(container.log.problem.as_deref(), Some("it wrote nothing"));
        assert_eq!(container.previous.and_then(|piece| piece.problem).as_deref(), Some("it is gone"));
        assert_eq!(log, "once\n");
    }
}
