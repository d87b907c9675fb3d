//! Each rule of verifications of people, and where each field is served (contract §2.1).

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, FeatureStatus, IssueCode},
};
use prost_types::{ListValue, Struct, value::Kind};
use serde_json::{Value, json};

use crate::{
    harness::{Database, Server, counters},
    kinds::{Verdict, assert_verdicts, passes, refused, spec_of},
    on_both_databases, stored,
};

on_both_databases!(
    each_rule_refuses_its_rows,
    every_field_is_served_where_the_contract_says,
    checks_are_those_the_row_tells_of,
);

async fn each_rule_refuses_its_rows(database: Database) {
    use IssueCode::{
        BadJson, InvalidValue, NulCharacter, OutOfRange, Required, TooDeep, TooLong, UnsafeUrl, WrongType,
    };
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::UserVerification).await;
    let good = json!({"first_name": "Noor", "status": "Approved"});
    // Characters are counted, not bytes.
    let long = |count: usize| "é".repeat(count);
    let mut verdicts = vec![
        passes("as it is", json!({})),
        passes("nothing but a key", json!({"first_name": null, "status": null})),
        passes("blanks everywhere", json!({"status": " ", "marital_status": "", "liveness_score": "  "})),
        passes("members nobody knows", json!({"shoe_size": 44, "status_reason": {"a": []}})),
        refused("no key", json!({"external_id": null}), &[("external_id", Required)]),
        refused("a blank key", json!({"external_id": " \t"}), &[("external_id", Required)]),
        refused("an odd provider", json!({"provider": "old provider"}), &[("provider", InvalidValue)]),
        passes("the longest provider", json!({"provider": "P".repeat(64)})),
        refused("a long provider", json!({"provider": "p".repeat(65)}), &[("provider", TooLong)]),
        refused("work in progress", json!({"status": "In Progress"}), &[("status", InvalidValue)]),
        refused("a day without time", json!({"created_at": "2024-01-01"}), &[("created_at", InvalidValue)]),
        refused(
            "made tomorrow",
            json!({"created_at": "2999-01-01T00:00:00Z"}),
            &[("created_at", OutOfRange)],
        ),
        passes("expires in the future", json!({"expires_at": "2999-01-01T00:00:00Z"})),
        passes("expired long ago", json!({"expires_at": "1999-01-01T00:00:00+05:30"})),
        refused("expires on a day", json!({"expires_at": "2030-01-01"}), &[("expires_at", InvalidValue)]),
        refused(
            "expires without offset",
            json!({"expires_at": "2030-01-01T00:00:00"}),
            &[("expires_at", InvalidValue)],
        ),
        passes("a document by its long name", json!({"document_type": "residence permit"})),
        refused(
            "a document of no kind",
            json!({"document_type": "library card"}),
            &[("document_type", InvalidValue)],
        ),
        refused("a letter for a gender", json!({"gender": "X"}), &[("gender", InvalidValue)]),
        passes("a marital status in other letters", json!({"marital_status": "Widowed"})),
        refused(
            "a marital status of no word",
            json!({"marital_status": "engaged"}),
            &[("marital_status", InvalidValue)],
        ),
        refused("a state in two letters", json!({"issuing_state": "DE"}), &[("issuing_state", InvalidValue)]),
        refused("born tomorrow", json!({"date_of_birth": "2999-01-01"}), &[("date_of_birth", OutOfRange)]),
        refused("born on no day", json!({"date_of_birth": "2023-02-29"}), &[("date_of_birth", InvalidValue)]),
        refused("issued on no day", json!({"date_of_issue": "soon"}), &[("date_of_issue", InvalidValue)]),
        refused(
            "valid until no day",
            json!({"expiration_date": "31.12.2030"}),
            &[("expiration_date", InvalidValue)],
        ),
        passes("valid for long", json!({"expiration_date": "2999-12-31"})),
        refused("no mail", json!({"email": "nobody"}), &[("email", InvalidValue)]),
        refused("a phone without country", json!({"phone": "0113 4960000"}), &[("phone", InvalidValue)]),
        refused(
            "an address in a text",
            json!({"parsed_address": "Elm St"}),
            &[("parsed_address", WrongType)],
        ),
        refused("an address as a list", json!({"parsed_address": ["a"]}), &[("parsed_address", WrongType)]),
        refused(
            "an address in broken JSON",
            json!({"parsed_address_json": "{\"city\":"}),
            &[("parsed_address", BadJson)],
        ),
        refused(
            "an address with a NUL",
            json!({"parsed_address": {"city": "a\u{0}"}}),
            &[("parsed_address", NulCharacter)],
        ),
        refused("fields as a number", json!({"extra_fields": 5}), &[("extra_fields", WrongType)]),
        refused("fields as a list", json!({"extra_fields_json": "[]"}), &[("extra_fields", WrongType)]),
        passes("fields that are deep", json!({"extra_fields": deep(64)})),
        refused("fields that are deeper", json!({"extra_fields": deep(65)}), &[("extra_fields", TooDeep)]),
        refused("metadata as a text", json!({"metadata": "x"}), &[("metadata", WrongType)]),
        refused("tags that are numbers", json!({"tags": [1]}), &[("tags", WrongType)]),
        refused(
            "everything at once",
            json!({
                "marital_status": "?", "nationality": long(33), "liveness_score": 101, "face_match_status": "?",
                "parsed_address": [], "back_video_url": "http://media.example.com/a", "expires_at": "?",
            }),
            &[
                ("back_video_url", UnsafeUrl),
                ("expires_at", InvalidValue),
                ("face_match_status", InvalidValue),
                ("liveness_score", OutOfRange),
                ("marital_status", InvalidValue),
                ("nationality", TooLong),
                ("parsed_address", WrongType),
            ],
        ),
    ];
    for (field, most) in [
        ("external_id", 255),
        ("vendor_data", 255),
        ("document_subtype", 128),
        ("document_number", 255),
        ("personal_number", 255),
        ("first_name", 255),
        ("last_name", 255),
        ("full_name", 512),
        ("nationality", 32),
        ("address", 255),
        ("place_of_birth", 255),
    ] {
        verdicts.push(passes(field, json!({field: long(most)})));
        verdicts.push(of_field(field, long(most + 1), TooLong));
        verdicts.push(of_field(field, json!(["a"]), WrongType));
        verdicts.push(of_field(field, "a\u{0}b", NulCharacter));
    }
    for field in [
        "front_image_url",
        "back_image_url",
        "portrait_image_url",
        "selfie_image_url",
        "front_video_url",
        "back_video_url",
        "liveness_video_url",
    ] {
        let of_length = |count: usize| format!("https://media.example.com/{}", "x".repeat(count - 26));
        verdicts.push(passes(field, json!({field: of_length(2048)})));
        verdicts.push(of_field(field, of_length(2049), TooLong));
        verdicts.push(of_field(field, "http://media.example.com/a.jpg", UnsafeUrl));
        verdicts.push(of_field(field, "https://10.0.0.1/a.jpg", UnsafeUrl));
        verdicts.push(of_field(field, "data:image/png;base64,iVBORw0KGgo=", UnsafeUrl));
    }
    for field in ["id_verification_status", "liveness_status", "face_match_status"] {
        for word in ["Approved", "declined", "IN_REVIEW", "expired", "not-finished"] {
            verdicts.push(passes(field, json!({field: word})));
        }
        // Words of sessions that no check has.
        for word in ["Abandoned", "Kyc Expired", "green", "In Progress", "Resub"] {
            verdicts.push(of_field(field, word, InvalidValue));
        }
        // A face may be asked for again, a document never is.
        verdicts.push(match field {
            "id_verification_status" => of_field(field, "Resub Requested", InvalidValue),
            _ => passes(field, json!({field: "resub_requested"})),
        });
    }
    for field in ["liveness_score", "face_match_score"] {
        for score in [json!(0), json!(100), json!(97.25), json!("100.0")] {
            verdicts.push(passes(field, json!({field: score})));
        }
        for score in [json!(-1), json!(100.01), json!(101), json!("97,5"), json!("high"), json!("1e1")] {
            verdicts.push(of_field(field, score, OutOfRange));
        }
        verdicts.push(of_field(field, true, WrongType));
    }
    assert_verdicts(&tenant, spec, &good, &verdicts).await;
}

