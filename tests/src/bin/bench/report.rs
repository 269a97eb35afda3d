//! Numbers with their units, and whether they meet their targets.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Rounds of every bench that has rounds.
pub(crate) const ROUNDS: usize = 5;

/// What is measured and on what.
pub(crate) fn heading(name: &str) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    println!("{name}: {cores} cores, Linux {}, load before {load}", kernel.trim());
}

/// One line of explanation or of a single measurement.
pub(crate) fn line(text: impl AsRef<str>) {
    println!("  {}", text.as_ref());
}

/// The value in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that the share `q` of all values does not exceed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "there are fewer values than an f64 counts exactly"
)]
pub(crate) fn quantile(values: &[f64], q: f64) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Milliseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Prints a value with its upper limit; `true` if it is below.
pub(crate) fn below(what: &str, value: f64, limit: f64, unit: &str) -> bool {
    let met = value < limit;
    verdict(met, &format!("{what}: {value:.1} {unit} (target below {limit} {unit})"));
    met
}

/// Prints a value with its lower limit; `true` if it is reached.
pub(crate) fn at_least(what: &str, value: f64, limit: f64, unit: &str) -> bool {
    let met = value >= limit;
    verdict(met, &format!("{what}: {value:.1} {unit} (target at least {limit} {unit})"));
    met
}

/// Prints whether something holds.
pub(crate) fn verdict(met: bool, text: &str) {
    println!("{}  {text}", if met { "PASS" } else { "FAIL" });
}

/// How long a process was on a core so far, in seconds. The kernel counts it in hundredths on every architecture
/// (`USER_HZ`, proc(5)).
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process has ended")?;
    // Its name, which may have anything in it, stands in brackets.
    let (_, rest) = stat.rsplit_once(')').context("/proc/PID/stat names no program")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| -> Result<f64> {
        Ok(fields.get(at).context("/proc/PID/stat is too short")?.parse::<f64>()?)
    };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// A line of `/proc/PID/status` in MiB: `VmRSS` is the memory in use, `VmHWM` the most there was.
pub(crate) fn memory_mib(pid: u32, key: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the server has ended")?;
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let value = value.and_then(|value| value.trim().strip_suffix(" kB"));
    let kib: f64 = value.with_context(|| format!("/proc/{pid}/status has no {key}"))?.parse()?;
    Ok(kib / 1024.0)
}
