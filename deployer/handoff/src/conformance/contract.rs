//! What every receiver must hold to.

use std::collections::BTreeSet;
use std::time::Duration;

use slipway_types::Digest;
use tokio::time::{Instant, sleep};

use super::{Options, Report, probe};
use crate::answer::{Answer, Capability};
use crate::event::Event;
use crate::manifests::ManifestSet;
use crate::receiver::{Command, Order, Receiver, ReceiverError};
use crate::submission::{Mode, Submission};

type Got = Result<Answer, ReceiverError>;

/// One run over one receiver.
struct Run<'a> {
    receiver: &'a dyn Receiver,
    options: &'a Options,
    can: BTreeSet<Capability>,
    report: &'a mut Report,
}

pub(super) async fn run(receiver: &dyn Receiver, options: &Options, report: &mut Report) {
    let can = match receiver.capabilities().await {
        Ok(can) => {
            report.verdict("describes_itself", true, String::new);
            can
        }
        Err(error) => return report.verdict("describes_itself", false, || error.to_string()),
    };
    let first = options.first_generation;
    let mut run = Run { receiver, options, can, report };
    run.refusals(first).await;
    run.dry_run(first).await;
    run.generations(first).await;
    run.undeclared(first + 2).await;
    run.events(first + 1).await;
    run.commands(first + 1).await;
    run.delete(first + 3).await;
}

fn show(got: &Got) -> String {
    match got {
        Ok(answer) => serde_json::to_string(answer).unwrap_or_else(|error| error.to_string()),
        Err(error) => error.to_string(),
    }
}

fn is_unsupported(got: &Got) -> bool {
    matches!(got, Ok(Answer::Unsupported { .. }))
}

