//! `#cloud-config` texts, and the first lines that tell what a text is.

use crate::yaml::{Node, TEXT_LIMIT};
use crate::{Findings, Span, Spanned, excerpt};

/// What the first comments of a text say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// Nothing: stages.
    None,
    /// A cloud-config, which may have stages too.
    CloudConfig,
    /// The configuration of another program, with stages in it.
    Foreign,
}

/// How many lines are looked at, as in yip.
const LINES: usize = 10;

impl Header {
    /// Looks for a header among the first lines, before anything that is neither blank nor a comment.
    pub(crate) fn of(text: &str, findings: &mut Findings) -> Self {
        if text.len() > TEXT_LIMIT {
            return Self::None;
        }
        let mut start = text.len() - text.trim_start_matches('\u{feff}').len();
        for (index, line) in text[start..].split_inclusive('\n').take(LINES).enumerate() {
            let content = line.trim_end();
            match content {
                "#cloud-config" => return Self::CloudConfig,
                "#kairos-config" | "#node-config" => return Self::Foreign,
                _ if content.starts_with('#')
                    && content.trim_start_matches(['#', ' ', '\t']) == "cloud-config" =>
                {
                    let span = Span {
                        line: index as u32 + 1,
                        column: 1,
                        start: start as u32,
                        end: (start + content.len()) as u32,
                    };
                    findings
                        .warn(span, "this line is only a comment")
                        .help("write `#cloud-config` without a space if the file is a cloud-config");
                }
                _ if content.trim_start().is_empty() || content.trim_start().starts_with('#') => {}
                _ => return Self::None,
            }
            start += line.len();
        }
        Self::None
    }
}

/// Reads the keys of a cloud-config other than `stages` and `name`. None of them is mapped to steps yet.
pub(crate) fn read(keys: &[(Spanned<String>, Node)], findings: &mut Findings) {
    let Some((first, _)) = keys.first() else { return };
    let names: Vec<_> = keys.iter().take(LINES).map(|(name, _)| format!("`{}`", excerpt(name))).collect();
    let more = if keys.len() > names.len() { " and others" } else { "" };
    findings.warn(
        first.span,
        format!(
            "these keys of the cloud-config are not supported yet and are ignored: {}{more}",
            names.join(", ")
        ),
    );
}
