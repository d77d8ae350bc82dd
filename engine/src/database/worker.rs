//! A thread for background work.

use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use super::engine::Engine;
use super::job::{Job, JobState};
use crate::error::{Error, Result};

/// A thread that works at jobs, for programs without an event loop of their own.
#[derive(Debug)]
pub struct Worker {
    jobs: Option<Sender<Job>>,
    results: Receiver<(Job, Result<()>)>,
    under_way: usize,
    /// A file for which there was no space.
    full: Option<String>,
    thread: Option<JoinHandle<()>>,
}

/// Items between two looks for something more urgent.
const STEP_ITEMS: usize = 2048;
/// Jobs given to a worker at once: one that is urgent and one that is patient.
const UNDER_WAY_MAX: usize = 2;

impl Worker {
    /// Starts the thread.
    pub fn start() -> std::io::Result<Self> {
        let (jobs, inbox) = channel();
        let (outbox, results) = channel();
        let thread = std::thread::Builder::new()
            .name(String::from("background"))
            .spawn(move || work_off(&inbox, &outbox))?;
        Ok(Self { jobs: Some(jobs), results, under_way: 0, full: None, thread: Some(thread) })
    }

    /// Gives the thread what there is to do, and the engine what is done.
    pub fn exchange(&mut self, engine: &mut Engine) -> Result<()> {
        loop {
            match self.results.try_recv() {
                Ok((job, result)) => self.finish(engine, job, result)?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.panicked(),
            }
        }
        while self.under_way < UNDER_WAY_MAX
            && let Some(job) = engine.take_job()
        {
            self.give(job);
        }
        Ok(())
    }

    fn finish(&mut self, engine: &mut Engine, job: Job, result: Result<()>) -> Result<()> {
        self.under_way -= 1;
        if let Err(Error::Full { file }) = &result {
            self.full = Some(file.clone());
        }
        engine.finish_job(job, result)
    }

    fn give(&mut self, job: Job) {
        self.under_way += 1;
        if let Some(jobs) = &self.jobs {
            // The thread ends only when this end of the channel is gone.
            let _ = jobs.send(job);
        }
    }

    /// Like [`Worker::exchange`], but first waits for a result if a job is under way.
    pub fn wait(&mut self, engine: &mut Engine) -> Result<()> {
        if self.under_way > 0 {
            self.finish_next(engine)?;
        }
        self.exchange(engine)
    }

    /// Waits until there is nothing left to do, not even what is left for idle times. An error if
    /// the disk is too full for that.
    pub fn settle(&mut self, engine: &mut Engine) -> Result<()> {
        self.full = None;
        loop {
            engine.poll(crate::disk::Wait::No)?;
            self.wait(engine)?;
            if let Some(file) = self.full.take() {
                return Err(Error::Full { file });
            }
            if self.under_way > 0 {
                continue;
            }
            match engine.take_idle_job() {
                Some(job) => self.give(job),
                // It had found the disk full before, and still does.
                None if engine.has_work() && engine.background_failed => {
                    return Err(Error::Full { file: engine.disk.path("") });
                }
                None if engine.has_work() => {
                    engine.poll(crate::disk::Wait::Yes)?;
                }
                None => return Ok(()),
            }
        }
    }

    /// Whether a job is under way.
    pub fn is_busy(&self) -> bool {
        self.under_way > 0
    }

    /// Waits for all jobs under way and ends the thread.
    pub fn stop(mut self, engine: &mut Engine) -> Result<()> {
        while self.under_way > 0 {
            self.finish_next(engine)?;
        }
        Ok(())
    }

    /// Waits for a job under way.
    fn finish_next(&mut self, engine: &mut Engine) -> Result<()> {
        match self.results.recv() {
            Ok((job, result)) => self.finish(engine, job, result),
            Err(RecvError) => self.panicked(),
        }
    }

    /// The thread has panicked: so does who relies on it.
    fn panicked(&mut self) -> ! {
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            _ => unreachable!("the thread lives as long as its jobs can come"),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed when it happened.
            let _ = thread.join();
        }
    }
}

fn work_off(inbox: &Receiver<Job>, outbox: &Sender<(Job, Result<()>)>) {
    let mut patient: Option<Job> = None;
    loop {
        let job = match &patient {
            Some(_) => inbox.try_recv().ok(),
            None => match inbox.recv() {
                Ok(job) => Some(job),
                Err(_) => return,
            },
        };
        match (job, &mut patient) {
            (Some(job), None) if job.is_patient() => patient = Some(job),
            (Some(mut job), _) => {
                let result = job.run();
                let _ = outbox.send((job, result));
            }
            (None, Some(job)) => {
                let result = match job.step(STEP_ITEMS) {
                    Ok(JobState::More) => continue,
                    Ok(JobState::Done) => Ok(()),
                    Err(error) => Err(error),
                };
                if let Some(job) = patient.take() {
                    let _ = outbox.send((job, result));
                }
            }
            (None, None) => {}
        }
    }
}
