//! Tests of the tree as a whole: merge keys, aliases, tags, budgets, places and errors.

use super::*;
use crate::decode::tests::lines;
use crate::{Findings, Origin};

/// The tree as compact text, and the findings as `severity line:column message; help`.
fn parsed(text: &str) -> (Option<String>, Vec<String>) {
    let mut findings = Findings::new(Origin::new("test"));
    let node = parse(text, &mut findings);
    (node.map(|node| shown(&node)), lines(findings))
}

fn shown(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) => match scalar.style {
            Style::Plain => scalar.text.to_string(),
            _ => format!("{:?}", scalar.text),
        },
        Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", shown(key), shown(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The tree of a text without findings.
fn tree(text: &str) -> String {
    let (tree, findings) = parsed(text);
    assert_eq!(findings, Vec::<String>::new(), "{text}");
    tree.unwrap_or_default()
}

/// The only finding of a text that gives no tree.
fn refused(text: &str) -> String {
    let (tree, mut findings) = parsed(text);
    assert_eq!(tree, None, "{text:?}");
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.remove(0)
}

#[test]
fn scalars_lists_and_maps_keep_their_style() {
    assert_eq!(
        tree(
            "a: 0644\nb: \"0644\"\nc: 'it''s'\nd: |\n  x\n   y\n\n  z\ne: >-\n  x\n  y\nf: [1, ~]\ng: {}\nh:\ni: x\n  y\n"
        ),
        r#"{a: 0644, b: "0644", c: "it's", d: "x\n y\n\nz\n", e: "x y", f: [1, ~], g: {}, h: , i: x y}"#
    );
}

