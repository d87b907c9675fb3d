//! Media of a server's own making: put where a worker would put them, and read by their links.

use std::collections::HashMap;

use carryover::grpc::pb;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    harness::{Server, Tenant},
    stored::id,
};

/// Where the media of tests were fetched; no answer may name it.
pub const ORIGIN: &str = "origin.example.net";

/// A row of a verification with a link for every medium.
pub fn row(external_id: &str, vendor_data: &str) -> String {
    let slots = [
        "front_image",
        "back_image",
        "portrait_image",
        "front_video",
        "back_video",
        "selfie_image",
        "liveness_video",
    ];
    let links =
        slots.map(|slot| format!(",\"{slot}_url\":\"https://{ORIGIN}/{external_id}/{slot}?token=secret\""));
    let links = links.concat();
    format!(
        "{{\"external_id\":\"{external_id}\",\"vendor_data\":\"{vendor_data}\",\"status\":\"Approved\"{links}}}\n"
    )
}

/// The medium of a session that a worker would have stored by now.
pub async fn put(
    server: &Server,
    tenant: &Tenant,
    session: &pb::Session,
    slot: &str,
    media_type: &str,
    bytes: &[u8],
) {
    let sha256 = hex::encode(Sha256::digest(bytes));
    let folder = server.path("objects/media").join(&tenant.application);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(&sha256), bytes).expect("written");
    let columns =
        format!("'STORED', NULL, {}, {}, '{media_type}', NULL", bytea(server, &sha256), bytes.len());
    insert(server, tenant, session, slot, &session.import_id, &columns).await;
}

/// The medium of a session that has failed, or is still to be fetched, for a job.
pub async fn put_unfetched(
    server: &Server,
    tenant: &Tenant,
    session: &pb::Session,
    slot: &str,
    state: &str,
    job: &str,
) {
    let url = format!("'https://{ORIGIN}/{}/{slot}?token=secret'", session.external_id);
    let reason = if state == "FAILED" { "'MEDIA_HTTP_STATUS'" } else { "NULL" };
    let columns = format!("'{state}', {url}, NULL, NULL, NULL, {reason}");
    insert(server, tenant, session, slot, job, &columns).await;
}

async fn insert(
    server: &Server,
    tenant: &Tenant,
    session: &pb::Session,
    slot: &str,
    job: &str,
    columns: &str,
) {
    let [application, session_id, import, job, url_id] = [
        &tenant.application,
        &session.session_id,
        &session.import_id,
        job,
        &uuid::Uuid::now_v7().to_string(),
    ]
    .map(|uuid| id(server, uuid));
    let row = session.row_number;
    let sql = format!(
        "INSERT INTO media (application_id, record_id, import_id, slot, job_id, row_number, line_number, \
         byte_offset, byte_count, url_id, host, leads, attempts, due_at, epoch, state, url, sha256, size, \
         media_type, reason) VALUES ({application}, {session_id}, {import}, '{slot}', {job}, {row}, {row}, 0, 0, \
         {url_id}, '{ORIGIN}', TRUE, 6, '2024-01-01T00:00:00+00:00', 1, {columns})"
    );
    server.sql(&sql).await;
}

/// Bytes as a statement has to write them.
pub fn bytea(server: &Server, hex: &str) -> String {
    match server.database_url {
        Some(_) => format!("'\\x{hex}'"),
        None => format!("x'{hex}'"),
    }
}

/// An answer of plain HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Opens a link.
pub async fn get(link: &str) -> Answer {
    ask("GET", link, "").await
}

/// Makes a request to where a link leads, with further header lines.
pub async fn ask(method: &str, link: &str, headers: &str) -> Answer {
    let rest = link.strip_prefix("http://").expect("plain HTTP");
    let (host, path) = rest.split_at(rest.find('/').expect("a path"));
    let mut stream = TcpStream::connect(host).await.expect("connects");
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).expect("text");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Answer { status: status.parse().expect("a number"), headers, body }
}
