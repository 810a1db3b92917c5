//! Digests of files, which are computed while something else is done.

use super::{System, stop};
use crate::image::Digest;
use anyhow::{Context as _, Result};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

impl System {
    /// The digest of a file of the disk and its size, computed in another thread while something is done here. If that
    /// fails, so does this, at once.
    pub fn digest_while<T>(&self, file: &Path, work: impl FnOnce() -> Result<T>) -> Result<(Digest, u64, T)> {
        let opened = self.open_file(file)?.with_context(|| format!("there is no file {}", file.display()))?;
        let given_up = AtomicBool::new(false);
        let (computed, done) = std::thread::scope(|scope| {
            let go_on = || match stop::stop_requested() || given_up.load(Ordering::Relaxed) {
                true => Err(io::Error::other("it was given up")),
                false => Ok(()),
            };
            let computing = scope.spawn(move || Digest::of_all(opened, go_on));
            let done = work();
            given_up.store(done.is_err(), Ordering::Relaxed);
            (computing.join(), done)
        });
        let done = done?;
        stop::check()?;
        let computed = computed.map_err(|_| io::Error::other("the thread has panicked")).flatten();
        let (digest, size) = computed.with_context(|| format!("cannot read {}", file.display()))?;
        Ok((digest, size, done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::Scratch;
    use anyhow::bail;

    #[test]
    fn a_file_is_read_while_something_is_done_and_not_after_that_has_failed() {
        let scratch = Scratch::new();
        let content = "0123456789".repeat(100_000);
        scratch.put("/file", &content, 0o644);
        let sys = scratch.apply();
        let found = sys.digest_while(Path::new("/file"), || Ok("done")).unwrap();
        assert_eq!(found, (Digest::of(content.as_bytes()), 1_000_000, "done"));
        // A file without an end that could be reached.
        std::fs::File::create(scratch.at("/endless")).unwrap().set_len(1 << 43).unwrap();
        let fail = || -> Result<()> { bail!("the reason") };
        assert_eq!(sys.digest_while(Path::new("/endless"), fail).unwrap_err().to_string(), "the reason");
        assert!(sys.digest_while(Path::new("/none"), || Ok(())).is_err());
    }
}
