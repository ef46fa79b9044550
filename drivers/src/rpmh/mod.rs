//! RPMh, the hardware that turns clocks, regulators and interconnects of Qualcomm's newer SoCs up and down for all
//! processors: read only. Its resources are listed in a database that firmware leaves in memory; whoever has something to
//! ask of them sends commands, which is left to the host.

pub mod cmd_db;
pub mod rsc;
