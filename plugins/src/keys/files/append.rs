//! Adding lines to a file once.

/// The content with the block added on a line of its own; the content itself if the lines of the block stand
/// in it already, one after the other.
pub(crate) fn appended(mut content: Vec<u8>, block: &[u8]) -> Vec<u8> {
    if contains_lines(&content, block) {
        return content;
    }
    if !content.is_empty() && !content.ends_with(b"\n") {
        content.push(b'\n');
    }
    content.extend_from_slice(block);
    content
}

/// Whether the block stands in the content as whole lines. Whether it ends in a line feed makes no difference.
fn contains_lines(content: &[u8], block: &[u8]) -> bool {
    let block = block.strip_suffix(b"\n").unwrap_or(block);
    if block.is_empty() {
        return true;
    }
    let starts = std::iter::once(0)
        .chain(content.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1));
    starts
        .filter_map(|start| content[start..].strip_prefix(block))
        .any(|rest| rest.is_empty() || rest.starts_with(b"\n"))
}

#[cfg(test)]
mod tests {
    use super::appended;

    fn append(content: &str, block: &str) -> String {
        String::from_utf8(appended(content.into(), block.as_bytes())).unwrap()
    }

    #[test]
    fn a_block_begins_on_a_line_of_its_own() {
        assert_eq!(append("", "a\n"), "a\n");
        assert_eq!(append("a\n", "b\n"), "a\nb\n");
        assert_eq!(append("a", "b"), "a\nb");
    }

    #[test]
    fn a_block_that_stands_there_as_whole_lines_is_not_added_again() {
        for content in ["a\nb\n", "a\nb", "x\na\nb\ny\n", "a\na\nb\n"] {
            assert_eq!(append(content, "a\nb\n"), content);
            assert_eq!(append(content, "a\nb"), content);
        }
    }

    #[test]
    fn parts_of_lines_do_not_count() {
        assert_eq!(append("xa\nb\n", "a\nb\n"), "xa\nb\na\nb\n");
        assert_eq!(append("a\nbx\n", "a\nb\n"), "a\nbx\na\nb\n");
        assert_eq!(append("a\nx\nb\n", "a\nb\n"), "a\nx\nb\na\nb\n");
    }

    #[test]
    fn an_empty_block_adds_nothing() {
        assert_eq!(append("a", ""), "a");
        assert_eq!(append("a", "\n"), "a");
    }
}
