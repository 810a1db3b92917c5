//! The client against real servers.

use super::*;
use crate::testing::{Answer, Authority, FakeHost, Identity, Received, Server};
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

fn get(host: &FakeHost, url: &str) -> Result<String> {
    body(host, &Request::get(url)).map(|body| String::from_utf8(body).unwrap())
}

fn error(host: &FakeHost, url: &str) -> String {
    format!("{:#}", get(host, url).unwrap_err())
}

/// A server that gives these answers, one after the other, and the last again and again.
fn in_turn(answers: Vec<Answer>) -> Server {
    let turn = AtomicUsize::new(0);
    Server::new(move |_| answers[turn.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].clone())
}

fn seconds(host: &FakeHost) -> Vec<u64> {
    host.take_pauses().iter().map(Duration::as_secs).collect()
}

#[test]
fn the_body_and_the_headers_of_an_answer_are_those_that_were_sent() {
    let server = Server::new(|_| Answer::ok("hello").header("X-Some", "thing"));
    let host = FakeHost::new();
    let mut answer = open(&host, &Request::get(server.url("/a?b=c")).header("X-Token", "t")).unwrap();
    assert_eq!((answer.status(), answer.length(), answer.header("x-some")), (200, Some(5), Some("thing")));
    let mut text = String::new();
    answer.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    let received = &server.take_requests()[0];
    assert_eq!((received.method.as_str(), received.path.as_str()), ("GET", "/a?b=c"));
    assert_eq!(received.header("x-token"), Some("t"));
    assert!(received.header("user-agent").unwrap().starts_with("cosette/"));
    let put = Request::new(Method::Put, server.url("/token"), "body");
    assert_eq!(body(&host, &put).unwrap(), b"hello");
    let Received { method, body, .. } = &server.take_requests()[0];
    assert_eq!((method.as_str(), body.as_slice()), ("PUT", b"body".as_slice()));
}

#[test]
fn a_server_proves_who_it_is_or_is_not_listened_to() {
    let authority = Authority::new();
    let serve = |identity| Server::with_tls(identity, |_| Answer::ok("secret"));
    let host = FakeHost::new();
    let good = serve(authority.issue("127.0.0.1"));
    let unknown = "the server does not prove that it is 127.0.0.1: its certificate has an unknown issuer";
    assert_eq!(error(&host, &good.url("/")), unknown);
    host.trust(authority.certificate());
    assert_eq!(get(&host, &good.url("/")).unwrap(), "secret");
    assert_eq!(error(&host, &serve(Identity::self_signed("127.0.0.1")).url("/")), unknown);
    let expired = error(&host, &serve(authority.issue_expired("127.0.0.1")).url("/"));
    assert!(expired.contains("127.0.0.1: certificate expired"), "{expired}");
    let other = error(&host, &serve(authority.issue("other.example")).url("/"));
    assert!(other.contains("certificate not valid for name"), "{other}");
    // None of these goes better the second time.
    assert_eq!(seconds(&host), [0; 0]);
}

#[test]
fn a_redirect_is_followed_where_it_may_lead() {
    let server = Server::new(|received| match received.path.as_str() {
        "/start" => Answer::redirect("next"),
        "/next" => Answer::ok("there"),
        "/loop" => Answer::redirect("/loop"),
        "/file" => Answer::redirect("file:///etc/shadow"),
        "/ftp" => Answer::redirect("ftp://127.0.0.1/"),
        "/bad" => Answer::redirect("http://[nowhere"),
        longer => Answer::redirect(format!("{longer}x")),
    });
    let host = FakeHost::new();
    assert_eq!(get(&host, &server.url("/start")).unwrap(), "there");
    for (path, message) in [
        ("/loop", "the server redirects in a circle"),
        ("/file", "the server redirects to an address of `file`"),
        ("/ftp", "the server redirects to an address of `ftp`"),
        ("/bad", "the server redirects to an address that is not well-formed"),
        ("/x", "the server redirects more than 10 times"),
    ] {
        assert_eq!(error(&host, &server.url(path)), message);
    }
    assert_eq!(seconds(&host), [0; 0]);
    let post = Request::new(Method::Post, server.url("/start"), "x");
    assert!(body(&host, &post).unwrap_err().to_string().contains("elsewhere"));
    for url in ["file:///etc/shadow", "/etc/shadow", "ftp://x/", "http://"] {
        assert!(get(&host, url).is_err(), "{url}");
    }
}

