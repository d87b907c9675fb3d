//! TLS: who is told the certificate's authority is served, everybody else is not.

use carryover::{
    app,
    grpc::{
        client::{Client, ConnectError},
        pb,
    },
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Command,
};

use crate::{
    certificates::{Authority, Pair, text},
    harness::{Database, Server, flags_of},
    shell::Shell,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_trusts_the_certificate_is_served() {
    let authority = Authority::new();
    let (ca, Pair { certificate, key }) = (authority.file(), authority.server("server"));
    let flags = ["--tls-cert", text(&certificate), "--tls-key", text(&key)];
    let server = Server::start_secure(Database::Sqlite, &flags, authority.trust(&ca)).await;
    let tenant = server.tenant().await;
    let shell = Shell::new(&server, &tenant.key);
    std::fs::write(shell.path("a.csv"), "external_id,status\na,Approved\n").expect("written");
    let import = ["import", "a.csv", "--type", "user_verification", "--workflow", &tenant.workflow];
    let done = shell.json(&[&import[..], &["--json", "--tls-ca", text(&ca)]].concat(), 0).await;
    assert_eq!(done["created_count"], 1);

    let other = Authority::new();
    let plain = format!("http://{}", server.app.address);
    for (arguments, words) in [
        (&["list"][..], "certificate"),
        (&["list", "--tls-ca", text(&other.file())], "certificate"),
        (&["list", "--tls-ca", text(&other.path("none.pem"))], "none.pem"),
        (&["list", "--server", &plain], ""),
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
    let output = Shell::new(&server, &server.admin_key).run(&["list", "--server", &address]).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && error.contains("write http://"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_stalls_is_ended() {
    let authority = Authority::new();
    let (ca, Pair { certificate, key }) = (authority.file(), authority.server("server"));
    let flags = ["--tls-cert", text(&certificate), "--tls-key", text(&key), "--handshake-seconds", "1"];
    let server = Server::start_secure(Database::Sqlite, &flags, authority.trust(&ca)).await;
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

/// P002.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_cannot_be_used_stop_the_start() {
    let server = Server::start(Database::Sqlite).await;
    let shell = Shell::new(&server, &server.admin_key);
    let authority = Authority::new();
    let (Pair { certificate, key }, other) = (authority.server("cert"), authority.server("other"));
    let (ca, list) = (authority.file(), authority.revoke(&[]));
    let path = |name: &str| text(&authority.path(name)).to_owned();
    std::fs::write(path("empty.pem"), "").expect("written");
    std::fs::create_dir(path("folder.pem")).expect("made");
    let (cert, key) = (text(&certificate), text(&key));
    for (cert, key, further, words) in [
        (&*path("none.pem"), key, &[][..], "none.pem"),
        (&path("empty.pem"), key, &[], "empty.pem"),
        (&path("folder.pem"), key, &[], "folder.pem"),
        (cert, &path("empty.pem"), &[], "empty.pem"),
        (cert, cert, &[], "cert.pem"),
        (cert, text(&other.key), &[], "other.key"),
        (cert, key, &["--tls-client-ca", &path("none.pem")], "none.pem"),
        (cert, key, &["--tls-client-ca", &path("empty.pem")], "empty.pem"),
        (cert, key, &["--tls-client-ca", key], "cert.key"),
        (cert, key, &["--tls-client-ca", text(&ca), "--tls-client-crl", text(&ca)], "ca.pem"),
    ] {
        let arguments =
            ["serve", "--listen", "127.0.0.1:0", "--data-dir", "new", "--tls-cert", cert, "--tls-key", key];
        let output = shell.run(&[&arguments[..], further].concat()).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words}: {error}");
        assert!(error.contains(words) && !error.contains("PRIVATE"), "{words}: {error}");
        assert!(!shell.path("new").exists(), "{words}: nothing is left behind");
    }
    for (alone, code) in [
        (&["--tls-cert", cert][..], 2),
        (&["--tls-client-ca", text(&ca)], 2),
        (&["--tls-cert", cert, "--tls-key", key, "--tls-client-crl", text(&list)], 2),
        (&["--tls-cert", cert, "--tls-key", key, "--tls-client-auth", "optional"], 1),
    ] {
        let output = shell.run(&[&["serve"][..], alone].concat()).await;
        assert_eq!(output.status.code(), Some(code), "{alone:?}");
    }
}

/// P005.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listens_beyond_loopback_without_tls_unless_told_so() {
    let server = Server::start(Database::Sqlite).await;
    let shell = Shell::new(&server, &server.admin_key);
    let authority = Authority::new();
    let Pair { certificate, key } = authority.server("server");
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let output = shell.run(&["serve", "--data-dir", "new", "--listen", listen]).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{listen}: {error}");
        assert!(
            ["--tls-cert", "--insecure-listen", listen].iter().all(|word| error.contains(word)),
            "{error}"
        );
        assert!(!shell.path("new").exists(), "{listen}: nothing is left behind");
    }
    let tls = ["--listen", "0.0.0.0:0", "--tls-cert", text(&certificate), "--tls-key", text(&key)];
    let worker =
        ["--listen", "0.0.0.0:0", "--role", "worker", "--database-url", "postgres://x@127.0.0.1:1/x"];
    for flags in [
        &["--listen", "127.0.0.2:0"][..],
        &["--listen", "[::1]:0"],
        &["--listen", "[::ffff:127.0.0.1]:0"],
        &["--listen", "0.0.0.0:0", "--insecure-listen"],
        &tls,
        &worker,
    ] {
        assert!(app::prepare(&flags_of(flags)).is_ok(), "{flags:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_without_tls_says_so_loudly() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(env!("CARGO_BIN_EXE_carryover"))
        .args(["serve", "--listen", "0.0.0.0:0", "--data-dir", text(folder.path())])
        .env("CARRYOVER_INSECURE_LISTEN", "true")
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut told = Vec::new();
    while let Some(line) = lines.next_line().await.expect("text") {
        told.push(line);
        if told.last().is_some_and(|line| line.contains("serves gRPC on ")) {
            break;
        }
    }
    let warned = told.iter().filter(|line| line.contains("WARN") && line.contains("INSECURE"));
    assert_eq!(warned.count(), 1, "{told:?}");
    child.kill().await.expect("ends");
}