/// A row with one field of a value that is refused.
fn of_field(field: &'static str, value: impl Into<Value>, code: IssueCode) -> Verdict {
    refused(field, json!({field: value.into()}), vec![(field, code)].leak())
}

/// An object that many levels deep.
fn deep(levels: usize) -> Value {
    (1..levels).fold(json!({}), |inner, _| json!({"k": inner}))
}

/// A field of a decision as plain JSON.
fn plain(object: &Option<Struct>) -> Value {
    fn of(kind: Option<&Kind>) -> Value {
        match kind {
            Some(Kind::StringValue(text)) => json!(text),
            Some(Kind::NumberValue(number)) => json!(number),
            Some(Kind::BoolValue(flag)) => json!(flag),
            Some(Kind::StructValue(inner)) => fields(inner),
            Some(Kind::ListValue(ListValue { values })) => {
                values.iter().map(|value| of(value.kind.as_ref())).collect()
            }
            Some(Kind::NullValue(_)) | None => Value::Null,
        }
    }
    fn fields(object: &Struct) -> Value {
        Value::Object(
            object.fields.iter().map(|(key, value)| (key.clone(), of(value.kind.as_ref()))).collect(),
        )
    }
    object.as_ref().map_or(Value::Null, fields)
}

async fn every_field_is_served_where_the_contract_says(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let row = json!({
        "external_id": " u-1 ", "provider": "SumSub", "vendor_data": "person", "status": "in_review",
        "created_at": "2024-03-11T10:20:41+01:00", "expires_at": "2031-05-06T07:08:09.5Z",
        "document_type": "rp", "document_subtype": "Niederlassungserlaubnis", "document_number": "D-1",
        "personal_number": "P-2", "first_name": "Noor", "last_name": "de Wit", "full_name": "Somebody Else",
        "date_of_birth": "1990-01-02", "gender": "u", "nationality": "Stateless", "issuing_state": "nld",
        "date_of_issue": "2020-02-29", "expiration_date": "2030-02-28", "address": "Kade 1, Delft",
        "parsed_address": {"city": "Delft", "street_1": "Kade 1", "country": "NL", "parts": [1, null, true]},
        "place_of_birth": "Gouda", "marital_status": "divorced",
        "extra_fields": {"blood": "A+", "deep": {"er": [0.5]}}, "id_verification_status": "approved",
        "front_image_url": "https://media.example.com/front", "selfie_image_url": "https://media.example.com/self",
        "liveness_status": "Not Finished", "liveness_score": 12.5,
        "face_match_status": "DECLINED", "face_match_score": "7", "email": "noor@example.com",
        "phone": "+31152123456", "tags": ["b", "a"], "metadata": {"level": 3},
    });
    assert_eq!(counters(&tenant.import(row.to_string()).await), (1, 0, 0));
    let session = tenant.sessions(Default::default()).await.remove(0);
    assert_eq!((session.external_id.as_str(), session.provider.as_str()), ("u-1", "sumsub"));
    assert_eq!(session.country.as_deref(), Some("NLD"));

    let decision = tenant.decision(&session.session_id).await;
    assert_eq!(decision.status(), pb::SessionStatus::InReview);
    let seconds =
        |time: &Option<prost_types::Timestamp>| time.as_ref().map(|time| (time.seconds, time.nanos));
    assert_eq!(seconds(&decision.created_at), Some((1_710_148_841, 0)), "in UTC");
    assert_eq!(seconds(&decision.expires_at), Some((1_935_817_689, 500_000_000)));
    assert_eq!(plain(&decision.metadata), json!({"level": 3.0}));
    let contact = decision.contact_details.as_ref().expect("both were told");
    assert_eq!((contact.email(), contact.phone()), ("noor@example.com", "+31152123456"));
    assert_eq!(decision.features, ["ID_VERIFICATION", "LIVENESS", "FACE_MATCH"]);

    let age = decision.id_verifications[0].age.expect("a date of birth was told");
    assert!(age >= 34, "{age}");
    let text = |text: &str| Some(text.to_owned());
    let expected = pb::IdVerification {
        node_id: "imported".to_owned(),
        status: FeatureStatus::Approved as i32,
        document_type: text("Residence Permit"),
        document_subtype: text("Niederlassungserlaubnis"),
        document_number: text("D-1"),
        personal_number: text("P-2"),
        date_of_birth: text("1990-01-02"),
        age: Some(age),
        expiration_date: text("2030-02-28"),
        date_of_issue: text("2020-02-29"),
        issuing_state: text("NLD"),
        issuing_state_name: decision.id_verifications[0].issuing_state_name.clone(),
        first_name: text("Noor"),
        last_name: text("de Wit"),
        // The whole name counts where the parts are unknown.
        full_name: text("Noor de Wit"),
        gender: text("U"),
        address: text("Kade 1, Delft"),
        place_of_birth: text("Gouda"),
        marital_status: text("DIVORCED"),
        nationality: text("Stateless"),
        ..decision.id_verifications[0].clone()
    };
    assert_eq!(decision.id_verifications, [expected]);
    let document = &decision.id_verifications[0];
    assert!(document.issuing_state_name().contains("Netherlands"), "{}", document.issuing_state_name());
    assert_eq!(
        plain(&document.parsed_address),
        json!({"city": "Delft", "street_1": "Kade 1", "country": "NL", "parts": [1.0, null, true]})
    );
    assert_eq!(plain(&document.extra_fields), json!({"blood": "A+", "deep": {"er": [0.5]}}));

    let [liveness] = &decision.liveness_checks[..] else { panic!("{:?}", decision.liveness_checks) };
    assert_eq!((liveness.status(), liveness.score), (FeatureStatus::NotFinished, Some(12.5)));
    let [faces] = &decision.face_matches[..] else { panic!("{:?}", decision.face_matches) };
    assert_eq!((faces.status(), faces.score), (FeatureStatus::Declined, Some(7.0)));
    assert!(!format!("{decision:?}{session:?}").contains("media.example.com"), "links are kept, not shown");
    let kept = stored::texts(&server, "SELECT CAST(details AS TEXT) AS d FROM user_sessions").await.concat();
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    assert_eq!(
        (&kept["front_image"], &kept["selfie_image"]),
        (&json!("https://media.example.com/front"), &json!("https://media.example.com/self"))
    );
    let request = pb::GetUserRequest { vendor_data: "person".into() };
    let user = tenant.client.entities().get_user(request).await.expect("a user").into_inner().user;
    assert_eq!(user.expect("a user").tags, ["a", "b"]);
}

