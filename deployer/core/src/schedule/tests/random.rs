//! Any graph, any course, any order of what happens, killed at any point.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::json;

use super::*;

const PARALLEL_MAX: usize = 3;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// One of the actions that are named gets a result.
    Answer { which: usize, how: u8 },
    /// A result comes that nobody waits for.
    Stray { which: usize, attempt: u32, how: u8 },
    /// Time passes until something happens by itself.
    Wake,
    /// Time passes, in seconds.
    Pass(i64),
    /// Something changes in the cluster.
    Changed(BTreeSet<usize>),
    /// Somebody says something.
    Order(Command),
    /// A generation came.
    Superseded(u64),
    /// The older generation ended.
    OlderEnded,
    /// More is found in the cluster.
    Found,
}

fn name_of(at: usize) -> String {
    format!("n{at}")
}

/// Up to eight nodes, each of which needs some before it.
fn graphs() -> impl Strategy<Value = Vec<(String, Node)>> {
    let part = (
        any::<u8>(),
        prop::option::weighted(0.2, holds()),
        prop_oneof![1 => 1_u64..60_000, 4 => 60_000_u64..1_500_000],
        any::<bool>(),
        branches(),
    );
    prop::collection::vec(part, 1..9).prop_map(|parts| {
        let parts = parts.into_iter().enumerate();
        let one = |(at, (bits, hold, timeout_ms, far, branch))| {
            let (name, node) = graph_node(at, bits, hold, timeout_ms, far);
            (name, branched(at, node, branch))
        };
        parts.map(one).collect()
    })
}

fn holds() -> impl Strategy<Value = Hold> {
    let approvals = (1_u32..3, any::<bool>()).prop_map(|(count, author_may)| Approvals { count, author_may });
    prop_oneof![
        4 => prop::option::of(1_u64..2_000_000).prop_map(|for_ms| Hold { for_ms, ..Hold::default() }),
        1 => approvals.prop_map(|approvals| Hold { approvals: Some(approvals), ..Hold::default() }),
    ]
}

/// What only a workflow asks for: whether the one before need only have ended, which condition, how often it
/// begins anew.
type Branch = (bool, Option<u8>, Option<Retry>);

fn branches() -> impl Strategy<Value = Branch> {
    let retry = (1_u32..3, 1_u64..100_000).prop_map(|(limit, backoff_ms)| Retry { limit, backoff_ms });
    (prop::bool::weighted(0.3), prop::option::weighted(0.4, any::<u8>()), prop::option::weighted(0.3, retry))
}

fn branched(at: usize, mut node: Node, (crosses, condition, retry): Branch) -> Node {
    if crosses {
        node.after = std::mem::take(&mut node.needs);
    }
    let before = name_of(at.saturating_sub(1));
    node.when = condition.map(|which| match which % 6 {
        0 => format!("nodes[{before:?}].state == \"ready\""),
        1 => format!("nodes[{before:?}].state in [\"failed\", \"timed_out\"]"),
        2 => format!("outputs[{before:?}][\"host\"] == \"10.0.0.1\""),
        3 => "false".to_owned(),
        4 => "1 + ".to_owned(),
        _ => "size(nodes) >= 0".to_owned(),
    });
    node.retry = retry;
    node.temporary = condition.is_some_and(|which| which > 200);
    node
}

fn graph_node(at: usize, bits: u8, hold: Option<Hold>, timeout_ms: u64, far: bool) -> (String, Node) {
    let (name, mut node) = node(&name_of(at), &[]);
    let has = |bit: u8| bits & (1 << bit) != 0;
    // The one before, and perhaps one far before.
    node.needs = [(has(0), 1), (has(1), 2), (far, 4)]
        .into_iter()
        .filter(|(is, back)| *is && *back <= at)
        .map(|(_, back)| name_of(at - back))
        .collect();
    if has(2) && has(3) {
        node.objects.clear();
    }
    node.call = has(4).then(call).filter(|_| has(5));
    node.waits.extend(has(6).then(wait));
    if has(7) {
        let path = "/status/host".parse().unwrap();
        node.outputs.insert("host".into(), Output::From { object: reference("ConfigMap", &name), path });
    }
    node.hold = hold;
    node.timeout_ms = timeout_ms;
    (name, node)
}

