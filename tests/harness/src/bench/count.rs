//! The count plugin: what it is told, and what it reports.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What the plugin is to count.
#[derive(Clone, Debug)]
pub struct Counter {
    plugin: PathBuf,
    options: String,
}

impl Counter {
    /// The plugin in this file, which is to count nothing yet.
    pub fn new(plugin: impl Into<PathBuf>) -> Counter {
        Counter {
            plugin: plugin.into(),
            options: String::new(),
        }
    }

    /// Counts what runs at these addresses apart.
    pub fn range(self, name: &str, addresses: std::ops::Range<u64>) -> Counter {
        self.with(format_args!("range={name}:{:#x}:{:#x}", addresses.start, addresses.end))
    }

    /// A window that opens where `from` runs, and closes where `to` runs, or else when QEMU ends.
    pub fn window(self, name: &str, from: u64, to: Option<u64>) -> Counter {
        let counter = self.with(format_args!("start={name}:{from:#x}"));
        match to {
            Some(to) => counter.with(format_args!("stop={name}:{to:#x}")),
            None => counter,
        }
    }

    /// Counts entries from lower exception levels into EL2, whose vectors are there.
    pub fn entries(self, vectors: u64) -> Counter {
        self.with(format_args!("entries={vectors:#x}"))
    }

    /// Arguments for QEMU. The report goes to `out`.
    pub fn arguments(&self, out: &Path) -> [String; 2] {
        // In QEMU's option lists a comma of a value is written twice.
        let escape = |path: &Path| path.to_string_lossy().replace(',', ",,");
        let plugin = format!("{}{},out={}", escape(&self.plugin), self.options, escape(out));
        ["-plugin".to_owned(), plugin]
    }

    fn with(mut self, option: std::fmt::Arguments<'_>) -> Counter {
        let _ = write!(self.options, ",{option}");
        self
    }
}

/// What ran while a window was open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its name; of a marked one its number.
    pub name: String,
    /// Instructions in all.
    pub all: u64,
    /// Instructions in each range.
    ranges: BTreeMap<String, u64>,
}

impl Window {
    /// Instructions in the range of that name; none in one that was not asked for.
    pub fn range(&self, name: &str) -> u64 {
        self.ranges.get(name).copied().unwrap_or(0)
    }

    /// Whether it was opened and closed by marks.
    pub fn is_marked(&self) -> bool {
        self.name.parse::<u32>().is_ok()
    }
}

/// Entries into EL2 of one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries {
    /// The vector's offset in its table.
    pub vector: u64,
    /// The exception's class (ESR_EL2.EC), of a synchronous one.
    pub class: Option<u64>,
    /// The page's intermediate physical address, of an abort.
    pub page: Option<u64>,
    /// How many there were.
    pub count: u64,
}

impl Entries {
    /// Whether the plugin could read what it needs to tell why: the class of a synchronous exception, an abort's page.
    pub fn is_told(&self) -> bool {
        // The vectors of synchronous exceptions, and the classes of aborts (Arm ARM D1.3.6 and D24.2.40).
        let synchronous = matches!(self.vector, 0x400 | 0x600);
        let abort = matches!(self.class, Some(0x20 | 0x24));
        synchronous == self.class.is_some() && abort == self.page.is_some()
    }
}

impl fmt::Display for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at vector {:#x}", self.count, self.vector)?;
        if let Some(class) = self.class {
            write!(f, " of class {class:#x}")?;
        }
        match self.page {
            Some(page) => write!(f, " for page {page:#x}"),
            None => Ok(()),
        }
    }
}

/// A report of the plugin's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The windows, in the order in which they closed.
    pub windows: Vec<Window>,
    /// Entries into EL2, by cause.
    pub entries: Vec<Entries>,
}

/// A line of a report that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the count plugin's report has a line that is none: `{0}`")]
pub struct BadLine(pub String);

impl Counts {
    /// Reads a report.
    ///
    /// # Errors
    /// [`BadLine`].
    pub fn parse(report: &str) -> Result<Counts, BadLine> {
        let mut counts = Counts::default();
        for line in report.lines() {
            counts.take(line).ok_or_else(|| BadLine(line.to_owned()))?;
        }
        Ok(counts)
    }

