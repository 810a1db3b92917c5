//! The names of the peers, under which the binary understands their arguments.

use super::Findings;
use super::parts::BINARY;
use anyhow::Result;
use cosette_plugins::System;
use std::path::Path;

/// Documents and people call these.
const NAMES: [&str; 3] = ["/usr/bin/cos-setup", "/usr/bin/elemental", "/usr/bin/yip"];

/// Makes the links that are missing. A program that is there is another one's, and stays.
pub(super) fn link(sys: &System, findings: &mut Findings) {
    for name in NAMES {
        let done = link_one(sys, name, findings);
        findings.attempt(done);
    }
}

fn link_one(sys: &System, name: &str, findings: &mut Findings) -> Result<()> {
    let target = Path::new(BINARY).file_name().unwrap_or_default();
    let ours =
        sys.read_link(name)?.is_some_and(|leads_to| leads_to == target || leads_to == Path::new(BINARY));
    if sys.symlink_metadata(name)?.is_some() && !ours {
        findings.warnings.push(format!("{name} is kept: it is another program"));
    } else if !ours {
        sys.symlink(target, name, false)?;
    }
    Ok(())
}
