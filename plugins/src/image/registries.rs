//! Where images are really fetched from: mirrors, by containers-registries.conf(5) in its second version.
//!
//! A registry is spoken to over plain HTTP where `insecure` says so; a certificate is never taken unverified.

mod toml;

use super::failure::{Failure, Reason};
use super::source::is_loopback;
use crate::System;
use anyhow::Result;
use oci_spec::distribution::Reference;
use std::path::{Path, PathBuf};
use toml::{Line, Lines, Value};

/// The file, and the directory of those that add to it.
const FILE: &str = "/etc/containers/registries.conf";
const DIRECTORY: &str = "/etc/containers/registries.conf.d";

/// A place to fetch an image from.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// The name of the image there.
    pub(super) reference: Reference,
    /// Whether it is spoken to over plain HTTP.
    pub(super) plain: bool,
}

/// What is said of the images whose names begin so.
#[derive(Clone, Debug, Default)]
struct Registry {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
    by_digest_only: bool,
    mirrors: Vec<Mirror>,
}

/// A mirror of them.
#[derive(Clone, Debug, Default)]
struct Mirror {
    location: String,
    insecure: bool,
    /// Of `all`, `digest-only` and `tag-only`; nothing is `all`.
    pull: String,
}

/// The places to fetch an image from, in the order in which they are tried: its mirrors, then itself.
pub(super) fn endpoints(
    sys: &System,
    reference: &Reference,
    insecure: Option<bool>,
) -> Result<Vec<Endpoint>, Failure> {
    let name = format!("{}/{}", reference.registry(), reference.repository());
    let registries = load(sys)?;
    let found = registries.iter().filter_map(|registry| Some((registry.matches(&name)?, registry)));
    let default = |reference: &Reference, named: bool| named || is_loopback(reference.registry());
    let Some((length, registry)) = found.max_by_key(|(length, _)| *length) else {
        let plain = insecure.unwrap_or_else(|| default(reference, false));
        return Ok(vec![Endpoint { reference: reference.clone(), plain }]);
    };
    if registry.blocked {
        return Err(Failure::new(Reason::Policy, format!("{FILE} blocks {}", registry.prefix)));
    }
    let (rest, pinned) = (&name[length..], reference.digest().is_some());
    let mut endpoints = Vec::new();
    for mirror in registry.mirrors.iter().filter(|mirror| mirror.is_for(pinned, registry.by_digest_only)) {
        let reference = at(&mirror.location, rest, reference)?;
        endpoints.push(Endpoint { plain: default(&reference, mirror.insecure), reference });
    }
    let reference = match registry.location.as_str() {
        "" => reference.clone(),
        location => at(location, rest, reference)?,
    };
    let plain = insecure.unwrap_or_else(|| default(&reference, registry.insecure));
    endpoints.push(Endpoint { reference, plain });
    Ok(endpoints)
}

/// The image at another place.
fn at(location: &str, rest: &str, reference: &Reference) -> Result<Reference, Failure> {
    let name = format!("{location}{rest}");
    let wrong = || Failure::new(Reason::Registry, format!("{FILE}: {name:?} is no place of an image"));
    let (registry, repository) = name.split_once('/').ok_or_else(wrong)?;
    let tag = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => format!("@{digest}"),
        (None, tag) => format!(":{}", tag.unwrap_or("latest")),
    };
    // The grammar of names, but without guessing what is a registry.
    let checked: Reference = format!("localhost/{repository}{tag}").parse().map_err(|_| wrong())?;
    if registry.is_empty()
        || !registry.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte))
    {
        return Err(wrong());
    }
    let (registry, repository) = (registry.to_owned(), checked.repository().to_owned());
    Ok(match (checked.digest(), checked.tag()) {
        (Some(digest), _) => Reference::with_digest(registry, repository, digest.to_owned()),
        (None, tag) => Reference::with_tag(registry, repository, tag.unwrap_or("latest").to_owned()),
    })
}

impl Registry {
    /// How much of the name is its prefix, if it is about that name.
    fn matches(&self, name: &str) -> Option<usize> {
        let ends = |length: usize| matches!(name.as_bytes().get(length), None | Some(b'/'));
        if let Some(domain) = self.prefix.strip_prefix('*') {
            // `*.example.com`: any registry below it, but not itself.
            let registry = name.split('/').next()?;
            return (domain.starts_with('.') && registry.ends_with(domain)).then_some(registry.len());
        }
        (!self.prefix.is_empty() && name.starts_with(&self.prefix) && ends(self.prefix.len()))
            .then_some(self.prefix.len())
    }
}