    /// The window of that name that closed last.
    pub fn window(&self, name: &str) -> Option<&Window> {
        self.windows.iter().rev().find(|window| window.name == name)
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        match words.next()? {
            "window" => {
                let name = words.next()?.to_owned();
                let _vcpu: u32 = words.next()?.parse().ok()?;
                let all = words.next()?.parse().ok()?;
                let range = |word: &str| {
                    let (name, count) = word.split_once('=')?;
                    Some((name.to_owned(), count.parse().ok()?))
                };
                let ranges = words.map(range).collect::<Option<_>>()?;
                self.windows.push(Window { name, all, ranges });
            }
            "entry" => {
                let vector = hex(words.next()?)?;
                let [class, page] = [absent_or_hex(words.next()?)?, absent_or_hex(words.next()?)?];
                let count = words.next()?.parse().ok()?;
                self.entries.push(Entries {
                    vector,
                    class,
                    page,
                    count,
                });
            }
            "hits" | "total" => {}
            _ => return None,
        }
        Some(())
    }
}

fn hex(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

/// `-` is a value that is absent.
fn absent_or_hex(word: &str) -> Option<Option<u64>> {
    if word == "-" { Some(None) } else { hex(word).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_windows_and_entries() {
        let report = "window boot 0 1404406 el2=1404406 scrub=82574\n\
                      window 3 0 1264 el2=825 scrub=0\n\
                      hits x 7\n\
                      entry 0x400 0x17 - 11\n\
                      entry 0x400 0x24 0x80a0000 9\n\
                      entry 0x480 - - 2\n\
                      total 1087852804 el2=1410206 scrub=82574\n";
        let counts = Counts::parse(report).unwrap();
        let [boot, run] = &counts.windows[..] else {
            panic!("{counts:?}")
        };
        assert_eq!(
            (boot.all, boot.range("el2"), boot.range("scrub")),
            (1_404_406, 1_404_406, 82_574)
        );
        assert!(!boot.is_marked() && run.is_marked());
        assert_eq!((run.all, run.range("el2"), run.range("other")), (1264, 825, 0));
        assert!(counts.entries.iter().all(Entries::is_told));
        assert_eq!(
            counts.entries[1].to_string(),
            "9 at vector 0x400 of class 0x24 for page 0x80a0000"
        );
        let entries: Vec<_> = counts
            .entries
            .iter()
            .map(|it| (it.vector, it.class, it.page, it.count))
            .collect();
        let abort = (0x400, Some(0x24), Some(0x80a_0000), 9);
        assert_eq!(entries, [(0x400, Some(0x17), None, 11), abort, (0x480, None, None, 2)]);
    }

    #[test]
    fn an_entry_that_does_not_say_why_is_noticed() {
        for (line, told) in [
            ("entry 0x400 - - 1", false),
            ("entry 0x600 0x24 - 1", false),
            ("entry 0x400 0x20 0x40000000 1", true),
            ("entry 0x680 - - 1", true),
        ] {
            assert_eq!(Counts::parse(line).unwrap().entries[0].is_told(), told, "{line}");
        }
    }

    #[test]
    fn of_windows_of_one_name_the_last_counts() {
        let counts = Counts::parse("window a 0 1\nwindow a 0 2\n").unwrap();
        assert_eq!(counts.window("a").map(|window| window.all), Some(2));
        assert_eq!(counts.window("b"), None);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for bad in [
            "windows a 0 1",
            "window a 0",
            "window a x 1",
            "window a 0 -1",
            "window a 0 1 el2",
            "window a 0 1 el2=x",
            "entry 0x400 0x17 - ",
            "entry 400 0x17 - 1",
            "entry 0x400 17 - 1",
            "",
        ] {
            let report = format!("total 1\n{bad}\n");
            assert_eq!(Counts::parse(&report), Err(BadLine(bad.to_owned())));
        }
    }

    #[test]
    fn the_plugin_is_told_by_its_arguments() {
        let counter = Counter::new("/a,b/plugin.so")
            .range("el2", 0x10..0x20)
            .window("boot", 0x10, Some(0x30))
            .window("host", 0x30, None)
            .entries(0x800);
        let arguments = counter.arguments(Path::new("/c,d"));
        let plugin = "/a,,b/plugin.so,range=el2:0x10:0x20,start=boot:0x10,stop=boot:0x30,start=host:0x30,entries=0x800,\
                      out=/c,,d";
        assert_eq!(arguments, ["-plugin", plugin]);
    }
}
