//! `docs/operations.md` tells defaults of limits beside what happens beyond them; they are those of the flags.

use std::collections::BTreeMap;

use regex::Regex;

const OPERATIONS: &str = include_str!("../../docs/operations.md");

/// Held to the flags by `configuration::the_page_is_that_of_the_flags`.
const SETTINGS: &str = include_str!("../../docs/configuration.md");

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split(" | ").map(str::trim).collect()
}

#[test]
fn limits_have_the_defaults_of_their_flags() {
    let flag = Regex::new("--[a-z-]+").expect("a pattern");
    let number = Regex::new(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?: [KMG]iB)?").expect("a pattern");
    let defaults: BTreeMap<&str, String> = SETTINGS
        .lines()
        .filter_map(|line| match cells(line)[..] {
            [name, _, default, _] => Some((flag.find(name)?.as_str(), default.replace('`', ""))),
            _ => None,
        })
        .collect();
    let (_, table) = OPERATIONS.split_once("| what | flag | default |").expect("the table of limits");
    let mut compared = 0;
    for line in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let [_, flags, told, _] = cells(line)[..] else { panic!("not four cells: {line}") };
        let flags: Vec<_> = flag.find_iter(flags).map(|found| found.as_str()).collect();
        if flags.is_empty() {
            continue;
        }
        let told: Vec<_> =
            number.find_iter(told).map(|found| found.as_str().replace([',', ' '], "")).collect();
        let wanted: Vec<_> = flags.iter().map(|flag| defaults[flag].clone()).collect();
        assert_eq!(told, wanted, "{line}");
        compared += told.len();
    }
    assert!(compared > 15, "{compared} defaults were compared");
}
