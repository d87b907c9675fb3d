//! Links to stored media: what they lead to, and for whom and how long they are good.

use carryover::grpc::pb;

use crate::{
    h2::{self, ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, Peer, RST_STREAM, SETTINGS},
    harness::{Database, Server, Tenant},
    on_both_databases,
    stored_media::{ORIGIN, ask, get, put, row},
    waits::eventually,
    web::raw,
};

on_both_databases!(
    every_medium_has_a_link,
    nobody_tells_where_a_medium_was_fetched,
    parts_of_a_medium_are_served,
    a_link_is_good_for_one_medium_only,
    a_link_expires,
    a_link_outlives_the_server,
    links_lead_where_they_are_told_to,
    who_opens_too_many_links_waits,
    what_is_gone_or_away_is_told_apart,
    a_worker_serves_no_media,
    no_more_media_are_read_at_a_time_than_may_be,
    a_reader_that_takes_nothing_is_let_go,
);

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 of a face";

/// A session whose portrait is stored, and the link to it.
async fn portrait(server: &Server, tenant: &Tenant, bytes: &[u8]) -> (pb::Session, String) {
    tenant.import(row("p-1", "anna")).await;
    let session = tenant.sessions(Default::default()).await.remove(0);
    put(server, tenant, &session, "portrait_image", "image/jpeg", bytes).await;
    let session = tenant.sessions(Default::default()).await.remove(0);
    let link = session.portrait_image.clone().expect("a link");
    (session, link)
}

async fn user(tenant: &Tenant, vendor_data: &str) -> pb::User {
    let request = pb::GetUserRequest { vendor_data: vendor_data.to_owned() };
    tenant.client.entities().get_user(request).await.expect("a user").into_inner().user.expect("a user")
}

async fn every_medium_has_a_link(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    tenant.import(row("p-1", "anna") + &row("p-2", "ben")).await;
    let [ben, anna] = tenant.sessions(Default::default()).await.try_into().expect("two sessions");
    assert_eq!((anna.portrait_image.as_deref(), ben.portrait_image.as_deref()), (None, None));
    let slots = [
        ("front_image", "image/png"),
        ("back_image", "image/webp"),
        ("portrait_image", "image/jpeg"),
        ("front_video", "video/mp4"),
        ("back_video", "video/webm"),
        ("selfie_image", "image/heic"),
        ("liveness_video", "video/quicktime"),
    ];
    for (slot, media_type) in slots {
        put(&server, &tenant, &anna, slot, media_type, slot.as_bytes()).await;
    }

    let decision = tenant.decision(&anna.session_id).await;
    let (document, liveness) = (&decision.id_verifications[0], &decision.liveness_checks[0]);
    let links = [
        &document.front_image,
        &document.back_image,
        &document.portrait_image,
        &document.front_video,
        &document.back_video,
        &liveness.reference_image,
        &liveness.video_url,
    ];
    for (link, (slot, media_type)) in links.into_iter().zip(slots) {
        let answer = get(link.as_deref().expect(slot)).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, slot));
        assert_eq!(answer.header("content-type"), media_type);
        assert_eq!(answer.header("content-length"), slot.len().to_string());
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "private, no-store");
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'; sandbox");
        assert_eq!(answer.header("content-disposition"), "inline");
    }

    let listed = tenant.sessions(Default::default()).await;
    assert_eq!(listed[0].portrait_image, None, "of another session");
    let request = pb::GetSessionRequest { session_id: anna.session_id.clone() };
    let got = tenant.client.sessions().get_session(request).await.expect("a session").into_inner();
    let got = got.session.expect("a session").portrait_image;
    let users = pb::ListUsersRequest::default();
    let users = tenant.client.entities().list_users(users).await.expect("users").into_inner().users;
    assert_eq!(users[0].portrait_image_url, None);
    let faces =
        [&users[1].portrait_image_url, &user(&tenant, "anna").await.portrait_image_url].map(Clone::clone);
    for link in [&listed[1].portrait_image, &got] {
        assert_eq!(get(link.as_deref().expect("a link")).await.text(), "portrait_image");
    }
    for link in &faces {
        assert_eq!(get(link.as_deref().expect("a link")).await.text(), "selfie_image");
    }

    // Another import writes the session anew, and the media of the old one are not those of the new.
    let spec = pb::ImportSpec { on_existing: pb::OnExisting::Update as i32, ..tenant.spec() };
    tenant.import_as(spec, row("p-1", "anna").replace("Approved", "Declined")).await.expect("an import");
    let decision = tenant.decision(&anna.session_id).await;
    assert_eq!(decision.id_verifications[0].front_image, None);
    assert_eq!(decision.liveness_checks[0].reference_image, None);
}

