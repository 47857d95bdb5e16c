//! The pure parts of the bench, tested: a bench without a test harness runs no unit tests, so they are built once more here.

#![allow(dead_code, reason = "the program that uses it all is main.rs")]

mod cells;
mod checks {
    mod instructions;
    mod load;
    mod origin;
    mod results;
    mod tools;
}
mod compare;
mod cpu;
mod instructions;
mod load;
mod origin;
mod peers;
mod results;
mod tools;
