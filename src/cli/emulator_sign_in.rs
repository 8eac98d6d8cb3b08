//! The sign-in options of `emulator`.
//!
//! Promise: no secret is passed as an argument or written to the log.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::number::number;
use crate::cli::error::Error;
use crate::contract::{self, Contract};
use crate::emulator::{SignIn, SignInFault};
use crate::files::open_input;
use crate::model::quota_spec::parse_duration;

/// The largest secret or certificate that is read, in bytes.
const LARGEST_FILE: u64 = 64 * 1024;

/// Sign-in endpoints: token endpoint, managed identities, GitHub.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sign-in")]
pub(super) struct SignInArgs {
    /// Emulate the token services; accept only their tokens, which are valid this long, such as 1h
    #[arg(long = "sign-in", value_name = "LIFETIME", value_parser = parse_lifetime, conflicts_with = "token_file")]
    lifetime: Option<Duration>,

    /// Accept only this tenant: a GUID or a domain
    #[arg(long = "sign-in-tenant", value_name = "TENANT")]
    tenant: Option<String>,

    /// Accept only this application: a client ID
    #[arg(long = "sign-in-client", value_name = "ID")]
    client: Option<String>,

    /// Accept only the client secret in this file
    #[arg(long = "sign-in-secret-file", value_name = "PATH")]
    secret_file: Option<PathBuf>,

    /// Verify signatures with this certificate (PEM)
    #[arg(long = "sign-in-certificate", value_name = "PATH")]
    certificate: Option<PathBuf>,

    /// Directory for the key files of Azure Arc [default: no Arc]
    #[arg(long = "sign-in-keys", value_name = "DIR")]
    keys: Option<PathBuf>,

    /// Issue opaque tokens instead of JWTs
    #[arg(long = "sign-in-opaque")]
    is_opaque: bool,

    /// Revoke the token of API request N when it arrives (repeatable)
    #[arg(long = "sign-in-revoke", value_name = "N", value_parser = number(1_u64, None))]
    revoked_at: Vec<u64>,

    /// A fault of these services, such as drop@5s-8s or aadsts7000215@2 (repeatable)
    #[arg(long = "sign-in-fault", value_name = "FAULT")]
    sign_in_faults: Vec<SignInFault>,

    /// Append a JSON line for each sign-in request to this file, without secrets
    #[arg(long = "sign-in-log", value_name = "PATH")]
    sign_in_log: Option<PathBuf>,
}

impl SignInArgs {
    /// The settings, if the endpoints are wanted.
    ///
    /// # Errors
    /// If a file can't be read.
    pub(super) fn into_settings(self, contract: &Contract) -> Result<Option<SignIn>, Error> {
        let Some(lifetime) = self.lifetime else {
            return match self.first_of_others() {
                None => Ok(None),
                Some(option) => Err(Error::Usage {
                    message: format!("`{option}` needs `--sign-in`"),
                    hint: Some("add `--sign-in 1h`".to_owned()),
                }),
            };
        };
        if self.sign_in_log.as_ref().is_some_and(|log| log.as_os_str() == "-") {
            return Err(Error::usage("the sign-in log needs a file: standard output has the origin"));
        }
        let secret = self.secret_file.as_deref().map(|path| read(path, "client secret")).transpose()?;
        let certificate = self.certificate.as_deref().map(|path| read(path, "certificate")).transpose()?;
        let der = |pem: String| match CertificateDer::from_pem_slice(pem.as_bytes()) {
            Ok(certificate) => Ok(certificate.to_vec()),
            Err(_) => Err(Error::usage("the file of `--sign-in-certificate` has no certificate in PEM form")),
        };
        // Arc's agent names its keys by their whole paths.
        let keys = self.keys.map(std::path::absolute).transpose();
        let keys = keys.map_err(|source| Error::Io { what: "cannot find the directory of the keys", source })?;
        let mut defaults = SignIn::new(lifetime);
        // A contract file can name audiences of its own; a token for them is for the contract's API.
        let is_graph = contract::load("graph").is_ok_and(|graph| graph.is_same_api(contract));
        let resources = if is_graph { &mut defaults.graph_resources } else { &mut defaults.resources };
        resources.extend(contract.own_audiences().map(str::to_owned));
        Ok(Some(SignIn {
            is_opaque: self.is_opaque,
            tenant: self.tenant,
            client: self.client,
            secret: secret.map(|secret| secret.trim_end_matches(['\r', '\n']).into()),
            certificate: certificate.map(der).transpose()?,
            key_directory: keys,
            revoked_at: self.revoked_at,
            faults: self.sign_in_faults,
            log: self.sign_in_log,
            ..defaults
        }))
    }

    /// An option that was given, besides `--sign-in`.
    fn first_of_others(&self) -> Option<&'static str> {
        let others = [
            (self.tenant.is_some(), "--sign-in-tenant"),
            (self.client.is_some(), "--sign-in-client"),
            (self.secret_file.is_some(), "--sign-in-secret-file"),
            (self.certificate.is_some(), "--sign-in-certificate"),
            (self.keys.is_some(), "--sign-in-keys"),
            (self.is_opaque, "--sign-in-opaque"),
            (!self.revoked_at.is_empty(), "--sign-in-revoke"),
            (!self.sign_in_faults.is_empty(), "--sign-in-fault"),
            (self.sign_in_log.is_some(), "--sign-in-log"),
        ];
        others.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }
}

/// Reads a file that the user names, up to a limit.
fn read(path: &Path, what: &str) -> Result<String, Error> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        open_input(path)?.take(LARGEST_FILE).read_to_string(&mut text)?;
        Ok(text)
    };
    read().map_err(|error| Error::usage(format!("cannot read the {what} in `{}`: {error}", path.display())))
}

fn parse_lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = parse_duration(text).map_err(|error| error.to_string())?;
    let is_long_enough = lifetime >= Duration::from_secs(1);
    is_long_enough.then_some(lifetime).ok_or_else(|| "a token lives for 1s or longer".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        sign_in: SignInArgs,
        /// An option of the emulator that contradicts these.
        #[arg(long)]
        token_file: Option<PathBuf>,
    }

    #[test]
    fn audience_of_own_contract_is_its_apis() {
        for name in ["defender", "graph"] {
            let mut contract = contract::load(name).expect("built in");
            contract.audiences = vec!["api://ours".to_owned(), contract.audiences.remove(0)];
            let args = Only::try_parse_from(["emulator", "--sign-in", "1h"]).expect("an option");
            let settings = args.sign_in.into_settings(&contract).expect("no files").expect("wanted");
            let defaults = SignIn::new(settings.lifetime);
            let added = |all: &[String], known: &[String]| all[known.len()..].to_vec();
            let of_classic = added(&settings.resources, &defaults.resources);
            let of_graph = added(&settings.graph_resources, &defaults.graph_resources);
            let (own, other) = if name == "graph" { (of_graph, of_classic) } else { (of_classic, of_graph) };
            assert_eq!((own, other), (vec!["api://ours".to_owned()], Vec::new()), "{name}");
        }
    }
}
