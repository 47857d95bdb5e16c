//! Under which full names a name is looked up, and in which order: `search` and `ndots` of resolv.conf(5). Pure.
//!
//! Ours and not the resolver's, because it tells of the last name only what became of it: one that has failed would be hidden
//! behind one that does not exist.

/// The search domains, and how many dots make a name that is tried as it stands first.
#[derive(Debug, Clone, Default)]
pub(super) struct SearchList {
    domains: Vec<String>,
    ndots: usize,
}

impl SearchList {
    pub fn new(domains: impl Iterator<Item = String>, ndots: usize) -> Self {
        let mut known: Vec<String> = Vec::new();
        for domain in domains.map(|domain| domain.trim_end_matches('.').to_owned()) {
            if !domain.is_empty() && !known.contains(&domain) {
                known.push(domain);
            }
        }
        Self { domains: known, ndots }
    }

    /// The names to try, in order. A name that ends with a dot is full already.
    pub fn names(&self, host: &str) -> Vec<String> {
        let full = host.trim_end_matches('.').to_owned();
        if host.ends_with('.') || self.domains.is_empty() {
            return vec![full];
        }
        let within = self.domains.iter().map(|domain| format!("{full}.{domain}"));
        let is_first = full == "localhost" || full.split('.').count() > self.ndots;
        if is_first {
            std::iter::once(full.clone()).chain(within).collect()
        } else {
            within.chain([full.clone()]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tried_in_the_order_of_the_systems_resolver() {
        let list = |domains: &[&str], ndots| SearchList::new(domains.iter().map(ToString::to_string), ndots);
        let rows: [(SearchList, &str, &[&str]); 6] = [
            (SearchList::default(), "app", &["app"]),
            (list(&["a.test.", "b.test", "a.test"], 1), "app", &["app.a.test", "app.b.test", "app"]),
            // Docker's resolv.conf has ndots:0.
            (list(&["a.test"], 0), "app", &["app", "app.a.test"]),
            (list(&["a.test"], 1), "app.b", &["app.b", "app.b.a.test"]),
            (list(&["a.test"], 5), "app.b.", &["app.b"]),
            (list(&["a.test"], 5), "localhost", &["localhost", "localhost.a.test"]),
        ];
        for (list, host, expected) in rows {
            assert_eq!(list.names(host), expected, "{list:?}");
        }
    }
}
