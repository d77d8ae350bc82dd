//! What goes wrong in a run, as data.

use std::fmt;
use std::time::Duration;

use engine::disk::Fault as DiskFault;
use model::Random;

use super::profile::Profile;

/// Something that goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// When it begins, since the beginning of the run.
    pub at: Duration,
    /// How long it lasts; how long a process that ended stays away.
    pub lasts: Duration,
    /// What it is.
    pub kind: FaultKind,
}

/// A process of a run, whatever its number there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Target {
    /// The master.
    Master,
    /// A storage, counted from 0.
    Storage(u32),
    /// A program, counted from 0.
    Program(u32),
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// Connections between two processes break; what was on its way is lost.
    Cut(Target, Target),
    /// Nothing comes through from one to the other.
    Stall(Target, Target),
    /// Nothing comes through between the two.
    StallBoth(Target, Target),
    /// Nothing comes through to or from a process.
    Isolate(Target),
    /// A program hears nothing of the master, and does not know that a storage is lost and back.
    Behind(Target, Target),
    /// New connections to it are refused.
    Refuse(Target),
    /// Connections break, but only the first one learns of it.
    HalfOpen(Target, Target),
    /// What comes from it comes later.
    SlowNetwork(Target, Duration),
    /// The process is killed.
    Kill(Target),
    /// It is killed after so many more events and some time; without that, before anything is sent
    /// that came of the last one.
    KillAt(Target, u64, Duration),
    /// Its machine loses its power.
    PowerCut(Target),
    /// Its machine loses its power likewise.
    PowerCutAt(Target, u64, Duration),
    /// It stands still.
    Pause(Target),
    /// Its disk is slow.
    SlowDisk(Target, Duration),
    /// An operation of its disk fails: so many operations from now, and how.
    Disk(Target, u64, DiskFault),
    /// Its disk has only so many bytes left.
    Full(Target, u64),
    /// The directory of the master is lost while it is away.
    MasterGone,
    /// The disk of a storage is lost while it is away: it comes back with an empty one.
    DiskGone(Target),
    /// A storage comes back with a copy of its disk of an earlier time.
    OldDisk(Target),
    /// Bits of the disk of a storage flip while it runs, of which others have everything.
    Damage(Target),
    /// Bits of the disk of a storage flip while it is away.
    Flips(Target),
    /// Clocks go too fast by so many parts in a million, or too slow.
    Drift(Target, i64),
    /// The time of day jumps forward.
    Forward(Target, Duration),
    /// The time of day jumps back.
    Back(Target, Duration),
}

impl Fault {
    /// The same in a run that has one program less; `None` if it concerns that one.
    pub(super) fn without_program(self, index: u32) -> Option<Self> {
        use FaultKind as K;
        let target = |target| match target {
            Target::Program(other) if other == index => None,
            Target::Program(other) if other > index => Some(Target::Program(other - 1)),
            other => Some(other),
        };
        let kind = match self.kind {
            K::Cut(a, b) => K::Cut(target(a)?, target(b)?),
            K::Stall(a, b) => K::Stall(target(a)?, target(b)?),
            K::StallBoth(a, b) => K::StallBoth(target(a)?, target(b)?),
            K::HalfOpen(a, b) => K::HalfOpen(target(a)?, target(b)?),
            K::Isolate(one) => K::Isolate(target(one)?),
            K::Behind(one, storage) => K::Behind(target(one)?, storage),
            K::Refuse(one) => K::Refuse(target(one)?),
            K::SlowNetwork(one, by) => K::SlowNetwork(target(one)?, by),
            K::Kill(one) => K::Kill(target(one)?),
            K::KillAt(one, events, time) => K::KillAt(target(one)?, events, time),
            K::PowerCut(one) => K::PowerCut(target(one)?),
            K::PowerCutAt(one, events, time) => K::PowerCutAt(target(one)?, events, time),
            K::Pause(one) => K::Pause(target(one)?),
            K::SlowDisk(one, by) => K::SlowDisk(target(one)?, by),
            K::Disk(one, after, fault) => K::Disk(target(one)?, after, fault),
            K::Full(one, left) => K::Full(target(one)?, left),
            K::MasterGone | K::DiskGone(_) | K::OldDisk(_) | K::Flips(_) | K::Damage(_) => {
                self.kind
            }
            K::Drift(one, parts) => K::Drift(target(one)?, parts),
            K::Forward(one, by) => K::Forward(target(one)?, by),
            K::Back(one, by) => K::Back(target(one)?, by),
        };
        Some(Self { kind, ..self })
    }
}

