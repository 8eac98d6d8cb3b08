//! Three nights of a job that a new user has set up from docs/nightly.md, against the emulator: a normal one, one with an
//! expired secret, one with a service that is down.
//!
//! There is no scheduler here: the test does what systemd, cron, Kubernetes, GitHub and Azure would do with the samples.
//! It adds where the emulator is, and takes the patience away, because its nights are short.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::{container_arguments, cron_lines, sample, unit_settings, yaml_steps, yaml_values};
use crate::faults::{is_root, tell};
use crate::program::{Ended, Program, at_once, closing, fault_of, files_below, finished, of_the_project, started};
use crate::sign_in::kinds::{CLIENT, GITHUB_TOKEN, HOUR, Job, Kind, TENANT, write_secret};
use crate::sign_in::sinks::Secrets;

/// What runs the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scheduler {
    Systemd,
    Cron,
    Container,
    GitHub,
    Azure,
}

use Scheduler::{Azure, Container, Cron, GitHub, Systemd};

impl Scheduler {
    fn credential(self) -> Kind {
        match self {
            Systemd | Cron => Kind::ClientSecret,
            Container => Kind::WorkloadIdentity,
            GitHub => Kind::GithubOidc,
            Azure => Kind::AzureCli,
        }
    }

    /// The fault of an expired credential.
    fn expired(self) -> &'static str {
        match self {
            Systemd | Cron | Azure => "aadsts7000222@1-",
            Container => "aadsts700024@1-",
            GitHub => "aadsts700213@token",
        }
    }

    /// Where the job writes its metrics. GitHub's runners are monitored by GitHub.
    fn metrics(self) -> Option<&'static str> {
        match self {
            Systemd => Some("var/lib/bulk-triage/close.prom"),
            Cron => Some("srv/triage/metrics/close.prom"),
            Container => Some("state/close.prom"),
            GitHub => None,
            Azure => Some("var/lib/bulk-triage/metrics/close.prom"),
        }
    }
}

/// A night, its faults, the exit code and the message of its run, and the check of `doctor` that fails.
struct Night {
    name: &'static str,
    is_down: bool,
    is_expired: bool,
    code: i32,
    said: &'static str,
    found: Option<&'static str>,
}

const NIGHTS: [Night; 3] = [
    Night { name: "normal", is_down: false, is_expired: false, code: 0, said: "", found: None },
    Night {
        name: "expired secret",
        is_down: false,
        is_expired: true,
        code: 5,
        said: "error: no token",
        found: Some("token\tfail"),
    },
    Night {
        name: "service is down",
        is_down: true,
        is_expired: false,
        code: 4,
        said: "stopped early",
        found: Some("permission\tfail"),
    },
];

/// The files with secrets, and those that hold no output.
const OWN: [&str; 3] = ["client-secret", "azure-identity-token", "bulk-triage"];

/// A variable.
type Pair = (String, String);

fn pair(name: &str, value: impl Into<String>) -> Pair {
    (name.to_owned(), value.into())
}

/// A machine on which the job was set up. Its directory holds all files, by the paths of the samples.
struct Machine {
    scheduler: Scheduler,
    root: Program,
}

impl Machine {
    fn set_up(scheduler: Scheduler) -> Machine {
        let root = Program::new();
        // Other users pass through it.
        fs::set_permissions(root.dir(), Permissions::from_mode(0o755)).expect("its owner");
        let triage = ["results", "metrics"].map(|dir| format!("srv/triage/{dir}"));
        let agent = ["results", "metrics"].map(|dir| format!("var/lib/bulk-triage/{dir}"));
        let others =
            ["etc/bulk-triage", "var/run/secrets/azure/tokens", "in", "state", "work", "bin"].map(str::to_owned);
        for dir in others.iter().chain(&triage).chain(agent.iter().filter(|_| scheduler == Azure)) {
            fs::create_dir_all(root.path(dir)).expect("a directory");
        }
        // The files of a ConfigMap are links.
        symlink("..data", root.path("in/close.csv")).expect("a link");
        // As in the guide.
        let guide = fs::read_to_string(of_the_project("docs/nightly.md")).expect("the guide");
        let settings = guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("settings");
        assert!(settings.contains(TENANT) && settings.contains(CLIENT), "{settings}");
        root.write("etc/bulk-triage/config.toml", settings);
        Machine { scheduler, root }
    }

    /// A text of a sample with the paths of this machine.
    fn here(&self, text: &str) -> String {
        let root = self.root.dir().display();
        ["/etc/bulk-triage", "/srv/triage", "/var/lib"]
            .iter()
            .fold(text.to_owned(), |text, path| text.replace(path, &format!("{root}{path}")))
    }

