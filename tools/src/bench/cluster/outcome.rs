//! What was measured, for a person.

use std::fmt::Write;

use super::super::latency::{Summary, micros};
use super::super::report::{Report, grouped, rounded};
use super::figures::{ClusterFigures, Figures, Loads, RawCommits};

/// Columns of names.
const NAME_WIDTH: usize = 28;
/// What stands in for a figure that there is not.
const NONE: &str = "-";

impl Report for Figures {
    fn text(&self) -> String {
        let mut text = String::new();
        for cluster in &self.clusters {
            line(&mut text, &about(cluster));
        }
        self.loads(&mut text);
        self.commits(&mut text);
        self.ratios(&mut text);
        text
    }
}

fn about(cluster: &ClusterFigures) -> String {
    let process =
        cluster.storage_pid.map_or(String::from("process unknown"), |pid| format!("process {pid}"));
    let ClusterFigures { storage, objects, data_bytes, request_bytes, .. } = cluster;
    let mut about = format!("{}: storage {storage}, {process}", cluster.cluster);
    if *objects > 0 {
        let (objects, data_bytes) = (grouped(*objects as u64), grouped(*data_bytes as u64));
        let answer = grouped(cluster.answer_overhead_bytes as u64);
        let _ = write!(
            about,
            "; {objects} objects, {data_bytes} bytes; a load sends {request_bytes} bytes and \
             receives {answer} more than the data"
        );
    }
    about
}

impl Figures {
    fn loads(&self, text: &mut String) {
        if self.raw.loads.is_empty() {
            return;
        }
        let head = ["server us", "p50:raw", "p99:raw", "/s:raw"];
        header(text, "loads", "conns", "loads/s", &head);
        for (index, raw) in self.raw.loads.iter().enumerate() {
            for cluster in &self.clusters {
                loads_row(text, &cluster.cluster, &cluster.loads[index]);
                loads_row(text, "  one client, threads", &cluster.session_loads[index]);
            }
            let figures = [figure(raw.server_us)];
            row(text, "raw", raw.connections, raw.exchanges_per_s, &raw.latency, &figures);
        }
    }

    fn commits(&self, text: &mut String) {
        if self.raw.commits.is_empty() {
            return;
        }
        let head = ["server us", "flushes", "written", "p50:raw", "prewr."];
        header(text, "commits", "clients", "commits/s", &head);
        for (index, raw) in self.raw.commits.iter().enumerate() {
            for cluster in &self.clusters {
                let commits = &cluster.commits[index];
                let written = commits.bytes_written_per_commit;
                let figures = [
                    figure(commits.server_us),
                    figure(commits.flushes_per_commit),
                    written.map_or(String::from(NONE), rounded),
                    figure(commits.p50_to_raw),
                    figure(commits.p50_to_raw_prewritten),
                ];
                let rate = commits.commits_per_s;
                row(text, &cluster.cluster, commits.clients, rate, &commits.latency, &figures);
            }
            line(text, &raw_commits(raw));
        }
    }

    fn ratios(&self, text: &mut String) {
        for ratios in &self.ratios {
            line(text, &format!("{} to {}:", ratios.cluster, ratios.to));
            for loads in &ratios.loads {
                let connections = loads.connections;
                let figures = (loads.loads_per_s, loads.p50, loads.p99, loads.server_us);
                ratio_line(text, &format!("loads, {connections} connections"), figures);
            }
            for commits in &ratios.commits {
                let clients = commits.clients;
                let figures = (commits.commits_per_s, commits.p50, commits.p99, commits.server_us);
                ratio_line(text, &format!("commits, {clients} clients"), figures);
            }
        }
    }
}

fn loads_row(text: &mut String, name: &str, loads: &Loads) {
    let figures = [
        figure(loads.server_us),
        format!("{:.2}", loads.p50_to_raw),
        format!("{:.2}", loads.p99_to_raw),
        format!("{:.3}", loads.loads_per_s_to_raw),
    ];
    row(text, name, loads.connections, loads.loads_per_s, &loads.latency, &figures);
}

fn raw_commits(raw: &RawCommits) -> String {
    format!(
        "  raw: synced append p50 {} p99 {} us, prewritten {} / {}, round trip {} / {}; two \
         appends \
         and five round trips {} us, prewritten {}",
        micros(raw.synced_append.p50_ns),
        micros(raw.synced_append.p99_ns),
        micros(raw.synced_prewritten.p50_ns),
        micros(raw.synced_prewritten.p99_ns),
        micros(raw.round_trip.p50_ns),
        micros(raw.round_trip.p99_ns),
        rounded(raw.bound_ns() / 1e3),
        rounded(raw.bound_prewritten_ns() / 1e3),
    )
}

fn ratio_line(text: &mut String, what: &str, figures: (f64, f64, f64, Option<f64>)) {
    let (rate, p50, p99, server) = figures;
    let server = figure(server);
    line(
        text,
        &format!(
            "  {what:<24} {rate:>7.2} as many a second; p50 x {p50:.2}, p99 x {p99:.2}, \
             server CPU x {server}"
        ),
    );
}

fn header(text: &mut String, what: &str, count: &str, rate: &str, more: &[&str]) {
    let mut head = format!(
        "\n{what:<NAME_WIDTH$} {count:>7} {rate:>10} {:>8} {:>8} {:>8} {:>8}",
        "p50 us", "p90", "p99", "max"
    );
    for name in more {
        let _ = write!(head, " {name:>9}");
    }
    line(text, &head);
}

fn row(
    text: &mut String,
    name: &str,
    count: usize,
    rate: f64,
    latency: &Summary,
    figures: &[String],
) {
    let times = [latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.max_ns].map(micros);
    let [p50, p90, p99, max] = times;
    let name = format!("  {name}");
    let rate = rounded(rate);
    let mut row =
        format!("{name:<NAME_WIDTH$} {count:>7} {rate:>10} {p50:>8} {p90:>8} {p99:>8} {max:>8}");
    for figure in figures {
        let _ = write!(row, " {figure:>9}");
    }
    line(text, &row);
}

fn figure(figure: Option<f64>) -> String {
    figure.map_or(String::from(NONE), |figure| format!("{figure:.2}"))
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
