//! Polling simulated clusters: the very ladder of the core, with a clock that jumps from poll to poll.
//!
//! All clusters begin at once, as when a server starts. Once they have settled, some change one by one, and then many
//! at the same moment.

use std::collections::{HashMap, VecDeque};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use slipway_core::ladder::{Climber, Ladder, LadderOptions, Next, Polled};
use slipway_tests::random::Random;

use crate::report::{at_least, below, cpu_seconds, line, memory_mib, quantile, verdict};

/// How many clusters, one after another, each in a process of its own.
const SIZES: [u32; 3] = [1_000, 10_000, 100_000];
/// So many seconds are simulated of settled clusters.
const CALM_S: u64 = 3_600;
/// At least so many clusters change meanwhile, and one in a hundred.
const CHANGES_MIN: u32 = 500;
/// One in so many changes at the same moment.
const STORM_PART: u32 = 5;
/// How long after that moment is simulated, in seconds: it is noticed within 300, and 945 later all is settled again.
const STORM_S: u64 = 1_800;
/// Seconds.
const SETTLED_TARGET: f64 = 16.0 * 60.0;
/// Half of the longest pause, in seconds, and what the limit may add.
const DELAY_TARGET: f64 = 160.0;
/// Bytes a cluster.
const MEMORY_TARGET: f64 = 512.0;
/// The kernel counts memory in pages, so of few clusters little is to be said.
const MEASURABLE_MIN: u32 = 10_000;
const SECOND: Duration = Duration::from_secs(1);

/// All sizes.
pub(crate) fn run() -> Result<bool> {
    let program = std::env::current_exe().context("this program's place")?;
    let mut met = true;
    for size in SIZES {
        met &= Command::new(&program).args(["pull-ladder", &size.to_string()]).status()?.success();
    }
    line("with all that the core has of a cluster but its client, four kinds of three objects in each:");
    for size in SIZES {
        met &= whole(size)?;
    }
    Ok(met)
}

/// The core's own polls of so many clusters, which only its tests can stand in for: in a process of its own.
fn whole(clusters: u32) -> Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tested = Command::new(cargo)
        .args(["test", "--release", "--quiet", "--package", "slipway-core", "--lib", "sense::pull::fleet::"])
        .args(["--", "--nocapture"])
        .env("SLIPWAY_BENCH_CLUSTERS", clusters.to_string())
        .output()
        .context("cargo")?;
    let said = String::from_utf8_lossy(&tested.stdout);
    for counted in said.lines().filter(|line| line.contains(" clusters: ")) {
        line(counted.trim());
    }
    let met = tested.status.success();
    let target = "below the limit, settled in 16 min, each change seen after 160 s on average";
    verdict(met, &format!("{clusters} clusters of the core itself: {target}"));
    if !met {
        line(said.trim());
    }
    Ok(met)
}

/// One size, in this process.
pub(crate) fn run_with(clusters: u32) -> Result<bool> {
    ensure!(clusters > 0, "there is nothing to poll");
    let (began, cpu) = (Instant::now(), cpu_seconds(std::process::id())?);
    let limit = LadderOptions::default().polls_per_second;
    let before = memory_mib(std::process::id(), "VmRSS")?;
    let mut farm = Farm::new(clusters);
    let memory = memory_mib(std::process::id(), "VmRSS")? - before;
    let bytes = memory * 1024.0 * 1024.0 / f64::from(clusters);
    farm.name();
    let settled = farm.settle();
    line(format!(
        "{clusters} clusters: settled after {settled:.0} s, with {} polls, at most {} in a second",
        farm.polls, farm.most
    ));
    let start = farm.most;
    farm.most = 0;
    let (polls, since) = (farm.polls, farm.now);
    farm.change_one_by_one((clusters / 100).max(CHANGES_MIN).min(clusters));
    let rate = per_second(farm.polls - polls, farm.now.saturating_sub(since));
    let delays = std::mem::take(&mut farm.delays);
    line(format!(
        "settled: {rate:.1} polls a second, at most {}; {} changes seen after {:.0} s on average, p99 {:.0} s",
        farm.most,
        delays.len(),
        mean(&delays),
        quantile(&delays, 0.99)
    ));
    let calm = farm.most;
    farm.most = 0;
    farm.storm((clusters / STORM_PART).max(1));
    let storm = std::mem::take(&mut farm.delays);
    line(format!(
        "one in {STORM_PART} changed at once: seen after {:.0} s on average, p99 {:.0} s, at most {} polls in a second",
        mean(&storm),
        quantile(&storm, 0.99),
        farm.most
    ));
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds(std::process::id())? - cpu);
    line(format!(
        "{bytes:.0} bytes a cluster; {:.0} s were simulated in {wall:.1} s, with {:.2} % of a core",
        farm.now.as_secs_f64(),
        cpu / farm.now.as_secs_f64() * 100.0
    ));
    let most = start.max(calm).max(farm.most);
    let limited = verdict_most(clusters, most, limit);
    let settled = below(&format!("{clusters} clusters, settled"), settled, SETTLED_TARGET, "s");
    let seen = below(&format!("{clusters} clusters, mean detection delay"), mean(&delays), DELAY_TARGET, "s");
    let all = at_least(
        &format!("{clusters} clusters, changes seen"),
        f64::from(u32::try_from(storm.len()).unwrap_or(u32::MAX)),
        f64::from((clusters / STORM_PART).max(1)),
        "",
    );
    let small = clusters < MEASURABLE_MIN
        || below(&format!("{clusters} clusters, memory"), bytes, MEMORY_TARGET, "bytes a cluster");
    Ok(limited && settled && seen && all && small)
}

