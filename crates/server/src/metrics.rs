//! Counters of what the server did, in the text form that Prometheus reads. Plain atomics: a request costs three additions.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use http::StatusCode;

/// The statuses told apart; any other counts as the last one of its class here.
const STATUSES: [u16; 18] = [200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 408, 409, 412, 413, 422, 429, 500, 503];
/// Upper bounds of the latency buckets, in microseconds.
const BOUNDS_US: [u64; 11] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 1_000_000, 10_000_000];

/// One number of another part of the program, such as the store's commits, at the time it is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its name, as Prometheus wants it: `dewpoint_store_commits_total`.
    pub name: &'static str,
    /// What it counts, in one sentence.
    pub help: &'static str,
    /// `true` when it only ever grows.
    pub is_counter: bool,
    /// Its value.
    pub value: u64,
}

/// Requests by operation and status, and how long they took.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// One per operation, then one for requests that meant no operation.
    operations: Vec<Counts>,
    names: Vec<&'static str>,
}

#[derive(Debug, Default)]
struct Counts {
    by_status: [AtomicU64; STATUSES.len()],
    /// One more than the bounds, for what was slower than all of them.
    by_time: [AtomicU64; BOUNDS_US.len() + 1],
    total_us: AtomicU64,
}

impl Metrics {
    /// Counters for operations of these names.
    pub(crate) fn new(mut names: Vec<&'static str>) -> Self {
        names.push("none");
        Self { operations: names.iter().map(|_| Counts::default()).collect(), names }
    }

    /// Counts one answer. `position`: which operation, or none.
    pub(crate) fn count(&self, position: Option<usize>, status: StatusCode, elapsed: Duration) {
        let Some(counts) = self.operations.get(position.unwrap_or(self.operations.len() - 1)) else { return };
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        counts.by_status[index_of(status.as_u16())].fetch_add(1, Relaxed);
        counts.by_time[BOUNDS_US.partition_point(|bound| *bound < micros)].fetch_add(1, Relaxed);
        counts.total_us.fetch_add(micros, Relaxed);
    }

    /// Everything, as Prometheus reads it; operations that nobody called are left out.
    pub(crate) fn render(&self, samples: &[Sample]) -> String {
        let mut text = String::with_capacity(8192);
        self.render_requests(&mut text);
        self.render_times(&mut text);
        for Sample { name, help, is_counter, value } in samples {
            let kind = if *is_counter { "counter" } else { "gauge" };
            line(&mut text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"));
        }
        text
    }

    fn render_requests(&self, text: &mut String) {
        line(text, format_args!("# HELP dewpoint_requests_total Requests answered, by operation and status."));
        line(text, format_args!("# TYPE dewpoint_requests_total counter"));
        for (name, counts) in self.names.iter().zip(&self.operations) {
            for (status, count) in STATUSES.iter().zip(&counts.by_status) {
                let count = count.load(Relaxed);
                if count > 0 {
                    let labels = format_args!("operation=\"{name}\",status=\"{status}\"");
                    line(text, format_args!("dewpoint_requests_total{{{labels}}} {count}"));
                }
            }
        }
    }

    fn render_times(&self, text: &mut String) {
        const NAME: &str = "dewpoint_request_seconds";
        line(text, format_args!("# HELP {NAME} From the request's head to the start of its answer."));
        line(text, format_args!("# TYPE {NAME} histogram"));
        for (name, counts) in self.names.iter().zip(&self.operations) {
            let buckets: Vec<u64> = counts.by_time.iter().map(|count| count.load(Relaxed)).collect();
            let total: u64 = buckets.iter().sum();
            if total == 0 {
                continue;
            }
            let mut so_far = 0;
            for (bound, count) in BOUNDS_US.iter().zip(&buckets) {
                so_far += count;
                let bound = seconds(*bound);
                line(text, format_args!("{NAME}_bucket{{operation=\"{name}\",le=\"{bound}\"}} {so_far}"));
            }
            line(text, format_args!("{NAME}_bucket{{operation=\"{name}\",le=\"+Inf\"}} {total}"));
            line(text, format_args!("{NAME}_sum{{operation=\"{name}\"}} {}", seconds(counts.total_us.load(Relaxed))));
            line(text, format_args!("{NAME}_count{{operation=\"{name}\"}} {total}"));
        }
    }
}

/// Where answers with this status are counted.
fn index_of(status: u16) -> usize {
    STATUSES.binary_search(&status).unwrap_or_else(|next| next.saturating_sub(1))
}

/// Microseconds as seconds, exactly.
fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_operation_status_and_time() {
        let metrics = Metrics::new(vec!["droplets_list", "never_called"]);
        metrics.count(Some(0), StatusCode::OK, Duration::from_micros(100));
        metrics.count(Some(0), StatusCode::OK, Duration::from_micros(101));
        metrics.count(Some(0), StatusCode::IM_A_TEAPOT, Duration::from_secs(60));
        metrics.count(None, StatusCode::NOT_FOUND, Duration::from_micros(1));
        let sample = Sample { name: "dewpoint_backlog", help: "Actions that wait.", is_counter: false, value: 3 };

        let text = metrics.render(&[sample]);

        for expected in [
            "dewpoint_requests_total{operation=\"droplets_list\",status=\"200\"} 2",
            "dewpoint_requests_total{operation=\"droplets_list\",status=\"413\"} 1",
            "dewpoint_requests_total{operation=\"none\",status=\"404\"} 1",
            "dewpoint_request_seconds_bucket{operation=\"droplets_list\",le=\"0.000100\"} 1",
            "dewpoint_request_seconds_bucket{operation=\"droplets_list\",le=\"0.000250\"} 2",
            "dewpoint_request_seconds_bucket{operation=\"droplets_list\",le=\"+Inf\"} 3",
            "dewpoint_request_seconds_sum{operation=\"droplets_list\"} 60.000201",
            "# TYPE dewpoint_backlog gauge",
            "dewpoint_backlog 3",
        ] {
            assert!(text.lines().any(|line| line == expected), "no line {expected:?} in\n{text}");
        }
        assert!(!text.contains("never_called"));
    }
}
