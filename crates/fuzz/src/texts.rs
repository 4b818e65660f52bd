//! Parsers of texts. What one takes, printed, it takes again as the same.

use dewpoint_api::{
    ActionId, DropletId, Links, PageRequest, ProjectId, Scopes, SshKeyId, TagName, VolumeId, VpcId, rules,
};
use dewpoint_control::{catalogue::CatalogueFile, ssh_keys};
use dewpoint_engine::{UserDataOutcome, qemu::doors};

/// A public key: its fingerprint is one, and does not depend on the comment behind it.
pub(crate) fn public_key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(fingerprint) = ssh_keys::fingerprint(text) else { return };
    assert!(rules::is_fingerprint(&fingerprint), "{fingerprint}");
    assert!(!text.contains(['\n', '\r', '\0']), "a key of several lines: {text:?}");
    let bare = text.split_ascii_whitespace().take(2).collect::<Vec<_>>().join(" ");
    assert_eq!(ssh_keys::fingerprint(&bare).as_deref(), Some(fingerprint.as_str()));
    assert_eq!(ssh_keys::fingerprint(&format!("{bare} other")), Some(fingerprint));
    assert_eq!(ssh_keys::fingerprint(&format!("{bare}\n{bare}")), None);
}

/// A tag's name, or many, one a line: shown as written, and one for all its cases.
pub(crate) fn tag(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(tag) = text.parse::<TagName>() {
        assert!(tag.as_str() == text && (1..=255).contains(&text.len()) && text.is_ascii(), "{text:?}");
        assert_eq!(tag.folded().parse::<TagName>().map(|folded| folded.folded()), Ok(tag.folded()));
    }
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Ok(tags) = rules::tag_names(&lines) {
        let mut folded: Vec<String> = tags.iter().map(TagName::folded).collect();
        folded.sort();
        folded.dedup();
        assert_eq!(folded.len(), tags.len(), "one tag twice");
    }
    if let Ok(scopes) = Scopes::from_names(text.lines()) {
        assert_eq!(Scopes::from_names(scopes.names()).map(|again| again.names()), Ok(scopes.names()));
    }
}

/// `page`, a line feed, `per_page`: within bounds, and links that lead to pages there are.
pub(crate) fn page(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (page, per_page) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(asked) = PageRequest::from_query(Some(page), Some(per_page)) else { return };
    assert!(asked.page >= 1 && (1..=200).contains(&asked.per_page), "{asked:?}");
    assert_eq!(PageRequest::from_query(Some(&asked.page.to_string()), Some(&asked.per_page.to_string())), Ok(asked));
    for total in [0, 1, asked.per_page, asked.per_page + 1, u64::from(u32::MAX), u64::MAX] {
        let last = asked.last(total);
        assert!(last >= 1 && asked.offset() / asked.per_page == asked.page - 1, "{asked:?} of {total}");
        let links = Links::of_page(asked, total, |number| number.to_string());
        let pages = links.pages.unwrap_or_default();
        for (name, number) in [("prev", pages.prev), ("next", pages.next), ("last", pages.last)] {
            let number = number.map(|text| text.parse::<u64>().expect("a number"));
            assert!(
                number.is_none_or(|number| (1..=last).contains(&number)),
                "{name} of {asked:?} of {total}: {number:?}"
            );
        }
    }
}

/// Ids have one way to be written each; UUIDs in any case.
pub(crate) fn id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let shown = [
        text.parse::<DropletId>().map(|id| id.to_string()),
        text.parse::<ActionId>().map(|id| id.to_string()),
        text.parse::<SshKeyId>().map(|id| id.to_string()),
        text.parse::<VolumeId>().map(|id| id.to_string()),
        text.parse::<VpcId>().map(|id| id.to_string()),
        text.parse::<ProjectId>().map(|id| id.to_string()),
    ];
    for shown in shown.into_iter().flatten() {
        assert!(shown.eq_ignore_ascii_case(text), "{text:?} is shown as {shown:?}");
    }
}

/// A catalogue's file: what cannot be read is said in words.
pub(crate) fn catalogue(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match CatalogueFile::parse(text) {
        Ok(file) => drop(dewpoint_control::Catalogue::built_in().extend(file)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A line of QEMU's: the same, printed and read again.
pub(crate) fn qmp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(said) = doors::qmp_line(text) {
        assert_eq!(doors::qmp_line(&said.to_string()), Some(said), "{text:?}");
    }
}

/// A guest agent's line: a reason for the log has no control characters and is not long.
pub(crate) fn agent(data: &[u8]) {
    match doors::agent_line(data) {
        Some(Ok(value)) => {
            let again = serde_json::json!({ "return": value }).to_string();
            assert_eq!(doors::agent_line(again.as_bytes()), Some(Ok(value)));
        }
        Some(Err(reason)) => {
            assert!(reason.chars().count() <= 300 && !reason.chars().any(char::is_control), "{reason:?}");
        }
        None => {}
    }
}

/// A guest's report: a reason that people read has no control characters and is no longer than the line.
pub(crate) fn report(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(doors::REPORT_LINE_MAX)]);
    if let Some(Some(UserDataOutcome::Failed(reason))) = doors::report_line(&text) {
        assert!(!reason.chars().any(char::is_control) && reason.len() <= text.len(), "{reason:?}");
        let again = doors::report_line(&format!("user-data failed {reason}"));
        assert_eq!(again, Some(Some(UserDataOutcome::Failed(reason))));
    }
}
