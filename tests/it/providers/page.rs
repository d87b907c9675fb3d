//! `docs/providers.md` cannot rot: what it says a record becomes exists, and every judgement call is on it.

use std::{collections::BTreeSet, path::Path};

use carryover::{canonical::schema_of, domain::import::ImportType, grpc::pb};
use prost_reflect::DescriptorPool;

const PAGE: &str = include_str!("../../../docs/providers.md");

/// Texts between back-ticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Source of all adapters.
fn adapters() -> String {
    fn read(folder: &Path, out: &mut String) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => read(&path, out),
                false => *out += &std::fs::read_to_string(&path).expect("text"),
            }
        }
    }
    let mut out = String::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/adapters"), &mut out);
    out
}

#[test]
fn every_target_on_the_page_exists() {
    let fields: BTreeSet<&str> =
        ImportType::ALL.iter().flat_map(|of| schema_of(*of).fields.iter().map(|field| field.name)).collect();
    let adapters = adapters();
    let mut tables = 0;
    for row in PAGE.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, targets] = cells[..] else { panic!("{row}: two cells") };
        if targets == "Carryover" {
            tables += 1;
        } else if tables > 0 {
            assert!(quoted(targets).count() > 0, "{row}: names no target");
            for target in quoted(targets) {
                let exists = match target.strip_prefix("metadata.") {
                    Some(key) => adapters.contains(&format!("\"{key}\"")),
                    None => fields.contains(target),
                };
                assert!(exists, "{row}: there is no {target}");
            }
        }
    }
    assert_eq!(tables, 9, "one table a provider");
}

#[test]
fn every_judgement_call_is_on_the_page() {
    let pool = DescriptorPool::decode(pb::DESCRIPTORS).expect("our own descriptors");
    let message = pool.get_message_by_name("carryover.v1.ProviderOptions").expect("the options");
    let told: BTreeSet<&str> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('=').map(|(name, _)| name))
        .collect();
    let known: BTreeSet<String> = message.fields().map(|field| field.name().to_owned()).collect();
    assert_eq!(told.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), known);
}
