//! Making the content of an image be in a directory.

use super::failure::{Failure, Reason};
use super::policy::Policy;
use super::progress::{Counter, Progress, Told};
use super::record::Records;
use super::resolve::{Found, Resolved};
use super::{Request, Source};
use crate::System;
use crate::system::{Mode, stop};
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::atomic::Ordering;

/// What came of [`unpack`].
#[derive(Debug)]
pub struct Unpacked {
    /// What the source led to; nothing if nobody was asked.
    pub resolved: Option<Resolved>,
    /// Whether the directory had something else before.
    pub changed: bool,
    /// What is not quite as in the image.
    pub warnings: Vec<String>,
}

/// Makes the content of the image be in the directory, over what is there. An image that is there already, by its
/// digest, stays untouched; if the source names a digest, the registry is not even asked. What is interrupted is
/// begun again the next time.
pub fn unpack(
    sys: &System,
    request: &Request,
    policy: &Policy,
    target: &Path,
    progress: &mut dyn Progress,
) -> Result<Unpacked, Failure> {
    try_unpack(sys, request, policy, target, progress).map_err(|failure| {
        stopped(failure, format!("cannot unpack {} into {}", request.source, target.display()))
    })
}

/// Fetches what was found and allowed before, by its digests, into a directory, which remembers nothing of it.
/// Returns warnings. Directories and files are no images, and are left to others.
pub fn fetch(
    sys: &System,
    resolved: &Resolved,
    target: &Path,
    progress: &mut dyn Progress,
) -> Result<Vec<String>, Failure> {
    let mut run = || {
        sys.create_dir(target, None, None).map_err(Failure::or(Reason::Target))?;
        if sys.mode() == Mode::Plan {
            sys.record_unpacked(target, true);
            return Ok(Vec::new());
        }
        put(sys, Found::again(sys, resolved)?, target, None, progress)
    };
    run().map_err(|failure: Failure| {
        stopped(failure, format!("cannot unpack {} into {}", resolved.source(), target.display()))
    })
}

/// Whatever went wrong, being told to stop is why.
fn stopped(failure: Failure, context: String) -> Failure {
    match stop::check() {
        Err(interrupted) => Failure::of(interrupted.into(), Reason::Interrupted),
        Ok(()) => failure.context(context),
    }
}

fn try_unpack(
    sys: &System,
    request: &Request,
    policy: &Policy,
    target: &Path,
    progress: &mut dyn Progress,
) -> Result<Unpacked, Failure> {
    let mut records = Records::parse(&sys.mark(target).map_err(Failure::or(Reason::Target))?);
    let known = records.find(sys, request).cloned();
    let unchanged = |resolved| {
        sys.record_unpacked(target, false);
        Ok(Unpacked { resolved, changed: false, warnings: Vec::new() })
    };
    if let (Some(known), Some(pinned)) = (&known, request.source.pinned())
        && known.top == pinned.as_str()
    {
        return unchanged(None);
    }
    if sys.mode() == Mode::Plan {
        sys.create_dir(target, None, None).map_err(Failure::or(Reason::Target))?;
        sys.record_unpacked(target, true);
        return Ok(Unpacked { resolved: None, changed: true, warnings: Vec::new() });
    }
    let mut found = Found::find(sys, request)?;
    let Some(record) = Records::record(sys, request, &found.resolved) else {
        return Err(Failure::new(Reason::Source, "it is no image of layers"));
    };
    if known.is_some_and(|known| known.image == record.image) {
        return unchanged(Some(found.resolved));
    }
    found.verify(sys, policy)?;
    let resolved = found.resolved.clone();
    progress.resolved(&resolved);
    sys.create_dir(target, None, None).map_err(Failure::or(Reason::Target))?;
    records.forget(request);
    let before = records.to_string();
    records.add(record);
    let warnings = put(sys, found, target, Some((&before, &records.to_string())), progress)?;
    Ok(Unpacked { resolved: Some(resolved), changed: true, warnings })
}

