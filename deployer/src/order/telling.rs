//! Telling receivers. An order is kept with its audit entry, then told under its own identifier, then settled. Who is
//! killed in between leaves it pending, with the `observe` job that tells it again: a receiver that took it says so
//! once more, and does nothing.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::json;
use slipway_handoff::{Answer, Command, Order};
use slipway_records::deploying::{DeploymentOrder, DeploymentWord, OrderRefused, OrderTold};
use slipway_records::job::{JobPayload, NewJob};
use slipway_records::order::ORDERS_PENDING_MAX;
use slipway_records::pipeline::Moved;
use slipway_records::{
    Change, Deployment, NewAuditEntry, Observation, OrderRow, OrderState, RecordsError, Write, fault_point,
};
use slipway_types::id::{DeploymentId, OrderId};
use slipway_types::state::DeploymentState;
use slipway_types::{Class, Fault};

use super::{
    Verdict, fits, held_beside, is_contrary, is_gone, last_word, leaves_whole, meaning, promoted,
    unsupported, wrong_state,
};
use crate::handler::{SLIPWAY, is_removal};
use crate::receivers::key;
use crate::stage::Stage;
use crate::subject::Subject;
use crate::transition::advance;

/// How long whoever kept an order has for telling it, until somebody else does.
const FIRST_TELLING: TimeDelta = TimeDelta::seconds(10);

/// How long a receiver has for saying what it takes, before an order is kept without knowing.
const ASKED_WITHIN: Duration = Duration::from_secs(5);

fn fault(error: RecordsError) -> Fault {
    crate::records_fault(&error)
}

fn failed(error: RecordsError) -> OrderRefused {
    OrderRefused::Failed(fault(error))
}

/// Whether both are the same wish of the same person: it is told again, and not kept twice.
fn is_repeat(known: &DeploymentOrder, order: &DeploymentOrder) -> bool {
    // A promotion names its node only once it is kept.
    let same_node =
        known.node == order.node || (order.word == DeploymentWord::Promote && order.node.is_none());
    same_node && DeploymentOrder { node: known.node.clone(), ..order.clone() } == *known
}

/// A deployment's state once its receiver has taken all that is pending.
fn state_after(pending: &[OrderRow], deployment: &Deployment) -> DeploymentState {
    pending.iter().fold(deployment.state.clone(), |state, known| {
        let (_, event, _) = meaning(&known.order, is_removal(deployment));
        state.clone().apply(event).unwrap_or(state)
    })
}

fn silent() -> Fault {
    Fault::transient("receiver_silent", "the receiver gives no answer yet")
}

impl Stage {
    /// Keeps an order, tells its receiver and records what follows.
    pub async fn tell(&self, order: &DeploymentOrder) -> Result<OrderTold, OrderRefused> {
        let missing = || Fault::permanent("deployment_missing", "there is no such deployment");
        let subject = self.subject(order.deployment).await.map_err(OrderRefused::Failed)?;
        let subject = subject.ok_or_else(|| OrderRefused::Failed(missing()))?;
        let pending = self.orders_pending(order.deployment).await.map_err(OrderRefused::Failed)?;
        let ahead = state_after(&pending, &subject.deployment);
        // An earlier one is no repeat: what was said after it would be told last.
        let kept = match pending.into_iter().next_back().filter(|known| is_repeat(&known.order, order)) {
            Some(known) => known,
            None => {
                if !fits(order.word, &ahead) && !fits(order.word, &subject.deployment.state) {
                    return Err(wrong_state(order.word, &subject.deployment));
                }
                let order = self.addressed(order, &subject).await?;
                let (command, _, action) = meaning(&order, is_removal(&subject.deployment));
                self.may_be_told(&command, &subject).await?;
                self.keep_order(order, &subject.deployment, action).await?
            }
        };
        fault_point::reach("order.kept");
        let within = FIRST_TELLING.to_std().expect("invariant: it lies ahead");
        match tokio::time::timeout(within, self.tell_through(&subject, kept.id)).await {
            Ok(told) => told,
            Err(_) => Ok(OrderTold::Kept(self.unanswered(&kept).await)),
        }
    }

    /// Why an order waits whose receiver is silent; kept, unless more is known.
    async fn unanswered(&self, row: &OrderRow) -> Fault {
        let silent = silent();
        if row.why.is_some() {
            return silent;
        }
        self.note_order(row, &silent.message).await.err().unwrap_or(silent)
    }

    /// Tells a deployment's receiver what is pending, up to this order.
    async fn tell_through(&self, subject: &Subject, id: OrderId) -> Result<OrderTold, OrderRefused> {
        let pending = match self.orders_pending(subject.deployment.id).await {
            Ok(pending) => pending,
            Err(fault) => return Ok(OrderTold::Kept(fault)),
        };
        for row in pending.iter().filter(|row| row.id <= id) {
            match self.tell_order(subject, row).await {
                Ok(Some(verdict)) if row.id == id => return verdict.told().map(|()| OrderTold::Told),
                Ok(_) => {}
                Err(fault) => return Ok(OrderTold::Kept(fault)),
            }
        }
        // Somebody else told it meanwhile.
        match self.order_row(id).await {
            Ok(Some(row)) if row.state == OrderState::Pending => Ok(OrderTold::Kept(silent())),
            Ok(Some(row)) if row.state != OrderState::Told => {
                Err(OrderRefused::Refused(row.why.unwrap_or_else(|| row.state.word().to_owned())))
            }
            Ok(_) => Ok(OrderTold::Told),
            Err(fault) => Ok(OrderTold::Kept(fault)),
        }
    }

