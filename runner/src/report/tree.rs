//! Changed files as a tree, for people: each directory once, what is below it with a mark, differences beneath.

use super::Terminal;
use super::terminal::{FEW_LINES, plural, unified};
use crate::sandbox::{Change, ChangeKind};
use cosette_plugins::effect::Diff;
use cosette_plugins::system::{Kind, Metadata, Owner};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

/// Of more lines of differences than this, only their number is shown, if nobody has asked for all.
const MOST_LINES: usize = 200;

/// Of a new directory with more below it than this, only the number is shown, if nobody has asked for all.
const MOST_BELOW: usize = 40;

/// Of a new file so many lines are shown, if nobody has asked for all.
const MOST_OF_NEW: usize = 8;

/// What calls an owner by its name.
pub type NameOf<'a> = &'a dyn Fn(Owner) -> String;

#[derive(Default)]
struct Node<'a> {
    change: Option<&'a Change>,
    below: BTreeMap<OsString, Node<'a>>,
}

/// Changed files, to be shown.
pub struct Tree<'a> {
    root: Node<'a>,
    name_of: NameOf<'a>,
    numbers: [usize; 3],
    /// Whether differences are shown, or only how long they are.
    shows_lines: bool,
    most_below: usize,
    most_of_new: usize,
}

/// What stands before a line: that of the node itself, and that of what is below it.
struct Bars {
    first: String,
    rest: String,
}

impl<'a> Tree<'a> {
    /// Of these changes, by path; `all` of them and of their differences however long it gets.
    pub fn new(changes: &'a [Change], name_of: NameOf<'a>, all: bool) -> Self {
        let mut root = Node::default();
        let mut numbers = [0; 3];
        for change in changes {
            let parts = change.path.strip_prefix("/").unwrap_or(&change.path).components();
            let node = parts
                .fold(&mut root, |node, part| node.below.entry(part.as_os_str().to_owned()).or_default());
            node.change = Some(change);
            numbers[match change.kind {
                ChangeKind::Created => 0,
                ChangeKind::Modified | ChangeKind::Attributes => 1,
                ChangeKind::Removed => 2,
            }] += 1;
        }
        let texts = changes.iter().filter_map(lines_of);
        let lines: usize = texts.map(|text| text.lines().count().min(FEW_LINES)).sum();
        let (most_below, most_of_new) =
            if all { (usize::MAX, usize::MAX) } else { (MOST_BELOW, MOST_OF_NEW) };
        Self { root, name_of, numbers, shows_lines: all || lines <= MOST_LINES, most_below, most_of_new }
    }

    /// How many of which: `+ 2 new, ~ 1 changed`.
    pub fn numbers(&self) -> String {
        let numbers = self.numbers.iter().zip(["+ {} new", "~ {} changed", "- {} removed"]);
        let numbers = numbers.filter(|(number, _)| **number > 0);
        let words: Vec<String> =
            numbers.map(|(number, word)| word.replace("{}", &number.to_string())).collect();
        words.join(", ")
    }

    /// Shows it.
    pub fn print(&self, terminal: &mut Terminal<impl Write>) -> io::Result<()> {
        self.node(terminal, "/".to_owned(), &self.root, &Bars { first: String::new(), rest: String::new() })?;
        if !self.shows_lines {
            terminal.line("(many changes: -v shows what is different in each file)")?;
        }
        Ok(())
    }

    fn node(
        &self,
        terminal: &mut Terminal<impl Write>,
        mut name: String,
        mut node: &Node<'a>,
        bars: &Bars,
    ) -> io::Result<()> {
        // Directories that are only on the way stand on one line.
        while let (None, 1) = (node.change, node.below.len())
            && let Some((below, only)) = node.below.first_key_value()
        {
            name = Path::new(&name).join(below).display().to_string();
            node = only;
        }
        let folded = node.change.is_some_and(|change| change.kind == ChangeKind::Created)
            && node.count() > self.most_below;
        let is_directory = node.change.is_none_or(|change| {
            change.after.or(change.before).is_some_and(|found| found.kind == Kind::Directory)
        });
        let slash = if is_directory && name != "/" { "/" } else { "" };
        let details = node.change.map(|change| self.details(change)).unwrap_or_default();
        let more =
            if folded { format!("  and {} below it: -v shows all", node.count()) } else { String::new() };
        terminal.branch(&bars.first, mark(node.change), &format!("{name}{slash}{details}{more}"))?;
        if let Some(text) = node.change.and_then(lines_of).filter(|_| self.shows_lines) {
            let bar = if node.below.is_empty() { "  " } else { "│ " };
            // Of something new, whoever wrote it knows what it says.
            let is_new = node.change.is_some_and(|change| change.kind == ChangeKind::Created);
            let most = if is_new { terminal.most().min(self.most_of_new) } else { terminal.most() };
            terminal.lines(&format!("{}{bar}  ", bars.rest), &text, 0, most)?;
        }
        if folded {
            return Ok(());
        }
        let last = node.below.len().saturating_sub(1);
        for (at, (name, below)) in node.below.iter().enumerate() {
            let (branch, bar) = if at == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            let bars = Bars { first: format!("{}{branch}", bars.rest), rest: format!("{}{bar}", bars.rest) };
            self.node(terminal, name.to_string_lossy().into_owned(), below, &bars)?;
        }
        Ok(())
    }

