//! Verifications of companies, with their officers and owners.

use fastrand::Rng;

use super::{
    Kind,
    vocabulary::{PLACES, STATUSES, STREETS, TAGS, customer, day, full_name, object, one_of, second},
};

pub(super) static KIND: Kind = Kind {
    columns: &[
        "external_id",
        "provider",
        "vendor_data",
        "status",
        "created_at",
        "company_name",
        "registration_number",
        "country_code",
        "company_type",
        "incorporation_date",
        "registered_address",
        "registry_status",
        "tax_number",
        "verification_status",
        "risk_level",
        "alternative_names",
        "nature_of_business",
        "registered_capital_amount",
        "registered_capital_currency",
        "website",
        "email",
        "phone",
        "vat_number",
        "officers_json",
        "beneficial_owners_json",
        "addresses_json",
        "industries_json",
        "tags",
        "metadata_json",
    ],
    keys: 1,
    key_prefix: "co",
    values,
    faults: &[
        ("external_id", ""),
        ("company_name", ""),
        ("status", "unknown_status"),
        ("country_code", "Germany"),
        ("incorporation_date", "31/12/1990"),
        ("registry_status", "sleeping"),
        ("risk_level", "enormous"),
        ("registered_capital_amount", "1.000,50"),
        ("email", "nobody"),
        ("officers_json", "[{\"role\":\"director\"}]"),
        ("beneficial_owners_json", "[{\"name\":\"Ana\",\"entity_type\":\"robot\"}]"),
        ("metadata_json", "not-an-object"),
    ],
};

fn values(number: u64, rng: &mut Rng) -> Vec<String> {
    let (_, country, town) = one_of(PLACES, rng);
    let business = customer(number, rng);
    let (subject, form) = (
        one_of(["Brackwater Tools", "Nordhavn Frakt", "Quick \"Q\" Imports", "Tamarind Foods"], rng),
        one_of(["Ltd", "AS", "Inc.", "GmbH"], rng),
    );
    let name = format!("{subject} {number} {form}");
    let address = format!("{} {}, {town}", one_of(STREETS, rng), rng.u8(1..));
    vec![
        // The same in every row: it is half of a row's key.
        "trulioo".to_owned(),
        format!("merchant-{business:08}"),
        one_of(STATUSES, rng).to_owned(),
        second(2019, 2_400, rng),
        name.clone(),
        format!("{:08}", rng.u32(..100_000_000)),
        country.to_owned(),
        form.to_owned(),
        day(1990, 9_000, rng),
        address.clone(),
        one_of(["active", "active", "struck off", "dissolved"], rng).to_owned(),
        format!("T{:09}", rng.u32(..1_000_000_000)),
        one_of(["verified", "unknown", ""], rng).to_owned(),
        one_of(["LOW", "medium", "HIGH"], rng).to_owned(),
        one_of(["", "Brackwater", "Nordhavn,NF"], rng).to_owned(),
        one_of(["Wholesale of hand tools", "Freight by sea", "Import, export"], rng).to_owned(),
        format!("{}.{:02}", rng.u32(..1_000_000), rng.u8(..100)),
        one_of(["EUR", "GBP", "NOK"], rng).to_owned(),
        format!("https://company-{business}.example"),
        format!("ops@company-{business}.example"),
        format!("+44113{:07}", rng.u32(..10_000_000)),
        format!("{country}{:09}", rng.u32(..1_000_000_000)),
        officers(rng),
        owners(&name, rng),
        format!(
            "[{}]",
            object(|address_of| {
                address_of.word("type", "registered");
                address_of.text("address", &address);
                address_of.word("country", country);
            })
        ),
        "[{\"code\":\"46.74\",\"description\":\"Wholesale of hardware\"}]".to_owned(),
        one_of(TAGS, rng).to_owned(),
        format!("{{\"onboarding\":\"2024-q{}\"}}", rng.u8(1..=4)),
    ]
}

fn officers(rng: &mut Rng) -> String {
    let officer = |rng: &mut Rng| {
        let (name, appointed) = (full_name(rng), day(2010, 4_000, rng));
        let role = one_of(["director", "Chairman", "secretary", "Head of Everything"], rng);
        let active = one_of(["true", "false"], rng);
        object(|officer| {
            officer.text("name", &name);
            officer.word("role", role);
            officer.word("nationality", one_of(PLACES, rng).0);
            officer.word("appointment_date", &appointed);
            officer.raw("is_active", active);
        })
    };
    let officers: Vec<_> = (0..rng.u8(1..4)).map(|_| officer(rng)).collect();
    format!("[{}]", officers.join(","))
}

fn owners(company: &str, rng: &mut Rng) -> String {
    let share = rng.u8(1..=100);
    let person = full_name(rng);
    let owner = object(|owner| {
        owner.text("name", &person);
        owner.word("entity_type", "person");
        owner.raw("roles", "[\"ubo\",\"shareholder\"]");
        owner.word("ownership_min_shares", &share.to_string());
        owner.word("date_of_birth", &day(1950, 18_000, rng));
    });
    if rng.bool() {
        return format!("[{owner}]");
    }
    let holding = object(|owner| {
        owner.text("name", &format!("{company} Holding"));
        owner.text("company_name", &format!("{company} Holding"));
        owner.raw("ownership_max_shares", &format!("{}.5", 100 - share));
    });
    format!("[{owner},{holding}]")
}