    /// Tells again what is pending of a deployment; gives why something of it still is.
    pub(crate) async fn tell_again(&self, deployment: DeploymentId) -> Result<Option<String>, Fault> {
        for row in self.orders_pending(deployment).await? {
            if Utc::now() - row.given_at < FIRST_TELLING {
                return Ok(Some(format!("{} is being told to the receiver", row.order.word.word())));
            }
            let Some(subject) = self.subject(deployment).await? else { return Ok(None) };
            if let Err(fault) = self.tell_order(&subject, &row).await {
                let word = row.order.word.word();
                return Ok(Some(format!("{word} cannot be told to the receiver: {}", fault.message)));
            }
        }
        Ok(None)
    }

    async fn order_row(&self, id: OrderId) -> Result<Option<OrderRow>, Fault> {
        let mut read = self.records.read().await.map_err(fault)?;
        read.order_get(id).await.map_err(fault)
    }

    async fn orders_pending(&self, deployment: DeploymentId) -> Result<Vec<OrderRow>, Fault> {
        let mut read = self.records.read().await.map_err(fault)?;
        read.orders_pending(deployment).await.map_err(fault)
    }

    /// The order with the node that it is about, where the word says that without naming it.
    async fn addressed(
        &self,
        order: &DeploymentOrder,
        subject: &Subject,
    ) -> Result<DeploymentOrder, OrderRefused> {
        let Some(revision) = subject.deployment.revision.filter(|_| order.word == DeploymentWord::Promote)
        else {
            return Ok(order.clone());
        };
        let key = key(&subject.application.name, &subject.environment);
        let frozen = self.kept_revision(&key, &revision).await.map_err(OrderRefused::Failed)?;
        let mut read = self.records.read().await.map_err(failed)?;
        let observation = read.observation_get(order.deployment).await.map_err(failed)?.unwrap_or_default();
        let held = held_beside(&frozen.revision.graph, &observation);
        let node = promoted(&held, order.node.as_deref())?;
        Ok(DeploymentOrder { node: Some(node), ..order.clone() })
    }

