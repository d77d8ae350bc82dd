//! How the stages went.

use std::fmt;
use std::time::Duration;

/// How a stage ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Passed(Duration),
    Failed(Duration),
    /// A stage before it failed.
    NotRun,
}

/// The stages in their order. Displayed as a table with the total time, and how to repeat what
/// failed.
#[derive(Default)]
pub(crate) struct Summary {
    outcomes: Vec<(&'static str, Outcome)>,
}

impl Summary {
    pub(crate) fn add(&mut self, stage: &'static str, outcome: Outcome) {
        self.outcomes.push((stage, outcome));
    }

    pub(crate) fn has_failure(&self) -> bool {
        self.failure().is_some()
    }

    fn failure(&self) -> Option<&'static str> {
        let is_failure = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
        let mut outcomes = self.outcomes.iter();
        outcomes.find(|(_, outcome)| is_failure(outcome)).map(|(stage, _)| *stage)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(time) => write!(f, "passed {:>7.1} s", time.as_secs_f64()),
            Self::Failed(time) => write!(f, "FAILED {:>7.1} s", time.as_secs_f64()),
            Self::NotRun => write!(f, "not run"),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut total = Duration::ZERO;
        for (stage, outcome) in &self.outcomes {
            writeln!(f, "{stage:<10}{outcome}")?;
            if let Outcome::Passed(time) | Outcome::Failed(time) = outcome {
                total += *time;
            }
        }
        writeln!(f, "{:<10}       {:>7.1} s", "total", total.as_secs_f64())?;
        match self.failure() {
            Some(stage) => writeln!(f, "to repeat it: cargo xtask test --only {stage}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_passed() {
        let mut summary = Summary::default();
        summary.add("format", Outcome::Passed(Duration::from_millis(1_250)));
        summary.add("tests", Outcome::Passed(Duration::from_secs(600)));
        assert!(!summary.has_failure());
        assert_eq!(
            summary.to_string(),
            "format    passed     1.2 s\n\
             tests     passed   600.0 s\n\
             total              601.2 s\n"
        );
    }

    #[test]
    fn a_run_that_failed() {
        let mut summary = Summary::default();
        summary.add("format", Outcome::Passed(Duration::from_secs(1)));
        summary.add("tidy", Outcome::Failed(Duration::from_secs(2)));
        summary.add("lints", Outcome::NotRun);
        assert!(summary.has_failure());
        assert_eq!(
            summary.to_string(),
            "format    passed     1.0 s\n\
             tidy      FAILED     2.0 s\n\
             lints     not run\n\
             total                3.0 s\n\
             to repeat it: cargo xtask test --only tidy\n"
        );
    }
}
