//! Links of providers that live for hours: what still answers is stored, and what has expired costs no row.

use carryover::grpc::pb::{self, ImportStatus, IssueCode, IssueSeverity};

use super::SAMPLES;
use crate::{
    harness::{Database, counters},
    media::{JPEG, media, server},
    on_both_databases,
    outside::{Outside, no, ok, path},
};

on_both_databases!(links_that_have_expired_are_warnings_of_their_row);

/// Providers, and where their media are.
const HOMES: [(&str, &str); 2] =
    [("metamap", "https://media-cdn.prod.metamap.com"), ("persona", "https://files.withpersona.com")];

/// What links to fronts and selfies can be told by.
const FRONTS: [&str; 2] = ["2c9c893d", "id-front.jpg"];
const SELFIES: [&str; 2] = ["c09bb890", "selfie-center.jpg"];

async fn links_that_have_expired_are_warnings_of_their_row(database: Database) {
    let outside = Outside::answering(|request| {
        let is_one = |links: [&str; 2]| links.iter().any(|link| path(request).contains(link));
        if is_one(FRONTS) {
            ok(JPEG)
        } else if is_one(SELFIES) {
            no("404 Not Found", "X: y")
        } else {
            no("403 Forbidden", "X: y")
        }
    })
    .await;
    let (server, _roots) = server(database, &outside, &[]).await;
    for (provider, home) in HOMES {
        let tenant = server.tenant().await;
        let sample = SAMPLES.iter().find(|sample| sample.file == provider).expect("a sample");
        let line = sample.lines()[0].replace(home, &outside.url(""));
        let spec = pb::ImportSpec { provider: provider.to_owned(), ..tenant.spec() };
        let import = tenant.import_as(spec, line).await.expect("an import");
        assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (1, 0, 0)), "{provider}");
        assert_eq!((media(&import), import.warning_count), ((0, 1, 3), 3), "{provider}");

        let rows = tenant.row_issues(&import.uuid, IssueSeverity::Warning).await;
        let mut told = Vec::new();
        for issue in rows.iter().flat_map(|row| &row.issues) {
            assert_eq!(issue.code(), IssueCode::Media, "{provider}: {issue:?}");
            // Not any digits: a port may have them, too.
            let mut numbers = issue.message.split(|c: char| !c.is_ascii_digit());
            let status = numbers.find(|number| ["403", "404"].contains(number));
            told.push((issue.field.as_str(), status));
            let shown = format!("{issue:?}");
            assert!(!shown.contains("token") && !shown.contains("location"), "{provider}: {shown}");
        }
        told.sort_unstable();
        let expected =
            [("back_image_url", "403"), ("liveness_video_url", "403"), ("selfie_image_url", "404")];
        assert_eq!(told, expected.map(|(field, status)| (field, Some(status))), "{provider}");
        assert_eq!(rows.iter().map(|row| row.row_number).max(), Some(1), "{provider}");

        let session = tenant.sessions(Default::default()).await.remove(0);
        let decision = tenant.decision(&session.session_id).await;
        let document = &decision.id_verifications[0];
        assert_eq!(
            (document.front_image.is_some(), document.back_image.as_deref()),
            (true, None),
            "{provider}"
        );
        assert!(document.last_name.is_some(), "{provider}: the row is kept whole");
    }
}
