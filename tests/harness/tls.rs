//! A certificate authority with a server's and a client's certificate, made anew for each test.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use std::path::Path;

/// Writes `ca.crt`, `server.crt`, `server.key`, `client.crt`, `client.key` to `dir`,
/// and `other-ca.crt`, an authority that signed none of them.
pub fn write_certificates(dir: &Path) {
    let authority = authority("test authority");
    std::fs::write(dir.join("ca.crt"), authority.pem()).unwrap();
    std::fs::write(dir.join("other-ca.crt"), self::authority("another authority").pem()).unwrap();
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
        let certificate = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        std::fs::write(dir.join(format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// What a server's certificate may be like that is not to be trusted.
#[derive(Clone, Copy, Debug)]
pub enum Flaw {
    Expired,
    NotValidYet,
    OtherName,
}

/// Writes `flawed.crt`, `flawed.key`, and `flawed-ca.crt`, the authority that signed it.
pub fn write_flawed(dir: &Path, flaw: Flaw) {
    let authority = authority("flawed authority");
    let key = KeyPair::generate().unwrap();
    let names = match flaw {
        Flaw::OtherName => vec!["elsewhere.example".to_owned()],
        Flaw::Expired | Flaw::NotValidYet => vec!["127.0.0.1".to_owned()],
    };
    let mut params = CertificateParams::new(names).unwrap();
    match flaw {
        Flaw::Expired => params.not_after = date_time_ymd(2001, 1, 1),
        Flaw::NotValidYet => params.not_before = date_time_ymd(4000, 1, 1),
        Flaw::OtherName => {}
    }
    let certificate = params.signed_by(&key, &authority).unwrap();
    std::fs::write(dir.join("flawed-ca.crt"), authority.pem()).unwrap();
    std::fs::write(dir.join("flawed.crt"), certificate.pem()).unwrap();
    std::fs::write(dir.join("flawed.key"), key.serialize_pem()).unwrap();
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}
