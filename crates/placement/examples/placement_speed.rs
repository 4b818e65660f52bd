//! How long a placement takes among 1,000 hosts of 8 GPUs each: the first of 10,000, the last, and one that is refused. Sixteen
//! in a hundred are Droplets without a GPU; as many as had theirs for longest go when hosts are full, so that all are placed.

#![expect(clippy::print_stdout, reason = "it is what it is for")]

use std::{collections::VecDeque, time::Instant};

use dewpoint_placement::{Gpu, Host, Need, Overcommit, Stock, Taken, Wish};

const HOSTS: usize = 1000;
const GPUS: usize = 8;
const PLACEMENTS: usize = 10_000;

fn hosts() -> impl Iterator<Item = Host> {
    let gpu = |place: usize| Gpu { model: "nvidia_h100".to_owned(), node: Some(place as u32 / 4), healthy: true };
    (0..HOSTS).map(move |number| Host {
        name: format!("host-{number:04}"),
        region: "nyc2".to_owned(),
        vcpus: 192,
        memory_mib: 2_000_000,
        gpus: (0..GPUS).map(gpu).collect(),
    })
}

/// Of some measurements, in order.
fn at(of: &[f64], share: f64) -> f64 {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(((sorted.len() - 1) as f64 * share) as usize).copied().unwrap_or_default()
}

fn main() {
    let mut stock = Stock::new(hosts(), Overcommit::default());
    let need = Need { vcpus: 20, memory_mib: 240_000, gpus: Some((1, "nvidia_h100".to_owned())) };
    let plain = Need { vcpus: 1, memory_mib: 1024, gpus: None };
    let wish = |need| Wish { region: Some("nyc2"), need, apart_from: &[] };
    let mut running: VecDeque<(String, Taken)> = VecDeque::new();
    let mut micros = Vec::new();
    let all = Instant::now();
    for number in 0..PLACEMENTS {
        let need = if number % 100 < 16 { &plain } else { &need };
        while running.len() >= HOSTS * GPUS * 9 / 10 {
            let Some((host, taken)) = running.pop_front() else { break };
            stock.give_back(&host, &taken);
        }
        let began = Instant::now();
        let Ok(placement) = stock.place(&wish(need)) else { continue };
        let taken = placement.taken(need);
        stock.take(&placement.host, &taken);
        micros.push(began.elapsed().as_secs_f64() * 1e6);
        running.push_back((placement.host, taken));
    }
    let all = all.elapsed();
    let tenth = micros.len() / 10;
    let (first, last) = (&micros[..tenth], &micros[micros.len() - tenth..]);
    let took = format!("{:.0} ms", all.as_secs_f64() * 1e3);
    println!("{} placements on {HOSTS} hosts of {GPUS} GPUs | {took} | ", micros.len());
    println!("  one of the first tenth, median | {:.0} us | 1 ms", at(first, 0.5));
    println!("  one of the last tenth, median | {:.0} us | as the first", at(last, 0.5));
    println!("  the slowest of a hundred | {:.0} us | 1 ms", at(&micros, 0.99));

    while let Ok(placement) = stock.place(&wish(&need)) {
        stock.take(&placement.host, &placement.taken(&need));
    }
    let began = Instant::now();
    let refused = stock.place(&wish(&need)).is_err();
    println!("  one that is refused: {refused} | {:.0} us | 1 ms", began.elapsed().as_secs_f64() * 1e6);
}