#[test]
fn a_block_scalar_at_the_end_of_a_text_without_a_newline_gets_none() {
    assert_eq!(tree("a: |\n  x"), r#"{a: "x"}"#);
    assert_eq!(tree("a: |\n  x\n"), r#"{a: "x\n"}"#);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_content() {
    assert_eq!(
        tree("\u{feff}a: b\r\nc: |\r\n  x\r\n  y\r\nd: 'x\r\n  y'\r\n"),
        r#"{a: b, c: "x\ny\n", d: "x y"}"#
    );
}

#[test]
fn merge_keys_bring_in_what_is_not_there_already() {
    for (text, expected) in [
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n", "{a: {x: 1, y: 2}, b: {y: 3, x: 1}}"),
        ("a: &a {x: 1}\nb: {y: 3, x: 4, <<: *a}\n", "{a: {x: 1}, b: {y: 3, x: 4}}"),
        ("- &a {x: 1}\n- &b {x: 2, y: 2}\n- <<: [*a, *b]\n", "[{x: 1}, {x: 2, y: 2}, {x: 1, y: 2}]"),
        (
            "- &a {x: 1}\n- &b {<<: *a, y: 2}\n- {<<: *b, z: 3}\n",
            "[{x: 1}, {y: 2, x: 1}, {z: 3, y: 2, x: 1}]",
        ),
        ("<<: {x: 1}\n", "{x: 1}"),
        ("<<: []\n", "{}"),
        ("'<<': x\n", "{\"<<\": x}"),
    ] {
        assert_eq!(tree(text), expected);
    }
}

#[test]
fn a_merge_key_that_cannot_be_merged_loses_the_text() {
    assert_eq!(
        refused("a: 1\n<<: x\n"),
        "error 2:5 `<<` merges a map or a list of maps, found a single value; name an anchored map, as in `<<: *defaults`"
    );
    assert!(refused("<<: [{}, x]\n").contains("found a list with a single value"));
    assert!(refused("<<:\n").contains("found null"));
    assert!(
        refused("<<: {}\n<<: {}\n").contains("the key `<<` is given twice; the first is at 1:1: write both")
    );
}

#[test]
fn aliases_repeat_what_is_complete_before_them() {
    assert_eq!(tree("- &a [1, &b 2]\n- *a\n- *b\n- &a x\n- *a\n"), "[[1, 2], [1, 2], 2, x, x]");
    assert_eq!(tree("a: &x\nb: *x\n*x : y\n"), "{a: , b: , : y}");
    assert!(refused("- &a [1, *a]\n").contains("1:10 the alias stands within what it names"));
    assert!(refused("a: *nope\n").contains("1:4 no anchor of this name stands before the alias"));
    assert!(refused("node: *\n").contains("1:7 `*` or `&` without a name; put the value in quotes"));
}

#[test]
fn duplicate_keys_are_found_in_small_and_in_large_maps() {
    for count in [3, 16, 17, 500] {
        let keys: String = (0..count).map(|index| format!("k{index}: 1\n")).collect();
        let (tree, findings) = parsed(&format!("{keys}k1: 2\n{keys}'k2': 3\n"));
        assert_eq!(tree.unwrap().matches(": 1").count(), count);
        assert_eq!(findings.len(), count + 2);
        assert_eq!(
            findings[0],
            format!(
                "error {}:1 the key `k1` is given twice; the first is at 2:1 and is used: remove one of them, or make them one",
                count + 1
            )
        );
    }
}

#[test]
fn only_the_first_document_is_read_and_later_ones_are_warned_of() {
    let warning = |at| {
        format!(
            "warning {at} only the first document of a file is used; what follows is ignored; put each document into a file of its own"
        )
    };
    for (text, at) in [
        ("a: 1\n---\nb: 2\n", "2:1"),
        ("---\na: 1\n---\n{broken", "3:1"),
        ("a: 1\n---\n---\n", "2:1"),
        ("a: 1\n...\n%TAG broken\n", "3:1"),
    ] {
        assert_eq!(parsed(text), (Some("{a: 1}".into()), vec![warning(at)]), "{text}");
    }
    assert_eq!(tree("---\na: 1\n---\n"), "{a: 1}");
    assert_eq!(tree("--- # x\na: 1\n...\n"), "{a: 1}");
}

#[test]
fn tags_of_texts_are_obeyed_and_unknown_ones_are_warned_of() {
    assert_eq!(
        tree(
            "a: !!str 1\nb: ! 1\nc: !!int 1\nd: !!binary aMOkbGxv\ne: !!map {}\nf: !!binary |\n  aGFs\n  bG8=\n"
        ),
        r#"{a: "1", b: "1", c: 1, d: "hällo", e: {}, f: "hallo"}"#
    );
    assert!(refused("a: !!binary f0VMRgIB//8=\n").starts_with(
        "error 1:13 `!!binary` holds bytes that are no text; leave the tag out and say `encoding: base64`"
    ));
    for bad in ["a", "ab", "a===", "ab=", "abc==", "ab==c", "a-b=", "ab=\u{e9}"] {
        assert!(refused(&format!("!!binary {bad}")).contains("is not valid base64"), "{bad}");
    }
    let (node, findings) = parsed("a: !secret x\nb: !!set {}\n");
    assert_eq!(node.unwrap(), "{a: x, b: {}}");
    assert!(findings[0].starts_with("warning 1:12 what begins with `!` is a tag in YAML"), "{findings:?}");
    assert_eq!(findings.len(), 2);
    for text in ["passwd: !", "passwd: !secret"] {
        let (node, findings) = parsed(text);
        assert_eq!(node.unwrap(), "{passwd: }");
        assert_eq!(findings.len(), 1);
    }
}

#[test]
fn places_count_lines_and_characters_from_one_and_bytes_from_zero() {
    let text = "ä: ö # x\nb:\n  - \"é\"\n  - {c: [d]}\ne: |\n  f\n  g\n\nh: i\n";
    let mut findings = Findings::new(Origin::new("test"));
    let root = parse(text, &mut findings).unwrap();
    let mut places = Vec::new();
    collect(&root, text, &mut places);
    let expected = [
        (1, 1, "ä: ö # x\nb:\n  - \"é\"\n  - {c: [d]}\ne: |\n  f\n  g\n\nh: i"),
        (1, 1, "ä"),
        (1, 4, "ö"),
        (2, 1, "b"),
        (3, 3, "- \"é\"\n  - {c: [d]}"),
        (3, 5, "\"é\""),
        (4, 5, "{c: [d]}"),
        (4, 6, "c"),
        (4, 9, "[d]"),
        (4, 10, "d"),
        (5, 1, "e"),
        (6, 3, "f\n  g"),
        (9, 1, "h"),
        (9, 4, "i"),
    ];
    assert_eq!(places, expected.map(|(line, column, text)| (line, column, text.to_owned())));
}

fn collect(node: &Node, text: &str, places: &mut Vec<(u32, u32, String)>) {
    let span = node.span;
    places.push((span.line, span.column, text[span.start as usize..span.end as usize].to_owned()));
    match &node.value {
        Value::Scalar(_) => {}
        Value::List(items) => items.iter().for_each(|item| collect(item, text, places)),
        Value::Map(entries) => entries.iter().for_each(|(key, value)| {
            collect(key, text, places);
            collect(value, text, places);
        }),
    }
}

#[test]
fn what_an_alias_repeats_stands_where_it_was_written() {
    let mut findings = Findings::new(Origin::new("test"));
    let root = parse("- &a {x: 1}\n- *a\n- {<<: *a}\n", &mut findings).unwrap();
    let Value::List(items) = root.value else { panic!() };
    assert_eq!((items[1].span.line, items[1].span.column), (1, 6));
    let Value::Map(entries) = &items[2].value else { panic!() };
    assert_eq!((entries[0].0.span.line, entries[0].0.span.column), (1, 7));
}

#[test]
fn syntax_errors_lose_the_text_and_name_place_and_remedy() {
    for (text, expected) in [
        ("a:\n\tb: c\n", "2:1 a tab is used as indentation; YAML allows only spaces"),
        ("a: 1\n\tb: c\n", "2:1 a tab is used as indentation"),
        ("a:\n- x\n\t- y\n", "3:1 a tab is used as indentation"),
        ("a:\n  b: 1\n \tc: 2\n", "3:2 a tab is used as indentation"),
        ("a: |\n\tfoo\n", "2:1 a tab is used as indentation"),
        ("a: b: c\n", "1:5 a `:` where no key can be; put the value in quotes"),
        ("stages:\n  test:\n  - name: x\n   if: y\n", "4:4 this does not continue the map that it stands in"),
        ("home: \"/home/foo\nb: c\n", "1:7 a quote that is not closed"),
        ("- \"foo\" bar\n", "1:9 text behind a closing quote"),
        (
            "a: {{ .Values.x }}-foo\n",
            "1:19 this does not continue the map that it stands in; a value that begins with a template needs quotes",
        ),
        ("a: [b\nc: d\n", "2:2 a `:` where no key can be"),
        ("{a: b\n", "1:1 the bracket `{` is not closed"),
        ("a: @b\n", "1:4 a value cannot begin with this character; put the value in quotes"),
        ("a: b\0c\n", "1:5 a character that YAML does not allow"),
        ("a: \"b\\q\"\n", "1:4 an unknown escape within double quotes"),
        ("a: b # c\n d: e\n", "1:6 a comment in the midst of a value"),
        ("a: !e!x b\n", "1:4 a tag that was not declared"),
        ("- a\nb: c\n", "2:1 this does not continue the list that it stands in"),
        ("é: é\nfoo\n", "2:1 a key without its `:`"),
    ] {
        let message = refused(text);
        assert!(message.starts_with(&format!("error {expected}")), "{text:?}: {message}");
    }
}

#[test]
fn no_finding_shows_a_value_because_it_may_be_a_password() {
    for text in [
        "passwd: !secret\n",
        "passwd: *secret\n",
        "passwd: @secret\n",
        "passwd: \"secret\n",
        "passwd: a: secret\n",
        "passwd: %secret",
        "passwd: [secret",
        "passwd: &a &b secret",
        "passwd: ]secret",
        "passwd: \"\\secret\"",
        "passwd: |secret",
        "passwd: !<secret",
        "passwd: !!binary secret",
    ] {
        let (_, findings) = parsed(text);
        assert!(!findings.is_empty() && !findings.concat().contains("secret"), "{text:?}: {findings:?}");
    }
    let mut findings = Findings::new(Origin::new("test"));
    let node = parse("passwd: secret\n", &mut findings);
    assert!(!format!("{node:?}").contains("secret"));
}

#[test]
fn a_text_that_breaks_in_the_middle_runs_not_even_its_first_half() {
    let text = "stages:\n  boot:\n  - commands:\n    - one\n    - two\n    if: \"x\n";
    let (tree, findings) = parsed(text);
    assert_eq!((tree, findings.len()), (None, 1));
}

#[test]
fn hostile_texts_run_into_a_budget() {
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (name, before) in ('b'..='z').zip('a'..) {
        bomb.push_str(&format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(",")));
    }
    assert!(bomb.len() < 1500);
    let deep = "nested too deeply: more than 100 levels";
    let copies = "the aliases expand to too much: more than 100000 values";
    let nodes = "the document is too large: more than 500000 values";
    let mut steps = String::new();
    for depth in 0..200 {
        steps.push_str(&format!("{}a:\n", " ".repeat(depth)));
    }
    // Each alias is deep, and each stands deep.
    let mut towers = "- &a0 x\n".to_owned();
    for level in 1..10 {
        let (open, close) = ("[".repeat(20), "]".repeat(20));
        towers.push_str(&format!("- &a{level} {open}*a{}{close}\n", level - 1));
    }
    let large_text = "x".repeat(1 << 20);
    let large = format!("- &a {large_text}\n{}", "- *a\n".repeat(20));
    let nested_anchors = format!("{}{}", "&a [".repeat(90), "x,".repeat(10_000)) + &"]".repeat(90);
    for (text, expected) in [
        ("[".repeat(200_000), deep),
        ("{".repeat(200_000), deep),
        ("- ".repeat(200_000), deep),
        ("? ".repeat(200_000), deep),
        ("[{a: ".repeat(200_000), deep),
        (steps, deep),
        (towers, deep),
        (bomb, copies),
        (large, copies),
        (nested_anchors, copies),
        ("- x\n".repeat(500_000), nodes),
        (" ".repeat(100 << 20), "the text is too large: 104857600 bytes, at most 16777216 are read"),
    ] {
        let message = refused(&text);
        assert!(message.contains(expected), "{}: {message}", &text[..20]);
    }
    assert!(tree(&("[".repeat(100) + &"]".repeat(100))).starts_with("[[["));
}

#[test]
fn large_texts_of_every_kind_are_read_in_linear_time() {
    // Ten times the size of any real document; a quadratic parser would not come back.
    for text in [
        format!("a: {}", "word ".repeat(200_000)),
        format!("a: \"{}\"", "\\n word ".repeat(200_000)),
        format!("a: |\n{}", "  line\n".repeat(200_000)),
        format!("a: [{}]", "'b', ".repeat(100_000)),
        format!("a:\n{}", "- \"b\": c\n".repeat(100_000)),
        "# comment\n".repeat(200_000),
        "\n".repeat(1_000_000),
        (0..100_000).map(|index| format!("k{index}: v\n")).collect(),
        (0..50_000).map(|index| format!("- &a{index} v\n")).collect(),
    ] {
        tree(&text);
    }
    refused(&"a: ".repeat(300_000));
    refused(&format!("[{}", "a: ".repeat(300_000)));
    refused(&format!("{}: x", "k".repeat(1_000_000)));
}
