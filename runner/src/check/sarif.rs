//! Findings in the Static Analysis Results Interchange Format, version 2.1.0, which code hosts take:
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>.
//!
//! **Invariant:** no line of a document is in it, only where it stands.

use crate::report::Texts;
use cosette_schema::{Diagnostic, Rule, Severity};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The log of one run of `cosette check`.
pub fn log(findings: &[Diagnostic], texts: &Texts) -> Value {
    let rules: Vec<Value> = Rule::ALL
        .iter()
        .map(|rule| json!({ "id": rule.id(), "shortDescription": { "text": rule.description() } }))
        .collect();
    let results: Vec<Value> = findings.iter().map(|finding| result(finding, texts)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "cosette",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(finding: &Diagnostic, texts: &Texts) -> Value {
    let help = finding.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
    let mut place = json!({ "artifactLocation": { "uri": uri(finding.origin.as_str()) } });
    if let Some(span) = finding.span {
        let mut region = json!({ "startLine": span.line.max(1), "startColumn": span.column.max(1) });
        let marked = texts.get(&finding.origin).and_then(|text| text.get(span.range(text)));
        if let Some(marked) = marked.filter(|marked| !marked.contains('\n')) {
            region["endColumn"] = json!(span.column.max(1) as usize + marked.chars().count());
        }
        place["region"] = region;
    }
    json!({
        "ruleId": finding.rule.id(),
        "ruleIndex": Rule::ALL.iter().position(|rule| *rule == finding.rule),
        "level": match finding.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        },
        "message": { "text": format!("{}{help}", finding.message) },
        "locations": [{ "physicalLocation": place }],
    })
}

/// The origin as a reference by RFC 3986: a path relative to the working directory, an absolute one, an address as it
/// is, or `builtin:`.
fn uri(origin: &str) -> String {
    let is_address = ["http://", "https://", "builtin:"].iter().any(|scheme| origin.starts_with(scheme));
    let mut uri = if origin.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in origin.bytes() {
        let kept = byte.is_ascii_alphanumeric()
            || b"-._~/".contains(&byte)
            || is_address && b":?#[]@!$&'()*+,;=%".contains(&byte);
        if kept {
            uri.push(byte.into());
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Checked;
    use crate::stage::Documents;
    use cosette_schema::Origin;

    /// What the published schema asks of the parts that are written, and nothing else may be there.
    fn schema() -> Value {
        let text = json!({ "type": "object", "required": ["text"], "additionalProperties": false,
            "properties": { "text": { "type": "string" } } });
        let from_one = json!({ "type": "integer", "minimum": 1 });
        let region = json!({ "type": "object", "additionalProperties": false,
            "properties": { "startLine": from_one, "startColumn": from_one, "endColumn": from_one } });
        let location = json!({ "type": "object", "additionalProperties": false, "properties": {
            "physicalLocation": { "type": "object", "required": ["artifactLocation"], "additionalProperties": false,
                "properties": { "region": region, "artifactLocation": { "type": "object", "additionalProperties": false,
                    "properties": { "uri": { "type": "string" } } } } } } });
        let result = json!({ "type": "object", "required": ["message"], "additionalProperties": false, "properties": {
            "ruleId": { "type": "string" }, "ruleIndex": { "type": "integer", "minimum": 0 },
            "level": { "enum": ["none", "note", "warning", "error"] }, "message": text,
            "locations": { "type": "array", "items": location } } });
        let rule = json!({ "type": "object", "required": ["id"], "additionalProperties": false,
            "properties": { "id": { "type": "string" }, "shortDescription": text } });
        let driver = json!({ "type": "object", "required": ["name"], "additionalProperties": false, "properties": {
            "name": { "type": "string" }, "semanticVersion": { "type": "string" },
            "rules": { "type": "array", "uniqueItems": true, "items": rule } } });
        let run = json!({ "type": "object", "required": ["tool"], "additionalProperties": false, "properties": {
            "columnKind": { "enum": ["utf16CodeUnits", "unicodeCodePoints"] },
            "tool": { "type": "object", "required": ["driver"], "additionalProperties": false, "properties": { "driver": driver } },
            "results": { "type": "array", "items": result } } });
        json!({ "type": "object", "required": ["version", "runs"], "additionalProperties": false, "properties": {
            "$schema": { "type": "string", "format": "uri" }, "version": { "enum": ["2.1.0"] },
            "runs": { "type": "array", "items": run } } })
    }

    #[test]
    fn a_log_has_the_published_shape_and_names_rule_level_and_region() {
        let text = "stages:\n  boot:\n  - comands: [a]\n  - files: x\n  netwrok: []\n";
        let checked = Checked::of(Documents::of_text(text, &Origin::new("/oem/ü x.yaml")));
        let log = log(&checked.findings, &checked.texts);
        if let Err(error) = jsonschema::validate(&schema(), &log) {
            panic!("{error} at {}", error.instance_path());
        }
        let results = &log["runs"][0]["results"];
        let of = |at: usize, key: &str| results[at][key].as_str().unwrap_or_default().to_owned();
        assert_eq!((of(0, "ruleId"), of(0, "level")), ("unknown-key".to_owned(), "warning".to_owned()));
        assert_eq!((of(1, "ruleId"), of(1, "level")), ("invalid".to_owned(), "error".to_owned()));
        assert_eq!((of(2, "ruleId"), of(2, "level")), ("unknown-stage".to_owned(), "warning".to_owned()));
        let place = &results[0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "file:///oem/%C3%BC%20x.yaml");
        assert_eq!(place["region"], json!({ "startLine": 3, "startColumn": 5, "endColumn": 12 }));
        let rule = results[0]["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][rule]["id"], "unknown-key");
    }

    #[test]
    fn origins_are_references() {
        for (origin, reference) in [
            ("oem/a b.yaml", "oem/a%20b.yaml"),
            ("a:b.yaml", "a%3Ab.yaml"),
            ("<stdin>", "%3Cstdin%3E"),
            ("builtin:00_rootfs.yaml", "builtin:00_rootfs.yaml"),
            ("https://host:1/a?b", "https://host:1/a?b"),
        ] {
            assert_eq!(uri(origin), reference);
        }
    }
}
