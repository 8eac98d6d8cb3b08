//! The assertion of a certificate: a JWT that its key signs, in place of a secret.
//!
//! Source: Microsoft's "certificate credentials" page: PS256, with the SHA-256 thumbprint as `x5t#S256`.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::SecretString;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::clock::Now;

/// How long an assertion is valid. It is used at once.
const VALID: SignedDuration = SignedDuration::from_mins(10);

/// Why no assertion can be signed with the content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CertificateError {
    #[error("it is not PEM text: convert it with `openssl pkcs12 -in x.pfx -out x.pem -nodes`")]
    NotPem,
    #[error("its private key is encrypted: write it unencrypted with `openssl rsa -in x.pem -out key.pem`")]
    Encrypted,
    #[error("it has no private key: a file must hold the certificate and its key")]
    NoKey,
    #[error("it has no certificate: a file must hold the certificate and its key")]
    NoCertificate,
    #[error("its private key is not an RSA key of 2048 to 4096 bits, which Entra needs")]
    NotRsa,
    #[error("its private key belongs to none of its certificates")]
    OtherKey,
    #[error("this machine gives no random numbers")]
    NoRandomNumbers,
}

/// An assertion that `client` makes to `audience`, signed with the certificate and key in `pem`.
pub(super) fn assertion(pem: &[u8], client: &str, audience: &str, now: Now) -> Result<SecretString, CertificateError> {
    let pem = pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(pem);
    let key = key_in(pem)?;
    let certificate = certificate_of(&key, pem)?;
    let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&certificate));
    let random = SystemRandom::new();
    let issued = now.wall.as_second();
    let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint });
    let claims = json!({
        "aud": audience, "iss": client, "sub": client, "jti": guid(&random)?,
        "nbf": issued, "iat": issued, "exp": issued + VALID.as_secs(),
    });
    let part = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PSS_SHA256, &random, signed.as_bytes(), &mut signature)
        .map_err(|_| CertificateError::NoRandomNumbers)?;
    Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)).into())
}

fn key_in(pem: &[u8]) -> Result<RsaKeyPair, CertificateError> {
    let is_encrypted = |label: &[u8]| pem.windows(label.len()).any(|part| part == label);
    if is_encrypted(b"BEGIN ENCRYPTED PRIVATE KEY") || is_encrypted(b"Proc-Type: 4,ENCRYPTED") {
        return Err(CertificateError::Encrypted);
    }
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound if pem.windows(11).any(|part| part == b"-----BEGIN ") => CertificateError::NoKey,
        _ => CertificateError::NotPem,
    })?;
    let pair = match &key {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        _ => return Err(CertificateError::NotRsa),
    };
    pair.map_err(|_| CertificateError::NotRsa)
}

/// The certificate of the key: a file may hold a chain. A certificate holds the modulus of its public key as it is.
fn certificate_of<'a>(key: &RsaKeyPair, pem: &'a [u8]) -> Result<CertificateDer<'a>, CertificateError> {
    let mut certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).peekable();
    if certificates.peek().is_none() {
        return Err(CertificateError::NoCertificate);
    }
    let PublicKeyComponents::<Vec<u8>> { n: modulus, .. } = key.public().into();
    certificates
        .find(|found| found.windows(modulus.len()).any(|part| part == modulus.as_slice()))
        .ok_or(CertificateError::OtherKey)
}

/// A random GUID (RFC 9562, version 4).
fn guid(random: &SystemRandom) -> Result<String, CertificateError> {
    let mut bytes = [0_u8; 16];
    random.fill(&mut bytes).map_err(|_| CertificateError::NoRandomNumbers)?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let number = u128::from_be_bytes(bytes);
    let part = |from: u32, digits: u32| (number >> (128 - 4 * (from + digits))) & ((1 << (4 * digits)) - 1);
    Ok(format!("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", part(0, 8), part(8, 4), part(12, 4), part(16, 4), part(20, 12)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootTime;
    use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
    use secrecy::ExposeSecret as _;

    /// A certificate and its key, made for tests.
    const PEM: &str = include_str!("certificate-for-tests.pem");

    fn now() -> Now {
        Now { boot: BootTime(0), wall: "2026-11-29T12:00:00Z".parse().expect("a time") }
    }

    fn signed(pem: &str) -> Result<String, CertificateError> {
        assertion(pem.as_bytes(), "6f2c", "https://login.example/t/oauth2/v2.0/token", now())
            .map(|assertion| assertion.expose_secret().to_owned())
    }

    fn parts(pem: &str) -> (String, String) {
        let at = pem.find("-----BEGIN PRIVATE KEY").expect("a key");
        let (first, second) = pem.split_at(at);
        (first.to_owned(), second.to_owned())
    }

    #[test]
    fn assertion_has_documented_header_claims_and_signature() {
        let assertion = signed(PEM).expect("a certificate and its key");
        let [header, claims, signature] = assertion.split('.').collect::<Vec<_>>()[..] else { panic!("{assertion}") };
        let json = |part: &str| -> serde_json::Value {
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
        };
        let der = CertificateDer::from_pem_slice(PEM.as_bytes()).expect("a certificate");
        let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, &der));
        assert_eq!(json(header), json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}));
        let (mut claims, issued) = (json(claims), now().wall.as_second());
        let id = claims.as_object_mut().and_then(|claims| claims.remove("jti")).expect("an id");
        assert!(crate::client::is_tenant_id(id.as_str().expect("a text")), "a GUID: {id}");
        let audience = "https://login.example/t/oauth2/v2.0/token";
        let times = json!({"nbf": issued, "iat": issued, "exp": issued + 600});
        let mut expected = json!({"aud": audience, "iss": "6f2c", "sub": "6f2c"});
        expected.as_object_mut().expect("an object").extend(times.as_object().expect("an object").clone());
        assert_eq!(claims, expected);
        let key = key_in(PEM.as_bytes()).expect("a key");
        let public = ring::signature::KeyPair::public_key(&key).as_ref().to_vec();
        let signed_part = assertion.rsplit_once('.').expect("three parts").0;
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, public)
            .verify(signed_part.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64"))
            .expect("its own signature");
        assert_ne!(signed(PEM).expect("again"), assertion, "each has an id of its own");
    }

    #[test]
    fn order_of_certificate_and_key_is_free() {
        let (certificate, key) = parts(PEM);
        signed(&format!("{key}{certificate}")).expect("the key first");
        signed(&format!("Bag Attributes\n  friendlyName: x\n{certificate}\n{key}")).expect("as openssl writes it");
        signed(&format!("\u{feff}{PEM}")).expect("with a byte order mark");
    }

    #[test]
    fn unusable_files_are_refused_with_remedy() {
        use CertificateError::*;
        let (certificate, key) = parts(PEM);
        let other = include_str!("../../../tests/it/remote_service/cert.pem");
        let elliptic = include_str!("../../../tests/it/remote_service/key.pem");
        for (pem, error) in [
            ("not PEM".to_owned(), NotPem),
            (certificate.clone(), NoKey),
            (key.clone(), NoCertificate),
            (format!("{certificate}{elliptic}"), NotRsa),
            (format!("{other}{key}"), OtherKey),
            (PEM.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), Encrypted),
        ] {
            assert_eq!(signed(&pem).expect_err("can't be used"), error);
        }
        signed(&format!("{other}{certificate}{key}")).expect("the certificate of the key among others");
    }
}
