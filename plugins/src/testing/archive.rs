//! Tar archives and images by hand, also such as nobody should make.

use super::FakeHost;
use crate::System;
use crate::image::Digest;
use crate::system::Mode;
use anyhow::Result;
use serde_json::json;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";

/// A tar archive that is being written.
#[derive(Clone, Debug, Default)]
pub struct TarBuilder {
    bytes: Vec<u8>,
}

/// The attributes of the next entry.
#[derive(Clone, Copy, Debug)]
pub struct TarEntry<'a> {
    /// The name, as it is.
    pub name: &'a str,
    /// The kind, by its letter.
    pub kind: u8,
    /// The target of a link.
    pub link: &'a str,
    /// The mode.
    pub mode: u32,
    /// User and group.
    pub owner: (u32, u32),
    /// Seconds since 1970.
    pub modified: u64,
    /// The content.
    pub content: &'a [u8],
    /// The size in the header, if it is not that of the content.
    pub size: Option<u64>,
    /// The numbers of a device.
    pub device: (u32, u32),
}

impl<'a> TarEntry<'a> {
    /// An entry of this kind.
    pub fn new(name: &'a str, kind: u8) -> Self {
        let mode = if kind == b'5' { 0o755 } else { 0o644 };
        Self {
            name,
            kind,
            link: "",
            mode,
            owner: (0, 0),
            modified: 1_000_000_000,
            content: b"",
            size: None,
            device: (0, 0),
        }
    }
}

impl TarBuilder {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry.
    pub fn entry(mut self, entry: TarEntry<'_>) -> Self {
        let mut header = tar::Header::new_ustar();
        let field = |field: &mut [u8], text: &str| field[..text.len()].copy_from_slice(text.as_bytes());
        let ustar = header.as_ustar_mut().expect("the header was made as one of this form");
        field(&mut ustar.name, entry.name);
        field(&mut ustar.linkname, entry.link);
        ustar.typeflag = [entry.kind];
        header.set_mode(entry.mode);
        header.set_uid(entry.owner.0.into());
        header.set_gid(entry.owner.1.into());
        header.set_mtime(entry.modified);
        header.set_size(entry.size.unwrap_or(entry.content.len() as u64));
        header.set_device_major(entry.device.0).expect("the header has devices");
        header.set_device_minor(entry.device.1).expect("the header has devices");
        header.set_cksum();
        self.bytes.extend_from_slice(header.as_bytes());
        self.raw(entry.content)
    }

    /// Adds bytes, filled up to a whole block.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// Adds a file.
    pub fn file(self, name: &str, content: &str) -> Self {
        self.entry(TarEntry { content: content.as_bytes(), ..TarEntry::new(name, b'0') })
    }

    /// Adds a directory.
    pub fn dir(self, name: &str, mode: u32) -> Self {
        self.entry(TarEntry { mode, ..TarEntry::new(name, b'5') })
    }

    /// Adds a symbolic link.
    pub fn symlink(self, name: &str, link: &str) -> Self {
        self.entry(TarEntry { link, ..TarEntry::new(name, b'2') })
    }

    /// Adds a hard link.
    pub fn hard_link(self, name: &str, link: &str) -> Self {
        self.entry(TarEntry { link, ..TarEntry::new(name, b'1') })
    }

    /// Adds a pax header for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            content.extend_from_slice(format!("{length} {key}=").as_bytes());
            content.extend_from_slice(value);
            content.push(b'\n');
        }
        self.entry(TarEntry { content: &content, ..TarEntry::new("pax", b'x') })
    }

    /// The archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

/// The bytes in the form of gzip, not made smaller: that takes long in a debug build.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(bytes).expect("memory can be written to");
    encoder.finish().expect("memory can be written to")
}

/// Unpacks archives as the layers of an image into a directory below `root`, one over the other.
pub fn unpack_layers(root: &Path, target: &str, layers: &[&[u8]]) -> Result<()> {
    let sys = System::new(root, Arc::new(FakeHost::new()), Mode::Apply)?;
    sys.create_dir(target, None, None)?;
    let mut unpacking = sys.unpack(Path::new(target))?;
    layers.iter().try_for_each(|layer| unpacking.layer(*layer))
}

/// An OCI layout in a directory, to which images are added.
pub struct LayoutBuilder<'a> {
    root: &'a Path,
    manifests: Vec<serde_json::Value>,
}

impl<'a> LayoutBuilder<'a> {
    /// A layout without images.
    pub fn new(root: &'a Path) -> Self {
        std::fs::create_dir_all(root.join("blobs/sha256")).expect("the layout can be made");
        Self { root, manifests: Vec::new() }.write()
    }

    /// Adds a blob and says what describes it.
    pub fn blob(&self, media_type: &str, bytes: &[u8]) -> serde_json::Value {
        let digest = Digest::of(bytes);
        let path = self.root.join("blobs").join(digest.as_str().replace(':', "/"));
        std::fs::write(path, bytes).expect("a blob can be written");
        json!({"mediaType": media_type, "digest": digest.as_str(), "size": bytes.len()})
    }

    /// Adds an image of these layers, as they are stored and as archives, and says what describes it.
    pub fn manifest(&self, layers: &[(Vec<u8>, Vec<u8>)], architecture: &str) -> serde_json::Value {
        let contents: Vec<_> = layers.iter().map(|(_, archive)| Digest::of(archive).to_string()).collect();
        let config = json!({
            "os": "linux",
            "architecture": architecture,
            "rootfs": {"type": "layers", "diff_ids": contents},
        });
        let media_type = |compressed| match compressed {
            true => "application/vnd.oci.image.layer.v1.tar+gzip",
            false => "application/vnd.oci.image.layer.v1.tar",
        };
        let blob = |(stored, archive): &(Vec<u8>, Vec<u8>)| self.blob(media_type(stored != archive), stored);
        let blobs: Vec<_> = layers.iter().map(blob).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(CONFIGURATION, config.to_string().as_bytes()),
            "layers": blobs,
        });
        self.blob(MANIFEST, manifest.to_string().as_bytes())
    }

    /// Adds an image of these archives, compressed, under a name.
    pub fn image(self, name: &str, archives: &[Vec<u8>]) -> Self {
        let layers: Vec<_> = archives.iter().map(|archive| (gzip(archive), archive.clone())).collect();
        let mut manifest = self.manifest(&layers, "amd64");
        if !name.is_empty() {
            manifest["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        }
        self.entry(manifest)
    }

    /// Adds an entry to the index.
    pub fn entry(mut self, entry: serde_json::Value) -> Self {
        self.manifests.push(entry);
        self.write()
    }

    fn write(self) -> Self {
        let index = json!({"schemaVersion": 2, "manifests": self.manifests});
        let write = |name: &str, text: String| std::fs::write(self.root.join(name), text);
        write("index.json", index.to_string()).expect("the index can be written");
        write("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string())
            .expect("the layout can be written");
        self
    }
}
