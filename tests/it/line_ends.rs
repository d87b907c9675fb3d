//! G012: a source whose lines end in different ways is told of.

use carryover::grpc::pb::{self, LineEnd};

use crate::{
    harness::{Database, Server, Tenant, chunks, counters, finish, gzip, resume, upload_of},
    on_both_databases,
    shell::Shell,
    upload::send_and_break,
};

on_both_databases!(kinds_are_told_however_bytes_come, kinds_survive_a_break, commands_tell_of_a_mixture);

fn ends(import: &pb::Import) -> Vec<LineEnd> {
    import.line_ends().collect()
}

async fn kinds_are_told_however_bytes_come(database: Database) {
    use LineEnd::{Cr, Crlf, Lf};
    let server = Server::start_with(database, &["--segment-rows", "2", "--max-row-bytes", "1000"]).await;
    let tenant = server.tenant().await;
    let long = "x".repeat(2_000);
    let cases: [(&str, String, &[LineEnd]); 19] = [
        ("newlines", "external_id,address\na,A\nb,B\n".to_owned(), &[Lf]),
        ("both", "external_id,address\r\na,A\r\nb,B\r\nc,C\r\n".to_owned(), &[Crlf]),
        ("carriage returns", "external_id,address\ra,A\rb,B\rc,C".to_owned(), &[Cr]),
        ("all of them", "external_id,address\r\na,A\nb,B\rc,C".to_owned(), &[Lf, Crlf, Cr]),
        ("the header's own", "external_id,address\r\na,A\nb,B".to_owned(), &[Lf, Crlf]),
        ("none", "external_id,address".to_owned(), &[]),
        ("a carriage return at the end", "external_id,address\na,A\r".to_owned(), &[Lf, Cr]),
        ("in quotes", "external_id,address\na,\"A\r\nB\rC\"\nb,B\n".to_owned(), &[Lf]),
        ("behind quotes", "external_id,\"address\"\r\na,\"A\nB\"\r\n".to_owned(), &[Crlf]),
        ("blank lines", "\r\nexternal_id,address\r\n\r\n\r\na,A\r\n\r\n".to_owned(), &[Crlf]),
        ("another blank line", "external_id,address\r\na,A\r\n\n".to_owned(), &[Lf, Crlf]),
        ("a blank line less its newline", "external_id,address\r\na,A\r\n\r".to_owned(), &[Crlf, Cr]),
        ("blank lines of two kinds", "external_id,address\n\n\r\ra,A\n\rb,B\n".to_owned(), &[Lf, Cr]),
        ("a row too large", format!("external_id,address\r\na,{long}\r\nb,B\r\n"), &[Crlf]),
        ("a row too large of another end", format!("external_id,address\na,A\nb,{long}\r\n"), &[Lf, Crlf]),
        ("JSON", "{\"external_id\":\"a\"}\n{\"external_id\":\"b\"}\n".to_owned(), &[Lf]),
        (
            "JSON with all",
            "{\"external_id\":\r\"a\"}\r\n \r\n{\"external_id\":\"b\"}\r\n{\"external_id\":\"c\"}\r"
                .to_owned(),
            &[Crlf],
        ),
        ("mixed JSON", "{\"external_id\":\"a\"}\r\n{\"external_id\":\"b\"}\n".to_owned(), &[Lf, Crlf]),
        ("blank lines of JSON", "{\"external_id\":\"a\"}\r\n\n".to_owned(), &[Lf, Crlf]),
    ];
    for (name, file, wanted) in &cases {
        for size in [file.len(), 1] {
            let spec = pb::ImportSpec { dry_run: true, ..tenant.spec() };
            let import = tenant.upload(upload_of(spec, file.as_bytes(), size)).await.expect("an import");
            let import = tenant.wait(&import.uuid).await;
            assert_eq!(&ends(&import), wanted, "{name}, {size} bytes at a time: {}", import.last_error());
        }
    }
}

/// Ten rows whose lines end with `end`.
fn rows(from: usize, end: &str) -> String {
    (from..from + 10).map(|n| format!("r-{n},A{end}")).collect()
}

async fn kinds_survive_a_break(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "5"]).await;
    let tenant = server.tenant().await;
    let file = format!("external_id,first_name\r\n{}{}", rows(0, "\r\n"), rows(10, "\n"));
    let half = file.len() - rows(10, "\n").len();

    let id = tenant.create().await.uuid;
    let messages = [resume(&id, 0)].into_iter().chain(chunks(&file.as_bytes()[..half], 0, 40));
    let broken = send_and_break(&tenant, &id, messages.collect()).await;
    assert_eq!(ends(&broken), [LineEnd::Crlf], "of what is stored");
    let committed = broken.committed_size;
    assert!(committed > 0);
    let server = server.restart(&["--segment-rows", "5"]).await;
    let tenant = Tenant { client: server.admin.with_key(&tenant.key).expect("a client"), ..tenant };
    assert_eq!(ends(&tenant.get(&id).await), [LineEnd::Crlf]);
    let rest = chunks(file.as_bytes(), committed as usize, 40);
    let messages = [resume(&id, committed)].into_iter().chain(rest).chain([finish(file.len())]);
    tenant.upload(messages.collect()).await.expect("the rest");
    let import = tenant.wait(&id).await;
    assert_eq!((counters(&import), ends(&import)), ((20, 0, 0), vec![LineEnd::Lf, LineEnd::Crlf]));

    // A packed upload begins again, and what is stored already is passed over.
    let packed = gzip(file.as_bytes());
    let id = tenant.create().await.uuid;
    let messages = [resume(&id, 0)].into_iter().chain(chunks(&packed, 0, packed.len()));
    let broken = send_and_break(&tenant, &id, messages.collect()).await;
    assert!(broken.total_rows > 0 && !ends(&broken).is_empty());
    let messages = [resume(&id, 0)].into_iter().chain(chunks(&packed, 0, 10)).chain([finish(packed.len())]);
    tenant.upload(messages.collect()).await.expect("all of it");
    let import = tenant.wait(&id).await;
    assert_eq!((counters(&import), ends(&import)), ((0, 20, 0), vec![LineEnd::Lf, LineEnd::Crlf]));
}

async fn commands_tell_of_a_mixture(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let shell = Shell::new(&server, &tenant.key);
    for (name, file, told) in [
        ("mixed.csv", "external_id\na\r\nb\rc\n", true),
        ("plain.csv", "external_id\r\na\r\n\"b\nc\"\r\n", false),
    ] {
        std::fs::write(shell.path(name), file).expect("written");
        let import = ["import", name, "--type", "user_verification", "--workflow", &tenant.workflow];
        let said = shell.out(&import, 0).await;
        let line = "lines      end in different ways: LF, CRLF, CR\n";
        assert_eq!(said.contains(line), told, "{said}");
        let id = said.lines().find_map(|line| line.strip_prefix("import     ")).expect("an id");
        assert_eq!(shell.out(&["get", id], 0).await.contains(line), told);
        let json = shell.json(&["get", id, "--json"], 0).await;
        let wanted = if told { serde_json::json!(["lf", "crlf", "cr"]) } else { serde_json::json!(["crlf"]) };
        assert_eq!(json["line_ends"], wanted);
    }
}
