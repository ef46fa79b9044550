//! `leasectl faults`.

use crate::device::{Device, Fault};
use anyhow::Result;
use leasehold_abi::Constant;
use leasehold_abi::vendor::{ACCESS_CLASSES, CALLS, CLASS_DEVICE, MECHANISMS};

/// Bits of a record's mechanism that say which it is; those above are an abort's status code.
const MECHANISM: u64 = 0xff;

/// Runs the command.
///
/// # Errors
/// When the driver cannot be asked.
pub fn run() -> Result<bool> {
    let device = Device::open()?;
    let mut faults = Vec::new();
    let lost = device.faults(&mut faults)?;
    for fault in &faults {
        println!("{}", describe(fault));
    }
    println!("{} records, {lost} lost", faults.len());
    // Devices are answered by their SMMU.
    for class in ACCESS_CLASSES.iter().filter(|class| class.value as u64 != CLASS_DEVICE) {
        let counts = device.fault_counts(class.value as u64)?.counts;
        if counts != [0; 8] {
            println!("{}: {}", class.name, totals(&counts));
        }
    }
    Ok(true)
}

/// How often which kind of mechanism has answered.
pub fn totals(counts: &[u64; 8]) -> String {
    let call = CALLS.iter().find(|call| call.name == "FAULT_COUNTS");
    let names = call.map_or(&[][..], |call| call.returns);
    let counted = names.iter().zip(counts).filter(|(_, count)| **count != 0);
    let counted: Vec<_> = counted.map(|(name, count)| format!("{count} {name}")).collect();
    counted.join(", ")
}

/// One line for a record.
pub fn describe(fault: &Fault) -> String {
    format!(
        "{} CPU {} {} IPA {:#x} VA {:#x} PC {:#x} ESR_EL2 {:#x} lent to VM {}: {} {:#x}",
        fault.counter,
        fault.cpu,
        name(ACCESS_CLASSES, fault.access),
        fault.ipa,
        fault.va,
        fault.pc,
        fault.esr,
        fault.borrower,
        name(MECHANISMS, fault.mechanism & MECHANISM),
        fault.mechanism >> 8,
    )
}

fn name(table: &[Constant], value: u64) -> &'static str {
    table
        .iter()
        .find(|constant| constant.value as u64 == value)
        .map_or("UNKNOWN", |constant| constant.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_name_what_was_counted() {
        assert_eq!(
            totals(&[3, 0, 0, 0, 0, 1, 0, 0]),
            "3 aborts of any status code, 1 decoys"
        );
    }

    #[test]
    fn a_record_names_what_it_is() {
        let fault = Fault {
            access: 6,
            ipa: 0x4200_0000,
            borrower: 2,
            mechanism: 0x1001,
            ..Fault::default()
        };
        let line = describe(&fault);
        assert!(line.contains("CLASS_DEVICE IPA 0x42000000"), "{line}");
        assert!(line.contains("lent to VM 2: MECHANISM_ABORT 0x10"), "{line}");
    }
}