    /// What is to be said behind the name: mode and owner, all that is remarkable of something new, else what is different; the
    /// target of a link; why a difference is not shown, or how long it is.
    fn details(&self, change: &Change) -> String {
        let mut words = String::new();
        match (&change.before, &change.after) {
            (None, Some(after)) => self.attributes_of(after, &mut words),
            (Some(before), Some(after)) => self.differences(before, after, &mut words),
            (Some(before), None) if before.kind == Kind::Directory => words += "  with all below it",
            _ => {}
        }
        match &change.diff {
            Some(Diff::Text { before, after }) if is_link(change) => match (before, change.kind) {
                (_, ChangeKind::Removed) => {}
                (None, _) => words += &format!(" -> {after}"),
                (Some(before), _) => words += &format!(" -> {after}, before: {before}"),
            },
            Some(Diff::Hidden(reason)) => words += &format!("  (not shown: {reason})"),
            Some(Diff::Text { before, .. }) if change.kind == ChangeKind::Removed => {
                let lines = before.as_deref().unwrap_or_default().lines().count();
                words += &format!("  ({})", plural(lines, "line"));
            }
            _ if !self.shows_lines => {
                if let Some(text) = lines_of(change) {
                    let number = |mark| text.lines().filter(|line| line.starts_with(mark)).count();
                    words += &format!("  (+{} -{})", number('+'), number('-'));
                }
            }
            _ => {}
        }
        words
    }

    fn attributes_of(&self, found: &Metadata, words: &mut String) {
        if found.kind != Kind::Symlink {
            *words += &format!("  {:04o}", found.mode);
        }
        if found.owner != (Owner { uid: 0, gid: 0 }) {
            *words += &format!("  {}", (self.name_of)(found.owner));
        }
    }

    fn differences(&self, before: &Metadata, after: &Metadata, words: &mut String) {
        if before.kind != after.kind {
            *words += &format!("  {}, before: {}", after.kind, before.kind);
        } else if before.mode != after.mode {
            *words += &format!("  {:04o} -> {:04o}", before.mode, after.mode);
        }
        if before.owner != after.owner {
            *words += &format!("  {} -> {}", (self.name_of)(before.owner), (self.name_of)(after.owner));
        }
    }
}

impl Node<'_> {
    /// How many changes there are below it.
    fn count(&self) -> usize {
        self.below.values().map(|node| usize::from(node.change.is_some()) + node.count()).sum()
    }
}

fn mark(change: Option<&Change>) -> Option<char> {
    change.map(|change| match change.kind {
        ChangeKind::Created => '+',
        ChangeKind::Modified | ChangeKind::Attributes => '~',
        ChangeKind::Removed => '-',
    })
}

fn is_link(change: &Change) -> bool {
    change.after.or(change.before).is_some_and(|found| found.kind == Kind::Symlink)
}

