//! What a push caused, told to the pusher's terminal while it happens.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use slipway_git::Received;
use slipway_records::{Application, Build, Change, Run};
use slipway_types::Fault;
use slipway_types::fault::chain;
use slipway_types::id::{BuildId, DeliveryId, RunId};
use slipway_types::state::{BuildState, DeliveryState, RunState};
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use crate::problem::ApiError;
use crate::rest::names_of;
use crate::state::ServerState;

/// Most deliveries of one push that are followed.
const DELIVERIES_MAX: usize = 10;
/// How long checks of what was published are waited for: who pushed wants to know of the quick ones.
const CHECKS_AWAITED: Duration = Duration::from_secs(5);
/// After so long without news a line says that work goes on, so that no proxy takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(25);

/// The answer to a push: its report, then progress if the client takes it, then the end.
pub(super) fn stream(state: ServerState, application: Application, received: Received) -> Body {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        // A pusher who left is no error, and stops nothing but this text.
        if sender.send(Ok(received.report.clone())).await.is_err() {
            return;
        }
        let end = received.end();
        let terminal = Terminal { sender, received };
        if terminal.listens() {
            let limit = Duration::from_millis(state.options.push_progress_timeout_ms);
            tell(&state, &application, &terminal, limit).await;
        }
        drop(terminal.sender.send(Ok(end)).await);
    });
    Body::from_stream(ReceiverStream::new(receiver))
}

/// The pusher's terminal.
struct Terminal {
    sender: mpsc::Sender<io::Result<Bytes>>,
    received: Received,
}

/// The pusher left, or progress ended early.
enum Stop {
    Gone,
    Failed(ApiError),
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl From<slipway_records::RecordsError> for Stop {
    fn from(error: slipway_records::RecordsError) -> Self {
        Self::Failed(error.into())
    }
}

impl Terminal {
    fn listens(&self) -> bool {
        self.received.progress_packet("").is_some()
    }

