//! Whether a CDN stands before this process: its fields in an answer show it. Pure.

use http::HeaderMap;

use super::finding::{Check, Finding, Mark};

/// The answers at http-01's path; `None`: none came, and there is nothing to judge by.
pub fn judge(answers: &[HeaderMap]) -> Finding {
    let finding = |mark, found: String| Finding::new(Check::Cdn, mark, "a CDN in between", found);
    if answers.is_empty() {
        return finding(Mark::Skipped, "no answer over plain HTTP to judge by".to_owned());
    }
    match answers.iter().find_map(guess) {
        None => finding(Mark::Ok, "no sign of one".to_owned()),
        Some(name) => finding(Mark::Warn, format!("looks like {name}")).advise(
            "use dns-01, or turn the proxying off: tls-alpn-01 does not pass, and http-01 only as long as it lets it",
        ),
    }
}

fn guess(fields: &HeaderMap) -> Option<String> {
    let text = |name: &str| fields.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).to_lowercase());
    let says = |name: &str, word: &str| text(name).is_some_and(|text| text.contains(word));
    let known = [
        (fields.contains_key("cf-ray") || says("server", "cloudflare"), "Cloudflare"),
        (fields.contains_key("x-amz-cf-id") || says("via", "cloudfront"), "Amazon CloudFront"),
        (says("server", "akamai"), "Akamai"),
        (says("x-served-by", "cache-") || says("via", "varnish"), "Fastly, or another cache"),
        (says("via", "google"), "Google Cloud CDN"),
        (says("server", "bunnycdn"), "bunny.net"),
    ];
    let name = known.iter().find(|(fits, _)| *fits).map(|(_, name)| (*name).to_owned());
    name.or_else(|| text("via").map(|via| format!("a proxy (Via: {via})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &'static str, value: &'static str) -> Finding {
        let value = http::HeaderValue::from_static(value);
        judge(&[HeaderMap::new(), HeaderMap::from_iter([(http::HeaderName::from_static(name), value)])])
    }

    #[test]
    fn a_cdn_is_known_by_what_it_adds() {
        for (name, value, who) in [
            ("cf-ray", "7d1-FRA", "Cloudflare"),
            ("server", "cloudflare", "Cloudflare"),
            ("x-amz-cf-id", "abc", "CloudFront"),
            ("x-served-by", "cache-fra-1", "Fastly"),
            ("via", "1.1 squid", "1.1 squid"),
        ] {
            let finding = judged(name, value);
            assert!(finding.mark == Mark::Warn && finding.found.contains(who), "{finding:?}");
        }
        assert_eq!(judged("server", "nginx").mark, Mark::Ok);
        assert_eq!(judge(&[]).mark, Mark::Skipped);
    }
}
