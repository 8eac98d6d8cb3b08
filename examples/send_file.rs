//! Sends the rows of a file to an API, with the token in `BULK_TRIAGE_TOKEN`. Run it again to resume.
#![expect(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, reason = "an example")]

use std::{error::Error, path::PathBuf, sync::Arc};

use bulk_triage::apply::events::{Event, Listener};
use bulk_triage::check::Rules;
use bulk_triage::client::{Client, ConsentedOrigin, HttpTransport, TokenCache};
use bulk_triage::clock::Clock;
use bulk_triage::input::{Input, Source};
use bulk_triage::journal::{Durability, Journal};
use bulk_triage::model::change::TenantKey;
use bulk_triage::session::{PreviewOptions, RunInput, SendOptions, Session, Target};
use tokio::sync::watch;

struct Print;

impl Listener for Print {
    fn on_event(&mut self, event: Event) -> std::io::Result<()> {
        if let Event::Finished(rows) = event {
            for row in rows {
                println!("row {}: {}", row.row, row.outcome.kind);
            }
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, base_url, dir] = &arguments[..] else {
        return Err("usage: send_file FILE BASE_URL STATE_DIR".into());
    };
    send_file(file, base_url, &std::env::var("BULK_TRIAGE_TOKEN")?, dir).await.map(|rows| println!("{rows} rows sent"))
}

/// Sends what is left of a file. Returns the number of rows.
pub(crate) async fn send_file(file: &str, base_url: &str, token: &str, dir: &str) -> Result<u64, Box<dyn Error>> {
    let origin = ConsentedOrigin::by_user(base_url.parse()?);
    let (contract, clock) = (bulk_triage::contract::load("defender-classic")?, Clock::machine());
    let tokens = Arc::new(TokenCache::given(&token.to_owned().into())?);
    let client = Client::new(HttpTransport::new(&origin, 8)?, tokens, &contract, clock.clone());
    let (place, tenant) = (origin.origin().to_string(), TenantKey::origin(&origin.origin().family()));
    let target = Target::new(contract.clone(), place, tenant);
    let session =
        Session::open(target, Journal::open(&PathBuf::from(dir).into(), clock.clone(), Durability::Synced)?, clock);
    let rules = Rules::new(&contract);
    let input = RunInput::new(Input::open(&Source::named(file.as_ref()))?, file, &rules);
    let options = SendOptions::default();
    let run = session.import(input, &mut |found| eprintln!("{}", found.message))?;
    let mut run = run.or_resume_matching(options.remember)?;
    let rows = run.preview(&PreviewOptions::from(&options))?.counts.rows;
    run.publish(String::new())?;
    let (_stop, stopped) = watch::channel(false);
    let end = run.send(Arc::new(client), &options, stopped, &mut Print).await?;
    end.failed.map_or(Ok(rows), |error| Err(error.into()))
}
