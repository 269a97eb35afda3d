//! What a server costs that has nothing to do.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Fleet;
use crate::report::{line, memory_mib};

/// How long the server may take to come to rest.
const RESTS_WITHIN: Duration = Duration::from_mins(10);
/// It rests once it takes less than this share of a core, in percent, for so long.
const REST_SHARE: f64 = 5.0;
const REST_FOR: Duration = Duration::from_secs(30);
/// How long a server at rest is measured, and how often.
const IDLE_FOR: Duration = Duration::from_mins(2);
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// Shares of a core in percent, memory in MiB.
pub(super) struct Rest {
    pub(super) share_mean: f64,
    pub(super) memory_most: f64,
}

impl Fleet {
    /// The shares of a core that we and the API server take for so long, in percent.
    fn shares(&self, time: Duration) -> Result<(f64, f64)> {
        let (before, began) = (self.cpu()?, Instant::now());
        thread::sleep(time);
        let (after, took) = (self.cpu()?, began.elapsed().as_secs_f64());
        Ok(((after.0 - before.0) / took * 100.0, (after.1 - before.1) / took * 100.0))
    }

    /// Waits until the server has done all that follows a first apply, then measures it over the whole of a while.
    pub(super) fn rest(&self) -> Result<Rest> {
        let began = Instant::now();
        loop {
            let (ours, _) = self.shares(REST_FOR)?;
            if ours < REST_SHARE {
                break;
            }
            ensure!(began.elapsed() < RESTS_WITHIN, "it takes {ours:.1} % of a core still");
        }
        line(format!("at rest after {:.0} s", began.elapsed().as_secs_f64()));
        let (before, began) = (self.cpu()?, Instant::now());
        let (mut shares, mut memory) = (Vec::new(), Vec::new());
        while began.elapsed() < IDLE_FOR {
            shares.push(self.shares(SAMPLE_EVERY)?.0);
            memory.push(memory_mib(self.server.pid(), "VmRSS")?);
        }
        let (after, took) = (self.cpu()?, began.elapsed().as_secs_f64());
        let share_mean = (after.0 - before.0) / took * 100.0;
        let memory_most = most(&memory);
        line(format!(
            "at rest for {took:.0} s, looked at every {} s: {share_mean:.2} % of a core on average, {:.2} % at most; \
             {:.0} MiB on average, {memory_most:.0} MiB at most; the API server {:.2} %",
            SAMPLE_EVERY.as_secs(),
            most(&shares),
            memory.iter().sum::<f64>() / f64::from(u32::try_from(memory.len())?),
            (after.1 - before.1) / took * 100.0
        ));
        Ok(Rest { share_mean, memory_most })
    }
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}