fn orders() -> impl Strategy<Value = Command> {
    let node = || prop::option::of((0_usize..9).prop_map(name_of));
    prop_oneof![
        6 => Just(Command::Suspend),
        18 => node().prop_map(|node| Command::Resume { node }),
        18 => node().prop_map(|node| Command::Retry { node }),
        1 => Just(Command::Terminate),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        250 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Step::Answer { which, how }),
        20 => (0_usize..9, 0_u32..3, any::<u8>())
            .prop_map(|(which, attempt, how)| Step::Stray { which, attempt, how }),
        40 => Just(Step::Wake),
        20 => (0_i64..60).prop_map(Step::Pass),
        20 => prop::collection::btree_set(0_usize..9, 0..4).prop_map(Step::Changed),
        40 => orders().prop_map(Step::Order),
        1 => (5_u64..10).prop_map(Step::Superseded),
        20 => Just(Step::OlderEnded),
        5 => Just(Step::Found),
    ];
    prop::collection::vec(step, 0..150)
}

fn failure(how: u8) -> Result<(), Failure> {
    match how % 16 {
        0 => Err(Failure::permanent("it is refused")),
        1..=3 => Err(Failure::transient("it does not answer")),
        _ => Ok(()),
    }
}

fn verdict(how: u8) -> Verdict {
    match how % 16 {
        0 => Verdict::Failed { reason: "the Job failed".into() },
        1 => Verdict::NotYet { blocker: "0 of 1 replicas".into() },
        2 => Verdict::Unreachable { why: "no route".into() },
        3 => Verdict::Ready { outputs: BTreeMap::new() },
        4 => Verdict::Gone { what: "the ConfigMap is gone".into() },
        5 => Verdict::Growing { blocker: "1 of 2 replicas".into() },
        _ => Verdict::Ready { outputs: BTreeMap::from([("host".into(), json!("10.0.0.1"))]) },
    }
}

fn answer(action: Action, how: u8) -> Option<Happened> {
    Some(match action {
        Action::Call(turn) => Happened::Called { turn, result: failure(how) },
        Action::StartNode(turn) => Happened::Applied { turn, result: failure(how).map(|()| Vec::new()) },
        Action::CheckNode(turn) => Happened::Looked { turn, verdict: verdict(how) },
        Action::Prune => Happened::Pruned { result: failure(how) },
        Action::Look(turns) => {
            let which = usize::from(how) % turns.len();
            Happened::Looked { turn: turns[which].clone(), verdict: verdict(how / 8) }
        }
        Action::WakeAt(_) => return None,
    })
}

fn stray(which: usize, attempt: u32, how: u8) -> Happened {
    let turn = Turn { node: name_of(which), attempt };
    match how / 8 % 4 {
        0 => Happened::Called { turn, result: failure(how) },
        1 => Happened::Applied { turn, result: failure(how).map(|()| Vec::new()) },
        2 => Happened::Looked { turn, verdict: verdict(how) },
        _ => Happened::Pruned { result: failure(how) },
    }
}

fn wake(schedule: &Schedule, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    schedule.next(now).into_iter().find_map(|action| match action {
        Action::WakeAt(when) => Some(when),
        _ => None,
    })
}

