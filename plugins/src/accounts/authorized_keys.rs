//! The SSH keys with which a user may log in: sshd(8), "AUTHORIZED_KEYS FILE FORMAT".
//!
//! **Invariants:** keys are compared as keys: what surrounds them (options, comments, spacing) does not make
//! another key. Keys that are in the file stay, in their place. The file and its directory belong to the user
//! and are never reached through a link that the user could have made.

use super::lookup::User;
use super::remote_keys::Source;
use crate::system::{File, Kind};
use crate::{Context, System};
use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cosette_schema::{Span, Text};
use std::collections::HashSet;

/// A line that allows one key in.
#[derive(Clone, Copy, PartialEq, Eq)]
struct KeyLine<'t> {
    line: &'t str,
    identity: Identity<'t>,
}

/// What makes a key the key it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Identity<'t> {
    algorithm: &'t str,
    blob: &'t str,
}

/// What an entry stands for.
enum Entry<'t> {
    Key(KeyLine<'t>),
    /// A list from a server.
    List(String),
}

/// Allows keys in for a user: those that are written down and those that are to be fetched. What cannot be
/// understood or had is reported one by one, and the others added.
pub fn install(cx: &Context, sys: &System, user: &User, keys: &[Text]) -> Result<()> {
    install_with_options(cx, sys, user, keys, "")
}

/// The same with options before each new key, such as `command="..."`.
pub fn install_with_options(
    cx: &Context,
    sys: &System,
    user: &User,
    keys: &[Text],
    options: &str,
) -> Result<()> {
    let entries = lines(keys).filter_map(|(span, line)| {
        let entry = match Source::parse(line) {
            Some(source) => Entry::List(fetched(cx, sys, span, &cx.attempt(span, source)?)?),
            None => Entry::Key(cx.attempt(span, KeyLine::parse(line))?),
        };
        Some((span, entry))
    });
    add(cx, sys, user, entries.collect(), options)
}

/// Allows in for a user the keys of users of GitHub and Launchpad: `gh:USER`, `lp:USER`.
pub fn import(cx: &Context, sys: &System, user: &User, ids: &[Text]) -> Result<()> {
    let entries = lines(ids).filter_map(|(span, id)| {
        let source = cx.attempt(span, Source::parse_import(id))?;
        Some((span, Entry::List(fetched(cx, sys, span, &source)?)))
    });
    add(cx, sys, user, entries.collect(), "")
}

/// Whether some of the keys are to be fetched, which needs the network.
pub fn is_remote(keys: &Text) -> bool {
    lines(std::slice::from_ref(keys)).any(|(_, line)| Source::parse(line).is_some())
}

/// Allows in for a user the keys of a list that a server gave, one on a line.
pub(crate) fn install_list(cx: &Context, sys: &System, span: Span, user: &User, list: &str) -> Result<()> {
    add(cx, sys, user, vec![(span, Entry::List(list.to_owned()))], "")
}

