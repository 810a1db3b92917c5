//! Indexes, manifests and configurations: what is in an image, and whether it is one.

use super::{Digest, Platform};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Larger indexes, manifests and configurations are refused: as registries do.
pub(super) const LARGEST_DOCUMENT: u64 = 4 << 20;

/// The types of documents that registries are asked for.
pub(super) const DOCUMENTS: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

const CONFIGURATIONS: &[&str] =
    &["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// How a layer is compressed is seen from its first bytes; this says that it is one.
const LAYERS: &[&str] = &[
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
];

/// A content that is named by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl Blob {
    pub(super) fn of(descriptor: &Descriptor) -> Result<Self> {
        let size = u64::try_from(descriptor.size).context("a negative size")?;
        Ok(Self { digest: Digest::parse(&descriptor.digest)?, size })
    }
}

/// What an index or a manifest says of a content.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    /// What it is for, where it is no image.
    pub(super) artifact_type: Option<String>,
    digest: String,
    size: i64,
    platform: Option<Machine>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
struct Machine {
    architecture: String,
    os: String,
    #[serde(default)]
    variant: String,
}

/// Several images.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    pub(super) manifests: Vec<Descriptor>,
}

/// One image, as it is described.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    artifact_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// What a reference can lead to.
#[derive(Debug)]
pub(super) enum Document {
    /// Several images, of which one is for the platform.
    Index(Index),
    /// One image.
    Manifest(Manifest),
}

/// What is in an image.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) config: Blob,
    pub(super) layers: Vec<Blob>,
}

impl Document {
    /// Reads an index or a manifest.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            schema_version: u64,
            media_type: Option<String>,
            manifests: Option<serde::de::IgnoredAny>,
        }
        let head: Head = serde_json::from_slice(bytes).context("it is no manifest of an image")?;
        if head.schema_version != 2 {
            bail!("it has a manifest of version {}, which nobody writes any more", head.schema_version);
        }
        if let Some(media_type) = &head.media_type
            && !DOCUMENTS.contains(&media_type.as_str())
        {
            bail!("it is no image: its media type is {media_type:?}");
        }
        if head.manifests.is_some() {
            return Ok(Self::Index(serde_json::from_slice(bytes).context("its index is malformed")?));
        }
        let manifest = serde_json::from_slice(bytes).context("its manifest is malformed")?;
        Manifest::of(&manifest).map(Self::Manifest)
    }
}

impl Manifest {
    fn of(manifest: &Description) -> Result<Self> {
        let config = &manifest.config.media_type;
        if let Some(kind) = &manifest.artifact_type {
            bail!("it is no image but an artifact of type {kind:?}");
        }
        if !CONFIGURATIONS.contains(&config.as_str()) {
            bail!("it is no image but an artifact, whose configuration is of type {config:?}");
        }
        let layer = |(index, layer): (usize, &Descriptor)| -> Result<Blob> {
            let kind = &layer.media_type;
            if kind.contains(".nondistributable.") || kind.contains(".foreign.") {
                bail!("its layer {} is not for distribution, and so is not in the registry", index + 1);
            }
            if !LAYERS.contains(&kind.as_str()) {
                bail!("its layer {} is of the unknown type {kind:?}", index + 1);
            }
            Blob::of(layer)
        };
        let layers = manifest.layers.iter().enumerate().map(layer).collect::<Result<_>>()?;
        Ok(Self { config: Blob::of(&manifest.config)?, layers })
    }
}

/// The entry of the index that is best for the platform.
pub(super) fn choose(index: &Index, wanted: &Platform) -> Result<Blob> {
    let platform = |entry: &Descriptor| {
        let Machine { os, architecture, variant } = entry.platform.as_ref()?;
        Some(Platform::new(os, architecture, variant))
    };
    let documents: Vec<_> =
        index.manifests.iter().filter(|entry| DOCUMENTS.contains(&entry.media_type.as_str())).collect();
    // The only one there is, of which nothing is said.
    if let [entry] = documents[..]
        && entry.platform.is_none()
    {
        return Blob::of(entry);
    }
    let ranked = documents.iter().filter_map(|entry| Some((wanted.rank(&platform(entry)?)?, *entry)));
    if let Some((_, best)) = ranked.min_by_key(|(rank, _)| *rank) {
        return Blob::of(best);
    }
    let mut offered: Vec<String> = documents
        .iter()
        .filter_map(|entry| platform(entry))
        .map(|platform| platform.to_string())
        // Where builders say how an image came about.
        .filter(|platform| !platform.starts_with("unknown/"))
        .collect();
    offered.dedup();
    match &offered[..] {
        [] => bail!("its index holds no image for any platform"),
        offered => bail!("it has no image for {wanted}, only for {}", offered.join(", ")),
    }
}

