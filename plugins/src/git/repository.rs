//! A repository and the commit that it shall be at.

use super::session::Session;
use super::{Access, Remote};
use crate::system::{File, Kind, Mode};
use crate::{Action, System};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};

/// Below `.git`: this program is at work, or was when it was stopped.
const BUSY: &str = "cosette-busy";

/// A repository as it shall be.
pub(crate) struct Wanted {
    pub(crate) remote: Remote,
    pub(crate) path: PathBuf,
    pub(crate) reference: Reference,
    /// Fetch nothing but what is wanted.
    pub(crate) only: bool,
}

/// What shall be checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// The branch that the repository is on, or the one of the server.
    Current,
    /// The end of a branch.
    Branch(String),
    /// What a tag stands for.
    Tag(String),
    /// A commit, perhaps of a branch.
    Commit { commit: String, branch: Option<String> },
}

impl Wanted {
    /// Clones the repository where there is none, or else brings it to the commit that it shall be at.
    pub(crate) fn apply(&self, access: &Access, sys: &System) -> Result<()> {
        let exists = self.exists(sys)?;
        let changed = match sys.mode() {
            Mode::Plan => !exists || !self.is_pinned_at(sys)?,
            Mode::Apply => {
                let session = Session::open(sys, &self.remote, access, &self.path)?;
                if exists { self.update(&session)? } else { self.clone(&session)? }
            }
        };
        sys.done(Action::Checkout, format!("{} of {}", self.path.display(), self.remote.shown()), changed);
        Ok(())
    }

    /// Whether there is a repository. Anything but an empty directory in its place is an error.
    fn exists(&self, sys: &System) -> Result<bool> {
        match sys.symlink_metadata(&self.path)? {
            None => Ok(false),
            Some(found) if found.kind != Kind::Directory => {
                bail!("{} stands at {}: remove it first", found.kind, self.path.display())
            }
            Some(_) if sys.exists(self.path.join(".git"))? => Ok(true),
            Some(_) if sys.read_dir(&self.path)?.is_none_or(|names| names.is_empty()) => Ok(false),
            Some(_) => bail!("{} is not empty, and no repository: remove it first", self.path.display()),
        }
    }

    /// Whether it is at the commit that it is pinned to.
    fn is_pinned_at(&self, sys: &System) -> Result<bool> {
        let head = sys.read_text(self.path.join(".git/HEAD"))?.unwrap_or_default();
        Ok(matches!(&self.reference, Reference::Commit { commit, .. } if head.trim() == commit))
    }

    /// Makes it aside, and puts it in its place when it is complete.
    fn clone(&self, session: &Session) -> Result<bool> {
        let name = self.path.file_name().context("the root cannot be a repository")?;
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        session.sys.create_dir(parent, None, None)?;
        let mut aside = std::ffi::OsString::from(".cosette-git-");
        aside.push(name);
        let aside = parent.join(aside);
        // One that was interrupted.
        session.remove_all(&aside)?;
        let made = self.make(session, &aside).and_then(|()| session.sys.take_place(&aside, &self.path));
        if made.is_err() {
            session.remove_all(&aside)?;
        }
        made.map(|()| true)
    }

    fn make(&self, session: &Session, at: &Path) -> Result<()> {
        let directory = at.to_str().context("the path is not UTF-8")?;
        session.call(Path::new("/"), &["init", "--quiet", "--template=", "--", directory])?;
        self.bring(session, at).map(drop)
    }

    fn update(&self, session: &Session) -> Result<bool> {
        let busy = self.path.join(".git").join(BUSY);
        if session.aside().exists(&busy)? {
            self.unlock(session)?;
        }
        // No link that a user has made on the way there.
        session.aside().create_dir(self.path.parent().unwrap_or(Path::new("/")), None, None)?;
        let changed = self.bring(session, &self.path);
        session.aside().remove(busy)?;
        changed
    }

    /// Takes away the locks of a git that was stopped together with this program.
    fn unlock(&self, session: &Session) -> Result<()> {
        let mut locked = ["index", "HEAD", "config", "packed-refs", "FETCH_HEAD"].map(str::to_owned).to_vec();
        if let Reference::Branch(branch) = &self.reference {
            locked.extend([format!("refs/heads/{branch}"), format!("refs/remotes/origin/{branch}")]);
        }
        for name in locked {
            session.aside().remove(self.path.join(format!(".git/{name}.lock")))?;
        }
        Ok(())
    }

    /// Brings a repository to the commit that is wanted; says whether anything was changed.
    fn bring(&self, session: &Session, at: &Path) -> Result<bool> {
        let new_address = self.set_address(session, at)?;
        let before = revision(session, at, "HEAD")?;
        let (target, branch) = self.target(session, at, before.is_some())?;
        let on = session.ask(at, &["symbolic-ref", "--quiet", "HEAD"])?.stdout;
        let on = String::from_utf8_lossy(&on).trim_end().strip_prefix("refs/heads/").map(str::to_owned);
        if before.as_ref() == Some(&target) && on == branch && is_clean(session, at)? {
            return Ok(new_address);
        }
        self.mark_busy(session, at)?;
        match &branch {
            Some(branch) => {
                let tracked = format!("refs/remotes/origin/{branch}");
                session.call(at, &["checkout", "--quiet", "--force", "-B", branch, &tracked, "--"])?;
            }
            None => _ = session.call(at, &["checkout", "--quiet", "--force", "--detach", &target, "--"])?,
        }
        Ok(true)
    }

