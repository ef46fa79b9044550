//! `leasectl`: lends memory of a Linux host to guests, through `/dev/leasehold`.
#![deny(unsafe_op_in_unsafe_fn)]

mod command;
mod device;
mod edu;
mod expect;
mod guest;
mod kmsg;
mod matrix_device;
mod memory;
mod report;
mod size;
mod touch;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Lends memory to guests of Leasehold.
#[derive(Parser, Debug)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Tells what the hypervisor offers.
    Features,
    /// Runs a guest to its end; its console goes to standard output.
    Run(command::run::Args),
    /// Takes the fault records and prints them.
    Faults,
    /// Lends, touches, survives and takes back, one line a step.
    Demo(command::demo::Args),
    /// Asks the driver for what it has to refuse, and for what it has to do in odd ways.
    DriverTest,
    /// Kills processes at every point of a VM's life, and looks whether all memory is there afterwards.
    KillTest(command::kill_test::Args),
    /// Makes accesses to lent memory one by one, and writes into the kernel's log what came of each.
    Matrix(command::matrix::Args),
    /// Lends memory and makes one access to it, for `matrix`.
    #[command(hide = true)]
    Touch(command::matrix::touch::Args),
    /// Accesses the memory of another process, for `touch`.
    #[command(hide = true)]
    Peer(command::matrix::peer::Args),
    /// Looks whether the kernel is still good for something, for `matrix`.
    #[command(hide = true)]
    Alive,
    /// Is killed by `kill-test`.
    #[command(hide = true)]
    Victim(command::kill_test::VictimArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Features => command::features::run(),
        Command::Run(args) => command::run::run(&args),
        Command::Faults => command::faults::run(),
        Command::Demo(args) => command::demo::run(&args),
        Command::DriverTest => command::driver_test::run(),
        Command::KillTest(args) => command::kill_test::run(&args),
        Command::Matrix(args) => command::matrix::run(&args),
        Command::Touch(args) => command::matrix::touch::run(&args),
        Command::Peer(args) => command::matrix::peer::run(&args),
        Command::Alive => command::matrix::alive::run(),
        Command::Victim(args) => command::kill_test::victim(&args),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("leasectl: {error:#}");
            ExitCode::FAILURE
        }
    }
}