async fn nobody_tells_where_a_medium_was_fetched(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let (session, link) = portrait(&server, &tenant, JPEG).await;
    let decision = tenant.decision(&session.session_id).await;
    let answer = get(&link).await;
    let all = format!("{session:?} {decision:?} {:?} {:?}", user(&tenant, "anna").await, answer.headers);
    assert!(!all.contains(ORIGIN) && !all.contains("secret"), "{all}");
    assert!(decision.id_verifications[0].portrait_image.is_some());
}

async fn parts_of_a_medium_are_served(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (_, link) = portrait(&server, &tenant, &bytes).await;
    let whole = get(&link).await;
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, "bytes"));
    assert!(whole.body == bytes);
    for (range, of, part) in [
        ("bytes=0-0", "bytes 0-0/3000000", &bytes[..1]),
        ("bytes=1000000-1999999", "bytes 1000000-1999999/3000000", &bytes[1_000_000..2_000_000]),
        ("bytes=2999990-", "bytes 2999990-2999999/3000000", &bytes[2_999_990..]),
        ("bytes=-7", "bytes 2999993-2999999/3000000", &bytes[2_999_993..]),
    ] {
        let answer = ask("GET", &link, &format!("range: {range}\r\n")).await;
        assert_eq!((answer.status, answer.header("content-range")), (206, of));
        assert_eq!(answer.header("content-length"), part.len().to_string());
        assert_eq!(answer.header("content-type"), "image/jpeg");
        assert!(answer.body == part, "{range}");
    }
    let nowhere = ask("GET", &link, "range: bytes=3000000-\r\n").await;
    assert_eq!((nowhere.status, nowhere.header("content-range")), (416, "bytes */3000000"));
    for headers in
        ["range: bytes=0-1,5-6\r\n", "range: bytes=0-1\r\nif-range: \"x\"\r\n", "range: rows=0-1\r\n"]
    {
        let answer = ask("GET", &link, headers).await;
        assert_eq!((answer.status, answer.body.len()), (200, bytes.len()), "{headers}");
    }

    let head = ask("HEAD", &link, "").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "3000000", 0));
    assert_eq!(head.header("content-type"), "image/jpeg");
    let head = ask("HEAD", &link, "range: bytes=5-9\r\n").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (206, "5", 0));
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = ask(method, &link, "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{method}");
    }
}

