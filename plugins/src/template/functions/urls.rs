//! URLs, taken apart and put together by their text.

use super::{Call, Function, Outcome};
use crate::template::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["urlParse"],
        "URL",
        "a dictionary with `scheme`, `userinfo`, `host`, `hostname`, `path`, `query`, `opaque` and `fragment`",
        (r#"{{ (urlParse "https://admin@example.org:8443/a?b=c#d").hostname }}"#, "example.org"),
        parse,
    ),
    Function::new(
        &["urlJoin"],
        "DICT",
        "the URL of such a dictionary",
        (
            r#"{{ urlJoin (dict "scheme" "http" "host" "a:80" "path" "/b" "query" "c=d") }}"#,
            "http://a:80/b?c=d",
        ),
        join,
    ),
];

fn parse(call: &Call<'_>) -> Outcome {
    let text = call.text(0)?;
    if text.chars().any(|c| c.is_ascii_control()) {
        return Err("a URL has no control characters".into());
    }
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let valid = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if valid(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), rest),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let opaque = if scheme.is_empty() || rest.starts_with('/') { "" } else { rest };
    let rest = &rest[opaque.len()..];
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (userinfo, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let hostname = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    Ok(Value::map([
        ("scheme", Value::from(scheme)),
        ("userinfo", userinfo.into()),
        ("host", host.into()),
        ("hostname", hostname.into()),
        ("path", path.into()),
        ("query", query.into()),
        ("opaque", opaque.into()),
        ("fragment", fragment.into()),
    ]))
}

fn join(call: &Call<'_>) -> Outcome {
    let map = call.map(0)?;
    let part = |name: &str| match map.get(name) {
        Some(Value::Text(text)) => text.to_string(),
        _ => String::new(),
    };
    let with = |before: &str, text: String, after: &str| match text.is_empty() {
        true => text,
        false => format!("{before}{text}{after}"),
    };
    let scheme = with("", part("scheme"), ":");
    let tail = with("?", part("query"), "") + &with("#", part("fragment"), "");
    let opaque = part("opaque");
    if !opaque.is_empty() {
        return Ok((scheme + &opaque + &tail).into());
    }
    let authority = with("", part("userinfo"), "@") + &part("host");
    let path = part("path");
    let path = if !authority.is_empty() && !path.is_empty() && !path.starts_with('/') {
        format!("/{path}")
    } else {
        path
    };
    Ok((scheme + &with("//", authority, "") + &path + &tail).into())
}