#[test]
fn https_is_not_left_for_http() {
    let authority = Authority::new();
    let plain = Server::new(|_| Answer::ok("anybody's"));
    let to = plain.url("/");
    let secure = Server::with_tls(authority.issue("127.0.0.1"), move |_| Answer::redirect(&to));
    let host = FakeHost::new();
    host.trust(authority.certificate());
    assert!(error(&host, &secure.url("/")).contains("from https to http"));
    assert_eq!(plain.take_requests(), []);
}

#[test]
fn another_server_does_not_see_the_headers_that_were_meant_for_the_first() {
    let second = Server::new(|received| Answer::file("content", "\"1\"", received));
    let to = second.url("/file");
    let first = Server::new(move |_| Answer::redirect(&to));
    let request = Request::get(first.url("/")).header("Authorization", "t").header("X-Token", "t");
    let answer = open(&FakeHost::new(), &request.header("Range", "bytes=3-")).unwrap();
    assert_eq!((answer.status(), answer.url().to_owned()), (206, second.url("/file")));
    assert_eq!(answer.into_bytes().unwrap(), b"tent");
    assert_eq!(first.take_requests()[0].header("x-token"), Some("t"));
    let received = &second.take_requests()[0];
    assert_eq!((received.header("x-token"), received.header("authorization")), (None, None));
}

#[test]
fn what_passes_is_tried_again_with_growing_pauses_and_what_does_not_is_not() {
    let host = FakeHost::new();
    let server = in_turn(vec![
        Answer::status(500),
        Answer::status(429).header("Retry-After", "7"),
        Answer::ok("fine"),
    ]);
    assert_eq!(get(&host, &server.url("/")).unwrap(), "fine");
    assert_eq!(seconds(&host), [1, 7]);
    let server = in_turn(vec![Answer::status(503).header("Retry-After", "86400")]);
    assert_eq!(error(&host, &server.url("/")), "after 3 tries: the server answered 503 Service Unavailable");
    assert_eq!(seconds(&host), [30, 30]);
    let server = in_turn(vec![Answer::status(404)]);
    let missing = get(&host, &server.url("/")).unwrap_err();
    assert_eq!(missing.to_string(), "the server answered 404 Not Found");
    assert!(matches!(missing.downcast_ref(), Some(Failure::Status { code: 404, .. })));
    assert_eq!((server.take_requests().len(), seconds(&host).len()), (1, 0));
}

#[test]
fn a_part_or_no_change_that_was_not_asked_for_is_no_answer() {
    for status in [206, 304, 300, 101] {
        let server = in_turn(vec![Answer::status(status).unclaimed()]);
        assert!(get(&FakeHost::new(), &server.url("/")).is_err(), "{status}");
    }
    let server = Server::new(|received| Answer::file("x", "\"1\"", received));
    let request = Request::get(server.url("/")).header("If-None-Match", "\"1\"");
    assert_eq!(open(&FakeHost::new(), &request).unwrap().status(), 304);
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    let host = FakeHost::new();
    let server = in_turn(vec![Answer::ok("0123456789").cut_after(4), Answer::ok("0123456789")]);
    assert_eq!(get(&host, &server.url("/")).unwrap(), "0123456789");
    assert_eq!(seconds(&host), [1]);
    let server = in_turn(vec![Answer::ok("short").claiming(100)]);
    let text = error(&host, &server.url("/"));
    assert!(text.starts_with("after 3 tries: the answer broke off: "), "{text}");
    // What comes behind the end is not part of it.
    let server = in_turn(vec![Answer::ok("0123456789").claiming(4)]);
    assert_eq!(get(&host, &server.url("/")).unwrap(), "0123");
}

#[test]
fn an_answer_is_as_large_as_allowed_at_most() {
    let host = FakeHost::new();
    let server = in_turn(vec![Answer::ok("x").claiming(10 << 30)]);
    assert_eq!(error(&host, &server.url("/")), "the answer is larger than 1 MiB");
    let server = in_turn(vec![Answer::ok(vec![b'x'; 1 << 16]).unclaimed().endless()]);
    let request = Request::get(server.url("/")).largest(100);
    let failure = body(&host, &request).unwrap_err();
    assert_eq!(failure.downcast_ref(), Some(&Failure::TooLarge(100)));
    assert_eq!((server.take_requests().len(), seconds(&host).len()), (1, 0));
    let server = in_turn(vec![Answer::ok(vec![b'x'; 100]).unclaimed()]);
    assert_eq!(body(&host, &Request::get(server.url("/")).largest(100)).unwrap().len(), 100);
}

