//! Counts instructions under QEMU: between marks, in all and by address range.
//!
//! A mark is a hint that does nothing on any CPU: `hint #(0x60 + 2n)` starts window `n` (0 to 7), `hint #(0x61 + 2n)`
//! stops it. Windows may nest; each vCPU has its own.
//!
//! Arguments, each any number of times:
//!
//! | argument | meaning |
//! |---|---|
//! | `range=NAME:LO:HI` | also count instructions at LO ≤ PC < HI (hexadecimal), at most four ranges |
//! | `hits=NAME:ADDRESS` | count how often the instruction at ADDRESS runs |
//! | `start=NAME:ADDRESS`, `stop=NAME:ADDRESS` | a window by addresses instead of marks, the first time each is reached |
//! | `entries=ADDRESS` | count entries into the level whose vector table is at ADDRESS, by cause |
//! | `out=FILE` | where the report goes when QEMU exits; else standard error |
//!
//! The report has a line each: `window NAME vcpu all RANGE=n …`, `hits NAME n`, `entry VECTOR CLASS PAGE n`, `total all
//! RANGE=n …`. Marked windows are named by their number. Windows come in the order in which they were stopped; QEMU's end
//! stops those that are open.
//!
//! An entry's cause is the vector's offset, of a synchronous exception also its class (ESR_EL2.EC), of an abort also the
//! page (from HPFAR_EL2).

mod entries;
mod qemu;

use entries::Entries;

use qemu::{Counter, Instruction};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::fmt::Write as _;
use std::sync::{Mutex, OnceLock};

const MAX_RANGES: usize = 4;
const MAX_HITS: usize = 8;
const COUNTERS: usize = 1 + MAX_RANGES + MAX_HITS;

/// User data of the callbacks: a mark's number, or this plus a named window's index.
const NAMED: usize = 0x100;

struct Range {
    name: String,
    low: u64,
    high: u64,
}

struct Point {
    name: String,
    address: u64,
}

#[derive(Default)]
struct Options {
    ranges: Vec<Range>,
    hits: Vec<Point>,
    starts: Vec<Point>,
    stops: Vec<Point>,
    entries: Vec<u64>,
    out: Option<String>,
}

struct Plugin {
    options: Options,
    all: Counter,
    ranges: [Counter; MAX_RANGES],
    hits: [Counter; MAX_HITS],
}

type Sample = [u64; 1 + MAX_RANGES];

struct Window {
    name: String,
    vcpu: c_uint,
    counts: Sample,
}

#[derive(Default)]
struct Windows {
    open: Vec<Window>,
    closed: Vec<Window>,
}

static PLUGIN: OnceLock<Plugin> = OnceLock::new();
static WINDOWS: Mutex<Windows> = Mutex::new(Windows {
    open: Vec::new(),
    closed: Vec::new(),
});
static ENTRIES: Entries = Entries::new();

impl Plugin {
    fn sample(&self, vcpu: c_uint) -> Sample {
        std::array::from_fn(|index| match index.checked_sub(1) {
            None => self.all.get(vcpu),
            Some(range) => self.ranges[range].get(vcpu),
        })
    }

    fn name(&self, user: usize, points: &[Point]) -> String {
        match user.checked_sub(NAMED) {
            None => user.to_string(),
            Some(index) => points[index].name.clone(),
        }
    }

    fn counts(&self, counts: &Sample) -> String {
        let mut text = counts[0].to_string();
        for (range, count) in self.options.ranges.iter().zip(&counts[1..]) {
            let _ = write!(text, " {}={count}", range.name);
        }
        text
    }

    fn instrument(&self, instruction: Instruction) {
        let address = instruction.address();
        if let Some(mark) = mark(instruction.word()) {
            instruction.call(if mark.starts { start } else { stop }, mark.number);
        }
        for (callback, points) in [(start as Callback, &self.options.starts), (stop, &self.options.stops)] {
            for (index, point) in points.iter().enumerate() {
                if point.address == address {
                    instruction.call(callback, NAMED + index);
                }
            }
        }
        for &table in &self.options.entries {
            if let Some(vector) = entries::vector(table, address) {
                instruction.call_with_registers(enter, vector as usize);
            }
        }
        // Behind the callbacks: a window counts its first instruction and not the one that stops it.
        instruction.count(self.all);
        for (range, counter) in self.options.ranges.iter().zip(self.ranges) {
            if (range.low..range.high).contains(&address) {
                instruction.count(counter);
            }
        }
        for (point, counter) in self.options.hits.iter().zip(self.hits) {
            if point.address == address {
                instruction.count(counter);
            }
        }
    }

    /// Closes the window of that name that was opened last, if there is one.
    fn close(&self, windows: &mut Windows, name: &str, vcpu: c_uint) {
        let found = windows
            .open
            .iter()
            .rposition(|window| window.name == name && window.vcpu == vcpu);
        if let Some(index) = found {
            let mut window = windows.open.remove(index);
            for (count, now) in window.counts.iter_mut().zip(self.sample(vcpu)) {
                *count = now.wrapping_sub(*count);
            }
            windows.closed.push(window);
        }
    }

