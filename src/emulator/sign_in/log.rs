//! The log of sign-in requests: one JSON object per line, in the order of the decisions. It has the names of all fields and
//! headers, and no value that could be a secret.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::request::SignInRequest;
use crate::files::open_log;

#[derive(Serialize)]
struct Line<'a> {
    /// Counted from 1.
    seq: u64,
    wall: Timestamp,
    endpoint: &'static str,
    method: &'a str,
    /// Without the query.
    path: &'a str,
    /// `null` stands for a value that could be a secret.
    query: BTreeMap<&'a str, Option<&'a str>>,
    form: BTreeMap<&'a str, Option<&'a str>>,
    headers: Vec<&'a str>,
    /// `null` if there was no response.
    status: Option<u16>,
    error: Option<&'a str>,
    fault: Option<&'a str>,
}

/// The file of the log.
pub(super) struct SignInLog(File);

impl SignInLog {
    /// Opens the file to append to it, or creates it.
    pub(super) fn open(path: &Path) -> io::Result<SignInLog> {
        Ok(SignInLog(open_log(path, &[], None)?))
    }

    /// Writes a line in one call.
    pub(super) fn write(&mut self, seq: u64, request: &SignInRequest) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(&Line {
            seq,
            wall: request.at,
            endpoint: request.endpoint.name(),
            method: &request.method,
            path: &request.path,
            query: SignInRequest::shown(&request.query).collect(),
            form: SignInRequest::shown(&request.form).collect(),
            headers: request.headers.iter().map(|(name, _)| name.as_str()).collect(),
            status: request.status,
            error: request.error.as_deref(),
            fault: request.fault.as_deref(),
        })?;
        bytes.push(b'\n');
        self.0.write_all(&bytes)
    }
}
