//! A host that calls its firmware, on a build in which something stands for that: its own memory passes, lent memory does not,
//! and what firmware has is not lent. The same build has a memory controller that fails when told to.

use leasehold_abi::ffa::{ABORTED, DENIED};
use leasehold_guests::arch::call;
use leasehold_guests::host::Host;
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::{ffa, pattern, vm};

/// Qualcomm's secure monitor: function ids with descriptions of their arguments, and what it returns.
mod scm {
    pub const AVAILABLE: (u32, u64) = (0x4200_0601, 0x1);
    pub const ASSIGN: (u32, u64) = (0x4200_0c16, 0x1117);
    pub const VIDEO: (u32, u64) = (0x4200_0c08, 0x4);
    pub const SET_KEY: (u32, u64) = (0x4200_1004, 0x85);
    pub const DOWNLOAD_MODE: (u32, u64) = (0x4200_0110, 0x2);
    pub const BAD_ARGUMENT: i64 = -2;
    pub const BAD_ADDRESS: i64 = -3;
    pub const UNSUPPORTED: i64 = -4;
    /// Owners: the host, the modem.
    pub const HLOS: u64 = 3;
    pub const MODEM: u64 = 15;
}

fn firmware((function, arginfo): (u32, u64), arguments: &[u64]) -> [u64; 18] {
    let mut all = [0; 8];
    all[0] = arginfo;
    all[1..=arguments.len()].copy_from_slice(arguments);
    call::call(function, &all)
}

fn status(result: &[u64; 18]) -> i64 {
    i64::from(result[0] as i32)
}

struct Trial<'a> {
    host: &'a mut Host,
    id: u64,
    lists: Block,
}

impl Trial<'_> {
    fn step(&mut self, name: &'static str, seen: i64, wanted: i64) {
        self.host
            .report
            .step(name, seen == wanted, format_args!("{seen}, wanted {wanted}"));
    }

    /// Gives `pages` from the host to `to`, or back.
    fn assign(&self, at: u64, from: u64, to: u64) -> [u64; 18] {
        let lists = self.lists.base();
        for (offset, word) in [
            (0, 4),
            (8, lists + 0x200),
            (16, 24),
            (24, 0),
            (0x100, from),
            (0x200, to | 7 << 32),
            (0x208, 0),
            (0x210, 0),
            (0x400, at),
            (0x408, PAGE),
        ] {
            self.lists.write(offset, word);
        }
        firmware(scm::ASSIGN, &[lists + 0x400, 16, lists + 0x100, lists])
    }

    /// What a lend of a page comes to. What is lent comes back at once.
    fn lend(&mut self, at: u64) -> i64 {
        let lent = self.host.mail().lend(self.id, &[(at, 1)]);
        match lent.and_then(ffa::reclaim) {
            Ok(()) => 0,
            Err(code) => i64::from(code),
        }
    }

    fn calls(&mut self, area: Block) {
        let (own, lent, key) = (area.base(), area.base() + PAGE, area.base() + 2 * PAGE);
        let available = firmware(scm::AVAILABLE, &[0x0200_0c16])[1];
        self.step("a call that is offered", available as i64, 1);
        let available = firmware(scm::AVAILABLE, &[0x0200_0110])[1];
        self.step("a call that is not", available as i64, 0);
        let refused = status(&firmware(scm::DOWNLOAD_MODE, &[1, 0]));
        self.step("a call that is refused", refused, scm::UNSUPPORTED);
        let refused = status(&firmware((0x4200_0c17, 0), &[]));
        self.step("a call that nobody knows", refused, -1);

        let passed = self.assign(own, scm::HLOS, scm::MODEM);
        self.step("the host's own memory passes", status(&passed), 0);
        let copies = [passed[1], passed[2], passed[3]];
        let ours = copies.iter().any(|at| at & !(PAGE - 1) == self.lists.base());
        self.host
            .report
            .step("firmware gets a copy", !ours, format_args!("{copies:x?}"));
        let denied = self.lend(own);
        self.step("what has gone to others is not lent", denied, i64::from(DENIED));
        let theirs = self.assign(copies[0] & !(PAGE - 1), scm::HLOS, scm::MODEM);
        self.step("EL2's own memory does not pass", status(&theirs), scm::BAD_ADDRESS);
        let back = self.assign(own, scm::MODEM, scm::HLOS);
        self.step("and back", status(&back), 0);
        let done = self.lend(own);
        self.step("which can be lent", done, 0);

        let lease = self.host.mail().lend(self.id, &[(lent, 1)]);
        if let Some(handle) = self.host.report.value("lend", lease) {
            let refused = self.assign(lent, scm::HLOS, scm::MODEM);
            self.step("lent memory does not pass", status(&refused), scm::BAD_ADDRESS);
            let lists = self.lists.base();
            let refused = firmware(scm::ASSIGN, &[lent, 16, lists + 0x100, lists]);
            self.step("nor lists in it", status(&refused), scm::BAD_ADDRESS);
            let back = ffa::reclaim(handle);
            self.host.report.value("reclaim", back);
        }
        self.put_off(key);
    }

    fn put_off(&mut self, key: u64) {
        let lists = self.lists.base();
        _ = firmware(scm::VIDEO, &[1, 0, 0, 0]);
        self.lists.write(0, 3);
        self.lists.write(8, 512);
        let first = firmware(scm::SET_KEY, &[7, key, 64, lists]);
        self.step("a call that is put off", status(&first), 1);
        let denied = self.lend(key);
        self.step("put off: not to be lent", denied, i64::from(DENIED));
        let on = |session: u64| status(&firmware((1, 0x85), &[7, key, 64, lists, session]));
        let wrong = on(0x5e55);
        self.step("by firmware's own number", wrong, scm::BAD_ARGUMENT);
        let done = on(first[6]);
        self.step("by EL2's", done, 0);
        let again = on(first[6]);
        self.step("once", again, scm::BAD_ARGUMENT);
        let done = self.lend(key);
        self.step("done: to be lent", done, 0);
    }

    fn moves(&mut self, area: Block) {
        _ = firmware(scm::VIDEO, &[1 << 8, 0, 0, 0]);
        let denied = self.lend(area.base());
        self.step("a move that is refused", denied, i64::from(DENIED));
        // Late, and late when it is undone.
        _ = firmware(scm::VIDEO, &[2 << 16, 0, 0, 0]);
        let late = self.lend(area.base());
        self.step("a move that is late", late, i64::from(ABORTED));
        let denied = self.lend(area.base() + PAGE);
        self.step("others go on", denied, 0);
        let whole = area.differs(pattern::at);
        self.host.report.step(
            "a move that is late is undone",
            whole.is_none(),
            format_args!("{whole:x?}"),
        );
    }
}

pub fn run(host: &mut Host) {
    let created = vm::create();
    let Some(id) = host.report.value("create", created) else {
        return;
    };
    let area = host.pages.take(4);
    let lists = host.pages.take(1);
    area.fill(pattern::at);
    let mut trial = Trial { host, id, lists };
    trial.calls(area);
    trial.moves(area);
    let destroyed = vm::destroy(id);
    host.report.value("destroy", destroyed);
}
