//! `edgectl history`: what was done, when, by which user, why, and its result.

use super::context::CommandContext;
use super::operation;
use super::terminal::CommandFailure;
use super::terminal::span::{clock, took_ms};
use super::terminal::table::{Cell, Style, table};
use crate::admin::wire::HistoryRecords;
use crate::control::{Actor, HistoryAction, HistoryRecord, HistoryResult, user_name};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// One service; else all
    service: Option<String>,
    /// How many of the latest records
    #[arg(short, value_name = "COUNT", default_value_t = 20)]
    n: usize,
}

const HEAD: [&str; 9] = ["TIME", "SERVICE", "ACTION", "COLOR", "RESULT", "GENERATION", "TOOK", "WHO", "WHY"];

impl Args {
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        let output = &context.output;
        let asked = async { Ok(context.client.history(self.service.as_deref(), self.n).await?) };
        let records = context.block_on(asked)?;
        if output.json {
            output.json(&HistoryRecords { records });
            return Ok(());
        }
        if self.n == 0 {
            return Ok(());
        }
        if records.is_empty() {
            output.say("nothing has been switched yet");
            return Ok(());
        }
        let rows: Vec<_> = records.iter().map(row).collect();
        output.show(table(&HEAD, &rows, output.color));
        Ok(())
    }
}

fn row(record: &HistoryRecord) -> Vec<Cell> {
    vec![
        Cell::new(clock(record.time), Style::Dim),
        Cell::plain(&record.service),
        Cell::plain(action(record.action)),
        colors(record),
        Cell::new(result(record), result_style(&record.result)),
        Cell::plain(record.generation.to_string()),
        Cell::plain(took(record)),
        Cell::plain(who(&record.actor)),
        Cell::plain(why(record)),
    ]
}

fn action(action: HistoryAction) -> &'static str {
    match action {
        HistoryAction::Switch => "switch",
        HistoryAction::Rollback => "rollback",
        HistoryAction::Drain => "drain",
        HistoryAction::Watch => "watch",
        HistoryAction::Canary => "canary",
        HistoryAction::Pause => "pause",
        HistoryAction::Resume => "resume",
        HistoryAction::Maintenance => "maintenance",
        HistoryAction::Preview => "preview",
        HistoryAction::Failover => "failover",
        HistoryAction::Restart => "restart",
    }
}

/// A daemon in a container may not know the user's name; this machine may.
fn who(actor: &Actor) -> String {
    let user = actor.user.clone().or_else(|| user_name(actor.uid));
    Actor { user, ..*actor }.to_string()
}

/// From which colour to which, if traffic moved; else the colour that the record is about.
fn colors(record: &HistoryRecord) -> Cell {
    let moved = record.from != record.to && record.action != HistoryAction::Preview;
    match (record.from.filter(|_| moved), record.to) {
        (Some(from), Some(to)) => Cell::new(format!("{from} → {to}"), to.into()),
        (Some(only), None) | (None, Some(only)) => Cell::new(only.to_string(), only.into()),
        (None, None) => Cell::plain(""),
    }
}

/// A canary has its share beside it.
fn result(record: &HistoryRecord) -> String {
    let share = record.percent.map(|percent| format!(" {percent} %")).unwrap_or_default();
    format!("{}{share}", record.result.as_str())
}

fn result_style(result: &HistoryResult) -> Style {
    match result {
        HistoryResult::Refused | HistoryResult::Failed | HistoryResult::RolledBack | HistoryResult::Failover => {
            Style::Red
        }
        HistoryResult::Conflict
        | HistoryResult::Forced
        | HistoryResult::Cancelled
        | HistoryResult::Inconclusive
        | HistoryResult::Fallback => Style::Yellow,
        _ => Style::Plain,
    }
}

fn took(record: &HistoryRecord) -> String {
    let drain = record.drain.as_ref().map(|report| report.took_ms);
    record.gate_ms.or(drain).map(took_ms).unwrap_or_default()
}

/// The reason that was given, what went wrong, and how many exchanges were cut, after which deadline.
fn why(record: &HistoryRecord) -> String {
    let cut = record.drain.as_ref().filter(|report| report.cut > 0);
    let cut = cut.map(operation::cuts);
    [record.reason.clone(), record.detail.clone(), cut].into_iter().flatten().collect::<Vec<_>>().join("; ")
}
