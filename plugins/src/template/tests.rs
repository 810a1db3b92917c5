//! What templates render to, and that none does harm.

use super::{TemplateError, check, render};
use crate::facts::Facts;
use crate::system::Mode;
use crate::testing::Machine;
use std::borrow::Cow;

fn machine() -> Machine {
    let machine = Machine::new(
        "-- /etc/machine-id\n0123456789abcdef0123456789abcdef\n\
         -- /etc/os-release\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n",
    );
    machine.host.kernel_file(
        "/proc/cpuinfo",
        "processor\t: 0\nmodel name\t: CPU\nphysical id\t: 0\ncore id\t: 0\n\
         processor\t: 1\nphysical id\t: 0\ncore id\t: 1\n",
    );
    machine.host.kernel_file("/proc/meminfo", "MemTotal:       2147483648 kB\n");
    machine
}

/// Renders on a machine that is always the same.
pub(super) fn render_sample(text: &str) -> Result<String, TemplateError> {
    let machine = machine();
    let system = machine.system(Mode::Apply);
    render(text, &Facts::new(&system)).map(Cow::into_owned)
}

#[track_caller]
fn assert_renders(cases: &[(&str, &str)]) {
    for (template, expected) in cases {
        match render_sample(template) {
            Ok(found) => assert_eq!(found, *expected, "{template}"),
            Err(error) => panic!("{template}: {error}"),
        }
    }
}

#[track_caller]
fn assert_fails(cases: &[(&str, u32, u32, &str)]) {
    for &(template, line, column, message) in cases {
        let error = render_sample(template).expect_err(template);
        assert_eq!((error.line, error.column, error.message.as_str()), (line, column, message), "{template}");
    }
}

#[test]
fn text_without_a_template_is_not_copied() {
    let machine = machine();
    let system = machine.system(Mode::Apply);
    let facts = Facts::new(&system);
    assert!(matches!(render("a { b }} c", &facts), Ok(Cow::Borrowed("a { b }} c"))));
}

#[test]
fn facts_have_the_names_of_yip() {
    assert_renders(&[
        ("{{.Values.node.hostname}}", "machine"),
        ("{{ .Values.os.name }} {{.Values.os.architecture}}", "Debian GNU/Linux 12 (bookworm) amd64"),
        ("{{.Values.cpu.cores}} {{.Values.cpu.threads}}", "2 2"),
        // Numbers are fractional, as after a journey through JSON in Go.
        ("{{.Values.memory.size}}", "2.097152e+06"),
        ("{{ int .Values.memory.size }}", "2097152"),
        ("{{.MachineID}}", "0123456789abcdef0123456789abcdef"),
        ("node-{{ trunc 4 .MachineID }}", "node-0123"),
        ("{{.ProtectedID}}", "297b4a3d8b437cd52b3afdef85057f005a5c3aed3ffb6a9fa36a8d8e04d78b0f"),
        ("{{ eq .Values.ProtectedID .ProtectedID }} {{ eq .Values.Random .Random }}", "true true"),
        ("{{ len .UUID }} {{ len .Random }} {{ eq .UUID .UUID }}", "36 32 true"),
        ("{{ keys .Values.os }}", "[architecture name vendor version]"),
        ("{{ hasKey .Values \"cpu\" }} {{ hasKey . \"Values\" }}", "true true"),
        ("{{ with .Values }}{{ .node.hostname }}{{ end }}", "machine"),
        (
            "{{ define \"a\" }}{{ .Values.node.hostname }} {{ $.MachineID | len }}{{ end }}{{ template \"a\" . }}",
            "machine 32",
        ),
        ("{{ $v := .Values.node }}{{ $v.hostname }}", "machine"),
        ("{{ (index .Values \"node\").hostname }}", "machine"),
        ("{{ range $k, $v := pick .Values \"os\" }}{{ $k }}={{ $v.vendor }}{{ end }}", "os=debian"),
        (
            "{{ .Values.os }}",
            "map[architecture:amd64 name:Debian GNU/Linux 12 (bookworm) vendor:debian version:12]",
        ),
    ]);
}

