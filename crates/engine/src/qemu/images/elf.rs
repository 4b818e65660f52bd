//! Which shared libraries a program asks for, read from its file: enough of ELF for that, and no more.
//!
//! Source: the System V ABI, "Dynamic Section"; 64-bit little-endian files only.

const SECTION_DYNAMIC: usize = 6;
const TAG_NEEDED: usize = 1;

/// The names a program or library has under `NEEDED`; `None` when it is no dynamic 64-bit ELF file.
pub(super) fn needed(file: &[u8]) -> Option<Vec<String>> {
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = number(file, 0x28, 8)?;
    let (entry_size, entries) = (number(file, 0x3a, 2)?, number(file, 0x3c, 2)?);
    let section = |index: usize| file.get(table.checked_add(index.checked_mul(entry_size)?)?..);
    let dynamic = (0..entries).filter_map(section).find(|s| number(s, 4, 4) == Some(SECTION_DYNAMIC))?;
    let strings = contents(file, section(number(dynamic, 0x28, 4)?)?)?;
    let names = contents(file, dynamic)?
        .chunks_exact(16)
        .filter(|entry| number(entry, 0, 8) == Some(TAG_NEEDED))
        .filter_map(|entry| {
            let name = strings.get(number(entry, 8, 8)?..)?;
            let end = name.iter().position(|&byte| byte == 0)?;
            String::from_utf8(name[..end].to_vec()).ok()
        });
    Some(names.collect())
}

/// The bytes of the section whose header starts `header`.
fn contents<'a>(file: &'a [u8], header: &[u8]) -> Option<&'a [u8]> {
    let (start, size) = (number(header, 0x18, 8)?, number(header, 0x20, 8)?);
    file.get(start..start.checked_add(size)?)
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(bytes.get(at..at.checked_add(width)?)?);
    usize::try_from(u64::from_le_bytes(wide)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_test_needs_the_c_library() {
        let program = std::fs::read("/proc/self/exe").expect("this program");
        assert!(needed(&program).expect("an ELF file").iter().any(|name| name.starts_with("libc.so")));
    }

    #[test]
    fn other_files_need_nothing() {
        assert_eq!(needed(b"#!/bin/sh\n"), None);
        assert_eq!(needed(b"\x7fELF\x02\x01"), None);
    }
}
