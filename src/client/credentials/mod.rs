//! Credentials: tokens without a person. One source for each kind of credential, each one or two requests.
//!
//! | file | owns |
//! | --- | --- |
//! | `token_file` | a token that another program keeps up to date in a file |
//! | `command` | a token that a program prints, such as `az` |
//! | `entra` | Entra's token endpoint, for a secret, a certificate and a federated token; `aadsts` explains its errors |
//! | `application` | whose token it is, and where it signs in |
//! | `certificate` | the signed assertion of a certificate |
//! | `github` | the federated token of a GitHub Actions job |
//! | `managed_identity` | the endpoints of virtual machines, App Service and Arc |
//! | `endpoint` | where these may be |
//! | `secret`, `reply` | secrets in variables and files; what a server or program replied |
//! | `tenant` | how tenants are named |
//!
//! Promises: a source never falls back to another identity; each request goes to the one host that was shown, once for
//! each [`fetch`](super::TokenSource::fetch); no error shows a secret, an assertion or a token.

mod aadsts;
mod application;
mod certificate;
mod command;
mod endpoint;
mod entra;
mod github;
mod managed_identity;
mod reply;
mod secret;
mod tenant;
mod token_file;

pub use application::Application;
pub use command::TokenCommand;
pub use endpoint::{EndpointError, IdentityEndpoint, SignInHost};
pub use entra::{Entra, Proof};
pub use github::GithubJob;
pub use managed_identity::{ManagedIdentity, Platform};
pub use secret::Secret;
pub use tenant::{is_tenant, is_tenant_id};
pub use token_file::TokenFile;
