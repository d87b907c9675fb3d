//! `docs/contract.md` cannot rot: every name of the contract stands on it, every field of ours that the
//! page is about does, too, and what differs says why.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

const PAGE: &str = include_str!("../../docs/contract.md");

/// Names of the contract, a line each: section, a blank, the path.
const NAMES: &str = include_str!("../fixtures/contract_names.txt");

/// A row of a table.
struct Row {
    /// The contract's path; none for a field of ours alone.
    contract: Option<String>,
    /// Our path; none where we have no such field.
    ours: Option<String>,
    why: String,
}

struct Section {
    message: String,
    rows: Vec<Row>,
}

fn cell(text: &str) -> Option<String> {
    let text = text.trim();
    (text != "–").then(|| text.trim_matches('`').to_owned())
}

/// Sections by title; a section's heading is `### Title: message.Name`.
fn sections() -> BTreeMap<String, Section> {
    let mut sections: BTreeMap<String, Section> = BTreeMap::new();
    let mut title = String::new();
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            let (name, message) = heading.split_once(": ").expect("a heading names its message");
            title = name.to_owned();
            let message = format!("carryover.v1.{}", message.trim_matches('`'));
            sections.insert(title.clone(), Section { message, rows: Vec::new() });
        } else if line.starts_with("| `") || line.starts_with("| – ") {
            let cells: Vec<_> = line.trim_matches('|').splitn(3, '|').collect();
            let row = Row { contract: cell(cells[0]), ours: cell(cells[1]), why: cells[2].trim().to_owned() };
            sections.get_mut(&title).expect("a table stands under a heading").rows.push(row);
        }
    }
    sections
}

/// Whether a path with dots leads to a field of the message.
fn resolves(message: &MessageDescriptor, path: &str) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let Some(field) = message.get_field_by_name(name) else { return false };
    match (rest, field.kind()) {
        (None, _) => true,
        (Some(rest), Kind::Message(inner)) => resolves(&inner, rest),
        (Some(_), _) => false,
    }
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(carryover::grpc::pb::DESCRIPTORS).expect("our own descriptors")
}

#[test]
fn every_name_of_the_contract_stands_on_the_page() {
    let sections = sections();
    for line in NAMES.lines() {
        let (title, path) = line.rsplit_once(' ').expect("a section and a path");
        let section = sections.get(title).unwrap_or_else(|| panic!("no section {title}"));
        let stands = section.rows.iter().any(|row| {
            let told = row.contract.as_deref().and_then(|told| path.strip_prefix(told));
            told.is_some_and(|rest| {
                rest.is_empty() || (rest.starts_with('.') && row.why.ends_with("and all within"))
            })
        });
        assert!(stands, "{title} does not tell what became of {path}");
    }
}

#[test]
fn every_field_on_the_page_exists_and_what_differs_says_why() {
    let pool = pool();
    for (title, section) in sections() {
        let message = pool.get_message_by_name(&section.message);
        let message = message.unwrap_or_else(|| panic!("{title}: no message {}", section.message));
        for Row { contract, ours, why } in &section.rows {
            let row = format!("{title}: {contract:?} {ours:?}");
            if let Some(ours) = ours {
                assert!(resolves(&message, ours), "{row}: there is no such field");
            }
            let last = |path: &Option<String>| {
                path.as_deref().and_then(|path| path.rsplit('.').next()).map(str::to_owned)
            };
            assert!(last(contract) == last(ours) || !why.is_empty(), "{row}: says not why");
        }
    }
}

#[test]
fn no_field_of_ours_is_missing_on_the_page() {
    let pool = pool();
    for (title, section) in sections() {
        let message = pool.get_message_by_name(&section.message).expect("checked above");
        let told: BTreeSet<_> = section
            .rows
            .iter()
            .filter_map(|row| row.ours.as_deref().and_then(|path| path.split('.').next()))
            .collect();
        for field in message.fields() {
            assert!(told.contains(field.name()), "{title} does not tell of {}", field.name());
        }
    }
}
