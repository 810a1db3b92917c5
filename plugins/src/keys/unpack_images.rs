//! Unpacks container images into directories.
//!
//! ```yaml
//! unpack_images:
//! - source: oci-layout:/usr/share/images/tools
//!   target: /opt/tools
//! ```
//!
//! ```text image
//! /usr/share/images/tools
//! -- /bin/tool 0755
//! #!/bin/sh
//! echo done
//! ```
//!
//! ```text after
//! -- /opt/tools/bin/tool 0755
//! #!/bin/sh
//! echo done
//! ```
//!
//! `source` is the name of an image: `quay.io/org/name:tag`, with `docker:` or `oci:` before it if you like;
//! without a registry it is one of docker.io. With `@sha256:…` behind it, exactly that image is taken. An OCI
//! layout on the disk is `oci-layout:/path` or, as a tar archive, `oci-archive:/path.tar`, with `:name` behind it
//! where it holds several images.
//!
//! `target` is the directory; it is made if it is missing, and what is in it stays unless the image has something
//! else in its place. `platform` (`linux/arm64`, `linux/arm/v7`) is for an image of another machine than this.
//!
//! The directory remembers in an extended attribute what was unpacked into it. The same image is not unpacked
//! again, and where the source names a digest, the registry is not even asked; a tag that has moved on brings
//! the newer image, over the older one. An unpacking that was interrupted is begun again.
//!
//! What must be known of an image before it is used, such as a signature, says `/etc/cosette/policy.yaml`: see
//! [images](../images.md).
//!
//! The registry is spoken to over TLS, except for one on this machine (`localhost`, `127.…`); `insecure: true`
//! takes plain HTTP for any other, `insecure: false` TLS for one here. Mirrors are those of
//! `/etc/containers/registries.conf`. Logins are those of `podman login` and
//! `docker login`: `$REGISTRY_AUTH_FILE`, or `containers/auth.json` in `$XDG_RUNTIME_DIR` or in `/run/containers/0`,
//! `~/.config/containers/auth.json`, `~/.docker/config.json` (for services `~` is `/root`) and
//! `/etc/containers/auth.json`. yip asks a Docker daemon first, and then the registry.

use crate::image::{self, Platform, Policy, Reason, Request, Source};
use crate::path::AbsolutePath;
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Span, Spanned, record};

/// Images, unpacked in the order in which they are written.
#[derive(Debug)]
pub(crate) struct UnpackImages(Vec<Image>);

record! {
    /// One image.
    #[derive(Debug)]
    struct Image {
        /// The name of the image, perhaps with a tag or a digest; `oci-layout:/path` or `oci-archive:/path`.
        source: ImageSource = required,
        /// The directory.
        target: AbsolutePath = required,
        /// The platform it must be for: `linux/arm64`; that of the machine when it is left out.
        platform: Option<ImagePlatform>,
        /// Whether the registry is spoken to over plain HTTP; when it is left out, only if it is this machine.
        insecure: Option<bool>,
    }
}

impl Decode for UnpackImages {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Decode::decode(node, findings).map(Self)
    }

    fn shape() -> Shape {
        Vec::<Image>::shape()
    }
}

impl Plugin for UnpackImages {
    const KEY: &'static str = "unpack_images";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        for Image { source, target, platform, insecure } in &self.0 {
            let request = Request {
                source: source.source.clone(),
                platform: platform.as_ref().map(|platform| platform.0.clone()),
                insecure: *insecure,
            };
            let unpack = || image::unpack(sys, &request, &Policy::load(sys)?, target.as_ref(), &mut ());
            let unpacked = match unpack() {
                Err(failure) if failure.reason == Reason::Interrupted => return Err(failure.into()),
                unpacked => cx.attempt(source.span, unpacked.map_err(Into::into)),
            };
            for warning in unpacked.map(|unpacked| unpacked.warnings).unwrap_or_default() {
                cx.warn(source.span, warning);
            }
        }
        Ok(())
    }
}

/// A source, and where it stands.
#[derive(Debug)]
struct ImageSource {
    source: Source,
    span: Span,
}

impl Decode for ImageSource {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = Spanned::<String>::decode(node, findings)?;
        let source = Source::parse(text.trim()).map_err(|error| findings.error(node.span, error.to_string()));
        let source = source.ok()?;
        if let Source::Directory(_) | Source::File(_) = source {
            let error = findings.error(node.span, format!("{source} is no image of a container"));
            error.help("`files` and `directories` copy what is on the disk; `dir:` and `file:` are for `cosette install` and `cosette upgrade`");
            return None;
        }
        Some(Self { source, span: node.span })
    }

    fn shape() -> Shape {
        Shape::text("image")
    }
}

/// A platform.
#[derive(Debug)]
struct ImagePlatform(Platform);

impl Decode for ImagePlatform {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::decode(node, findings)?;
        let platform =
            Platform::parse(text.trim()).map_err(|error| findings.error(node.span, error.to_string()));
        Some(Self(platform.ok()?))
    }

    fn shape() -> Shape {
        Shape::matching("platform", r"^\s*[^/]+/[^/]+(/[^/]+)?\s*$")
    }
}

