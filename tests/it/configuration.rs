//! Settings: from flags, variables and a file (P001, P008 of the security cases), and what is told of them.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Output, Stdio},
};

use carryover::grpc::{client::Client, pb};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::{
    harness::{ADMIN_KEY, Database, new_database},
    on_both_databases,
};

on_both_databases!(a_server_and_its_companions_read_the_same_file);

const SECRET: &str = "S3CRET-MARKER";

/// A folder in which the program runs with no variables but those that are named.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_carryover"));
        command.args(arguments).env_clear().envs(variables.iter().copied()).current_dir(self.0.path());
        command
    }

    pub async fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        self.command(arguments, variables).output().await.expect("it runs")
    }

    /// Standard output of a run that ends well.
    async fn out(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let output = self.run(arguments, variables).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What a run that ends with `code` complains of, line by line.
    pub async fn complaints(&self, arguments: &[&str], variables: &[(&str, &str)], code: i32) -> Vec<String> {
        let output = self.run(arguments, variables).await;
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
        error.lines().map(str::to_owned).collect()
    }
}

/// Keys of a printed file with their values and sources.
fn settings(printed: &str) -> BTreeMap<String, (String, String)> {
    let setting = |line: &str| {
        let (key, rest) = line.split_once(" = ")?;
        let (value, source) = rest.rsplit_once("  # ")?;
        Some((key.to_owned(), (value.to_owned(), source.to_owned())))
    };
    printed.lines().filter_map(setting).collect()
}

/// One complaint holds all of `words`.
fn assert_told(complaints: &[String], words: &[&str]) {
    let holds = |line: &&String| words.iter().all(|word| line.contains(word));
    assert!(complaints.iter().any(|line| holds(&line)), "nothing of {words:?} in {complaints:#?}");
}

#[tokio::test]
async fn flags_come_before_variables_before_the_file() {
    let folder = Folder::new();
    folder.write(
        "c.toml",
        r#"
listen = "127.0.0.1:1111"
max-rows = 1_000
max-columns = 0x10
max-cell-bytes = "64KiB"
role = 'all'
fetch-port = [443, 8443]
fetch-deny = ["203.0.113.0/24", "2001:db8::/32"]
no-reflection = true
trace-sample-ratio = 0.25
"#,
    );
    let flags = ["--config", "c.toml", "--max-rows", "3000", "--fetch-deny", "198.51.100.0/24"];
    let variables = [
        ("CARRYOVER_MAX_ROWS", "2000"),
        ("CARRYOVER_MAX_COLUMNS", "20"),
        ("CARRYOVER_NO_REFLECTION", "no"),
        ("CARRYOVER_FETCH_DENY_HOSTS", "a.example,b.example"),
    ];
    let printed = folder.out(&[&["config", "print"][..], &flags].concat(), &variables).await;
    let settings = settings(&printed);
    for (key, value, source) in [
        ("listen", "\"127.0.0.1:1111\"", "file c.toml:2"),
        ("max-rows", "3000", "flag"),
        ("max-columns", "20", "environment variable CARRYOVER_MAX_COLUMNS"),
        ("max-cell-bytes", "\"64KiB\"", "file c.toml:5"),
        ("max-row-bytes", "\"1MiB\"", "default"),
        ("fetch-port", "[443, 8443]", "file c.toml:7"),
        ("fetch-deny", "[\"198.51.100.0/24\"]", "flag"),
        ("trace-sample-ratio", "0.25", "file c.toml:10"),
        ("no-reflection", "false", "environment variable CARRYOVER_NO_REFLECTION"),
        (
            "fetch-deny-host",
            "[\"a.example\", \"b.example\"]",
            "environment variable CARRYOVER_FETCH_DENY_HOSTS",
        ),
    ] {
        assert_eq!(settings[key], (value.to_owned(), source.to_owned()), "{key} in\n{printed}");
    }
    assert!(printed.contains("\n# tls-cert is not set\n"), "{printed}");

    let of_file = folder.out(&["config", "print"], &[("CARRYOVER_CONFIG", "c.toml")]).await;
    assert!(of_file.contains("no-reflection = true  # file c.toml:9"), "{of_file}");
    assert!(of_file.contains("max-columns = 16  # file c.toml:4"), "{of_file}");

    // What is printed says the same again, and is in order.
    folder.write("again.toml", &printed);
    let again = folder.out(&["config", "print", "--config", "again.toml"], &[]).await;
    let values = |settings: &BTreeMap<String, (String, String)>| -> Vec<_> {
        settings.iter().map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    };
    assert_eq!(values(&self::settings(&again)), values(&settings));
    assert_eq!(
        folder.out(&["config", "check", "--config", "again.toml"], &[]).await,
        "a server can use these settings\n"
    );
}

