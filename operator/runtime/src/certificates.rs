//! Certificates of generated secrets: made, signed by themselves or by an authority, and held against what is wanted, all
//! PEM (X.509). No private key is ever logged or put in an error.

use std::time::Duration;

use plinth_plan::model::Certificate;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType, date_time_ymd,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use crate::keys;

const DAY: i64 = 24 * 60 * 60;
/// How long before it was made a certificate is valid already, in seconds: clocks differ.
const EARLIER: i64 = 60 * 60;

/// An authority: its certificate and its private key, PEM.
#[derive(Clone, Copy)]
pub struct Authority<'a> {
    /// The certificate.
    pub certificate: &'a [u8],
    /// The private key.
    pub key: &'a [u8],
}

/// A certificate of a private key, at a moment in seconds since the Unix epoch. It ends with its authority at the latest.
///
/// # Errors
/// When the key or the authority is none, the authority has ended, or a name is none.
pub fn issue(
    wanted: &Certificate,
    private: &[u8],
    authority: Option<Authority<'_>>,
    now: i64,
) -> Result<String, String> {
    let key = keys::read(private)?;
    let mut params = params(wanted, now)?;
    let Some(authority) = authority else {
        return Ok(params.self_signed(&key).map_err(words)?.pem());
    };
    let pem = first(authority.certificate)?;
    let parent = pem.parse_x509().map_err(words)?;
    if !parent.is_ca() {
        return Err("the certificate of the authority says that it signs no others".to_owned());
    }
    let end = parent.validity().not_after.timestamp();
    if end <= now {
        return Err("the certificate of the authority has ended".to_owned());
    }
    params.not_after = params.not_after.min(date_time_ymd(1970, 1, 1) + since_epoch(end));
    params.use_authority_key_identifier_extension = true;
    let issuer = Issuer::from_ca_cert_der(&pem.contents.as_slice().into(), keys::read(authority.key)?)
        .map_err(words)?;
    Ok(params.signed_by(&key, &issuer).map_err(words)?.pem())
}

fn params(wanted: &Certificate, now: i64) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::new(wanted.dns_names.clone()).map_err(words)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, wanted.common_name.as_str());
    for uri in &wanted.uris {
        params.subject_alt_names.push(SanType::URI(uri.as_str().try_into().map_err(words)?));
    }
    let Some(days) = wanted.days else {
        // From the first day of the year before, for ten years: nothing about it changes in passing.
        let year = jiff::Timestamp::from_second(now).map_err(words)?.to_zoned(jiff::tz::TimeZone::UTC).year();
        params.not_before = date_time_ymd(i32::from(year) - 1, 1, 1);
        params.not_after = date_time_ymd(i32::from(year) + 10, 1, 1);
        return Ok(params);
    };
    params.not_before = date_time_ymd(1970, 1, 1) + since_epoch(now - EARLIER);
    params.not_after = date_time_ymd(1970, 1, 1) + since_epoch(now + i64::from(days) * DAY);
    if wanted.ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        return Ok(params);
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if !wanted.dns_names.is_empty() {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    if !wanted.uris.is_empty() {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    Ok(params)
}

/// Whether a certificate that is there may stay. One without `days` stays as long as its key does.
pub fn stays(wanted: &Certificate, pem: &[u8], private: &[u8], authority: Option<&[u8]>, now: i64) -> bool {
    let (Ok(key), Ok(pem)) = (keys::read(private), first(pem)) else { return false };
    let Ok(certificate) = pem.parse_x509() else { return false };
    is_of(&certificate, &key)
        && (wanted.days.is_none()
            || says(&certificate, wanted)
                && due(&certificate) > now
                && authority.is_none_or(|authority| is_signed_by(&certificate, authority)))
}

fn is_of(certificate: &X509Certificate<'_>, key: &KeyPair) -> bool {
    certificate.public_key().raw == key.subject_public_key_info()
}

/// It has these names and no others, and these rights.
fn says(certificate: &X509Certificate<'_>, wanted: &Certificate) -> bool {
    let Ok(names) = certificate.subject_alternative_name() else { return false };
    let mut dns = Vec::new();
    let mut uris = Vec::new();
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::DNSName(name) => dns.push((*name).to_owned()),
            GeneralName::URI(uri) => uris.push((*uri).to_owned()),
            GeneralName::IPAddress(bytes) => dns.push(address(bytes)),
            _ => return false,
        }
    }
    let common = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    let same = |mut had: Vec<String>, wanted: &[String]| {
        let mut wanted = wanted.to_vec();
        had.sort();
        wanted.sort();
        had == wanted
    };
    same(dns, &wanted.dns_names)
        && same(uris, &wanted.uris)
        && common == Some(wanted.common_name.as_str())
        && certificate.is_ca() == wanted.ca
}

