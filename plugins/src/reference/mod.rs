//! The reference of the language, `docs/reference`, and its JSON Schema, `schema/cosette.schema.json`: both are
//! written from the types that are decoded and from the documentation of the plugins, and a test fails when they
//! are not current.

#![allow(clippy::disallowed_methods, reason = "a test looks at files of the repository and may renew them")]

mod json_schema;
mod pages;
mod words;

use crate::conditions::Conditions;
use crate::step::Step;
use crate::testing::documentation;
use crate::{cloud_config, keys};
use cosette_schema::{Field, Shape};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The documentation of the module that is this file of the crate, as Markdown.
fn documentation_of(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    documentation(&fs::read_to_string(path).expect("a plugin lives in the file named after its key"))
}

/// A doc comment as one line.
fn line(docs: &str) -> String {
    docs.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first paragraph of a text, as one line.
fn first_paragraph(text: &str) -> String {
    let lines = text.lines().skip_while(|line| line.trim().is_empty());
    line(&lines.take_while(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n"))
}

/// The keys of the maps that a value may be.
fn fields(shape: &Shape) -> Vec<&'static Field> {
    match shape {
        Shape::Record { fields, .. } => fields.iter().collect(),
        Shape::Optional(inner) | Shape::With(_, inner) => fields(inner),
        Shape::Either(shapes) => shapes.iter().flat_map(fields).collect(),
        _ => Vec::new(),
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The pages below a directory, by their paths.
fn pages_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { pages_below(&path) } else { vec![path] }).collect()
}

#[test]
fn the_reference_is_current() {
    let directory = repository().join("docs/reference");
    let mut expected: BTreeMap<PathBuf, String> =
        pages::all().into_iter().map(|(name, text)| (directory.join(name), text)).collect();
    expected.insert(repository().join("schema/cosette.schema.json"), json_schema::text());
    let removed: Vec<PathBuf> =
        pages_below(&directory).into_iter().filter(|path| !expected.contains_key(path)).collect();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        removed.iter().for_each(|path| fs::remove_file(path).unwrap());
        for (path, text) in &expected {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        return;
    }
    let changed = expected
        .iter()
        .filter(|(path, text)| fs::read_to_string(path).ok().as_ref() != Some(*text))
        .map(|(path, _)| path);
    let stale: Vec<_> = changed.chain(&removed).collect();
    assert!(
        stale.is_empty(),
        "not current: {stale:#?}\nUPDATE_DOCS=1 cargo test -p cosette-plugins --lib the_reference_is_current"
    );
}

#[test]
fn every_key_of_every_map_has_a_doc_comment() {
    fn look(place: &str, shape: &Shape, missing: &mut Vec<String>) {
        match shape {
            Shape::List(inner) | Shape::Map(inner) | Shape::Optional(inner) | Shape::With(_, inner) => {
                look(place, inner, missing)
            }
            Shape::Either(shapes) => shapes.iter().for_each(|shape| look(place, shape, missing)),
            Shape::Record { fields, .. } => look_at(place, fields, missing),
            _ => {}
        }
    }
    fn look_at(place: &str, fields: &[Field], missing: &mut Vec<String>) {
        for field in fields {
            let place = format!("{place}.{}", field.names[0]);
            if line(field.docs).is_empty() {
                missing.push(place.clone());
            }
            look(&place, &(field.shape)(), missing);
        }
    }
    let mut missing = Vec::new();
    for plugin in keys::PLUGINS.iter().chain(cloud_config::PLUGINS) {
        look(plugin.key, &(plugin.shape)(), &mut missing);
    }
    look_at("step", Step::FIELDS, &mut missing);
    look_at("step", Conditions::FIELDS, &mut missing);
    assert!(missing.is_empty(), "keys without a doc comment: {missing:#?}");
}

#[test]
fn the_configuration_of_every_module_names_the_keys_that_it_reads() {
    for module in cosette_schema::cloud_config::MODULES {
        let plugin = cloud_config::PLUGINS.iter().find(|plugin| plugin.key == module.name).unwrap();
        let fields = fields(&(plugin.shape)());
        let mut names: Vec<_> = fields.iter().flat_map(|field| field.names).copied().collect();
        let mut keys = module.keys.to_vec();
        names.sort_unstable();
        keys.sort_unstable();
        assert_eq!(names, keys, "{}", module.name);
    }
}