#[tokio::test]
async fn all_that_is_wrong_with_a_file_is_told_with_its_place() {
    let folder = Folder::new();
    folder.write(
        "c.toml",
        &format!(
            r#"
max_rows = 5
max-upload-byte = "1GiB"
max-cell-bytes = "10MB"
max-columns = "many"
max-streams = -5
database-connections = 0
database-url = ["{SECRET}"]
max-rows = 99999999999999999999999999999999999999999999
role = "boss"
no-reflection = "yes"
fetch-port = 443
fetch-deny = ["10.0.0.0/99"]
fetch-dns = []
log-format = true
media-seconds = 1.5
tls-cert = ""
config = "another.toml"
[limits]
max-row-bytes = 5
"#
        ),
    );
    let variables = [("CARRYOVER_CONFIG", "c.toml"), ("CARRYOVER_MAX_JSON_DEPTH", "deep")];
    for command in [&["serve"][..], &["doctor"], &["migrate"], &["config", "check"], &["config", "print"]] {
        let complaints = folder.complaints(command, &variables, 2).await;
        for words in [
            &["c.toml:2:", "max_rows", "is max-rows meant?"][..],
            &["c.toml:3:", "max-upload-byte ", "is max-upload-bytes meant?"],
            &["c.toml:4:", "max-cell-bytes", "10MB", "use KiB, MiB or GiB"],
            &["c.toml:5:", "max-columns", "many"],
            &["c.toml:6:", "max-streams", "-5"],
            &["c.toml:7:", "database-connections", "0 is not in 1.."],
            &["c.toml:8:", "database-url", "a string or a number"],
            &["c.toml:9:", "max-rows", "too large"],
            &["c.toml:10:", "role", "boss", "all or api or worker"],
            &["c.toml:11:", "no-reflection", "true or false"],
            &["c.toml:12:", "fetch-port", "a list"],
            &["c.toml:13:", "fetch-deny", "10.0.0.0/99"],
            &["c.toml:14:", "fetch-dns", "one at least"],
            &["c.toml:15:", "log-format", "a string"],
            &["c.toml:16:", "media-seconds", "1.5"],
            &["c.toml:17:", "tls-cert", "a value is needed"],
            &["c.toml:18:", "config is no setting"],
            &["c.toml:19:", "limits is a table"],
        ] {
            assert_told(&complaints, words);
        }
        let of_variable =
            complaints.iter().any(|line| line.contains("environment variable CARRYOVER_MAX_JSON_DEPTH"));
        assert_eq!(of_variable, command != ["migrate"], "it has no such setting: {complaints:#?}");
        assert_eq!(complaints.len(), 18 + usize::from(of_variable), "one line each: {complaints:#?}");
        assert!(!complaints.join("\n").contains(SECRET), "{complaints:#?}");
    }
    assert!(!folder.path("data").exists(), "nothing is begun");
}

#[tokio::test]
async fn a_file_that_is_none_is_told() {
    let folder = Folder::new();
    folder.write(
        "torn.toml",
        &format!("max-rows = 5\ndatabase-url = \"postgres://u:{SECRET}@h/d\nrole = \"all\"\n"),
    );
    folder.write("twice.toml", "max-rows = 5\nmax-rows = 6\n");
    std::fs::write(folder.path("latin.toml"), b"log = \"\xe9\"\n").expect("written");
    folder.write("large.toml", &"# more\n".repeat(200_000));
    for (file, words) in [
        ("none.toml", &["none.toml", "No such file"][..]),
        (".", &["read .", "directory"]),
        ("torn.toml", &["torn.toml:2:"]),
        ("twice.toml", &["twice.toml:2:", "duplicate"]),
        ("latin.toml", &["latin.toml", "UTF-8"]),
        ("large.toml", &["large.toml", "1 MiB"]),
    ] {
        let complaints = folder.complaints(&["serve", "--config", file], &[], 2).await;
        assert_told(&complaints, words);
        assert!(!complaints.join("\n").contains(SECRET), "{complaints:#?}");
    }
}