/// Unpacks the layers; the directory remembers the first text until all is done, and then the second.
fn put(
    sys: &System,
    found: Found<'_>,
    target: &Path,
    marks: Option<(&str, &str)>,
    progress: &mut dyn Progress,
) -> Result<Vec<String>, Failure> {
    let (all, counter) = (found.resolved.size, Counter::default());
    // Either the image or the directory: what belongs to the directory is an error of the kernel.
    let elsewhere = match found.resolved.source() {
        Source::Registry(_) => Reason::Target,
        _ => Reason::Source,
    };
    let begin = || {
        let mut unpacking = sys.unpack(target)?;
        if let Some((before, _)) = marks {
            unpacking.mark(before)?;
        }
        Ok(unpacking)
    };
    let mut unpacking = begin().map_err(Failure::or(Reason::Target))?;
    let layers = found.layers(&counter)?;
    let count = layers.len();
    for (index, layer) in layers.into_iter().enumerate() {
        let place = format!("layer {} of {count} ({})", index + 1, layer.blob.digest);
        let unpack = || {
            let archive = layer.archive()?;
            unpacking.layer(Told { archive, counter: Counter::clone(&counter), all, told: 0, progress })
        };
        unpack().context(place).map_err(Failure::or(elsewhere))?;
    }
    progress.advanced(counter.load(Ordering::Relaxed), all);
    unpacking.finish(marks.map(|(_, after)| after)).map_err(Failure::or(Reason::Target))
}

#[cfg(test)]
mod tests {
    use super::super::{Policy, Progress, Reason, Request, Resolved, Source, fetch, resolve};
    use crate::system::Mode;
    use crate::testing::Machine;
    use std::path::Path;

    fn resolved(machine: &Machine, source: &str) -> Result<Resolved, (Reason, String)> {
        let request = Request { source: Source::parse(source).unwrap(), platform: None, insecure: None };
        resolve(&machine.system(Mode::Apply), &request, &Policy::default())
            .map_err(|failure| (failure.reason, format!("{:#}", anyhow::Error::from(failure))))
    }

    /// What is told of the progress.
    #[derive(Default)]
    struct Log(Vec<(u64, u64)>);

    impl Progress for Log {
        fn advanced(&mut self, done: u64, all: u64) {
            self.0.push((done, all));
        }
    }

    #[test]
    fn what_was_resolved_is_what_is_fetched_and_the_directory_remembers_nothing() {
        let mut machine = Machine::new("");
        machine.put_image("/img", "-- /a\n1\n");
        let first = resolved(&machine, "oci-layout:/img").unwrap();
        // The name leads to another image now, which nobody has looked at.
        machine.put_image("/img", "-- /a\n2\n");
        let (sys, mut log) = (machine.system(Mode::Apply), Log::default());
        assert_eq!(fetch(&sys, &first, Path::new("/t"), &mut log).unwrap(), Vec::<String>::new());
        machine.assert_tree("-- /t/a\n1\n");
        assert_eq!(log.0.last(), Some(&(first.size, first.size)));
        assert_eq!(sys.mark(Path::new("/t")).unwrap(), "");
    }

    #[test]
    fn a_directory_and_a_file_are_sources_without_a_digest() {
        let machine = Machine::new("-- /d/file\n1\n");
        let found = resolved(&machine, "file:/d/file").unwrap();
        assert_eq!((found.size, found.layers(), found.top), (2, 0, None));
        assert_eq!(resolved(&machine, "dir:/d").unwrap().size, 0);
        let error = |source| resolved(&machine, source).unwrap_err();
        let expected = "cannot use dir:/d/file: it is a file, not a directory";
        assert_eq!(error("dir:/d/file"), (Reason::Source, expected.to_owned()));
        assert!(error("file:/none").1.ends_with("it does not exist"));
    }

    #[test]
    fn a_plan_fetches_nothing() {
        let mut machine = Machine::new("");
        machine.put_image("/img", "-- /a\n1\n");
        let found = resolved(&machine, "oci-layout:/img").unwrap();
        let sys = machine.system(Mode::Plan);
        fetch(&sys, &found, Path::new("/t"), &mut ()).unwrap();
        machine.assert_tree("");
    }
}
