//! Promise 3: an attempt is on disk before its bytes leave.
//!
//! Whenever a process is killed, the journal knows at least the requests that the server has seen.

use std::time::Duration;

use crate::program::{Program, closing};

#[test]
fn killed_process_has_recorded_every_request() {
    for kill_at in [1, 2, 5, 9, 17, 30] {
        let program = Program::new().file("a.csv", closing(1..=60)).emulator(|settings| {
            settings.latency = Duration::ZERO..=Duration::from_millis(15);
        });
        let running = program.start_sending("a.csv");
        program.wait_for_requests(kill_at);
        running.kill();
        let run = program.last_run();
        let known = program.run(&format!("runs show {run} --format json")).expect_code(0).json()["calls"].clone();
        let seen = program.requests().len() as u64;
        assert!(known.as_u64() >= Some(seen), "the server saw {seen}, the journal knows {known}");
    }
}