/// Flags that need each other do so wherever they stand.
#[tokio::test]
async fn rules_among_flags_hold_for_the_file() {
    let folder = Folder::new();
    folder.write("c.toml", "tls-cert = \"cert.pem\"\n");
    let alone = folder.complaints(&["serve", "--config", "c.toml"], &[], 2).await;
    assert_told(&alone, &["--tls-key"]);
    let both = ["config", "check", "--config", "c.toml", "--tls-key", "key.pem"];
    let complaints = folder.complaints(&both, &[], 2).await;
    assert_told(&complaints, &["cert.pem", "No such file"]);
    let help = folder.out(&["serve", "--config", "none.toml", "--help"], &[]).await;
    assert!(help.contains("--config"), "{help}");
}

#[tokio::test]
async fn secrets_are_in_nothing_that_is_printed() {
    let folder = Folder::new();
    let url = format!("postgres://user:{SECRET}@no-such-host.invalid/db");
    let key = format!("{SECRET}-{SECRET}-{SECRET}");
    folder.write("c.toml", &format!("database-url = \"{url}\"\nadmin-key = \"{key}\"\n"));
    let variables = [("CARRYOVER_DATABASE_URL", url.as_str()), ("CARRYOVER_ADMIN_KEY", &key)];
    let flags = ["--database-url", url.as_str(), "--admin-key", &key];
    for (flags, variables, source) in [
        (&["--config", "c.toml"][..], &[][..], "file c.toml:1"),
        (&[], &variables[..], "environment variable CARRYOVER_DATABASE_URL"),
        (&flags, &[], "flag"),
    ] {
        for command in ["print", "check"] {
            let output = folder.run(&[&["config", command][..], flags].concat(), variables).await;
            let shown = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !shown.contains(SECRET), "{shown}");
            let hidden = format!("# database-url is hidden ({source})\n");
            assert_eq!(shown.contains(&hidden), command == "print", "{shown}");
        }
    }
}

