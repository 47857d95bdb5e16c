//! Programs that some tests need and not every machine has.

/// Whether `program` is there. Where tests must not be skipped, in CI or with `EDGE_REQUIRE_TOOLS` set, its absence fails the
/// test; elsewhere a notice is printed.
#[must_use]
pub fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|folder| folder.join(program).exists());
    let is_required = ["CI", "EDGE_REQUIRE_TOOLS"].iter().any(|name| std::env::var_os(name).is_some());
    assert!(is_there || !is_required, "{program} is missing: `make test` installs it");
    if !is_there {
        eprintln!("SKIPPED: {program} is missing; `make test` installs it");
    }
    is_there
}
