//! The pages of `docs/reference`.

use super::{documentation_of, first_paragraph, line, words};
use crate::conditions::Conditions;
use crate::step::Step;
use crate::{Registered, cloud_config, keys};
use cosette_schema::cloud_config::{Frequency, MODULES, Module};
use cosette_schema::{Field, Shape};
use std::fmt::Write;

const NOTE: &str = "<!-- Written by a test from the types and the documentation in the source. -->\n";

/// Each page by its path below `docs/reference`.
pub(super) fn all() -> Vec<(String, String)> {
    let mut pages = vec![
        ("README.md".to_owned(), index()),
        ("conditions.md".to_owned(), conditions()),
        ("cloud-config/README.md".to_owned(), modules()),
    ];
    for plugin in keys::PLUGINS {
        let docs = documentation_of(&format!("keys/{}.rs", plugin.key));
        pages.push((format!("{}.md", plugin.key), page(plugin, &docs, "")));
    }
    for module in MODULES {
        let plugin = cloud_config::PLUGINS.iter().find(|plugin| plugin.key == module.name);
        let plugin = plugin.expect("every module has its plugin");
        let docs = documentation_of(&format!("cloud_config/{}.rs", module.name));
        pages.push((format!("cloud-config/{}.md", module.name), page(plugin, &docs, &when(module))));
    }
    pages
}

fn index() -> String {
    let mut text = format!(
        "# Reference\n\n{NOTE}\n[Stages, steps and keys](../keys.md) says how they belong together.\n\n\
         ## A step\n\n{}{}\nThe [conditions](conditions.md) say whether it runs. What it does, say these keys, which \
         act in this order, whatever their order in the document:\n\n| key | does |\n|---|---|\n",
        table(Step::FIELDS),
        nested(Step::FIELDS, "")
    );
    for plugin in keys::PLUGINS {
        let docs = documentation_of(&format!("keys/{}.rs", plugin.key));
        let _ = writeln!(text, "| [`{0}`]({0}.md) | {1} |", plugin.key, cell(&first_paragraph(&docs)));
    }
    text + "\n## A cloud-config\n\nThe keys of a `#cloud-config` are those of the [modules of \
            cloud-init](cloud-config/README.md).\n"
}

fn conditions() -> String {
    let docs = documentation_of("conditions.rs");
    let (table, nested) = (table(Conditions::FIELDS), nested(Conditions::FIELDS, ""));
    format!("# Conditions\n\n{NOTE}\n{docs}\n## Keys\n\n{table}{nested}")
}

fn modules() -> String {
    let mut text = format!(
        "# Keys of a cloud-config\n\n{NOTE}\nA text whose first line is `#cloud-config` has the keys of \
         cloud-init, and `stages` beside them. Each module of cloud-init is a step of a stage:\n\n\
         | module | keys | stage | acts |\n|---|---|---|---|\n"
    );
    for module in MODULES {
        let keys: Vec<String> = module.keys.iter().map(|key| format!("`{key}`")).collect();
        let (name, keys, stage) = (module.name, keys.join(", "), module.stage);
        let _ = writeln!(text, "| [{name}]({name}.md) | {keys} | `{stage}` | {} |", how_often(module));
    }
    text
}

fn how_often(module: &Module) -> &'static str {
    match module.frequency {
        Frequency::Always => "at every boot",
        Frequency::Instance => "once for each instance, and again when `/etc` was made anew",
        Frequency::Lasting => "once for each instance",
        Frequency::AtMostOnce => "once for each instance, even if it fails",
    }
}

fn when(module: &Module) -> String {
    format!("\nThe module runs in the stage `{}`, {}.\n", module.stage, how_often(module))
}

fn page(plugin: &Registered, docs: &str, when: &str) -> String {
    let shape = (plugin.shape)();
    let docs = docs.replace("```text image", "The image in this place:\n\n```text");
    let docs = docs.replace("```text before", "Before:\n\n```text");
    let docs = docs.replace("```text after", "After:\n\n```text");
    let docs = docs.replace("```text commands", "Commands:\n\n```text");
    let docs = docs.replace("```text kernel", "The kernel:\n\n```text");
    let docs = docs.replace("```text modules", "Loaded:\n\n```text");
    let mut text = format!("# `{}`\n\n{NOTE}\n{docs}{when}\n## Keys\n\n", plugin.key);
    let subject = if when.is_empty() { format!("`{}`", plugin.key) } else { "It".to_owned() };
    match records(&shape)[..] {
        [] => {
            text.truncate(text.len() - "## Keys\n\n".len());
            let _ = writeln!(text, "{subject} is {}.", words::with_article(&shape));
        }
        [(_, fields)] => {
            if when.is_empty() {
                let _ = writeln!(text, "{subject} is {} with these keys:\n", words::with_article(&shape));
            }
            text = text + &table(fields) + &nested(fields, "");
        }
        ref several => {
            for (docs, fields) in several {
                let _ =
                    write!(text, "\n{}\n\n{}{}", first_paragraph(docs), table(fields), nested(fields, ""));
            }
        }
    }
    text
}

/// The maps with known keys of which a value consists.
fn records(shape: &Shape) -> Vec<(&'static str, &'static [Field])> {
    match shape {
        Shape::Record { docs, fields } => vec![(docs, fields)],
        Shape::List(inner)
        | Shape::Map(inner)
        | Shape::Optional(inner)
        | Shape::With(_, inner)
        | Shape::Yaml(inner) => records(inner),
        Shape::Either(shapes) => shapes.iter().flat_map(records).collect(),
        _ => Vec::new(),
    }
}

/// A section for each key whose value consists of maps with known keys.
fn nested(fields: &[Field], place: &str) -> String {
    let mut text = String::new();
    for field in fields {
        let place = match place {
            "" => field.names[0].to_owned(),
            place => format!("{place}.{}", field.names[0]),
        };
        let records = records(&(field.shape)());
        if !records.is_empty() {
            let _ = write!(text, "\n### `{place}`\n");
        }
        for (docs, fields) in records {
            let _ = write!(text, "\n{}\n\n{}", first_paragraph(docs), table(fields));
            text += &nested(fields, &place);
        }
    }
    text
}

fn table(fields: &[Field]) -> String {
    let mut text = "| key | value | | meaning |\n|---|---|---|---|\n".to_owned();
    for field in fields {
        let names: Vec<String> = field.names.iter().map(|name| format!("`{name}`")).collect();
        let shape = (field.shape)();
        let value = match records(&shape)[..] {
            [] => words::one(&shape),
            _ => words::one(&shape) + " (below)",
        };
        let required = if field.required { "required" } else { "" };
        let _ = writeln!(
            text,
            "| {} | {} | {required} | {} |",
            names.join(", also "),
            cell(&value),
            cell(&line(field.docs))
        );
    }
    text
}

/// A text as the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