#[test]
fn only_the_facts_that_a_template_can_get_at_are_gathered() {
    let needs = |text| {
        let template = super::parser::parse(text).unwrap();
        let needs = template.needs;
        (needs.everything, needs.all_values, needs.values.join(" "), needs.names.join(" "))
    };
    let some = |values: &str, names: &str| (false, false, values.to_owned(), names.to_owned());
    assert_eq!(needs("{{ .Values.os.name }}{{ .Values.os.vendor }}{{ $.Values.cpu }}"), some("os cpu", ""));
    assert_eq!(needs("{{ .MachineID }}"), some("", "MachineID"));
    assert_eq!(needs("{{ range list 1 2 }}{{ . }}{{ end }}{{ $x := 1 }}{{ $x }}"), some("", ""));
    assert_eq!(needs("{{ with .Values.os }}{{ . }}{{ end }}"), some("os", ""));
    assert!(needs("{{ .Values }}").1);
    assert!(needs("{{ . }}").0);
    assert!(needs("{{ range list 1 }}{{ $ }}{{ end }}").0);
    assert!(needs("{{ define \"a\" }}{{ . }}{{ end }}{{ template \"a\" . }}").0);
    assert!(!needs("{{ define \"a\" }}{{ . }}{{ $ }}{{ end }}{{ template \"a\" 1 }}").0);
}

#[test]
fn what_is_missing_has_no_value_and_no_fields() {
    assert_renders(&[
        ("{{ .Values.nope }}", "<no value>"),
        ("{{ .Values.nope.deeper.still }}", "<no value>"),
        ("{{ .Nope }} {{ $.Nope }}", "<no value> <no value>"),
        ("{{ $x := .nope }}{{ $x }} {{ $x.y }}", "<no value> <no value>"),
        ("{{ index .Values \"nope\" }}", "<no value>"),
        ("{{ print .nope }} {{ printf \"%v\" .nope }}", "<nil> <nil>"),
        ("{{ if .nope }}a{{ else }}b{{ end }}", "b"),
        ("{{ .nope | default \"d\" }}", "d"),
        ("{{ eq .nope \"a\" }} {{ ne .nope \"a\" }} {{ eq .nope nil }}", "false true true"),
        ("{{ range .nope }}a{{ else }}b{{ end }}", "b"),
        ("{{ with .nope }}a{{ else }}b{{ end }}", "b"),
        ("{{ and nil 1 }}", "<no value>"),
        ("{{ html .nope }}", "&lt;no value&gt;"),
        ("{{ quote .nope \"a\" }}", "\"a\""),
    ]);
}

/// Each of these renders so with Go.
#[test]
fn control_structures_are_those_of_go() {
    assert_renders(&[
        ("{{ if true }}a{{ end }}{{ if false }}b{{ else if 0 }}c{{ else if 1 }}d{{ else }}e{{ end }}", "ad"),
        ("{{ with 1 }}{{ . }}{{ end }}{{ with 0 }}a{{ else with 2 }}{{ . }}{{ else }}c{{ end }}", "12"),
        ("{{ with $x := 5 }}{{ $x }}{{ . }}{{ end }}", "55"),
        ("{{ if $x := 5 }}{{ $x }}{{ else }}{{ $x }}{{ end }}", "5"),
        ("{{ range list 1 2 3 }}{{ . }},{{ end }}", "1,2,3,"),
        ("{{ range $i, $e := list \"a\" \"b\" }}{{ $i }}{{ $e }}{{ end }}", "0a1b"),
        ("{{ range $e := list \"a\" \"b\" }}{{ $e }}{{ end }}", "ab"),
        ("{{ range $k, $v := dict \"b\" 1 \"a\" 2 }}{{ $k }}{{ $v }}{{ end }}", "a2b1"),
        ("{{ range 3 }}{{ . }}{{ end }}{{ range $i := 2 }}{{ $i }}{{ end }}", "01201"),
        ("{{ range list }}a{{ else }}b{{ end }}", "b"),
        (
            "{{ range list 1 2 3 4 }}{{ if eq . 2 }}{{ continue }}{{ end }}{{ if eq . 4 }}{{ break }}{{ end }}{{ . }}{{ end }}",
            "13",
        ),
        ("{{ range list 1 2 }}{{ range list 3 4 }}{{ break }}{{ end }}{{ . }}{{ end }}", "12"),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"),
        ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{ $x }}", "1"),
        ("{{ $x := 1 }}{{ range list 1 2 3 }}{{ $x = add $x . }}{{ end }}{{ $x }}", "7"),
        ("{{ $i := 0 }}{{ range $i = list 7 8 }}{{ end }}{{ $i }}", "8"),
        ("{{ define \"t\" }}[{{ . }}]{{ end }}{{ template \"t\" 1 }}{{ template \"t\" }}", "[1][<no value>]"),
        ("{{ template \"t\" 1 }}{{ define \"t\" }}{{ . }}{{ $ }}{{ end }}", "11"),
        ("{{ block \"b\" 1 }}<{{ . }}>{{ end }}", "<1>"),
        ("a {{- 1 -}} b {{/* c */}}\n{{- /* d */ -}}\n e", "a1b e"),
        ("{{ \"a\" | printf \"%s%s\" \"b\" }}", "ba"),
        ("{{ list 1 2 | len | add 1 }}", "3"),
        ("{{ (dict \"a\" (dict \"b\" 1)).a.b }}", "1"),
        ("{{ $d := dict \"a\" 1 }}{{ $d.a }}", "1"),
        ("{{ if and (gt 2 1) (or false true) }}y{{ end }}", "y"),
        (
            "{{ 'a' }} {{ 0x1F }} {{ 1_000 }} {{ 1e3 }} {{ -3 }} {{ 1.50 }} {{ true }} {{ `raw\\n` }} {{ \"q\\t\\u00e9\" }}",
            "97 31 1000 1000 -3 1.5 true raw\\n q\té",
        ),
        ("{{\n  1\n}}", "1"),
        ("{{ print \"}}\" }}", "}}"),
        ("é{{ 1 }}é", "é1é"),
        (
            "{{ now.Year }} {{ (now).Month }} {{ $t := now }}{{ $t.Weekday }} {{ now.Unix }}",
            "2026 January Friday 1767323045",
        ),
        ("{{ define \"x\" }}{{ end }}{{ define \"x\" }}a{{ end }}{{ template \"x\" }}", "a"),
    ]);
}