impl FaultKind {
    /// Whether a disk does not give what it is asked for.
    pub(super) fn fails_reads(self) -> bool {
        matches!(self, Self::Disk(_, _, DiskFault::ReadError))
    }

    /// Whether it is the disk or the process of a storage that goes wrong, and nothing else.
    pub(super) fn is_of(self, target: Target) -> bool {
        self == Self::Damage(target) || self == Self::Kill(target)
    }

    /// Whose disk does not do what disks do.
    pub(super) fn breaks_disk_of(self) -> Option<Target> {
        match self {
            Self::Disk(target, ..)
            | Self::Full(target, _)
            | Self::OldDisk(target)
            | Self::Flips(target)
            | Self::Damage(target) => Some(target),
            _ => None,
        }
    }

    /// What kind it is, for statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cut(..) => "cut",
            Self::Stall(..) | Self::StallBoth(..) => "stall",
            Self::Isolate(_) => "isolate",
            Self::Behind(..) => "behind",
            Self::Refuse(_) => "refuse",
            Self::HalfOpen(..) => "half-open",
            Self::SlowNetwork(..) => "slow network",
            Self::Kill(_) => "kill",
            Self::KillAt(..) => "kill in a step",
            Self::PowerCut(_) => "power cut",
            Self::PowerCutAt(..) => "power cut in a step",
            Self::Pause(_) => "pause",
            Self::SlowDisk(..) => "slow disk",
            Self::Disk(..) => "disk error",
            Self::Full(..) => "full disk",
            Self::MasterGone => "lost directory",
            Self::DiskGone(_) => "disk gone",
            Self::OldDisk(_) => "older disk",
            Self::Flips(_) => "flipped bits",
            Self::Damage(_) => "damage",
            Self::Drift(..) => "drift",
            Self::Forward(..) | Self::Back(..) => "clock jump",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Master => write!(f, "M1"),
            Self::Storage(index) => write!(f, "S{}", index + 1),
            Self::Program(index) => write!(f, "C{}", index + 1),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, lasts) = (self.at.as_secs_f64(), self.lasts.as_secs_f64());
        write!(f, "at {at:.3} s for {lasts:.3} s: {:?}", self.kind)
    }
}

/// How many processes there are to choose from.
#[derive(Clone, Copy, Debug)]
pub struct Targets {
    /// Storages.
    pub storages: u32,
    /// Programs.
    pub programs: u32,
    /// The program that loads, and goes on while it hears nothing of the master.
    pub reader: u32,
}

