//! Every target over every input kept for it, and over mutations of these from a fixed seed.
//!
//! DEW_FUZZ_SEED sets another seed, DEW_FUZZ_MUTATIONS a factor for how many there are.

use std::{env, fs, path::Path, time::Instant};

use dewpoint_fuzz::{Mutator, TARGETS, Target};

fn corpus(target: Target) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut inputs: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.file_name().map(|name| name.to_string_lossy().into_owned()), fs::read(&path)))
        .map(|(name, bytes)| (name.expect("a name"), bytes.expect("a file")))
        .collect();
    inputs.sort();
    inputs
}

fn setting(name: &str, usual: u64) -> u64 {
    env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[test]
fn no_target_minds_its_corpus_or_what_is_like_it() {
    let (seed, factor) = (setting("DEW_FUZZ_SEED", 1), setting("DEW_FUZZ_MUTATIONS", 1));
    let (mut kept, mut made) = (0, 0);
    for target in TARGETS {
        let began = Instant::now();
        let inputs = corpus(target);
        assert!(inputs.len() >= 3, "{} has hardly a corpus", target.name);
        for (name, input) in &inputs {
            say_if_it_panics(target, input, || format!("corpus/{}/{name}", target.name));
        }
        let mut mutator = Mutator::new(seed);
        let mutations = u64::from(target.mutations) * factor;
        for number in 0..mutations {
            let (one, other) = (mutator.below(inputs.len()), mutator.below(inputs.len()));
            let input = mutator.mutate(&inputs[one].1, &inputs[other].1);
            say_if_it_panics(target, &input, || format!("mutation {number} of seed {seed}"));
        }
        eprintln!("{}: {} kept inputs, {mutations} mutations, {:.1?}", target.name, inputs.len(), began.elapsed());
        kept += inputs.len();
        made += mutations;
    }
    eprintln!("{} fuzz targets: {kept} kept inputs and {made} mutations, seed {seed}", TARGETS.len());
}

/// Feeds the target; if that panics, says with what first.
fn say_if_it_panics(target: Target, input: &[u8], what: impl Fn() -> String) {
    let fed = std::panic::catch_unwind(|| (target.run)(input));
    if let Err(panic) = fed {
        eprintln!("{} minds {}: {}", target.name, what(), input.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}
