//! The scan against heads and bodies written by hand, and against what the codec reads.

use proptest::prelude::*;

use super::super::differential;
use super::*;

fn feed(scan: &mut HeadScan, bytes: &[u8]) -> Result<(), ScanFault> {
    scan.feed(bytes, &mut Vec::new())
}

fn scan(parts: &[&str]) -> Result<(), ScanFault> {
    let mut scan = HeadScan::default();
    parts.iter().try_for_each(|part| feed(&mut scan, part.as_bytes()))
}

fn bytewise(text: &str) -> Result<(), ScanFault> {
    let mut scan = HeadScan::default();
    text.as_bytes().iter().try_for_each(|byte| feed(&mut scan, &[*byte]))
}

#[test]
fn clean_heads_pass_in_any_pieces() {
    let clean = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na\nb\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\na;x=\"1\"\r\n\n\n34567890\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for text in clean {
        assert_eq!(scan(&[text]), Ok(()), "{text:?}");
        assert_eq!(bytewise(text), Ok(()), "{text:?}");
    }
}

#[test]
fn faults_are_found_in_any_pieces() {
    let spaces = " ".repeat(40);
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bad = [
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", ScanFault::Ambiguous),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", ScanFault::Ambiguous),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", ScanFault::Ambiguous),
        ("POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", ScanFault::Ambiguous),
        ("POST / HTTP/1.1\r\ntransfer-ENCODING: chunked\r\nX: y\r\ncontent-LENGTH: 4\r\n\r\n", ScanFault::Ambiguous),
        ("POST / HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", ScanFault::Ambiguous),
        ("POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n", ScanFault::Ambiguous),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", ScanFault::Ambiguous),
        ("POST / HTTP/1.1\r\nContent-Length: ?\r\n\r\n", ScanFault::Ambiguous),
        ("POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n", ScanFault::Ambiguous),
        (&format!("POST / HTTP/1.1\r\nContent-Length:{spaces}0\r\n\r\nGET / HTTP/1.1\n"), ScanFault::Ambiguous),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\nHost: a\r\n\r\n", ScanFault::Ambiguous),
        (&format!("{chunked}1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\nHost: a\r\n\r\n"), ScanFault::Ambiguous),
        ("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n\nGET / HTTP/1.1\nHost: a\r\n\r\n", ScanFault::Ambiguous),
        (&format!("{chunked}0\r\nA: b\n\r\n"), ScanFault::BrokenBody),
        (&format!("{chunked}1;a\0\r\n"), ScanFault::BrokenBody),
        (&format!("{chunked}10000000000000000\r\n"), ScanFault::BrokenBody),
        ("GET /#a HTTP/1.1\r\n", ScanFault::BadTarget),
    ];
    for (text, fault) in bad {
        assert_eq!(scan(&[text]), Err(fault), "{text:?}");
        assert_eq!(bytewise(text), Err(fault), "{text:?}");
    }
}

/// Where the scan is after these bytes, whole and one by one.
fn state_after(text: &str) -> ScanState {
    let mut whole = HeadScan::default();
    feed(&mut whole, text.as_bytes()).unwrap();
    let mut bytewise = HeadScan::default();
    text.as_bytes().iter().for_each(|byte| feed(&mut bytewise, &[*byte]).unwrap());
    assert_eq!(whole.state, bytewise.state, "{text:?}");
    whole.state
}