impl Mirror {
    fn is_for(&self, pinned: bool, by_digest_only: bool) -> bool {
        match self.pull.as_str() {
            "digest-only" => pinned,
            "tag-only" => !pinned,
            _ => pinned || !by_digest_only,
        }
    }
}

/// All that is said; of several files about one prefix the last counts.
fn load(sys: &System) -> Result<Vec<Registry>, Failure> {
    let wrong = Failure::or(Reason::Registry);
    let named = sys.host().variable("CONTAINERS_REGISTRIES_CONF").filter(|name| !name.is_empty());
    let mut files = vec![named.map_or_else(|| PathBuf::from(FILE), PathBuf::from)];
    let mut names = sys.read_dir(DIRECTORY).map_err(&wrong)?.unwrap_or_default();
    names.sort();
    let names =
        names.into_iter().filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "conf"));
    files.extend(names.map(|name| Path::new(DIRECTORY).join(name)));
    let mut all: Vec<Registry> = Vec::new();
    for file in files {
        let Some(text) = sys.read_text(&file).map_err(&wrong)? else { continue };
        let read = parse(&text);
        let place =
            |(line, what)| Failure::new(Reason::Registry, format!("{}:{line}: {what}", file.display()));
        for registry in read.map_err(place)? {
            all.retain(|known| known.prefix != registry.prefix);
            all.push(registry);
        }
    }
    Ok(all)
}

/// Reads a file; an error has its line.
fn parse(text: &str) -> Result<Vec<Registry>, (usize, String)> {
    let mut registries: Vec<Registry> = Vec::new();
    let mut table = String::new();
    let mut lines = Lines::new(text);
    while let Some(line) = lines.next()? {
        let number = lines.number();
        match line {
            Line::Table(name) if name == "registries" || name.starts_with("registries.") => {
                return Err((
                    number,
                    "this is the first version of the format, which is not read".to_owned(),
                ));
            }
            Line::Table(name) => {
                match (name.as_str(), registries.last_mut()) {
                    ("registry", _) => registries.push(Registry::default()),
                    ("registry.mirror", Some(registry)) => registry.mirrors.push(Mirror::default()),
                    ("registry.mirror", None) => return Err((number, "a mirror of no registry".to_owned())),
                    _ => {}
                }
                table = name;
            }
            Line::Value(key, value) => {
                let Some(registry) = registries.last_mut() else { continue };
                let mirror = registry.mirrors.last_mut();
                let wrong = match (table.as_str(), key.as_str(), value, mirror) {
                    ("registry", "prefix", Value::Text(text), _) => set(&mut registry.prefix, text),
                    ("registry", "location", Value::Text(text), _) => set(&mut registry.location, text),
                    ("registry", "insecure", Value::Flag(flag), _) => set(&mut registry.insecure, flag),
                    ("registry", "blocked", Value::Flag(flag), _) => set(&mut registry.blocked, flag),
                    ("registry", "mirror-by-digest-only", Value::Flag(flag), _) => {
                        set(&mut registry.by_digest_only, flag)
                    }
                    ("registry.mirror", "location", Value::Text(text), Some(mirror)) => {
                        set(&mut mirror.location, text)
                    }
                    ("registry.mirror", "insecure", Value::Flag(flag), Some(mirror)) => {
                        set(&mut mirror.insecure, flag)
                    }
                    ("registry.mirror", "pull-from-mirror", Value::Text(text), Some(mirror))
                        if ["all", "digest-only", "tag-only"].contains(&text.as_str()) =>
                    {
                        set(&mut mirror.pull, text)
                    }
                    (
                        "registry",
                        "prefix" | "location" | "insecure" | "blocked" | "mirror-by-digest-only",
                        ..,
                    )
                    | ("registry.mirror", "location" | "insecure" | "pull-from-mirror", ..) => true,
                    _ => false,
                };
                if wrong {
                    return Err((number, format!("`{key}` cannot be that")));
                }
            }
        }
    }
    for registry in &mut registries {
        if registry.prefix.is_empty() {
            registry.prefix.clone_from(&registry.location);
        }
    }
    Ok(registries)
}