    /// A command with these variables and those of the simulation, and no others.
    fn command(&self, words: &[&str], variables: &[Pair], job: &Job) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_bulk-triage")).parent().expect("a directory");
        let origin = job.program.origin();
        let path = format!("{}:{}:/usr/bin:/bin:/usr/sbin", self.root.path("bin").display(), program.display());
        let of_simulation = [
            pair("PATH", path),
            pair("BULK_TRIAGE_SYSTEM_CONFIG", self.here("/etc/bulk-triage/config.toml")),
            pair("BULK_TRIAGE_BASE_URL", &origin),
            pair("AZURE_AUTHORITY_HOST", &origin),
            pair("BULK_TRIAGE_PATIENCE", "0"),
        ];
        let mut command = Command::new("env");
        command.arg("-i").current_dir(self.root.path("work")).stdin(Stdio::null());
        command.args(variables.iter().chain(&of_simulation).map(|(name, value)| format!("{name}={value}")));
        command.args(words);
        command
    }

    /// One night of the job, with three updates of its own.
    fn night(&self, job: &Job, number: u64) -> Vec<Ended> {
        for place in ["srv/triage/close.csv", "in/close.csv", "work/close.csv"] {
            self.root.write(place, closing(number * 10..number * 10 + 3));
        }
        for place in ["etc/bulk-triage/client-secret", "srv/triage/client-secret"] {
            write_secret(&self.root, place, &job.program.read("secret"));
        }
        match self.scheduler {
            Systemd => self.systemd(job),
            Cron => self.cron(job),
            Container => self.container(job),
            GitHub => self.github(job),
            Azure => self.azure(job),
        }
    }

    /// Runs the unit as systemd does: directories, credentials and variables, then one command after the other.
    fn systemd(&self, job: &Job) -> Vec<Ended> {
        let unit = unit_settings(&self.here(&sample("bulk-triage.service").replace("%S", "/var/lib")));
        let values = |name: &str| -> Vec<&str> {
            unit.iter().filter(|(found, _)| found == name).map(|(_, value)| &**value).collect()
        };
        let make = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path).expect("a directory");
        for dir in values("StateDirectory")[0].split(' ') {
            make(&self.root.path("var/lib").join(dir));
        }
        let credentials = self.root.path("run/credentials/bulk-triage.service");
        make(&credentials);
        for (name, source) in values("LoadCredential").iter().filter_map(|value| value.split_once(':')) {
            fs::copy(source, credentials.join(name)).expect("a credential");
        }
        let credentials = credentials.display().to_string();
        let environment = values("Environment").into_iter().filter_map(|value| value.split_once('='));
        let mut variables: Vec<Pair> = environment.map(|(name, value)| pair(name, value)).collect();
        variables.push(pair("CREDENTIALS_DIRECTORY", &credentials));
        let mut all: Vec<Ended> = Vec::new();
        for start in values("ExecStart") {
            let words = start.trim_start_matches('-').replace("${CREDENTIALS_DIRECTORY}", &credentials);
            let mut command = self.command(&words.split_whitespace().collect::<Vec<_>>(), &variables, job);
            command.current_dir(values("WorkingDirectory")[0]);
            let mut ended = started(command).end();
            ended.code = ended.code.filter(|_| !start.starts_with('-')).or(Some(0));
            let has_failed = ended.code != Some(0);
            all.push(ended);
            if has_failed {
                break;
            }
        }
        all
    }

    /// Runs all lines of the crontab.
    fn cron(&self, job: &Job) -> Vec<Ended> {
        let (mut variables, commands) = cron_lines(&self.here(&sample("crontab")));
        variables.push(pair("HOME", self.here("/srv/triage")));
        let run = |line: &String| {
            let mut ended = started(self.command(&["sh", "-c", line], &variables, job)).end();
            // A failed line prints the exit code of its run, and ends with that of `doctor`.
            let printed = ended.stdout.lines().find_map(|line| line.strip_prefix("exit code "));
            ended.code = printed.map_or(ended.code, |code| code.parse().ok());
            ended
        };
        commands.iter().map(run).collect()
    }

    /// Runs the containers of the pod: another user, a root that is read-only and has no `/tmp`.
    fn container(&self, job: &Job) -> Vec<Ended> {
        const TOKEN_FILE: &str = "/var/run/secrets/azure/tokens/azure-identity-token";
        let text = sample("kubernetes-cronjob.yaml");
        let (_, state_dir) = text.split_once("name: BULK_TRIAGE_STATE_DIR\n").expect("a variable");
        let state_dir = &yaml_values(state_dir, &["value"])[0];
        self.root.write(&TOKEN_FILE[1..], job.program.read("federated"));
        // `fsGroup` gives volumes to the group.
        for (path, mode) in [("state", 0o2775), (&TOKEN_FILE[1..], 0o640)] {
            chown(self.root.path(path), None, Some(65_532)).expect("root may");
            fs::set_permissions(self.root.path(path), Permissions::from_mode(mode)).expect("its owner");
        }
        // All but the first are added by workload identity.
        let variables = [
            pair("BULK_TRIAGE_STATE_DIR", state_dir),
            pair("AZURE_TENANT_ID", TENANT),
            pair("AZURE_CLIENT_ID", CLIENT),
            pair("AZURE_FEDERATED_TOKEN_FILE", TOKEN_FILE),
        ];
        let run = |arguments: &Vec<String>| {
            let enter = ["unshare", "--mount", "sh", "-c", ENTER, "sh", env!("CARGO_BIN_EXE_bulk-triage")];
            let words: Vec<&str> = enter.into_iter().chain(arguments.iter().map(String::as_str)).collect();
            let mut command = self.command(&words, &variables, job);
            command.current_dir(self.root.dir());
            started(command).end()
        };
        container_arguments(&text).iter().map(run).collect()
    }

    /// Runs the steps of the workflow as a runner does.
    fn github(&self, job: &Job) -> Vec<Ended> {
        let text = sample("github-actions.yml");
        let work = self.root.path("work").display().to_string();
        let state_dir = yaml_values(&text, &["BULK_TRIAGE_STATE_DIR"])[0].replace("${{ github.workspace }}", &work);
        for name in ["AZURE_TENANT_ID", "AZURE_CLIENT_ID"] {
            assert_eq!(yaml_values(&text, &[name]), [format!("${{{{ vars.{name} }}}}")]);
        }
        let variables = [
            pair("AZURE_TENANT_ID", TENANT),
            pair("AZURE_CLIENT_ID", CLIENT),
            pair("BULK_TRIAGE_STATE_DIR", state_dir),
            pair("GITHUB_STEP_SUMMARY", self.root.path("summary.md").display().to_string()),
            pair("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/github/token?api-version=2.0", job.program.origin())),
            pair("ACTIONS_ID_TOKEN_REQUEST_TOKEN", GITHUB_TOKEN),
        ];
        // A runner is a new machine: of the night before, it has only the saved state.
        let _ = fs::remove_file(self.root.path("work/close.results.csv"));
        self.steps(&text, &variables, job)
    }

    /// Runs the steps of the pipeline as an agent does, with an `az` that is signed in.
    fn azure(&self, job: &Job) -> Vec<Ended> {
        let text = self.here(&sample("azure-pipelines.yml"));
        self.root.write("bin/az", format!("#!/bin/sh\ncd {} && exec bin/az \"$@\"\n", job.program.dir().display()));
        fs::set_permissions(self.root.path("bin/az"), Permissions::from_mode(0o755)).expect("its owner");
        let variables = [
            pair("BULK_TRIAGE_STATE_DIR", &yaml_values(&text, &["BULK_TRIAGE_STATE_DIR"])[0]),
            pair("BUILD_ARTIFACTSTAGINGDIRECTORY", self.root.path("work").display().to_string()),
        ];
        self.steps(&text, &variables, job)
    }

    /// Runs the scripts of a job's steps in order. After a failure, only those whose condition says so are run.
    fn steps(&self, text: &str, variables: &[Pair], job: &Job) -> Vec<Ended> {
        let mut all: Vec<Ended> = Vec::new();
        for step in yaml_steps(text) {
            let has_failed = all.iter().any(|ended| ended.code != Some(0));
            if step.contains("always()") || step.contains("failure()") == has_failed {
                for script in yaml_values(&step, &["run", "bash", "inlineScript"]) {
                    all.push(started(self.command(&["bash", "-e", "-c", &script], variables, job)).end());
                }
            }
        }
        all
    }
}

