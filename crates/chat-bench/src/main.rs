//! What `dew` adds to a request for a model: the same requests to a stub upstream and through `dew` to the same stub, in turns.
//!
//! `make bench-chat` (scripts/bench-chat.sh builds what it needs). Requests leave at fixed times, whatever became of those before
//! them; each thread has so few that one answer never holds up the next request. Load, stub and `dew` share the processors.
#![expect(clippy::print_stdout, reason = "it tells what it measured")]

mod dew;
mod load;
mod stub;

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    dew::Dew,
    load::{Latencies, Shape, Target},
};

/// Requests a second.
const RATE: u32 = 1000;
/// Requests a second to a proxy that is slower.
const SLOW_RATE: u32 = 50;
/// How long one turn is.
const TURN: Duration = Duration::from_secs(2);
/// Streams at once.
const STREAMS: usize = 1000;

/// What it was told to do.
struct Told {
    binary: String,
    turns: u32,
    other: Option<(SocketAddr, String)>,
    only_stub: Option<SocketAddr>,
}

fn told() -> Result<Told> {
    let mut told = Told { binary: "target/release/dew".to_owned(), turns: 10, other: None, only_stub: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} wants a value"));
        match word.as_str() {
            "--binary" => told.binary = value()?,
            "--turns" => told.turns = value()?.parse().context("--turns")?,
            "--other" => told.other = Some((value()?.parse().context("--other")?, value()?)),
            "--stub" => told.only_stub = Some(value()?.parse().context("--stub")?),
            _ => anyhow::bail!("{word}? --binary FILE, --turns N, --other ADDRESS NAME, --stub ADDRESS"),
        }
    }
    Ok(told)
}

fn main() -> Result<()> {
    let told = told()?;
    if let Some(address) = told.only_stub {
        // For a proxy beside us: its own stub, where its configuration says it is.
        stub::start(address)?;
        loop {
            std::thread::park();
        }
    }
    let stub = stub::start("127.0.0.1:0".parse()?)?;
    let dew = Dew::start(&told.binary, stub)?;
    let rest = dew.resident_kib()?;
    let direct = Target { name: "the stub itself".to_owned(), address: stub, key: String::new() };
    let through = Target { name: "through dew".to_owned(), address: dew.address, key: dew.token.clone() };
    println!("{} turns of {TURN:?} each at {RATE} requests/s; load average {}", told.turns, load_average()?);
    for shape in [Shape::Whole, Shape::Stream] {
        compare(shape, &direct, &through, told.turns)?;
    }
    if let Some((address, name)) = &told.other {
        let key = "sk-of-the-bench".to_owned();
        let other = Target { name: format!("through {name}"), address: *address, key };
        for shape in [Shape::Whole, Shape::Stream] {
            beside(shape, [&direct, &through, &other], told.turns.div_ceil(2))?;
        }
    }
    let held = load::hold_streams(&through, STREAMS, &dew)?;
    std::thread::sleep(Duration::from_secs(3));
    let (busy, got) = (dew.resident_kib()?, held.answered()?);
    println!(
        "{STREAMS} streams at once ({got} had their first event): {} MiB resident; {} MiB before any request, {} MiB before them",
        busy / 1024,
        rest / 1024,
        held.before_kib() / 1024
    );
    println!("load average {}", load_average()?);
    Ok(())
}

/// Turn by turn, so that what else the machine does falls on both.
fn compare(shape: Shape, direct: &Target, through: &Target, turns: u32) -> Result<()> {
    let (mut alone, mut with_us) = (Latencies::default(), Latencies::default());
    load::run(direct, shape, RATE, TURN / 2)?;
    load::run(through, shape, RATE, TURN / 2)?;
    for _ in 0..turns {
        alone.extend(load::run(direct, shape, RATE, TURN)?);
        with_us.extend(load::run(through, shape, RATE, TURN)?);
    }
    println!("{}, {} requests each; microseconds: p50, p90, p99, p99.9, longest; left late", shape.says(), alone.len());
    let (alone, with_us) = (alone.told(&direct.name), with_us.told(&through.name));
    println!(
        "  {:<18} {:>8.0} {:>8.0} {:>8.0}",
        "what it adds",
        with_us[0] - alone[0],
        with_us[1] - alone[1],
        with_us[2] - alone[2]
    );
    Ok(())
}

fn beside(shape: Shape, targets: [&Target; 3], turns: u32) -> Result<()> {
    let mut all = [Latencies::default(), Latencies::default(), Latencies::default()];
    for turn in 0..=turns {
        for (latencies, target) in all.iter_mut().zip(targets) {
            let measured = load::run(target, shape, SLOW_RATE, TURN)?;
            // The first turn warms.
            if turn > 0 {
                latencies.extend(measured);
            }
        }
    }
    println!("the same at {SLOW_RATE} requests/s, beside another proxy");
    let [alone, ours, other] = [0, 1, 2].map(|at| all[at].told(&targets[at].name));
    println!(
        "  {:<18} {:>8.0} {:>8.0} {:>8.0}",
        "dew adds",
        ours[0] - alone[0],
        ours[1] - alone[1],
        ours[2] - alone[2]
    );
    println!(
        "  {:<18} {:>8.0} {:>8.0} {:>8.0}",
        "the other adds",
        other[0] - alone[0],
        other[1] - alone[1],
        other[2] - alone[2]
    );
    Ok(())
}

fn load_average() -> Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}
