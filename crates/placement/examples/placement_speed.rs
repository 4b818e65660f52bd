//! How long a placement takes among 1,000 hosts of 8 GPUs each: the first, the last of 8,000, and one that is refused.

#![expect(clippy::print_stdout, reason = "it is what it is for")]

use std::time::Instant;

use dewpoint_placement::{Gpu, Host, Need, Overcommit, Stock, Wish};

const HOSTS: usize = 1000;
const GPUS: usize = 8;

fn main() {
    let gpu = |place: usize| Gpu { model: "nvidia_h100".to_owned(), node: Some(place as u32 / 4), healthy: true };
    let hosts = (0..HOSTS).map(|number| Host {
        name: format!("host-{number:04}"),
        region: "nyc2".to_owned(),
        vcpus: 192,
        memory_mib: 2_000_000,
        gpus: (0..GPUS).map(gpu).collect(),
    });
    let mut stock = Stock::new(hosts, Overcommit::default());
    let need = Need { vcpus: 20, memory_mib: 240_000, gpus: Some((1, "nvidia_h100".to_owned())) };
    let wish = Wish { region: Some("nyc2"), need: &need, apart_from: &[] };
    let mut micros = Vec::new();
    let all = Instant::now();
    for _ in 0..HOSTS * GPUS {
        let began = Instant::now();
        let Ok(placement) = stock.place(&wish) else { break };
        stock.take(&placement.host, &placement.taken(&need));
        micros.push(began.elapsed().as_secs_f64() * 1e6);
    }
    let all = all.elapsed();
    let began = Instant::now();
    let refused = stock.place(&wish).is_err();
    let refusal = began.elapsed().as_secs_f64() * 1e6;
    let median = |of: &[f64]| {
        let mut sorted = of.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    };
    let tenth = micros.len() / 10;
    println!("{} placements on {HOSTS} hosts of {GPUS} GPUs in {:.0} ms", micros.len(), all.as_secs_f64() * 1e3);
    println!(
        "one of the first tenth {:.0} us at the median, of the last {:.0} us",
        median(&micros[..tenth]),
        median(&micros[micros.len() - tenth..])
    );
    println!("one that is refused ({refused}) {refusal:.0} us");
}
