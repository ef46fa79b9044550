//! Leasehold for the SM8550 HDK.
#![no_std]
#![no_main]

mod board;

leasehold_boards::qualcomm_image!(board::BOARD);
