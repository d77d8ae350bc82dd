//! The bar that long work draws, only where a person sees it.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Progress through a number of bytes or a range of tids, drawn on standard error if that is a
/// terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    reached: u64,
    step: u64,
}

/// The bar is told of progress in so many steps: more cannot be seen.
const STEPS: u64 = 1000;

impl Progress {
    /// Of so many bytes.
    pub(crate) fn bytes(length: u64) -> Self {
        let template = "{bar:40} {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left";
        Self::new(length, template)
    }

    /// From the first tid to the last: the share of time that is covered.
    pub(crate) fn time(length: u64) -> Self {
        Self::new(length, "{bar:40} {percent} %")
    }

    /// Where it is now.
    pub(crate) fn reach(&mut self, position: u64) {
        if position >= self.reached + self.step {
            self.reached = position;
            self.bar.set_position(position);
        }
    }

    fn new(length: u64, template: &str) -> Self {
        let target = match io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        let style = ProgressStyle::with_template(template).expect("the template is sound");
        bar.set_style(style);
        let step = length / STEPS;
        Self { bar, reached: 0, step }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
