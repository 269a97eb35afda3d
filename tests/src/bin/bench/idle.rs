//! Start to ready, and the memory of a server that nobody uses.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use slipway_tests::server::Server;

use crate::report::{ROUNDS, below, line, median, memory_mib, ms};

const READY_TARGET_MS: f64 = 1000.0;
const MEMORY_TARGET_MIB: f64 = 60.0;
/// How long a server is left alone before its memory is read.
const ALONE: Duration = Duration::from_secs(10);

pub(crate) fn run() -> Result<bool> {
    line("each round a new data directory; memory is VmRSS after 10 s");
    let (mut ready, mut memory) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let began = Instant::now();
        let server = Server::fresh();
        ready.push(ms(began.elapsed()));
        sleep(ALONE);
        memory.push(memory_mib(server.pid(), "VmRSS")?);
        line(format!("round {round}: ready after {:.0} ms, {:.1} MiB", ready[round - 1], memory[round - 1]));
    }
    let ready = below("start to ready, median", median(&ready), READY_TARGET_MS, "ms");
    let memory = below("idle memory, median", median(&memory), MEMORY_TARGET_MIB, "MiB");
    Ok(ready && memory)
}
