//! What `cargo xtask test` does, as data.

use std::fmt::Write;

use crate::workplace::Workplace;

/// A part of the tests that can be run by itself.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) about: &'static str,
    /// Carried out in order, up to the first that fails.
    pub(crate) actions: &'static [Action],
}

/// A step of a stage. `{root}`, `{target}` and `{venv}` in strings stand for directories.
pub(crate) enum Action {
    /// A program with its arguments, run in the root of the repository.
    Run {
        program: &'static str,
        arguments: &'static [&'static str],
        environment: &'static [Variable],
    },
    /// Makes the virtual environment, if it does not have what the requirements say.
    InstallPython { requirements: &'static str },
}

/// An environment variable of a command.
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) value: &'static str,
    /// Whether the variable of whoever calls xtask counts more.
    pub(crate) can_be_overridden: bool,
}

/// The binary that processes are started from.
const BINARY: Variable =
    Variable { name: "NEOLITH_BIN", value: "{target}/release/neolith", can_be_overridden: false };

/// How long the model test goes on with new seeds.
const MINUTES: Variable = Variable { name: "NEOLITH_MINUTES", value: "2", can_be_overridden: true };

/// How many seeds the simulated cluster is run with.
const SEEDS: Variable = Variable { name: "NEOLITH_SEEDS", value: "60", can_be_overridden: true };

/// Cheap ones first, so that what is wrong is said soon.
pub(crate) const STAGES: &[Stage] = &[
    Stage {
        name: "format",
        about: "the source is formatted by rustfmt",
        actions: &[
            cargo(&["fmt", "--all", "--check"]),
            cargo(&["fmt", "--manifest-path", "benches/compare/Cargo.toml", "--check"]),
        ],
    },
    Stage {
        name: "tidy",
        about: "the source keeps the rules of tests/src/tidy, and these rules can be broken",
        actions: &[cargo(&["test", "-p", "tests", "--lib", "--test", "tidy"])],
    },
    Stage {
        name: "lints",
        about: "clippy has nothing to say",
        actions: &[cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])],
    },
    Stage {
        name: "docs",
        about: "the documentation builds and its links lead somewhere",
        actions: &[Action::Run {
            program: "cargo",
            arguments: &["doc", "--workspace", "--no-deps"],
            environment: &[Variable {
                name: "RUSTDOCFLAGS",
                value: "-D warnings",
                can_be_overridden: false,
            }],
        }],
    },
    Stage {
        name: "tests",
        about: "unit, integration and documentation tests of all crates",
        actions: &[cargo(&["test", "--workspace", "--exclude", "tests"])],
    },
    Stage {
        name: "model",
        about: "the engine against a model, with faults, for NEOLITH_MINUTES (2) of new seeds, \
                at most NEOLITH_SEEDS",
        actions: &[Action::Run {
            program: "cargo",
            arguments: &["test", "--release", "-p", "neolith-engine", "--test", "model"],
            environment: &[MINUTES],
        }],
    },
    Stage {
        name: "scripts",
        about: "conversations of the protocol: each machine with peers whose every packet is \
                written down in tests/scripts",
        actions: &[cargo(&["test", "-p", "tests", "--test", "scripts"])],
    },
    Stage {
        name: "world",
        about: "a cluster in one thread, whose disks lose what is not synced, for NEOLITH_SEEDS \
                (60) from NEOLITH_SEED",
        actions: &[Action::Run {
            program: "cargo",
            arguments: &["test", "-p", "tests", "--test", "commit_crash"],
            environment: &[SEEDS],
        }],
    },
    Stage {
        name: "simulator",
        about: "clusters with programs and faults of all kinds: seeds that once broke a rule, \
                fresh ones of this commit for NEOLITH_SIM_MINUTES (2), and that a seed always does \
                the same",
        actions: &[cargo(&[
            "test",
            "--release",
            "-p",
            "tests",
            "--test",
            "sim",
            "--",
            "--nocapture",
            "--test-threads=1",
        ])],
    },
    Stage {
        name: "process",
        about: "the released binary as a process: README's first command, what it prints, bad \
                input, clusters whose nodes are killed at each step of a commit",
        actions: &[
            cargo(&["run", "--release", "--", "demo"]),
            Action::Run {
                program: "cargo",
                arguments: &["test", "-p", "tests", "--tests"],
                environment: &[BINARY],
            },
        ],
    },
    Stage {
        name: "python",
        about: "what it exports is opened by ZODB itself, which is installed in target/venv; the \
                package neolith installs, and passes ZODB's own tests and others on clusters of \
                processes",
        actions: &[
            cargo(&["build", "--release"]),
            Action::InstallPython { requirements: "{root}/tests/python/requirements.txt" },
            Action::Run {
                program: "{venv}/bin/python",
                arguments: &["-m", "unittest", "discover", "-v", "-s", "{root}/tests/python"],
                environment: &[BINARY],
            },
            Action::Run {
                program: "{venv}/bin/maturin",
                arguments: &[
                    "build",
                    "--quiet",
                    "--release",
                    "--manifest-path",
                    "{root}/client/python/Cargo.toml",
                    "--interpreter",
                    "{venv}/bin/python",
                    "--out",
                    "{target}/wheels",
                ],
                environment: &[],
            },
            Action::Run {
                program: "{venv}/bin/python",
                arguments: &[
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--no-index",
                    "--no-deps",
                    "--force-reinstall",
                    "--find-links",
                    "{target}/wheels",
                    "neolith",
                ],
                environment: &[],
            },
            Action::Run {
                program: "{venv}/bin/python",
                arguments: &["-m", "unittest", "discover", "-s", "{root}/client/python/tests"],
                environment: &[BINARY],
            },
        ],
    },
];

