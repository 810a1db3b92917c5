//! The functions of templates: those of Go's text/template and those of sprig that make sense on a host.
//!
//! Each is a row in the table of its family: name, arguments, what it gives, and an example. The examples run as
//! tests, and `docs/templates.md` is written from the same rows.
//!
//! Left out on purpose: what shows the environment of the process or asks the network (`env`, `expandenv`,
//! `getHostByName`), what makes or hashes secrets (`genCA` and its kin, `bcrypt`, `htpasswd`, `encryptAES`,
//! `derivePassword`, ...), and `call`, since no value is a function.

mod arguments;
mod builtins;
mod conversion;
mod dates;
mod defaults;
mod dicts;
mod documentation;
mod encoding;
mod environment;
mod hashes;
mod integers;
mod json_text;
mod letter_case;
mod lists;
mod math;
mod paths;
mod random;
mod reflection;
mod regular_expressions;
mod string_lists;
mod strings;
mod urls;
mod versions;

use arguments::Call;
pub use documentation::reference;
pub(super) use environment::Environment;

use super::failure::Failure;
use super::value::Value;
use cosette_schema::suggest;

/// What a function gives.
type Outcome = Result<Value, Failure>;

/// A function of templates.
pub(super) struct Function {
    /// Its name and the others it goes by.
    names: &'static [&'static str],
    /// Its arguments, in the notation of [`bounds`].
    arguments: &'static str,
    /// What it gives, for people.
    about: &'static str,
    /// A template that uses it.
    example: &'static str,
    /// What the example renders to. Between slashes: a pattern that it matches.
    gives: &'static str,
    /// The truth of an argument that makes all further ones irrelevant.
    pub(super) stops_at: Option<bool>,
    call: fn(&Call<'_>) -> Outcome,
}

impl Function {
    const fn new(
        names: &'static [&'static str],
        arguments: &'static str,
        about: &'static str,
        (example, gives): (&'static str, &'static str),
        call: fn(&Call<'_>) -> Outcome,
    ) -> Self {
        Self { names, arguments, about, example, gives, stops_at: None, call }
    }

    const fn stopping_at(mut self, truth: bool) -> Self {
        self.stops_at = Some(truth);
        self
    }

    fn name(&self) -> &'static str {
        self.names[0]
    }

    /// Refuses a wrong number of arguments.
    pub(super) fn check_count(&self, count: usize) -> Result<(), Failure> {
        let (least, most) = bounds(self.arguments);
        if count >= least && most.is_none_or(|most| count <= most) {
            return Ok(());
        }
        let usage = [self.name(), self.arguments].join(" ");
        Err(format!("`{}` is used as `{}`, not with {count} arguments", self.name(), usage.trim_end()).into())
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The least and the greatest number of arguments of `COUNT [LIMIT] VALUE...`: words in brackets may be left
/// out, and of words with dots there may be any number, also none.
fn bounds(arguments: &str) -> (usize, Option<usize>) {
    let (mut least, mut most) = (0, Some(0));
    for word in arguments.split_whitespace() {
        if word.ends_with("...") {
            most = None;
        } else {
            least += usize::from(!word.starts_with('['));
            most = most.map(|most| most + 1);
        }
    }
    (least, most)
}

/// All functions, by family.
static FAMILIES: &[(&str, &[Function])] = &[
    ("Functions of Go's templates", builtins::FUNCTIONS),
    ("Text", strings::FUNCTIONS),
    ("Letter case", letter_case::FUNCTIONS),
    ("Lists of text", string_lists::FUNCTIONS),
    ("Random text", random::FUNCTIONS),
    ("Arithmetic", math::FUNCTIONS),
    ("Sequences of numbers", integers::FUNCTIONS),
    ("Defaults, choices and failure", defaults::FUNCTIONS),
    ("JSON", json_text::FUNCTIONS),
    ("Lists", lists::FUNCTIONS),
    ("Dictionaries", dicts::FUNCTIONS),
    ("Conversion", conversion::FUNCTIONS),
    ("Kinds and equality", reflection::FUNCTIONS),
    ("Paths", paths::FUNCTIONS),
    ("Encoding", encoding::FUNCTIONS),
    ("Checksums", hashes::FUNCTIONS),
    ("Regular expressions", regular_expressions::FUNCTIONS),
    ("Dates", dates::FUNCTIONS),
    ("Versions", versions::FUNCTIONS),
    ("URLs", urls::FUNCTIONS),
];

fn all() -> impl Iterator<Item = &'static Function> {
    FAMILIES.iter().flat_map(|(_, functions)| functions.iter())
}

/// The function of that name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    all().find(|function| function.names.contains(&name))
}

/// What to say of a name that no function has.
pub(super) fn unknown(name: &str) -> String {
    let reason = match name {
        "env" | "expandenv" => "templates do not see the environment, which differs from boot to boot",
        "getHostByName" => "templates do not ask the network",
        "call" => "no value is a function",
        "bcrypt"
        | "htpasswd"
        | "derivePassword"
        | "encryptAES"
        | "decryptAES"
        | "genPrivateKey"
        | "genCA"
        | "genCAWithKey"
        | "genSelfSignedCert"
        | "genSelfSignedCertWithKey"
        | "genSignedCert"
        | "genSignedCertWithKey"
        | "buildCustomCert" => "secrets do not come from templates; use a command",
        _ => {
            let near = suggest(name, all().flat_map(|function| function.names).copied());
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return format!("there is no function `{name}`{near}");
        }
    };
    format!("the function `{name}` is left out: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_taken_twice() {
        let mut names: Vec<_> = all().flat_map(|function| function.names).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn arguments_say_how_many_there_are() {
        assert_eq!(bounds(""), (0, Some(0)));
        assert_eq!(bounds("COUNT TEXT"), (2, Some(2)));
        assert_eq!(bounds("TEXT [FROM] [TO]"), (1, Some(3)));
        assert_eq!(bounds("VALUE VALUE..."), (1, None));
    }

    #[test]
    fn a_name_that_is_unknown_gets_a_reason_or_a_suggestion() {
        assert!(unknown("env").contains("do not see the environment"));
        assert_eq!(unknown("Trim"), "there is no function `Trim`; did you mean `trim`?");
        assert_eq!(unknown("quotte"), "there is no function `quotte`; did you mean `quote`?");
        assert_eq!(unknown("upepr"), "there is no function `upepr`; did you mean `upper`?");
        assert_eq!(unknown("bad"), "there is no function `bad`");
    }
}
