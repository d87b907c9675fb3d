//! Names and where they lead: one private address refuses a name, and a lookup is used once.

use std::{net::Ipv6Addr, time::Duration};

use carryover::guard::{FetchError, Policy, Refused};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::{
    fake_dns::{A, AAAA, Dns, Question, Record, Reply},
    outside::{HOME, Outside, PRIVATE, at_home, fetch, plain_ask},
};

const ADDRESS: FetchError = FetchError::Refused(Refused::Address);
const HOST: FetchError = FetchError::Refused(Refused::Host);

async fn refused(names: impl Fn(&Question) -> Reply + Send + Sync + 'static, expected: FetchError, id: &str) {
    let outside = Outside::named(names).await;
    let error = outside.fetch_usual().await.expect_err(id);
    assert_eq!(error, expected, "{id}");
    assert_eq!(outside.origin.connections(), 0, "{id}: no socket");
}

fn v6(text: &str) -> Record {
    Record::Aaaa(text.parse::<Ipv6Addr>().expect("address"))
}

fn cname(owner: &str, target: &str) -> Record {
    Record::Of(owner.to_owned(), Box::new(Record::Cname(target.to_owned())))
}

fn a_of(owner: &str, address: [u8; 4]) -> Record {
    Record::Of(owner.to_owned(), Box::new(Record::A(address.into())))
}

#[tokio::test]
async fn b001_b021_a_private_address_is_refused() {
    refused(|q| if q.kind == A { Reply::a(&[PRIVATE]) } else { Reply::none() }, ADDRESS, "B001").await;
    refused(|q| if q.kind == A { Reply::a(&[[10, 0, 0, 1]]) } else { Reply::none() }, ADDRESS, "B021").await;
}

#[tokio::test]
async fn b002_b004_private_ipv6_is_refused_alone_or_beside_a_good_one() {
    let loopback = |q: &Question| {
        if q.kind == AAAA { Reply::Records(vec![v6("::1")]) } else { Reply::none() }
    };
    refused(loopback, ADDRESS, "B002").await;
    for private in ["fd00::1", "::ffff:10.0.0.1", "64:ff9b::808:808"] {
        let mixed = move |q: &Question| {
            if q.kind == A { Reply::a(&[HOME]) } else { Reply::Records(vec![v6(private)]) }
        };
        refused(mixed, ADDRESS, private).await;
    }
}

#[tokio::test]
async fn b003_one_private_address_refuses_the_name() {
    refused(|q| if q.kind == A { Reply::a(&[HOME, PRIVATE]) } else { Reply::none() }, ADDRESS, "B003").await;
}

#[tokio::test]
async fn b006_names_that_stand_for_others_are_followed_to_the_end() {
    let one_by_one = |address: [u8; 4]| {
        move |q: &Question| match (q.name.as_str(), q.kind) {
            ("media.example.com", _) => Reply::Records(vec![Record::Cname("b.example.net".to_owned())]),
            ("b.example.net", _) => Reply::Records(vec![Record::Cname("c.example.net".to_owned())]),
            (_, A) => Reply::a(&[address]),
            _ => Reply::none(),
        }
    };
    refused(one_by_one(PRIVATE), ADDRESS, "B006 one by one").await;
    let at_once = |address: [u8; 4]| {
        move |q: &Question| match q.kind {
            A => Reply::Records(vec![
                cname("media.example.com", "b.example.net"),
                cname("b.example.net", "c.example.net"),
                a_of("c.example.net", address),
            ]),
            _ => Reply::none(),
        }
    };
    refused(at_once(PRIVATE), ADDRESS, "B006 at once").await;
    for outside in [Outside::named(one_by_one(HOME)).await, Outside::named(at_once(HOME)).await] {
        assert_eq!(outside.fetch_usual().await.expect("served").bytes, b"hello");
    }
}

