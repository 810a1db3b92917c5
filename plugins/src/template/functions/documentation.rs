//! `docs/templates.md`, whose tables are written from those of the functions, and the run of all examples.

use super::FAMILIES;
use std::fmt::Write;

/// All functions with their arguments, examples and results: tables in Markdown.
pub fn reference() -> String {
    let mut out = String::new();
    for (family, functions) in FAMILIES {
        let _ = write!(out, "\n## {family}\n\n| function | gives | example | result |\n|---|---|---|---|\n");
        for function in *functions {
            let usage = format!("{} {}", function.name(), function.arguments);
            let others = match &function.names[1..] {
                [] => String::new(),
                others => format!(
                    "<br>also {}",
                    others.iter().map(|name| code(name)).collect::<Vec<_>>().join(", ")
                ),
            };
            let _ = writeln!(
                out,
                "| {}{others} | {} | {} | {} |",
                code(usage.trim_end()),
                function.about.replace('|', "\\|"),
                code(function.example),
                match function.gives {
                    "" => String::new(),
                    gives if gives.starts_with("/^") => "random".to_owned(),
                    gives => code(&gives.replace('\n', "⏎")),
                },
            );
        }
    }
    out
}

/// Code in a cell of a table.
fn code(text: &str) -> String {
    let fence = if text.contains('`') { "``" } else { "`" };
    format!("{fence}{}{fence}", text.replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::disallowed_methods,
        reason = "a test looks at a file of the repository and may renew it"
    )]

    use super::super::all;
    use super::reference;
    use crate::pattern::Pattern;
    use crate::template::tests::render_sample;
    use std::path::Path;

    const BEGINNING: &str = "<!-- The rest is written by a test from the table of functions. -->\n";

    #[test]
    fn every_example_gives_what_it_says() {
        for function in all() {
            let found =
                render_sample(function.example).unwrap_or_else(|error| panic!("{function:?}: {error:?}"));
            match function.gives.strip_prefix("/^").and_then(|pattern| pattern.strip_suffix("$/")) {
                Some(pattern) => {
                    let pattern = Pattern::new(&format!("^{pattern}$")).unwrap();
                    assert!(pattern.is_match(&found), "{}: {found}", function.example);
                }
                None => assert_eq!(found, function.gives, "{}", function.example),
            }
        }
    }

    #[test]
    fn every_name_of_a_function_is_in_an_example_or_beside_one() {
        for function in all() {
            assert!(function.example.contains(function.name()), "{function:?}");
        }
    }

    #[test]
    fn the_documentation_lists_all_functions() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/templates.md");
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        let (introduction, _) =
            found.split_once(BEGINNING).expect("docs/templates.md has the line of the table");
        let expected = format!("{introduction}{BEGINNING}{}", reference());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, expected).unwrap();
        } else {
            assert!(
                found == expected,
                "docs/templates.md differs from the table of functions; renew it with:\n  \
                 UPDATE_DOCS=1 cargo test -p cosette-plugins the_documentation_lists_all_functions"
            );
        }
    }
}
