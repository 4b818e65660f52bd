//! What is made from the commands: the reference in `docs/` and the man pages.

use super::{bare, binary, printed, ran};

#[test]
fn the_reference_is_current() {
    let home = tempfile::tempdir().expect("a directory");
    let made = printed(&["__reference"], &ran(bare(home.path()).arg("__reference")));
    let kept = include_str!("../../../../docs/cli.md");
    let different = made.lines().zip(kept.lines()).find(|(made, kept)| made != kept);
    assert!(
        made == kept,
        "docs/cli.md is old, first at {different:?}: {} __reference > docs/cli.md",
        binary().display()
    );
}

#[test]
fn every_command_has_a_man_page() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("man");
    printed(&["__reference"], &ran(bare(home.path()).args(["__reference", "--man"]).arg(&dir)));
    for name in
        ["dew.1", "dew-serve.1", "dew-droplet-create.1", "dew-compute-image-list.1", "dew-domain-records-create.1"]
    {
        let page = std::fs::read_to_string(dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    assert!(!dir.join("dew-__complete.1").exists(), "what is hidden stays so");
}
