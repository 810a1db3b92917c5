//! Where something stands in a text.

use std::ops::Range;

/// A stretch of source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First line, counted from 1.
    pub line: u32,
    /// First column in characters, counted from 1.
    pub column: u32,
    /// Byte offset of the first byte.
    pub start: u32,
    /// Byte offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes of `text`, the source, that the span marks; always within it and at character boundaries.
    ///
    /// Line and column count more than the offsets: a place within a scalar knows only the offsets of the whole
    /// (see [`Text::locate`](crate::Text::locate)), and is then the rest of its line.
    pub fn range(&self, text: &str) -> Range<usize> {
        let line = text.split_inclusive('\n').nth(self.line.saturating_sub(1) as usize).unwrap_or_default();
        let line_start =
            if line.is_empty() { text.len() } else { line.as_ptr() as usize - text.as_ptr() as usize };
        // A byte order mark is not part of the first line.
        let mark = if line_start == 0 && line.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let column = self.column.saturating_sub(1) as usize;
        let line = line[mark..].trim_end_matches(['\n', '\r']);
        let within = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
        let start = line_start + mark + within;
        let end = self.end as usize;
        if start == self.start as usize && end >= start && text.is_char_boundary(end) {
            start..end
        } else {
            start..line_start + mark + line.len()
        }
    }
}
