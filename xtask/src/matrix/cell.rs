//! A cell of the matrix: what an access came to, told from the console, the signals and EL2's log together.

use super::plan;
use std::fmt;

/// What an access came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It went through, or the one who made it was told nothing.
    NoEffect,
    /// SIGBUS.
    SigBus,
    /// SIGSEGV.
    SigSegv,
    /// SIGKILL.
    SigKill,
    /// A system call or an access with a fix-up returned an error: EFAULT, or EIO where that call has EIO for it.
    EFault,
    /// A fix-up was taken that goes on, with the right bytes.
    FixUp,
    /// It went through, and the kernel has warned.
    Warning,
    /// An oops: the task was ended, the system lives.
    Oops,
    /// The kernel panicked.
    Panic,
    /// It was made again and again, without an end.
    Loop,
    /// The CPU or the system stands still.
    Hang,
    /// It cannot be made here; why is a name of [`plan::REASONS`].
    NotApplicable(&'static str),
    /// It cannot be told: a failure of the matrix.
    Unknown,
}

impl Outcome {
    /// Its name in the table and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::NoEffect => "no-effect",
            Outcome::SigBus => "sigbus",
            Outcome::SigSegv => "sigsegv",
            Outcome::SigKill => "sigkill",
            Outcome::EFault => "efault",
            Outcome::FixUp => "fixup",
            Outcome::Warning => "warning",
            Outcome::Oops => "oops",
            Outcome::Panic => "panic",
            Outcome::Loop => "loop",
            Outcome::Hang => "hang",
            Outcome::NotApplicable(_) => "n/a",
            Outcome::Unknown => "unknown",
        }
    }
}

/// Those that are told by their name alone.
const PLAIN: [Outcome; 12] = [
    Outcome::NoEffect,
    Outcome::SigBus,
    Outcome::SigSegv,
    Outcome::SigKill,
    Outcome::EFault,
    Outcome::FixUp,
    Outcome::Warning,
    Outcome::Oops,
    Outcome::Panic,
    Outcome::Loop,
    Outcome::Hang,
    Outcome::Unknown,
];

impl Outcome {
    /// The outcome of this name; `reason` is why it was not made, if it was not.
    pub fn parse(name: &str, reason: Option<&'static str>) -> Option<Outcome> {
        let skipped = reason.map(Outcome::NotApplicable);
        PLAIN.into_iter().chain(skipped).find(|outcome| outcome.name() == name)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How the run ended, if it ended in the midst of the access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broke {
    /// It did not.
    No,
    /// QEMU ended by itself.
    Exited,
    /// EL2 stopped, and its last words.
    El2Stopped(String),
    /// Nothing was heard any more.
    Silent,
}

/// All that is known of one access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The console's lines, from the access's begin to its end.
    pub host: Vec<String>,
    /// EL2's lines in that time.
    pub el2: Vec<String>,
    /// How the run ended meanwhile.
    pub broke: Broke,
}

/// What is judged of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What it came to.
    pub outcome: Outcome,
    /// Whether the kernel still ran a process, allocated memory and took an interrupt on every CPU.
    pub alive: bool,
    /// What it is told from.
    pub why: String,
}

impl Verdict {
    /// Of an access that is not made.
    pub fn skipped(reason: &'static str) -> Verdict {
        Verdict {
            outcome: Outcome::NotApplicable(reason),
            alive: true,
            why: reason.to_owned(),
        }
    }

    /// Of an access that did not come about.
    pub fn unknown(why: &str) -> Verdict {
        Verdict {
            outcome: Outcome::Unknown,
            alive: false,
            why: why.to_owned(),
        }
    }
}

/// From this many refusals on that EL2 counts and does not show, within one access, it is a loop.
const LOOP_REFUSALS: u64 = 1000;

impl Observed {
    /// The value of the access's line `LH-CELL ACCESS KEY VALUE`.
    fn value(&self, access: &str, key: &str) -> Option<&str> {
        let prefix = format!("LH-CELL {access} {key} ");
        let tail = |line: &'_ String| line.find(&prefix).map(|at| at + prefix.len());
        self.host.iter().find_map(|line| tail(line).map(|at| line[at..].trim()))
    }

    fn console(&self, texts: &[&str]) -> Option<&str> {
        let has = |line: &&String| texts.iter().any(|text| line.contains(text));
        self.host.iter().find(has).map(String::as_str)
    }

