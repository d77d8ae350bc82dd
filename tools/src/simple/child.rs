//! A node as a process that was started here.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::failure::Failure;

/// A node that runs, or has ended. It ends when this is dropped, or this process dies: then its
/// standard input ends.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    child: Child,
    status: Option<ExitStatus>,
}

impl Node {
    /// Starts a node with a section of a configuration file.
    pub(super) fn start(
        command: &str,
        name: &str,
        configuration: &Path,
        log: File,
    ) -> Result<Self, Failure> {
        let failed =
            |source| Failure::Io { action: "start", path: format!("neolith {command}"), source };
        let program = std::env::current_exe().map_err(failed)?;
        let child = Command::new(program)
            .args([command, "--exit-with-parent", "--section", name, "--file"])
            .arg(configuration)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            // Ctrl-C is for this process, which then stops the cluster in good order.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        Ok(Self { name: name.to_owned(), child, status: None })
    }

    /// How the node ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Tells the node to end.
    pub(super) fn end(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Ends the node at once.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        if self.ended().is_none() {
            self.child.kill()?;
            self.status = Some(self.child.wait()?);
        }
        Ok(())
    }
}
