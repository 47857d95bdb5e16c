//! The program: its arguments to [`edgectl::cli`], its allocator, nothing else.

use std::process::ExitCode;

/// The request path's buffers and the memory of idle connections are measured with this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    edgectl::cli::run(std::env::args_os())
}
