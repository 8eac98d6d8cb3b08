//! Entra's error codes (AADSTS) and what to do about them.
//!
//! Source: Microsoft's page "Microsoft Entra authentication and authorization error codes", and API.md section 8.

use super::application::Application;

/// What is known about a refusal.
pub(super) struct Refusal<'a> {
    /// The codes, such as 7000215. They may change: they only choose the advice.
    pub(super) codes: &'a [u64],
    /// Who asked.
    pub(super) application: &'a Application,
    /// Issuer and subject of a federated token.
    pub(super) subject: Option<&'a str>,
}

/// What to do about a refusal, if one of its codes is known.
pub(super) fn hint(refusal: &Refusal<'_>) -> Option<String> {
    refusal.codes.iter().find_map(|code| of_code(*code, refusal))
}

fn of_code(code: u64, refusal: &Refusal<'_>) -> Option<String> {
    let Application { host, tenant, client_id } = refusal.application;
    let consent = || format!("https://{host}/{tenant}/adminconsent?client_id={client_id}");
    let subject = refusal.subject.unwrap_or("no issuer and no subject");
    Some(match code {
        7_000_215 => "use the secret's value, not its ID".to_owned(),
        7_000_222 => "the client secret has expired: create a new one".to_owned(),
        700_016 | 7_000_112 => format!(
            "check the client ID and the tenant: the application must exist and be enabled there; a multi-tenant \
             application needs consent first: {}",
            consent()
        ),
        90_002 | 90_038 | 900_382 => {
            "check the tenant ID, and the cloud: a US Government tenant (GCC High or DoD) needs --cloud us-gov-high or \
             --cloud us-gov-dod"
                .to_owned()
        }
        500_011 | 650_052 | 650_057 => {
            "the tenant has no Microsoft Defender XDR license, or the contract's audience is wrong".to_owned()
        }
        65_001 => format!("an administrator must consent to the application's permissions: {}", consent()),
        65_002 => "Microsoft's own applications can't have this permission: use an application of your own".to_owned(),
        53_003 | 530_035 => {
            "a policy of the tenant blocks it: an administrator finds the attempt in the sign-in log by its correlation ID"
                .to_owned()
        }
        50_034 => "check the tenant: it doesn't know the user".to_owned(),
        50_076 | 50_079 => "sign in again: the user must use a second factor".to_owned(),
        700_027 | 50_012 => {
            "upload this certificate to the application's registration; check this machine's clock".to_owned()
        }
        700_024 => "check this machine's clock: the assertion is not valid now".to_owned(),
        700_212 => {
            "request the federated token for the audience that the credential in Entra names; the default is \
             api://AzureADTokenExchange"
                .to_owned()
        }
        70_021 | 700_211 | 700_213 => {
            format!("add a federated credential to the application with exactly {subject} (upper and lower case count)")
        }
        50_196 => "too many requests for tokens: another program asks in a loop".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::SignInHost;
    use super::*;
    use crate::model::cloud::Cloud;

    /// The table of `API.md`, section 8.
    #[test]
    fn every_documented_code_has_advice() {
        let application = Application {
            host: SignInHost::of(Cloud::Global),
            tenant: "contoso.example".to_owned(),
            client_id: "6f2c".to_owned(),
        };
        let advice = |code: u64| {
            let subject = Some("issuer `https://i`, subject `s`");
            hint(&Refusal { codes: &[1, code], application: &application, subject })
        };
        for (code, said) in [
            (7_000_215, "value, not its ID"),
            (7_000_222, "create a new one"),
            (700_016, "client_id=6f2c"),
            (7_000_112, "enabled there"),
            (90_002, "check the tenant ID"),
            (900_382, "--cloud us-gov-high"),
            (90_038, "--cloud us-gov-dod"),
            (500_011, "Defender XDR license"),
            (650_052, "Defender XDR license"),
            (650_057, "audience"),
            (65_001, "https://login.microsoftonline.com/contoso.example/adminconsent?client_id=6f2c"),
            (65_002, "an application of your own"),
            (53_003, "correlation ID"),
            (530_035, "correlation ID"),
            (50_034, "check the tenant"),
            (50_076, "sign in again"),
            (50_079, "sign in again"),
            (700_027, "upload this certificate"),
            (50_012, "clock"),
            (700_024, "clock"),
            (70_021, "issuer `https://i`, subject `s`"),
            (700_211, "federated credential"),
            (700_212, "for the audience"),
            (700_213, "federated credential"),
            (50_196, "in a loop"),
        ] {
            let found = advice(code).unwrap_or_else(|| panic!("{code} has no advice"));
            assert!(found.contains(said), "{code}: {found}");
        }
        assert_eq!(advice(1), None);
    }
}
