//! stub until the CLI lands
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let path = std::env::args().nth(3).unwrap();
    if let Err(e) = edgectl::daemon::serve(path.as_ref()) {
        eprintln!("{e}");
        std::process::exit(1)
    }
}
