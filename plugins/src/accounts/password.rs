//! Passwords as they are configured: a hash, a lock, or plain text that is hashed here.
//!
//! New hashes are SHA-512-crypt (`$6$`), which every libc of the last fifteen years reads, that of an initrd
//! included. Plain text that already verifies against the hash on the machine leaves it alone, so that a
//! second run changes nothing.

use super::field::check_value;
use crate::system::Host;
use anyhow::{Context as _, Result, bail};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape};
use sha_crypt::{PasswordHasher as _, PasswordVerifier as _, ShaCrypt};
use std::fmt;
use yescrypt::Yescrypt;

/// What nobody can log in with.
pub const LOCKED: &str = "!";

/// The longest plain text that crypt(3) of libxcrypt takes.
const LONGEST_PLAIN_TEXT: usize = 511;

/// Bounds for what is verified, so that a hash made to be expensive cannot hold up the boot: about a
/// second, and 64 MiB.
const MOST_ROUNDS: u32 = 1_000_000;
const MOST_YESCRYPT_MEMORY: u64 = 64 << 20;

/// A configured password. It is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password {
    text: String,
    form: Form,
}

/// What the text of a password is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    /// What it looks like.
    #[default]
    Guessed,
    PlainText,
    Hash,
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Decode for Password {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        String::decode(node, findings).map(|text| Self::from(&*text))
    }

    fn shape() -> Shape {
        Shape::text("password")
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), form: Form::Guessed }
    }
}

impl Password {
    /// The same text, which is known to be plain text.
    pub fn as_plain_text(&self) -> Self {
        Self { text: self.text.clone(), form: Form::PlainText }
    }

    /// The same text, which is known to be a hash.
    pub fn as_hash(&self) -> Self {
        Self { text: self.text.clone(), form: Form::Hash }
    }

    /// Whether nothing was configured.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text as it was configured, for databases in which it is not hashed.
    pub fn as_written(&self) -> &str {
        &self.text
    }

    /// Whether it is plain text; where that is not known, by yip's rule: what does not begin with `$` or `!` and
    /// is not `*`.
    pub fn is_plain_text(&self) -> bool {
        match self.form {
            Form::Guessed => !self.text.is_empty() && !self.text.starts_with(['$', '!']) && self.text != "*",
            Form::PlainText => true,
            Form::Hash => false,
        }
    }

    /// What is doubtful about it.
    pub fn warning(&self) -> Option<&'static str> {
        if self.form == Form::PlainText {
            return None;
        }
        let Some(hash) = self.text.strip_prefix('$') else {
            let is_none =
                self.form == Form::Hash && !self.text.is_empty() && !self.text.starts_with(['!', '*']);
            return is_none
                .then_some("the password is given as a hash, but it is none: nobody can log in with it");
        };
        let scheme = hash.split('$').next().unwrap_or_default();
        let known = ["1", "2a", "2b", "2y", "5", "6", "7", "y", "gy", "sm3", "sha1", "md5"];
        if known.contains(&scheme) && hash.matches('$').count() >= 2 {
            return None;
        }
        Some(
            "the password begins with `$` and is taken for a hash, but it is of no known kind: nobody can log in with it",
        )
    }

    /// What shall stand in the database that now holds `current`: `current` itself when it is this password
    /// already, else its hash.
    pub fn store(&self, current: Option<&str>, host: &dyn Host) -> Result<String> {
        if !self.is_plain_text() {
            check_value("password", &self.text)?;
            return Ok(self.text.clone());
        }
        if self.text.len() > LONGEST_PLAIN_TEXT {
            bail!("the password has more than {LONGEST_PLAIN_TEXT} bytes: crypt(3) would refuse it");
        }
        if self.text.chars().any(char::is_control) {
            bail!("the password holds a line break or another control character, which nobody can type");
        }
        match current {
            Some(current) if verifies(&self.text, current) => Ok(current.to_owned()),
            _ => hash(&self.text, host),
        }
    }
}

/// SHA-512-crypt with its default of 5,000 rounds. The salt has 12 bytes, which are the 16 characters that
/// crypt(3) looks at; a longer one would be cut there, and nobody could log in.
fn hash(plain_text: &str, host: &dyn Host) -> Result<String> {
    let mut salt = [0; 12];
    host.random(&mut salt);
    let hash = ShaCrypt::SHA512
        .hash_password_with_salt(plain_text.as_bytes(), &salt)
        .ok()
        .context("the password cannot be hashed")?;
    // The default number of rounds is left out, as crypt(3) does.
    Ok(hash.as_str().replacen("$rounds=5000$", "$", 1))
}

/// Whether a hash is one of this plain text. A scheme that is not known here is not verified; neither is a
/// hash made to be too expensive.
fn verifies(plain_text: &str, hash: &str) -> bool {
    let plain_text = plain_text.as_bytes();
    let scheme = hash.strip_prefix('$').and_then(|hash| hash.split_once('$'));
    match scheme {
        Some(("5" | "6", rest)) => {
            let rounds = rest.strip_prefix("rounds=").and_then(|rest| rest.split('$').next());
            let affordable = rounds.is_none_or(|rounds| rounds.parse().is_ok_and(|r: u32| r <= MOST_ROUNDS));
            affordable && ShaCrypt::SHA512.verify_password(plain_text, hash).is_ok()
        }
        Some(("y", rest)) => {
            yescrypt_is_affordable(rest) && Yescrypt::default().verify_password(plain_text, hash).is_ok()
        }
        _ => false,
    }
}

