//! Options from a configuration file, behind those of the command line.

#![expect(clippy::disallowed_methods, reason = "a configuration is no file of a database")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use clap::{ArgAction, Args, CommandFactory, Parser};

use super::arguments::{AdminArgs, CommonArgs, MasterArgs, StorageArgs};
use super::ini::Ini;
use crate::failure::Failure;

/// Options that only the command line may give: where the configuration is, and what must not
/// happen without somebody who wants it now.
const COMMAND_LINE_ONLY: [&str; 6] =
    ["file", "section", "reset", "exit-with-parent", "help", "version"];

/// The words behind the name of a command. Of an option that is given twice, the last counts.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, args_override_self = true)]
struct Words<T: Args> {
    #[command(flatten)]
    args: T,
}

/// Options of one kind of node.
pub(crate) trait NodeArgs: Args {
    /// Section of a configuration file that is for such nodes, unless the command line says so.
    const SECTION: &'static str;

    /// Options that all nodes have.
    fn common(&self) -> &CommonArgs;
}

/// The options that `words`, those of the command line, and the file that they name give together.
pub(crate) fn configured<T: NodeArgs>(words: &[OsString]) -> Result<T, Failure> {
    let refuse = |error: clap::Error| Failure::Refused(one_line(&error));
    let args = Words::<T>::try_parse_from(words).map_err(refuse)?.args;
    let Some(path) = &args.common().file else { return Ok(args) };
    let section = args.common().section.as_deref().unwrap_or(T::SECTION);
    let path = super::paths::expanded(path)?;
    let text = std::fs::read(&path).map_err(|source| Failure::Io {
        action: "read the configuration",
        path: path.display().to_string(),
        source,
    })?;
    let mut all = words_of_file::<T>(&path, &text, section)?;
    all.extend_from_slice(words);
    Ok(Words::<T>::try_parse_from(&all).map_err(refuse)?.args)
}

/// The options of a section, as if they had been typed.
fn words_of_file<T: NodeArgs>(
    path: &Path,
    text: &[u8],
    section: &str,
) -> Result<Vec<OsString>, Failure> {
    let refuse = |reason: String| Failure::Refused(format!("{}: {reason}", path.display()));
    let text = std::str::from_utf8(text).map_err(|_| refuse(String::from("it is not UTF-8")))?;
    let ini = Ini::parse(text).map_err(|error| refuse(error.to_string()))?;
    let keys = ini.keys(section).map_err(|error| refuse(error.to_string()))?;
    let command = Words::<T>::command();
    let of_others = keys_of_all_nodes();
    let mut words = Vec::new();
    for key in keys.into_keys() {
        let refuse_key =
            |reason: &str| refuse(format!("section [{section}], key {key:?}: {reason}"));
        let name = key.replace('_', "-");
        if COMMAND_LINE_ONLY.contains(&name.as_str()) {
            return Err(refuse_key("only the command line can say this"));
        }
        let argument = command.get_arguments().find(|arg| arg.get_long() == Some(&name));
        let Some(argument) = argument else {
            // Sections are shared by nodes that do different things.
            match of_others.contains(&name) {
                true => continue,
                false => return Err(refuse_key("unknown key")),
            }
        };
        let value = ini.value(section, key).map_err(|error| refuse(error.to_string()))?;
        let given: Vec<OsString> = match argument.get_action() {
            ArgAction::SetTrue => match boolean(&value) {
                Some(true) => vec![format!("--{name}").into()],
                Some(false) => Vec::new(),
                None => return Err(refuse_key("expected yes or no")),
            },
            ArgAction::Append => {
                let lines = value.lines().filter(|line| !line.is_empty());
                lines.map(|line| format!("--{name}={line}").into()).collect()
            }
            _ => vec![format!("--{name}={value}").into()],
        };
        if let Err(error) = Words::<T>::try_parse_from(&given) {
            return Err(refuse_key(&one_line(&error)));
        }
        words.extend(given);
    }
    Ok(words)
}

/// Long names of the options of all kinds of nodes.
fn keys_of_all_nodes() -> BTreeSet<String> {
    let commands = [
        Words::<MasterArgs>::command(),
        Words::<StorageArgs>::command(),
        Words::<AdminArgs>::command(),
    ];
    let arguments = commands.iter().flat_map(clap::Command::get_arguments);
    arguments.filter_map(|argument| argument.get_long().map(str::to_owned)).collect()
}

/// As Python's configparser understands it.
fn boolean(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "1" | "yes" | "true" | "on" => Some(true),
        "0" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// What is wrong, without how commands are used.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

#[cfg(test)]
mod tests;
