//! Templates that would take for ever, or all memory.

use crate::machine::Machine;

#[test]
fn a_bomb_is_kept_as_it_is_with_one_warning_each_and_the_rest_runs() {
    let bombs = [
        ("range", "{{ range until 1000000000 }}x{{ end }}", "more than 100000 numbers"),
        ("steps", "{{ range untilStep 0 9223372036854775807 1 }}x{{ end }}", "more than"),
        ("recursion", r#"{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}"#, "deeper than"),
        (
            "tree",
            r#"{{ define "a" }}{{ template "b" }}{{ template "b" }}{{ end }}{{ define "b" }}{{ template "a" }}{{ end }}{{ template "a" }}"#,
            "deeper than",
        ),
        (
            "doubling",
            r#"{{ $x := "xxxxxxxxxx" }}{{ range until 40 }}{{ $x = printf "%s%s" $x $x }}{{ end }}"#,
            "larger than 4 MiB",
        ),
        ("repeat", r#"{{ repeat 2000000000 "x" }}"#, "larger than 4 MiB"),
        ("width", r#"{{ printf "%2000000000d" 1 }}"#, ""),
        (
            "output",
            r#"{{ $x := repeat 1000000 "x" }}{{ range until 100 }}{{ $x }}{{ end }}"#,
            "more than 16 MiB",
        ),
        ("random", "{{ randAlphaNum 2000000000 }}", ""),
        ("nested", "{{ range until 50000 }}{{ range until 50000 }}{{ end }}{{ end }}", "too much work"),
    ];
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(10_000), ")".repeat(10_000));
    let blocks = "{{ if true }}".repeat(10_000);
    let machine = Machine::new();
    let mut steps = String::new();
    let all = bombs.iter().map(|(name, text, _)| (*name, *text));
    for (name, text) in all.chain([("brackets", deep.as_str()), ("blocks", blocks.as_str())]) {
        let text = text.replace('\'', "''");
        steps += &format!("- name: {name}\n  files:\n  - path: /etc/{name}\n    content: '{text}'\n");
    }
    steps += "- name: Good\n  files:\n  - {path: /etc/good, content: '{{ add 1 2 }}'}\n";
    let ended = machine.apply(&[&machine.steps("bombs.yaml", &steps)]);
    assert_eq!(ended.status, Some(0), "{ended:#?}");
    assert_eq!(machine.text("/etc/good").as_deref(), Some("3"));
    let warnings = ended.diagnostics();
    for (name, text, part) in bombs {
        let of_bomb: Vec<_> =
            warnings.iter().filter(|warning| warning.contains(&format!("/etc/{name} is kept"))).collect();
        // What is merely no template has other words, and what is harmless has none.
        assert!(of_bomb.len() <= 1 && (part.is_empty() || of_bomb.len() == 1), "{name}: {warnings:#?}");
        if let [warning] = &of_bomb[..] {
            assert!(warning.contains(part), "{name}: {warning}");
            assert_eq!(machine.text(&format!("/etc/{name}")).as_deref(), Some(text), "{name}");
        }
    }
}