/// A key that is too short, that nobody looks up, or that no header carries; the rule is told, the key is not.
#[tokio::test]
async fn an_admin_key_that_cannot_be_one_is_refused() {
    let folder = Folder::new();
    let long = format!("{SECRET}{}", "x".repeat(256));
    let torn = format!("{SECRET} {}", "x".repeat(32));
    let foreign = format!("{SECRET}ä{}", "x".repeat(32));
    for key in [SECRET, &long, &torn, &foreign] {
        for (flags, variables) in
            [(&["--admin-key", key][..], &[][..]), (&[], &[("CARRYOVER_ADMIN_KEY", key)])]
        {
            for (command, code) in [(&["config", "check"][..], 2), (&["serve"], 1)] {
                let complaints = folder.complaints(&[command, flags].concat(), variables, code).await;
                assert_told(&complaints, &["--admin-key", "32 to 256 visible ASCII characters"]);
                assert!(!complaints.join("\n").contains(SECRET), "{complaints:#?}");
            }
        }
    }
    assert!(!folder.path("data").exists(), "nothing is begun");
    let fine = "x".repeat(32);
    folder.out(&["config", "check", "--admin-key", &fine], &[]).await;
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_told_together() {
    let folder = Folder::new();
    let wrong = [
        "--role",
        "api",
        "--max-row-bytes",
        "5MiB",
        "--listen",
        "127.0.0.1:5555",
        "--metrics-listen",
        "127.0.0.1:5555",
        "--fetch-roots",
        "none.pem",
        "--encryption-keys",
        "none.keys",
    ];
    let complaints = folder.complaints(&[&["config", "check"][..], &wrong].concat(), &[], 2).await;
    let faults = [
        &["--role", "--database-url"][..],
        &["--max-row-bytes", "4MiB"],
        &["--listen", "--metrics-listen"],
        &["--fetch-roots", "No such file"],
        &["--encryption-keys", "No such file"],
    ];
    faults.iter().for_each(|words| assert_told(&complaints, words));
    assert_eq!(complaints.len(), faults.len() + 1, "{complaints:#?}");
    let refused = folder.complaints(&[&["serve"][..], &wrong].concat(), &[], 1).await;
    faults.iter().for_each(|words| assert_told(&refused, words));
    assert!(!folder.path("data").exists(), "nothing is begun");

    let odd = [
        "config",
        "check",
        "--max-message-bytes",
        "256KiB",
        "--max-rows",
        "10",
        "--max-rows-per-day",
        "9",
        "--max-image-bytes",
        "2MiB",
        "--max-media-bytes",
        "1MiB",
        "--max-connections",
        "5",
        "--max-calls",
        "5",
        "--fetch-allow",
        "169.254.169.254",
        "--fetch-allow",
        "127.0.0.0/8",
        "--fetch-allow",
        "10.0.0.0/8",
    ];
    let warnings =
        folder.complaints(&odd, &[("CARRYOVER_MAX_ROWZ", "5"), ("CARRYOVER_PORT", "tcp://")], 0).await;
    for words in [
        &["warning", "--max-message-bytes", "256KiB"][..],
        &["warning", "--max-rows-per-day"],
        &["warning", "--max-image-bytes", "--max-media-bytes"],
        &["warning", "--max-connections-per-peer"],
        &["warning", "--max-calls-per-application"],
        &["warning", "CARRYOVER_MAX_ROWZ", "is CARRYOVER_MAX_ROWS meant?"],
        // P005.
        &["warning", "--fetch-allow 169.254.169.254/32", "169.254.0.0/16", "metadata"],
        &["warning", "--fetch-allow 127.0.0.0/8", "loopback"],
    ] {
        assert_told(&warnings, words);
    }
    assert_eq!(warnings.len(), 8, "{warnings:#?}");
}

/// What `config check` says of variables and ranges a server's log says, once.
#[tokio::test]
async fn a_start_tells_what_may_surprise() {
    let folder = Folder::new();
    let flags = ["serve", "--listen", "127.0.0.1:0", "--fetch-allow", "169.254.0.0/16", "--data-dir", "d"];
    let mut serve = folder.command(&flags, &[("CARRYOVER_MAX_ROWZ", "5")]);
    let mut child = serve.stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut told = Vec::new();
    loop {
        let line = lines.next_line().await.expect("text").expect("it says where it listens");
        if line.contains("serves gRPC on ") {
            break;
        }
        told.push(line);
    }
    for words in ["CARRYOVER_MAX_ROWZ", "--fetch-allow 169.254.0.0/16"] {
        assert_eq!(told.iter().filter(|line| line.contains(words)).count(), 1, "{words} in {told:#?}");
    }
}

async fn a_server_and_its_companions_read_the_same_file(database: Database) {
    let folder = Folder::new();
    let url = match database {
        Database::Sqlite => String::new(),
        Database::Postgres => format!("database-url = \"{}\"\n", new_database().await),
    };
    let own = format!("admin-key = \"{ADMIN_KEY}\"\nlisten = \"127.0.0.1:0\"\nwrites-per-minute = 1\n");
    let own = own + "encryption-keys = \"keys\"\n";
    folder.write("keys", &format!("first:{}\n", "5a".repeat(32)));
    folder.write("c.toml", &format!("{url}{own}data-dir = \"here\"\n"));
    let migrated = folder.complaints(&["migrate", "--config", "c.toml"], &[], 0).await;
    assert_told(&migrated, &["up to date"]);
    assert_eq!(folder.path("here/carryover.db").exists(), database == Database::Sqlite);
    let resealed = folder.out(&["reseal", "--config", "c.toml"], &[]).await;
    assert!(resealed.starts_with("resealed 0"), "there is nothing as yet: {resealed}");
    assert!(
        folder.path("here/objects").exists() && !folder.path("data").exists(),
        "it looked in the right place"
    );
    let said = folder.out(&["doctor", "--config", "c.toml"], &[]).await;
    assert!(said.contains("the schema is this version's"), "{said}");

    let mut serve = folder.command(&["serve", "--config", "c.toml"], &[]);
    let mut child = serve.stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let address = loop {
        let line = lines.next_line().await.expect("text").expect("it says where it listens");
        if let Some((_, rest)) = line.split_once("serves gRPC on ") {
            break rest.split(' ').next().expect("an address").to_owned();
        }
    };
    let admin = Client::connect(&address, ADMIN_KEY).await.expect("the key is the file's");
    let request = pb::CreateApplicationRequest { name: "t".into(), enable_imports: true, sandbox: false };
    admin.admin().create_application(request.clone()).await.expect("one a minute");
    let refused = admin.admin().create_application(request).await.expect_err("the bound is the file's");
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused:?}");
}

#[tokio::test]
async fn the_page_is_that_of_the_flags() {
    let page = Folder::new().out(&["config", "page"], &[("CARRYOVER_LISTEN", "127.0.0.1:9")]).await;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(page == kept, "run `cargo run -- config page > docs/configuration.md`");
}
