//! Downloads from real servers that behave well or badly.
#![allow(clippy::disallowed_methods, reason = "tests look at files from outside")]

use super::checksum::Sum;
use crate::system::{Live, Mode};
use crate::testing::{Answer, Authority, Identity, Machine, Outcome, Received, Server};
use crate::{Context, Plugin, System};
use cosette_schema::{Decode, Findings, Origin, yaml};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Content that repeats nowhere soon.
fn content(length: u32) -> Vec<u8> {
    (0..length).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn sha256(content: &[u8]) -> String {
    let mut sum = Sha256::new();
    sum.update(content);
    format!("sha256:{}", Sum::Short(sum).digits())
}

/// A server that gives each request an answer that depends on how many there were before.
fn in_turn(answer: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static) -> Server {
    let turn = AtomicUsize::new(0);
    Server::new(move |received| answer(turn.fetch_add(1, Ordering::SeqCst), received))
}

fn step(path: &str, server: &Server, keys: &str) -> String {
    format!("downloads: [{{path: {path}, url: '{}'{keys}}}]", server.url("/dir/file.bin?token=CANARY"))
}

/// What a step that fails leaves of `/opt/file`.
#[track_caller]
fn fails(server: &Server, keys: &str, message: &str) -> Outcome {
    let machine = Machine::new("-- /opt/file\nold\n");
    machine.host.stall(Duration::from_millis(200));
    let outcome = machine.apply(&step("/opt/file", server, keys));
    assert!(outcome.messages().contains(message), "{}", outcome.messages());
    assert!(!format!("{outcome:?}").contains("CANARY"), "{outcome:?}");
    machine.assert_tree("");
    assert_eq!(std::fs::read_dir(machine.root().join("opt")).unwrap().count(), 1);
    outcome
}

fn read(machine: &Machine, path: &str) -> Vec<u8> {
    std::fs::read(machine.root().join(path)).unwrap()
}

#[test]
fn the_second_run_asks_whether_the_content_is_another_and_changes_nothing() {
    let server = Server::new(|received| Answer::file("v1\n", "\"1\"", received));
    let machine = Machine::new("-- /opt/\n");
    machine.check(&step("/opt/file", &server, ""), "-- /opt/file 0644\nv1\n");
    let received = server.take_requests();
    assert_eq!(received.len(), 2);
    // A temporary directory without extended attributes has everything sent again.
    if received[1].header("if-none-match") != Some("\"1\"") {
        eprintln!("SKIPPED: what a file remembers: the temporary directory has no extended attributes");
        return;
    }
    machine.apply("files: [{path: /opt/file, content: \"mine\\n\"}]");
    machine.apply(&step("/opt/file", &server, ""));
    assert_eq!(server.take_requests()[0].header("if-none-match"), None);
    machine.assert_tree("-- /opt/file 0644\nv1\n");
    let other = Server::new(|_| Answer::ok("v1\n"));
    machine.check(&step("/opt/file", &other, ""), "-- /opt/file 0644\nv1\n");
    assert_eq!(other.take_requests()[0].header("if-none-match"), None);
}

#[test]
fn a_file_of_the_same_length_and_other_content_is_replaced_and_the_times_of_a_server_are_enough() {
    let times = Arc::new(AtomicUsize::new(0));
    let shared = times.clone();
    let server = Server::new(move |received| {
        let now = format!("Sun, 06 Nov 1994 08:49:3{} GMT", shared.load(Ordering::SeqCst));
        if received.header("if-modified-since") == Some(&now) {
            return Answer::status(304).unclaimed().cut_after(0);
        }
        Answer::ok(format!("v{}\n", shared.load(Ordering::SeqCst))).header("Last-Modified", now)
    });
    let machine = Machine::new("-- /opt/file 0600 5:6\nold\n");
    machine.check(&step("/opt/file", &server, ""), "-- /opt/file 0600 5:6\nv0\n");
    times.store(1, Ordering::SeqCst);
    machine
        .check(&step("/opt/file", &server, ", permissions: 0750, owner: 7"), "-- /opt/file 0750 7:0\nv1\n");
    // One that is longer than what the server has, which yip takes for an error.
    let machine = Machine::new("-- /opt/file\nmuch longer than it should be\n");
    machine.check(&step("/opt/file", &server, ""), "-- /opt/file\nv1\n");
}

#[test]
fn a_server_that_tells_no_version_is_asked_again_and_what_differs_not_is_kept() {
    let server = Server::new(|_| Answer::ok("x\n"));
    let machine = Machine::new("");
    machine.check(&step("/a/b/file", &server, ""), "-- /a/b/file\nx\n");
    assert_eq!(server.take_requests().len(), 2);
}

#[test]
fn with_the_right_checksum_there_nobody_is_asked() {
    let server = Server::new(|_| Answer::ok("x\n"));
    let machine = Machine::new("-- /opt/file\nx\n");
    let keys = format!(", checksum: '{}'", sha256(b"x\n"));
    machine
        .check(&step("/opt/file", &server, &format!("{keys}, permissions: 0600")), "-- /opt/file 0600\nx\n");
    machine.plan(&step("/opt/file", &server, &keys));
    assert_eq!(server.take_requests(), []);
    let machine = Machine::new("-- /opt/file\ny\n");
    machine.check(&step("/opt/file", &server, &keys), "-- /opt/file\nx\n");
    assert_eq!(server.take_requests().len(), 1);
}

#[test]
fn what_is_not_what_was_expected_leaves_the_old_file() {
    let page = Server::new(|_| Answer::ok("<html>Sign in</html>"));
    let keys = format!(", checksum: '{}'", sha256(b"x"));
    fails(&page, &keys, "what came has not the checksum that is expected");
    let missing = Server::new(|_| Answer::status(404));
    let outcome = fails(&missing, "", "the server answered 404 Not Found");
    assert_eq!(
        outcome.messages(),
        format!(
            "Error: test.yaml:1:20: cannot download {}/dir/file.bin?...: the server answered 404 Not Found\n",
            missing.url("")
        )
    );
    assert_eq!(missing.take_requests().len(), 1);
    fails(&Server::new(|_| Answer::redirect("file:///etc/shadow")), "", "to an address of `file`");
    fails(&Server::new(|_| Answer::redirect("?again")), "", "in a circle");
    fails(&Server::new(|_| Answer::ok("x").claiming(9 << 60)), "", "cannot write /opt/file");
}

#[test]
fn a_server_that_does_not_prove_who_it_is_is_not_downloaded_from() {
    let authority = Authority::new();
    let bad = [
        Identity::self_signed("127.0.0.1"),
        authority.issue_expired("127.0.0.1"),
        authority.issue("other.example"),
    ];
    for identity in bad {
        fails(&Server::with_tls(identity, |_| Answer::ok("x")), "", "does not prove that it is 127.0.0.1");
    }
    let machine = Machine::new("");
    machine.host.trust(authority.certificate());
    let server = Server::with_tls(authority.issue("127.0.0.1"), |_| Answer::ok("x\n"));
    machine.check(&step("/file", &server, ""), "-- /file\nx\n");
}

#[test]
fn what_breaks_off_goes_on_where_it_was() {
    let whole = content(300_000);
    let served = whole.clone();
    let server = in_turn(move |turn, received| {
        let answer = Answer::file(served.clone(), "\"1\"", received);
        if turn < 3 { answer.cut_after(70_000) } else { answer }
    });
    let machine = Machine::new("");
    let keys = format!(", checksum: '{}'", sha256(&whole));
    let outcome = machine.apply(&step("/file", &server, &keys));
    assert!(outcome.findings.is_empty(), "{}", outcome.messages());
    assert_eq!(read(&machine, "file"), whole);
    let received = server.take_requests();
    let ranges: Vec<_> = received.iter().map(|received| received.header("range")).collect();
    assert_eq!(ranges, [None, Some("bytes=70000-"), Some("bytes=140000-"), Some("bytes=210000-")]);
    assert!(received.iter().skip(1).all(|received| received.header("if-range") == Some("\"1\"")));
    let pauses: Vec<_> = machine.host.take_pauses().iter().map(Duration::as_secs).collect();
    assert_eq!(pauses, [1, 2, 4]);
}

#[test]
fn content_that_changed_meanwhile_is_begun_anew_and_never_mixed() {
    let (old, new) = (vec![b'o'; 200_000], vec![b'n'; 150_000]);
    let expected = new.clone();
    let server = in_turn(move |turn, received| match turn {
        0 => Answer::file(old.clone(), "\"1\"", received).cut_after(100_000),
        _ => Answer::file(new.clone(), "\"2\"", received),
    });
    let machine = Machine::new("");
    machine.apply(&step("/file", &server, ""));
    assert!(read(&machine, "file") == expected);
    // It remembers the version that it has, not the one that it began with.
    machine.apply(&step("/file", &server, ""));
    assert_ne!(server.take_requests()[2].header("if-none-match"), Some("\"1\""));
}

#[test]
fn a_part_that_does_not_fit_is_not_taken() {
    let whole = content(200_000);
    for bad in
        ["bytes 0-199999/200000", "bytes 100000-199998/200000", "bytes 100000-299999/300000", "nonsense"]
    {
        let served = whole.clone();
        let server = in_turn(move |turn, received| {
            let answer = Answer::file(served.clone(), "\"1\"", received);
            match (turn, received.header("range")) {
                (0, _) => answer.cut_after(100_000),
                (_, Some(_)) => Answer::ok(&served[100_000..]).header("Content-Range", bad).with_status(206),
                _ => answer,
            }
        });
        let machine = Machine::new("");
        let outcome = machine.apply(&step("/file", &server, ""));
        assert!(
            outcome.findings.is_empty() && read(&machine, "file") == whole,
            "{bad}: {}",
            outcome.messages()
        );
    }
}

#[test]
fn without_a_strong_version_everything_is_asked_for_again() {
    let whole = content(200_000);
    let served = whole.clone();
    let server = in_turn(move |turn, received| {
        let answer = Answer::file(served.clone(), "W/\"1\"", received);
        if turn == 0 { answer.cut_after(100_000) } else { answer }
    });
    let machine = Machine::new("");
    machine.apply(&step("/file", &server, ""));
    assert!(read(&machine, "file") == whole);
    assert_eq!(server.take_requests()[1].header("range"), None);
}

#[test]
fn what_never_ends_well_is_given_up() {
    let cut = in_turn(|_, received| Answer::file(content(200_000), "\"1\"", received).cut_after(10));
    fails(&cut, "", "after 5 tries: the answer broke off");
    assert_eq!(cut.take_requests().len(), 5);
    // One that breaks off late each time, and of which no part can be had.
    let late = Server::new(|_| Answer::ok(vec![b'x'; 3 << 20]).cut_after(2 << 20));
    fails(&late, "", "after 5 tries: the answer broke off");
    assert_eq!(late.take_requests().len(), 5);
    let short = Server::new(|_| Answer::ok("short").claiming(1000));
    fails(&short, "", "after 5 tries: the answer broke off");
    let down = Server::new(|_| Answer::status(503));
    fails(&down, "", "after 5 tries: the server answered 503 Service Unavailable");
    let stalled = Server::new(|_| Answer::ok("x").slowly(1, Duration::from_secs(5)));
    fails(&stalled, "", "has sent nothing for 0.2 s");
}

#[test]
fn trouble_that_passes_passes() {
    let server = in_turn(|turn, received| match turn {
        0 => Answer::status(500),
        1 => Answer::status(429).header("Retry-After", "3"),
        2 => Answer::file("fine\n", "\"1\"", received).cut_after(2),
        3 => Answer::status(502),
        _ => Answer::file("fine\n", "\"1\"", received),
    });
    let machine = Machine::new("");
    let outcome = machine.apply(&step("/file", &server, ", timeout: 20"));
    assert!(outcome.findings.is_empty(), "{}", outcome.messages());
    machine.assert_tree("-- /file\nfine\n");
}

#[test]
fn in_a_directory_the_server_or_the_address_gives_the_name() {
    let named = |name: &'static str| {
        Server::new(move |received| {
            let name = format!("attachment; filename=\"{name}\"");
            Answer::file("x\n", "\"1\"", received).header("Content-Disposition", name)
        })
    };
    let machine = Machine::new("-- /opt/\n");
    machine.check(&step("/opt", &named("named.txt"), ""), "-- /opt/named.txt\nx\n");
    let machine = Machine::new("");
    machine.check(&step("/opt/", &named("../../etc/shadow"), ""), "-- /opt/shadow\nx\n");
    let machine = Machine::new("");
    machine.check(&step("/opt/", &named(".."), ""), "-- /opt/file.bin\nx\n");
    let machine = Machine::new("");
    let server = Server::new(|_| Answer::ok("x"));
    let outcome = machine.apply(&format!("downloads: [{{path: /opt/, url: '{}'}}]", server.url("/a/")));
    assert!(outcome.messages().contains("the server proposes no name for it"), "{}", outcome.messages());
    machine.assert_tree("");
}

