//! Leasehold for QEMU's xlnx-zcu102.
#![no_std]
#![no_main]

mod board;

leasehold_boards::plain_image!(board::BOARD, leasehold_boards::soc::zynqmp::Zynqmp);
