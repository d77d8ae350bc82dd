//! Makes a setting that breaks a rule smaller, so that somebody can understand it.
#![expect(clippy::disallowed_methods, reason = "how long it looks is in seconds")]

use std::time::{Duration, Instant};

use super::fault::Fault;
use super::run::{self, Tracing};
use super::setting::Setting;

/// A setting that breaks the same rule, with as few faults and programs, and as short, as can be
/// found in some time.
pub(super) fn shrink(setting: &Setting, rule: &str, time: Duration) -> Setting {
    let end = Instant::now() + time;
    let breaks = |candidate: &Setting| {
        let broken = run::run(candidate, Tracing::Hash).broken;
        broken.is_some_and(|broken| broken.rule == rule)
    };
    let mut best = setting.clone();
    // What was added during the run is as good as what was there before, if it breaks all the same.
    let faults = run::run(setting, Tracing::Hash).faults;
    try_it(&mut best, breaks, |candidate| {
        candidate.faults = faults;
        candidate.faults_min = 0;
    });
    try_it(&mut best, breaks, |candidate| candidate.loses_storage_at = None);
    shorten(&mut best, end, breaks);
    leave_out_faults(&mut best, end, breaks);
    leave_out_programs(&mut best, end, breaks);
    leave_out_faults(&mut best, end, breaks);
    best
}

fn try_it(
    best: &mut Setting,
    breaks: impl Fn(&Setting) -> bool,
    change: impl FnOnce(&mut Setting),
) {
    let mut candidate = best.clone();
    change(&mut candidate);
    if breaks(&candidate) {
        *best = candidate;
    }
}

/// Ends it earlier, by halves.
fn shorten(best: &mut Setting, end: Instant, breaks: impl Fn(&Setting) -> bool) {
    while Instant::now() < end && best.duration > Duration::from_secs(1) {
        let mut candidate = best.clone();
        candidate.duration /= 2;
        candidate.commits_min /= 2;
        candidate.faults_min /= 2;
        candidate.faults.retain(|fault| fault.at < candidate.duration);
        if !breaks(&candidate) {
            return;
        }
        *best = candidate;
    }
}

/// First many at once, then one by one.
fn leave_out_faults(best: &mut Setting, end: Instant, breaks: impl Fn(&Setting) -> bool) {
    let mut size = best.faults.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < best.faults.len() && Instant::now() < end {
            let mut candidate = best.clone();
            let last = (at + size).min(candidate.faults.len());
            candidate.faults.drain(at..last);
            match breaks(&candidate) {
                true => *best = candidate,
                false => at += size,
            }
        }
        size /= 2;
    }
}

fn leave_out_programs(best: &mut Setting, end: Instant, breaks: impl Fn(&Setting) -> bool) {
    let mut index = best.plan.count();
    while index > 0 && best.plan.count() > 1 && Instant::now() < end {
        index -= 1;
        let mut candidate = best.clone();
        candidate.plan = candidate.plan.without(index);
        let number = u32::try_from(index).expect("a small number");
        let faults = best.faults.iter().filter_map(|fault| fault.without_program(number));
        candidate.faults = faults.collect::<Vec<Fault>>();
        if breaks(&candidate) {
            *best = candidate;
        }
    }
}