#[tokio::test]
async fn b007_names_that_stand_for_private_ones_are_refused() {
    // The resolver knows by itself where localhost is.
    for (target, expected) in [("localhost", ADDRESS), ("metadata.google.internal", HOST)] {
        let names = move |q: &Question| match (q.name.as_str(), q.kind) {
            ("media.example.com", _) => Reply::Records(vec![Record::Cname(target.to_owned())]),
            (_, A) => Reply::a(&[HOME]),
            _ => Reply::none(),
        };
        refused(names, expected, target).await;
    }
}

#[tokio::test]
async fn b008_chains_of_names_without_end_have_no_address() {
    let in_a_ring = |q: &Question| {
        let other = if q.name == "media.example.com" { "b.example.com" } else { "media.example.com" };
        Reply::Records(vec![Record::Cname(other.to_owned())])
    };
    refused(in_a_ring, FetchError::DnsNotFound, "B008 a ring").await;
    let deep = |q: &Question| match q.name.strip_prefix('n').and_then(|rest| rest.split_once('.')) {
        Some(("50", _)) if q.kind == A => Reply::a(&[HOME]),
        Some((n, _)) if n.parse::<u32>().is_ok() => {
            let next = n.parse::<u32>().expect("a number") + 1;
            Reply::Records(vec![Record::Cname(format!("n{next}.example.com"))])
        }
        _ => Reply::Records(vec![Record::Cname("n1.example.com".to_owned())]),
    };
    refused(deep, FetchError::DnsNotFound, "B008 fifty names").await;
}

#[tokio::test]
async fn b009_b010_every_question_looks_up_once_and_is_judged_anew() {
    let outside = Outside::named(|q| match (q.kind, q.before) {
        (A, 0) => Reply::a(&[HOME]),
        (A, _) => Reply::a(&[PRIVATE]),
        _ => Reply::none(),
    })
    .await;
    assert_eq!(outside.fetch_usual().await.expect("served").bytes, b"hello");
    assert_eq!(outside.dns.lookups("media.example.com"), 1, "one lookup for one connection");
    assert_eq!(outside.fetch_usual().await.expect_err("refused"), ADDRESS);
    assert_eq!(outside.origin.connections(), 1);
    let kinds: Vec<_> = outside.dns.asked().into_iter().map(|(_, kind)| kind).collect();
    assert!(kinds.iter().all(|kind| matches!(*kind, A | AAAA)), "B025: nothing else is asked: {kinds:?}");
}

#[tokio::test]
async fn b009_one_guard_keeps_no_answer() {
    let outside = Outside::named(|q| match (q.kind, q.before) {
        (A, 0) => Reply::a(&[HOME]),
        (A, _) => Reply::a(&[PRIVATE]),
        _ => Reply::none(),
    })
    .await;
    let guard = carryover::guard::Guard::new(outside.policy()).expect("a guard");
    drop(guard.get(&outside.url("/"), plain_ask()).await.expect("served"));
    assert_eq!(guard.get(&outside.url("/"), plain_ask()).await.map(drop), Err(ADDRESS));
}

/// Names that the machine's hosts file has lead where the name server says, or nowhere.
#[tokio::test]
async fn b020_the_hosts_file_is_not_read() {
    let hosts = std::fs::read_to_string("/etc/hosts").expect("a hosts file");
    let names =
        hosts.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace().skip(1));
    let outside = Outside::named(|_| Reply::Code(3)).await;
    for name in names {
        let error = outside.fetch(&format!("https://{name}:{}/", outside.origin.port)).await.expect_err(name);
        match error {
            FetchError::Refused(_) => {}
            error => {
                assert_eq!(error, FetchError::DnsNotFound, "{name}");
                assert_eq!(outside.dns.lookups(&name.to_lowercase()), 1, "{name} is asked for");
            }
        }
    }
    assert_eq!(outside.origin.connections(), 0);
}