    fn set_address(&self, session: &Session, at: &Path) -> Result<bool> {
        let now = session.ask(at, &["config", "--get", "remote.origin.url"])?.stdout;
        if String::from_utf8_lossy(&now).trim_end() == self.remote.address {
            return Ok(false);
        }
        self.mark_busy(session, at)?;
        session.call(at, &["config", "remote.origin.url", &self.remote.address])?;
        session.call(at, &["config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"])?;
        Ok(true)
    }

    /// The commit that is wanted, and the branch, if it is the end of one.
    fn target(&self, session: &Session, at: &Path, is_old: bool) -> Result<(String, Option<String>)> {
        match &self.reference {
            Reference::Current => {
                let branch = current_branch(session, at, is_old)?;
                Ok((self.end_of(session, at, &branch)?, Some(branch)))
            }
            Reference::Branch(branch) => Ok((self.end_of(session, at, branch)?, Some(branch.clone()))),
            Reference::Tag(tag) => {
                let name = format!("refs/tags/{tag}");
                self.fetch(session, at, &format!("+{name}:{name}"))?;
                let found = revision(session, at, &name)?;
                Ok((found.with_context(|| format!("the tag {tag:?} stands for no commit"))?, None))
            }
            Reference::Commit { commit, branch } => {
                // What is there already needs no network.
                if revision(session, at, commit)?.is_none() {
                    match branch {
                        Some(branch) => _ = self.end_of(session, at, branch)?,
                        None if self.only => self.fetch(session, at, commit)?,
                        None => self.fetch(session, at, "+refs/tags/*:refs/tags/*")?,
                    }
                }
                if revision(session, at, commit)?.is_none() {
                    self.fetch(session, at, commit)?;
                }
                Ok((commit.clone(), None))
            }
        }
    }

    fn end_of(&self, session: &Session, at: &Path, branch: &str) -> Result<String> {
        let tracked = format!("refs/remotes/origin/{branch}");
        self.fetch(session, at, &format!("+refs/heads/{branch}:{tracked}"))?;
        revision(session, at, &tracked)?.with_context(|| format!("the repository has no branch {branch:?}"))
    }

    /// Fetches one thing, and all branches with it unless nothing else is wanted.
    fn fetch(&self, session: &Session, at: &Path, what: &str) -> Result<()> {
        self.mark_busy(session, at)?;
        let mut arguments = vec!["fetch", "--quiet", "--force", "--no-recurse-submodules"];
        arguments.extend(if self.only { ["--no-tags", "origin", what] } else { ["--prune", "origin", what] });
        if !self.only {
            arguments.push("+refs/heads/*:refs/remotes/origin/*");
        }
        session.call(at, &arguments).map(drop)
    }

    /// Leaves a note, so that the locks of a git that is stopped with this program are known for what they are.
    fn mark_busy(&self, session: &Session, at: &Path) -> Result<()> {
        if at == self.path {
            session.aside().write(File::new(at.join(".git").join(BUSY), "").mode(0o600))?;
        }
        Ok(())
    }
}

/// The branch that the repository is on, or, where it is on none, the one that the server shows first.
fn current_branch(session: &Session, at: &Path, is_old: bool) -> Result<String> {
    if is_old {
        let on = session.ask(at, &["symbolic-ref", "--quiet", "HEAD"])?.stdout;
        if let Some(branch) = String::from_utf8_lossy(&on).trim_end().strip_prefix("refs/heads/") {
            return Ok(branch.to_owned());
        }
    }
    let answer = session.call(at, &["ls-remote", "--symref", "origin", "HEAD"])?;
    let branch =
        answer.lines().find_map(|line| line.strip_prefix("ref: refs/heads/")?.strip_suffix("\tHEAD"));
    Ok(branch
        .context("the repository is empty, or has no branch of its own: name one in `branch`")?
        .to_owned())
}

/// The commit that a name stands for, if the repository has it.
fn revision(session: &Session, at: &Path, name: &str) -> Result<Option<String>> {
    let commit = format!("{name}^{{commit}}");
    let output = session.ask(at, &["rev-parse", "--quiet", "--verify", &commit])?;
    let found = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    Ok((output.success() && !found.is_empty()).then_some(found))
}

/// Whether the files are those of the commit. Files that it does not know do not count.
fn is_clean(session: &Session, at: &Path) -> Result<bool> {
    let arguments = ["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all"];
    Ok(session.call(at, &arguments)?.is_empty())
}
