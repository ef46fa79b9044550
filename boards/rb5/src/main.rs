//! Leasehold for the Robotics RB5.
#![no_std]
#![no_main]

mod board;

leasehold_boards::qualcomm_image!(board::BOARD);
