//! Addresses of repositories.

use crate::system::http::shown;
use anyhow::{Result, bail};

/// The address of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) transport: Transport,
    /// As git gets it and keeps it: without a password.
    pub(super) address: String,
    /// The server, as credentials are kept for it: `https://host:8443`.
    pub(super) server: String,
    /// User and password of the address, as they are written there.
    pub(super) userinfo: Option<(String, String)>,
}

/// How a repository is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Https,
    Http,
    Ssh,
    /// The protocol of git itself, without authentication.
    Git,
    /// A directory of the root.
    Local,
}

impl Remote {
    /// Reads an address: `https://`, `http://`, `ssh://`, `git://`, `file://`, `user@host:path`, or a path.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.starts_with('-') || text.contains(|c: char| c.is_control() || c == ' ') {
            bail!("the address of the repository begins with `-`, or holds a space or a control character");
        }
        if text.starts_with('/') {
            return Ok(Self::plain(Transport::Local, text));
        }
        let Some((scheme, rest)) = text.split_once("://") else { return Self::short(text) };
        let transport = match scheme.to_ascii_lowercase().as_str() {
            "https" => Transport::Https,
            "http" => Transport::Http,
            "ssh" => Transport::Ssh,
            "git" => Transport::Git,
            "file" if rest.starts_with('/') => return Ok(Self::plain(Transport::Local, text)),
            "file" => bail!("the path in a file:// address must begin with /"),
            _ => bail!("repositories are reached by https, http, ssh, git and file only"),
        };
        if rest.contains(['?', '#']) {
            bail!("the address of a repository has no query and no fragment");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (userinfo, server) = match authority.rsplit_once('@') {
            Some((userinfo, server)) => (Some(userinfo.split_once(':').unwrap_or((userinfo, ""))), server),
            None => (None, authority),
        };
        let with_user = match userinfo {
            Some((_, password)) if transport == Transport::Ssh && !password.is_empty() => {
                bail!("a password is of no use over ssh: use `private_key`")
            }
            Some((user, _)) if transport == Transport::Ssh => {
                check_host(user)?;
                format!("{user}@{server}")
            }
            _ => server.to_owned(),
        };
        check_host(server)?;
        Ok(Self {
            transport,
            address: format!("{scheme}://{with_user}{path}"),
            server: format!("{scheme}://{server}"),
            userinfo: userinfo.map(|(user, password)| (user.to_owned(), password.to_owned())),
        })
    }

    /// `user@host:path`.
    fn short(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some((host, path)) if !host.contains('/') && !path.is_empty() && !path.starts_with(':') => {
                let (user, server) = host.rsplit_once('@').unwrap_or(("git", host));
                check_host(user)?;
                check_host(server)?;
                let mut remote = Self::plain(Transport::Ssh, text);
                remote.userinfo = host.contains('@').then(|| (user.to_owned(), String::new()));
                Ok(remote)
            }
            _ => bail!(
                "not the address of a repository: write `https://...`, `user@host:path` or an absolute path"
            ),
        }
    }

    fn plain(transport: Transport, address: &str) -> Self {
        Self { transport, address: address.to_owned(), server: String::new(), userinfo: None }
    }

    /// As reports show it: without the user.
    pub(crate) fn shown(&self) -> String {
        match self.address.contains("://") {
            true => shown(&self.address),
            false if self.transport == Transport::Ssh => {
                self.address.split_once('@').map_or(&*self.address, |(_, rest)| rest).to_owned()
            }
            false => self.address.clone(),
        }
    }
}

/// ssh would take a host or a user for an option that begins with `-`.
fn check_host(host: &str) -> Result<()> {
    let allowed = |c: char| c.is_alphanumeric() || "-._~:[]%+".contains(c);
    if host.is_empty() || host.starts_with('-') || !host.chars().all(allowed) {
        bail!("the address of the repository names no proper host or user");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_secrets() {
        for (text, transport, address, shown) in [
            (
                "https://ann:hunter2@h:8443/x.git",
                Transport::Https,
                "https://h:8443/x.git",
                "https://h:8443/x.git",
            ),
            ("http://t0ken@h/x", Transport::Http, "http://h/x", "http://h/x"),
            ("ssh://git@h:22/x", Transport::Ssh, "ssh://git@h:22/x", "ssh://h:22/x"),
            ("git@h:x/y.git", Transport::Ssh, "git@h:x/y.git", "h:x/y.git"),
            ("h:x", Transport::Ssh, "h:x", "h:x"),
            ("git://[::1]:9418/x", Transport::Git, "git://[::1]:9418/x", "git://[::1]:9418/x"),
            ("file:///srv/x", Transport::Local, "file:///srv/x", "file:///srv/x"),
            ("/srv/x", Transport::Local, "/srv/x", "/srv/x"),
        ] {
            let remote = Remote::parse(text).unwrap();
            assert_eq!((remote.transport, &*remote.address, &*remote.shown()), (transport, address, shown));
        }
        let remote = Remote::parse("https://ann:hun:ter2@h:8443/x.git").unwrap();
        assert_eq!(remote.userinfo, Some(("ann".into(), "hun:ter2".into())));
        assert_eq!(remote.server, "https://h:8443");
    }

    #[test]
    fn what_could_run_a_program_or_be_an_option_is_refused() {
        for text in [
            "",
            "ext::sh -c reboot",
            "ext::sh",
            "fd::17/x",
            "transport::address",
            "--upload-pack=reboot",
            "ftp://h/x",
            "ssh://-oProxyCommand=reboot/x",
            "ssh://-oProxyCommand=reboot@h/x",
            "-oProxyCommand=reboot@h:x",
            "ssh://ann:hunter2@h/x",
            "https:///x",
            "https://h/x?token=hunter2",
            "https://h/x\n",
            "relative/path",
            "./x:y",
            "file://h/x",
            "h:",
            "a$(reboot)@h:x",
        ] {
            let error = Remote::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