    /// How many refusals EL2's log tells of, shown or not.
    fn refusals(&self) -> u64 {
        let unsaid = |line: &String| -> Option<u64> {
            let (_, rest) = line.split_once("refused: ")?;
            let (_, count) = rest.rsplit_once('(')?;
            Some(count.split(' ').next()?.parse::<u64>().ok()? + 1)
        };
        self.el2.iter().filter_map(unsaid).sum()
    }

    /// Judges. Where the kernel has unmapped what it lends (`unmapped`), its own accesses do not come as far as EL2.
    pub fn judge(&self, access: &str, unmapped: bool) -> Verdict {
        let (outcome, why) = self.outcome(access, unmapped);
        let skipped = matches!(outcome, Outcome::NotApplicable(_));
        let alive = skipped || self.is_alive(access);
        Verdict { outcome, alive, why }
    }

    fn is_alive(&self, access: &str) -> bool {
        self.value(access, "alive") == Some("yes")
    }

    fn outcome(&self, access: &str, unmapped: bool) -> (Outcome, String) {
        if let Some(line) = self.console(&["Kernel panic - not syncing"]) {
            return (Outcome::Panic, line.to_owned());
        }
        if let Broke::El2Stopped(line) = &self.broke {
            let by_policy = line.contains("halted by the fault policy");
            return (if by_policy { Outcome::Hang } else { Outcome::Unknown }, line.clone());
        }
        let Some(seen) = self.value(access, "seen") else {
            return self.unseen();
        };
        let (kind, detail) = seen.split_once(' ').unwrap_or((seen, ""));
        if let ("skipped", Some(reason)) = (kind, plan::reason(detail)) {
            return (Outcome::NotApplicable(reason), seen.to_owned());
        }
        match (self.was_touched(access), unmapped, kind) {
            (false, true, "done") => return (Outcome::NotApplicable("not-mapped"), seen.to_owned()),
            (false, false, _) => return (Outcome::Unknown, format!("{seen}, but EL2 has not seen the access")),
            _ => {}
        }
        match (self.console(&["Internal error:"]), seen) {
            (Some(line), _) if self.is_alive(access) => (Outcome::Oops, line.to_owned()),
            (_, "looping" | "stuck") => (Outcome::Loop, self.counted()),
            (_, "hanging") => (Outcome::Hang, self.counted()),
            (Some(line), _) => (Outcome::Hang, format!("not alive after: {line}")),
            (None, _) => self.told(seen, self.was_served(access)),
        }
    }

    /// Whether EL2 has recorded a touch.
    fn was_touched(&self, access: &str) -> bool {
        let count = self
            .value(access, "touches")
            .and_then(|count| count.parse::<u64>().ok());
        count.is_some_and(|count| count > 0)
    }

    /// The machine fell silent, or ended, before the access came to anything.
    fn unseen(&self) -> (Outcome, String) {
        match self.broke {
            Broke::Silent if self.refusals() > LOOP_REFUSALS => (Outcome::Loop, self.counted()),
            Broke::Silent => (Outcome::Hang, self.counted()),
            _ => (Outcome::Unknown, "the run ended without a word of it".to_owned()),
        }
    }

    fn counted(&self) -> String {
        format!("EL2 tells of {} refusals", self.refusals())
    }

    /// Whether EL2 says that it has let the access go on: it gave zeroes then, as a fix-up does.
    fn was_served(&self, access: &str) -> bool {
        let culprit = self.value(access, "culprit");
        culprit.is_some_and(|line| line.contains("MECHANISM_DECOY") || line.contains("MECHANISM_FORCE_RECLAIM"))
    }

    /// What the one who made the access was told, where the kernel has not fallen over it.
    fn told(&self, seen: &str, served: bool) -> (Outcome, String) {
        let mut words = seen.split(' ');
        let outcome = match (words.next().unwrap_or(""), words.next().unwrap_or("")) {
            ("signal" | "killed", "SIGBUS") => Outcome::SigBus,
            ("signal" | "killed", "SIGSEGV") => Outcome::SigSegv,
            ("killed", "SIGKILL") => Outcome::SigKill,
            ("error", "EFAULT" | "EIO") => Outcome::EFault,
            ("right", _) if !served => Outcome::FixUp,
            ("right" | "done", _) => match self.console(&["WARNING:", "BUG:"]) {
                Some(line) => return (Outcome::Warning, line.to_owned()),
                None => Outcome::NoEffect,
            },
            _ => Outcome::Unknown,
        };
        (outcome, seen.to_owned())
    }
}

#[cfg(test)]
mod tests;
