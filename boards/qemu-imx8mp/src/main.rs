//! Leasehold for QEMU's imx8mp-evk.
#![no_std]
#![no_main]

mod board;

leasehold_boards::plain_image!(board::BOARD, leasehold_boards::soc::imx8mp::Imx8mp);
