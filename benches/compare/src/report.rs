//! Medians of the runs, as a table to read and as JSON.

use std::fmt::Write;

use serde::Serialize;

use crate::measure::Measure;
use crate::store::Engine;
use crate::workload::Parameters;

/// All runs of all engines.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) parameters: Parameters,
    pub(crate) engines: Vec<EngineReport>,
}

/// All runs of one engine, in order.
#[derive(Serialize)]
pub(crate) struct EngineReport {
    pub(crate) engine: Engine,
    pub(crate) median: Columns,
    pub(crate) runs: Vec<Measure>,
}

/// What the table shows of an engine: the median of each column by itself.
#[derive(Serialize)]
pub(crate) struct Columns {
    inserts_per_s: f64,
    batch_p50_us: f64,
    batch_p99_us: f64,
    batch_max_us: f64,
    batch_max_over_p50: f64,
    settle_s: f64,
    lookups_per_s: f64,
    disk_bytes: f64,
    written_over_raw: Option<f64>,
    flushes_a_batch: Option<f64>,
    memory_bytes: f64,
}

impl EngineReport {
    /// Takes the medians of `runs`, of which there is at least one.
    pub(crate) fn new(engine: Engine, runs: Vec<Measure>) -> Self {
        Self { engine, median: Columns::of(&runs), runs }
    }
}

impl Columns {
    fn of(runs: &[Measure]) -> Self {
        let median = |column: fn(&Measure) -> f64| median(runs.iter().map(column).collect());
        let median_known = |column: fn(&Measure) -> Option<f64>| {
            runs.iter().map(column).collect::<Option<Vec<_>>>().map(self::median)
        };
        Self {
            inserts_per_s: median(|run| run.inserts_per_s),
            batch_p50_us: median(|run| run.batch_p50_us),
            batch_p99_us: median(|run| run.batch_p99_us),
            batch_max_us: median(|run| run.batch_max_us),
            batch_max_over_p50: median(|run| run.batch_max_us / run.batch_p50_us),
            settle_s: median(|run| run.settle_s),
            lookups_per_s: median(|run| run.lookups_per_s),
            disk_bytes: median(|run| run.disk_bytes as f64),
            written_over_raw: median_known(|run| {
                Some(run.device_written_bytes? as f64 / run.raw_bytes as f64)
            }),
            flushes_a_batch: median_known(|run| run.flushes_a_batch),
            memory_bytes: median(|run| run.memory_bytes as f64),
        }
    }
}

impl Report {
    /// One line that says what was done, the table, and how each engine was made durable.
    pub(crate) fn text(&self) -> String {
        let mut text = self.headline();
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(self.engines.iter().map(EngineReport::row));
        for row in &rows {
            for (index, cell) in row.iter().enumerate() {
                let width = rows.iter().map(|row| row[index].len()).max().unwrap_or(0);
                let written = match index {
                    0 => write!(text, "{cell:<width$}"),
                    _ => write!(text, "  {cell:>width$}"),
                };
                written.expect("a string takes everything");
            }
            text.push('\n');
        }
        text.push_str("\nDurable by:\n");
        for engine in &self.engines {
            let durability = engine.runs.first().map_or("", |run| &run.durability);
            let line = writeln!(text, "  {:<13} {durability}", engine.engine.name());
            line.expect("a string takes everything");
        }
        text
    }

    fn headline(&self) -> String {
        let parameters = &self.parameters;
        let run = self.engines.first().and_then(|engine| engine.runs.first());
        format!(
            "{} records of {} objects, raw {:.0} MB, synced per {}; {} lookups, {} of them without \
             a hit; one thread, {} MiB of cache; medians of {} runs\n\n",
            parameters.batches() * parameters.batch,
            parameters.oids(),
            run.map_or(0.0, |run| run.raw_bytes as f64 / 1e6),
            parameters.batch,
            parameters.lookups(),
            run.map_or(0, |run| run.answers.misses),
            parameters.cache_mib,
            self.engines.first().map_or(0, |engine| engine.runs.len()),
        )
    }
}

const HEADINGS: [&str; 12] = [
    "engine",
    "insert/s",
    "p50 us",
    "p99 us",
    "max us",
    "max/p50",
    "flush/batch",
    "settle s",
    "lookup/s",
    "disk MB",
    "written/raw",
    "memory MB",
];

impl EngineReport {
    fn row(&self) -> [String; 12] {
        let columns = &self.median;
        let known =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        [
            self.engine.name().to_owned(),
            format!("{:.0}", columns.inserts_per_s),
            format!("{:.0}", columns.batch_p50_us),
            format!("{:.0}", columns.batch_p99_us),
            format!("{:.0}", columns.batch_max_us),
            format!("{:.1}", columns.batch_max_over_p50),
            known(columns.flushes_a_batch),
            format!("{:.1}", columns.settle_s),
            format!("{:.0}", columns.lookups_per_s),
            format!("{:.0}", columns.disk_bytes / 1e6),
            known(columns.written_over_raw),
            format!("{:.0}", columns.memory_bytes / 1e6),
        ]
    }
}

/// The value in the middle, the mean of two for an even number; `values` is not empty.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median(vec![5.0]), 5.0);
    }
}
