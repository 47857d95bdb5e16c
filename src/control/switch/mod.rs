//! What moves traffic between the colours: a switch or rollback, the steps before it, and a canary by hand.
//!
//! `switching` is a switch from its gate to its answer, `steps` the growing shares before the flip, `canary` a share that stays
//! until it is changed. Each takes the hold of the gate, except for the way back from a canary.

mod canary;
mod steps;
mod switching;
