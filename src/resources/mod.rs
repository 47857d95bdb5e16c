//! What the machine gives this process: file descriptors and memory, and what is done when they run out.
//!
//! Knows the limits and keeps the accounts; what a limit means for a connection is decided where it is accepted
//! ([`crate::listen`]) or made ([`crate::upstream`]).

mod buffers;
mod descriptors;
mod memory;

pub use buffers::{BufferMemory, HELD_ALWAYS, HeldAccount, HeldBytes, LARGEST_PART, MemoryShare};
pub use descriptors::{Descriptor, Descriptors, DescriptorsExhausted, raise_descriptor_limit};
pub use memory::memory_limit;
