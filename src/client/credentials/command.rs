//! A command that prints a token: the user's own, or `az`.
//!
//! Promises: it runs without a shell and without standard input, for at most 30 s; its output is read up to a bound and
//! never shown. It doesn't get `BULK_TRIAGE_TOKEN`; the rest of the environment is its own.

use std::ffi::OsString;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretSlice};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::reply::fresh_token;
use crate::client::sign_in_error::SignInError;
use crate::client::token_source::{BoxFuture, Supply, Token, TokenError, TokenSource};
use crate::client::token_text::LONGEST;
use crate::clock::Clock;
use crate::text::printable;

/// How long it may run.
const LIMIT: Duration = Duration::from_secs(30);
/// How long the rest of its output may take after it has ended.
const AFTER_EXIT: Duration = Duration::from_secs(1);
/// A longer word in an error message may be a secret. A GUID has 36 characters, a client secret 40.
const LONGEST_WORD: usize = 36;

/// A command that prints a token.
#[derive(Clone, Debug)]
pub struct TokenCommand {
    program: OsString,
    arguments: Vec<OsString>,
    name: String,
    /// For each failure that the program explains in its last line of standard error: a part of it, and what to do.
    hints: &'static [(&'static str, &'static str)],
    clock: Clock,
}

/// What `az` prints in common failures.
const AZ_HINTS: &[(&str, &str)] = &[
    ("az login", "sign in with `az login --service-principal` or `az login --identity`"),
    ("AADSTS65001", "a user of `az` can't have this permission: use a service principal, or another --auth"),
    ("AADSTS65002", "a user of `az` can't have this permission: use a service principal, or another --auth"),
];

impl TokenCommand {
    /// A command line, split by the quoting rules of POSIX shells; nothing is expanded.
    ///
    /// # Errors
    /// If a quote is not closed, or there is no program.
    pub fn parse(line: &str, clock: Clock) -> Result<TokenCommand, String> {
        let words = shlex::split(line).ok_or("a quotation mark is not closed")?;
        let mut words = words.into_iter().map(OsString::from);
        let program = words.next().filter(|program| !program.is_empty()).ok_or("it names no program")?;
        let name = format!("the token command `{}`", printable(&program.to_string_lossy()));
        Ok(TokenCommand { program, arguments: words.collect(), name, hints: &[], clock })
    }

    /// The Azure CLI's token for a resource, in the tenant if one is named.
    #[must_use]
    pub fn azure_cli(resource: &str, tenant: Option<&str>, clock: Clock) -> TokenCommand {
        let words = ["account", "get-access-token", "--output", "json", "--resource", resource];
        let tenant = tenant.into_iter().flat_map(|tenant| ["--tenant", tenant]);
        let arguments = words.into_iter().chain(tenant).map(OsString::from).collect();
        TokenCommand { program: "az".into(), arguments, name: "`az`".to_owned(), hints: AZ_HINTS, clock }
    }

    async fn token(&self) -> Result<Token, TokenError> {
        let mut child = Group(self.start()?);
        let started = self.clock.now();
        let ended = tokio::select! {
            ended = self.end_of(&mut child.0) => ended?,
            () = self.clock.sleep_until(started.boot + LIMIT) => {
                return Err(self.refused(format!("it ran for more than {} s", LIMIT.as_secs()), None).into());
            }
        };
        if !ended.status.success() {
            return Err(self.failed(ended.status, &ended.last_line).into());
        }
        // What it prints was true when it was started, or later.
        let found = fresh_token(ended.output.expose_secret(), started);
        found.map_err(|why| self.refused(format!("its output {why}"), None).into())
    }

    fn start(&self) -> Result<Child, SignInError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_remove("BULK_TRIAGE_TOKEN");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // Its own group: its children end with it, and Ctrl-C leaves it to this process.
        #[cfg(unix)]
        command.process_group(0);
        command.spawn().map_err(|error| {
            let is_missing = error.kind() == std::io::ErrorKind::NotFound;
            self.refused(
                format!("it cannot be run: {error}"),
                is_missing.then(|| "install it, or give its whole path".to_owned()),
            )
        })
    }

    async fn end_of(&self, child: &mut Child) -> Result<Ended, TokenError> {
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let status = {
            let mut reading = pin!(async { tokio::join!(read(stdout, &mut output), read(stderr, &mut errors)) });
            let status = tokio::select! {
                _ = &mut reading => None,
                status = child.wait() => Some(status),
            };
            match status {
                None => child.wait().await,
                // A child of its own may hold the pipes.
                Some(status) => {
                    let until = self.clock.now().boot + AFTER_EXIT;
                    tokio::select! {
                        _ = &mut reading => {}
                        () = self.clock.sleep_until(until) => {}
                    }
                    status
                }
            }
        };
        let (output, errors) = (SecretSlice::from(output), SecretSlice::from(errors));
        let status = status.map_err(|error| self.refused(format!("it cannot be awaited: {error}"), None))?;
        let errors = String::from_utf8_lossy(errors.expose_secret()).into_owned();
        let last_line = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        Ok(Ended { status, output, last_line: without_tokens(last_line) })
    }

    fn failed(&self, status: ExitStatus, last_line: &str) -> SignInError {
        let said = if last_line.is_empty() { String::new() } else { format!(": {last_line}") };
        let hint = self.hints.iter().find(|(part, _)| last_line.contains(part)).map(|(_, hint)| (*hint).to_owned());
        let how =
            status.code().map_or_else(|| "it was killed".to_owned(), |code| format!("it ended with exit code {code}"));
        self.refused(format!("{how}{said}"), hint)
    }

    fn refused(&self, message: String, hint: Option<String>) -> SignInError {
        SignInError::Refused { from: self.name.clone(), message, hint }
    }
}

