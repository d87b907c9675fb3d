//! What commands about records share: flags of lists and of single records, and how a record is printed.

use clap::Args;

use super::{Failure, connection::Connection, output};

/// Flags of commands about one record.
#[derive(Debug, Args)]
pub(super) struct OneArgs {
    /// The record
    #[arg(value_name = "ID")]
    pub(super) id: String,

    /// Print JSON on one line
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) connection: Connection,
}

/// Flags of lists.
#[derive(Debug, Args)]
pub(super) struct Page {
    /// At most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(super) limit: i32,

    /// Page token, as printed behind the page before
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TOKEN")]
    pub(super) page_token: String,

    /// Print one JSON object a line
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) connection: Connection,
}

impl Page {
    /// Prints a page: each record as JSON, or as the line that `text` makes of it.
    pub(super) fn print<M: prost::Message + prost::Name>(
        &self,
        records: &[M],
        next_page_token: &str,
        text: impl Fn(&M) -> String,
    ) -> Result<(), Failure> {
        for record in records {
            if self.json { output::print_json(record)? } else { output::line(&text(record))? }
        }
        if !next_page_token.is_empty() {
            output::note(&format!("there are more: --page-token {next_page_token}"));
        }
        Ok(())
    }
}

/// Prints one record.
pub(super) fn print<M: prost::Message + prost::Name>(message: Option<&M>, json: bool) -> Result<(), Failure> {
    match message {
        Some(message) if json => output::print_json(message),
        Some(message) => output::print_pretty(message),
        None => Err(Failure::Other("the server answered with nothing".to_owned())),
    }
}

/// A text of a record, fit for a terminal; a dash where it is absent.
pub(super) fn shown(text: Option<&String>) -> String {
    output::printable(text.map_or("-", String::as_str))
}

/// The day of a time.
pub(super) fn day(time: Option<&prost_types::Timestamp>) -> String {
    let time = time.and_then(|time| chrono::DateTime::from_timestamp(time.seconds, 0));
    time.map_or_else(|| "-".to_owned(), |time| time.format("%F").to_string())
}
