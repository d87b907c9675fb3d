//! Trulioo's transaction records: what was asked, what each source of data answered, and the verdict of
//! the customer's rule.

use std::borrow::Cow;

use crate::{
    adapters::{
        draft::Draft,
        metadata::Metadata,
        normal::{self, Verdict, fold, joined},
        person::{Person, Pick, no_id, no_verdict},
        registry::Export,
        shape::{self, Leaf, List, Part, is_same, shape},
    },
    canonical::{
        document::DocumentType,
        status::{FeatureStatus, SessionStatus},
    },
    domain::issue::{Issue, IssueCode},
};

shape! {
    /// A transaction. The embedded step writes flat what stands in `Record` elsewhere.
    struct Transaction {
        id: Leaf = "TransactionID",
        uploaded: Leaf = "UploadedDt" | "timestamp",
        completed: Leaf = "CompletedDt",
        country: Leaf = "CountryCode",
        product: Leaf = "ProductName",
        account: Leaf = "AccountIdentifier",
        customer: Leaf = "CustomerReferenceID",
        status: Leaf = "Status",
        record: Record = "Record",
        inputs: List<Input> = "InputFields",
        record_id: Leaf = "TransactionRecordID",
        result: Leaf = "result",
        sources: List<Source> = "DatasourceResults",
        rule: Rule = "Rule",
    }

    /// Its outcome.
    struct Record {
        id: Leaf = "TransactionRecordID",
        status: Leaf = "RecordStatus",
        sources: List<Source> = "DatasourceResults",
        rule: Rule = "Rule",
    }

    /// The rule that made it.
    struct Rule { name: Leaf = "RuleName", note: Leaf = "Note" }

    /// What was asked.
    struct Input { name: Leaf = "FieldName", value: Leaf = "Value", group: Leaf = "FieldGroup" }

    /// A source of data and its answers.
    struct Source {
        name: Leaf = "DatasourceName",
        fields: List<SourceField> = "DatasourceFields",
        appended: List<Appended> = "AppendedFields",
        errors: List<SourceError> = "Errors",
    }

    /// Whether a field is as asked.
    struct SourceField { name: Leaf = "FieldName", status: Leaf = "Status" }

    /// What a source knows besides.
    struct Appended { name: Leaf = "FieldName", data: Leaf = "Data" }

    /// What went wrong.
    struct SourceError { code: Leaf = "Code", message: Leaf = "Message" }
}

impl Transaction<'_> {
    fn sources(&self) -> impl Iterator<Item = &Source<'_>> {
        self.record.sources.iter().chain(self.sources.iter())
    }

    /// Its id: the record's, else the transaction's.
    pub(super) fn id(&self) -> Pick<'_> {
        [&self.record.id, &self.record_id, &self.id].into_iter().find_map(Leaf::pick)
    }

    /// The answer about a document that counts: of several the one that was sure of it, else the last.
    pub(super) fn document(&self) -> Option<&Source<'_>> {
        let is_of_document = |source: &&Source<'_>| {
            source.name.get().is_some_and(|name| fold(name).contains("documentverification"))
        };
        let is_sure = |source: &&Source<'_>| source.status("DocumentVerified") == Some("match");
        self.sources()
            .filter(is_of_document)
            .find(is_sure)
            .or_else(|| self.sources().filter(is_of_document).last())
    }

    /// What was asked, by the first of these names that was given.
    pub(super) fn input(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| {
            let of_name =
                self.inputs.iter().filter(|input| input.name.get().is_some_and(|found| is_same(found, name)));
            of_name.filter_map(|input| input.value.get()).next()
        })
    }

    /// The number of a document that was asked about; where it stands differs by country and product.
    fn asked_number(&self) -> Option<&str> {
        let is_number = |input: &&Input<'_>| {
            let name = fold(&format!(
                "{}{}",
                input.group.get().unwrap_or_default(),
                input.name.get().unwrap_or_default()
            ));
            let is_of_document = ["passport", "driverlicen", "driverslicen", "nationalid"]
                .iter()
                .any(|word| name.contains(word));
            is_of_document && name.ends_with("number")
        };
        self.inputs.iter().filter(is_number).find_map(|input| input.value.get())
    }

    /// Whether something was asked twice, of which the first counts.
    fn asks_twice(&self) -> bool {
        let given = self.inputs.iter().filter(|input| input.value.is_there());
        let mut names: Vec<_> =
            given.filter_map(|input| Some((input.name.get()?, input.group.get()))).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        names.len() < count
    }

    /// What sources said of fields by these names: one that knows them is enough.
    fn confirmed(&self, names: &[&str]) -> Option<FeatureStatus> {
        let fields = self.sources().flat_map(|source| source.fields.iter());
        let mut words: Vec<_> = fields
            .filter(|field| field.name.get().is_some_and(|name| names.contains(&name)))
            .filter_map(|field| field.status.get())
            .collect();
        words.sort_unstable();
        match words[..] {
            [] => None,
            ["match", ..] => Some(FeatureStatus::Approved),
            _ if words.contains(&"nomatch") => Some(FeatureStatus::Declined),
            _ => Some(FeatureStatus::NotFinished),
        }
    }
}

