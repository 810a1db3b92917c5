//! Documents from servers that answer well, badly, too much, or not at all.

use crate::machine::Machine;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server on the loopback device that gives every request the same answer; its address and the number of
/// requests so far.
fn server(status: &'static str, body: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a.yaml", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            count.fetch_add(1, Ordering::SeqCst);
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // A client that has seen enough goes away.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    (url, requests)
}

const DOCUMENT: &str =
    "stages:\n  test:\n  - name: Fetched\n    files:\n    - {path: /etc/fetched, content: x}\n";

#[test]
fn a_document_is_fetched_and_runs() {
    let machine = Machine::new();
    let (url, requests) = server("200 OK", DOCUMENT.into());
    let ended = machine.apply(&[&url]);
    assert_eq!((ended.status, ended.outcome("Fetched").as_str()), (Some(0), "applied"), "{ended:#?}");
    assert_eq!(ended.step("Fetched")["document"], url);
    assert_eq!(machine.text("/etc/fetched").as_deref(), Some("x"));
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

/// Applies a document of this server, which must not run, and a good one, which must.
#[track_caller]
fn refused(status: &'static str, body: Vec<u8>, message: &str, tries: usize) {
    let machine = Machine::new();
    let (url, requests) = server(status, body);
    let good = machine.steps("good.yaml", "- name: Good\n  hostname: good\n");
    let ended = machine.apply(&[&url, &good]);
    assert_eq!((ended.status, ended.outcome("Good").as_str()), (Some(1), "applied"), "{ended:#?}");
    assert_eq!(ended.diagnostics(), [format!("a.yaml: {message}")]);
    assert_eq!(requests.load(Ordering::SeqCst), tries);
    assert_eq!(machine.text("/etc/fetched"), None);
}

#[test]
fn the_page_that_says_404_does_not_run() {
    refused("404 Not Found", DOCUMENT.into(), "cannot be fetched: the server answered 404 Not Found", 1);
    let machine = Machine::new();
    let (url, _) = server("404 Not Found", DOCUMENT.into());
    assert_eq!(machine.apply(&[&url]).status, Some(3));
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let message = "cannot be fetched: after 3 tries: the server answered 500 Internal Server Error";
    refused("500 Internal Server Error", DOCUMENT.into(), message, 3);
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let mut body = DOCUMENT.as_bytes().to_vec();
    body.resize((16 << 20) + 1, b'#');
    let message = "is larger than 16 MiB; put large content into an image, or let a step download it";
    refused("200 OK", body, message, 1);
}

#[test]
fn a_page_that_is_no_document_is_refused() {
    let machine = Machine::new();
    let (url, _) = server("200 OK", "<!DOCTYPE html><html><body>Sign in</body></html>".into());
    let ended = machine.apply(&[&url]);
    assert_eq!((ended.status, ended.diagnostics().len()), (Some(3), 1), "{ended:#?}");
}

#[test]
fn a_port_that_nobody_listens_on_is_one_error() {
    let machine = Machine::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a.yaml", listener.local_addr().unwrap());
    drop(listener);
    let ended = machine.apply(&[&url]);
    let found = ended.diagnostics();
    assert_eq!((ended.status, found.len()), (Some(3), 1), "{ended:#?}");
    assert!(
        found[0].starts_with("a.yaml: cannot be fetched: after 3 tries: ") && found[0].contains("refused"),
        "{found:#?}"
    );
}
