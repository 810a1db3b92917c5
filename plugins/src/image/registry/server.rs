//! A registry for tests: it serves an OCI layout, and misbehaves as it is told to.
#![allow(clippy::disallowed_methods, reason = "tests serve real files")]

use crate::testing::{Answer, Received, Server};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How it misbehaves.
#[derive(Clone, Copy, Default)]
pub(super) struct Manners {
    /// Every answer with a blob breaks off after so many bytes.
    pub(super) cut: Option<u64>,
    /// Requests for a part are answered with the whole.
    pub(super) ignores_ranges: bool,
    /// The first requests for a manifest are answered with this status.
    pub(super) busy: Option<(u16, usize)>,
    /// A byte of each blob is another one.
    pub(super) lies: bool,
    /// Blobs have another byte at their end.
    pub(super) talks_too_much: bool,
    /// A token is asked for, which only this login gets.
    pub(super) login: Option<&'static str>,
}

/// Serves the layout.
pub(super) fn registry(layout: &Path, manners: Manners) -> Server {
    let layout = layout.to_owned();
    let busy = AtomicUsize::new(manners.busy.map_or(0, |(_, count)| count));
    Server::new(move |received| answer(&layout, manners, &busy, received))
}

/// The requests since the last call: `/v2/… bytes=5-`.
pub(super) fn requests(server: &Server) -> Vec<String> {
    let line = |received: Received| format!("{} {}", received.path, received.header("range").unwrap_or(""));
    server.take_requests().into_iter().map(line).map(|line| line.trim_end().to_owned()).collect()
}

fn answer(layout: &Path, manners: Manners, busy: &AtomicUsize, received: &Received) -> Answer {
    let path = received.path.as_str();
    if let Some(login) = manners.login {
        let shown = received.header("authorization").unwrap_or("");
        if path.starts_with("/token") {
            let right = shown == login;
            return if right { Answer::ok(r#"{"token": "sesame"}"#) } else { Answer::status(401) };
        }
        if shown != "Bearer sesame" {
            let host = received.header("host").unwrap_or("");
            let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"test\"");
            return Answer::status(401).header("WWW-Authenticate", challenge);
        }
    }
    let Some((kind, name)) = path.rsplit_once('/') else { return Answer::ok("") };
    if kind.ends_with("/referrers") {
        let index = std::fs::read(layout.join("referrers.json"));
        return index.map_or_else(|_| Answer::status(404), Answer::ok);
    }
    let file = match name.contains(':') {
        true => name.to_owned(),
        false => tag(layout, name).unwrap_or_default(),
    };
    let content = std::fs::read(layout.join("blobs").join(file.replace(':', "/")));
    match (kind.ends_with("/manifests"), kind.ends_with("/blobs"), content) {
        (false, false, _) => Answer::ok(""),
        (true, _, _) if busy.load(Ordering::SeqCst) > 0 => {
            busy.fetch_sub(1, Ordering::SeqCst);
            Answer::status(manners.busy.map_or(500, |(status, _)| status))
        }
        (_, _, Err(_)) => Answer::status(404),
        (true, _, Ok(content)) => Answer::ok(content),
        (_, _, Ok(content)) => blob(manners, content, received),
    }
}

fn blob(manners: Manners, mut content: Vec<u8>, received: &Received) -> Answer {
    if manners.lies {
        content[0] ^= 1;
    }
    if manners.talks_too_much {
        content.push(0);
    }
    let answer = match manners.ignores_ranges {
        true => Answer::ok(content),
        false => Answer::file(content, "\"1\"", received),
    };
    match manners.cut {
        Some(cut) => answer.cut_after(cut),
        None => answer,
    }
}

fn tag(layout: &Path, name: &str) -> Option<String> {
    let path: PathBuf = layout.join("index.json");
    let index: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let is = |entry: &&serde_json::Value| {
        entry["annotations"]["org.opencontainers.image.ref.name"].as_str() == Some(name)
    };
    Some(index["manifests"].as_array()?.iter().find(is)?["digest"].as_str()?.to_owned())
}