/// Whether `j9T$salt$hash` asks for a bearable amount of memory and time, and has the shape that the
/// algorithm expects.
fn yescrypt_is_affordable(rest: &str) -> bool {
    let mut fields = rest.split('$');
    let (Some(parameters), Some(_), Some(hash)) = (fields.next(), fields.next(), fields.next()) else {
        return false;
    };
    // Anything but flags, N and r (parallelism, extra time) is not in use; 43 characters are 32 bytes.
    if parameters.len() != 3 || hash.len() != 43 {
        return false;
    }
    let Ok(parameters) = parameters.parse::<yescrypt::Params>() else { return false };
    parameters.n().saturating_mul(u64::from(parameters.r())).saturating_mul(128) <= MOST_YESCRYPT_MEMORY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeHost;

    /// Made with crypt(3) of libxcrypt.
    const OF_SECRET: [&str; 5] = [
        "$5$saltstring$C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi.",
        "$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.",
        "$6$rounds=1000$saltstring$2BkAo106CG84raQcWpAlhyy6TSSkAsL1nfvBCoezLYyerUzY2l8axTvq6NynEt7SQAx3/cdop9ds0po8uaeHq0",
        "$6$8chars.9$3o7MjlcELlJSnAgwBQVe7xUtQrtJ0m.vPOxz.rFvssPLfILByd2O9lmzCwpPpEaIntaPorHYtDRBmRZYJQFJV/",
        "$y$j9T$saltstringabcdef$74.N11R5ijvAWEkirHSSBq9VeDqcrZESEe6DNJ47201",
    ];

    #[test]
    fn plain_text_that_matches_its_hash_leaves_it_alone() {
        for hash in OF_SECRET {
            let stored = Password::from("secret").store(Some(hash), &FakeHost::new()).unwrap();
            assert_eq!(stored, hash);
            assert_ne!(Password::from("Secret").store(Some(hash), &FakeHost::new()).unwrap(), hash);
        }
    }

    #[test]
    fn plain_text_is_hashed_so_that_it_verifies_the_next_time() {
        for current in [
            None,
            Some(""),
            Some("!"),
            Some("*"),
            Some("secret"),
            Some("$1$abc$def"),
            Some("$6$"),
            Some("$y$"),
        ] {
            let host = FakeHost::new();
            let stored = Password::from("secret").store(current, &host).unwrap();
            assert!(stored.starts_with("$6$") && !stored.contains("rounds"), "{stored}");
            assert_eq!(
                stored.split('$').nth(2).unwrap().len(),
                16,
                "crypt(3) looks at 16 characters of salt"
            );
            assert_eq!(Password::from("secret").store(Some(&stored), &host).unwrap(), stored);
            assert_ne!(hash("secret", &host).unwrap(), stored, "each hash has its own salt");
        }
    }

    #[test]
    fn hashes_and_locks_are_stored_as_they_are() {
        for text in ["$6$a$b", "!", "!!", "!$6$a$b", "*", ""] {
            assert_eq!(Password::from(text).store(Some("$6$x$y"), &FakeHost::new()).unwrap(), text);
        }
        assert!(Password::from("$6$a$b:0").store(None, &FakeHost::new()).is_err());
    }

    #[test]
    fn what_crypt_would_refuse_is_refused_here() {
        for text in ["a\nb", "a\0", "secret\n", &"a".repeat(512)] {
            assert!(Password::from(text).store(None, &FakeHost::new()).is_err());
        }
        let longest = "a".repeat(511);
        let stored = Password::from(longest.as_str()).store(None, &FakeHost::new()).unwrap();
        assert!(verifies(&longest, &stored));
    }

    #[test]
    fn hashes_made_to_be_expensive_or_malformed_are_not_verified() {
        for hash in [
            "$6$rounds=999999999$saltstring$AIsRs",
            "$6$rounds=99999999999$saltstring$AIsRs",
            "$y$jzzzzz$saltstringabcdef$74.N11R5ijvAWEkirHSSBq9VeDqcrZESEe6DNJ47201",
            "$y$j\u{7f}T$saltstringabcdef$74.N11R5ijvAWEkirHSSBq9VeDqcrZESEe6DNJ47201",
            "$y$jvT$saltstringabcdef$74.N11R5ijvAWEkirHSSBq9VeDqcrZESEe6DNJ47201",
            "$y$j9T$$",
            "$y$j9T$salt$short",
            "$y$j9T",
            "$y$$$",
            "$5$$",
            "$6$$$$$",
            "$",
        ] {
            assert!(!verifies("secret", hash), "{hash}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        assert_eq!(format!("{:?}", Password::from("CANARY")), "Password(..)");
    }

    #[test]
    fn plain_text_that_looks_like_a_hash_is_reported() {
        assert!(Password::from("$ecret").warning().is_some());
        for good in ["secret", "!", "*", "", "$6$salt$hash", "$y$j9T$salt$hash", "$2b$05$hash"] {
            assert_eq!(Password::from(good).warning(), None, "{good}");
        }
    }
}
