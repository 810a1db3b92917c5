//! Paths as stage documents write them.

use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Span, Spanned};
use std::path::Path;

/// An absolute path, with the white space around it taken off and without control characters. What it means
/// is decided by [`System`](crate::System): it always lies below the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AbsolutePath(Spanned<String>);

impl AbsolutePath {
    /// The path as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0.value
    }

    /// Where it stands in the document.
    pub(crate) fn span(&self) -> Span {
        self.0.span
    }
}

impl AsRef<Path> for AbsolutePath {
    fn as_ref(&self) -> &Path {
        Path::new(self.as_str())
    }
}

impl Decode for AbsolutePath {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let written = Spanned::<String>::decode(node, findings)?;
        let path = written.trim();
        if path.is_empty() {
            findings.error(node.span, "an empty path");
        } else if path.contains(char::is_control) {
            findings.error(node.span, format!("the path {path:?} holds a control character"));
        } else if !path.starts_with('/') {
            findings
                .error(node.span, format!("the path {path:?} is not absolute"))
                .help(format!("write {:?}", format!("/{path}")));
        } else {
            return Some(Self(Spanned { value: path.to_owned(), span: node.span }));
        }
        None
    }

    fn shape() -> Shape {
        Shape::matching("absolute path", r"^\s*/")
    }
}

#[cfg(test)]
mod tests {
    use super::AbsolutePath;
    use cosette_schema::yaml::{Node, Scalar, Style, Value};
    use cosette_schema::{Decode, Findings, Origin, Span};

    fn decode(text: &str) -> Result<String, String> {
        let scalar = Scalar { text: text.into(), style: Style::Quoted };
        let node = Node { span: Span::default(), value: Value::Scalar(scalar) };
        let mut findings = Findings::new(Origin::new("test.yaml"));
        let path = AbsolutePath::decode(&node, &mut findings);
        let messages: String = findings.into_vec().iter().map(ToString::to_string).collect();
        path.map(|path| path.as_str().to_owned()).ok_or(messages)
    }

    #[test]
    fn white_space_around_a_path_is_taken_off() {
        assert_eq!(decode(" /etc/issue\n"), Ok("/etc/issue".to_owned()));
    }

    #[test]
    fn a_relative_path_is_refused_and_the_remedy_named() {
        let message = decode("etc/issue").unwrap_err();
        assert!(
            message.ends_with("the path \"etc/issue\" is not absolute; write \"/etc/issue\""),
            "{message}"
        );
    }

    #[test]
    fn empty_paths_and_control_characters_are_refused() {
        assert!(decode(" ").unwrap_err().ends_with("an empty path"));
        assert!(
            decode("/etc/a\0b").unwrap_err().ends_with(r#"the path "/etc/a\0b" holds a control character"#)
        );
        assert!(decode("/etc/a\nb").is_err());
    }
}
