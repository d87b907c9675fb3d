//! `--option NAME=VALUE`: judgement calls about records of providers, by the names of their fields.

use prost::Name;
use prost_reflect::{DynamicMessage, Kind, Value};

use super::{Failure, output};
use crate::grpc::pb;

/// Reads one flag.
pub(super) fn parse(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("an option has the form NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The options of these flags; nothing without any.
pub(super) fn read(flags: &[(String, String)]) -> Result<Option<pb::ProviderOptions>, Failure> {
    if flags.is_empty() {
        return Ok(None);
    }
    let unknown = |why: String| Failure::Usage(format!("--option: {why}"));
    let descriptor = output::descriptor(&pb::ProviderOptions::full_name())
        .ok_or_else(|| unknown("the options are not known to this program".to_owned()))?;
    let mut message = DynamicMessage::new(descriptor.clone());
    for (name, text) in flags {
        let Some(field) = descriptor.get_field_by_name(name) else {
            let names: Vec<_> = descriptor.fields().map(|field| field.name().to_owned()).collect();
            return Err(unknown(format!("there is no {name}; there are {}", names.join(", "))));
        };
        let value = match field.kind() {
            Kind::Bool => text.parse().ok().map(Value::Bool),
            Kind::Int32 => text.parse().ok().map(Value::I32),
            _ => Some(Value::String(text.clone())),
        };
        let value = value.ok_or_else(|| {
            let wanted = if field.kind() == Kind::Bool { "true or false" } else { "a number" };
            unknown(format!("{name} must be {wanted}"))
        })?;
        message.set_field(&field, value);
    }
    message.transcode_to().map(Some).map_err(|error| unknown(error.to_string()))
}
