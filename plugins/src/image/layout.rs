//! Images on the disk: an OCI layout as a directory, or as a tar archive of one.

use super::digest::Verified;
use super::manifest::{Descriptor, Index, LARGEST_DOCUMENT};
use super::source::Local;
use super::tar::{Archive, Kind};
use super::{Blob, Store};
use crate::System;
use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// More files than this are not looked for in an archive.
const MOST_FILES: usize = 1 << 16;

/// The annotation that holds the name of an image in an index.
const NAME: &str = "org.opencontainers.image.ref.name";

/// A layout.
pub(super) struct Layout<'a> {
    sys: &'a System,
    local: &'a Local,
    /// Where in the archive each file begins, and its size; nothing for a directory.
    files: Option<HashMap<Vec<u8>, (u64, u64)>>,
}

impl<'a> Layout<'a> {
    /// The layout in this directory.
    pub(super) fn directory(sys: &'a System, local: &'a Local) -> Self {
        Self { sys, local, files: None }
    }

    /// The layout in this archive.
    pub(super) fn archive(sys: &'a System, local: &'a Local) -> Result<Self> {
        let mut file = sys.open_file(&local.path)?.context("there is no such file")?;
        let mut begin = [0; 4];
        if file.read(&mut begin)? >= 2 && (begin.starts_with(&[0x1f, 0x8b]) || begin[0] == 0x28) {
            bail!("the archive is compressed as a whole, which is not read: decompress it first");
        }
        file.rewind()?;
        let mut archive = Archive::new(BufReader::with_capacity(1 << 18, file));
        let mut files = HashMap::new();
        while let Some(entry) = archive.next()? {
            if entry.kind == Kind::File && entry.chunks.is_none() {
                if files.len() == MOST_FILES {
                    bail!("the archive holds more than {MOST_FILES} files");
                }
                let name = entry.name.strip_prefix(b"./").unwrap_or(&entry.name);
                files.insert(name.to_vec(), (archive.position(), entry.size));
            }
        }
        Ok(Self { sys, local, files: Some(files) })
    }

    /// A file of the layout.
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>> {
        let Some(files) = &self.files else {
            let path = self.local.path.join(name);
            let file = self.sys.open_file(&path)?;
            return Ok(Box::new(file.with_context(|| format!("there is no file {name}"))?));
        };
        let (position, size) =
            files.get(name.as_bytes()).with_context(|| format!("there is no file {name}"))?;
        let mut file = self.sys.open_file(&self.local.path)?.context("there is no such file")?;
        file.seek(SeekFrom::Start(*position))?;
        Ok(Box::new(file.take(*size)))
    }

    fn content(&self, blob: &Blob) -> Result<Box<dyn Read + Send>> {
        let file = self.open(&format!("blobs/{}", blob.digest.path()))?;
        Ok(Box::new(Verified::new(file, blob.size, &blob.digest)))
    }
}

impl Store for Layout<'_> {
    /// The index, or what it says of the only image or the one with the name.
    fn top(&mut self) -> Result<Vec<u8>> {
        let bytes = bounded(self.open("index.json")?)?;
        let index: Index = serde_json::from_slice(&bytes).context("index.json is malformed")?;
        let name = |entry: &Descriptor| entry.annotations.as_ref()?.get(NAME).cloned();
        let mut names: Vec<String> = index.manifests.iter().filter_map(name).collect();
        names.sort();
        names.dedup();
        let entry = match (&self.local.tag, &index.manifests[..]) {
            (Some(tag), entries) => match entries.iter().find(|entry| name(entry).as_ref() == Some(tag)) {
                None if names.is_empty() => bail!("it holds no image with a name"),
                None => bail!("it holds no image {tag:?}, only {}", names.join(", ")),
                entry => entry,
            },
            (None, [entry]) => Some(entry),
            (None, _) if names.len() > 1 => {
                bail!("it holds several images: choose one of {} behind a colon", names.join(", "))
            }
            // One image for several platforms.
            (None, _) => None,
        };
        match entry {
            Some(entry) => self.document(&Blob::of(entry)?),
            None => Ok(bytes),
        }
    }

    fn document(&mut self, blob: &Blob) -> Result<Vec<u8>> {
        bounded(self.content(blob)?)
    }

    fn blob(&mut self, blob: &Blob) -> Result<Vec<u8>> {
        bounded(self.content(blob)?)
    }

    fn layers(self: Box<Self>, layers: &[Blob]) -> Result<Vec<Box<dyn Read + Send>>> {
        layers.iter().map(|blob| self.content(blob)).collect()
    }
}

