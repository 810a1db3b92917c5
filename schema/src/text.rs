//! Texts that know where each of their characters stands in the source, for errors within templates.

use crate::decode::scalar;
use crate::yaml::{Node, Style};
use crate::{Decode, Findings, Shape, Span};

/// A text that may be a template: it knows where each of its bytes stands in the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    value: Box<str>,
    span: Span,
    layout: Layout,
}

/// How the text lies in the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Layout {
    /// Escaped, folded or joined: only the beginning is known.
    #[default]
    Changed,
    /// As it is, on one line, behind this many bytes of quotes.
    Line { quote: u32 },
    /// Line by line, behind this many columns.
    Block { indent: u32 },
}

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// Where the text stands.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Where line `line` (from 1), column `column` (from 1, in characters) of the text stands in the source;
    /// exact for plain and quoted scalars on one line without escapes and for literal scalars, the beginning of
    /// the scalar for the others.
    ///
    /// Within a literal scalar only line and column are those of the place: see [`Span::range`].
    pub fn locate(&self, line: u32, column: u32) -> Span {
        let (lines, columns) = (line.saturating_sub(1), column.saturating_sub(1));
        match self.layout {
            Layout::Line { quote } if lines == 0 => {
                let before = self.value.char_indices().nth(columns as usize);
                let bytes = before.map_or(self.value.len(), |(at, _)| at) as u32;
                Span {
                    column: (self.span.column + quote).saturating_add(columns),
                    start: self.span.start + quote + bytes,
                    end: self.span.end - quote,
                    ..self.span
                }
            }
            Layout::Block { indent } => {
                // The span begins with the first line that is not blank.
                let blank = self.value.bytes().take_while(|byte| *byte == b'\n').count() as u32;
                Span {
                    line: self.span.line.saturating_add(lines).saturating_sub(blank).max(1),
                    column: columns.saturating_add(indent + 1),
                    ..self.span
                }
            }
            _ => self.span,
        }
    }
}

impl Decode for Text {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let scalar = scalar(node, "a text", findings)?;
        let value: Box<str> = if scalar.is_null() { "".into() } else { scalar.text.clone() };
        // Escapes and folding make the source longer or shorter than the text.
        let source = node.span.end.saturating_sub(node.span.start) as usize;
        let layout = match scalar.style {
            Style::Plain if source == value.len() => Layout::Line { quote: 0 },
            Style::Quoted if source == value.len() + 2 => Layout::Line { quote: 1 },
            Style::Literal { indent } => Layout::Block { indent },
            _ => Layout::Changed,
        };
        Some(Self { value, span: node.span, layout })
    }

    fn shape() -> Shape {
        Shape::TEXT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Origin, yaml};

    /// The source from the place on, to the end of the line, of `needle` in the text that `yaml` holds as `a`.
    fn found(yaml: &str, needle: &str) -> String {
        let mut findings = Findings::new(Origin::new("test"));
        let node = yaml::parse(yaml, &mut findings).unwrap();
        let yaml::Value::Map(entries) = node.value else { panic!() };
        let text = Text::decode(&entries[0].1, &mut findings).unwrap();
        let at = text.as_str().find(needle).unwrap();
        let before = &text.as_str()[..at];
        let line = before.matches('\n').count() as u32 + 1;
        let column = before.rsplit('\n').next().unwrap().chars().count() as u32 + 1;
        let place = text.locate(line, column);
        yaml[place.range(yaml)].lines().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_place_in_a_literal_scalar_is_found_behind_its_indentation() {
        for yaml in [
            "a: |\n  één\n  zwéi {{ x }} y\n\n  drei\n",
            "a: |-\n\n\n    één\n    zwéi {{ x }} y\n    drei",
            "a: |2\n    één\n  zwéi {{ x }} y\n",
            "# ü\na: |\r\n  één\r\n  zwéi {{ x }} y\r\n",
            "\u{feff}a: |\n one\n\n two {{ x }} y\n",
        ] {
            assert_eq!(found(yaml, "{{"), "{{ x }} y", "{yaml:?}");
        }
    }

    #[test]
    fn a_place_in_a_scalar_on_one_line_is_found_behind_its_quote() {
        assert_eq!(found("a: ünd {{ x }} y\n", "{{"), "{{ x }} y");
        assert_eq!(found("a: 'ünd {{ x }} y'\n", "{{"), "{{ x }} y");
        assert_eq!(found("a: \"ünd {{ x }} y\" # z\n", "{{"), "{{ x }} y");
        assert_eq!(found("\u{feff}a: ünd {{ x }} y\n", "{{"), "{{ x }} y");
        assert_eq!(found("a: 'ünd'\n", "d"), "d");
    }

    #[test]
    fn a_place_in_any_other_scalar_is_the_beginning_of_the_scalar() {
        assert_eq!(found("a: \"\\tünd {{ x }} y\"\n", "{{"), "\"\\tünd {{ x }} y\"");
        assert_eq!(found("a: 'it''s {{ x }}'\n", "{{"), "'it''s {{ x }}'");
        assert_eq!(found("a: one\n  two {{ x }}\n", "{{"), "one");
        assert_eq!(found("a: >\n  one\n  two {{ x }}\n", "{{"), "one");
    }
}
