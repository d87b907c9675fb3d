//! Verifications of people.

use fastrand::Rng;

use super::{
    Kind,
    vocabulary::{FIRST_NAMES, LAST_NAMES, PLACES, STATUSES, STREETS, TAGS, customer, day, one_of, second},
};

pub(super) static KIND: Kind = Kind {
    columns: &[
        "external_id",
        "provider",
        "vendor_data",
        "status",
        "created_at",
        "expires_at",
        "document_type",
        "document_number",
        "personal_number",
        "first_name",
        "last_name",
        "date_of_birth",
        "gender",
        "nationality",
        "issuing_state",
        "date_of_issue",
        "expiration_date",
        "address",
        "place_of_birth",
        "portrait_image_url",
        "tags",
        "metadata_json",
    ],
    keys: 1,
    key_prefix: "app",
    values,
    faults: &[
        ("external_id", ""),
        ("status", "unknown_status"),
        ("created_at", "2024-03-11 at noon"),
        ("date_of_birth", "31/12/1990"),
        ("issuing_state", "Germany"),
        ("portrait_image_url", "http://media.example.net/portrait.jpg"),
        ("portrait_image_url", "https://169.254.169.254/latest/"),
        ("metadata_json", "not-an-object"),
    ],
};

fn values(number: u64, rng: &mut Rng) -> Vec<String> {
    let (country, _, town) = one_of(PLACES, rng);
    let issuer = if rng.u8(..10) == 0 { one_of(PLACES, rng).0 } else { country };
    let created = second(2019, 2_400, rng);
    let document = one_of(["P", "ID", "DL", "RP", "ID"], rng);
    let personal = if document == "ID" {
        format!("{:08}{}", rng.u32(..100_000_000), char::from(b'A' + rng.u8(..26)))
    } else {
        String::new()
    };
    let user = customer(number, rng);
    let tags = one_of(TAGS, rng);
    let tier = one_of(["gold", "silver", "basic"], rng);
    vec![
        "sumsub".to_owned(),
        format!("cust-{user:08}"),
        one_of(STATUSES, rng).to_owned(),
        created,
        String::new(),
        document.to_owned(),
        format!("{}{:07}", document, rng.u32(..10_000_000)),
        personal,
        one_of(FIRST_NAMES, rng).to_owned(),
        one_of(LAST_NAMES, rng).to_owned(),
        day(1950, 20_000, rng),
        one_of(["M", "F", "U"], rng).to_owned(),
        country.to_owned(),
        issuer.to_owned(),
        day(2015, 2_000, rng),
        day(2027, 3_000, rng),
        format!("{} {}, {:05} {town}", one_of(STREETS, rng), rng.u8(1..), rng.u32(..100_000)),
        town.to_owned(),
        format!("https://media.example.net/exp/{number}/portrait.jpg"),
        tags.to_owned(),
        format!("{{\"tier\":\"{tier}\",\"legacy_level\":\"basic-kyc\",\"score\":{}}}", rng.u8(..100)),
    ]
}
