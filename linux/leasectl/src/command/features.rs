//! `leasectl features`.

use crate::device::{API_VERSION, Device, Features};
use anyhow::{Result, bail};
use leasehold_abi::FEATURE_BITS;

/// Runs the command.
///
/// # Errors
/// When the driver cannot be asked.
pub fn run() -> Result<bool> {
    let features = get(&Device::open()?)?;
    println!("revision {}.{}", features.revision_major, features.revision_minor);
    println!("FF-A {}", ffa_version(&features));
    println!("endpoint {}", features.endpoint);
    println!("features {}", names(features.features));
    println!("VMs {}", features.max_vms);
    println!("leases {}", features.max_leases);
    println!("ranges a lease {}", features.max_ranges);
    Ok(true)
}

/// Asks the driver, and checks that it speaks this program's version of the interface.
///
/// # Errors
/// When it does not.
pub fn get(device: &Device) -> Result<Features> {
    let features = device.features()?;
    if features.api_version != API_VERSION {
        bail!(
            "the driver's interface has version {}, this program speaks {API_VERSION}",
            features.api_version
        );
    }
    Ok(features)
}

/// The FF-A version, as people write it.
pub fn ffa_version(features: &Features) -> String {
    format!("{}.{}", features.ffa_version >> 16, features.ffa_version & 0xffff)
}

/// The names of feature bits.
pub fn names(bits: u64) -> String {
    let known: Vec<&str> = FEATURE_BITS
        .iter()
        .filter(|bit| bits & bit.value as u64 != 0)
        .map(|bit| bit.name)
        .collect();
    if known.is_empty() {
        format!("{bits:#x}")
    } else {
        format!("{bits:#x} ({})", known.join(", "))
    }
}