impl Source<'_> {
    fn status(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name.get() == Some(name))?.status.get()
    }

    fn appended(&self, name: &str) -> Option<&str> {
        self.appended.iter().find(|field| field.name.get() == Some(name))?.data.get()
    }

    fn feature(&self, name: &str) -> Option<FeatureStatus> {
        Some(match self.status(name)? {
            "match" => FeatureStatus::Approved,
            "nomatch" => FeatureStatus::Declined,
            _ => FeatureStatus::NotFinished,
        })
    }
}

/// Reads a transaction.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let transaction = shape::read::<Transaction<'_>>(export.record, draft);
    let verdict = verdict_of(&transaction);
    let mut metadata = Metadata::default();
    let mut person = Person {
        external_id: transaction.id(),
        vendor_data: transaction.customer.pick(),
        status: verdict.as_ref().map(|verdict| draft.judge(verdict)),
        created_at: transaction.uploaded.pick(),
        completed_at: transaction.completed.pick(),
        email: transaction.input(&["EmailAddress"]).map(Into::into),
        phone: transaction.input(&["MobileNumber", "Telephone"]).map(Into::into),
        address: address(&transaction).map(Cow::Owned),
        ..Person::default()
    };
    person.source_status = verdict.map(|verdict| verdict.word);
    add_person(&mut person, &transaction, &mut metadata);
    tell(&transaction, &mut metadata);
    if transaction.asks_twice() {
        draft.warn(IssueCode::DuplicateKey, "", "the record asks for something twice; the first counts");
    }
    if person.source_status.as_deref() == Some("nomatch")
        && transaction.sources().all(|source| source.fields.is_empty())
    {
        draft.warn(IssueCode::NoFieldEvaluated, "status", "no source of data had looked at any field");
    }
    let result = match (&person.external_id, person.status) {
        (None, _) => Err(no_id("Record.TransactionRecordID")),
        (_, None) => Err(no_verdict("Record.RecordStatus and no Status")),
        _ => Ok(()),
    };
    person.write(metadata, export, draft);
    result
}

pub(super) fn verdict_of<'a>(transaction: &'a Transaction<'_>) -> Option<Verdict<'a>> {
    let word = transaction.record.status.get().or(transaction.result.get()).or(transaction.status.get())?;
    let status = match fold(word).as_str() {
        "match" => Some(SessionStatus::Approved),
        "nomatch" => Some(SessionStatus::Declined),
        "partial" | "uploading" | "processing" | "inprogress" | "waitasync" | "toberesumed" => {
            Some(SessionStatus::InReview)
        }
        "error" | "failed" | "canceled" | "timeoutcanceled" => Some(SessionStatus::Expired),
        _ => None,
    };
    Some(Verdict { status, word: word.into() })
}

