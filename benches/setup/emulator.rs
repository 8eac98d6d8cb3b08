//! The emulator in a process of its own, so its work does not count as the client's.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use bulk_triage::client::Origin;
use rustix::process::{Pid, Signal, kill_process};

use super::Result;

/// A running emulator; it is killed on drop.
pub(crate) struct Emulator {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
    pub(crate) origin: Origin,
}

pub(crate) struct Counted {
    pub(crate) requests: u64,
    pub(crate) throttled: u64,
}

impl Emulator {
    /// `seed` determines the latencies.
    pub(crate) fn start(quota: &str, latency: &str, seed: u64) -> Result<Emulator> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_bulk-triage"))
            .arg("--no-config")
            .args(["emulator", "--quota", quota, "--latency", latency, "--seed", &seed.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut said = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let origin = said.next().ok_or("the emulator did not start")??.parse()?;
        Ok(Emulator { process, said, origin })
    }

    /// Terminates it and returns its counts.
    pub(crate) fn stop(mut self) -> Result<Counted> {
        kill_process(Pid::from_child(&self.process), Signal::TERM)?;
        let last = self.said.next().ok_or("the emulator printed no counts")??;
        // `120 requests, 0 throttled`
        let mut numbers = last.split(' ').filter_map(|word| word.parse().ok());
        let (requests, throttled) = numbers.next().zip(numbers.next()).ok_or("two numbers were expected")?;
        Ok(Counted { requests, throttled })
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Fails if it has already exited.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