#[test]
fn what_cannot_be_downloaded_is_found_without_the_machine() {
    let outcome = Machine::new("").apply(
        "downloads:\n- {path: /a, url: 'file:///etc/shadow'}\n- {path: /a, url: 'ftp://h/x'}\n- {path: /a, url: h}\n\
         - {path: a, url: 'http://h/x'}\n- {path: /a}\n- {path: /a, url: 'http://h/x', checksum: 'md5:00'}\n",
    );
    let messages = outcome.messages();
    for part in [
        "test.yaml:2:19: files of this machine are not downloaded",
        "test.yaml:3:19: this is no address that can be downloaded from",
        "test.yaml:4:19: this is no address",
        "the path \"a\" is not absolute",
        "missing key `url`",
        "test.yaml:7:43: this is not a checksum",
    ] {
        assert!(messages.contains(part), "{part} is not in {messages}");
    }
}

#[test]
fn one_that_fails_does_not_stop_the_others_and_a_plan_asks_nobody() {
    let server = Server::new(|_| Answer::ok("x\n"));
    let machine = Machine::new("-- /dir/inside\n-- /link -> /etc/passwd\n-- /etc/passwd\n");
    let url = server.url("/f");
    let step = format!(
        "downloads:\n- {{path: /etc/passwd/x, url: '{url}'}}\n- {{path: /one, url: '{url}', ownerstring: nobody}}\n\
         - {{path: /two, url: '{url}'}}\n- {{path: /dir, url: '{url}'}}\n"
    );
    let plan = machine.plan(&step);
    assert!(plan.effects.iter().filter(|effect| effect.changed).count() == 2, "{:?}", plan.effects);
    assert_eq!(server.take_requests(), []);
    machine.assert_tree("");
    let outcome = machine.apply(&step);
    assert_eq!(outcome.findings.len(), 2, "{}", outcome.messages());
    machine.assert_tree("-- /two\nx\n-- /dir/f\nx\n");
}

