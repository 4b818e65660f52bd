//! Rules of shape that a text obeys or not, whatever the state of the world.
//!
//! Each returns [`Invalid`] with the member's name as its request has it; messages that clients match on are word for word
//! those of behaviour rule ERR-6.

use std::collections::HashSet;

use crate::{FilesystemType, Invalid, TagName};

/// Most entries of a list in a body, whatever it lists (our choice): each may cost a look into the store while all others wait.
pub const LISTED_MAX: usize = 1000;
/// The refusal of a Droplet name, word for word as the real service has it.
pub const HOSTNAME_PROBLEM: &str = "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)";

/// Most characters a Droplet name or a tag may have.
pub const NAME_MAX: usize = 255;

/// Most Droplets one request may make (behaviour rule CRE-2).
pub const NAMES_MAX: usize = 10;

/// Most bytes of `user_data` (behaviour rule CRE-11).
pub const USER_DATA_MAX: usize = 65_536;

/// The largest volume, in GiB (behaviour rule VOL-2).
pub const VOLUME_GIB_MAX: u64 = 16_384;

/// Most volumes one Droplet may hold (behaviour rule CRE-13).
pub const VOLUMES_MAX: usize = 15;

/// A Droplet's name: 1 to 255 letters, digits, `.` and `-`, the last a letter or digit (behaviour rule CRE-3).
///
/// It may begin with `.` or `-`: the documented pattern lets it.
pub fn droplet_name(name: &str) -> Result<(), Invalid> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if name.is_empty() {
        return Err(Invalid::new("name", "is required and cannot be empty."));
    }
    if name.len() > NAME_MAX {
        return Err(Invalid::new("name", format!("is too long (maximum is {NAME_MAX} characters).")));
    }
    if !name.chars().all(fits) {
        return Err(Invalid::new("name", HOSTNAME_PROBLEM));
    }
    if !name.ends_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(Invalid::new("name", format!("{HOSTNAME_PROBLEM} The last one must be a letter or a digit.")));
    }
    Ok(())
}

/// A tag: 1 to 255 letters, digits, `_`, `-` and `:` (behaviour rule TAG-1).
pub fn tag_name(name: &str) -> Result<(), Invalid> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':');
    if name.is_empty() {
        return Err(Invalid::new("tag", "is required and cannot be empty."));
    }
    if name.len() > NAME_MAX {
        return Err(Invalid::new("tag", format!("is too long (maximum is {NAME_MAX} characters).")));
    }
    if !name.chars().all(fits) {
        let problem = format!("{name:?} may only contain letters, numbers, colons, dashes, and underscores.");
        return Err(Invalid::new("tag", problem));
    }
    Ok(())
}

/// A volume's name: a lower case letter, then lower case letters, digits and `-`, 64 in all (behaviour rule VOL-1).
pub fn volume_name(name: &str) -> Result<(), Invalid> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= 64 && name.chars().all(fits);
    good.then_some(()).ok_or_else(|| {
        Invalid::new(
            "name",
            "must begin with a lower case letter and have only lower case letters, digits and dashes, at most 64 in all.",
        )
    })
}

/// A volume's size in GiB: 1 to 16384 (behaviour rule VOL-2).
pub fn volume_size(gib: i64) -> Result<u64, Invalid> {
    let fits = u64::try_from(gib).ok().filter(|gib| (1..=VOLUME_GIB_MAX).contains(gib));
    fits.ok_or_else(|| Invalid::new("size_gigabytes", format!("must be between 1 and {VOLUME_GIB_MAX}.")))
}

/// A volume's file system: `ext4` or `xfs`, with a label of at most 16 or 12 bytes, or neither (behaviour rule VOL-3).
pub fn filesystem(kind: Option<&str>, label: Option<&str>) -> Result<Option<FilesystemType>, Invalid> {
    let Some(kind) = kind else {
        return match label {
            None => Ok(None),
            Some(_) => Err(Invalid::new("filesystem_label", "needs a filesystem_type.")),
        };
    };
    let kind = kind.parse().map_err(|_| Invalid::new("filesystem_type", "must be ext4 or xfs."))?;
    let longest = match kind {
        FilesystemType::Ext4 => 16,
        FilesystemType::Xfs => 12,
    };
    if label.is_some_and(|label| label.len() > longest) {
        return Err(Invalid::new("filesystem_label", format!("is too long (maximum is {longest} characters).")));
    }
    Ok(Some(kind))
}

/// A VPC's name: letters, digits, `-` and `.`, at most 255 (behaviour rule VPC-1; the length is our choice).
pub fn vpc_name(name: &str) -> Result<(), Invalid> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let good = !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(fits);
    good.then_some(()).ok_or_else(|| Invalid::new("name", "may only contain letters, digits, dashes and periods."))
}

/// A VPC peering's name: letters, digits and dashes (behaviour rule PEE-1).
pub fn vpc_peering_name(name: &str) -> Result<(), Invalid> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let good = !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(fits);
    good.then_some(()).ok_or_else(|| Invalid::new("name", "may only contain letters, digits and dashes."))
}

/// A VPC's description: at most 255 characters (behaviour rule VPC-1).
pub fn vpc_description(text: &str) -> Result<(), Invalid> {
    let good = text.chars().count() <= 255;
    good.then_some(()).ok_or_else(|| Invalid::new("description", "is too long (maximum is 255 characters)."))
}

