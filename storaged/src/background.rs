//! Background work of the engine: who does it.

use engine::{Engine, Job, JobState, Worker};

/// Does what the engine has to do besides: writing memory tables, merging runs, preparing files.
pub trait Background: Send {
    /// Takes jobs from the engine, and gives back those that are done.
    ///
    /// # Errors
    /// If the engine cannot go on.
    fn exchange(&mut self, engine: &mut Engine) -> engine::Result<()>;

    /// Whether jobs are under way: then it wants to be asked again soon.
    fn is_busy(&self) -> bool;

    /// Waits for what is under way and gives it back.
    ///
    /// # Errors
    /// If the engine cannot go on.
    fn stop(self: Box<Self>, engine: &mut Engine) -> engine::Result<()>;
}

impl Background for Worker {
    fn exchange(&mut self, engine: &mut Engine) -> engine::Result<()> {
        Self::exchange(self, engine)
    }

    fn is_busy(&self) -> bool {
        Self::is_busy(self)
    }

    fn stop(self: Box<Self>, engine: &mut Engine) -> engine::Result<()> {
        Self::stop(*self, engine)
    }
}

/// Items that one step of a job handles.
const STEP_ITEMS: usize = 1024;

/// Does the work where it is asked for, a slice at a time: for simulators, whose runs have to be
/// the same each time.
#[derive(Debug, Default)]
pub struct Inline {
    job: Option<Job>,
}

impl Inline {
    /// What follows from a job is not left lying.
    fn finish(
        &mut self,
        engine: &mut Engine,
        job: Job,
        result: engine::Result<()>,
    ) -> engine::Result<()> {
        engine.finish_job(job, result)?;
        self.job = engine.take_job();
        Ok(())
    }
}

impl Background for Inline {
    fn exchange(&mut self, engine: &mut Engine) -> engine::Result<()> {
        let Some(mut job) = self.job.take().or_else(|| engine.take_job()) else { return Ok(()) };
        match job.step(STEP_ITEMS) {
            Ok(JobState::More) => {
                self.job = Some(job);
                Ok(())
            }
            Ok(JobState::Done) => self.finish(engine, job, Ok(())),
            Err(error) => self.finish(engine, job, Err(error)),
        }
    }

    fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    fn stop(self: Box<Self>, engine: &mut Engine) -> engine::Result<()> {
        let Some(mut job) = self.job else { return Ok(()) };
        let result = job.run();
        engine.finish_job(job, result)
    }
}
