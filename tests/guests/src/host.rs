//! What every host among the tests begins with.

use crate::arch::call::{self, Conduit};
use crate::arch::cpu;
use crate::arch::el0::Program;
use crate::arch::mmu::{self, Access, Space};
use crate::arch::smp;
use crate::console;
use crate::expect::Expected;
use crate::ffa::Mailbox;
use crate::lender::{self, Guest, Image};
use crate::pages::{Block, Pages};
use crate::psci;
use crate::report::Report;
use crate::tree::Machine;
use crate::{args, line, vm};

/// A host and what it has.
pub struct Host {
    /// What the tree says.
    pub machine: Machine,
    /// Free memory.
    pub pages: Pages,
    /// What has been seen.
    pub report: Report,
    /// What a touch of lent memory is to be answered with.
    pub expected: Expected,
    /// How many CPUs are up.
    pub cpus: usize,
    /// The page with the stubs that run at EL0.
    pub stubs: Block,
    /// Its stage 1, once it is on.
    pub space: Option<Space>,
    mail: Option<Mailbox>,
}

impl Host {
    /// Reads the tree, and finds the console and the conduits. `conduit=smc` makes calls by SMC.
    pub fn begin(tree: u64) -> Host {
        // SAFETY: nothing here writes to the tree, and `Pages` does not hand it out.
        let machine = match unsafe { Machine::read(tree) } {
            Ok(machine) => machine,
            Err(error) => crate::stop(format_args!("device tree at {tree:#x}: {error:?}")),
        };
        console::set(machine.uart, machine.uart_kind);
        psci::set_conduit(machine.psci_by_smc);
        if args::value(machine.args, "conduit") == Some("smc") {
            call::set_conduit(Conduit::Smc);
        }
        line!("LH-HOST {}", machine.args);
        let mut pages = Pages::new(&machine);
        let stubs = pages.take(1);
        Program::new(stubs);
        let expected = Expected::of(machine.args);
        let (report, space, mail) = (Report::of_host(), None, None);
        Host {
            machine,
            pages,
            report,
            expected,
            cpus: 1,
            stubs,
            space,
            mail,
        }
    }

    /// Is Leasehold there? Else nothing that follows makes sense.
    pub fn find(&mut self) -> bool {
        self.report.step(
            "leasehold is there",
            vm::is_leasehold(),
            format_args!("conduit {:?}", call::conduit()),
        )
    }

    /// Turns on the other CPUs.
    pub fn start_cpus(&mut self) {
        self.cpus = smp::start_all(&self.machine.cpus);
        self.report
            .same("cpus up", self.cpus, self.machine.cpus.len().min(cpu::MOST));
    }

    /// Turns stage 1 on, on all CPUs.
    pub fn translate(&mut self) {
        let ram = self.machine.ram();
        let space = Space::new(
            &mut self.pages,
            ram,
            self.machine.ecam.into_iter().chain([console::base()]),
        );
        let stubs = self.stubs;
        space.map_pages(
            &mut self.pages,
            mmu::user(stubs.base()),
            stubs.base(),
            stubs.bytes(),
            Access::UserCode,
        );
        smp::each(&space, |_, space| space.on());
        self.report
            .step("stage 1 on", mmu::is_on(), format_args!("{} CPUs", self.cpus));
        self.space = Some(space);
    }

    /// The stubs, where EL0 finds them now.
    pub fn program(&self) -> Program {
        let base = self.stubs.base();
        Program::existing(if self.space.is_some() { mmu::user(base) } else { base })
    }

    /// By which address EL0 reaches `address` now.
    pub fn user(&self, address: u64) -> u64 {
        if self.space.is_some() {
            mmu::user(address)
        } else {
            address
        }
    }

    /// The pair of buffers, mapped when first asked for.
    pub fn mail(&mut self) -> Mailbox {
        if let Some(mail) = self.mail {
            return mail;
        }
        let (tx, rx) = (self.pages.take(1), self.pages.take(1));
        match Mailbox::new(tx, rx) {
            Ok(mail) => {
                self.mail = Some(mail);
                mail
            }
            Err(error) => crate::stop(format_args!("RX and TX cannot be mapped: {error}")),
        }
    }

    /// Lends these to a new VM: its id, and the lease's handle.
    pub fn lend(&mut self, parts: &[Block]) -> Option<(u64, u64)> {
        let created = vm::create();
        let id = self.report.value("create", created)?;
        let lent = self.mail().lend(id, &lender::ranges::<4>(parts));
        Some((id, self.report.value("lend", lent)?))
    }

    /// Lets both windows map 2 MiB in pages, and EL0 fetch from one of them, as far as stage 1 goes.
    pub fn map_in_pages(&mut self, area: Block, code: Block) {
        if let Some(space) = &self.space {
            space.set_granule(&mut self.pages, area, true);
            let at = code.base();
            space.map_pages(&mut self.pages, mmu::user(at), at, code.bytes(), Access::UserCode);
        }
    }

    /// A guest that does nothing but live in `memory`, when it has run for the first time.
    pub fn running(&mut self, image: &Image, memory: Block) -> Option<Guest> {
        let made = Guest::started(&self.mail(), image, "", &[memory]);
        let mut guest = self.report.value("guest", made)?;
        let ready = guest.run();
        self.report.value("runs", ready);
        Some(guest)
    }

    /// The guest's program, from the ramdisk.
    pub fn image(&mut self) -> Image {
        match Image::new(self.machine.ramdisk, &mut self.pages) {
            Some(image) => image,
            None => crate::stop(format_args!("no guest in the ramdisk: {:x?}", self.machine.ramdisk)),
        }
    }

    /// Prints the count and switches the machine off.
    pub fn end(self) -> ! {
        self.report.done();
        psci::system_off()
    }
}