#[test]
fn the_scan_knows_where_a_body_ends() {
    let post = |fields: &str, body: &str| state_after(&format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n{body}"));
    for (length, body, state) in [
        ("0", "", ScanState::Head),
        ("3", "", ScanState::Body(3)),
        ("3", "a", ScanState::Body(2)),
        ("3", "abc", ScanState::Head),
        ("007", "abc", ScanState::Body(4)),
        ("                                    3", "abc", ScanState::Head),
        ("18446744073709551615", "", ScanState::Body(u64::MAX)),
    ] {
        assert_eq!(post(&format!("Content-Length: {length}"), body), state, "{length:?} {body:?}");
    }
    assert_eq!(post("X-Content-Length: 3", ""), ScanState::Head, "another field");
    let post = |body: &str| state_after(&format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
    assert_eq!(post(""), ScanState::Chunked(Chunk::Start));
    assert_eq!(post("2\r\n\r"), ScanState::Chunked(Chunk::Data(1)));
    assert_eq!(post("2\r\nab\r\n0\r\nA: b\r\n\r\n"), ScanState::Head);
}

#[test]
fn a_request_line_is_no_field() {
    assert_eq!(state_after("Content-Length: 3\r\nA: b\r\n\r\n"), ScanState::Head, "the codec refuses it");
}

#[test]
fn what_chunks_announce_is_summed_for_each_body() {
    let mut scan = HeadScan::default();
    let post = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (bytes, announced) in [
        (&post[..], (1, 0)),
        (b"2\r\nab\r\n", (1, 2)),
        (b"a\r\n", (1, 12)),
        (b"0123456789\r\n0\r\n\r\n", (1, 12)),
        (post, (2, 0)),
        (b"ffffffffffffffff\r\n", (2, u64::MAX)),
    ] {
        feed(&mut scan, bytes).unwrap();
        assert_eq!(scan.announced(), announced, "{:?}", str::from_utf8(bytes));
    }
}

#[test]
fn a_fault_belongs_to_the_request_that_it_is_found_in() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (text, request) in [
        ("GET / HTTP/1.1\n".to_owned(), 1),
        (format!("{get}GET / HTTP/1.1\n"), 2),
        (format!("{get}{chunked}x"), 2),
        (format!("{get}{chunked}0\r\n\r\n{get}GET /#"), 4),
    ] {
        let mut scan = HeadScan::default();
        assert!(feed(&mut scan, text.as_bytes()).is_err(), "{text:?}");
        assert_eq!(scan.request(), request, "{text:?}");
        assert_eq!(feed(&mut scan, b"GET / HTTP/1.1\n"), Ok(()), "what follows means nothing");
        assert_eq!(scan.request(), request, "{text:?}");
    }
}

#[test]
fn bytes_to_encode_are_found_in_the_target_alone() {
    let text = "P\"ST /a\"b?{ H|TP\r\nX: \"\r\n\r\nGET /> HTTP/1.1\r\n\r\n";
    let whole = {
        let mut foreign = Vec::new();
        HeadScan::default().feed(text.as_bytes(), &mut foreign).unwrap();
        foreign
    };
    let at = |part: &str| text.find(part).unwrap();
    let expected = [(at("\"b"), 2, 1), (at("{"), 5, 1), (at(">"), 1, 2)];
    assert_eq!(whole, expected.map(|(at, in_target, request)| ForeignByte { at, in_target, request }));
    let mut scan = HeadScan::default();
    let mut bytewise = Vec::new();
    text.as_bytes().iter().for_each(|byte| scan.feed(&[*byte], &mut bytewise).unwrap());
    let places = |all: &[ForeignByte]| all.iter().map(|byte| (byte.in_target, byte.request)).collect::<Vec<_>>();
    assert_eq!(places(&bytewise), places(&whole));
    assert!(bytewise.iter().all(|byte| byte.at == 0));
}

#[test]
fn the_request_line_is_measured_as_it_comes() {
    let mut scan = HeadScan::default();
    for (part, length) in [("GET /", 5), ("abc HTTP/1.1\r", 18), ("\nHost: a\r\n", 18), ("\r\n", 18), ("GET", 3)] {
        feed(&mut scan, part.as_bytes()).unwrap();
        assert_eq!(scan.request_line(), length, "{part:?}");
    }
}

/// Pieces of requests, clean and not: what smuggling is made of.
fn pieces() -> impl Strategy<Value = Vec<&'static str>> {
    let piece = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a HTTP/1.1\r\n",
        "Host: a\r\n",
        "Content-Length: 0\r\n",
        "Content-Length: 5\r\n",
        "Content-Length:                                        0\r\n",
        "Content-Length:\t5 \r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length : 5\r\n",
        "content-length: +5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding:\tChunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding\r\n",
        " folded: x\r\n",
        "X: y\n",
        "X: y\r",
        "X: y\r\n",
        "\r\n",
        "\n",
        "\r",
        "\0",
        " ",
        "0\r\n",
        "0\r\n\r\n",
        "5\r\nhello\r\n",
        "5;a=b\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\nhello\n",
        "00000000000000005\r\nhello\r\n",
        "hello",
        "GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /y HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /z HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    ]);
    prop::collection::vec(piece, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_codec_reads_what_the_scan_has_passed(pieces in pieces()) {
        let text = pieces.concat();
        prop_assert_eq!(differential::compare(text.as_bytes()), Ok(()), "{:?}", &text);
    }

    /// What is found does not depend on how the bytes come.
    #[test]
    fn the_scan_finds_the_same_in_any_pieces(pieces in pieces(), size in 1..40_usize) {
        let text = pieces.concat();
        let (mut whole, mut parts) = (HeadScan::default(), HeadScan::default());
        let (mut foreign, mut none) = (Vec::new(), Vec::new());
        let at_once = whole.feed(text.as_bytes(), &mut foreign);
        let in_parts = text.as_bytes().chunks(size).try_for_each(|part| parts.feed(part, &mut none));
        prop_assert_eq!(at_once, in_parts);
        prop_assert_eq!((whole.request(), whole.announced(), foreign.len()), (parts.request(), parts.announced(), none.len()));
    }
}
