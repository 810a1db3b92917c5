//! The sources of time in the files of chrony and ntp, of which each has a line.

/// The content with these lines for sources in place of all others, if there are any, and with lines that let others
/// ask. What is not such a line stays.
pub(super) fn with(content: &[u8], sources: &[String], allowed: &[String]) -> Vec<u8> {
    let is_source = |line: &[u8]| {
        let word = line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty()).unwrap_or_default();
        [&b"server"[..], b"pool", b"peer"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
    };
    let wanted = |line: &[u8]| sources.iter().any(|source| source.as_bytes() == line.trim_ascii());
    let mut kept: Vec<u8> = content
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| sources.is_empty() || !is_source(line) || wanted(line))
        .flatten()
        .copied()
        .collect();
    for line in sources.iter().chain(allowed) {
        if kept.split(|byte| *byte == b'\n').any(|found| found.trim_ascii() == line.as_bytes()) {
            continue;
        }
        if !kept.is_empty() && !kept.ends_with(b"\n") {
            kept.push(b'\n');
        }
        kept.extend(line.bytes());
        kept.push(b'\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::with;

    #[test]
    fn the_sources_are_those_that_are_given_and_all_else_stays() {
        let lines = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let before = b"#server x\n  Server y iburst\n\xff\npool z\nserverstats\nserver a iburst\nend";
        let after = with(before, &lines(&["server a iburst", "pool b iburst"]), &lines(&["allow"]));
        let expected = b"#server x\n\xff\nserverstats\nserver a iburst\nend\npool b iburst\nallow\n";
        assert_eq!(after, expected);
        assert_eq!(with(&after, &lines(&["server a iburst", "pool b iburst"]), &lines(&["allow"])), expected);
        assert_eq!(with(before, &[], &[]), before);
    }
}
