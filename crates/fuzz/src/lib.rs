//! Fuzz targets: plain functions that take any bytes and panic when something is wrong.
//!
//! `tests/corpora.rs` replays the inputs in `corpus/NAME` and mutations of them with every `cargo test`; `make fuzz` looks for
//! new ones, guided by coverage, with the program `fuzz`. A target checks more than that nothing panics: what was taken reads
//! back the same, what was refused has left nothing behind, and no answer is the server's fault.

mod door;
mod images;
mod metadata;
mod models;
mod mutate;
mod names;
mod texts;

pub use mutate::Mutator;

/// One thing that is fed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its directory in `corpus`.
    pub name: &'static str,
    /// Panics when the input has brought something wrong to light.
    pub run: fn(&[u8]),
    /// How many mutated inputs `cargo test` feeds it: what takes about a second or two.
    pub mutations: u32,
}

/// Every target.
pub const TARGETS: [Target; 18] = [
    Target { name: "create_body", run: door::create_body, mutations: 300 },
    Target { name: "request", run: door::request, mutations: 500 },
    Target { name: "query", run: door::query, mutations: 500 },
    Target { name: "user_data", run: door::user_data, mutations: 100 },
    Target { name: "public_key", run: texts::public_key, mutations: 5000 },
    Target { name: "tag", run: texts::tag, mutations: 5000 },
    Target { name: "page", run: texts::page, mutations: 5000 },
    Target { name: "id", run: texts::id, mutations: 5000 },
    Target { name: "catalogue", run: texts::catalogue, mutations: 500 },
    Target { name: "image_header", run: images::header, mutations: 3000 },
    Target { name: "image_download", run: images::download, mutations: 300 },
    Target { name: "seed", run: images::seed, mutations: 50 },
    Target { name: "qmp", run: texts::qmp, mutations: 5000 },
    Target { name: "agent", run: texts::agent, mutations: 5000 },
    Target { name: "metadata_path", run: metadata::path, mutations: 5000 },
    Target { name: "dns_packet", run: names::packet, mutations: 1500 },
    Target { name: "model_header", run: models::header, mutations: 5000 },
    Target { name: "report", run: texts::report, mutations: 5000 },
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