async fn a_link_is_good_for_one_medium_only(database: Database) {
    let server = Server::start(database).await;
    let (tenant, other) = (server.tenant().await, server.tenant().await);
    let (_, link) = portrait(&server, &tenant, JPEG).await;
    let (_, of_other) = portrait(&server, &other, b"\xff\xd8\xff\xe0 of another").await;
    let same = portrait(&server, &server.tenant().await, JPEG).await.1;
    assert_ne!(link, same, "equal content of two applications is two media");
    let parts = |link: &str| link.split(['/', '?', '&']).map(str::to_owned).collect::<Vec<_>>();
    // http: "" host media application sha256 type=image jpeg expires signature
    let (own, others) = (parts(&link), parts(&of_other));
    let altered = [
        link.replace(&own[4], &others[4]),
        link.replace(&own[5], &others[5]),
        link.replace(&own[4], &others[4]).replace(&own[5], &others[5]),
        link.replace("image/jpeg", "text/html"),
        link.replace(&own[8], "expires=99999999999"),
        link.replace(&own[9], &others[9]),
        link.replace(&own[9], "signature="),
        link[..link.len() - 2].to_owned(),
        link.split("&signature").next().expect("a link").to_owned(),
        format!("{link}&type=text/html"),
        format!("{}/media/", server.address()),
        format!("{}/media/../objects", server.address()),
    ];
    for altered in altered {
        assert_ne!(altered, link);
        let answer = get(&altered).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (403, "the link is wrong, or has expired\n"),
            "{altered}"
        );
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    assert_eq!(get(&link).await.body, JPEG, "and the link itself is good");
    let elsewhere = raw(&server, b"GET /objects HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(elsewhere.starts_with("HTTP/1.1 400"), "nothing else is served so: {elsewhere}");
}

async fn a_link_expires(database: Database) {
    let server = Server::start_with(database, &["--media-link-seconds", "2"]).await;
    let tenant = server.tenant().await;
    let (session, link) = portrait(&server, &tenant, JPEG).await;
    let expired = eventually("it expires", async || {
        let answer = get(&link).await;
        (answer.status != 200).then_some(answer)
    });
    let expired = expired.await;
    assert_eq!((expired.status, expired.text().as_str()), (403, "the link is wrong, or has expired\n"));
    let wrong = get(&(link + "0")).await;
    assert_eq!((wrong.status, wrong.body), (expired.status, expired.body), "nobody is told which");
    let anew = tenant.decision(&session.session_id).await.id_verifications[0].portrait_image.clone();
    assert_eq!(get(&anew.expect("a link")).await.status, 200);
}

async fn a_link_outlives_the_server(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let (_, link) = portrait(&server, &tenant, JPEG).await;
    let old = server.address();
    let server = server.restart(&[]).await;
    let link = link.replace(&old, &server.address());
    assert_eq!(get(&link).await.body, JPEG, "every process signs with the same secret");
}

async fn links_lead_where_they_are_told_to(database: Database) {
    let flags = ["--public-url", "https://media.example.com/kyc/"];
    let server = Server::start_with(database, &flags).await;
    let tenant = server.tenant().await;
    let (_, link) = portrait(&server, &tenant, JPEG).await;
    let rest = link.strip_prefix("https://media.example.com/kyc/media/").expect("there");
    let answer = get(&format!("{}/media/{rest}", server.address())).await;
    assert_eq!(answer.body, JPEG, "whoever stands in front hands it on");
}

async fn who_opens_too_many_links_waits(database: Database) {
    let flags = ["--reads-per-minute", "3", "--failed-keys-per-minute", "2"];
    let server = Server::start_with(database, &flags).await;
    let tenant = server.tenant().await;
    let (_, link) = portrait(&server, &tenant, JPEG).await;
    for _ in 0..3 {
        assert_eq!(get(&link).await.status, 200);
    }
    let refused = get(&link).await;
    assert_eq!(refused.status, 429);
    assert!((1..=60).contains(&refused.header("retry-after").parse().expect("seconds")), "{refused:?}");

    for guess in ["a", "b"] {
        assert_eq!(get(&format!("{link}{guess}")).await.status, 403);
    }
    assert_eq!(get(&format!("{link}c")).await.status, 429, "no more guesses");
    assert_eq!(get(&link).await.status, 429, "a link that was good is no guess");
}

async fn what_is_gone_or_away_is_told_apart(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let (_, link) = portrait(&server, &tenant, JPEG).await;
    let (objects, elsewhere) = (server.path("objects"), server.path("elsewhere"));
    std::fs::rename(&objects, &elsewhere).expect("moved");
    let away = get(&link).await;
    assert_eq!((away.status, away.header("retry-after")), (503, "1"));
    std::fs::rename(&elsewhere, &objects).expect("moved");
    assert_eq!(get(&link).await.status, 200);
    std::fs::remove_dir_all(objects.join("media").join(&tenant.application)).expect("removed");
    assert_eq!(get(&link).await.status, 404);
}

async fn a_worker_serves_no_media(database: Database) {
    if database == Database::Sqlite {
        return;
    }
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let (_, link) = portrait(&server, &tenant, JPEG).await;
    let url = server.database_url.clone().expect("a URL");
    let folder = server.path("");
    let folder = folder.to_str().expect("a path");
    let worker = ["--role", "worker", "--database-url", &url];
    let (_child, address) = crate::processes::serve(folder.as_ref(), &worker, &[]).await;
    let link = link.replace(&server.app.address.to_string(), &address.replace("http://", ""));
    assert_eq!(get(&link).await.status, 400);
}

/// Asks for a medium over HTTP/2.
async fn ask_for(server: &Server, peer: &mut Peer, link: &str) {
    let path = link.strip_prefix(&server.address()).expect("here");
    let asked = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "x")];
    let block: Vec<u8> = asked.iter().flat_map(|(name, value)| h2::field(name, value)).collect();
    assert!(peer.send(&h2::frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).await);
}

