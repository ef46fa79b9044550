//! What `cargo xtask run` can ask of a machine beside the default: other sizes, CPUs, log levels, policies, a debugger.

use super::{Context, HOST_DEMO, LIMIT, Needs, Scenario, Verdict, steps};
use crate::layout::MIB;
use crate::machine::{Gic, Machine};
use crate::report::{Outcome, Source};
use leasehold_flash::stream::Level;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long a debugger may wait for an answer.
const ANSWER: Duration = Duration::from_secs(20);

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |name, run: fn(&Context<'_>) -> Verdict| Scenario::new(name, Needs::Board, run);
    vec![
        scenario("options/small", |context| {
            let machine = demo(context)?.smp(1).memory(128 * MIB).cpu("cortex-a53");
            let outcome = steps(&machine.el2_arg("leasehold.log=debug"), &HOST_DEMO)?;
            logs(&outcome, Level::Debug)
        }),
        scenario("options/large", |context| {
            let machine = demo(context)?.smp(8).memory(4096 * MIB).cpu("cortex-a72").gic(Gic::V2);
            let outcome = steps(&machine.el2_arg("leasehold.log=warn"), &HOST_DEMO)?;
            logs(&outcome, Level::Warn)
        }),
        scenario("options/policy", |context| {
            // The first link of each chain is what a bare-metal host sees.
            let machine = demo(context)?.el2_arg("leasehold.fault=pkvm").bootargs("expect=tagged");
            steps(&machine, &HOST_DEMO)?;
            Ok(())
        }),
        scenario("options/debugger", debugger),
    ]
}

fn demo(context: &Context<'_>) -> Result<Machine, super::Missing> {
    context.demo_on("release")
}

/// EL2's lines go down to this level and no further, and each has a time and a place. Lines from before EL2 has read its
/// arguments are left out.
fn logs(outcome: &Outcome, least: Level) -> Verdict {
    let all = outcome.of(Source::El2).filter_map(|line| line.log.as_ref());
    let own: Vec<_> = all.skip_while(|log| log.message.starts_with("Leasehold")).collect();
    let lowest = own.iter().filter_map(|log| log.level).min();
    if lowest != Some(least) {
        return Err(format!("the lowest level is {lowest:?}\n{}", outcome.report()).into());
    }
    match own.iter().find(|log| log.timestamp.is_none() || log.location.is_none()) {
        Some(log) => Err(format!("{log:?} has no time or no place").into()),
        None => Ok(()),
    }
}

/// The machine waits for a debugger, which sees its registers, stops it in EL2, and lets it run to its end.
fn debugger(context: &Context<'_>) -> Verdict {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = free.local_addr()?.port();
    drop(free);
    let run = demo(context)?.gdb(port).start()?;
    let mut debugger = Debugger::attach(port)?;
    // Behind the header of EL2's image, which is where it starts: QEMU's own boot code runs before.
    let entry = 0x4020_0040_u64;
    let before = debugger.pc()?;
    if before == entry {
        return Err("it did not wait before the first instruction".into());
    }
    debugger.expect(&format!("Z0,{entry:x},4"), "OK")?;
    debugger.expect("c", "T05")?;
    let at = debugger.pc()?;
    if at != entry {
        return Err(format!("it stopped at {at:#x}, not at {entry:#x}").into());
    }
    debugger.expect(&format!("z0,{entry:x},4"), "OK")?;
    debugger.send("c")?;
    run.finish_steps(LIMIT, &HOST_DEMO)?;
    Ok(())
}

/// A debugger, as far as GDB's remote serial protocol needs it here (GDB's manual, appendix E).
struct Debugger(TcpStream);

impl Debugger {
    fn attach(port: u16) -> io::Result<Debugger> {
        let until = Instant::now() + ANSWER;
        loop {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(ANSWER))?;
                    return Ok(Debugger(stream));
                }
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// `$PACKET#SUM`, the sum in two digits.
    fn send(&mut self, packet: &str) -> io::Result<()> {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        write!(self.0, "${packet}#{sum:02x}")
    }

    /// The next packet; what stands between packets is acknowledgements.
    fn answer(&mut self) -> io::Result<String> {
        let mut byte = [0];
        let mut packet = None::<String>;
        loop {
            self.0.read_exact(&mut byte)?;
            match (byte[0], &mut packet) {
                (b'$', _) => packet = Some(String::new()),
                (b'#', Some(_)) => {
                    self.0.read_exact(&mut [0; 2])?;
                    self.0.write_all(b"+")?;
                    return Ok(packet.unwrap_or_default());
                }
                (other, Some(packet)) => packet.push(other.into()),
                (_, None) => {}
            }
        }
    }

    fn expect(&mut self, packet: &str, start: &str) -> Verdict {
        self.send(packet)?;
        let answer = self.answer()?;
        if answer.starts_with(start) {
            Ok(())
        } else {
            Err(format!("`{packet}` is answered with `{answer}`, not `{start}`").into())
        }
    }

    /// The program counter: behind the 31 general registers and the stack pointer, low byte first.
    fn pc(&mut self) -> Result<u64, Failure> {
        self.send("g")?;
        let registers = self.answer()?;
        let digits = registers.get(32 * 16..33 * 16).ok_or("too few registers")?;
        Ok(u64::from_str_radix(digits, 16)?.swap_bytes())
    }
}