/// A document, which is small.
fn bounded(input: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(LARGEST_DOCUMENT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_DOCUMENT {
        return Err(io::Error::other(format!("it has more than {LARGEST_DOCUMENT} bytes")).into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests make files")]

    use crate::testing::{LayoutBuilder, Machine, TarBuilder, TarEntry};
    use serde_json::json;
    use std::path::Path;

    fn archive(content: &str) -> Vec<u8> {
        TarBuilder::new().file("f", content).finish()
    }

    fn unpack(machine: &Machine, source: &str) -> String {
        let outcome = machine.apply(&format!("unpack_images: [{{source: '{source}', target: /t}}]"));
        outcome.messages()
    }

    fn found(machine: &Machine) -> String {
        std::fs::read_to_string(machine.root().join("t/f")).unwrap()
    }

    /// The layout as a tar archive.
    fn packed(layout: &Path) -> Vec<u8> {
        let mut tar = TarBuilder::new().dir("./", 0o755);
        let mut dirs = vec![layout.to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let name = format!("./{}", path.strip_prefix(layout).unwrap().display());
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    let content = std::fs::read(&path).unwrap();
                    tar = tar.entry(TarEntry { content: &content, ..TarEntry::new(&name, b'0') });
                }
            }
        }
        tar.finish()
    }

    #[test]
    fn one_of_several_images_is_named() {
        let machine = Machine::new("");
        LayoutBuilder::new(&machine.root().join("l"))
            .image("one", &[archive("1")])
            .image("two", &[archive("2")]);
        std::fs::write(machine.root().join("l.tar"), packed(&machine.root().join("l"))).unwrap();
        for source in ["oci-layout:/l", "oci-archive:/l.tar"] {
            assert_eq!(unpack(&machine, &format!("{source}:two")), "");
            assert_eq!(found(&machine), "2");
            assert_eq!(unpack(&machine, &format!("{source}:one")), "");
            assert_eq!(found(&machine), "1");
            assert!(unpack(&machine, source).contains("choose one of one, two"));
            assert!(
                unpack(&machine, &format!("{source}:three")).contains("no image \"three\", only one, two")
            );
        }
    }

    #[test]
    fn what_is_missing_broken_or_another_is_said() {
        let machine = Machine::new(
            "-- /file\n-- /dir/index.json\n{}\n-- /empty/index.json\n{\"schemaVersion\": 2, \"manifests\": []}\n",
        );
        assert!(unpack(&machine, "oci-layout:/none").contains("there is no file index.json"));
        assert!(unpack(&machine, "oci-layout:/dir").contains("index.json is malformed"));
        assert!(unpack(&machine, "oci-layout:/empty").contains("no image for any platform"));
        assert!(unpack(&machine, "oci-layout:/empty:x").contains("it holds no image with a name"));
        assert!(unpack(&machine, "oci-archive:/none").contains("there is no such file"));
        assert!(unpack(&machine, "oci-archive:/dir").contains("it is a directory, not a file"));
        assert!(unpack(&machine, "oci-archive:/file").contains("there is no file index.json"));
        std::fs::write(machine.root().join("compressed"), crate::testing::gzip(b"x")).unwrap();
        assert!(unpack(&machine, "oci-archive:/compressed").contains("decompress it first"));
        std::fs::write(machine.root().join("text"), "x".repeat(1000)).unwrap();
        assert!(unpack(&machine, "oci-archive:/text").contains("no tar archive"));
        std::os::unix::net::UnixListener::bind(machine.root().join("socket")).unwrap();
        assert!(unpack(&machine, "oci-archive:/socket").contains("socket"));
    }

    #[test]
    fn nothing_of_an_image_is_taken_that_is_not_as_it_is_described() {
        let machine = Machine::new("");
        let root = machine.root().join("l");
        let spoil = |change: &dyn Fn(Vec<u8>) -> Vec<u8>, media_type: &str| {
            let _ = std::fs::remove_dir_all(&root);
            LayoutBuilder::new(&root).image("", &[archive("1")]);
            for entry in std::fs::read_dir(root.join("blobs/sha256")).unwrap() {
                let path = entry.unwrap().path();
                let content = std::fs::read(&path).unwrap();
                let kind = match content.first() {
                    Some(b'{') if content.windows(8).any(|part| part == b"\"config\"") => "manifest",
                    Some(b'{') => "config",
                    _ => "layer",
                };
                if kind == media_type {
                    std::fs::write(&path, change(content)).unwrap();
                }
            }
            unpack(&machine, "oci-layout:/l")
        };
        let other = |mut content: Vec<u8>| {
            let last = content.len() - 1;
            content[last] ^= 1;
            content
        };
        let shorter = |mut content: Vec<u8>| {
            content.pop();
            content
        };
        let longer = |content| [content, b" ".to_vec()].concat();
        for kind in ["manifest", "config", "layer"] {
            assert!(spoil(&other, kind).contains("not what its digest says") || kind == "layer", "{kind}");
            assert!(!spoil(&other, kind).is_empty(), "{kind}");
            assert!(!spoil(&shorter, kind).is_empty(), "{kind}");
            assert!(spoil(&longer, kind).contains("larger"), "{kind}");
        }
    }

    #[test]
    fn an_image_that_contradicts_itself_is_refused() {
        let machine = Machine::new("");
        let (l, m) = (machine.root().join("l"), machine.root().join("m"));
        let builder = LayoutBuilder::new(&l);
        let wrong = builder.manifest(&[(archive("1"), archive("2"))], "amd64");
        builder.entry(wrong);
        assert!(unpack(&machine, "oci-layout:/l").contains("not what its digest says"));
        let builder = LayoutBuilder::new(&m);
        let config = json!({"rootfs": {"diff_ids": []}}).to_string();
        let config = builder.blob("application/vnd.oci.image.config.v1+json", config.as_bytes());
        let layer = builder.blob("application/vnd.oci.image.layer.v1.tar", &archive("1"));
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string();
        let manifest = builder.blob("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
        builder.entry(manifest);
        assert!(unpack(&machine, "oci-layout:/m").contains("1 layers, but its configuration 0"));
        LayoutBuilder::new(&machine.root().join("one")).image("", &[archive("1")]);
        let asked = machine
            .apply("unpack_images: [{source: 'oci-layout:/one', target: /t, platform: linux/arm64}]")
            .messages();
        assert!(asked.contains("it has no image for linux/arm64, only for linux/amd64"), "{asked}");
    }
}
