//! Names of domains, of records in them, and of what records point at. Pure.

use crate::Error;

/// Longest name, in characters (RFC 1035).
const NAME_MAX: usize = 253;

/// Whether `label` may be a part of a name: letters, digits, `-` and, for services and the like, `_`.
fn is_label(label: &str, underscore: bool) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || underscore && c == '_';
    (1..=63).contains(&label.len()) && label.chars().all(fits) && !label.starts_with('-') && !label.ends_with('-')
}

/// The name of a domain as it is kept: lower case, without a dot at the end (DNS-1).
pub(super) fn domain(text: &str) -> Result<String, Error> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let labels: Vec<&str> = name.split('.').collect();
    let numeric = labels.last().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()));
    if labels.len() < 2 || name.len() > NAME_MAX || numeric || !labels.iter().all(|label| is_label(label, false)) {
        return Err(Error::invalid(format!(
            "name {text:?} is no name of a domain: labels of letters, digits and dashes with dots between, such as example.com."
        )));
    }
    Ok(name)
}

/// Whose record it is, below the domain: `@` for the domain itself (DNS-2).
pub(super) fn owner(domain: &str, text: &str) -> Result<String, Error> {
    let lower = text.to_ascii_lowercase();
    let name = match lower.strip_suffix('.') {
        None => lower,
        Some(whole) => below(domain, whole).ok_or_else(|| {
            Error::invalid(format!(
                "name {text} is not in {domain}: leave the dot at its end out, or name one that is."
            ))
        })?,
    };
    let rest = name.strip_prefix("*.").unwrap_or(&name);
    let good = matches!(name.as_str(), "@" | "*") || rest.split('.').all(|label| is_label(label, true));
    if !good || name.len() + 1 + domain.len() > NAME_MAX {
        return Err(Error::invalid(format!(
            "name {text:?} is no name of a record: labels with dots between, `*` or `@`."
        )));
    }
    Ok(name)
}

/// The part of a whole name that is below the domain, `@` for the domain itself; `None` when it is not in the domain.
pub(super) fn below(domain: &str, whole: &str) -> Option<String> {
    if whole == domain {
        return Some("@".to_owned());
    }
    whole.strip_suffix(domain)?.strip_suffix('.').filter(|rest| !rest.is_empty()).map(str::to_owned)
}

/// What a record points at, as a whole name without a dot at the end, or `@`. A name without a dot at its end is below the
/// domain, as in a zone file.
pub(super) fn target(domain: &str, text: &str) -> Result<String, Error> {
    let lower = text.to_ascii_lowercase();
    let whole = match lower.strip_suffix('.') {
        Some(whole) => whole.to_owned(),
        None if lower == "@" => domain.to_owned(),
        None => format!("{lower}.{domain}"),
    };
    if whole.len() > NAME_MAX || !whole.split('.').all(|label| is_label(label, true)) {
        return Err(Error::invalid(format!(
            "data {text:?} is no name of a host. A whole name needs to end with a dot (.)"
        )));
    }
    Ok(if whole == domain { "@".to_owned() } else { whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_two_labels_or_more_dns_1() {
        for good in ["example.com", "EXAMPLE.com.", "a.b.c.example.co.uk", "xn--bcher-kva.example", "1.example"] {
            assert!(domain(good).is_ok(), "{good}");
        }
        let long = format!("{}.com", "a".repeat(64));
        for bad in
            ["", ".", "com", "a..b", "-a.com", "a-.com", "a b.com", "a_b.com", "10.0.0.1", "ä.com", "*.com", &long]
        {
            assert!(domain(bad).is_err(), "{bad}");
        }
        assert_eq!(domain("Example.COM.").expect("good"), "example.com");
    }

    #[test]
    fn a_record_is_below_its_domain_also_when_it_is_named_whole_dns_2() {
        let cases = [
            ("www", "www"),
            ("WWW.Dev", "www.dev"),
            ("@", "@"),
            ("*", "*"),
            ("*.dev", "*.dev"),
            ("_sip._tcp", "_sip._tcp"),
            ("example.com.", "@"),
            ("www.example.com.", "www"),
            ("example.com", "example.com"),
        ];
        for (text, kept) in cases {
            assert_eq!(owner("example.com", text).expect(text), kept);
        }
        for bad in ["www.example.org.", "notexample.com.", "", ".", "a..b", "a b", "*.*", "a.*", "-a", ".example.com."]
        {
            assert!(owner("example.com", bad).is_err(), "{bad}");
        }
        assert!(owner("example.com", &"a.".repeat(130)).is_err());
    }

    #[test]
    fn a_target_without_a_dot_at_its_end_is_below_the_domain_dns_2() {
        let cases = [
            ("www", "www.example.com"),
            ("a.b", "a.b.example.com"),
            ("Other.Org.", "other.org"),
            ("@", "@"),
            ("example.com.", "@"),
        ];
        for (text, kept) in cases {
            assert_eq!(target("example.com", text).expect(text), kept);
        }
        for bad in [".", "a b.", "http://x.", "a..b.", "*."] {
            assert!(target("example.com", bad).is_err(), "{bad}");
        }
    }
}