/// Somebody who takes no more of a medium than fits into the first window.
async fn half_reader(server: &Server, link: &str) -> Peer {
    let mut peer = Peer::connect(server.app.address).await;
    ask_for(server, &mut peer, link).await;
    let mut taken = 0;
    while taken < 65_535 {
        let frame = peer.find(|frame| frame.kind == DATA).await.expect("bytes of it");
        taken += frame.payload.len();
    }
    peer
}

/// Waits for the end of a connection that listens, and answers when it is asked whether it lives.
async fn end_of(mut peer: Peer) {
    for _ in 0..3 {
        match peer.find(|frame| (frame.kind, frame.flags) == (PING, 0)).await {
            Some(ping) => drop(peer.send(&h2::frame(PING, ACK, 0, &ping.payload)).await),
            None => return,
        }
    }
    panic!("it is still open");
}

async fn no_more_media_are_read_at_a_time_than_may_be(database: Database) {
    // One peer may have half of them.
    let server = Server::start_with(database, &["--max-media-readers", "4"]).await;
    let tenant = server.tenant().await;
    let (_, link) = portrait(&server, &tenant, &vec![7; 3_000_000]).await;
    let mut first = half_reader(&server, &link).await;
    let _second = half_reader(&server, &link).await;
    let busy = get(&link).await;
    assert_eq!((busy.status, busy.header("retry-after")), (503, "1"));
    assert_eq!(busy.text(), "too many media are being read; try again\n");
    assert_eq!(ask("HEAD", &link, "").await.status, 200, "what has no body takes no place");
    assert_eq!(get(&format!("{link}0")).await.status, 403, "who has no link is told nothing else");
    first.send(&h2::numbered(RST_STREAM, 1, 8)).await;
    let read = eventually("there is room again", async || {
        Some(get(&link).await).filter(|answer| answer.status == 200)
    });
    assert_eq!(read.await.body.len(), 3_000_000);
    assert!(first.is_served().await, "the connection goes on without the stream");
}

async fn a_reader_that_takes_nothing_is_let_go(database: Database) {
    let server = Server::start_with(database, &["--max-media-readers", "1", "--stall-seconds", "1"]).await;
    let tenant = server.tenant().await;
    let (_, link) = portrait(&server, &tenant, &vec![7; 3_000_000]).await;
    end_of(half_reader(&server, &link).await).await;
    // One that gives no room for a first byte: its windows begin at nothing.
    let mut peer = Peer::connect(server.app.address).await;
    peer.send(&h2::frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    let room = eventually("there is room again", async || {
        Some(get(&link).await).filter(|answer| answer.status == 200)
    });
    room.await;
    ask_for(&server, &mut peer, &link).await;
    peer.find(|frame| frame.kind == HEADERS).await.expect("an answer");
    end_of(peer).await;
    let read = eventually("there is room again", async || {
        Some(get(&link).await).filter(|answer| answer.status == 200)
    });
    assert_eq!(read.await.body.len(), 3_000_000);
}