/// Downloads into a real tree as the real host would, and returns the errors.
fn download_for_real(root: &Path, step: &str) -> String {
    let sys = System::new(root, Arc::new(Live), Mode::Apply).unwrap();
    let facts = crate::facts::Facts::new(&sys);
    let origin = Origin::new("test.yaml");
    let mut findings = Findings::new(origin.clone());
    let node = yaml::parse(step, &mut findings).unwrap();
    let downloads = super::Downloads::decode(&node, &mut findings).unwrap();
    let cx = Context::new(&origin, &facts, &[]);
    downloads.apply(&cx, &sys).unwrap();
    cx.into_findings().iter().map(ToString::to_string).collect()
}

#[test]
fn a_disk_that_is_too_small_is_found_out_and_keeps_what_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = nix::mount::mount(
        Some("none"),
        dir.path(),
        Some("tmpfs"),
        nix::mount::MsFlags::empty(),
        Some("size=256k"),
    );
    if let Err(error) = mounted {
        eprintln!("SKIPPED: a disk that is too small: cannot mount: {error}");
        return;
    }
    std::fs::write(dir.path().join("file"), "old").unwrap();
    let huge = Server::new(|_| Answer::ok(vec![b'x'; 64 << 10]).claiming(10 << 30).endless());
    let endless = Server::new(|_| Answer::ok(vec![b'x'; 64 << 10]).unclaimed().endless());
    let errors = [huge, endless].map(|server| {
        download_for_real(dir.path(), &format!("[{{path: /file, url: '{}'}}]", server.url("/")))
    });
    let names = std::fs::read_dir(dir.path()).unwrap().count();
    let kept = std::fs::read_to_string(dir.path().join("file")).unwrap();
    nix::mount::umount(dir.path()).unwrap();
    for error in errors {
        assert!(error.contains("no space is left"), "{error}");
    }
    assert_eq!((names, kept.as_str()), (1, "old"));
}

#[test]
fn no_link_of_a_user_is_followed() {
    use std::os::unix::fs::{lchown, symlink};
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: links of users: needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(dir.path().join("shadow"), "secret").unwrap();
    symlink("/shadow", home.join("file")).unwrap();
    lchown(&home, Some(1000), Some(1000)).unwrap();
    lchown(home.join("file"), Some(1000), Some(1000)).unwrap();
    let server = Server::new(|_| Answer::ok("x"));
    let errors =
        download_for_real(dir.path(), &format!("[{{path: /home/file, url: '{}'}}]", server.url("/f")));
    assert!(errors.contains("/home/file"), "{errors}");
    assert_eq!(std::fs::read_to_string(dir.path().join("shadow")).unwrap(), "secret");
}