/// Nothing is kept of names that are not there, so they take no memory, however many they are.
#[tokio::test]
async fn b027_names_that_are_not_found_are_forgotten() {
    let outside = Outside::named(|_| Reply::Code(3)).await;
    let guard = carryover::guard::Guard::new(outside.policy()).expect("a guard");
    for name in (0..200).chain(0..200) {
        let url = format!("https://n{name}.example.com:{}/", outside.origin.port);
        assert_eq!(guard.get(&url, plain_ask()).await.map(drop), Err(FetchError::DnsNotFound));
    }
    for name in 0..200 {
        assert_eq!(outside.dns.lookups(&format!("n{name}.example.com")), 2, "n{name} is asked for anew");
    }
}

#[tokio::test]
async fn b013_names_without_addresses_are_not_found() {
    refused(|_| Reply::Code(3), FetchError::DnsNotFound, "NXDOMAIN").await;
    refused(|_| Reply::none(), FetchError::DnsNotFound, "empty").await;
    assert!(!FetchError::DnsNotFound.is_transient());
}

#[tokio::test]
async fn b014_servers_that_cannot_say_may_be_asked_again() {
    refused(|_| Reply::Code(2), FetchError::DnsFailed, "SERVFAIL").await;
    refused(|_| Reply::Code(5), FetchError::DnsFailed, "REFUSED").await;
    let half = |q: &Question| if q.kind == A { Reply::Code(2) } else { Reply::none() };
    refused(half, FetchError::DnsFailed, "SERVFAIL beside nothing").await;
    assert!(FetchError::DnsFailed.is_transient());
    let outside = Outside::named(|q| if q.kind == A { Reply::a(&[HOME]) } else { Reply::Code(2) }).await;
    assert_eq!(outside.fetch_usual().await.expect("IPv4 is enough").bytes, b"hello");
}

#[tokio::test]
async fn b028_without_a_name_server_nothing_is_looked_up() {
    let outside = Outside::named(at_home).await;
    let policy = Policy { name_servers: Some(Vec::new()), ..outside.policy() };
    let error = fetch(policy, &outside.url("/"), plain_ask()).await.expect_err("nobody to ask");
    assert_eq!(error, FetchError::DnsFailed);
}

