//! Leasehold for the RB3 Gen 2.
#![no_std]
#![no_main]

mod board;

leasehold_boards::qualcomm_image!(board::BOARD);