/// The faults of a run, in order of time.
pub(super) fn choose(
    random: &mut Random,
    profile: Profile,
    targets: Targets,
    duration: Duration,
    count: u64,
) -> Vec<Fault> {
    let kinds = kinds(profile);
    if kinds.is_empty() {
        return Vec::new();
    }
    let span = u64::try_from(duration.as_millis()).expect("a short time");
    let fault = |_| {
        let at = Duration::from_millis(EARLY_MS + random.below(span));
        let kind = kinds[random.index(kinds.len())](random, targets);
        // Most go by soon, some last until others have given up waiting.
        let longest = if random.chance(1, 8) { 15_000 } else { 2_000 };
        let lasts = Duration::from_millis(1 + random.below(longest));
        Fault { at, lasts, kind }
    };
    let mut faults: Vec<Fault> = (0..count).map(fault).collect();
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// Machines that fail slowly, as they do: the disk gets slow, the connection to the master breaks,
/// perhaps more than once, or the master ends and comes back, and then the power is lost, before
/// what is written is durable; and again, perhaps, while what was in doubt is decided.
pub(super) fn choose_failing(
    random: &mut Random,
    profile: Profile,
    targets: Targets,
    duration: Duration,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    if profile != Profile::All || random.chance(1, 2) {
        return faults;
    }
    let span = u64::try_from(duration.as_millis()).expect("a short time");
    let millis = Duration::from_millis;
    for _ in 0..1 + random.below(FAILING_MAX) {
        let target = storage(random, targets);
        let slow = millis(20 + random.below(400));
        let mut at = millis(EARLY_MS + random.below(span));
        let kind = FaultKind::SlowDisk(target, slow);
        faults.push(Fault { at, lasts: millis(1_000 + random.below(9_000)), kind });
        for _ in 0..1 + random.below(3) {
            at += millis(random.below(1_000));
            let (kind, lasts) = match random.chance(1, 2) {
                true => (FaultKind::Cut(Target::Master, target), millis(1)),
                false => (FaultKind::Kill(Target::Master), millis(1 + random.below(200))),
            };
            faults.push(Fault { at, lasts, kind });
            at += lasts;
        }
        at += millis(random.below(1_000));
        let mut kind = FaultKind::PowerCut(target);
        loop {
            let lasts = millis(1 + random.below(2_000));
            faults.push(Fault { at, lasts, kind });
            if random.chance(1, 2) {
                break;
            }
            at += lasts;
            kind = match random.chance(1, 2) {
                true => {
                    at += millis(random.below(2_000));
                    FaultKind::PowerCut(target)
                }
                false => {
                    let (events, time) = step(random);
                    FaultKind::PowerCutAt(target, events, time)
                }
            };
        }
    }
    faults
}

/// What goes wrong before a cluster has begun its first operation: in half of the runs.
pub(super) fn choose_early(random: &mut Random, profile: Profile, targets: Targets) -> Vec<Fault> {
    let count = match profile {
        Profile::All if random.chance(1, 2) => 1 + random.below(3),
        _ => 0,
    };
    let kinds: Vec<Make> = PROCESSES.iter().chain(&NETWORK).copied().collect();
    let fault = |_| {
        let at = Duration::from_millis(random.below(EARLY_MS));
        let kind = kinds[random.index(kinds.len())](random, targets);
        Fault { at, lasts: Duration::from_millis(1 + random.below(1_000)), kind }
    };
    (0..count).map(fault).collect()
}

/// Damage of what one storage has, again and again, and that it is killed in between.
pub(super) fn choose_damages(
    random: &mut Random,
    target: Target,
    duration: Duration,
) -> Vec<Fault> {
    let span = u64::try_from(duration.as_millis()).expect("a short time");
    let fault = |_| {
        let at = Duration::from_millis(WHOLE_MS + random.below(span - WHOLE_MS));
        let kind = match random.chance(1, 8) {
            true => FaultKind::Kill(target),
            false => FaultKind::Damage(target),
        };
        Fault { at, lasts: Duration::from_millis(1 + random.below(2_000)), kind }
    };
    (0..DAMAGES).map(fault).collect()
}

/// Until then all storages have begun to operate.
const WHOLE_MS: u64 = 5_000;

/// How often it is damaged or killed.
const DAMAGES: u64 = 40;

/// Before this only what is early goes wrong.
const EARLY_MS: u64 = 500;

/// Most machines of a run that fail slowly.
const FAILING_MAX: u64 = 4;

/// Most events after which a process ends in the middle of what it does.
const STEPS_MAX: u64 = 60;

/// Most time after the last of them, in microseconds.
const STEP_TIME_MAX: u64 = 1000;

/// Makes up a fault of one kind.
type Make = fn(&mut Random, Targets) -> FaultKind;

const NETWORK: [Make; 8] = [
    |random, targets| pair(random, targets, FaultKind::Cut),
    |random, targets| pair(random, targets, FaultKind::Stall),
    |random, targets| pair(random, targets, FaultKind::StallBoth),
    |random, targets| FaultKind::Isolate(any(random, targets)),
    |random, targets| FaultKind::Behind(Target::Program(targets.reader), storage(random, targets)),
    |random, targets| FaultKind::Refuse(node(random, targets)),
    |random, targets| pair(random, targets, FaultKind::HalfOpen),
    |random, targets| {
        FaultKind::SlowNetwork(any(random, targets), Duration::from_millis(1 + random.below(300)))
    },
];

const PROCESSES: [Make; 6] = [
    |random, targets| FaultKind::Kill(any(random, targets)),
    |random, targets| {
        let (events, time) = step(random);
        FaultKind::KillAt(any(random, targets), events, time)
    },
    |random, targets| {
        let (events, time) = step(random);
        FaultKind::KillAt(program(random, targets), events, time)
    },
    |random, targets| FaultKind::PowerCut(node(random, targets)),
    |random, targets| {
        let (events, time) = step(random);
        FaultKind::PowerCutAt(node(random, targets), events, time)
    },
    |random, targets| FaultKind::Pause(any(random, targets)),
];

const DISKS: [Make; 9] = [
    |random, targets| {
        FaultKind::SlowDisk(node(random, targets), Duration::from_millis(1 + random.below(200)))
    },
    |random, targets| {
        let fault = [
            DiskFault::WriteError,
            DiskFault::ShortWrite,
            DiskFault::SyncError,
            DiskFault::SyncNoSpace,
            DiskFault::NoSpace,
            DiskFault::ReadError,
        ];
        let fault = fault[random.index(fault.len())];
        FaultKind::Disk(node(random, targets), random.below(50), fault)
    },
    |random, targets| FaultKind::Disk(node(random, targets), random.below(50), DiskFault::Crash),
    |random, targets| FaultKind::Full(node(random, targets), random.below(40_000)),
    |random, targets| FaultKind::PowerCut(node(random, targets)),
    |_, _| FaultKind::MasterGone,
    |random, targets| FaultKind::DiskGone(storage(random, targets)),
    |random, targets| FaultKind::OldDisk(storage(random, targets)),
    |random, targets| FaultKind::Flips(storage(random, targets)),
];

const CLOCKS: [Make; 3] = [
    |random, targets| {
        let parts = i64::try_from(random.below(400_000)).expect("a small number");
        FaultKind::Drift(any(random, targets), parts - 200_000)
    },
    |random, targets| FaultKind::Forward(any(random, targets), jump(random)),
    |random, targets| FaultKind::Back(any(random, targets), jump(random)),
];

fn kinds(profile: Profile) -> Vec<Make> {
    match profile {
        Profile::Quiet => Vec::new(),
        Profile::Network => NETWORK.to_vec(),
        Profile::Disk => DISKS.to_vec(),
        Profile::Clock => CLOCKS.to_vec(),
        Profile::All => {
            let kinds = NETWORK.iter().chain(&PROCESSES).chain(&PROCESSES);
            kinds.chain(&DISKS).chain(&CLOCKS).copied().collect()
        }
    }
}

fn pair(random: &mut Random, targets: Targets, kind: fn(Target, Target) -> FaultKind) -> FaultKind {
    let first = any(random, targets);
    loop {
        let second = node(random, targets);
        match second == first {
            true => {}
            false if random.chance(1, 2) => return kind(first, second),
            false => return kind(second, first),
        }
    }
}

/// The master or a storage.
fn node(random: &mut Random, targets: Targets) -> Target {
    match random.chance(1, 3) {
        true => Target::Master,
        false => storage(random, targets),
    }
}

fn program(random: &mut Random, targets: Targets) -> Target {
    Target::Program(below(random, targets.programs))
}

fn storage(random: &mut Random, targets: Targets) -> Target {
    Target::Storage(below(random, targets.storages))
}

fn any(random: &mut Random, targets: Targets) -> Target {
    match targets.programs > 0 && random.chance(1, 4) {
        true => program(random, targets),
        false => node(random, targets),
    }
}

fn below(random: &mut Random, count: u32) -> u32 {
    u32::try_from(random.below(count.into())).expect("a small number")
}

/// A moment in the middle of what a process does.
fn step(random: &mut Random) -> (u64, Duration) {
    let time = if random.chance(1, 2) { random.below(STEP_TIME_MAX) } else { 0 };
    (random.below(STEPS_MAX), Duration::from_micros(time))
}

/// From milliseconds to days.
fn jump(random: &mut Random) -> Duration {
    let longest = [1_000, 60_000, 3_600_000, 2 * 86_400_000];
    let longest = longest[random.index(longest.len())];
    Duration::from_millis(1 + random.below(longest))
}
