//! The internet of a test: a name server, a web server, and a guard that may reach them.

use std::time::Duration;

use bytes::Bytes;
use carryover::guard::{Answer, Ask, FetchError, Guard, Policy};

use crate::{
    fake_dns::{A, Dns, Question, Reply},
    fake_origin::{Identity, Origin, Step},
};

/// The address that may be asked; all others of loopback are as private as they are.
pub const HOME: [u8; 4] = [127, 0, 0, 1];
/// One that may not, though somebody listens.
pub const PRIVATE: [u8; 4] = [127, 0, 0, 2];

pub struct Outside {
    pub dns: Dns,
    pub origin: Origin,
}

impl Outside {
    /// Every name is at home, and a request is answered by the script.
    pub async fn answering(script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::start(at_home, script).await
    }

    /// Names are where the script says, and every request is answered with `hello`.
    pub async fn named(names: impl Fn(&Question) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(names, |_| ok("hello")).await
    }

    pub async fn start(
        names: impl Fn(&Question) -> Reply + Send + Sync + 'static,
        script: impl Fn(&str) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let origin = Origin::start(Identity::good(), script).await;
        Self { dns: Dns::start(names).await, origin }
    }

    /// A policy under which home may be asked, with time enough for a loaded machine.
    pub fn policy(&self) -> Policy {
        Policy {
            ports: vec![self.origin.port],
            allow: vec!["127.0.0.1/32".parse().expect("range")],
            connect_timeout: Duration::from_secs(40),
            total_time: Duration::from_secs(60),
            name_servers: Some(vec![self.dns.address]),
            root_certificates: Some(self.origin.roots.clone()),
            ..Policy::default()
        }
    }

    /// Flags of a server that may reach this internet, and the file of certificates they name.
    pub fn flags(&self) -> (Vec<String>, tempfile::NamedTempFile) {
        let roots = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(roots.path(), &self.origin.roots).expect("written");
        let flags = vec![
            format!("--fetch-port={}", self.origin.port),
            "--fetch-allow=127.0.0.1/32".to_owned(),
            format!("--fetch-dns={}", self.dns.address),
            format!("--fetch-roots={}", roots.path().display()),
        ];
        (flags, roots)
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://media.example.com:{}{path}", self.origin.port)
    }

    /// Fetches under the usual policy.
    pub async fn fetch(&self, url: &str) -> Result<Fetched, FetchError> {
        fetch(self.policy(), url, plain_ask()).await
    }

    /// Fetches the usual URL.
    pub async fn fetch_usual(&self) -> Result<Fetched, FetchError> {
        self.fetch(&self.url("/front.jpg")).await
    }
}

/// An answer, and the whole body.
#[derive(Debug)]
pub struct Fetched {
    pub answer: Answer,
    pub bytes: Vec<u8>,
}

pub fn plain_ask() -> Ask {
    Ask { max_bytes: 1024 * 1024, ..Ask::default() }
}

pub async fn fetch(policy: Policy, url: &str, ask: Ask) -> Result<Fetched, FetchError> {
    let guard = Guard::new(policy).expect("a guard");
    let mut answer = guard.get(url, ask).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.body.chunk().await? {
        bytes.extend(Bytes::as_ref(&chunk));
    }
    Ok(Fetched { answer, bytes })
}

/// Every name is at home.
pub fn at_home(question: &Question) -> Reply {
    if question.kind == A { Reply::a(&[HOME]) } else { Reply::none() }
}

/// A response of these lines, with a blank one behind them.
pub fn head(lines: &[&str]) -> Step {
    Step::Send(format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes())
}

pub fn ok(body: impl AsRef<[u8]>) -> Vec<Step> {
    let body = body.as_ref();
    vec![head(&["HTTP/1.1 200 OK", &format!("Content-Length: {}", body.len())]), Step::Send(body.to_vec())]
}

/// A response of this status line and header, and nothing behind them.
pub fn no(status: &str, header: &str) -> Vec<Step> {
    vec![head(&[&format!("HTTP/1.1 {status}"), "Content-Length: 0", header])]
}

pub fn redirect(status: u16, location: &str) -> Vec<Step> {
    let status = format!("HTTP/1.1 {status} Elsewhere");
    vec![head(&[&status, "Content-Length: 0", &format!("Location: {location}")])]
}

/// The host a request is for, without its port.
pub fn host(request: &str) -> &str {
    let line = request.lines().find_map(|line| line.strip_prefix("host: ").or(line.strip_prefix("Host: ")));
    line.unwrap_or_default().split(':').next().unwrap_or_default()
}

/// The path a request is for.
pub fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or_default()
}
