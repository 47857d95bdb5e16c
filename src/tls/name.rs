//! A distinguished name as text that can't be mistaken for another: RFC 4514, in ASCII.
//!
//! Backends compare such a text to decide over access, so a comma inside of a name must not look like one between two names.

use std::fmt::Write;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::digest::hex;

/// RFC 4514, 3, and the two that mail and nginx's users know.
const KNOWN: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// Most specific first: `CN=alice,O=Example`. Empty for an empty name.
pub(super) fn rfc4514(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let parts = parts.iter().rev().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+"));
    parts.collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let known = KNOWN.iter().find(|(id, _)| *id == oid).map(|(_, name)| *name);
    match (known, attribute.as_str()) {
        (Some(name), Ok(value)) => format!("{name}={}", escaped(value)),
        // A type or a string without a name of its own: `#` and its bytes (2.4).
        (name, _) => format!("{}=#{}", name.unwrap_or(&oid), hex(attribute.as_slice())),
    }
}

/// RFC 4514, 2.4. What isn't printable ASCII is escaped byte by byte, as UTF-8.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (index, byte) in value.bytes().enumerate() {
        match byte {
            b' ' if index == 0 || index == last => text.push_str("\\ "),
            b'#' if index == 0 => text.push_str("\\#"),
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' | b'=' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            0x20..=0x7e => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "\\{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
    use x509_parser::prelude::{FromDer, X509Certificate};

    fn text(entries: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in entries {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let cert = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = X509Certificate::from_der(cert.der()).unwrap();
        rfc4514(parsed.subject())
    }

    #[test]
    fn most_specific_first() {
        let name = [(DnType::CountryName, "DE"), (DnType::OrganizationName, "Example"), (DnType::CommonName, "alice")];
        assert_eq!(text(&name), "CN=alice,O=Example,C=DE");
        assert_eq!(text(&[]), "");
    }

    #[test]
    fn one_name_does_not_look_like_two() {
        assert_eq!(text(&[(DnType::CommonName, "alice,O=Example")]), "CN=alice\\,O\\=Example");
        assert_eq!(text(&[(DnType::CommonName, "a+b\"c\\d<e>;f")]), "CN=a\\+b\\\"c\\\\d\\<e\\>\\;f");
        assert_eq!(text(&[(DnType::CommonName, " #x ")]), "CN=\\ #x\\ ");
        assert_eq!(text(&[(DnType::CommonName, "#x")]), "CN=\\#x");
    }

    #[test]
    fn what_a_field_cannot_carry_is_escaped() {
        assert_eq!(text(&[(DnType::CommonName, "a\r\nX-Admin: 1\0")]), "CN=a\\0D\\0AX-Admin: 1\\00");
        assert_eq!(text(&[(DnType::CommonName, "Jörg")]), "CN=J\\C3\\B6rg");
        let own = DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99_999, 1]);
        assert_eq!(text(&[(own, "hi")]), "1.3.6.1.4.1.99999.1=#6869");
    }
}