/// Does one step; gives what changed.
fn take(schedule: &mut Schedule, step: &Step, now: &mut DateTime<Utc>) -> Vec<Change> {
    let happened = match step {
        Step::Answer { which, how } => {
            let actions = schedule.next(*now);
            let chosen = actions.get(which % actions.len().max(1)).cloned();
            let Some(happened) = chosen.and_then(|action| answer(action, *how)) else { return Vec::new() };
            happened
        }
        Step::Stray { which, attempt, how } => stray(*which, *attempt, *how),
        Step::Wake => {
            *now = wake(schedule, *now).map_or(*now, |when| when.max(*now));
            Happened::Tick
        }
        Step::Pass(seconds) => {
            *now += TimeDelta::seconds(*seconds);
            Happened::Tick
        }
        Step::Changed(nodes) => Happened::Changed { nodes: nodes.iter().copied().map(name_of).collect() },
        Step::Order(command) => return schedule.order(command, "ann", *now).unwrap_or_default(),
        Step::Superseded(by) => Happened::Superseded { by: *by },
        Step::OlderEnded => Happened::OlderEnded,
        Step::Found => Happened::Found,
    };
    schedule.happened(happened, *now)
}

/// What holds at every moment.
fn check(schedule: &Schedule, now: DateTime<Utc>) -> TestCaseResult {
    for (name, progress) in schedule.nodes() {
        let has_begun = !progress.standing.is_ahead()
            && !matches!(
                progress.standing,
                Standing::Skipped { .. } | Standing::LeftOut { .. } | Standing::Terminated { .. }
            );
        let node = schedule.plan().node(name).unwrap();
        let all_done = node.needs.iter().all(|need| schedule.node(need).unwrap().standing.is_done());
        prop_assert!(!has_begun || all_done, "{name} began before what it needs");
        prop_assert_eq!(has_begun && progress.started_at.is_none(), false);
        prop_assert!(progress.anew <= node.retry.map_or(0, |retry| retry.limit), "{name}");
        let blocker = matches!(&progress.standing, Standing::Blocked { by: Blocker::Node(_) });
        let is_awaited = node.before().any(|before| schedule.node(before).unwrap().standing.is_open());
        prop_assert!(!blocker || is_awaited, "{name} waits for what has ended");
    }
    let actions = schedule.next(now);
    let at_work = actions.iter().filter(|action| matches!(action, Action::Call(_) | Action::StartNode(_)));
    prop_assert!(at_work.count() <= PARALLEL_MAX);
    let only_looks = actions.iter().all(|action| matches!(action, Action::CheckNode(_) | Action::WakeAt(_)));
    prop_assert!(!schedule.is_ended() || only_looks);
    let waits = schedule.waits();
    let state = schedule.whole().state;
    prop_assert_eq!(waits.is_empty(), state.is_ended() || state.is_live());
    for wait in &waits {
        prop_assert!(!wait.what.is_empty());
        prop_assert!(wait.deadline > now, "{wait:?} should be over");
        prop_assert!(wait.deadline < now + TimeDelta::days(8));
        prop_assert!(
            wake(schedule, now).is_some_and(|when| when <= wait.deadline),
            "nobody wakes for {wait:?}"
        );
    }
    prop_assert!(wake(schedule, now).is_none_or(|when| when > now), "it would spin");
    Ok(())
}

