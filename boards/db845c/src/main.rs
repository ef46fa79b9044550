//! Leasehold for the DragonBoard 845c.
#![no_std]
#![no_main]

mod board;

leasehold_boards::qualcomm_image!(board::BOARD);
