//! Time: the only reader of clocks and the only sleep.
//!
//! Two times are kept apart. [`BootTime`] decides: it counts from the machine's start, is shared by all processes of a
//! host, and neither steps of the clock nor sleep of the machine touch it (Linux `CLOCK_BOOTTIME`). The wall time
//! ([`jiff::Timestamp`]) is shown, and decides only across a reboot.

use std::ops::{Add, Sub};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// No sleep is longer than this without a look at the clock again: a suspended machine wakes into the right time.
const LONGEST_NAP: Duration = Duration::from_secs(5);

/// Microseconds since the machine started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub i64);

impl BootTime {
    /// The time from `earlier` to `self`; zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: BootTime) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// A duration in whole microseconds, as times are stored; durations beyond the range saturate.
#[must_use]
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Add<Duration> for BootTime {
    type Output = BootTime;
    fn add(self, duration: Duration) -> BootTime {
        BootTime(self.0.saturating_add(micros(duration)))
    }
}

impl Sub<Duration> for BootTime {
    type Output = BootTime;
    fn sub(self, duration: Duration) -> BootTime {
        BootTime(self.0.saturating_sub(micros(duration)))
    }
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What the quota and every wait count in.
    pub boot: BootTime,
    /// What a person is shown.
    pub wall: Timestamp,
}

impl Now {
    /// The wall time that will be shown at `boot`, if nobody sets the clock.
    #[must_use]
    pub fn wall_at(&self, boot: BootTime) -> Timestamp {
        let delta = jiff::SignedDuration::from_micros(boot.0.saturating_sub(self.boot.0));
        self.wall.saturating_add(delta).unwrap_or(self.wall)
    }

    /// The boot time of a wall time, if nobody sets the clock.
    #[must_use]
    pub fn boot_at(&self, wall: Timestamp) -> BootTime {
        BootTime(self.boot.0.saturating_add(wall.as_microsecond().saturating_sub(self.wall.as_microsecond())))
    }
}

/// Where time comes from: the machine, or tokio's clock, which a test can pause.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    boot_id: Arc<str>,
}

#[derive(Clone, Debug)]
enum Source {
    Machine,
    Tokio { start: tokio::time::Instant, at_start: Now },
}

impl Clock {
    /// The machine's clocks.
    #[must_use]
    pub fn machine() -> Clock {
        Clock { source: Source::Machine, boot_id: machine_boot_id() }
    }

    /// Follows tokio's clock from `at_start` on, so that under `tokio::time::pause` a day takes no time.
    #[must_use]
    pub fn simulated(at_start: Now, boot_id: &str) -> Clock {
        Clock { source: Source::Tokio { start: tokio::time::Instant::now(), at_start }, boot_id: boot_id.into() }
    }

    /// Both clocks, now.
    #[must_use]
    pub fn now(&self) -> Now {
        match &self.source {
            Source::Machine => Now { boot: machine_boot_time(), wall: machine_wall_time() },
            Source::Tokio { start, at_start } => {
                let boot = at_start.boot + start.elapsed();
                Now { boot, wall: at_start.wall_at(boot) }
            }
        }
    }

    /// Names this start of the machine: boot times of different ids can't be compared.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Sleeps until `deadline`, or for some seconds if that is sooner: callers look again and call again.
    #[expect(clippy::disallowed_methods, reason = "the one sleep of the program")]
    pub async fn sleep_briefly_until(&self, deadline: BootTime) {
        tokio::time::sleep(deadline.since(self.now().boot).min(LONGEST_NAP)).await;
    }

    /// Sleeps until `deadline` has come.
    pub async fn sleep_until(&self, deadline: BootTime) {
        while self.now().boot < deadline {
            self.sleep_briefly_until(deadline).await;
        }
    }
}

/// Lets the other tasks of this process go on for so long.
#[expect(clippy::disallowed_methods, reason = "the one sleep of the program")]
pub(crate) async fn give_way(time: Duration) {
    tokio::time::sleep(time).await;
}

#[expect(clippy::disallowed_methods, reason = "the one reader of the wall clock")]
fn machine_wall_time() -> Timestamp {
    Timestamp::now()
}

#[cfg(target_os = "linux")]
fn machine_boot_time() -> BootTime {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    BootTime(time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000))
}

#[cfg(target_os = "linux")]
fn machine_boot_id() -> Arc<str> {
    crate::files::read_kernel_text("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".into(), |id| id.trim().into())
}

/// Elsewhere the wall clock is the one clock that all processes of a host share.
#[cfg(not(target_os = "linux"))]
fn machine_boot_time() -> BootTime {
    BootTime(machine_wall_time().as_microsecond())
}

#[cfg(not(target_os = "linux"))]
fn machine_boot_id() -> Arc<str> {
    "wall".into()
}