impl TokenSource for TokenCommand {
    fn fetch(&self) -> BoxFuture<'_, Result<Token, TokenError>> {
        Box::pin(self.token())
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn supply(&self) -> Supply {
        Supply::Issuer { patience: Duration::ZERO }
    }
}

struct Ended {
    status: ExitStatus,
    output: SecretSlice<u8>,
    last_line: String,
}

/// A process group, which ends with this value.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.0.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            // It may have ended in this moment.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// The start of an output, one byte longer than any token at most. The rest is read and dropped, so that the program can
/// write it.
async fn read(output: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    if let Some(mut output) = output {
        // What was read before an error is used; the exit code tells the rest.
        let _ = (&mut output).take(LONGEST as u64 + 1).read_to_end(kept).await;
        let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
    }
}

/// A line to show, with words that may be tokens left out.
fn without_tokens(line: &str) -> String {
    let is_long = |word: &str| word.len() > LONGEST_WORD;
    let words = line.split(' ').map(|word| {
        let parts = word.split(|c: char| !(c.is_ascii_alphanumeric() || "-._~+=".contains(c)));
        if parts.into_iter().any(is_long) { "…" } else { word }
    });
    printable(&words.collect::<Vec<_>>().join(" ")).into_owned()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    async fn run(line: &str) -> Result<Token, TokenError> {
        TokenCommand::parse(line, Clock::machine()).expect("a command line").fetch().await
    }

    async fn error(line: &str) -> String {
        run(line).await.expect_err("fails").to_string()
    }

    #[tokio::test]
    async fn output_of_program_is_token_or_json() {
        for line in
            ["echo eyJ0.eyJ1.c2ln", r#"echo '{"accessToken":"eyJ0.eyJ1.c2ln"}'"#, r#"printf "eyJ0.%s" eyJ1.c2ln"#]
        {
            assert_eq!(run(line).await.expect(line).text.expose_secret(), "eyJ0.eyJ1.c2ln");
        }
        let timed = run(r#"echo '{"accessToken":"eyJ0","expires_on":1795514437}'"#).await.expect("a token");
        assert_eq!(timed.expires, Some("2026-11-24T10:00:37Z".parse().expect("a time")));
    }

    #[tokio::test]
    async fn child_that_keeps_output_open_is_not_awaited() {
        // It ends soon after the test, and what it would add would be no part of a token.
        let token = run("sh -c '(sleep 5; echo late) & echo eyJ0.eyJ1.c2ln'").await.expect("a token");
        assert_eq!(token.text.expose_secret(), "eyJ0.eyJ1.c2ln");
    }

    #[tokio::test]
    async fn failure_shows_exit_code_and_last_line() {
        assert_eq!(
            error("sh -c 'echo s3cret; echo first >&2; echo not signed in >&2; exit 7'").await,
            "no token from the token command `sh`: it ended with exit code 7: not signed in"
        );
        assert_eq!(error("false").await, "no token from the token command `false`: it ended with exit code 1");
        assert_eq!(error("sh -c 'kill -9 $$'").await, "no token from the token command `sh`: it was killed");
        assert!(error("no-such-program-here").await.contains("it cannot be run: No such file"));
        let long = format!("sh -c 'echo refused {} >&2; exit 1'", "eyJ0".repeat(20));
        assert!(error(&long).await.ends_with("exit code 1: refused …"));
        let secret = "sh -c 'echo wrong: abc8Q~0123456789abcdefghij0123456789_-.x >&2; exit 1'";
        assert!(error(secret).await.ends_with("exit code 1: wrong: …"));
    }

    #[tokio::test]
    async fn output_is_bounded_and_never_shown() {
        for line in ["echo Bearer s3cret", "echo '\"s3cret\"'", "sh -c 'yes s3cret | head -c 100000'", "true"] {
            let error = error(line).await;
            assert!(error.contains("its output ") && !error.contains("s3cret"), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn command_is_killed_after_thirty_seconds() {
        let clock = Clock::simulated(Clock::machine().now(), "boot");
        let command = TokenCommand::parse("sleep 1000", clock.clone()).expect("a command line");
        let began = clock.now().boot;
        let error = command.fetch().await.expect_err("takes too long").to_string();
        assert_eq!(error, "no token from the token command `sleep`: it ran for more than 30 s");
        assert_eq!(clock.now().boot.since(began), LIMIT);
    }

    #[test]
    fn command_line_is_split_and_nothing_expanded() {
        let parse = |line: &str| TokenCommand::parse(line, Clock::machine());
        let command = parse(r#"vault read -field=token 'a b' "c$HOME" *.x"#).expect("a command line");
        assert_eq!(command.arguments, ["read", "-field=token", "a b", "c$HOME", "*.x"]);
        assert_eq!(parse("a 'b").expect_err("open"), "a quotation mark is not closed");
        assert_eq!(parse("  ").expect_err("empty"), "it names no program");
    }
}