/// What holds between two moments.
fn check_between(was: &Schedule, is: &Schedule, step: &Step, changes: &[Change]) -> TestCaseResult {
    let is_retry = matches!(step, Step::Order(Command::Retry { .. }));
    for ((name, before), (_, after)) in was.nodes().zip(is.nodes()) {
        let node = is.plan().node(name).unwrap();
        if before.standing.is_ahead() && after.standing.is_running() {
            let ended = node.before().all(|name| !is.node(name).unwrap().standing.is_open());
            prop_assert!(ended, "{name} began before another ended");
        }
        if before.standing.is_ready() {
            prop_assert!(after.standing.is_ready(), "{name} was ready");
        }
        let had_ended = before.standing.is_lost() || before.standing.is_left_out();
        if had_ended && !is_retry && !is_late(before, after) {
            prop_assert_eq!(&before.standing, &after.standing, "{} had ended", name);
        }
        let told: Vec<&Change> = changes.iter().filter(|change| change.node.as_ref() == Some(name)).collect();
        let words = |progress: &Progress| (progress.standing.state(), progress.standing.reason());
        let expected: Vec<_> =
            Some(words(after)).filter(|after| *after != words(before)).into_iter().collect();
        let told: Vec<_> = told.into_iter().map(|change| (change.state, change.reason.clone())).collect();
        prop_assert_eq!(told, expected, "{}", name);
    }
    let whole = is.whole().state;
    let is_told = changes.iter().any(|change| change.node.is_none() && change.state == whole.in_contract());
    prop_assert!(was.whole().state == whole || is_told, "that it is {} is not told", whole.word());
    let was_over = was.whole().state.is_ended();
    let came_late = was.nodes().zip(is.nodes()).any(|((_, before), (_, after))| is_late(before, after));
    if was_over && !came_late && !matches!(step, Step::Order(_) | Step::Superseded(_) | Step::Found) {
        prop_assert_eq!(was.whole(), is.whole());
    }
    Ok(())
}

/// Whether a node that ended while it was waited for was found ready later.
fn is_late(before: &Progress, after: &Progress) -> bool {
    before.look.late && after.standing.is_ready()
}

fn killed(schedule: &Schedule) -> Schedule {
    let kept = serde_json::to_string(&schedule.checkpoint()).unwrap();
    Schedule::restored(schedule.plan().clone(), serde_json::from_str(&kept).unwrap()).unwrap()
}

fn begun(nodes: Vec<(String, Node)>, is_behind: bool, mode: Mode) -> Schedule {
    let pace = Pace { max_parallel: NonZeroUsize::new(PARALLEL_MAX).unwrap(), ..Pace::default() };
    let plan = Plan::new(&submission(mode, nodes)).unwrap().paced(pace);
    let mut schedule = Schedule::new(plan, at(0));
    if is_behind {
        schedule = schedule.behind(6);
    }
    schedule.happened(Happened::Tick, at(0));
    schedule
}