    fn report(&self) -> String {
        let mut text = String::new();
        let mut windows = lock();
        while let Some(window) = windows.open.first() {
            let (name, vcpu) = (window.name.clone(), window.vcpu);
            self.close(&mut windows, &name, vcpu);
        }
        for Window { name, vcpu, counts } in &windows.closed {
            let _ = writeln!(text, "window {name} {vcpu} {}", self.counts(counts));
        }
        for (point, counter) in self.options.hits.iter().zip(self.hits) {
            let _ = writeln!(text, "hits {} {}", point.name, counter.sum());
        }
        text += &ENTRIES.report();
        let totals = std::array::from_fn(|index| match index.checked_sub(1) {
            None => self.all.sum(),
            Some(range) => self.ranges[range].sum(),
        });
        let _ = writeln!(text, "total {}", self.counts(&totals));
        text
    }
}

type Callback = extern "C" fn(c_uint, *mut c_void);

struct Mark {
    number: usize,
    starts: bool,
}

/// The mark that `word` is: HINT #imm, imm from 0x60 to 0x6f (Arm ARM C6.2, HINT: imm is CRm:op2, bits 11:5).
fn mark(word: u32) -> Option<Mark> {
    let immediate = (word >> 5) & 0x7f;
    (word & 0xffff_f01f == 0xd503_201f && (0x60..0x70).contains(&immediate)).then(|| Mark {
        number: ((immediate - 0x60) / 2) as usize,
        starts: immediate & 1 == 0,
    })
}

fn lock() -> std::sync::MutexGuard<'static, Windows> {
    WINDOWS.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

extern "C" fn start(vcpu: c_uint, user: *mut c_void) {
    let Some(plugin) = PLUGIN.get() else { return };
    let name = plugin.name(user as usize, &plugin.options.starts);
    lock().open.push(Window {
        name,
        vcpu,
        counts: plugin.sample(vcpu),
    });
}

extern "C" fn stop(vcpu: c_uint, user: *mut c_void) {
    let Some(plugin) = PLUGIN.get() else { return };
    let name = plugin.name(user as usize, &plugin.options.stops);
    plugin.close(&mut lock(), &name, vcpu);
}

extern "C" fn enter(_vcpu: c_uint, user: *mut c_void) {
    ENTRIES.count(user as u64);
}

extern "C" fn cpu_is_there(_id: u64, _vcpu: c_uint) {
    entries::find_registers();
}

extern "C" fn translated(_id: u64, block: *mut c_void) {
    let Some(plugin) = PLUGIN.get() else { return };
    // SAFETY: `block` is what QEMU gives to this callback.
    for instruction in unsafe { qemu::instructions(block) } {
        plugin.instrument(instruction);
    }
}

extern "C" fn done(_id: u64, _user: *mut c_void) {
    let Some(plugin) = PLUGIN.get() else { return };
    let report = plugin.report();
    match &plugin.options.out {
        Some(file) => {
            if let Err(error) = std::fs::write(file, report) {
                eprintln!("count plugin: {file}: {error}");
            }
        }
        None => eprint!("{report}"),
    }
}

fn parse(arguments: &[String]) -> Option<Options> {
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let point = |text: &str| {
        let (name, address) = text.split_once(':')?;
        Some(Point {
            name: name.to_owned(),
            address: number(address)?,
        })
    };
    let mut options = Options::default();
    for argument in arguments {
        let (key, value) = argument.split_once('=')?;
        match key {
            "range" => {
                let mut parts = value.split(':');
                let name = parts.next()?.to_owned();
                let (low, high) = (number(parts.next()?)?, number(parts.next()?)?);
                options.ranges.push(Range { name, low, high });
            }
            "hits" => options.hits.push(point(value)?),
            "start" => options.starts.push(point(value)?),
            "stop" => options.stops.push(point(value)?),
            "entries" => options.entries.push(number(value)?),
            "out" => options.out = Some(value.to_owned()),
            _ => return None,
        }
    }
    (options.ranges.len() <= MAX_RANGES && options.hits.len() <= MAX_HITS).then_some(options)
}

/// The interface version, which QEMU looks up by name.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "QEMU's name")]
pub static qemu_plugin_version: c_int = qemu::VERSION;

/// QEMU calls it when it loads the plugin. Not 0: the arguments are wrong.
///
/// # Safety
/// For QEMU alone, with arguments as its interface says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const c_void,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    // SAFETY: QEMU passes its own arguments.
    let arguments = unsafe { qemu::arguments(count, arguments) };
    let Some(options) = parse(&arguments) else {
        eprintln!("count plugin: arguments not understood: {}", arguments.join(" "));
        return 1;
    };
    let counters: [Counter; COUNTERS] = qemu::counters();
    let plugin = Plugin {
        options,
        all: counters[0],
        ranges: std::array::from_fn(|index| counters[1 + index]),
        hits: std::array::from_fn(|index| counters[1 + MAX_RANGES + index]),
    };
    if PLUGIN.set(plugin).is_err() {
        return 1;
    }
    qemu::register(id, cpu_is_there, translated, done);
    0
}