fn verdict_most(clusters: u32, most: usize, limit: u32) -> bool {
    let met = u32::try_from(most).is_ok_and(|most| most <= limit);
    verdict(met, &format!("{clusters} clusters, polls in any second: {most} (target at most {limit})"));
    met
}

/// Clusters that answer at once.
struct Farm {
    ladder: Ladder,
    climbers: Vec<Climber>,
    /// By which number each is known here.
    numbers: HashMap<Climber, usize>,
    now: Duration,
    polls: u64,
    /// The polls of the last second.
    second: VecDeque<Duration>,
    /// The most polls that any second had.
    most: usize,
    /// When those changed whose change nobody has seen.
    unseen: HashMap<usize, Duration>,
    /// After how many seconds changes were seen.
    delays: Vec<f64>,
}

impl Farm {
    fn new(clusters: u32) -> Self {
        let mut ladder = Ladder::new(LadderOptions::default());
        let mut hashes = Random::new(1);
        let climbers = (0..clusters).map(|_| ladder.add(hashes.below(u64::MAX), Duration::ZERO)).collect();
        Self {
            ladder,
            climbers,
            numbers: HashMap::new(),
            now: Duration::ZERO,
            polls: 0,
            second: VecDeque::new(),
            most: 0,
            unseen: HashMap::new(),
            delays: Vec::new(),
        }
    }

    /// What the simulation itself needs, and a core does not.
    fn name(&mut self) {
        self.numbers = self.climbers.iter().enumerate().map(|(number, climber)| (*climber, number)).collect();
    }

    fn until(&mut self, end: Duration) {
        loop {
            match self.ladder.next(self.now) {
                Next::Poll(climber) => self.poll(climber),
                Next::At(at) if at <= end => self.now = at,
                Next::At(_) | Next::Nothing => {
                    self.now = end;
                    return;
                }
            }
        }
    }

    fn poll(&mut self, climber: Climber) {
        self.polls += 1;
        self.second.push_back(self.now);
        while self.second.front().is_some_and(|first| *first + SECOND <= self.now) {
            self.second.pop_front();
        }
        self.most = self.most.max(self.second.len());
        let changed = self.numbers.get(&climber).and_then(|number| self.unseen.remove(number));
        let polled = match changed {
            Some(at) => {
                self.delays.push(self.now.saturating_sub(at).as_secs_f64());
                Polled::Changed
            }
            None => Polled::Unchanged,
        };
        self.ladder.polled(climber, polled, self.now);
    }

    /// Goes on until all stand on the last rung; gives after how many seconds.
    fn settle(&mut self) -> f64 {
        let began = self.now;
        while !self.climbers.iter().all(|climber| self.ladder.is_settled(*climber)) {
            self.until(self.now + SECOND);
        }
        self.now.saturating_sub(began).as_secs_f64()
    }

    /// So many change, each at its own time.
    fn change_one_by_one(&mut self, count: u32) {
        let mut random = Random::new(2);
        let mut numbers: Vec<usize> = (0..self.climbers.len()).collect();
        random.shuffle(&mut numbers);
        let mut times: Vec<u64> = (0..count).map(|_| random.below(CALM_S * 1_000)).collect();
        times.sort_unstable();
        let began = self.now;
        for (ms, number) in times.into_iter().zip(numbers) {
            self.until(began + Duration::from_millis(ms));
            self.unseen.insert(number, self.now);
        }
        self.until(began + Duration::from_secs(CALM_S));
        while !self.unseen.is_empty() {
            self.until(self.now + SECOND);
        }
    }

    /// So many change at the same moment.
    fn storm(&mut self, count: u32) {
        for number in (0..self.climbers.len()).take(usize::try_from(count).unwrap_or(usize::MAX)) {
            self.unseen.insert(number, self.now);
        }
        self.until(self.now + Duration::from_secs(STORM_S));
    }
}

fn mean(values: &[f64]) -> f64 {
    let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
    values.iter().sum::<f64>() / f64::from(count.max(1))
}

fn per_second(polls: u64, time: Duration) -> f64 {
    f64::from(u32::try_from(polls).unwrap_or(u32::MAX)) / time.as_secs_f64()
}