fn address(bytes: &[u8]) -> String {
    let four = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from));
    address.map(|address| address.to_string()).unwrap_or_default()
}

fn is_signed_by(certificate: &X509Certificate<'_>, authority: &[u8]) -> bool {
    let Ok(pem) = first(authority) else { return false };
    let Ok(parent) = pem.parse_x509() else { return false };
    certificate.issuer() == parent.subject()
        && certificate.verify_signature(Some(parent.public_key())).is_ok()
}

/// When a certificate is to be made anew, in seconds since the Unix epoch: at the beginning of the last third of its life.
///
/// # Errors
/// When it is none.
pub fn renewal(pem: &[u8]) -> Result<i64, String> {
    Ok(due(&first(pem)?.parse_x509().map_err(words)?))
}

fn due(certificate: &X509Certificate<'_>) -> i64 {
    let (begin, end) =
        (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
    end - (end - begin) / 3
}

fn first(pem: &[u8]) -> Result<Pem, String> {
    let blocks = Pem::iter_from_buffer(pem).filter_map(Result::ok);
    let mut certificates = blocks.filter(|block| block.label == "CERTIFICATE");
    certificates.next().ok_or_else(|| "is no certificate in PEM".to_owned())
}

fn since_epoch(second: i64) -> Duration {
    Duration::from_secs(u64::try_from(second).unwrap_or_default())
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use plinth_api::v1alpha1::product::KeyAlgorithm;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn authority() -> Certificate {
        Certificate { common_name: "exchange".to_owned(), ca: true, days: Some(90), ..Certificate::default() }
    }

    fn client() -> Certificate {
        Certificate {
            common_name: "app".to_owned(),
            uris: vec!["spiffe://ua/GOV/1/app".to_owned()],
            days: Some(30),
            ..Certificate::default()
        }
    }

    async fn key(algorithm: KeyAlgorithm) -> Vec<u8> {
        keys::private_key(algorithm).await.unwrap().as_bytes().to_vec()
    }

    /// An authority made at `now`, and its private key.
    async fn made(now: i64) -> (Vec<u8>, Vec<u8>) {
        let key = key(KeyAlgorithm::EcP256).await;
        (issue(&authority(), &key, None, now).unwrap().into_bytes(), key)
    }

    #[tokio::test]
    async fn a_signed_certificate_says_who_presents_it_and_ends_with_its_authority() {
        let (certificate, key_of_authority) = made(NOW).await;
        let by = Authority { certificate: &certificate, key: &key_of_authority };
        for algorithm in [KeyAlgorithm::EcP256, KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa2048] {
            let private = key(algorithm).await;
            let pem = issue(&client(), &private, Some(by), NOW).unwrap();
            assert!(stays(&client(), pem.as_bytes(), &private, Some(&certificate), NOW), "{algorithm:?}");
            let pem = first(pem.as_bytes()).unwrap();
            let read = pem.parse_x509().unwrap();
            let usage = read.extended_key_usage().unwrap().unwrap();
            assert!(usage.value.client_auth && !usage.value.server_auth, "{algorithm:?}");
            assert_eq!(read.validity().not_after.timestamp(), NOW + 30 * DAY);
            assert!(!read.is_ca());
        }
        let private = key(KeyAlgorithm::EcP256).await;
        let late = issue(&client(), &private, Some(by), NOW + 80 * DAY).unwrap();
        let end = first(late.as_bytes()).unwrap().parse_x509().unwrap().validity().not_after.timestamp();
        assert_eq!(end, NOW + 90 * DAY);
        assert!(issue(&client(), &private, Some(by), NOW + 91 * DAY).unwrap_err().contains("has ended"));
    }

    #[tokio::test]
    async fn a_certificate_that_may_sign_nobody_signs_nobody() {
        let (certificate, key_of_authority) = made(NOW).await;
        let by = Authority { certificate: &certificate, key: &key_of_authority };
        let private = key(KeyAlgorithm::EcP256).await;
        let leaf = issue(&client(), &private, Some(by), NOW).unwrap();
        let by = Authority { certificate: leaf.as_bytes(), key: &private };
        assert!(issue(&client(), &private, Some(by), NOW).unwrap_err().contains("signs no others"));
    }

    #[tokio::test]
    async fn a_certificate_goes_when_its_end_nears_or_what_it_says_has_changed() {
        let (certificate, key_of_authority) = made(NOW).await;
        let by = Authority { certificate: &certificate, key: &key_of_authority };
        let private = key(KeyAlgorithm::EcP256).await;
        let pem = issue(&client(), &private, Some(by), NOW).unwrap();
        let kept = |wanted: &Certificate, private: &[u8], by: &[u8], now| {
            stays(wanted, pem.as_bytes(), private, Some(by), now)
        };
        let due = renewal(pem.as_bytes()).unwrap();
        assert!((NOW + 19 * DAY..NOW + 21 * DAY).contains(&due), "{due}");
        assert!(kept(&client(), &private, &certificate, due - 1));
        assert!(!kept(&client(), &private, &certificate, due));

        let other = Certificate { uris: vec!["spiffe://ua/GOV/1/other".to_owned()], ..client() };
        let more = Certificate { dns_names: vec!["app.example".to_owned()], ..client() };
        let renamed = Certificate { common_name: "other".to_owned(), ..client() };
        for wanted in [other, more, renamed] {
            assert!(!kept(&wanted, &private, &certificate, NOW), "{wanted:?}");
        }
        let (stranger, _) = made(NOW).await;
        assert!(!kept(&client(), &private, &stranger, NOW), "another authority of the same name");
        assert!(!kept(&client(), &key(KeyAlgorithm::EcP256).await, &certificate, NOW), "another key");
        assert!(!stays(&client(), b"nonsense", &private, Some(&certificate), NOW));
    }

    #[tokio::test]
    async fn a_renewed_authority_still_stands_behind_what_it_signed() {
        let (certificate, key_of_authority) = made(NOW).await;
        let by = Authority { certificate: &certificate, key: &key_of_authority };
        let private = key(KeyAlgorithm::EcP256).await;
        let pem = issue(&client(), &private, Some(by), NOW).unwrap();
        let renewed = issue(&authority(), &key_of_authority, None, NOW + 10 * DAY).unwrap();
        assert!(stays(&client(), pem.as_bytes(), &private, Some(renewed.as_bytes()), NOW + 10 * DAY));
    }

    #[tokio::test]
    async fn without_days_it_lasts_ten_years_and_stays_as_long_as_its_key() {
        let private = key(KeyAlgorithm::EcP256).await;
        let wanted = Certificate {
            common_name: "auth".to_owned(),
            dns_names: vec!["auth.example".to_owned(), "127.0.0.1".to_owned()],
            ..Certificate::default()
        };
        let pem = issue(&wanted, &private, None, NOW).unwrap();
        let other = Certificate { dns_names: Vec::new(), ..wanted };
        assert!(stays(&other, pem.as_bytes(), &private, None, NOW + 4000 * DAY));
        assert!(!stays(&other, pem.as_bytes(), &key(KeyAlgorithm::EcP256).await, None, NOW));
    }

    #[test]
    fn what_is_no_key_is_said_without_showing_it() {
        let error = issue(&client(), b"hunter2", None, NOW).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
