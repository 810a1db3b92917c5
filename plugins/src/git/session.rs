//! Calls of git that cannot ask a question, run what others wrote, or show a secret.

use super::{Access, Remote, Transport};
use crate::System;
use crate::command_output::{ending, excerpt, without_credentials};
use crate::system::{Command, File, Output, TooSlow};
use anyhow::{Result, bail};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest that one call may take. What stalls is given up much earlier.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// The name under which the server of the repository is known to ssh.
const HOST: &str = "cosette";

/// Settings that outweigh those of the repository.
const SETTINGS: [&str; 9] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    // Half a minute of nearly nothing is the end.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=30",
    // Helpers of the system might keep the password, or ask for one.
    "credential.helper=",
];

/// A way to call git for one repository. What it needs to know in secret lies in a directory of root's that is
/// there as long as this is.
pub(super) struct Session<'s> {
    pub(super) sys: &'s System,
    /// The same root; what is written through it is no effect.
    aside: System,
    secrets: Option<PathBuf>,
    settings: Vec<String>,
    variables: Vec<(&'static str, String)>,
    /// What must never be shown, should a server repeat it.
    hidden: Vec<String>,
}

impl<'s> Session<'s> {
    /// Prepares calls for a repository that lies, or will lie, at a path.
    pub(super) fn open(sys: &'s System, remote: &Remote, access: &Access, path: &Path) -> Result<Self> {
        let ceiling = path.parent().unwrap_or(Path::new("/")).display().to_string();
        let mut session = Self {
            sys,
            aside: sys.reroot(Path::new("/"))?,
            secrets: None,
            settings: SETTINGS.map(str::to_owned).to_vec(),
            variables: vec![
                ("LC_ALL", "C".to_owned()),
                ("GIT_CONFIG_GLOBAL", "/dev/null".to_owned()),
                ("GIT_TERMINAL_PROMPT", "0".to_owned()),
                ("GIT_ASKPASS", String::new()),
                ("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh".to_owned()),
                ("GIT_OPTIONAL_LOCKS", "0".to_owned()),
                // A broken repository must not make it look for another one further up.
                ("GIT_CEILING_DIRECTORIES", ceiling),
            ],
            hidden: Vec::new(),
        };
        // One name for each path, so that what a crash left behind is replaced the next time.
        let hash = <sha2::Sha256 as sha2::Digest>::digest(path.as_os_str().as_encoded_bytes());
        let name = format!("/run/cosette-git-{}", crate::facts::hexadecimal(&hash[..8]));
        let secrets = PathBuf::from(name);
        match remote.transport {
            Transport::Http | Transport::Https => session.sign_in(remote, access, secrets)?,
            Transport::Ssh => session.configure_ssh(remote, access, secrets)?,
            Transport::Git | Transport::Local => {}
        }
        Ok(session)
    }

    /// git asks the file for the password, and only for this server: also one that it is sent on to gets none.
    fn sign_in(&mut self, remote: &Remote, access: &Access, secrets: PathBuf) -> Result<()> {
        let (user, password) = match &remote.userinfo {
            _ if !access.password.is_empty() || !access.username.is_empty() => {
                (encode(&access.username), encode(&access.password))
            }
            Some((user, password)) => (user.clone(), password.clone()),
            None => return Ok(()),
        };
        // A token may stand in either place.
        let user = if user.is_empty() { "git".to_owned() } else { user };
        let Some((scheme, server)) = remote.server.split_once("://") else { return Ok(()) };
        self.hide(&[&access.username, &access.password, &user, &password]);
        self.settings.push(format!("credential.helper=store --file={}/credentials", secrets.display()));
        self.keep(&secrets, &[("credentials", format!("{scheme}://{user}:{password}@{server}\n"))])
    }

    fn configure_ssh(&mut self, remote: &Remote, access: &Access, secrets: PathBuf) -> Result<()> {
        let at = |name: &str| secrets.join(name).display().to_string();
        let mut config = "Host *\nBatchMode yes\nConnectTimeout 30\nServerAliveInterval 15\nServerAliveCountMax 4\n\
                          ForwardAgent no\nPermitLocalCommand no\nControlPath none\nUpdateHostKeys no\nLogLevel ERROR\n"
            .to_owned();
        let mut files = Vec::new();
        match &access.host_keys {
            _ if access.insecure => config += "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n",
            Some(keys) => {
                let known = at("known_hosts");
                _ = write!(config, "StrictHostKeyChecking yes\nHostKeyAlias {HOST}\n");
                _ = write!(config, "UserKnownHostsFile {known}\nGlobalKnownHostsFile none\n");
                files.push(("known_hosts", keys.known_hosts(HOST)));
            }
            None => config += "StrictHostKeyChecking yes\n",
        }
        let user = match (&remote.userinfo, access.username.as_str()) {
            (Some(_), _) => None,
            (None, "") if access.private_key.is_empty() => None,
            (None, "") => Some("git"),
            (None, user) => Some(user),
        };
        if let Some(user) = user {
            _ = writeln!(config, "User {user}");
        }
        if !access.private_key.is_empty() {
            _ = write!(config, "IdentityFile {}\nIdentitiesOnly yes\nIdentityAgent none\n", at("key"));
            let lines = access.private_key.trim().lines().map(str::trim_end);
            files.push(("key", lines.collect::<Vec<_>>().join("\n") + "\n"));
        }
        files.push(("config", config));
        self.variables.push(("GIT_SSH_COMMAND", format!("ssh -F {}", at("config"))));
        self.variables.push(("GIT_SSH_VARIANT", "ssh".to_owned()));
        self.keep(&secrets, &files)
    }