/// Sets it; nothing is wrong then.
fn set<T>(place: &mut T, value: T) -> bool {
    *place = value;
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Mode;
    use crate::testing::Machine;

    /// The places of an image, `!` before those of plain HTTP.
    fn places(configuration: &str, image: &str) -> Result<Vec<String>, String> {
        let machine = Machine::new(&format!("-- {FILE}\n{configuration}\n"));
        let found = endpoints(&machine.system(Mode::Apply), &image.parse().unwrap(), None);
        let shown =
            |endpoint: Endpoint| format!("{}{}", if endpoint.plain { "!" } else { "" }, endpoint.reference);
        found.map(|found| found.into_iter().map(shown).collect()).map_err(|failure| failure.to_string())
    }

    const SOME: &str = "unqualified-search-registries = ['docker.io']\n\
        [[registry]]\nprefix = 'docker.io'\nlocation = 'docker.io'\n\
        [[registry.mirror]]\nlocation = 'mirror.example:5000/hub'\ninsecure = true\n\
        [[registry.mirror]]\nlocation = 'digests.example'\npull-from-mirror = 'digest-only'\n\
        [[registry]]\nprefix = 'quay.io/org'\nlocation = 'other.example/moved'\n\
        [[registry]]\nlocation = 'bad.example'\nblocked = true\n\
        [[registry]]\nprefix = '*.lab.example'\ninsecure = true\n";

    #[test]
    fn mirrors_are_tried_first_and_then_the_place_itself() {
        assert_eq!(
            places(SOME, "debian:12").unwrap(),
            ["!mirror.example:5000/hub/library/debian:12", "docker.io/library/debian:12"]
        );
        let digest = super::super::Digest::of(b"");
        assert_eq!(
            places(SOME, &format!("debian:12@{digest}")).unwrap(),
            [
                format!("!mirror.example:5000/hub/library/debian@{digest}"),
                format!("digests.example/library/debian@{digest}"),
                format!("docker.io/library/debian@{digest}"),
            ]
        );
    }

    #[test]
    fn prefixes_count_by_whole_parts_and_say_where_and_how() {
        assert_eq!(places(SOME, "quay.io/org/x:1").unwrap(), ["other.example/moved/x:1"]);
        assert_eq!(places(SOME, "quay.io/organ/x:1").unwrap(), ["quay.io/organ/x:1"]);
        assert_eq!(places(SOME, "a.lab.example/x:1").unwrap(), ["!a.lab.example/x:1"]);
        assert_eq!(places(SOME, "lab.example/x:1").unwrap(), ["lab.example/x:1"]);
        assert_eq!(places("", "localhost:5000/x:1").unwrap(), ["!localhost:5000/x:1"]);
        assert!(places(SOME, "bad.example/x").unwrap_err().contains("blocks bad.example"));
    }

    #[test]
    fn files_of_the_directory_come_after_the_one_file() {
        let other = "[[registry]]\nlocation = 'docker.io'\ninsecure = true\n";
        let machine =
            Machine::new(&format!("-- {FILE}\n{SOME}-- {DIRECTORY}/1.conf\n{other}-- {DIRECTORY}/x\n[\n"));
        let found = endpoints(&machine.system(Mode::Apply), &"debian".parse().unwrap(), None).unwrap();
        assert_eq!((found.len(), found[0].plain), (1, true));
    }

    #[test]
    fn what_is_not_understood_is_said_with_its_line() {
        for (configuration, expected) in [
            ("[registries.search]\nregistries = []", "registries.conf:1: this is the first version"),
            ("[[registry]]\ninsecure = 'yes'", ":2: `insecure` cannot be that"),
            (
                "[[registry]]\n[[registry.mirror]]\npull-from-mirror = 'x'",
                ":3: `pull-from-mirror` cannot be that",
            ),
            ("[[registry.mirror]]", ":1: a mirror of no registry"),
            ("[[registry]", ":1: `]]` is expected"),
            ("[[registry]]\nprefix = 'quay.io'\nlocation = 'https://x'", "is no place of an image"),
        ] {
            let error = places(configuration, "quay.io/x").unwrap_err();
            assert!(error.contains(expected), "{configuration}: {error}");
        }
    }
}
