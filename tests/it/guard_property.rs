//! For any URL, any answers of its name server and any redirect: nobody is connected to but who may be.

use std::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use carryover::guard::{Guard, Policy};
use proptest::{collection::vec, prelude::*, sample::select};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    fake_dns::{A, Question, Record, Reply},
    outside::{HOME, Outside, ok, plain_ask, redirect},
};

/// What the name server answers to both of its questions.
type Answers = Vec<IpAddr>;

/// Hosts as an attacker writes them: names, and addresses in every notation there is.
fn host() -> impl Strategy<Value = String> {
    let address = select(vec![
        "127.0.0.1",
        "127.0.0.3",
        "127.1",
        "127.3",
        "2130706435",
        "0x7f000003",
        "0177.0.0.3",
        "127.0.0.3.",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.3]",
        "[::127.0.0.3]",
        "[64:ff9b::7f00:3]",
        "[2002:7f00:3::1]",
        "[fe80::1%25lo]",
        "①②⑦.⓪.⓪.③",
        "127。0。0。3",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "x.localhost",
        "ip6-localhost",
        "intranet",
    ]);
    let name = select(vec![
        "media.example.com",
        "a.example.com",
        "MEDIA.EXAMPLE.COM.",
        "example.net",
        "127.0.0.3.example.com",
    ]);
    let user = select(vec!["", "", "", "127.0.0.3@", "media.example.com@", "a:b@"]);
    (user, prop_oneof![address, name]).prop_map(|(user, host)| format!("{user}{host}"))
}

/// A URL of such a host; `PORT` stands for that of the web server.
fn url() -> impl Strategy<Value = String> {
    let scheme = select(vec![
        "https://",
        "https://",
        "https://",
        "https://",
        "HTTPS://",
        "http://",
        "https:",
        "https:\\\\",
        "//",
        "",
    ]);
    let port = select(vec![":PORT", ":PORT", ":PORT", "", ":443", ":80", ":0PORT"]);
    let path = select(vec!["/front.jpg", "/", "", "?a=b", "#c", "/@127.0.0.3/", "/%2e%2e/"]);
    (scheme, host(), port, path).prop_map(|(scheme, host, port, path)| format!("{scheme}{host}{port}{path}"))
}

fn answers() -> impl Strategy<Value = Answers> {
    let home = IpAddr::from(HOME);
    let others =
        ["127.0.0.3", "::1", "::ffff:127.0.0.3", "10.0.0.1", "169.254.169.254", "64:ff9b::7f00:3", "fe80::1"];
    let address = prop_oneof![
        3 => Just(home),
        1 => select(others.to_vec()).prop_map(|text| text.parse().expect("an address")),
    ];
    vec(address, 0..4)
}

/// Listeners at addresses that may not be asked, at the port that may, and how often they were reached.
async fn traps(port: u16) -> (Arc<AtomicUsize>, JoinSet<()>) {
    let reached = Arc::<AtomicUsize>::default();
    let mut tasks = JoinSet::new();
    for address in [IpAddr::from(Ipv4Addr::new(127, 0, 0, 3)), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        // A machine without IPv6 has nobody to reach there.
        let Ok(listener) = TcpListener::bind(SocketAddr::new(address, port)).await else { continue };
        let reached = reached.clone();
        tasks.spawn(async move {
            while listener.accept().await.is_ok() {
                reached.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    assert!(!tasks.is_empty(), "somebody listens where nobody may ask");
    (reached, tasks)
}

fn reply(answers: &[IpAddr], question: &Question) -> Reply {
    let of_kind = |address: &IpAddr| match address {
        IpAddr::V4(v4) => (question.kind == A).then_some(Record::A(*v4)),
        IpAddr::V6(v6) => (question.kind != A).then_some(Record::Aaaa(*v6)),
    };
    Reply::Records(answers.iter().filter_map(of_kind).collect())
}

#[test]
fn nobody_is_connected_to_but_who_may_be() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let script = Arc::new(Mutex::new((Answers::new(), String::new())));
    let (names, pages) = (script.clone(), script.clone());
    let outside = runtime.block_on(Outside::start(
        move |question| reply(&names.lock().expect("answers").0, question),
        move |_| match &pages.lock().expect("a redirect").1 {
            none if none.is_empty() => ok("hello"),
            location => redirect(302, location),
        },
    ));
    let port = outside.origin.port.to_string();
    let (reached, _traps) = runtime.block_on(traps(outside.origin.port));
    // Nobody listens at port 443 of home.
    let ports = vec![outside.origin.port, 443];
    let policy = Policy { ports, connect_timeout: Duration::from_secs(20), ..outside.policy() };
    let guard = Guard::new(policy).expect("a guard");
    let fetched = Cell::new(0);

    let config = ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let run =
        runner.run(&(url(), answers(), prop_oneof![Just(String::new()), url()]), |(url, answers, next)| {
            let home_only =
                !answers.is_empty() && answers.iter().all(|address| *address == IpAddr::from(HOME));
            *script.lock().expect("a script") = (answers, next.replace("PORT", &port));
            let before = outside.origin.connections();
            let answer = runtime.block_on(guard.get(&url.replace("PORT", &port), plain_ask()));
            let connections = outside.origin.connections() - before;
            prop_assert_eq!(reached.load(Ordering::SeqCst), 0, "a forbidden address was reached");
            if connections > 0 {
                // Home may be asked by its address, or by a name that is there and nowhere else.
                let by_address =
                    ["//127.0.0.1", "//127.1"].iter().any(|text| url.contains(text) || next.contains(text));
                prop_assert!(home_only || by_address, "{} connections", connections);
            }
            fetched.set(fetched.get() + usize::from(answer.is_ok()));
            Ok(())
        });
    run.unwrap_or_else(|error| panic!("{error}"));
    assert!(fetched.get() > 0, "some of them are fetched");
}
