//! An application of a tenant, as Entra knows it.

use super::endpoint::SignInHost;

/// An application of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Where it signs in.
    pub host: SignInHost,
    /// Its tenant: a GUID or a domain.
    pub tenant: String,
    /// Its client ID.
    pub client_id: String,
}
