//! The steps of the demo, in order.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use super::network::Network;
use super::place::Place;
use super::sample::{Sample, check_database, check_file};
use crate::command_line;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::Output;

/// Words of a command, from texts and paths.
macro_rules! words {
    ($($word:expr),*) => {
        [$(AsRef::<OsStr>::as_ref($word).to_owned()),*]
    };
}

/// Carries out all steps. Without `keep`, whatever they make is removed in the end.
pub(crate) fn run(keep: Option<&Path>) -> Result<ExitCode, Failure> {
    let interrupt = Interrupt::listen()?;
    let place = Place::make(keep)?;
    let sample = Sample::embedded()?;
    let (source, site, copy) = (place.file("sample.fs"), place.file("site"), place.file("copy.fs"));
    place.write(&source, Sample::BYTES)?;
    let (source, site, copy) = (source.as_os_str(), site.as_os_str(), copy.as_os_str());
    let demo = Demo { interrupt };

    demo.say(&format!(
        "A FileStorage that ZODB wrote, {} transactions with {} records, becomes a Neolith \
         database.\n{}\n{}",
        sample.transactions,
        sample.records,
        place.description(),
        in_python(source, site),
    ))?;
    demo.step("Import it, every revision of every object", &words!["import", source, site])?;
    demo.step("Hash everything that is in it now", &words!["dump", "--sha256", site])?;
    check_database(&sample, Path::new(site))?;
    demo.say("-> as ZODB read the FileStorage: the same bytes, to the last one.")?;
    demo.step("What is in it, and what it takes", &words!["stat", site])?;
    demo.step("The last transactions", &words!["tail", "-n", "2", site])?;
    demo.step("An object with a long history", &words!["history", "-n", "4", site, "6"])?;
    demo.step("Its newest revision", &words!["load", site, "6"])?;
    demo.step(
        "The revision of some moment in the past",
        &words!["load", site, "6", "--as-of", "2023-03-02 12:00"],
    )?;
    demo.step("How long a load takes", &words!["bench", "load", "--seconds", "1", site])?;
    demo.step("The way back: a FileStorage again", &words!["export", site, copy])?;
    check_file(&sample, Path::new(copy))?;
    demo.say("-> it has the same hashes; ZODB opens it.")?;
    demo.step("Check every byte on disk", &words!["fsck", site])?;
    demo.network(&sample, Path::new(source), &place.file("cluster"))?;
    demo.say(&format!("\n{}", place.farewell()))?;
    Ok(ExitCode::SUCCESS)
}

struct Demo {
    interrupt: Interrupt,
}

impl Demo {
    fn say(&self, text: &str) -> Result<(), Failure> {
        let mut output = Output::standard();
        output.line(text)?;
        output.finish()
    }

    /// Shows the sample served by a cluster.
    fn network(&self, sample: &Sample, source: &Path, directory: &Path) -> Result<(), Failure> {
        let typed = typed(&words![
            "simple",
            "--storages",
            "2",
            "--replicas",
            "1",
            "--import",
            source,
            "--dir",
            directory
        ]);
        self.say(&format!(
            "\n== The same as a cluster: a master, two storages with a copy each, an admin\n\
             $ neolith{typed} &"
        ))?;
        let network = Network::start(source, directory, &self.interrupt)?;
        self.say(&format!("A program changes the same line to\n    {}", network.in_python()))?;
        let admin = network.admin();
        let admin = admin.as_str();
        self.step("Its nodes", &words!["ctl", "-a", admin, "print", "node"])?;
        self.step("Which storage has which partition", &words!["ctl", "-a", admin, "print", "pt"])?;
        self.say("\n== A client of the cluster reads everything")?;
        self.say(&network.read_everything(sample)?)?;
        self.interrupt.check()?;
        self.say(&network.load()?)?;
        self.say("\n== It commits, durably on both storages")?;
        self.say(&network.commit()?)?;
        self.step(
            "The last transactions, over the network",
            &words!["ctl", "-a", admin, "tail", "-c", "demo", "-n", "1"],
        )?;
        self.step("How the cluster is", &words!["ctl", "-a", admin, "print", "summary"])?;
        self.say("\n== Ctrl-C: the cluster stops in good order")?;
        network.stop()?;
        for storage in ["storage1", "storage2"] {
            let database = directory.join(storage);
            self.step("Each database is whole", &words!["fsck", &database])?;
        }
        Ok(())
    }

    /// Prints a title and a command, and runs the command as if it had been typed.
    fn step(&self, title: &str, words: &[OsString]) -> Result<(), Failure> {
        self.interrupt.check()?;
        self.say(&format!("\n== {title}\n$ neolith{}", typed(words)))?;
        match command_line::run_words(words)? == ExitCode::SUCCESS {
            true => Ok(()),
            false => Err(Failure::Damaged(format!("the demo ends here: neolith{}", typed(words)))),
        }
    }
}

/// The line of a program with ZODB that changes.
fn in_python(source: &OsStr, site: &OsStr) -> String {
    let (source, site) = (source.display(), site.display());
    format!(
        "\nA program with ZODB changes one line, once `pip install ./client/python` is done:\n    \
         storage = FileStorage(\"{source}\")\nbecomes\n    \
         storage = neolith.Storage(path=\"{site}\")"
    )
}

/// Words as one would type them.
fn typed(words: &[OsString]) -> String {
    let mut line = String::new();
    for word in words {
        let word = word.to_string_lossy();
        // Writing to a string cannot fail.
        let _ = match word.contains([' ', '\'']) {
            true => write!(line, " \"{word}\""),
            false => write!(line, " {word}"),
        };
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_spaces_are_quoted() {
        let words = words!["load", "site", "6", "--as-of", "2023-03-02 12:00"];
        assert_eq!(typed(&words), " load site 6 --as-of \"2023-03-02 12:00\"");
    }
}