impl Run<'_> {
    async fn submit(&self, (submission, manifests): &(Submission, ManifestSet)) -> Got {
        self.receiver.submit(submission, manifests).await
    }

    fn probe(&self, generation: u64, word: &str) -> (Submission, ManifestSet) {
        probe::submission(&self.options.key, generation, word)
    }

    fn check(&mut self, name: &'static str, wanted: &str, got: &Got, holds: bool) {
        self.report.verdict(name, holds, || format!("wanted {wanted}, got {}", show(got)));
    }

    /// What is wrong by itself is refused and takes no generation.
    async fn refusals(&mut self, first: u64) {
        let mut unknown = self.probe(first, "refused");
        unknown.0.contract = u32::MAX;
        let got = self.submit(&unknown).await;
        self.check("unknown_contract_is_unsupported", "unsupported", &got, is_unsupported(&got));

        let mut altered = self.probe(first, "refused");
        altered.0.revision = Digest::of("another document");
        let got = self.submit(&altered).await;
        let holds = matches!(got, Ok(Answer::Rejected { .. }));
        self.check("altered_document_is_rejected", "rejected: the digest is another", &got, holds);

        let empty = (probe::empty(&self.options.key, first), ManifestSet::new());
        let got = self.submit(&empty).await;
        let holds = matches!(got, Ok(Answer::Rejected { .. }));
        self.check("empty_graph_is_rejected", "rejected: allow_empty is false", &got, holds);
    }

    async fn dry_run(&mut self, first: u64) {
        const NAME: &str = "dry_run_takes_no_generation";
        let mut dry = self.probe(first, "dry");
        dry.0.mode = Mode::DryRun;
        let got = self.submit(&dry).await;
        if !self.can.contains(&Capability::DryRun) {
            return self.check(
                "undeclared_dry_run_is_unsupported",
                "unsupported",
                &got,
                is_unsupported(&got),
            );
        }
        let answered = matches!(got, Ok(Answer::Accepted { .. } | Answer::Rejected { .. }));
        if !answered {
            return self.check(NAME, "accepted or rejected", &got, false);
        }
        let got = self.submit(&self.probe(first, "first")).await;
        let holds = matches!(got, Ok(Answer::Accepted { .. }));
        self.check(NAME, "accepted: the generation was only tried out", &got, holds);
    }

    async fn generations(&mut self, first: u64) {
        let probe = self.probe(first, "first");
        let accepted = self.submit(&probe).await;
        let holds = matches!(&accepted, Ok(Answer::Accepted { run }) if !run.is_empty());
        self.check("submission_is_accepted", "accepted with a run", &accepted, holds);

        let again = self.submit(&probe).await;
        let wanted = format!("the same as before, {}", show(&accepted));
        self.check("same_submission_is_the_same_run", &wanted, &again, holds && again == accepted);

        let got = self.submit(&self.probe(first, "other")).await;
        let revision = probe.0.revision;
        let holds = matches!(got, Ok(Answer::Conflict { revision: known }) if known == revision);
        self.check("other_revision_is_a_conflict", &format!("conflict with {revision}"), &got, holds);

        let got = self.submit(&self.probe(first + 1, "second")).await;
        let holds = matches!(got, Ok(Answer::Accepted { .. }));
        self.check("newer_generation_is_accepted", "accepted", &got, holds);

        let got = self.submit(&probe).await;
        let holds = matches!(got, Ok(Answer::Stale { current }) if current == first + 1);
        self.check("older_generation_is_stale", &format!("stale, current {}", first + 1), &got, holds);
    }

    /// What a receiver does not declare it must refuse, not leave out.
    async fn undeclared(&mut self, generation: u64) {
        for (capability, name, probe) in [
            (
                Capability::Conditions,
                "undeclared_condition_is_unsupported",
                probe::with_condition(&self.options.key, generation),
            ),
            (
                Capability::Workflow,
                "undeclared_branch_is_unsupported",
                probe::with_branch(&self.options.key, generation),
            ),
            (
                Capability::Secrets,
                "undeclared_secret_is_unsupported",
                probe::with_secret(&self.options.key, generation),
            ),
        ] {
            if self.can.contains(&capability) {
                self.report.skip(name, "it declares the capability");
            } else {
                let got = self.submit(&probe).await;
                self.check(name, "unsupported", &got, is_unsupported(&got));
            }
        }
    }

    async fn events(&mut self, newest: u64) {
        const NAMES: [&str; 2] = ["events_come_and_rise", "events_are_told_after_a_number"];
        if !self.can.contains(&Capability::Observe) {
            for name in NAMES {
                self.report.skip(name, "it does not declare observe");
            }
            return;
        }
        let events = match self.first_events(newest).await {
            Ok(events) => events,
            Err(why) => return self.report.verdict(NAMES[0], false, || why),
        };
        let rises = events.is_sorted_by_key(|event| event.sequence);
        self.report.verdict(NAMES[0], rises, || format!("sequence numbers fall: {}", numbers(&events)));
        let middle = events[events.len() / 2].sequence;
        match self.receiver.observe(&self.options.key, middle).await {
            Ok(later) => {
                let holds = later.iter().all(|event| event.sequence > middle);
                self.report.verdict(NAMES[1], holds, || format!("after {middle} came {}", numbers(&later)));
            }
            Err(error) => self.report.verdict(NAMES[1], false, || error.to_string()),
        }
    }

    async fn first_events(&self, newest: u64) -> Result<Vec<Event>, String> {
        let until = Instant::now() + Duration::from_millis(self.options.event_timeout_ms);
        loop {
            let events = self.receiver.observe(&self.options.key, 0).await.map_err(|e| e.to_string())?;
            if events.iter().any(|event| event.generation == newest) {
                return Ok(events);
            }
            if Instant::now() >= until {
                let most = self.options.event_timeout_ms;
                return Err(format!("no event of generation {newest} within event_timeout_ms = {most}"));
            }
            sleep(Duration::from_millis(self.options.event_poll_ms)).await;
        }
    }

    fn order(&self, generation: u64, command: Command) -> Order {
        let id = format!("conformance-{generation}-{}", command.capability());
        let key = self.options.key.clone();
        Order { id, key, generation, command, by: "conformance test".to_owned(), reason: None }
    }

    async fn commands(&mut self, newest: u64) {
        let all = [
            (Command::Suspend, "suspend"),
            (Command::Resume { node: None }, "resume"),
            (Command::Retry { node: None }, "retry"),
            (Command::Terminate, "terminate"),
        ];
        for (command, name) in all {
            let declared = self.can.contains(&command.capability());
            let order = self.order(newest, command);
            let got = self.receiver.command(&order).await;
            match name {
                _ if !declared => {
                    let holds = is_unsupported(&got) || matches!(got, Err(ReceiverError::Undeclared { .. }));
                    self.check("undeclared_order_is_unsupported", "unsupported", &got, holds);
                }
                "suspend" => {
                    let holds = matches!(got, Ok(Answer::Accepted { .. }));
                    self.check("order_is_accepted", "accepted", &got, holds);
                    let again = self.receiver.command(&order).await;
                    let wanted = format!("the same as before, {}", show(&got));
                    self.check("same_order_is_the_same_answer", &wanted, &again, holds && again == got);
                    let mut old = order.clone();
                    (old.generation, old.id) = (newest - 1, format!("{}-old", order.id));
                    let got = self.receiver.command(&old).await;
                    let holds = matches!(got, Ok(Answer::Stale { current }) if current == newest);
                    self.check("order_for_an_older_generation_is_stale", "stale", &got, holds);
                }
                // A retry or an end may rightly be refused in whatever state it is by now.
                _ => {
                    let holds = got.is_ok() && !is_unsupported(&got);
                    self.check("declared_order_is_answered", "any answer but unsupported", &got, holds);
                }
            }
        }
    }

    async fn delete(&mut self, generation: u64) {
        let mut probe = self.probe(generation, "second");
        probe.0.mode = Mode::Delete;
        let got = self.submit(&probe).await;
        if !self.can.contains(&Capability::Delete) {
            return self.check("undeclared_delete_is_unsupported", "unsupported", &got, is_unsupported(&got));
        }
        let holds = matches!(got, Ok(Answer::Accepted { .. }));
        self.check("delete_is_accepted", "accepted", &got, holds);
        let again = self.submit(&probe).await;
        let wanted = format!("the same as before, {}", show(&got));
        self.check("same_delete_is_the_same_run", &wanted, &again, holds && again == got);
        let got = self.submit(&self.probe(generation - 1, "late")).await;
        let holds = matches!(got, Ok(Answer::Stale { current }) if current == generation);
        self.check(
            "generation_before_a_delete_is_stale",
            &format!("stale, current {generation}"),
            &got,
            holds,
        );
    }
}

fn numbers(events: &[Event]) -> String {
    let numbers: Vec<String> = events.iter().take(20).map(|event| event.sequence.to_string()).collect();
    numbers.join(", ")
}
