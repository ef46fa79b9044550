//! Leasehold for the DragonBoard 410c.
#![no_std]
#![no_main]

mod board;

leasehold_boards::qualcomm_image!(board::BOARD);
