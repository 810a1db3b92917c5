//! What a registry wants to be shown, and the tokens that it hands out.

use crate::image::failure::Reason;
use anyhow::Result;
use http_auth::{ChallengeRef, parse_challenges};
use reqwest::Url;
use serde::Deserialize;

/// What a registry wants to be shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A name and a password.
    Basic,
    /// A token.
    Token {
        /// The address that hands it out.
        realm: String,
        /// What it is for.
        service: Option<String>,
    },
}

impl Challenge {
    /// The best of those that the values of `WWW-Authenticate` leave to choose from.
    pub(super) fn of<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let challenges: Vec<_> = values.filter_map(|value| parse_challenges(value).ok()).flatten().collect();
        let value = |challenge: &ChallengeRef<'_>, wanted: &str| {
            let mut params = challenge.params.iter();
            let (_, value) = params.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
            Some(value.to_unescaped())
        };
        let token = challenges.iter().filter(|challenge| challenge.scheme.eq_ignore_ascii_case("bearer"));
        let mut token = token.filter_map(|challenge| {
            Some(Self::Token { realm: value(challenge, "realm")?, service: value(challenge, "service") })
        });
        let basic = || challenges.iter().any(|challenge| challenge.scheme.eq_ignore_ascii_case("basic"));
        token.next().or_else(|| basic().then_some(Self::Basic))
    }
}

/// The address of a token.
pub(super) fn url(realm: &str, service: Option<&str>, scope: &str) -> Result<String> {
    let url = Url::parse(realm);
    let mut url =
        url.map_err(|_| Reason::Registry.says("the registry hands out tokens at an address that is none"))?;
    url.query_pairs_mut()
        .extend_pairs(service.map(|service| ("service", service)))
        .append_pair("scope", scope);
    Ok(url.into())
}

/// The token of an answer.
pub(super) fn token(answer: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    let token = answer.token.or(answer.access_token)?;
    // As it must be in a header.
    (!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_preferred_wherever_it_is_asked_for() {
        let of = |values: &[&str]| Challenge::of(values.iter().copied());
        let expected =
            Challenge::Token { realm: "https://a.example/t".into(), service: Some("a \"b\"".into()) };
        let token = r#"bearer Realm="https://a.example/t",service="a \"b\"",scope="x""#;
        for values in [&[token][..], &["Basic realm=\"x\"", token], &[&format!("Basic realm=\"x\", {token}")]]
        {
            assert_eq!(of(values).as_ref(), Some(&expected), "{values:?}");
        }
        assert_eq!(of(&["Basic realm=\"x\""]), Some(Challenge::Basic));
        for none in [&[][..], &[""], &["Bearer"], &["Bearer service=x"], &["Negotiate"], &["\"", "="]] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }

    #[test]
    fn the_address_of_a_token_names_the_service_and_what_it_is_for() {
        let at = |realm, service| url(realm, service, "repository:a/b:pull").unwrap();
        assert_eq!(at("https://x/t", Some("s s")), "https://x/t?service=s+s&scope=repository%3Aa%2Fb%3Apull");
        assert_eq!(at("https://x/t?a=b", None), "https://x/t?a=b&scope=repository%3Aa%2Fb%3Apull");
        assert!(url("/t?password", None, "").is_err_and(|error| !error.to_string().contains("password")));
    }

    #[test]
    fn a_token_that_does_not_fit_into_a_header_is_none() {
        assert_eq!(token(br#"{"token": "a"}"#).as_deref(), Some("a"));
        assert_eq!(token(br#"{"access_token": "a.b-c", "expires_in": 5}"#).as_deref(), Some("a.b-c"));
        for none in ["", "{}", "[]", r#"{"token": ""}"#, r#"{"token": "a\r\nX: y"}"#, r#"{"token": 5}"#] {
            assert_eq!(token(none.as_bytes()), None, "{none}");
        }
    }
}