fn add(
    cx: &Context,
    sys: &System,
    user: &User,
    entries: Vec<(Span, Entry<'_>)>,
    options: &str,
) -> Result<()> {
    let mut wanted = Vec::new();
    for (span, entry) in &entries {
        match entry {
            Entry::Key(key) => {
                if !key.is_whole() {
                    cx.warn(*span, "this SSH key is cut or damaged: sshd will not take it");
                }
                wanted.push(*key);
            }
            Entry::List(list) => wanted.extend(of_list(cx, *span, list)),
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let who = &user.name;
    if !user.home.is_absolute() {
        bail!("user `{who}` has no home directory in which SSH keys could stand");
    }
    if sys.metadata(&user.home)?.is_none_or(|home| home.kind != Kind::Directory) {
        let home = user.home.display();
        bail!("the home directory {home} of user `{who}` does not exist: SSH keys cannot be written");
    }
    let directory = user.home.join(".ssh");
    let path = directory.join("authorized_keys");
    sys.create_dir(&directory, Some(0o700), Some(user.owner))
        .with_context(|| format!("SSH keys of user `{who}`"))?;
    let before = match sys.read_to_write(&path).with_context(|| format!("SSH keys of user `{who}`"))? {
        // What the user could not read would become the user's own.
        Some((found, _)) if found.owner.uid != user.owner.uid && found.mode & 0o004 == 0 => {
            bail!("{} does not belong to user `{who}`: give it to the user, or remove it", path.display())
        }
        Some((_, content)) => content,
        None => Vec::new(),
    };
    let after = with_keys(&before, &wanted, options);
    sys.write(File::new(&path, after).mode(0o600).owner(user.owner))
        .with_context(|| format!("SSH keys of user `{who}`"))?;
    Ok(())
}

/// The lines that are configured, and where each stands.
fn lines(texts: &[Text]) -> impl Iterator<Item = (Span, &str)> {
    texts.iter().flat_map(|text| {
        (1..).zip(text.as_str().lines()).filter_map(|(number, line)| {
            let line = line.trim();
            is_entry(line).then(|| (text.locate(number, 1), line))
        })
    })
}

fn is_entry(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#')
}

/// A list of keys from a server, if it can be had.
fn fetched(cx: &Context, sys: &System, span: Span, source: &Source) -> Option<String> {
    if source.is_open() {
        cx.warn(span, "these SSH keys come without TLS: anybody on the way could let themselves in");
    }
    let list = cx.attempt(span, source.fetch(sys))?;
    if list.is_none() {
        cx.leave_to_a_run(
            span,
            "these SSH keys are fetched when the step really runs; the plan is without them",
        );
    }
    list
}

/// The keys of a list from a server. Only those that sshd will take: nobody here can mend the others.
fn of_list<'t>(cx: &Context, span: Span, list: &'t str) -> Vec<KeyLine<'t>> {
    let lines = list.lines().map(str::trim).filter(|line| is_entry(line));
    let (good, bad): (Vec<_>, Vec<_>) =
        lines.map(|line| KeyLine::parse(line).ok().filter(KeyLine::is_whole)).partition(Option::is_some);
    match (bad.len(), good.len()) {
        (0, 0) => cx.warn(span, "there are no SSH keys at this address"),
        (0, _) => {}
        (bad, _) => {
            let message = anyhow!("{bad} of the lines at this address are no SSH keys that sshd would take");
            cx.attempt::<()>(span, Err(message));
        }
    }
    good.into_iter().flatten().collect()
}

/// The content of the file with the keys that are not in it at the end.
fn with_keys(before: &[u8], wanted: &[KeyLine<'_>], options: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(before);
    // Without this, `#` would pass for the options of a key that is commented out.
    let in_force = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let mut present: HashSet<_> =
        in_force.filter_map(|line| KeyLine::parse(line).ok()).map(|key| key.identity).collect();
    let mut after = before.to_vec();
    for key in wanted {
        if present.insert(key.identity) {
            if after.last().is_some_and(|last| *last != b'\n') {
                after.push(b'\n');
            }
            if !options.is_empty() {
                after.extend_from_slice(options.as_bytes());
                after.push(b' ');
            }
            after.extend_from_slice(key.line.as_bytes());
            after.push(b'\n');
        }
    }
    after
}

impl<'t> KeyLine<'t> {
    /// Reads `[options] algorithm blob [comment]`. The line is not quoted in errors.
    fn parse(line: &'t str) -> Result<Self> {
        let identity =
            Identity::parse(line).or_else(|| Identity::parse(behind_options(line)?)).ok_or_else(|| {
                anyhow!("this is no SSH key: expected a line like `ssh-ed25519 AAAA... comment`")
            })?;
        Ok(Self { line, identity })
    }

    /// Looks into the key, as sshd does: it begins with the length and the name of the algorithm.
    fn is_whole(&self) -> bool {
        let Identity { algorithm, blob } = self.identity;
        let head = (algorithm.len() + 4).div_ceil(3) * 4;
        let decoded = STANDARD.decode(blob.get(..head).unwrap_or(blob)).unwrap_or_default();
        let length = (algorithm.len() as u32).to_be_bytes();
        decoded.strip_prefix(&length).is_some_and(|rest| rest.starts_with(algorithm.as_bytes()))
    }
}

impl<'t> Identity<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
        let (algorithm, blob) = (words.next()?, words.next()?);
        let plain = algorithm.strip_suffix("-cert-v01@openssh.com").unwrap_or(algorithm);
        let known =
            ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-"].iter().any(|kind| plain.starts_with(kind));
        let base64 =
            blob.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        (known && base64).then_some(Self { algorithm, blob })
    }
}

/// What stands behind the options: the first blank that is not within double quotes ends them.
fn behind_options(line: &str) -> Option<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let end = line.find(|c| {
        match c {
            '"' if !escaped => quoted = !quoted,
            ' ' | '\t' if !quoted => return true,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        false
    })?;
    Some(&line[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB";
    const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC";

    fn add(before: &str, keys: &[&str]) -> String {
        let keys: Vec<_> = keys.iter().map(|key| KeyLine::parse(key).unwrap()).collect();
        assert!(keys.iter().all(KeyLine::is_whole));
        String::from_utf8(with_keys(before.as_bytes(), &keys, "")).unwrap()
    }

    #[test]
    fn what_surrounds_a_key_does_not_make_it_another() {
        let lines = [
            format!("{A} alice@host\n"),
            format!("from=\"10.0.0.1,*.example.org\",command=\"echo \\\"a b\\\"\" {A}\n"),
            format!("  no-pty\t{A}   spaced out  \r\n"),
        ];
        for before in lines {
            assert_eq!(add(&before, &[A]), before);
            assert_eq!(add(&before, &[&format!("restrict {A} other")]), before);
            assert_eq!(add(&before, &[B]), format!("{before}{B}\n"));
        }
    }

    #[test]
    fn a_key_that_another_begins_with_is_a_key_of_its_own() {
        let longer = format!("{A}AAAA");
        assert_eq!(add(&format!("{longer}\n"), &[A]), format!("{longer}\n{A}\n"));
    }

    #[test]
    fn what_is_in_the_file_stays_in_its_place() {
        let before = format!("# mine\n\nnot a key\n{B} bob\n# {A}\n#{A}");
        assert_eq!(add(&before, &[A, B, A]), format!("{before}\n{A}\n"));
        assert_eq!(add("", &[A, B]), format!("{A}\n{B}\n"));
        let latin = b"# J\xf6rg\n";
        assert!(with_keys(latin, &[KeyLine::parse(A).unwrap()], "").starts_with(latin));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_quoted() {
        for bad in [
            "CANARY",
            "ssh-rsa",
            "ssh-rsa CA:NARY",
            "pgp-key CANARY",
            "\"CANARY",
            "command=\"CANARY ssh-rsa A",
        ] {
            let error = KeyLine::parse(bad).err().unwrap().to_string();
            assert!(!error.contains("CANARY"), "{error}");
        }
        for cut in [
            "ssh-ed25519 CANARY",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA",
            "ssh-ed25519 AAAAC3NzaC1",
            "ssh-rsa ====",
        ] {
            assert!(!KeyLine::parse(cut).unwrap().is_whole(), "{cut}");
        }
    }
}