    /// Refuses what the receiver is known not to take. One that gives no answer now is told later.
    async fn may_be_told(&self, command: &Command, subject: &Subject) -> Result<(), OrderRefused> {
        let (application, environment) = (&subject.application.name, &subject.environment);
        let asked = async {
            let receiver = self.receiver(environment).await?;
            Ok::<_, Fault>((receiver.kind(), receiver.capabilities().await?))
        };
        let needed = command.capability();
        let asked = tokio::time::timeout(ASKED_WITHIN, asked).await.unwrap_or_else(|_| Err(silent()));
        match asked {
            Ok((kind, can)) if !can.contains(&needed) => {
                Err(unsupported(needed, &kind.to_string(), (application, &environment.name)))
            }
            Err(fault) if fault.class != Class::Transient => Err(OrderRefused::Failed(fault)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Keeps an order together with its audit entry, and the job that tells it should nobody else.
    async fn keep_order(
        &self,
        order: DeploymentOrder,
        deployment: &Deployment,
        action: &'static str,
    ) -> Result<OrderRow, OrderRefused> {
        let mut tx = self.records.begin().await.map_err(failed)?;
        let pending = tx.orders_pending(deployment.id).await.map_err(failed)?.len();
        if pending >= ORDERS_PENDING_MAX as usize {
            let why = format!(
                "{pending} orders wait for its receiver already, which gives no answer: wait until they are told"
            );
            return Err(OrderRefused::WrongState(why));
        }
        let observation = tx.observation_get(deployment.id).await.map_err(failed)?.unwrap_or_default();
        let row = OrderRow {
            id: OrderId::new(),
            heard: last_word(&observation),
            state: OrderState::Pending,
            why: None,
            given_at: Utc::now(),
            settled_at: None,
            order,
        };
        tx.order_insert(&row).await.map_err(failed)?;
        tx.audit(NewAuditEntry {
            actor: row.order.actor.clone(),
            action,
            subject: format!("deployment/{}", deployment.id),
            detail: json!({
                "person": row.order.person,
                "node": row.order.node,
                "reason": row.order.reason,
                "order": row.id.to_string(),
            }),
        })
        .await
        .map_err(failed)?;
        let observe =
            NewJob::new(JobPayload::Observe { deployment: deployment.id }, Some(deployment.application_id));
        let later = observe.after(FIRST_TELLING.to_std().expect("invariant: it lies ahead"));
        tx.job_enqueue(later).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        Ok(row)
    }

    /// Tells the receiver and settles the order; `None`: somebody else had settled it. A fault: what came of it is not
    /// known, and it stays pending.
    async fn tell_order(&self, subject: &Subject, row: &OrderRow) -> Result<Option<Verdict>, Fault> {
        let verdict = match self.ask_receiver(subject, row).await {
            Ok(verdict) => verdict,
            Err(fault) => {
                self.note_order(row, &fault.message).await?;
                return Err(fault);
            }
        };
        fault_point::reach("order.answered");
        let is_ours = self.settle_order(subject, row, &verdict).await?;
        fault_point::reach("order.settled");
        Ok(is_ours.then_some(verdict))
    }

    async fn ask_receiver(&self, subject: &Subject, row: &OrderRow) -> Result<Verdict, Fault> {
        let Subject { deployment, application, environment, .. } = subject;
        if is_gone(&deployment.state) {
            let why = format!("the deployment is {} meanwhile", deployment.state.word());
            return Ok(Verdict::Overtaken(why));
        }
        let (command, ..) = meaning(&row.order, is_removal(deployment));
        let order = Order {
            id: row.id.to_string(),
            key: key(&application.name, environment),
            generation: deployment.generation,
            command,
            by: row.order.person.clone(),
            reason: row.order.reason.clone(),
        };
        let asked = async {
            let receiver = self.receiver(environment).await?;
            Ok::<Answer, Fault>(receiver.command(&order).await?)
        };
        let minutes = self.options.deadline_minutes;
        match asked.await {
            Ok(answer) => Ok(Verdict::of(answer)),
            Err(fault) if fault.class != Class::Transient => {
                Ok(Verdict::Refused(OrderRefused::Failed(fault)))
            }
            Err(fault) if Utc::now() >= row.given_at + TimeDelta::minutes(i64::from(minutes)) => {
                let why = format!("deadline_minutes = {minutes} passed; last: {}", fault.message);
                Ok(Verdict::Expired(why))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Keeps why an order waits, for people.
    async fn note_order(&self, row: &OrderRow, why: &str) -> Result<(), Fault> {
        if row.why.as_deref() == Some(why) {
            return Ok(());
        }
        let mut tx = self.records.begin().await.map_err(fault)?;
        tx.order_note(row, why).await.map_err(fault)?;
        tx.commit().await.map_err(fault)
    }

    /// Stores what came of an order, once, with what follows from it; `false`: somebody else had.
    async fn settle_order(
        &self,
        subject: &Subject,
        row: &OrderRow,
        verdict: &Verdict,
    ) -> Result<bool, Fault> {
        let deployment = subject.deployment.id;
        let minutes = self.minutes_of(&subject.environment);
        let (state, action) = verdict.settled();
        let why = verdict.why();
        let mut tx = self.records.begin().await.map_err(fault)?;
        if !tx.order_settle(row, state, why.as_deref()).await.map_err(fault)? {
            return Ok(false);
        }
        if *verdict == Verdict::Taken {
            move_by(tx.as_mut(), row, minutes).await.map_err(fault)?;
        }
        tx.audit(NewAuditEntry {
            actor: SLIPWAY.to_owned(),
            action,
            subject: format!("deployment/{deployment}"),
            detail: json!({
                "order": row.id.to_string(),
                "word": row.order.word.word(),
                "person": row.order.person,
                "why": why,
            }),
        })
        .await
        .map_err(fault)?;
        let observe = JobPayload::Observe { deployment };
        let observe = NewJob::new(observe, Some(subject.deployment.application_id));
        tx.job_enqueue(observe).await.map_err(fault)?;
        tx.commit().await.map_err(fault)?;
        self.records.changes().send(Change::Deployment(deployment));
        Ok(true)
    }
}

/// Moves a deployment by an order that its receiver took, which has `minutes` for it.
async fn move_by(tx: &mut dyn Write, row: &OrderRow, minutes: Option<u32>) -> Result<(), RecordsError> {
    let order = &row.order;
    let Some(mut deployment) = tx.deployment_get(order.deployment).await? else { return Ok(()) };
    let mut observation: Observation = tx.observation_get(deployment.id).await?.unwrap_or_default();
    // What the receiver reported meanwhile is newer than the order.
    let moves = last_word(&observation) == row.heard
        && !is_contrary(order, &deployment.state, &observation)
        && !leaves_whole(order, &deployment.state);
    let (_, event, _) = meaning(order, is_removal(&deployment));
    if moves && advance(tx, &mut deployment, event, &order.person).await? == Moved::Stored {
        let minutes = minutes.map(|minutes| TimeDelta::minutes(i64::from(minutes)));
        let runs =
            deployment.state.is_under_way() && !matches!(deployment.state, DeploymentState::Suspended { .. });
        observation.deadline = minutes.filter(|_| runs).map(|minutes| Utc::now() + minutes);
        tx.observation_save(deployment.id, &mut observation).await?;
    }
    Ok(())
}