#[test]
fn mistakes_are_found_with_their_place_in_characters() {
    assert_fails(&[
        ("{{ bad", 1, 4, "there is no function `bad`"),
        ("${{ github.sha }}", 1, 5, "there is no function `github`"),
        ("é\nü{{ .a }}{{ nope 1 }}", 2, 13, "there is no function `nope`"),
        ("{{ if true }}", 1, 14, "`{{end}}` is missing"),
        ("a {{ end }}", 1, 6, "`end` or `else` without `if`, `with` or `range`"),
        ("{{ }}", 1, 4, "a value is missing in an action"),
        ("{{ if }}a{{ end }}", 1, 7, "a value is missing in `if`"),
        ("{{ 1 | }}", 1, 8, "a value is missing in an action"),
        ("{{ 1 | 2 }}", 1, 8, "what follows `|` must be a function"),
        ("{{ 1 2 }}", 1, 4, "this is not a function and cannot be given arguments"),
        ("{{ nil }}", 1, 4, "`nil` alone is not a command"),
        ("{{ \"a\"\"b\" }}", 1, 7, "unexpected a text in quotes; a space is missing"),
        ("{{ $x }}", 1, 4, "there is no variable `$x`"),
        ("{{ $x = 1 }}", 1, 4, "there is no variable `$x`; declare it with `:=`"),
        ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", 1, 39, "there is no variable `$x`"),
        ("{{ break }}", 1, 4, "`break` outside of `range`"),
        ("{{ template \"a\" }}", 1, 4, "there is no template `a`"),
        ("{{ template a }}", 1, 13, "`template` wants a name in quotes, not `a`"),
        (
            "{{ if true }}{{ define \"a\" }}{{ end }}{{ end }}",
            1,
            17,
            "`define` stands outside of all other actions",
        ),
        ("{{ (1 }}", 1, 7, "`)` is missing before `}}`"),
        ("{{ 1) }}", 1, 5, "`}}` is missing before `)`"),
        ("{{ \"a\".b }}", 1, 4, "this has no field `.b`"),
        ("{{ .MachineID.x }}", 1, 4, "text has no field `.x`"),
        ("{{ \"\\q\" }}", 1, 4, "the text in quotes has an escape that Go does not know, or is not UTF-8"),
        ("{{ 08 }}", 1, 4, "`08` is not a number"),
        ("{{ upper }}", 1, 4, "`upper` is used as `upper TEXT`, not with 0 arguments"),
        ("{{ upper 5 }}", 1, 4, "argument 1 of `upper` must be text, not a number"),
        ("{{ upper .nope }}", 1, 4, "argument 1 of `upper` must be text, not nothing"),
        ("{{ eq 1 \"a\" }}", 1, 4, "a number cannot be compared with text"),
        ("{{ fail \"my words\" }}", 1, 4, "my words"),
        ("a\n  {{ index (list 1) 5 }}", 2, 6, "the index is beyond the end of the list"),
        ("{{ range 1.5 }}{{ end }}", 1, 10, "`range` goes over lists, not over a number"),
        ("{{ range $i, $e := 3 }}{{ end }}", 1, 20, "a number gives one variable, not two"),
        ("{{ div 1 0 }}", 1, 4, "division by zero"),
        ("{{ now.Format }}", 1, 4, "a time has no field `.Format`; use `date`"),
        ("{{ regexMatch \"(\" \"a\" }}", 1, 4, "the regular expression is invalid: missing `)`"),
        (
            "{{ set .Values.node \"hostname\" \"x\" }}",
            1,
            4,
            "the facts cannot be changed; change a `deepCopy` of them",
        ),
        ("{{ $d := dict }}{{ $d = set $d \"a\" $d }}", 1, 25, "a dictionary cannot hold itself"),
        (
            "{{ env \"HOME\" }}",
            1,
            4,
            "the function `env` is left out: templates do not see the environment, which differs from boot to boot",
        ),
    ]);
    assert_eq!(check("{{ upper 5 }} {{ .x }}"), Ok(()));
    assert!(check("{{ bad }}").is_err());
}

