//! One target, named by DEW_FUZZ_TARGET, in libFuzzer's hands. `scripts/fuzz.sh` builds and runs it.

#![no_main]

use std::sync::OnceLock;

use dewpoint_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(init: {
    let name = std::env::var("DEW_FUZZ_TARGET").expect("DEW_FUZZ_TARGET names a target");
    let target = dewpoint_fuzz::target(&name).unwrap_or_else(|| panic!("there is no target {name}"));
    TARGET.set(target).expect("it is set once");
}, |data: &[u8]| {
    (TARGET.get().expect("it was set at the start").run)(data);
});