/// What a configuration says that matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Configuration {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    variant: String,
    rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

impl Configuration {
    /// Reads a configuration.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).context("its configuration is malformed")
    }

    /// The platform it was made for, as far as it says.
    pub(super) fn platform(&self) -> Option<Platform> {
        if self.os.is_empty() || self.architecture.is_empty() {
            return None;
        }
        Some(Platform::new(&self.os, &self.architecture, &self.variant))
    }

    /// The digest of each layer when it is not compressed.
    pub(super) fn contents(&self) -> Result<Vec<Digest>> {
        self.rootfs.diff_ids.iter().map(|digest| Digest::parse(digest)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SOME: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn manifest(config: &str, layer: &str) -> serde_json::Value {
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": config, "digest": SOME, "size": 2},
            "layers": [{"mediaType": layer, "digest": SOME, "size": 3}],
        })
    }

    fn error(value: &serde_json::Value) -> String {
        format!("{:#}", Document::parse(value.to_string().as_bytes()).unwrap_err())
    }

    #[test]
    fn images_of_oci_and_docker_are_images() {
        for layer in LAYERS {
            for config in CONFIGURATIONS {
                let text = manifest(config, layer).to_string();
                let Document::Manifest(found) = Document::parse(text.as_bytes()).unwrap() else { panic!() };
                assert_eq!((found.config.size, found.layers[0].size), (2, 3));
            }
        }
    }

    #[test]
    fn what_is_no_image_is_refused_by_name() {
        let (config, layer) = (CONFIGURATIONS[0], LAYERS[0]);
        assert!(error(&manifest("application/vnd.cncf.helm.config.v1+json", layer)).contains("helm"));
        let mut artifact = manifest(config, layer);
        artifact["artifactType"] = json!("application/spdx+json");
        assert!(error(&artifact).contains("an artifact of type \"application/spdx+json\""));
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        assert!(error(&manifest(config, foreign)).contains("layer 1 is not for distribution"));
        let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar";
        assert!(error(&manifest(config, foreign)).contains("not for distribution"));
        let encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
        assert!(error(&manifest(config, encrypted)).contains("unknown type"));
        assert!(error(&json!({"schemaVersion": 1})).contains("version 1"));
        assert!(error(&json!({"schemaVersion": 2, "mediaType": "x/y"})).contains("x/y"));
        assert!(error(&json!([])).contains("no manifest"));
        let mut climbing = manifest(config, layer);
        climbing["layers"][0]["digest"] = json!("sha256:../../../etc/passwd");
        assert!(error(&climbing).contains("no digest"));
        climbing["layers"][0] = json!({"mediaType": layer, "digest": SOME, "size": -1});
        assert!(error(&climbing).contains("negative"));
    }

    fn chosen(platforms: &[&str], wanted: &str) -> Result<usize, String> {
        let entries: Vec<_> = platforms
            .iter()
            .enumerate()
            .map(|(index, platform)| {
                let parts: Vec<_> = platform.split('/').collect();
                let mut entry = json!({"mediaType": DOCUMENTS[1], "digest": SOME, "size": index});
                if let [os, architecture, ..] = parts[..] {
                    entry["platform"] = json!({"os": os, "architecture": architecture});
                    if let Some(variant) = parts.get(2) {
                        entry["platform"]["variant"] = json!(variant);
                    }
                }
                entry
            })
            .collect();
        let index = json!({"schemaVersion": 2, "manifests": entries}).to_string();
        let Document::Index(index) = Document::parse(index.as_bytes()).unwrap() else { panic!() };
        let blob = choose(&index, &Platform::parse(wanted).unwrap());
        blob.map(|blob| blob.size as usize).map_err(|error| error.to_string())
    }

    #[test]
    fn the_best_image_for_the_platform_is_chosen() {
        let arm = ["linux/arm/v5", "linux/arm/v7", "linux/arm64/v8", "linux/amd64", "unknown/unknown"];
        assert_eq!(chosen(&arm, "linux/arm/v6"), Ok(0));
        assert_eq!(chosen(&arm, "linux/arm"), Ok(1));
        assert_eq!(chosen(&arm, "linux/arm64"), Ok(2));
        assert_eq!(chosen(&arm, "linux/amd64/v2"), Ok(3));
        assert_eq!(
            chosen(&arm, "linux/riscv64"),
            Err("it has no image for linux/riscv64, only for linux/arm/v5, linux/arm/v7, linux/arm64, linux/amd64"
                .into())
        );
        assert_eq!(chosen(&["linux/sparc99"], "linux/sparc99"), Ok(0));
        assert_eq!(chosen(&[""], "linux/amd64"), Ok(0));
        assert!(chosen(&["", ""], "linux/amd64").unwrap_err().contains("for any platform"));
    }
}