/// Nobody answers any more: it must end, or be live.
fn check_end(mut schedule: Schedule, mut now: DateTime<Utc>) -> TestCaseResult {
    let (since, most) = (now, 20 + 6 * schedule.nodes().count());
    for _ in 0..most {
        let state = schedule.whole().state;
        if state.is_ended() || state.is_live() {
            prop_assert!(now - since < TimeDelta::days(30));
            return Ok(());
        }
        now = wake(&schedule, now).expect("what is under way wakes");
        schedule.happened(Happened::Tick, now);
        check(&schedule, now)?;
    }
    prop_assert!(false, "it goes on and on: {:?}", schedule.whole());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_course_keeps_the_rules_and_ends(
        nodes in graphs(), is_behind in prop::bool::weighted(0.2), steps in steps(),
    ) {
        let mut schedule = begun(nodes, is_behind, Mode::Apply);
        let mut now = at(0);
        check(&schedule, now)?;
        for step in &steps {
            let was = schedule.clone();
            let changes = take(&mut schedule, step, &mut now);
            check(&schedule, now)?;
            check_between(&was, &schedule, step, &changes)?;
        }
        check_end(schedule, now)?;
    }

    #[test]
    fn a_kill_at_any_point_changes_nothing(
        nodes in graphs(), is_behind in prop::bool::weighted(0.2), steps in steps(),
        is_removal in prop::bool::weighted(0.1),
    ) {
        let mode = if is_removal { Mode::Delete } else { Mode::Apply };
        let mut steady = begun(nodes, is_behind, mode);
        let mut mortal = steady.clone();
        let mut now = at(0);
        for step in &steps {
            let mut same = now;
            mortal = killed(&mortal).paced(&steady);
            let changes = take(&mut mortal, step, &mut same);
            prop_assert_eq!(take(&mut steady, step, &mut now), changes);
            prop_assert_eq!(now, same);
            prop_assert_eq!(steady.checkpoint(), mortal.checkpoint());
            prop_assert_eq!(steady.next(now), mortal.next(now));
            prop_assert_eq!(steady.waits(), mortal.waits());
        }
    }

    #[test]
    fn what_nothing_stands_against_becomes_live_in_any_order(
        nodes in graphs(), choices in prop::collection::vec(any::<usize>(), 64),
    ) {
        let timely = nodes.into_iter().map(|(name, node)| {
            let hold = node.hold.map(|hold| Hold { approvals: None, ..hold });
            (name, Node { timeout_ms: 3_000_000, when: None, hold, ..node })
        });
        let mut schedule = begun(timely.collect(), false, Mode::Apply);
        let mut written: BTreeMap<String, usize> = BTreeMap::new();
        let mut choices = choices.into_iter().cycle();
        let mut now = at(0);
        for _ in 0..200 {
            if schedule.whole().state.is_live() {
                break;
            }
            check(&schedule, now)?;
            let mut actions = schedule.next(now);
            let wake = actions.pop_if(|action| matches!(action, Action::WakeAt(_)));
            if actions.is_empty() {
                schedule.order(&resume(None), "ann", now).unwrap();
                prop_assert!(wake.is_some());
                continue;
            }
            let action = actions.swap_remove(choices.next().unwrap() % actions.len());
            if let Action::StartNode(turn) = &action {
                *written.entry(turn.node.clone()).or_default() += 1;
            }
            now += TimeDelta::milliseconds(100);
            schedule.happened(answer(action, 255).unwrap(), now);
        }
        prop_assert_eq!(schedule.whole().state, WholeState::Live);
        for (name, progress) in schedule.nodes() {
            let has_objects = !schedule.plan().node(name).unwrap().objects.is_empty();
            prop_assert_eq!(written.get(name).copied(), has_objects.then_some(1), "{}", name);
            prop_assert!(progress.standing.is_ready());
        }
    }
}

impl Schedule {
    /// The same at the pace of another: a pace is a setting and not kept.
    fn paced(mut self, other: &Self) -> Self {
        self.plan.pace = other.plan.pace;
        self
    }
}

#[test]
fn a_checkpoint_of_another_plan_is_refused() {
    let mut rig = Rig::new([node("a", &[]), node("b", &["a"])]);
    rig.applied("a");
    let kept = rig.schedule.checkpoint();
    let other = |nodes: Vec<(String, Node)>| Plan::new(&submission(Mode::Apply, nodes)).unwrap();
    let refused = Schedule::restored(other(vec![node("a", &[])]), kept.clone()).unwrap_err();
    assert!(matches!(refused, CheckpointError::Other { generation: 7, .. }));
    let mut document = serde_json::to_value(&kept).unwrap();
    document["nodes"]["x"] = document["nodes"]["a"].clone();
    let strange = serde_json::from_value(document.clone()).unwrap();
    let same = || rig.schedule.plan().clone();
    assert_eq!(Schedule::restored(same(), strange).unwrap_err(), CheckpointError::Node("x".into()));
    document["format"] = 2.into();
    let newer = serde_json::from_value(document).unwrap();
    assert_eq!(Schedule::restored(same(), newer).unwrap_err(), CheckpointError::Format(2));
    assert!(Schedule::restored(same(), kept).is_ok());
}

#[test]
fn a_checkpoint_holds_only_nodes_with_which_something_happened() {
    let rig = Rig { schedule: begun(vec![node("a", &[])], false, Mode::Apply), now: at(0), told: Vec::new() };
    assert!(serde_json::to_string(&rig.schedule.checkpoint()).unwrap().len() < 800);
    let plan = rig.schedule.plan().clone();
    let unbegun = serde_json::to_value(Schedule::new(plan, at(0)).checkpoint()).unwrap();
    assert_eq!(unbegun["nodes"], json!({}));
}