const fn cargo(arguments: &'static [&'static str]) -> Action {
    Action::Run { program: "cargo", arguments, environment: &[] }
}

impl Stage {
    /// The name, what it shows, and its commands: a line each.
    pub(crate) fn description(&self, workplace: &Workplace) -> String {
        let mut text = format!("{}: {}\n", self.name, self.about);
        for action in self.actions {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "    {}", action.description(workplace));
        }
        text
    }
}

impl Action {
    /// The command, as one would type it.
    pub(crate) fn description(&self, workplace: &Workplace) -> String {
        match self {
            Self::InstallPython { requirements } => {
                let directory = workplace.virtual_environment();
                let requirements = workplace.resolve(requirements);
                format!("install {requirements} in {}", directory.display())
            }
            Self::Run { program, arguments, environment } => {
                let variables = environment.iter().map(|variable| {
                    format!("{}={:?}", variable.name, workplace.resolve(variable.value))
                });
                let words = [program].into_iter().chain(arguments.iter());
                let words = words.map(|word| workplace.resolve(word));
                variables.chain(words).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn stages_have_names_of_their_own_and_something_to_do() {
        let names: BTreeSet<_> = STAGES.iter().map(|stage| stage.name).collect();
        assert_eq!(names.len(), STAGES.len());
        assert!(STAGES.iter().all(|stage| !stage.actions.is_empty()));
    }

    #[test]
    fn descriptions_can_be_typed() {
        let workplace = Workplace { root: "/project".into(), target: "/project/target".into() };
        let described = |name| {
            let stage = STAGES.iter().find(|stage| stage.name == name).unwrap();
            stage.description(&workplace)
        };
        assert_eq!(
            described("docs"),
            "docs: the documentation builds and its links lead somewhere\n    \
             RUSTDOCFLAGS=\"-D warnings\" cargo doc --workspace --no-deps\n"
        );
        assert!(described("python").contains(
            "\n    install /project/tests/python/requirements.txt in /project/target/venv\n    \
             NEOLITH_BIN=\"/project/target/release/neolith\" /project/target/venv/bin/python -m \
             unittest discover -v -s /project/tests/python\n"
        ));
    }
}