/// A firewall's name: a letter or digit, then letters, digits, `.` and `-`, 2 to 255 in all (behaviour rule FW-1; the most is
/// our choice).
pub fn firewall_name(name: &str) -> Result<(), Invalid> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let good = begins && (2..=NAME_MAX).contains(&name.len()) && name.chars().all(fits);
    good.then_some(()).ok_or_else(|| {
        Invalid::new(
            "name",
            "must begin with a letter or a digit and have only letters, digits, dashes and periods, 2 to 255 in all.",
        )
    })
}

/// True for an MD5 fingerprint of an SSH key: 16 bytes in hex, colons between (behaviour rule KEY-1). Either case.
pub fn is_fingerprint(text: &str) -> bool {
    text.len() == 47 && text.split(':').all(|byte| byte.len() == 2 && byte.chars().all(|c| c.is_ascii_hexdigit()))
}

/// A list in a body, `field`, of this length: at most [`LISTED_MAX`] entries.
pub fn listed(field: &'static str, length: usize) -> Result<(), Invalid> {
    let good = length <= LISTED_MAX;
    good.then_some(()).ok_or_else(|| Invalid::new(field, format!("has too many entries (maximum is {LISTED_MAX}).")))
}

/// The tags a body names, each once, whatever the case it is written in (TAG-1).
pub fn tag_names(texts: &[String]) -> Result<Vec<TagName>, Invalid> {
    listed("tags", texts.len())?;
    let mut known = HashSet::new();
    let mut tags = Vec::with_capacity(texts.len());
    for text in texts {
        let tag: TagName = text.parse()?;
        if known.insert(tag.folded()) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: fn(&str) -> Result<(), Invalid>, good: &[&str], bad: &[&str]) {
        for name in good {
            assert_eq!(rule(name), Ok(()), "{name:?} should be taken");
        }
        for name in bad {
            assert!(rule(name).is_err(), "{name:?} should be refused");
        }
    }

    #[test]
    fn droplet_names_are_host_names_cre_3() {
        let longest = "a".repeat(255);
        let too_long = "a".repeat(256);
        let good = ["web-1", "example.com", "A", "9", "-a", ".a", "a..b", "tf-acc-test-01", &longest];
        let bad = ["", " ", "a b", "a_b", "web-", "web.", "ü", "a/b", "a\n", "名", &too_long];
        check(droplet_name, &good, &bad);
    }

    #[test]
    fn a_bad_droplet_name_is_refused_in_the_words_clients_know_err_6() {
        let refusal = droplet_name("my droplet").expect_err("a space").to_string();
        assert!(refusal.contains("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)"), "{refusal}");
        let refusal = droplet_name("trailing-").expect_err("a dash").to_string();
        assert!(refusal.contains(HOSTNAME_PROBLEM), "{refusal}");
    }

    #[test]
    fn tags_have_no_slash_dot_star_or_space_tag_1() {
        let longest = "t".repeat(255);
        let too_long = "t".repeat(256);
        check(
            tag_name,
            &["web", "env:prod", "A_b-c:9", ":", &longest],
            &["", "a/b", "a.b", "*", "a b", "é", &too_long],
        );
    }

    #[test]
    fn volume_names_are_lower_case_and_begin_with_a_letter_vol_1() {
        let longest = "v".repeat(64);
        let too_long = "v".repeat(65);
        check(
            volume_name,
            &["data", "d", "data-1", &longest],
            &["", "1data", "-data", "Data", "da_ta", "a.b", &too_long],
        );
    }

    #[test]
    fn a_volume_has_1_to_16384_gib_vol_2() {
        assert_eq!((volume_size(1), volume_size(16_384)), (Ok(1), Ok(16_384)));
        assert!(volume_size(0).is_err() && volume_size(-1).is_err() && volume_size(16_385).is_err());
    }

    #[test]
    fn a_label_goes_with_a_file_system_and_has_its_length_vol_3() {
        assert_eq!(filesystem(None, None), Ok(None));
        assert_eq!(filesystem(Some("ext4"), Some("sixteen-letters-")), Ok(Some(FilesystemType::Ext4)));
        assert_eq!(filesystem(Some("xfs"), Some("twelve-chars")), Ok(Some(FilesystemType::Xfs)));
        assert!(filesystem(Some("xfs"), Some("thirteen-char")).is_err());
        assert!(filesystem(Some("ext4"), Some("seventeen-letters")).is_err());
        assert!(filesystem(Some("btrfs"), None).is_err() && filesystem(None, Some("label")).is_err());
    }

    #[test]
    fn vpc_names_have_letters_digits_dashes_and_periods_vpc_1() {
        check(vpc_name, &["default-nyc3", "env.prod-vpc", "A1"], &["", "a b", "a_b", "a/b"]);
        assert!(vpc_description(&"é".repeat(255)).is_ok());
        assert!(vpc_description(&"é".repeat(256)).is_err());
    }

    #[test]
    fn firewall_names_have_two_characters_or_more_and_begin_with_a_letter_or_digit_fw_1() {
        let longest = "f".repeat(255);
        let too_long = "f".repeat(256);
        check(firewall_name, &["web", "9.a-", "A1", &longest], &["", "a", "-a", ".a", "a b", "a_b", "ab\n", &too_long]);
    }

    #[test]
    fn a_fingerprint_is_sixteen_hex_bytes() {
        assert!(is_fingerprint("3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45"));
        assert!(is_fingerprint("3B:16:E4:BF:8B:00:8B:B8:59:8C:A9:D3:F0:19:FA:45"));
        for bad in ["", "3b:16", "3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:4", "3b16e4bf8b008bb8598ca9d3f019fa45"] {
            assert!(!is_fingerprint(bad), "{bad:?}");
        }
        assert!(!is_fingerprint("3g:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45"));
    }
}
