//! The running kernel: its parameters, below `/proc/sys`.

use super::System;
use crate::Action;
use crate::effect::Diff;
use anyhow::Result;
use std::path::Path;

impl System {
    /// Whether the running kernel is that of the root. Where it is not, nothing is done to it.
    pub fn is_own_kernel(&self) -> bool {
        self.tree.host.lives_in(&self.absolute)
    }

    /// Sets a parameter of the running kernel, a path below `/proc/sys`, if the root is the machine's own;
    /// otherwise nothing happens, which is no effect either. `None`: the kernel has no such parameter.
    ///
    /// Blanks and tabs between the words of a value are the same. What the kernel does not show is written
    /// every time.
    pub fn set_kernel_parameter(&self, parameter: &Path, value: &str) -> Result<Option<bool>> {
        if !self.is_own_kernel() {
            return Ok(Some(false));
        }
        let path = Path::new("/proc/sys").join(parameter);
        let planned =
            self.tree.overlay.as_ref().and_then(|overlay| overlay.borrow().parameters.get(&path).cloned());
        let host = self.host();
        let shown = |content: Vec<u8>| String::from_utf8_lossy(&content).trim_end().to_owned();
        let before = match (planned, host.kernel_file(&path)) {
            (Some(value), _) => Some(value),
            (None, Ok(Some(content))) => Some(shown(content)),
            (None, Ok(None)) => return Ok(None),
            // Some can only be written, and only writing tells why others cannot.
            (None, Err(_)) => None,
        };
        let mut changed = !before.as_deref().is_some_and(|before| same(before, value));
        let mut diff = None;
        if let Some(overlay) = &self.tree.overlay {
            diff = changed.then(|| difference(&path, before, value));
            overlay.borrow_mut().parameters.insert(path.clone(), value.to_owned());
        } else if changed {
            // In a view of a machine that is only said, as in a plan.
            diff = host.only_says().then(|| difference(&path, before.clone(), value));
            host.set_kernel_parameter(&path, value)?;
            // The kernel may have a spelling of its own: `0x10` is `16`.
            let after = host.kernel_file(&path).ok().flatten().map(shown);
            changed = before.is_none() || after != before;
        }
        self.record(Action::SetKernelParameter, &path, changed, diff);
        Ok(Some(changed))
    }
}

/// Whether two values have the same words.
fn same(one: &str, other: &str) -> bool {
    one.split_ascii_whitespace().eq(other.split_ascii_whitespace())
}

/// What a person sees. The keys of a network stack are nobody's business.
fn difference(path: &Path, before: Option<String>, value: &str) -> Diff {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with("key") || name.contains("secret") {
        return Diff::Hidden("it may be a secret");
    }
    Diff::Text { before: before.map(|before| before + "\n"), after: format!("{value}\n") }
}
