//! How an import is told, to people and to the caller's shell.

use crate::{
    cli::{Done, Failure, output, transfer},
    grpc::pb,
};

/// Prints an import, as JSON or for people, with what they may ask next.
pub(in crate::cli) fn show(import: &pb::Import, json: bool) -> Result<(), Failure> {
    if json {
        return output::print_json(import);
    }
    print_outcome(import)?;
    if is_half_uploaded(import) {
        output::line(&format!("see        carryover resume {} FILE", import.uuid))?;
    }
    if import.failed_count > 0 {
        output::line(&format!("see        carryover errors {}", import.uuid))?;
    }
    if import.stored_warning_count > 0 {
        output::line(&format!("see        carryover errors {} --severity warning", import.uuid))?;
    }
    Ok(())
}

/// Whether an import waits for the rest of a file.
fn is_half_uploaded(import: &pb::Import) -> bool {
    let is_fetched = import.source_file_url.is_some() || import.parent_import_id.is_some();
    let is_over = transfer::is_terminal(import) || import.status() == pb::ImportStatus::Reverting;
    !(import.upload_finished || is_fetched || is_over)
}

/// How an import that has ended is told to the caller's shell.
pub(in crate::cli) fn outcome(import: &pb::Import) -> Done {
    match import.status() {
        pb::ImportStatus::Completed if import.failed_count > 0 => Done::WithFailedRows,
        pb::ImportStatus::Completed | pb::ImportStatus::Reverted => Done::Well,
        _ => Done::Failed,
    }
}

/// What was found in a source: format, delimiter, encoding, how it is packed.
fn source(import: &pb::Import) -> String {
    let word = |name: &str, prefix: &str| name.replace(prefix, "").to_lowercase();
    let format = word(import.source_format().as_str_name(), "SOURCE_FORMAT_");
    let delimiter = match import.csv_delimiter.as_str() {
        "" => None,
        "\t" => Some("delimiter tab".to_owned()),
        delimiter => Some(format!("delimiter '{delimiter}'")),
    };
    let compression = Some(import.compression())
        .filter(|packed| *packed as i32 > pb::Compression::None as i32)
        .map(|packed| word(packed.as_str_name(), "COMPRESSION_"));
    let encoding = Some(import.encoding.clone()).filter(|encoding| !encoding.is_empty());
    let all = [Some(format), delimiter, encoding, compression];
    output::printable(&all.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// Prints an import for people.
pub(in crate::cli) fn print_outcome(import: &pb::Import) -> Result<(), Failure> {
    use output::grouped;
    let dry = if import.dry_run { " (dry run: nothing was written)" } else { "" };
    let status = import.status().as_str_name().replace("IMPORT_STATUS_", "");
    let asked = if import.pause_requested { " (pause requested)" } else { "" };
    let by_operator =
        if import.resume_needs_operator { " (an operator's; only one can resume it)" } else { "" };
    output::line(&format!("import     {}{dry}", import.uuid))?;
    output::line(&format!("status     {status}{asked}{by_operator}"))?;
    if let Some(parent) = &import.parent_import_id {
        output::line(&format!("retry of   {parent}"))?;
    }
    if let Some(reason) = &import.waiting_reason {
        output::line(&format!("waiting    {reason}; it is tried again"))?;
    }
    if let Some(error) = &import.last_error {
        let reason = import.last_error_reason.as_deref().unwrap_or_default();
        output::line(&format!("error      {reason}: {}", output::printable(error)))?;
    }
    if let Some(url) = &import.source_file_url {
        output::line(&format!("from       {}", output::printable(url)))?;
    }
    if is_half_uploaded(import) {
        let announced = import.source_size.map(|size| format!(" of {}", grouped(size)));
        let announced = announced.unwrap_or_default();
        let stored = grouped(import.committed_size);
        output::line(&format!("upload     unfinished: {stored}{announced} bytes are stored"))?;
    }
    if import.source_bytes > 0 {
        output::line(&format!("source     {}", source(import)))?;
    }
    if import.line_ends.len() > 1 {
        let ends: Vec<_> = import.line_ends().map(|end| end.as_str_name().replace("LINE_END_", "")).collect();
        output::line(&format!("lines      end in different ways: {}", ends.join(", ")))?;
    }
    if !import.ignored_columns.is_empty() {
        let names = output::printable(&import.ignored_columns.join(", "));
        output::line(&format!("ignored    columns nobody knows: {names}"))?;
    }
    output::line(&format!(
        "rows       {} of {}",
        grouped(import.processed_rows),
        grouped(import.total_rows)
    ))?;
    output::line(&format!("created    {}", grouped(import.created_count)))?;
    output::line(&format!("updated    {}", grouped(import.updated_count)))?;
    output::line(&format!(
        "skipped    {} ({} of them stand twice in the file)",
        grouped(import.skipped_count),
        grouped(import.duplicate_count)
    ))?;
    output::line(&format!("failed     {}", grouped(import.failed_count)))?;
    if let Some(media) = output::media(import) {
        output::line(&format!("media      {media}"))?;
    }
    if import.warning_count > 0 {
        output::line(&format!("warnings   {}", grouped(import.warning_count)))?;
    }
    if matches!(import.status(), pb::ImportStatus::Reverting | pb::ImportStatus::Reverted) {
        let counts = [import.reverted_count, import.revert_kept_count, import.revert_failed_count];
        let [reverted, kept, failed] = counts.map(grouped);
        output::line(&format!(
            "reverted   {reverted} (kept {kept} that were changed since, failed {failed})"
        ))?;
    }
    output::line(&format!("speed      {} rows/s", grouped(import.rows_per_second as i64)))
}