#[tokio::test]
async fn b015_a_silent_server_is_waited_for_within_the_budget() {
    let outside = Outside::named(|_| Reply::Silent).await;
    let policy = Policy { connect_timeout: Duration::from_millis(400), ..outside.policy() };
    let error = fetch(policy, &outside.url("/"), plain_ask()).await.expect_err("nobody answers");
    assert!(matches!(error, FetchError::DnsFailed | FetchError::Timeout), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn b016_a_truncated_answer_is_asked_for_over_tcp() {
    let outside = Outside::named(|q| match (q.kind, q.over_tcp) {
        (_, false) => Reply::Truncated,
        (A, true) => Reply::a(&[HOME]),
        _ => Reply::none(),
    })
    .await;
    assert_eq!(outside.fetch_usual().await.expect("served").bytes, b"hello");
}

#[tokio::test]
async fn b017_of_thousands_of_addresses_all_are_judged() {
    let many = |last: [u8; 4]| {
        move |q: &Question| match q.kind {
            A => {
                let mut all = vec![Record::A(HOME.into()); 3_999];
                all.push(Record::A(last.into()));
                Reply::Records(all)
            }
            _ => Reply::none(),
        }
    };
    refused(many(PRIVATE), ADDRESS, "B017").await;
    let outside = Outside::named(many(HOME)).await;
    assert_eq!(outside.fetch_usual().await.expect("served").bytes, b"hello");
}

#[tokio::test]
async fn b018_answers_to_other_questions_are_ignored() {
    let outside = Outside::named(|q| match q.kind {
        A => Reply::Forged(vec![Record::A(PRIVATE.into())], vec![Record::A(HOME.into())]),
        _ => Reply::none(),
    })
    .await;
    // A forgery may cost the lookup, but it is never believed.
    match outside.fetch_usual().await {
        Ok(fetched) => assert_eq!(fetched.bytes, b"hello"),
        Err(error) => assert_eq!(error, FetchError::DnsFailed),
    }
    let other = |q: &Question| match q.kind {
        A => Reply::Records(vec![a_of("other.example.net", HOME)]),
        _ => Reply::none(),
    };
    let outside = Outside::named(other).await;
    assert!(outside.fetch_usual().await.is_err(), "an address of another name");
    assert_eq!(outside.origin.connections(), 0);
}

#[tokio::test]
async fn b022_a_dot_at_the_end_changes_nothing() {
    let outside = Outside::named(at_home).await;
    let url = format!("https://MEDIA.example.com.:{}/a", outside.origin.port);
    let fetched = outside.fetch(&url).await.expect("served");
    assert_eq!(fetched.answer.host, "media.example.com");
    let request = outside.origin.requests().concat().to_lowercase();
    assert!(
        request.contains(&format!("\r\nhost: media.example.com:{}\r\n", outside.origin.port)),
        "{request}"
    );
    let policy = Policy { denied_hosts: vec!["example.COM".to_owned()], ..outside.policy() };
    assert_eq!(fetch(policy, &url, plain_ask()).await.expect_err("denied"), HOST, "B023");
    assert_eq!(outside.origin.connections(), 1);
}

#[tokio::test]
async fn b029_an_address_nobody_listens_at_fails_to_connect() {
    let outside =
        Outside::named(|q| if q.kind == AAAA { Reply::Records(vec![v6("::1")]) } else { Reply::none() })
            .await;
    let policy = Policy { allow: vec!["::1".parse().expect("range")], ..outside.policy() };
    let error = fetch(policy, &outside.url("/"), plain_ask()).await.expect_err("nobody listens");
    assert!(matches!(error, FetchError::Connect(_)), "{error:?}");
    assert_eq!(error.code(), "CONNECT_FAILED");
    assert!(error.is_transient());
}

/// Listeners at one port of two addresses, the first with room for nearly nobody.
async fn two_addresses() -> (TcpListener, TcpListener) {
    loop {
        let second = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = second.local_addr().expect("an address").port();
        let first = TcpSocket::new_v4().expect("a socket");
        // Another process may have the port.
        if first.bind(([127, 0, 0, 3], port).into()).is_ok() {
            return (first.listen(1).expect("listens"), second);
        }
    }
}

#[tokio::test]
async fn b030_the_second_address_is_tried_when_the_first_takes_nothing() {
    let outside = Outside::named(at_home).await;
    // Its queue is full and nobody empties it, so that the next who knocks hears nothing.
    let (full, elsewhere) = two_addresses().await;
    let port = full.local_addr().expect("an address").port();
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let knock = TcpStream::connect(full.local_addr().expect("an address"));
        waiting.push(tokio::time::timeout(Duration::from_millis(100), knock).await);
    }
    let dns =
        Dns::start(|q| if q.kind == A { Reply::a(&[[127, 0, 0, 3], HOME]) } else { Reply::none() }).await;
    let knocked = tokio::spawn(async move { elsewhere.accept().await.map(drop) });
    let policy = Policy {
        ports: vec![port],
        allow: vec!["127.0.0.0/8".parse().expect("range")],
        connect_timeout: Duration::from_secs(8),
        name_servers: Some(vec![dns.address]),
        ..outside.policy()
    };
    let url = format!("https://media.example.com:{port}/");
    // Who listens there hangs up at once: that somebody was reached is enough.
    let error = fetch(policy, &url, plain_ask()).await.expect_err("it hangs up");
    assert!(error.is_transient(), "{error:?}");
    let knocked = tokio::time::timeout(Duration::from_secs(60), knocked).await;
    knocked.expect("the second address is tried").expect("ends").expect("accepted");
}