pub(super) fn add_person<'a>(
    person: &mut Person<'a>,
    transaction: &'a Transaction<'a>,
    metadata: &mut Metadata,
) {
    let document = transaction.document();
    let appended = |name: &str| document.and_then(|source| source.appended(name));
    let pick = |text: Option<&'a str>| -> Pick<'a> { text.and_then(normal::name).map(Cow::Borrowed) };
    person.first_name = pick(appended("FirstName")).or_else(|| {
        normal::spaced([
            transaction.input(&["FirstGivenName", "FirstName"]),
            transaction.input(&["MiddleName"]),
        ])
    });
    person.last_name = pick(appended("LastName")).or_else(|| {
        normal::spaced([
            transaction.input(&["FirstSurName", "LastName"]),
            transaction.input(&["SecondSurname"]),
        ])
    });
    person.full_name =
        pick(appended("FullName")).or_else(|| pick(transaction.input(&["FullName", "ISOLatin1Name"])));
    let date = |[year, month, day]: [&str; 3]| {
        let part = |name: &str| appended(name).or_else(|| transaction.input(&[name]));
        let (year, month, day) = (part(year)?, part(month)?, part(day)?);
        Some(Cow::Owned(format!("{year:0>4}-{month:0>2}-{day:0>2}")))
    };
    person.date_of_birth = date(["YearOfBirth", "MonthOfBirth", "DayOfBirth"]);
    person.date_of_issue = date(["YearOfIssue", "MonthOfIssue", "DayOfIssue"]);
    person.expiration_date = date(["YearOfExpiry", "MonthOfExpiry", "DayOfExpiry"]);
    person.gender = pick(appended("Gender").or_else(|| transaction.input(&["Gender"])));
    // Some sources tell the country in words of their own.
    let nationality = appended("Nationality");
    person.nationality = pick(nationality.filter(|text| normal::country(text).is_some()));
    metadata.text("nationality", nationality.filter(|text| normal::country(text).is_none()));
    let kind = transaction.input(&["DocumentType"]);
    person.document_type = kind.map(|kind| normal::document(kind).unwrap_or(DocumentType::Other));
    person.document_subtype = pick(kind);
    person.document_number = pick(appended("DocumentNumber").or_else(|| transaction.asked_number()));
    let Some(document) = document else { return };
    let country = appended("DocumentCountryCode").or_else(|| appended("Issuer"));
    person.issuing_state = pick(country).or_else(|| transaction.country.pick());
    person.document_status = document.feature("DocumentVerified");
    person.face_match_status = document.feature("LivePhotoCrosscheck");
    person.liveness_status = document.feature("Liveness");
}

pub(super) fn address(transaction: &Transaction<'_>) -> Option<String> {
    let parts = ["UnitNumber", "BuildingNumber", "StreetNumber", "BuildingName", "StreetName", "StreetType"];
    let street = normal::spaced(parts.map(|name| transaction.input(&[name])));
    let street = transaction.input(&["Address1"]).or(street.as_deref());
    let rest = [
        transaction.input(&["Suburb"]),
        transaction.input(&["City"]),
        transaction.input(&["StateProvinceCode", "State"]),
        transaction.input(&["PostalCode"]),
    ];
    joined([street].into_iter().chain(rest))
}

/// What Trulioo says beyond the contract's fields.
pub(super) fn tell(transaction: &Transaction<'_>, metadata: &mut Metadata) {
    let aml = tell_sources(transaction, metadata);
    let street = transaction.confirmed(&["Address1", "StreetName"]);
    let place = transaction.confirmed(&["City", "PostalCode"]);
    let address = street.zip(place).and_then(|(street, place)| normal::worst([street, place]));
    let shown = |status: Option<FeatureStatus>| status.map(FeatureStatus::as_str);
    metadata.texts(
        "checks",
        &[
            ("aml", shown(normal::worst(aml))),
            ("phone", shown(transaction.confirmed(&["MobileNumber", "Telephone", "Telephone2"]))),
            ("email", shown(transaction.confirmed(&["EmailAddress"]))),
            ("address", shown(address)),
        ],
    );
    let rule = if transaction.record.rule.is_there() { &transaction.record.rule } else { &transaction.rule };
    for (key, text) in [
        ("transaction_id", transaction.id.get()),
        ("product_name", transaction.product.get()),
        ("country_code", transaction.country.get()),
        ("account_identifier", transaction.account.get()),
        ("rule_name", rule.name.get()),
        ("rule_note", rule.note.get()),
    ] {
        metadata.text(key, text);
    }
}

/// What sources did not confirm, and the media they looked at; what watchlists said, which changes no verdict.
pub(super) fn tell_sources(transaction: &Transaction<'_>, metadata: &mut Metadata) -> Vec<FeatureStatus> {
    let mut aml = Vec::new();
    for source in transaction.sources() {
        let name = source.name.get().unwrap_or_default();
        for field in source.fields.iter().filter(|field| field.status.get() == Some("nomatch")) {
            metadata.reason(format!("{name}.{}=nomatch", field.name.get().unwrap_or_default()));
        }
        for error in source.errors.iter().filter_map(|error| error.code.get()) {
            metadata.reason(format!("{name}:error {error}"));
        }
        aml.extend(source.appended("WatchlistState").map(screened));
    }
    for kind in ["DocumentFrontImage", "DocumentBackImage", "LivePhoto"] {
        if let Some(url) = transaction.input(&[kind]).filter(|url| url.starts_with("http")) {
            metadata.media(&[("kind", Some(kind)), ("url", Some(normal::without_query(url)))]);
        }
    }
    aml
}

/// What a watchlist's word means.
pub(super) fn screened(state: &str) -> FeatureStatus {
    match fold(state).as_str() {
        "nohit" => FeatureStatus::Approved,
        "potentialhit" => FeatureStatus::InReview,
        _ => FeatureStatus::Declined,
    }
}