#[test]
fn an_answer_that_stands_still_is_given_up_and_a_slow_one_is_not() {
    let host = FakeHost::new();
    host.stall(Duration::from_millis(200));
    let slow = Answer::ok("slow but steady").slowly(1, Duration::from_millis(20));
    assert_eq!(get(&host, &in_turn(vec![slow.clone()]).url("/")).unwrap(), "slow but steady");
    let server = in_turn(vec![Answer::ok("never").slowly(2, Duration::from_secs(5))]);
    let text = format!("{:#}", body(&host, &Request::get(server.url("/")).tries(1)).unwrap_err());
    assert_eq!(text, "127.0.0.1 has sent nothing for 0.2 s");
    let silent = Server::new(|_| {
        std::thread::sleep(Duration::from_secs(1));
        Answer::ok("late")
    });
    let text = format!("{:#}", body(&host, &Request::get(silent.url("/")).tries(1)).unwrap_err());
    assert_eq!(text, "127.0.0.1 has sent nothing for 0.2 s");
    let server = in_turn(vec![slow]);
    let request = Request::get(server.url("/")).timeout(Duration::from_millis(100));
    assert_eq!(body(&host, &request.tries(1)).unwrap_err().to_string(), "127.0.0.1 takes too long");
}

#[test]
fn proxies_are_those_of_the_environment() {
    let proxy = Server::new(|received| Answer::ok(format!("{} {}", received.method, received.path)));
    let origin = Server::new(|_| Answer::ok("directly"));
    let host = FakeHost::new();
    host.name("direct.example", origin.address());
    host.variable("HTTP_PROXY", &proxy.url(""));
    host.variable("https_proxy", &format!("http://user:CANARY@{}", proxy.address()));
    host.variable("NO_PROXY", "direct.example");
    assert_eq!(get(&host, "http://files.example/a").unwrap(), "GET http://files.example/a");
    assert_eq!(get(&host, &origin.url_as("direct.example", "/")).unwrap(), "directly");
    assert_eq!(get(&host, &origin.url("/")).unwrap(), "directly");
    proxy.take_requests();
    let refused = error(&host, "https://files.example/a");
    assert!(!refused.contains("CANARY"), "{refused}");
    let received = proxy.take_requests();
    assert_eq!((received[0].method.as_str(), received[0].path.as_str()), ("CONNECT", "files.example:443"));
    assert!(received[0].header("proxy-authorization").is_some());
    host.variable("http_proxy", "socks9://user:CANARY@[");
    assert_eq!(error(&host, "http://x/"), "the variable http_proxy or all_proxy holds no address of a proxy");
}

#[test]
fn what_an_address_hides_is_not_shown() {
    for (url, expected) in [
        ("https://user:CANARY@h.example:1/p/q?token=CANARY", "https://h.example:1/p/q?..."),
        ("http://h#CANARY", "http://h?..."),
        ("http://h?CANARY@x/", "http://h?..."),
    ] {
        assert_eq!(shown(url), expected);
    }
    let host = FakeHost::new();
    let closed = Server::new(|_| Answer::ok("")).address();
    let text = error(&host, &format!("http://user:CANARY@{closed}/?token=CANARY"));
    assert!(
        text.contains("cannot connect to 127.0.0.1: Connection refused") && !text.contains("CANARY"),
        "{text}"
    );
    assert_eq!(seconds(&host), [1, 2]);
}

#[test]
fn being_told_to_stop_ends_the_wait_for_an_answer_and_for_another_try() {
    use crate::system::{Interrupted, Live, stop};
    // Signals belong to the whole process: another one is started for them.
    let Some(which) = std::env::var_os("COSETTE_TEST_STOP") else {
        for which in ["answer", "try"] {
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            let name = module_path!().split_once("::").unwrap().1.to_owned()
                + "::being_told_to_stop_ends_the_wait_for_an_answer_and_for_another_try";
            again.arg("--exact").arg(name).env("COSETTE_TEST_STOP", which);
            assert!(again.status().unwrap().success());
        }
        return;
    };
    stop::install().unwrap();
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(100));
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).unwrap();
    });
    let began = std::time::Instant::now();
    let result = if which == "answer" {
        let server = in_turn(vec![Answer::ok("never").slowly(1, Duration::from_secs(20))]);
        body(&Live, &Request::get(server.url("/"))).map(|_| ())
    } else {
        Live.pause(Duration::from_secs(20)).map_err(Into::into)
    };
    assert_eq!(result.unwrap_err().downcast_ref(), Some(&Interrupted { signal: "SIGTERM" }));
    assert!(began.elapsed() < Duration::from_secs(10));
}
