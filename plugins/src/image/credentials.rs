//! What to show a registry: the files that `podman login` and `docker login` write.

use crate::System;
use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_spec::distribution::Reference;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// A name and a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    name: String,
    password: String,
}

impl Login {
    fn new(name: &str, password: &str) -> Self {
        Self { name: name.to_owned(), password: password.to_owned() }
    }

    /// As a registry is shown it.
    pub(super) fn header(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.name, self.password)))
    }
}

/// Without the password.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The credentials for the repository, from the first file that has some. Paths lie below the root.
pub(super) fn find(sys: &System, reference: &Reference) -> Result<Option<Login>> {
    for path in paths(sys) {
        let Some(text) = sys.read_text(&path)? else { continue };
        // What is wrong with it must not be shown: it holds passwords.
        let Ok(file) = serde_json::from_str::<File>(&text) else {
            bail!("{} does not hold credentials: it is no JSON of the usual form", path.display());
        };
        if let Some(auth) = file.find(reference) {
            return auth.map(Some).with_context(|| format!("the credentials in {}", path.display()));
        }
    }
    Ok(None)
}

/// Where credentials are looked for.
fn paths(sys: &System) -> Vec<PathBuf> {
    let variable = |name| sys.host().variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = variable("REGISTRY_AUTH_FILE") {
        return vec![path];
    }
    // Services have none of these variables, and belong to root.
    let home = variable("HOME").unwrap_or_else(|| "/root".into());
    let run = variable("XDG_RUNTIME_DIR").unwrap_or_else(|| "/run/containers/0".into());
    let run =
        if run.ends_with("containers/0") { run.join("auth.json") } else { run.join("containers/auth.json") };
    let docker = variable("DOCKER_CONFIG").unwrap_or_else(|| home.join(".docker"));
    vec![
        run,
        home.join(".config/containers/auth.json"),
        docker.join("config.json"),
        "/etc/containers/auth.json".into(),
    ]
}

impl File {
    /// The most special one: for the repository, then what is above it, then the whole registry.
    fn find(&self, reference: &Reference) -> Option<Result<Login>> {
        let whole = format!("{}/{}", reference.registry(), reference.repository());
        let mut name = whole.as_str();
        loop {
            let named = self.auths.iter().find(|(key, login)| registry(key) == name && !login.is_empty());
            if let Some((_, login)) = named {
                return Some(login.auth());
            }
            (name, _) = name.rsplit_once('/')?;
        }
    }
}

/// The registry that a key stands for, which may be a URL.
fn registry(key: &str) -> &str {
    match key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")) {
        None if key == "index.docker.io" => "docker.io",
        None => key.trim_end_matches('/'),
        Some(url) => match url.split('/').next().unwrap_or(url) {
            "index.docker.io" => "docker.io",
            host => host,
        },
    }
}

impl Entry {
    /// Whether a program has the password, which is not asked.
    fn is_empty(&self) -> bool {
        [&self.auth, &self.username, &self.identitytoken]
            .iter()
            .all(|part| part.as_deref().is_none_or(str::is_empty))
    }

    fn auth(&self) -> Result<Login> {
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            return Ok(Login::new(username, password));
        }
        let Some(auth) = self.auth.as_deref().filter(|auth| !auth.is_empty()) else {
            bail!("an identity token, which is not supported: log in with a password or an access token");
        };
        let decoded = STANDARD.decode(auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.as_deref().and_then(|login| login.split_once(':')) {
            Some((username, password)) => Ok(Login::new(username, password.trim_end_matches('\0'))),
            None => bail!("`auth` is not a name and a password in base64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Mode;
    use crate::testing::Machine;

    fn basic(name: &str, password: &str) -> Option<Login> {
        Some(Login::new(name, password))
    }

    fn found(machine: &Machine, name: &str) -> Result<Option<Login>, String> {
        let reference = name.parse().unwrap();
        find(&machine.system(Mode::Apply), &reference).map_err(|error| format!("{error:#}"))
    }

    /// `u:p` and `org:q` in base64.
    const FILE: &str = r#"{"auths": {
        "https://index.docker.io/v1/": {"auth": "dTpw"},
        "quay.io": {"auth": "dTpw"},
        "quay.io/org": {"username": "org", "password": "q"},
        "helper.io": {},
        "token.io": {"identitytoken": "secret"},
        "broken.io": {"auth": "c2VjcmV0"}
    }, "credsStore": "secretservice"}"#;

    #[test]
    fn the_most_special_login_of_the_first_file_that_has_one_is_used() {
        let machine = Machine::new(&format!("-- /root/.docker/config.json 0600\n{FILE}\n"));
        assert_eq!(found(&machine, "debian"), Ok(basic("u", "p")));
        assert_eq!(found(&machine, "quay.io/x/y"), Ok(basic("u", "p")));
        assert_eq!(found(&machine, "quay.io/org/y"), Ok(basic("org", "q")));
        assert_eq!(found(&machine, "quay.io/organ/y"), Ok(basic("u", "p")));
        assert_eq!(found(&machine, "ghcr.io/x"), Ok(None));
        assert_eq!(found(&machine, "helper.io/x"), Ok(None));
    }

    #[test]
    fn files_are_found_where_the_environment_says() {
        let text = r#"{"auths": {"quay.io": {"auth": "dTpw"}}}"#;
        for (path, name, value) in [
            ("/x/auth.json", "REGISTRY_AUTH_FILE", "/x/auth.json"),
            ("/run/user/1/containers/auth.json", "XDG_RUNTIME_DIR", "/run/user/1"),
            ("/home/u/.config/containers/auth.json", "HOME", "/home/u"),
            ("/cfg/config.json", "DOCKER_CONFIG", "/cfg"),
            ("/run/containers/0/auth.json", "LANG", "C"),
            ("/etc/containers/auth.json", "LANG", "C"),
        ] {
            let machine = Machine::new(&format!("-- {path} 0600\n{text}\n"));
            machine.host.variable(name, value);
            assert_eq!(found(&machine, "quay.io/x"), Ok(basic("u", "p")), "{path}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_showing_any_of_it() {
        let machine = Machine::new(&format!("-- /root/.docker/config.json 0600\n{FILE}\n"));
        let token = found(&machine, "token.io/x").unwrap_err();
        assert!(token.contains("an identity token") && !token.contains("secret"), "{token}");
        let broken = found(&machine, "broken.io/x").unwrap_err();
        assert!(
            broken.contains("base64") && !broken.contains("secret") && !broken.contains("c2V"),
            "{broken}"
        );
        let machine = Machine::new("-- /root/.docker/config.json\n{\"auths\": \"secret\"}\n");
        let error = found(&machine, "quay.io/x").unwrap_err();
        assert!(error.contains("/root/.docker/config.json") && !error.contains("secret"), "{error}");
    }
}
