//! A provider that nobody has, in one file and three lines of the registry: what a tenth one takes. It is compiled
//! for tests only, and what follows here is all there is to it.

use super::{
    draft::Draft,
    metadata::Metadata,
    normal::{Verdict, fold},
    person::{Person, no_id, no_verdict},
    registry::Export,
    shape::{self, Leaf, shape},
};
use crate::{
    canonical::status::SessionStatus,
    domain::{import::ImportType, issue::Issue},
};

shape! {
    /// A verification.
    struct Case { id: Leaf = "caseId", outcome: Leaf = "outcome", person: Holder = "person", ended: Leaf = "endedAt" }

    /// Whose it is.
    struct Holder { first_name: Leaf = "first", last_name: Leaf = "last", born: Leaf = "born", photo: Leaf = "photo" }
}

/// Reads a record; nothing where it is none of this provider's.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Option<Result<(), Issue>> {
    export.top.has("caseId").then(|| read_case(export, draft))
}

fn read_case(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    export.must_be(ImportType::UserVerification, "a person")?;
    let case = shape::read::<Case<'_>>(export.record, draft);
    let verdict = case.outcome.get().map(|word| Verdict { status: status_of(word), word: word.into() });
    let mut person = Person {
        external_id: case.id.pick(),
        status: verdict.as_ref().map(|verdict| draft.judge(verdict)),
        source_status: case.outcome.pick(),
        completed_at: case.ended.pick(),
        first_name: case.person.first_name.pick(),
        last_name: case.person.last_name.pick(),
        date_of_birth: case.person.born.pick(),
        ..Person::default()
    };
    person.links.selfie = case.person.photo.pick();
    let result = match (&person.external_id, person.status) {
        (None, _) => Err(no_id("caseId")),
        (_, None) => Err(no_verdict("outcome")),
        _ => Ok(()),
    };
    person.write(Metadata::default(), export, draft);
    result
}

/// Every positive word by name, and nothing for a word that is not known.
fn status_of(word: &str) -> Option<SessionStatus> {
    Some(match fold(word).as_str() {
        "accepted" => SessionStatus::Approved,
        "refused" => SessionStatus::Declined,
        "open" => SessionStatus::Expired,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        adapters::registry::{self, Native, Provider},
        canonical::{arena::Arena, cell::Cell, schema_of},
        domain::import::ProviderOptions,
    };

    /// Cells by name, codes of warnings, and the code of the fault of a line.
    fn read_line(line: &str) -> (Vec<(&'static str, String)>, Vec<String>, Option<String>) {
        let native = Native {
            provider: Provider::of("Example").expect("the registry knows it"),
            import_type: ImportType::UserVerification,
            options: ProviderOptions::default(),
            as_of: None,
        };
        let (mut arena, mut cells, mut warnings) = (Arena::default(), Vec::<Cell>::new(), Vec::new());
        let result = registry::read(&native, line, &mut Draft::new(&mut arena, &mut cells, &mut warnings));
        let schema = schema_of(ImportType::UserVerification);
        let named = |cell: &Cell| (schema.spec(cell.field).name, arena.get(cell.value.text()).to_owned());
        let mut cells: Vec<_> = cells.iter().map(named).collect();
        cells.sort_unstable();
        let fault = result.expect("a record of the provider's").err().map(|issue| issue.code);
        (cells, warnings.into_iter().map(|warning| warning.code).collect(), fault)
    }

    #[test]
    fn a_tenth_provider_is_a_file_and_three_lines() {
        let line = r#"{"caseId":7,"outcome":"ACCEPTED","endedAt":1710148841,"person":{"first":"Noor","last":"-",
            "born":"31/12/1990","photo":"https://example.com/face.jpg"}}"#;
        let (cells, warnings, fault) = read_line(line);
        let metadata = r#"{"completed_at":"2024-03-11T09:20:41+00:00","source_status":"ACCEPTED"}"#;
        let wanted = [
            ("external_id", "7"),
            ("first_name", "Noor"),
            ("metadata", metadata),
            ("selfie_image_url", "https://example.com/face.jpg"),
            ("status", "Approved"),
        ];
        assert_eq!(cells, wanted.map(|(name, text)| (name, text.to_owned())));
        assert_eq!((warnings, fault), (vec!["INVALID_DATE".to_owned()], None));
    }

    #[test]
    fn its_words_are_as_strict_as_any_others() {
        let (cells, warnings, _) = read_line(r#"{"caseId":"a","outcome":"splendid"}"#);
        assert!(cells.contains(&("status", "Expired".to_owned())), "{cells:?}");
        assert_eq!(warnings, ["UNKNOWN_SOURCE_STATUS"]);
        assert_eq!(read_line(r#"{"caseId":"a"}"#).2.as_deref(), Some("REQUIRED"));
    }
}
