//! Certificates for tests: an authority, and what it vouches for.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use carryover::grpc::client::Trust;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd,
};

/// Whoever vouches for certificates, and a folder that they are in.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

/// Files of a certificate and its key.
#[derive(Clone)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Pair {
    /// The flags of a server that shows it.
    pub fn flags(&self) -> [&str; 4] {
        ["--tls-cert", text(&self.certificate), "--tls-key", text(&self.key)]
    }
}

/// What is in a client's certificate.
#[derive(Default)]
pub struct Client<'a> {
    pub dns: &'a [&'a str],
    pub uris: &'a [&'a str],
    pub serial: u64,
    pub has_expired: bool,
    /// When it expires, since 1970.
    pub lives: Option<Duration>,
    pub is_for_servers: bool,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "tests");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let authority = Self { issuer, folder: tempfile::tempdir().expect("a folder") };
        std::fs::write(authority.path("ca.pem"), authority.issuer.pem()).expect("written");
        authority
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file that holds its own certificate.
    pub fn file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    fn issue(&self, name: &str, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let pair =
            Pair { certificate: self.path(&format!("{name}.pem")), key: self.path(&format!("{name}.key")) };
        std::fs::write(&pair.certificate, certificate.pem()).expect("written");
        std::fs::write(&pair.key, key.serialize_pem()).expect("written");
        pair
    }

    /// A certificate for the loopback address.
    pub fn server(&self, name: &str) -> Pair {
        self.server_until(name, 2100)
    }

    /// The same, up to a year.
    pub fn server_until(&self, name: &str, year: i32) -> Pair {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        params.not_after = date_time_ymd(year, 1, 1);
        self.issue(name, &params)
    }

    pub fn client(&self, name: &str, client: &Client<'_>) -> Pair {
        let mut params = CertificateParams::new(Vec::new()).expect("names");
        let dns = client.dns.iter().map(|name| SanType::DnsName((*name).try_into().expect("a name")));
        let uris = client.uris.iter().map(|name| SanType::URI((*name).try_into().expect("a name")));
        params.subject_alt_names = dns.chain(uris).collect();
        params.serial_number = Some(SerialNumber::from(client.serial));
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![if client.is_for_servers {
            ExtendedKeyUsagePurpose::ServerAuth
        } else {
            ExtendedKeyUsagePurpose::ClientAuth
        }];
        if client.has_expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        if let Some(lives) = client.lives {
            params.not_after = date_time_ymd(1970, 1, 1) + lives;
        }
        self.issue(name, &params)
    }

    /// A file that says that these were revoked.
    pub fn revoke(&self, serials: &[u64]) -> PathBuf {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("a list");
        std::fs::write(self.path("revoked.pem"), list.pem().expect("PEM")).expect("written");
        self.path("revoked.pem")
    }

    /// Trusts this authority, and shows nothing.
    pub fn trust<'a>(&self, file: &'a Path) -> Trust<'a> {
        Trust { authority: Some(file), identity: None }
    }
}

impl Pair {
    /// Trusts what is in a file, and shows this.
    pub fn trusting<'a>(&'a self, file: &'a Path) -> Trust<'a> {
        Trust { authority: Some(file), identity: Some((&self.certificate, &self.key)) }
    }

    /// Puts these files where others were.
    pub fn replace(&self, other: &Self) {
        for (new, old) in [(&self.key, &other.key), (&self.certificate, &other.certificate)] {
            std::fs::copy(new, old).expect("copied");
        }
    }
}

/// A path as a flag has it.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}
