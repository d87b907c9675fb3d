//! All settings as a file, each with where it comes from.

use std::fmt::Write as _;

use clap::{Arg, ArgMatches};

use super::{
    layers::Layers,
    setting::{self, Shape},
};

/// Writes the settings of a `config print` as a file that `--config` reads. Secrets are left out.
pub fn print(layers: &Layers) -> String {
    let mut text = String::from("# Settings of `carryover serve`, each with where it comes from.\n");
    for (heading, settings) in setting::by_heading(&setting::all()) {
        let _ = writeln!(text, "\n# {heading}\n");
        for setting in settings {
            let key = setting::key(setting);
            let _ = match layers.source(setting) {
                None => writeln!(text, "# {key} is not set"),
                Some(source) if setting::is_secret(setting) => {
                    writeln!(text, "# {key} is hidden ({})", escaped(&source.to_string()))
                }
                Some(source) => {
                    let value = value(setting, layers.leaf());
                    writeln!(text, "{key} = {value}  # {}", escaped(&source.to_string()))
                }
            };
        }
    }
    text
}

/// A value as TOML.
fn value(setting: &Arg, said: &ArgMatches) -> String {
    let id = setting.get_id().as_str();
    let texts = said.get_raw(id).into_iter().flatten();
    let mut values = texts.map(|text| scalar(&text.to_string_lossy()));
    match setting::shape(setting) {
        Shape::Switch => said.get_flag(id).to_string(),
        Shape::One => values.next().unwrap_or_default(),
        Shape::List => format!("[{}]", values.collect::<Vec<_>>().join(", ")),
    }
}

/// A number where the text is one, else a string.
fn scalar(text: &str) -> String {
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => number.to_string(),
        _ if is_fraction(text) => text.to_owned(),
        _ => format!("\"{}\"", escaped(&text.replace('\\', "\\\\").replace('"', "\\\""))),
    }
}

/// Whether a text is such as 0.25.
fn is_fraction(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(whole, part)| is_number(whole) && is_number(part))
}

/// Text without what would end a line or drive a terminal.
fn escaped(text: &str) -> String {
    let is_unsafe =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let escape = |c: char| if is_unsafe(c) { format!("\\U{:08X}", u32::from(c)) } else { c.to_string() };
    text.chars().map(escape).collect()
}