/// What is shown below a file, if anything is: not what was removed, and of a link what stands beside it is enough. Of
/// something new all lines are new, and none is needed that says which they are.
fn lines_of(change: &Change) -> Option<String> {
    match &change.diff {
        Some(Diff::Text { before, after }) if change.kind != ChangeKind::Removed && !is_link(change) => {
            let text = unified(before.as_deref().unwrap_or_default(), after, 2);
            match (before, text.split_once('\n')) {
                (None, Some((_, text))) => Some(text.to_owned()),
                _ => Some(text),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::system::Mode;

    const ROOT: Owner = Owner { uid: 0, gid: 0 };

    fn found(kind: Kind, mode: u32) -> Option<Metadata> {
        Some(Metadata { kind, mode, owner: ROOT, size: 0 })
    }

    fn text(before: Option<&str>, after: &str) -> Option<Diff> {
        Some(Diff::Text { before: before.map(str::to_owned), after: after.to_owned() })
    }

    fn new(path: &str, kind: Kind, diff: Option<Diff>) -> Change {
        Change {
            path: path.into(),
            kind: ChangeKind::Created,
            before: None,
            after: found(kind, if kind == Kind::Directory { 0o755 } else { 0o644 }),
            diff,
        }
    }

    fn shown(changes: &[Change], detail: u8) -> String {
        let name_of = |owner: Owner| format!("user{}:{}", owner.uid, owner.gid);
        let tree = Tree::new(changes, &name_of, detail > 1);
        let mut out = Vec::new();
        tree.print(&mut Terminal::new(&mut out, false, detail, Mode::Apply)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_change_is_one_line_with_its_text() {
        let change = [new("/etc/a.d/motd", Kind::File, text(None, "hello\n"))];
        assert_eq!(shown(&change, 1), "+ /etc/a.d/motd  0644\n    +hello\n");
        assert_eq!(Tree::new(&change, &|_| String::new(), false).numbers(), "+ 1 new");
    }

    #[test]
    fn directories_are_named_once_and_each_change_has_its_mark() {
        let link = Change {
            kind: ChangeKind::Modified,
            before: found(Kind::Symlink, 0o644),
            ..new("/etc/link", Kind::Symlink, text(Some("/a"), "/b"))
        };
        let owner = Owner { uid: 8, gid: 9 };
        let mode = Change {
            kind: ChangeKind::Attributes,
            before: found(Kind::Directory, 0o755),
            after: Some(Metadata { owner, ..found(Kind::Directory, 0o700).unwrap() }),
            diff: Some(Diff::Attributes("mode 0755 -> 0700".to_owned())),
            ..new("/etc/ssl", Kind::Directory, None)
        };
        let removed = |path: &str, kind, diff| Change {
            kind: ChangeKind::Removed,
            before: found(kind, 0o644),
            after: None,
            ..new(path, kind, diff)
        };
        let hidden = Diff::Hidden("binary");
        let changes = [
            new("/etc/app", Kind::Directory, None),
            new("/etc/app/a\u{1b}", Kind::File, text(None, "x\n")),
            link,
            removed("/etc/old", Kind::File, text(Some("one\ntwo\n"), "")),
            mode,
            new("/etc/ssl/key", Kind::File, Some(hidden)),
            removed("/srv/www", Kind::Directory, None),
        ];
        let expected = "\
/
├─ etc/
│  ├─ + app/  0755
│  │  └─ + a\u{fffd}  0644
│  │         +x
│  ├─ ~ link -> /b, before: /a
│  ├─ - old  (2 lines)
│  └─ ~ ssl/  0755 -> 0700  user0:0 -> user8:9
│     └─ + key  0644  (not shown: binary)
└─ - srv/www/  with all below it
";
        assert_eq!(shown(&changes, 1), expected);
        assert_eq!(
            Tree::new(&changes, &|_| String::new(), false).numbers(),
            "+ 3 new, ~ 2 changed, - 2 removed"
        );
    }

    #[test]
    fn many_changes_stay_readable_unless_all_is_asked_for() {
        let content = "line\n".repeat(10);
        let changed = |number: usize| Change {
            kind: ChangeKind::Modified,
            before: found(Kind::File, 0o644),
            ..new(&format!("/etc/{number:03}"), Kind::File, text(Some("line\nold\n"), &content))
        };
        let mut changes: Vec<Change> = (0..100).map(changed).collect();
        changes.push(new("/opt/app", Kind::Directory, None));
        changes.extend((0..1000).map(|number| new(&format!("/opt/app/{number:04}"), Kind::File, None)));
        let few = shown(&changes, 1);
        assert!(few.starts_with("/\n├─ etc/\n│  ├─ ~ 000  (+9 -1)\n│  ├─ ~ 001"), "{few}");
        assert!(few.contains("└─ + opt/app/  0755  and 1000 below it: -v shows all\n"), "{few}");
        assert!(few.ends_with("(many changes: -v shows what is different in each file)\n"));
        assert_eq!(few.lines().count(), 104);
        let all = shown(&changes, 2);
        assert!(all.contains("│  │      -old\n") && all.contains("   └─ + 0999  0644\n"), "{all}");
    }
}
