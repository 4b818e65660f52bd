//! What the tests in here share: a tiny model in memory.

use std::sync::OnceLock;

use clap::Parser as _;

use crate::{
    args::Args,
    load::{self, Loaded},
};

/// A model of chance with three places; the same for all tests, since a process has llama.cpp once.
pub(crate) fn tiny() -> &'static Loaded {
    static TINY: OnceLock<Loaded> = OnceLock::new();
    TINY.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let model = directory.path().join("tiny.gguf");
        std::fs::write(&model, dewpoint_gguf::tiny::model(7)).expect("it is written");
        let args = [
            "dew-llama".as_ref(),
            "--model".as_ref(),
            model.as_os_str(),
            "--socket".as_ref(),
            "none".as_ref(),
            "--name".as_ref(),
            "tiny".as_ref(),
            "--threads".as_ref(),
            "1".as_ref(),
            "--parallel".as_ref(),
            "3".as_ref(),
        ];
        load::load(&Args::parse_from(args)).expect("it is loaded")
    })
}
