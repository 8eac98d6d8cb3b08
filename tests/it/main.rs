//! The promises that no part of the program can keep alone, held from outside: one binary, one module for each promise.

mod day;
mod simulation;
