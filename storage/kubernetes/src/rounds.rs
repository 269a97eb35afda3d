//! Whoever asks what carries a value of a label while an answer is under way is answered with all others who asked
//! meanwhile, by the next one: a list of everything costs a request a kind, however many values it is for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::stream::{self, StreamExt as _};
use tokio::sync::oneshot;

use crate::call::CallError;
use crate::cluster::{AT_ONCE, Cluster};
use crate::listing::Labelled;

/// For so many values one list is made: each is 63 characters at most, and all stand in a URL.
const VALUES_MAX: usize = 50;

type Answer = Result<Labelled, CallError>;

/// A value that is asked for, and who waits.
struct Asked {
    value: String,
    tell: oneshot::Sender<Answer>,
}

/// What is asked for, by label.
#[derive(Default)]
pub(crate) struct Rounds {
    waiting: Mutex<BTreeMap<String, Line>>,
}

#[derive(Default)]
struct Line {
    asked: Vec<Asked>,
    is_served: bool,
}

impl Rounds {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<String, Line>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a question in; `true`: nobody answers this label's yet.
    fn join(&self, label: &str, asked: Asked) -> bool {
        let mut waiting = self.waiting();
        let line = waiting.entry(label.to_owned()).or_default();
        line.asked.push(asked);
        !std::mem::replace(&mut line.is_served, true)
    }

    /// The questions of the next round; without any, whoever asks next begins anew.
    fn next(&self, label: &str) -> Vec<Asked> {
        let mut waiting = self.waiting();
        let Some(line) = waiting.get_mut(label) else { return Vec::new() };
        let next: Vec<Asked> = line.asked.drain(..line.asked.len().min(VALUES_MAX)).collect();
        if next.is_empty() {
            waiting.remove(label);
        }
        next
    }
}

/// Lets those who wait go, and others begin, should a round break down.
struct Served {
    rounds: Arc<Rounds>,
    label: String,
    /// Whether its line is gone already, and may be another's by now.
    is_over: bool,
}

impl Drop for Served {
    fn drop(&mut self) {
        if !self.is_over {
            self.rounds.waiting().remove(&self.label);
        }
    }
}

impl Cluster {
    /// As [`labelled_everywhere`](Cluster::labelled_everywhere), of what carries `label` with `value`. Many who ask at
    /// once share lists, none of which begins before its questions were asked.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn labelled_as(&self, label: &str, value: &str) -> Answer {
        let (tell, told) = oneshot::channel();
        if self.rounds.join(label, Asked { value: value.to_owned(), tell }) {
            // Of its own: whoever asked first may give up.
            tokio::spawn(self.clone().serve(label.to_owned()));
        }
        told.await.unwrap_or_else(|_| Err(CallError::Away("the list was given up".to_owned())))
    }

    async fn serve(self, label: String) {
        let mut served = Served { rounds: Arc::clone(&self.rounds), label, is_over: false };
        loop {
            let asked = self.rounds.next(&served.label);
            if asked.is_empty() {
                served.is_over = true;
                return;
            }
            self.answer(&served.label, asked).await;
        }
    }

    async fn answer(&self, label: &str, asked: Vec<Asked>) {
        let values: BTreeSet<&str> = asked.iter().map(|asked| asked.value.as_str()).collect();
        let listed = self.labelled_everywhere(&chooses(label, &values)).await;
        let is_too_much = listed.as_ref().is_err_and(|error| error.has_code(413));
        if is_too_much && values.len() > 1 {
            let alone = |Asked { value, tell }| async move {
                let own = chooses(label, &BTreeSet::from([value.as_str()]));
                drop(tell.send(self.labelled_everywhere(&own).await));
            };
            return stream::iter(asked).for_each_concurrent(AT_ONCE, alone).await;
        }
        for Asked { value, tell } in asked {
            let own = listed.as_ref().map(|listed| of_value(listed, label, &value));
            drop(tell.send(own.map_err(CallError::clone)));
        }
    }
}

/// The selector of what carries one of these values.
fn chooses(label: &str, values: &BTreeSet<&str>) -> String {
    let values: Vec<&str> = values.iter().copied().collect();
    format!("{label} in ({})", values.join(","))
}

fn of_value(listed: &Labelled, label: &str, value: &str) -> Labelled {
    let own = listed.objects.iter().filter(|object| object["metadata"]["labels"][label] == value);
    Labelled { objects: own.cloned().collect(), unreadable: listed.unreadable.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(rounds: &Rounds, value: &str) -> (bool, oneshot::Receiver<Answer>) {
        let (tell, told) = oneshot::channel();
        (rounds.join("of", Asked { value: value.to_owned(), tell }), told)
    }

    fn values(asked: &[Asked]) -> Vec<&str> {
        asked.iter().map(|asked| asked.value.as_str()).collect()
    }

    #[test]
    fn what_is_asked_meanwhile_is_of_the_next_round() {
        let rounds = Rounds::default();
        let (leads, _a) = ask(&rounds, "a");
        assert!(leads);
        assert_eq!(values(&rounds.next("of")), ["a"]);
        let ((second, _b), (third, _c)) = (ask(&rounds, "b"), ask(&rounds, "c"));
        assert!(!second && !third);
        assert_eq!(values(&rounds.next("of")), ["b", "c"]);
        assert!(rounds.next("of").is_empty());
        assert!(ask(&rounds, "d").0, "somebody has to begin again");
    }

    #[test]
    fn a_round_is_bounded_and_none_is_lost() {
        let rounds = Rounds::default();
        let told: Vec<_> = (0..=VALUES_MAX).map(|number| ask(&rounds, &number.to_string()).1).collect();
        assert_eq!(rounds.next("of").len(), VALUES_MAX);
        assert_eq!(values(&rounds.next("of")), [VALUES_MAX.to_string()]);
        assert_eq!(told.len(), VALUES_MAX + 1);
    }

    #[test]
    fn a_round_that_breaks_down_lets_those_who_wait_go() {
        let rounds = Arc::new(Rounds::default());
        let (_, mut told) = ask(&rounds, "a");
        drop(Served { rounds: Arc::clone(&rounds), label: "of".to_owned(), is_over: false });
        assert!(matches!(told.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert!(ask(&rounds, "b").0);
    }

    #[test]
    fn each_value_gets_its_own() {
        let object = |of: &str| serde_json::json!({"metadata": {"labels": {"of": of}}});
        let listed = Labelled { objects: vec![object("a"), object("b")], unreadable: vec!["x".to_owned()] };
        let of_a = of_value(&listed, "of", "a");
        assert_eq!(of_a.objects, [object("a")]);
        assert_eq!(of_a.unreadable, ["x"]);
        assert_eq!(chooses("of", &BTreeSet::from(["b", "a"])), "of in (a,b)");
    }
}
