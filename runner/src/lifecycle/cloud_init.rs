//! The documents that the operator gives a new system: they are read before anything is written to a disk, and placed in
//! `/oem`.

use crate::source::{Loaded, Place, Source, load};
use anyhow::{Context as _, Result, bail};
use cosette_plugins::System;
use cosette_plugins::system::File;
use cosette_schema::Diagnostic;
use std::path::Path;

/// So many there can be: their names sort in the order in which they were given.
const MOST: usize = 100;

/// Reads them. Findings about what is in them are returned, too.
pub fn read(sources: &[String], place: &Place<'_>) -> Result<(Vec<Loaded>, Vec<Diagnostic>)> {
    if sources.len() > MOST {
        bail!("there can be {MOST} documents, and {} are given", sources.len());
    }
    let mut loaded = Vec::new();
    let mut findings = Vec::new();
    for text in sources {
        let (mut documents, problems) = load(&[Source::parse(text)], place);
        if let Some(problem) = problems.first() {
            bail!("{problem}");
        }
        for document in &documents {
            let (_, problems) = cosette_schema::parse(&document.text, &document.origin);
            findings.extend(problems);
        }
        loaded.append(&mut documents);
    }
    Ok((loaded, findings))
}

/// Writes them to the directory that is `/oem`. They may hold secrets.
pub fn place(sys: &System, oem: &Path, documents: &[Loaded]) -> Result<()> {
    for (index, document) in documents.iter().enumerate() {
        let file = File::new(oem.join(name(index)), document.text.as_bytes()).mode(0o600).durable();
        sys.write(file).with_context(|| format!("document {}", document.origin))?;
    }
    Ok(())
}

/// `90_custom.yaml` and so on, as elemental calls them; behind the tenth they go on as `99_custom_10.yaml`, so that they
/// keep their order.
fn name(index: usize) -> String {
    match index {
        0..=9 => format!("9{index}_custom.yaml"),
        _ => format!("99_custom_{index}.yaml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::system::Mode;
    use cosette_plugins::testing::Machine;

    #[test]
    fn documents_are_placed_in_their_order_for_root_alone() {
        let machine = Machine::new("-- /a.yaml\nname: a\n-- /b.yaml\nnome: b\n");
        let sys = machine.system(Mode::Apply);
        let sources: Vec<_> =
            (0..12).map(|number| if number == 0 { "/b.yaml" } else { "file:///a.yaml" }.to_owned()).collect();
        let (documents, findings) = read(&sources, &Place::root(&sys)).unwrap();
        assert!(findings.iter().any(|finding| finding.to_string().contains("/b.yaml:1:1")), "{findings:?}");
        place(&sys, Path::new("/oem"), &documents).unwrap();
        let names = sys.read_dir("/oem").unwrap().unwrap();
        assert_eq!(names[..2], ["90_custom.yaml", "91_custom.yaml"]);
        assert_eq!(names[9..], ["99_custom.yaml", "99_custom_10.yaml", "99_custom_11.yaml"]);
        assert_eq!(sys.read_text("/oem/90_custom.yaml").unwrap().as_deref(), Some("nome: b\n"));
        assert_eq!(sys.metadata("/oem/90_custom.yaml").unwrap().unwrap().mode, 0o600);
    }

    #[test]
    fn what_cannot_be_read_is_refused_before_anything_is_written() {
        let machine = Machine::new("-- /a.yaml\nname: a\n");
        let sys = machine.system(Mode::Apply);
        let refused = |sources: &[String]| read(sources, &Place::root(&sys)).unwrap_err().to_string();
        assert!(
            refused(&["/a.yaml".into(), "/none.yaml".into()]).contains("/none.yaml: there is no such file")
        );
        assert!(refused(&vec!["/a.yaml".to_owned(); 101]).contains("100 documents"));
    }
}
