//! The emulator as a server: another process, so that its work and the client's are kept apart.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use bulk_triage::client::Origin;
use rustix::process::{Pid, Signal, kill_process};

use super::Result;

/// A running emulator, which ends with this value.
pub(crate) struct Emulator {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
    pub(crate) origin: Origin,
}

/// What an emulator has counted until its end.
pub(crate) struct Counted {
    pub(crate) requests: u64,
    pub(crate) throttled: u64,
}

impl Emulator {
    /// Starts one with these windows and this latency; `seed` draws the latencies.
    pub(crate) fn start(quota: &str, latency: &str, seed: u64) -> Result<Emulator> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_bulk-triage"))
            .args(["emulator", "--quota", quota, "--latency", latency, "--seed", &seed.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let origin = said.next().ok_or("the emulator did not start")??.parse()?;
        Ok(Emulator { process, said, origin })
    }

    /// Asks it to end, and what it has counted.
    pub(crate) fn stop(mut self) -> Result<Counted> {
        kill_process(Pid::from_child(&self.process), Signal::TERM)?;
        let last = self.said.next().ok_or("the emulator did not say what it had counted")??;
        // `120 requests, 0 of them throttled`
        let mut numbers = last.split(' ').filter_map(|word| word.parse().ok());
        let (requests, throttled) = numbers.next().zip(numbers.next()).ok_or("two numbers were expected")?;
        Ok(Counted { requests, throttled })
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may be gone already: then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
