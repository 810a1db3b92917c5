//! Where something stands in a text.

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