#[test]
fn an_error_never_quotes_facts() {
    for template in [
        "{{ .MachineID.x }}",
        "{{ index .Values 1 }}",
        "{{ index .MachineID 99 }}",
        "{{ add1 .Values | upper }}",
        "{{ regexMatch .MachineID 1 }}",
        "{{ fromJson .MachineID }}",
        "{{ toDate \"2006\" .MachineID }}",
        "{{ b32dec .MachineID }}",
        "{{ semver .MachineID }}",
        "{{ lt .MachineID 1 }}",
        "{{ range .MachineID }}{{ end }}",
        "{{ dateModify .MachineID now }}",
    ] {
        let error = render_sample(template).expect_err(template);
        assert!(!error.message.contains("0123"), "{template}: {error}");
    }
}

/// Each would end a program that does not count, by its time, its memory or its stack.
#[test]
fn hostile_templates_are_refused() {
    let nested =
        |count: usize, begin: &str, end: &str| format!("{}1{}", begin.repeat(count), end.repeat(count));
    let doubling = "{{ $x := \"xxxxxxxx\" }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}";
    for template in [
        "{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}".to_owned(),
        "{{define \"a\"}}{{template \"b\"}}{{end}}{{define \"b\"}}{{template \"a\"}}{{end}}{{template \"a\"}}".to_owned(),
        "{{define \"a\"}}{{if true}}{{template \"a\" (list .)}}{{template \"a\" (list .)}}{{end}}{{end}}{{template \"a\"}}".to_owned(),
        "{{ repeat 1000000000 \"a\" }}".to_owned(),
        "{{ repeat 9223372036854775807 \"ab\" }}".to_owned(),
        "{{ repeat -1 \"a\" }}".to_owned(),
        "{{ indent 1000000000 \"a\" }}".to_owned(),
        "{{ until 1000000000 }}".to_owned(),
        "{{ seq 1000000000 }}".to_owned(),
        "{{ untilStep 0 10 0 | len }}{{ untilStep 0 9223372036854775807 1 }}".to_owned(),
        "{{ range 9223372036854775807 }}{{ end }}".to_owned(),
        "{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}".to_owned(),
        "{{ range 100000 }}{{ repeat 1000000 \"x\" }}{{ end }}".to_owned(),
        "{{ range 100000 }}{{ sha256sum (repeat 1000000 \"x\") }}{{ end }}".to_owned(),
        "{{ randAlphaNum 1000000000 }}".to_owned(),
        "{{ range 100000 }}{{ $x := shuffle (repeat 10000 \"a\") }}{{ end }}".to_owned(),
        "{{ range 100000 }}{{ $x := randAscii 100000 }}{{ end }}".to_owned(),
        "{{ split \"\" (repeat 4000000 \"a\") }}".to_owned(),
        "{{ splitList \"\" (repeat 4000000 \"a\") }}".to_owned(),
        "{{ regexSplit \"a\" (repeat 4000 \"a\") -1 | len }}{{ regexFindAll \"\" (repeat 4000000 \"a\") -1 }}".to_owned(),
        "{{ snakecase (repeat 2000000 \"a_\") }}".to_owned(),
        "{{ fromJson (cat \"[\" (repeat 1000000 \"[],\") \"1]\") }}".to_owned(),
        (0..50_000).map(|n| format!("{{{{$v{n}:=1}}}}")).collect(),
        (0..50_000).map(|n| format!("{{{{.v{n}}}}}")).collect::<String>() + "{{ fail \"x\" }}",
        (0..50_000).map(|n| format!("{{{{define \"{n}\"}}}}{n}{{{{end}}}}")).collect(),
        "{{ printf \"%999999d\" (until 100000) }}".to_owned(),
        doubling.to_owned(),
        "{{ $x := list 1 }}{{ range 100 }}{{ $x = concat $x $x }}{{ end }}".to_owned(),
        "{{ $x := list 1 }}{{ range 100 }}{{ $x = list $x $x }}{{ end }}".to_owned(),
        "{{ $x := list 1 }}{{ range 100000 }}{{ $x = list $x }}{{ end }}".to_owned(),
        "{{ $x := dict }}{{ range 100000 }}{{ $x = dict \"a\" $x }}{{ end }}".to_owned(),
        "{{ $a := until 100000 }}{{ without $a $a | uniq }}{{ uniq $a }}".to_owned(),
        "{{ replace \"a\" (repeat 100000 \"b\") (repeat 100000 \"a\") }}".to_owned(),
        "{{ join (repeat 100000 \"b\") (until 100000) }}".to_owned(),
        "{{ regexReplaceAll \"a\" (repeat 100000 \"a\") (repeat 100000 \"b\") }}".to_owned(),
        "{{ regexFindAll \".*[^A-Z]|[A-Z]\" (repeat 1000000 \"A\") -1 }}".to_owned(),
        "{{ regexMatch \"((a{1000}){1000}){1000}\" \"a\" }}".to_owned(),
        "{{ fromJson (repeat 100000 \"[\") }}".to_owned(),
        "{{ range 1000 }}{{ printf \"%10000d\" 1 | repeat 400 | print }}{{ end }}".to_owned(),
        nested(100_000, "{{if true}}", "{{end}}"),
        nested(100_000, "{{range 1}}", "{{end}}"),
        nested(100_000, "{{block \"a\" 1}}", "{{end}}"),
        format!("{{{{ {} }}}}", nested(100_000, "(", ")")),
        format!("{{{{ {} }}}}", nested(100_000, "not (", ")")),
        format!("{{{{if 0}}}}{}", "{{else if 0}}".repeat(100_000)),
        format!("{{{{ 1{} }}}}", " | print".repeat(1_000_000)),
        "{{ 1 }}".repeat(1_000_000),
        "{{ wrapWith 1 \"0123456789\" (repeat 4000000 \"a\") }}".to_owned(),
        "{{ $d := dict }}{{ range 100000 }}{{ $d = set (dict) \"a\" $d }}{{ end }}".to_owned(),
        "{{ $v := .Values }}{{ range 100000000 }}{{ $x := deepCopy $v }}{{ end }}".to_owned(),
        "{{ range 4000 }}{{ toPrettyJson (until 10000) }}{{ end }}".to_owned(),
    ] {
        let error = render_sample(&template).map(|out| out.len()).expect_err(&template[..template.len().min(200)]);
        assert!(!error.message.is_empty());
    }
}

