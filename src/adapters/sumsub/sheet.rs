//! Sumsub's custom CSV export, whose columns its user ticks. The general ones are published; those of groups
//! that are not are looked for under the names that members of the applicant have.

use super::{
    read_bundle,
    shapes::{Applicant, Bundle},
};
use crate::{
    adapters::{
        draft::Draft,
        normal::trimmed,
        registry::Export,
        shape::{Leaf, List, Raw},
    },
    domain::issue::Issue,
};

/// Puts a cell into the applicant that the record is read as.
pub(in crate::adapters) type Put = for<'a> fn(&mut Applicant<'a>, &'a str);

/// A column by its names, folded.
type Column = (&'static [&'static str], Put);

/// What every export has: the id, and at least one column that tells the outcome.
pub(in crate::adapters) const EXPECTED: &str = "applicantId and applicantStatus";

const IDS: Column = (&["applicantid"], |it, cell| it.applicant_id = leaf(cell));

const VERDICTS: &[Column] = &[
    (&["applicantstatus", "reviewstatus", "reviewreviewstatus"], |it, cell| it.review.status = leaf(cell)),
    (&["reviewanswer", "reviewresultreviewanswer", "reviewreviewresultreviewanswer"], |it, cell| {
        it.review.result.answer = leaf(cell)
    }),
];

const OTHERS: &[Column] = &[
    (&["externaluserid"], |it, cell| it.external_user_id = leaf(cell)),
    (&["type", "applicanttype"], |it, cell| it.applicant_type = leaf(cell)),
    (&["applicantplatform"], |it, cell| it.platform = leaf(cell)),
    (&["clientid"], |it, cell| it.client_id = leaf(cell)),
    (&["createdat"], |it, cell| it.created_at = leaf(cell)),
    (&["deactivated", "deleted"], |it, cell| it.deleted = leaf(cell)),
    (&["inspectionid"], |it, cell| it.inspection_id = leaf(cell)),
    (&["language", "lang"], |it, cell| it.lang = leaf(cell)),
    (&["levelname", "reviewlevelname"], |it, cell| it.level_name = leaf(cell)),
    (&["questionnaires"], |it, cell| it.questionnaires = Raw::of(cell)),
    (&["sourcekey"], |it, cell| it.source_key = leaf(cell)),
    (&["ipcountry"], |it, cell| it.ip_country = leaf(cell)),
    (&["email"], |it, cell| it.email = leaf(cell)),
    (&["phone", "infophone"], |it, cell| it.phone = leaf(cell)),
    (&["reviewdate", "reviewreviewdate"], |it, cell| it.review.review_date = leaf(cell)),
    (&["rejectlabels", "reviewresultrejectlabels", "reviewreviewresultrejectlabels"], |it, cell| {
        it.review.result.labels = List::of(cell.split([',', ';']).map(leaf).collect())
    }),
    (
        &["reviewrejecttype", "reviewresultreviewrejecttype", "reviewreviewresultreviewrejecttype"],
        |it, cell| it.review.result.reject_type = leaf(cell),
    ),
    (&["clientcomment", "reviewresultclientcomment"], |it, cell| {
        it.review.result.client_comment = leaf(cell)
    }),
    (&["moderationcomment", "reviewresultmoderationcomment"], |it, cell| {
        it.review.result.moderation_comment = leaf(cell)
    }),
    (&["firstname", "infofirstname"], |it, cell| it.info.first_name = leaf(cell)),
    (&["middlename", "infomiddlename"], |it, cell| it.info.middle_name = leaf(cell)),
    (&["lastname", "infolastname"], |it, cell| it.info.last_name = leaf(cell)),
    (&["dob", "infodob"], |it, cell| it.info.dob = leaf(cell)),
    (&["gender", "infogender"], |it, cell| it.info.gender = leaf(cell)),
    (&["nationality", "infonationality"], |it, cell| it.info.nationality = leaf(cell)),
    (&["placeofbirth", "infoplaceofbirth"], |it, cell| it.info.place_of_birth = leaf(cell)),
    (&["tin", "infotin"], |it, cell| it.info.tin = leaf(cell)),
    (&["fixedinfofirstname"], |it, cell| it.fixed.first_name = leaf(cell)),
    (&["fixedinfolastname"], |it, cell| it.fixed.last_name = leaf(cell)),
    (&["fixedinfodob"], |it, cell| it.fixed.dob = leaf(cell)),
];

fn leaf(cell: &str) -> Leaf<'_> {
    Leaf::of(cell.into())
}

/// A column's name to compare by: without case, blanks, `_`, `-` and dots.
fn folded(column: &str) -> String {
    column.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// What to do with each column of a header; nothing where it is another file's.
pub(in crate::adapters) fn columns(header: &[&str]) -> Option<Vec<Option<Put>>> {
    let names: Vec<_> = header.iter().map(|column| folded(column)).collect();
    let has = |column: &Column| names.iter().any(|name| column.0.contains(&name.as_str()));
    if !has(&IDS) || !VERDICTS.iter().any(has) {
        return None;
    }
    let put = |name: &String| {
        let mut all = std::iter::once(&IDS).chain(VERDICTS).chain(OTHERS);
        all.find(|(of_it, _)| of_it.contains(&name.as_str())).map(|(_, put)| *put)
    };
    Some(names.iter().map(put).collect())
}

/// Reads a record: the cells of columns that are known.
pub(in crate::adapters) fn read<'a>(
    export: &Export<'_>,
    cells: impl Iterator<Item = (Put, &'a str)>,
    draft: &mut Draft<'_>,
) -> Result<(), Issue> {
    let mut bundle = Bundle::default();
    // Of two columns for one member, one is often blank.
    let told = cells.filter(|(_, cell)| !trimmed(cell).is_empty());
    told.for_each(|(put, cell)| put(&mut bundle.applicant, cell));
    read_bundle(export, &bundle, draft)
}
