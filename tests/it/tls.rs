//! TLS: who is told the certificate's authority is served, everybody else is not.

use carryover::grpc::{
    client::{Client, ConnectError},
    pb,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    harness::{Database, Server},
    shell::Shell,
};

/// Files of a certificate for the loopback address and its key; it vouches for itself.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let files = Self { folder: tempfile::tempdir().expect("a folder") };
        std::fs::write(files.path("cert.pem"), made.cert.pem()).expect("written");
        std::fs::write(files.path("key.pem"), made.signing_key.serialize_pem()).expect("written");
        files
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a path").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_trusts_the_certificate_is_served() {
    let files = Files::new();
    let (cert, key) = (files.path("cert.pem"), files.path("key.pem"));
    let server =
        Server::start_secure(Database::Sqlite, &["--tls-cert", &cert, "--tls-key", &key], &cert).await;
    let tenant = server.tenant().await;
    let shell = Shell::new(&server, &tenant.key);
    std::fs::write(shell.path("a.csv"), "external_id,status\na,Approved\n").expect("written");
    let import = ["import", "a.csv", "--type", "user_verification", "--workflow", &tenant.workflow];
    let done = shell.json(&[&import[..], &["--json", "--tls-ca", &cert]].concat(), 0).await;
    assert_eq!(done["created_count"], 1);

    let other = Files::new();
    let plain = format!("http://{}", server.app.address);
    for (arguments, words) in [
        (&["list"][..], "certificate"),
        (&["list", "--tls-ca", &other.path("cert.pem")], "certificate"),
        (&["list", "--tls-ca", &other.path("none.pem")], "none.pem"),
        (&["list", "--server", &plain], "error"),
        (&["list", "--server", "ftp://127.0.0.1:21"], "https://"),
    ] {
        let output = shell.run(arguments).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_said_in_plain_text_to_who_wants_tls() {
    let server = Server::start(Database::Sqlite).await;
    let address = format!("https://{}", server.app.address);
    let refused = Client::connect(&address, &server.admin_key).await.map(drop);
    assert!(matches!(refused, Err(ConnectError::Unreachable { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_stalls_is_ended() {
    let files = Files::new();
    let (cert, key) = (files.path("cert.pem"), files.path("key.pem"));
    let flags = ["--tls-cert", &cert, "--tls-key", &key, "--handshake-seconds", "1"];
    let server = Server::start_secure(Database::Sqlite, &flags, &cert).await;
    let tenant = server.tenant().await;
    // The head of a record that holds a ClientHello, and some of it.
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 40]].concat();
    for (name, beginning) in [
        ("E011 nothing", &b""[..]),
        ("E011 half a ClientHello", &hello),
        ("E011 plain text", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        let mut socket = TcpStream::connect(server.app.address).await.expect("connects");
        socket.write_all(beginning).await.expect("sent");
        let mut said = Vec::new();
        let ended =
            tokio::time::timeout(std::time::Duration::from_secs(60), socket.read_to_end(&mut said)).await;
        // A reset is an end as well.
        let _ = ended.unwrap_or_else(|_| panic!("{name}: the connection is still open"));
        assert!(said.len() < 64, "{name}: at most an alert is said: {said:?}");
    }
    tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect("others are served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let server = Server::start(Database::Sqlite).await;
    let shell = Shell::new(&server, &server.admin_key);
    let (files, other) = (Files::new(), Files::new());
    std::fs::write(files.path("empty.pem"), "").expect("written");
    let (cert, key) = (files.path("cert.pem"), files.path("key.pem"));
    for (cert, key, words) in [
        (files.path("none.pem"), key.clone(), "none.pem"),
        (files.path("empty.pem"), key.clone(), "empty.pem"),
        (cert.clone(), files.path("empty.pem"), "empty.pem"),
        (cert.clone(), cert.clone(), "cert.pem"),
        (cert.clone(), other.path("key.pem"), "key.pem"),
    ] {
        let arguments =
            ["serve", "--listen", "127.0.0.1:0", "--data-dir", "new", "--tls-cert", &cert, "--tls-key", &key];
        let output = shell.run(&arguments).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words}: {error}");
        assert!(error.contains(words), "{words}: {error}");
        assert!(!shell.path("new").exists(), "{words}: nothing is left behind");
    }
    let output = shell.run(&["serve", "--tls-cert", &cert]).await;
    assert_eq!(output.status.code(), Some(2), "one without the other");
}