#[test]
fn strange_numbers_do_no_harm() {
    assert_renders(&[
        ("{{ printf \"%1000000000d\" 1 }}", "%!(NOVERB)%!(EXTRA int=1)"),
        ("{{ printf \"%*d\" 9223372036854775807 1 }}", "%!(BADWIDTH)1"),
        ("{{ div -9223372036854775808 -1 }} {{ mod -9223372036854775808 -1 }}", "-9223372036854775808 0"),
        ("{{ add 9223372036854775807 1 }} {{ mul 9223372036854775807 2 }}", "-9223372036854775808 -2"),
        ("{{ now | dateModify \"2562047h\" | htmlDate }}", "2318-04-14"),
        ("{{ date \"2006\" 9223372036854775807 }} {{ date \"2006\" -9223372036854775808 }}", "9999 0001"),
        (
            "{{ ago -9223372036854775808 | len | lt 1 }} {{ duration 9223372036854775807 | len | lt 1 }}",
            "true true",
        ),
        ("{{ round 1e300 2147483647 }} {{ round 5 -400 }}", "+Inf 0"),
        (
            "{{ int 1e300 }} {{ int -1e300 }} {{ int \"99999999999999999999\" }}",
            "9223372036854775807 -9223372036854775808 0",
        ),
        (
            "{{ trunc -9223372036854775808 \"abc\" }} {{ substr -5 -5 \"abc\" }} {{ abbrev -1 \"abc\" }}",
            "abc abc abc",
        ),
        ("{{ randInt -9223372036854775808 9223372036854775807 | kindOf }}", "int"),
        ("{{ index \"é\" 0 }} {{ slice \"aé\" 0 1 }}", "195 a"),
        ("{{ wrap -5 \"a b\" }} {{ abbrevboth 100 7 \"0123456789\" }}", "a\nb ...6789"),
        (
            "{{ untilStep 9223372036854775800 9223372036854775807 5 }}",
            "[9223372036854775800 9223372036854775805]",
        ),
    ]);
}
