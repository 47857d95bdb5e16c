//! The Prometheus text format, version 0.0.4: families of samples, labels escaped.
//!
//! Owns the syntax and nothing else. The families of one name must come together: start one, write its samples, go
//! on.

use std::fmt::{self, Write};

use super::histogram::Sums;

/// What a family's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// A sample's number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SampleValue {
    Whole(u64),
    Real(f64),
}

impl From<u64> for SampleValue {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for SampleValue {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<i32> for SampleValue {
    fn from(value: i32) -> Self {
        Self::Real(value.into())
    }
}

impl From<usize> for SampleValue {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<bool> for SampleValue {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for SampleValue {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl fmt::Display for SampleValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Whole(value) => value.fmt(f),
            Self::Real(f64::INFINITY) => f.write_str("+Inf"),
            Self::Real(f64::NEG_INFINITY) => f.write_str("-Inf"),
            Self::Real(value) => value.fmt(f),
        }
    }
}

/// An exposition being written.
#[derive(Debug, Default)]
pub struct Text {
    out: String,
    family: String,
}

impl Text {
    /// Starts a family; the samples that follow belong to it.
    pub fn family(&mut self, name: &str, help: &str, kind: MetricKind) {
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        self.family.replace_range(.., name);
        self.push(&["# HELP ", name, " "]);
        escape(&mut self.out, help, false);
        self.push(&["\n# TYPE ", name, " ", kind, "\n"]);
    }

    /// One number of the family; label values may be any text.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<SampleValue>) {
        self.line("", labels, None, value.into());
    }

    pub(super) fn histogram(&mut self, labels: &[(&str, &str)], totals: &Sums) {
        for (bound, count) in totals.cumulative() {
            let bound = SampleValue::from(bound).to_string();
            self.line("_bucket", labels, Some(("le", &bound)), count.into());
        }
        self.line("_sum", labels, None, totals.sum().into());
        self.line("_count", labels, None, totals.count().into());
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], last: Option<(&str, &str)>, value: SampleValue) {
        self.out.push_str(&self.family);
        self.out.push_str(suffix);
        let mut opener = '{';
        for (name, text) in labels.iter().copied().chain(last) {
            self.out.push(opener);
            self.push(&[name, "=\""]);
            escape(&mut self.out, text, true);
            self.out.push('"');
            opener = ',';
        }
        if opener == ',' {
            self.out.push('}');
        }
        // Writing to a String does not fail.
        let _ = writeln!(self.out, " {value}");
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.out.push_str(part);
        }
    }
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            _ => out.push(char),
        }
    }
}