/// One field is enough for a check; its status is its own, else the session's.
async fn checks_are_those_the_row_tells_of(database: Database) {
    use FeatureStatus::{Approved, Declined, Expired, InReview, NotFinished};
    const ID: &str = "ID_VERIFICATION";
    const LIVE: &str = "LIVENESS";
    const FACE: &str = "FACE_MATCH";
    let url = "https://media.example.com/m";
    let cases: Vec<(Value, Vec<(&str, FeatureStatus)>)> = vec![
        (json!({}), vec![]),
        (json!({"status": "Approved", "vendor_data": "v", "email": "a@b.example", "tags": "x"}), vec![]),
        (json!({"status": "Approved", "metadata": {"a": 1}, "phone": "+441134960000"}), vec![]),
        (json!({"document_subtype": "x"}), vec![(ID, Expired)]),
        (json!({"marital_status": "SINGLE", "status": "Abandoned"}), vec![(ID, NotFinished)]),
        (json!({"parsed_address": {}, "status": "kyc expired"}), vec![(ID, Expired)]),
        (json!({"extra_fields": {"a": 1}, "status": "pending"}), vec![(ID, InReview)]),
        (json!({"expiration_date": "2030-01-01", "status": "red"}), vec![(ID, Declined)]),
        (json!({"id_verification_status": "Declined", "status": "Approved"}), vec![(ID, Declined)]),
        (json!({"front_image_url": url, "status": "Approved"}), vec![(ID, Approved)]),
        (json!({"back_image_url": url, "status": "Approved"}), vec![(ID, Approved)]),
        (json!({"portrait_image_url": url, "status": "Approved"}), vec![(ID, Approved)]),
        (json!({"front_video_url": url, "status": "Approved"}), vec![(ID, Approved)]),
        (json!({"back_video_url": url, "status": "Approved"}), vec![(ID, Approved)]),
        (json!({"selfie_image_url": url, "status": "Approved"}), vec![(LIVE, Approved)]),
        (json!({"liveness_video_url": url, "status": "Declined"}), vec![(LIVE, Declined)]),
        (json!({"liveness_score": 1, "status": "Declined"}), vec![(LIVE, Declined)]),
        (json!({"liveness_status": "In Review", "status": "Declined"}), vec![(LIVE, InReview)]),
        (json!({"face_match_score": 1}), vec![(FACE, Expired)]),
        (
            json!({"face_match_status": "Approved", "gender": "F", "liveness_score": 5, "status": "Declined"}),
            vec![(ID, Declined), (LIVE, Declined), (FACE, Approved)],
        ),
    ];
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let rows = cases.iter().enumerate().map(|(n, (row, _))| {
        let mut row = row.clone();
        row["external_id"] = format!("c-{n}").into();
        row.to_string()
    });
    let import = tenant.import(rows.collect::<Vec<_>>().join("\n")).await;
    assert_eq!(counters(&import), (cases.len() as i64, 0, 0), "{:?}", tenant.row_errors(&import.uuid).await);
    for session in tenant.sessions(Default::default()).await {
        let (row, expected) = &cases[session.row_number as usize - 1];
        let listed: Vec<_> =
            session.features.iter().map(|feature| (feature.feature.as_str(), feature.status())).collect();
        assert_eq!(&listed, expected, "{row}");
        let decision = tenant.decision(&session.session_id).await;
        let documents = decision.id_verifications.iter().map(|one| (ID, one.status()));
        let liveness = decision.liveness_checks.iter().map(|one| (LIVE, one.status()));
        let faces = decision.face_matches.iter().map(|one| (FACE, one.status()));
        let decided: Vec<_> = documents.chain(liveness).chain(faces).collect();
        assert_eq!(&decided, expected, "{row}");
    }
}
