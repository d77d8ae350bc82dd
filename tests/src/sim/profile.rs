//! What kinds of faults there are.

use std::fmt;
use std::str::FromStr;

/// Which kinds of faults a run has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// None.
    Quiet,
    /// Of the network.
    Network,
    /// Of disks, with what they lead to: processes end and start again.
    Disk,
    /// Of clocks.
    Clock,
    /// All of them, and of processes.
    All,
}

impl Profile {
    /// All profiles.
    pub const EVERY: [Self; 5] = [Self::Quiet, Self::Network, Self::Disk, Self::Clock, Self::All];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Clock => "clock",
            Self::All => "all",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::EVERY.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| format!("{text}: no profile: quiet, network, disk, clock or all"))
    }
}
