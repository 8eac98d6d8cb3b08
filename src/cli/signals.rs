//! Signals: the first one asks a run to stop, the second one ends it, and SIGUSR1 asks for the progress.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

use super::patience;
use super::terminal::is_ignored;
use crate::cli::error::Error;
use crate::cli::exit;
use crate::clock::Clock;

/// What signals ask for.
struct Signals {
    /// Turns true at the first one.
    stop: watch::Receiver<bool>,
    /// Gets the exit code at the second one.
    end_at_once: oneshot::Receiver<u8>,
}

/// After the second signal, how long a run may take to end in order.
const IN_ORDER: Duration = Duration::from_millis(500);

/// From now on SIGUSR1, which asks for the progress, ends nothing, also where there is no progress to show.
pub(super) fn outlive_usr1() {
    // If it can't be heard, it ends the process, as it does by default.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGUSR1, std::sync::Arc::default());
}

/// Listens for Ctrl-C, SIGTERM and SIGHUP from now on. After the second one the process ends, whatever it waits for: all
/// that must not be lost is in the journal. At SIGUSR1 `progress` is called.
///
/// # Errors
/// If the runtime can't listen for signals.
fn listen(clock: Clock, progress: impl Fn() + Send + 'static) -> Result<Signals, Error> {
    patience::others_listen();
    let listen = |kind| signal(kind).map_err(|source| Error::Io { what: "cannot listen for signals", source });
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    // Who starts it with `nohup` means it.
    let mut hangup =
        if is_ignored(SignalKind::hangup().as_raw_value()) { None } else { Some(listen(SignalKind::hangup())?) };
    let mut asked = listen(SignalKind::user_defined1())?;
    tokio::spawn(async move {
        while asked.recv().await.is_some() {
            progress();
        }
    });
    let (stop, stopped) = watch::channel(false);
    let (end, ended) = oneshot::channel();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => exit::INTERRUPTED,
                _ = terminate.recv() => exit::TERMINATED,
                () = came(hangup.as_mut()) => exit::TERMINATED,
            }
        };
        next().await;
        // If nobody listens any more, the run has finished and there is nothing to stop.
        let _ = stop.send(true);
        let code = next().await;
        if end.send(code).is_ok() {
            clock.sleep_briefly_until(clock.now().boot + IN_ORDER).await;
            #[expect(
                clippy::disallowed_methods,
                reason = "the thread that would return waits for a disk or a terminal"
            )]
            std::process::exit(code.into());
        }
    });
    Ok(Signals { stop: stopped, end_at_once: ended })
}

/// Polls what `run` returns until it is done, or until a second signal ends it at once. The first one asks it to stop.
///
/// # Errors
/// If it is ended at once, or the runtime can't listen for signals.
pub(super) async fn until_ended<R>(
    clock: Clock,
    progress: impl Fn() + Send + 'static,
    run: impl AsyncFnOnce(watch::Receiver<bool>) -> R,
) -> Result<R, Error> {
    let signals = listen(clock, progress)?;
    tokio::select! {
        done = run(signals.stop) => Ok(done),
        code = signals.end_at_once => {
            Err(Error::Ended { code: code.unwrap_or(exit::INTERRUPTED), message: "interrupted".to_owned() })
        }
    }
}

/// Done when the signal has come; without one, never.
async fn came(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