    /// Shows lines, each marked as the server's.
    async fn say(&self, text: &str) -> Result<(), Stop> {
        // Some turn the direction of the text around them.
        let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let printable = |c: char| if turns(c) || (c.is_control() && c != '\t') { ' ' } else { c };
        let mut shown = String::new();
        for line in text.lines() {
            shown.push_str("slipway: ");
            shown.extend(line.chars().map(printable));
            shown.push('\n');
        }
        let Some(packet) = self.received.progress_packet(&shown) else { return Ok(()) };
        self.sender.send(Ok(packet)).await.map_err(|_| Stop::Gone)
    }
}

async fn tell(state: &ServerState, application: &Application, terminal: &Terminal, limit: Duration) {
    let told = tokio::select! {
        told = tell_all(state, terminal) => told,
        () = tokio::time::sleep(limit) => {
            let text = format!(
                "still at work after push_progress_timeout_ms = {}; `slipway run list --app {}` shows how it goes on",
                limit.as_millis(), application.name
            );
            terminal.say(&text).await
        }
        () = state.stopping.cancelled() => {
            terminal.say("the server is stopping; your push is safe, and its runs go on when it is back").await
        }
        () = terminal.sender.closed() => Err(Stop::Gone),
    };
    if let Err(Stop::Failed(error)) = told {
        tracing::warn!(error = %chain(&error), "progress of a push was cut");
        let text = "your push is safe, but its progress cannot be shown now; `slipway run list` shows it";
        // The pusher may have left meanwhile.
        drop(terminal.say(text).await);
    }
}

async fn tell_all(state: &ServerState, terminal: &Terminal) -> Result<(), Stop> {
    let deliveries: Vec<DeliveryId> = terminal.received.deliveries().collect();
    if deliveries.is_empty() {
        if terminal.received.moved.is_empty() {
            return Ok(());
        }
        return terminal.say("nothing to build: refs were deleted only").await;
    }
    for delivery in deliveries.iter().take(DELIVERIES_MAX) {
        tell_delivery(state, terminal, *delivery).await?;
    }
    let more = deliveries.len().saturating_sub(DELIVERIES_MAX);
    if more > 0 {
        terminal.say(&format!("{more} more refs are not shown here; `slipway run list` shows them")).await?;
    }
    Ok(())
}

/// Waits for news that may concern whoever waits, but never long.
async fn wait(state: &ServerState, changes: &mut broadcast::Receiver<Change>) {
    let news = crate::rest::wait_for(changes, |change| !matches!(change, Change::Log(_)));
    // Whoever was missed is seen by the slow poll.
    drop(tokio::time::timeout(Duration::from_millis(state.options.stream_poll_ms), news).await);
}

async fn tell_delivery(state: &ServerState, terminal: &Terminal, id: DeliveryId) -> Result<(), Stop> {
    let mut changes = state.records.changes().subscribe();
    let runs = loop {
        let delivery = state.records.read().await?.delivery_get(id).await?;
        let Some(delivery) = delivery else { return Ok(()) };
        let name = delivery.git_ref.as_ref().map(ToString::to_string).unwrap_or_default();
        match delivery.state {
            DeliveryState::Received => wait(state, &mut changes).await,
            DeliveryState::Ignored { reason } => {
                return terminal.say(&format!("{name}: nothing to build: {reason}")).await;
            }
            DeliveryState::Failed { fault } => return terminal.say(&fault_text(&name, &fault)).await,
            DeliveryState::Planned { runs } => break runs,
        }
    };
    for run in runs {
        tell_run(state, terminal, run).await?;
    }
    Ok(())
}

fn fault_text(of: &str, fault: &Fault) -> String {
    let mut text = format!("{of}: failed: {}", fault.message);
    if let Some(hint) = &fault.hint {
        text.push('\n');
        text.push_str(hint);
    }
    text
}

async fn tell_run(state: &ServerState, terminal: &Terminal, id: RunId) -> Result<(), Stop> {
    let mut changes = state.records.changes().subscribe();
    let mut said: HashMap<Option<BuildId>, String> = HashMap::new();
    let began = Instant::now();
    let mut spoke = began;
    loop {
        let mut read = state.records.read().await?;
        let Some(run) = read.run_get(id).await? else { return Ok(()) };
        let builds = read.builds_of(id).await?;
        let names = names_of(read.as_mut(), std::iter::once(run.application_id)).await?;
        drop(read);
        let name = &names[&run.application_id];
        let title = format!("{name} run #{}", run.number);
        let lines = builds.iter().map(|build| (Some(build.id), build_line(&title, build)));
        for (key, line) in lines.chain(std::iter::once((None, run_line(&title, &run)))) {
            if said.get(&key) != Some(&line) {
                terminal.say(&line).await?;
                said.insert(key, line);
                spoke = Instant::now();
            }
        }
        if run.state.is_terminal() {
            tell_held(state, terminal, &mut changes, name, &run).await?;
            // A hint may end in an example to be copied.
            let gap = if matches!(run.state, RunState::Failed { .. }) { "\n" } else { "" };
            terminal.say(&format!("{gap}More: slipway run show {name}#{}", run.number)).await?;
            return Ok(());
        }
        if run.state.waits_for_disk() {
            let text = format!(
                "your push is safe, and its run begins when there is room on the server's disk; \
                 watch it: slipway run wait {name}#{}",
                run.number
            );
            return terminal.say(&text).await;
        }
        if spoke.elapsed() >= HEARTBEAT {
            let line = heartbeat_line(&title, &run.state, began.elapsed());
            terminal.say(&line).await?;
            spoke = Instant::now();
        }
        wait(state, &mut changes).await;
    }
}

/// Which checks hold what the run published. Those that are quick are waited for.
async fn tell_held(
    state: &ServerState,
    terminal: &Terminal,
    changes: &mut broadcast::Receiver<Change>,
    name: &str,
    run: &Run,
) -> Result<(), Stop> {
    let RunState::Done { bundle: Some(bundle), version } = &run.state else { return Ok(()) };
    let began = Instant::now();
    let holding = loop {
        let holding = state.records.read().await?.declared_checks_holding(&[*bundle]).await?;
        let is_over = began.elapsed() >= CHECKS_AWAITED;
        if is_over || holding.iter().all(|check| check.state.is_terminal()) {
            break holding;
        }
        let left = CHECKS_AWAITED.saturating_sub(began.elapsed());
        drop(tokio::time::timeout(left, wait(state, changes)).await);
    };
    if holding.is_empty() {
        return Ok(());
    }
    for check in &holding {
        terminal.say(&format!("{name} run #{}: held: {}", run.number, check.standing())).await?;
    }
    terminal.say(&format!("\nThe checks: slipway check list {name} {version}")).await
}

/// That a run goes on, and what it waits for: who sees this may have waited for minutes.
fn heartbeat_line(title: &str, state: &RunState, since: Duration) -> String {
    let why = state.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{title}: {}, {} s so far{why}", state.word(), since.as_secs())
}

fn build_line(title: &str, build: &Build) -> String {
    let component = &build.component;
    let backend = build.backend.as_ref().map(|backend| format!(" ({backend})")).unwrap_or_default();
    match &build.state {
        BuildState::Building { attempt, .. } => {
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            let waits = build.state.reason().map(|reason| format!(", {reason}")).unwrap_or_default();
            format!("{title}: {component}: building{backend}{again}{waits}")
        }
        BuildState::Failed { fault } => fault_text(&format!("{title}: {component}"), fault),
        state => match state.reason() {
            Some(reason) => format!("{title}: {component}: {}: {reason}", state.word()),
            None => format!("{title}: {component}: {}", state.word()),
        },
    }
}

fn run_line(title: &str, run: &Run) -> String {
    match &run.state {
        RunState::Done { bundle: Some(_), version } => format!("{title}: done: bundle {version}"),
        RunState::Done { bundle: None, version } => format!("{title}: done: version {version}"),
        RunState::Failed { fault, .. } => fault_text(title, fault),
        other => match other.reason() {
            Some(reason) => format!("{title}: {}: {reason}", other.word()),
            None => format!("{title}: {}", other.word()),
        },
    }
}
