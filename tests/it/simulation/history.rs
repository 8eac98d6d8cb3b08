//! The history of one seed: starts that are ended early, then uninterrupted ones, and one more after the run has
//! finished.

use std::sync::Arc;
use std::time::Duration;

use bulk_triage::journal::RunState;

use super::checks;
use super::process::{Disk, Ended, Meant, disk, start};
use super::scenario::{Command, Scenario};
use super::server::Applied;
use super::world::World;

/// More starts than any command needs.
const STARTS: u32 = 60;
/// A seed that has not finished by then never will.
const ENDS_BY: Duration = Duration::from_hours(48);

/// The result of a seed.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) trace: Vec<String>,
    pub(super) breaches: Vec<String>,
}

/// Plays a seed and checks the promises. The trace takes time, so it is kept only on request.
pub(super) fn play(seed: u64, traced: bool) -> Verdict {
    let (_directory, disk) = disk();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let world = Arc::new(World::new(Scenario::draw(seed), &disk.state_dir(), traced));
        world.note(format_args!("{:?}", world.scenario));
        if tokio::time::timeout(ENDS_BY, Box::pin(whole(&world, &disk))).await.is_err() {
            world.breach("the seed never ends");
        }
        checks::server(&world);
        let state = &mut *world.state();
        Verdict { trace: state.trace.take().unwrap_or_default(), breaches: std::mem::take(&mut state.breaches) }
    })
}

async fn whole(world: &Arc<World>, disk: &Disk) {
    let commands = &world.scenario.commands;
    match &commands[..] {
        [first, second] if world.scenario.together => {
            tokio::join!(until_over(world, disk, first), until_over(world, disk, second));
        }
        commands => {
            for command in commands {
                until_over(world, disk, command).await;
            }
        }
    }
    for command in commands {
        once_more(world, disk, command).await;
    }
}

/// Starts a command until its run is finished.
async fn until_over(world: &Arc<World>, disk: &Disk, command: &Command) {
    let mut early = world.scenario.ended_early;
    for _ in 0..STARTS {
        let meant = if early > 0 { ended_early(world) } else { Meant::Whole };
        early = early.saturating_sub(1);
        match start(world, disk, command, meant).await {
            Ended::Dead | Ended::Held | Ended::NoToken | Ended::Stopped => {}
            Ended::Accounted { run, state } => {
                let outcomes = checks::results(world, command, &run, &disk.results(command));
                if state == RunState::Over {
                    all_done(world, command, &outcomes);
                    return;
                }
                // Nobody can tell whether such a row was applied: it is in doubt at every start.
                let is_open = |outcome: &String| outcome == "not-attempted" || outcome == "in-doubt";
                let stays = outcomes.iter().filter(|outcome| is_open(outcome)).all(|outcome| outcome == "in-doubt");
                if world.scenario.may_stay_in_doubt && matches!(meant, Meant::Whole) && stays {
                    return;
                }
            }
        }
        let pause = world.draw_ms(0..=if early > 0 { 5_000 } else { 60_000 });
        world.sleep(pause).await;
        world.pass_time();
    }
    world.breach(format_args!("{} is not finished after {STARTS} starts", command.name));
}

/// With few faults and enough attempts, every row is applied.
fn all_done(world: &World, command: &Command, outcomes: &[String]) {
    let is_done = |outcome: &String| outcome == "updated" || outcome == "unchanged";
    let open = |outcome: &String| outcome == "not-attempted" || outcome == "in-doubt";
    // An unexplained comment blocks every other row with a comment for that incident.
    let may_fail = world.scenario.may_fail() || world.scenario.may_stay_in_doubt;
    if outcomes.iter().any(open) || !may_fail && !outcomes.iter().all(is_done) {
        world.breach(format_args!("{} is finished, but its rows are {outcomes:?}", command.name));
    }
}

/// The finished command, repeated, sends nothing if its changes are remembered and nobody has undone them.
async fn once_more(world: &Arc<World>, disk: &Disk, command: &Command) {
    let scenario = &world.scenario;
    let conflicts = command.rows.iter().any(|row| scenario.conflicts(row.incident));
    if scenario.remember.is_zero() {
        // It is sent again, which can fail again.
        world.state().faults_left = scenario.faults;
    }
    let (counted, last) = {
        let server = &world.state().server;
        let attempts = server.applied.iter().map(|applied| applied.origin.attempt);
        (server.counted.len(), attempts.max().unwrap_or_default())
    };
    let ended = start(world, disk, command, Meant::Whole).await;
    if let Ended::Accounted { run, .. } = &ended {
        checks::results(world, command, run, &disk.results(command));
    }
    let calls = {
        let server = &world.state().server;
        // Its reads are requests that send nothing, and a lost update of before may take effect as late as now.
        let is_its_own = |applied: &&Applied| applied.origin.attempt > last;
        if scenario.compares {
            server.applied.iter().filter(is_its_own).count()
        } else {
            server.counted.len() - counted
        }
    };
    if !scenario.may_fail() && !scenario.may_stay_in_doubt && !conflicts && !scenario.remember.is_zero() && calls > 0 {
        world.breach(format_args!("{} was finished, but sent {calls} more requests", command.name));
    }
}

fn ended_early(world: &World) -> Meant {
    let dice = &mut world.state().dice;
    match dice.u8(..8) {
        0..=3 => Meant::DiesAt(dice.u32(1..=80)),
        4 | 5 => Meant::DiesAfter(Duration::from_millis(dice.u64(0..=30_000))),
        6 => Meant::StopsAfter(Duration::from_millis(dice.u64(0..=10_000))),
        _ => Meant::Deadline(Duration::from_millis(dice.u64(0..=10_000))),
    }
}