    /// Writes files that only root can read, until this is dropped.
    fn keep(&mut self, directory: &Path, files: &[(&str, String)]) -> Result<()> {
        self.secrets = Some(directory.to_owned());
        self.aside.create_dir(directory, Some(0o700), None)?;
        for (name, content) in files {
            self.aside.write(File::new(directory.join(name), content.as_str()).mode(0o600))?;
        }
        Ok(())
    }

    fn hide(&mut self, secrets: &[&str]) {
        self.hidden
            .extend(secrets.iter().filter(|secret| secret.len() > 3).map(|secret| (*secret).to_owned()));
    }

    /// Calls git in a directory; how it ends is for the caller to judge.
    pub(super) fn ask(&self, directory: &Path, arguments: &[&str]) -> Result<Output> {
        let verb = arguments.first().copied().unwrap_or_default();
        let mut command = Command::new(format!("git {verb}"), "git").argument("-C").argument(directory);
        for setting in &self.settings {
            command = command.argument("-c").argument(setting);
        }
        for argument in arguments {
            command = command.argument(*argument);
        }
        for (name, value) in &self.variables {
            command = command.variable(*name, value);
        }
        let output = self.sys.ask(&command.at_most(LIMIT));
        let output = output.map_err(|error| match error.downcast::<TooSlow>() {
            Ok(slow) => anyhow::anyhow!("`git {verb}`: {slow}"),
            Err(error) => error,
        });
        Ok(output?.unwrap_or_default())
    }

    /// Calls git in a directory; returns what it says, without the end of the line.
    pub(super) fn call(&self, directory: &Path, arguments: &[&str]) -> Result<String> {
        let output = self.ask(directory, arguments)?;
        if output.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        }
        let said = String::from_utf8_lossy(&output.tail);
        let mut shown = without_credentials(&said);
        for secret in &self.hidden {
            shown = shown.replace(secret.as_str(), "***");
        }
        let verb = arguments.first().copied().unwrap_or_default();
        bail!("`git {verb}` {}{}", ending(output.status, &excerpt(&shown)), remedy(&said))
    }

    /// Removes a directory with everything in it.
    pub(super) fn remove_all(&self, directory: &Path) -> Result<()> {
        let command = Command::new("rm", "rm").argument("-rf").argument("--").argument(directory);
        match self.sys.ask(&command)? {
            Some(output) if !output.success() => {
                bail!(
                    "cannot remove {}: {}",
                    directory.display(),
                    excerpt(&String::from_utf8_lossy(&output.tail))
                )
            }
            _ => Ok(()),
        }
    }

    /// Writes and removes files that are no effect.
    pub(super) fn aside(&self) -> &System {
        &self.aside
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let Some(directory) = &self.secrets else { return };
        // Those of git, too: it locks the file while it looks for a password.
        let names = self.aside.read_dir(directory).ok().flatten().unwrap_or_default();
        for name in names {
            _ = self.aside.remove(directory.join(name));
        }
        _ = self.aside.remove(directory);
    }
}

/// A part of an address in which every special character is escaped.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            _ if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => encoded.push(char::from(byte)),
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
    }
    encoded
}

/// What a person can do about it.
fn remedy(said: &str) -> &'static str {
    let remedies = [
        ("REMOTE HOST IDENTIFICATION HAS CHANGED", "\nthe server does not have the key that it must have"),
        ("Host key verification failed", "\ngive the key of the server in `auth.public_key`"),
        ("not in a git directory", "\nit is no repository any more: remove it"),
        ("not a git repository", "\nit is no repository any more: remove it"),
        ("dubious ownership", "\nthe repository belongs to another user: give it to root, or remove it"),
    ];
    remedies.iter().find(|(part, _)| said.contains(part)).map_or("", |(_, remedy)| remedy)
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn a_password_may_hold_anything() {
        assert_eq!(encode("a-B_9.~"), "a-B_9.~");
        assert_eq!(encode("p@ss:w/rd %\n\u{e4}"), "p%40ss%3Aw%2Frd%20%25%0A%C3%A4");
    }
}
