//! Paths, as texts: no file is looked at.

use super::Function;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["base", "osBase"],
        "PATH",
        "the last element",
        (r#"{{ base "/etc/hosts" }} {{ base "" }}"#, "hosts ."),
        |call| {
            let path = call.text(0)?;
            let trimmed = path.trim_end_matches('/');
            let last = trimmed.rsplit('/').next().unwrap_or_default();
            Ok(if path.is_empty() {
                "."
            } else if last.is_empty() {
                "/"
            } else {
                last
            }
            .into())
        },
    ),
    Function::new(
        &["dir", "osDir"],
        "PATH",
        "all but the last element",
        (r#"{{ dir "/etc/ssh/sshd_config" }} {{ dir "a" }}"#, "/etc/ssh ."),
        |call| {
            let path = call.text(0)?;
            Ok(clean(path.rfind('/').map_or("", |slash| &path[..=slash])).into())
        },
    ),
    Function::new(
        &["clean", "osClean"],
        "PATH",
        "the shortest path that means the same, by its text",
        (r#"{{ clean "/a//b/./../c/" }}"#, "/a/c"),
        |call| Ok(clean(call.text(0)?).into()),
    ),
    Function::new(
        &["ext", "osExt"],
        "PATH",
        "what follows the last dot of the last element, with the dot",
        (r#"{{ ext "a/b.tar.gz" }}"#, ".gz"),
        |call| {
            let last = call.text(0)?.rsplit('/').next().unwrap_or_default();
            Ok(last.rfind('.').map_or("", |dot| &last[dot..]).into())
        },
    ),
    Function::new(
        &["isAbs", "osIsAbs"],
        "PATH",
        "whether the path begins at the root",
        (r#"{{ isAbs "/etc" }}"#, "true"),
        |call| Ok(call.text(0)?.starts_with('/').into()),
    ),
];

/// Go's path.Clean.
pub(super) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut elements: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." => match elements.last() {
                Some(&last) if last != ".." => {
                    elements.pop();
                }
                _ if rooted => {}
                _ => elements.push(".."),
            },
            element => elements.push(element),
        }
    }
    let joined = elements.join("/");
    if rooted {
        format!("/{joined}")
    } else if joined.is_empty() {
        ".".to_owned()
    } else {
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn cleans_as_go_cleans() {
        for (path, expected) in [
            ("", "."),
            ("a/", "a"),
            ("a/..", "."),
            ("../a", "../a"),
            ("a/../../b", "../b"),
            ("/..", "/"),
            ("/../a", "/a"),
            ("//a", "/a"),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }
}