#[cfg(test)]
mod tests {
    use crate::Action;
    use crate::testing::{LayoutBuilder, Machine, TarBuilder, Tree};

    fn layer(tree: &str) -> Vec<u8> {
        Tree::parse(tree).unwrap().archive()
    }

    #[test]
    fn a_newer_image_is_unpacked_over_the_older_one_and_then_stays() {
        let mut machine = Machine::new("-- /opt/x/mine\nkept\n");
        let step = "unpack_images: [{source: 'oci-layout:/img', target: /opt/x}]";
        machine.put_image("/img", "-- /a\n1\n-- /b/c -> ../a\n");
        machine.check(step, "-- /opt/x/a\n1\n-- /opt/x/b/c -> ../a\n");
        let effects: Vec<_> = machine.apply(step).effects;
        assert_eq!(effects.len(), 1);
        assert_eq!((effects[0].action, effects[0].changed), (Action::Unpack, false));
        assert_eq!(effects[0].target, "/opt/x");
        machine.put_image("/img", "-- /a 0600 7:8\n2\n-- /b/d\n");
        machine.check(step, "-- /opt/x/a 0600 7:8\n2\n-- /opt/x/b/d\n");
    }

    #[test]
    fn images_that_lie_over_a_renewed_one_are_unpacked_again() {
        let mut machine = Machine::new("");
        let step = "unpack_images: [{source: 'oci-layout:/one', target: /x}, {source: 'oci-layout:/two', target: /x}]";
        machine.put_image("/one", "-- /a\n1\n-- /b\n1\n");
        machine.put_image("/two", "-- /a\n2\n");
        machine.check(step, "-- /x/a\n2\n-- /x/b\n1\n");
        machine.put_image("/one", "-- /a\n3\n-- /b\n3\n");
        machine.check(step, "-- /x/a\n2\n-- /x/b\n3\n");
    }

    #[test]
    fn a_plan_says_what_would_be_unpacked_and_reads_nothing() {
        let machine = Machine::new("");
        let outcome = machine.plan("unpack_images: [{source: registry.example/x, target: /a/b}]");
        assert!(outcome.findings.is_empty(), "{}", outcome.messages());
        let last = outcome.effects.last().unwrap();
        assert_eq!((last.action, last.target.as_str(), last.changed), (Action::Unpack, "/a/b", true));
        machine.assert_tree("");
    }

    #[test]
    fn one_image_that_fails_leaves_the_others_alone_and_nothing_is_remembered_of_it() {
        let mut machine = Machine::new("");
        machine.put_image("/img", "-- /a\n1\n");
        let broken = TarBuilder::new().file("first", "1").hard_link("second", "/etc/passwd").finish();
        LayoutBuilder::new(&machine.root().join("broken")).image("", &[layer("-- /x\n"), broken]);
        let step = "unpack_images: [{source: 'oci-layout:/broken', target: /b}, {source: 'oci-layout:/img', target: /a}]";
        for _ in 0..2 {
            let outcome = machine.apply(step);
            let messages = outcome.messages();
            assert_eq!(outcome.findings.len(), 1, "{messages}");
            for part in [
                "cannot unpack oci-layout:/broken into /b: layer 2 of 2 (sha256:",
                "): second: a hard link to",
            ] {
                assert!(messages.contains(part), "{messages}");
            }
            assert_eq!(outcome.effects.iter().filter(|effect| effect.action == Action::Unpack).count(), 1);
        }
        let found = Tree::read(machine.root(), &machine.host).unwrap().to_string();
        assert!(found.contains("-- /b/first ") && found.contains("-- /a/a "), "{found}");
        LayoutBuilder::new(&machine.root().join("broken")).image("", &[layer("-- /x\n2\n")]);
        let outcome = machine.apply(step);
        assert!(outcome.findings.is_empty(), "{}", outcome.messages());
    }

    #[test]
    fn what_cannot_be_an_image_is_found_when_the_document_is_read() {
        let machine = Machine::new("");
        let step = "unpack_images: [{source: Debian, target: /a}, {source: x, target: b}, {source: x, target: /c, platform: arm}, {source: 'dir:/x', target: /d}]";
        let messages = machine.apply(step).messages();
        for part in [
            "small letters only: debian",
            "is not absolute",
            "\"arm\" is no platform",
            "dir:/x is no image of a container",
        ] {
            assert!(messages.contains(part), "{messages}");
        }
        machine.assert_tree("");
    }

    #[test]
    fn a_target_that_is_a_file_or_a_link_out_of_the_root_does_no_harm() {
        let mut machine = Machine::new("-- /file\nkept\n-- /link -> /../../../../etc-of-the-root\n");
        machine.put_image("/img", "-- /a\n1\n");
        let messages =
            machine.apply("unpack_images: [{source: 'oci-layout:/img', target: /file}]").messages();
        assert!(messages.contains("stands there"), "{messages}");
        machine.check(
            "unpack_images: [{source: 'oci-layout:/img', target: /link}]",
            "-- /etc-of-the-root/a\n1\n",
        );
    }
}