/// Runs a program, `$1`, with the working directory as its root, which is read-only but for `state` and has no `/tmp`.
const ENTER: &str = r#"
    set -e
    program=$1
    shift
    mount --bind . .
    cd "$PWD"
    : >bulk-triage
    mount --bind "$program" bulk-triage
    for name in usr lib lib64 dev proc etc/ssl; do
        [ -e "/$name" ] || continue
        mkdir -p "$name"
        mount --rbind "/$name" "$name"
    done
    mount --bind state state
    mount -o remount,bind,ro .
    ! touch forbidden 2>/dev/null
    exec chroot --userspec=65532:65532 . /bulk-triage "$@"
"#;

/// Whether this machine can run something as a container does.
fn has_containers() -> bool {
    const WHAT: &str = "three nights in a container";
    let mut probe = Command::new("unshare");
    probe.args(["--mount", "mount", "--bind", "/usr", "/usr"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !is_root(WHAT) {
        return false;
    }
    let can_mount = finished(&mut probe).is_ok_and(|status| status.success());
    if !can_mount {
        tell(&format!("LEFT OUT: {WHAT}: no permission to mount"));
    }
    can_mount
}

/// The values of a metrics file that a monitor looks at.
fn alerted(metrics: &str) -> (String, String) {
    let value = |begin: &str| {
        let line = metrics.lines().find(|line| line.starts_with("bulk_triage_last_run_") && line.contains(begin));
        line.and_then(|line| line.rsplit_once(' ')).unwrap_or_else(|| panic!("no {begin}: {metrics}")).1.to_owned()
    };
    (value("exit_code{"), value("outcome=\"updated\""))
}

/// Runs a job for a night. Returns its row of the table.
fn hold(machine: &Machine, night: &Night, number: u64) -> String {
    let scheduler = machine.scheduler;
    let job = Job::new(scheduler.credential(), HOUR, |settings, sign_in| {
        let down = night.is_down.then_some("503@1-");
        settings.faults = down.map(fault_of).into_iter().collect();
        let expired = night.is_expired.then(|| scheduler.expired());
        sign_in.faults = expired.map(|fault| fault.parse().expect("a fault")).into_iter().collect();
    });
    let all = machine.night(&job, number);
    let printed = all.iter().map(Ended::printed).collect::<Vec<_>>().join("\n");
    let case = format!("{scheduler:?}, {}\n{printed}", night.name);
    let code = all.iter().filter_map(|ended| ended.code).find(|code| *code != 0).unwrap_or(0);
    let is_done = night.code == 0;
    assert_eq!(code, night.code, "{case}");
    assert_eq!(job.program.incident(number * 10)["status"] == "Resolved", is_done, "{case}");
    assert!(printed.contains(night.said), "{case}");
    // A container runs no second program.
    let found = night.found.filter(|_| scheduler != Container).unwrap_or_default();
    assert!(printed.contains(found), "{found}: {case}");
    if scheduler == Cron && is_done {
        assert!(
            all.iter().all(|ended| ended.stdout.is_empty() && ended.stderr.is_empty()),
            "cron sends a mail: {case}"
        );
    }

    let metrics = scheduler.metrics().map(|file| machine.root.read(file));
    if let Some(metrics) = &metrics {
        let updated = if is_done { "3" } else { "0" };
        assert_eq!(alerted(metrics), (code.to_string(), updated.to_owned()), "{metrics}{case}");
    }

    let secrets = Secrets::of(&job);
    assert!(!secrets.are_in(printed.as_bytes()), "{case}");
    let files = files_below(machine.root.dir());
    for path in files.iter().filter(|path| !OWN.iter().any(|name| path.ends_with(name))) {
        assert!(!secrets.are_in(&fs::read(path).expect("a file")), "{}: {case}", path.display());
    }
    let summary = match scheduler {
        GitHub => "summary.md",
        Azure => "report.md",
        Systemd | Cron | Container => "close.prom",
    };
    for name in ["journal.db", "results.csv", summary].iter().filter(|_| is_done) {
        assert!(files.iter().any(|path| path.to_string_lossy().ends_with(name)), "no {name}: {files:?}");
    }

    let stderr = all.iter().map(|ended| &*ended.stderr).collect::<String>();
    let stderr = stderr.trim().replace(&machine.root.dir().display().to_string(), "").replace('\n', "<br>");
    let values = metrics.iter().flat_map(|metrics| metrics.lines()).filter(|line| !line.starts_with('#'));
    let row = format!("| {scheduler:?} | {} | {code} | {stderr} |", night.name);
    values.fold(row, |row, value| row + "\n    " + value)
}

#[test]
fn nightly_job_runs_for_three_nights() {
    let table: Mutex<BTreeMap<(Scheduler, u64), String>> = Mutex::default();
    let containers = has_containers();
    let schedulers =
        [Systemd, Cron, Container, GitHub, Azure].into_iter().filter(|one| *one != Container || containers);
    at_once(schedulers, |scheduler| {
        let machine = Machine::set_up(scheduler);
        for (night, number) in NIGHTS.iter().zip(1..) {
            let row = hold(&machine, night, number);
            table.lock().expect("no panic").insert((scheduler, number), row);
        }
    });
    let rows: Vec<String> = table.into_inner().expect("no panic").into_values().collect();
    tell(&format!("| scheduler | night | exit code | standard error |, and the metrics\n{}", rows.join("\n")));
}
