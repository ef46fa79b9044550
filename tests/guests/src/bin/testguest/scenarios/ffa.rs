//! A second lease: retrieved by its handle from the tree, used, and given back; with stage 1 on if it is told `mmu`.

use crate::program::Guest;
use leasehold_abi::ffa as numbers;
use leasehold_guests::arch::cpu;
use leasehold_guests::arch::mmu::{Access, Space};
use leasehold_guests::arch::probe::{self, Width};
use leasehold_guests::ffa::Mailbox;
use leasehold_guests::pages::PAGE;
use leasehold_guests::tree::Lease;
use leasehold_guests::{args, descriptor, pattern, tenant};

pub fn run(guest: &mut Guest) {
    let Some(lease) = guest.machine.leases.first().copied() else {
        guest
            .report
            .step("lease", false, format_args!("there is none in the tree"));
        return;
    };
    let mapped = Mailbox::new(guest.pages.take(1), guest.pages.take(1));
    let Some(mail) = guest.report.value("FFA_RXTX_MAP", mapped) else {
        return;
    };
    let owner = lease.owner.map_or(numbers::HOST_ID, |o| o as u16);
    wrongly(guest, &mail, owner, lease);
    let retrieved = mail.retrieve(owner, lease.handle, lease.tag);
    let Some((address, pages)) = guest.report.value("retrieve", retrieved) else {
        return;
    };
    let bytes = u64::from(pages) * PAGE;
    if args::has(tenant::arguments(&guest.machine), "mmu") {
        let ram = guest.machine.ram();
        let space = Space::new(&mut guest.pages, ram, None);
        space.map_pages(&mut guest.pages, address, address, bytes, Access::Kernel);
        space.on();
    }
    use_it(guest, address, bytes);
    give_back(guest, &mail, owner, lease, address);
}

/// Retrieves that must be refused.
fn wrongly(guest: &mut Guest, mail: &Mailbox, owner: u16, lease: Lease) {
    let other = Mailbox {
        id: mail.id + 1,
        ..*mail
    };
    for (name, answer) in [
        ("handle", mail.retrieve(owner, lease.handle ^ 0x5a5a, lease.tag)),
        ("tag", mail.retrieve(owner, lease.handle, lease.tag ^ 1)),
        ("owner", mail.retrieve(owner + 7, lease.handle, lease.tag)),
        ("borrower", other.retrieve(owner, lease.handle, lease.tag)),
    ] {
        guest
            .report
            .step("retrieve, wrong", answer.is_err(), format_args!("{name}: {answer:x?}"));
    }
    // Share, donate and a kind that is reserved: bits 4:3 of the flags (DEN0140, retrieve flags).
    for kind in [0b01u32, 0b11] {
        let len = descriptor::retrieve(|at, b| mail.tx.put(at, b), owner, mail.id, lease.handle, lease.tag) as u64;
        mail.tx.write32(descriptor::offset::FLAGS, kind << 3);
        let answer = leasehold_guests::ffa::outcome(&leasehold_guests::arch::call::call(
            numbers::MEM_RETRIEVE_REQ_64,
            &[len, len, 0, 0],
        ));
        guest.report.step(
            "retrieve, other kind",
            answer.is_err(),
            format_args!("{kind}: {:?}", answer.err()),
        );
    }
    let early = mail.relinquish(lease.handle);
    guest
        .report
        .step("relinquish, too early", early.is_err(), format_args!("{early:?}"));
}

fn use_it(guest: &mut Guest, address: u64, bytes: u64) {
    let words = || (address..address + bytes).step_by(8);
    let dirt = words().find(|at| probe::read(*at, Width::Double) != Ok(0));
    guest.report.step(
        "is zero",
        dirt.is_none(),
        format_args!("{bytes:#x} bytes at {address:#x}: {dirt:x?}"),
    );
    // SAFETY: memory that the hypervisor has just put there.
    let lost = words().find(|at| unsafe { probe::write(*at, Width::Double, pattern::at(*at)) }.is_err());
    guest
        .report
        .step("takes a pattern", lost.is_none(), format_args!("{lost:x?}"));
    tenant::say("ready");
    cpu::wfi();
    let lost = words().find(|at| probe::read(*at, Width::Double) != Ok(pattern::at(*at)));
    guest.report.step("keeps it", lost.is_none(), format_args!("{lost:x?}"));
}

fn give_back(guest: &mut Guest, mail: &Mailbox, owner: u16, lease: Lease, address: u64) {
    let other = Mailbox {
        id: mail.id + 1,
        ..*mail
    };
    let answer = other.relinquish(lease.handle);
    guest
        .report
        .step("relinquish for another", answer.is_err(), format_args!("{answer:?}"));
    let given = mail.relinquish(lease.handle);
    guest.report.value("relinquish", given);
    let after = probe::read(address, Width::Double);
    let refused = after.is_err_and(|f| f.is_abort() && f.status() == 0x10);
    guest.report.step("refused after", refused, format_args!("{after:x?}"));
    let twice = mail.relinquish(lease.handle);
    guest
        .report
        .step("relinquish twice", twice.is_err(), format_args!("{twice:?}"));
    // It may be retrieved again until its owner takes it back; then it is clean.
    if let Ok((address, _)) = mail.retrieve(owner, lease.handle, lease.tag) {
        let first = probe::read(address, Width::Double);
        guest.report.same("retrieved again, is zero", first, Ok(0));
        let given = mail.relinquish(lease.handle);
        guest.report.value("relinquish again", given);
    }
}
