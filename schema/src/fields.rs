//! Structs that are read from maps: [`record!`](crate::record!) and what it expands to.

use crate::yaml::{Node, Value};
use crate::{Decode, Findings, Rule, Shape, excerpt, suggest};

/// A key of a record, for the JSON Schema and the reference of the language.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The key, then the other spellings that are accepted.
    pub names: &'static [&'static str],
    /// Whether it must be there.
    pub required: bool,
    /// Its doc comment, as it stands in the source: each line begins with a space and ends with a newline.
    pub docs: &'static str,
    /// What its value looks like. A function, so that a record may hold itself.
    pub shape: fn() -> Shape,
}

impl Field {
    /// A key of one spelling that may be left out, with the doc comment that it would have in a record.
    pub const fn optional<T: Decode>(names: &'static [&'static str; 1], docs: &'static str) -> Self {
        Self { names, required: false, docs, shape: T::shape }
    }
}

/// Whether they are the same key of the same record.
impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names && self.docs == other.docs
    }
}

/// A struct that [`record!`](crate::record!) declared.
pub trait Record: Decode {
    /// The doc comment of the struct, written as in [`Field::docs`].
    const DOCS: &'static str;
    /// Its keys, in the order of the source.
    const FIELDS: &'static [Field];
}

/// The keys of a map that is being decoded by [`record!`](crate::record!).
#[derive(Debug)]
pub struct Fields<'n> {
    node: &'n Node,
    entries: &'n [(Node, Node)],
}

impl<'n> Fields<'n> {
    /// Begins with a map whose keys must be among `known` (each key with its other spellings); null is an empty
    /// map. Keys that are not known are warnings.
    pub fn begin(node: &'n Node, known: &[&[&str]], findings: &mut Findings) -> Option<Self> {
        let entries: &[_] = match &node.value {
            Value::Map(entries) => entries,
            _ if node.is_null() => &[],
            _ => {
                let error = findings.error(node.span, format!("expected a map, found {}", node.kind()));
                if let Some(names) = known.first() {
                    error.help(format!("write keys with values, such as `{}: ...`", names[0]));
                }
                return None;
            }
        };
        for (key, _) in entries {
            match crate::decode::key(key, findings) {
                Some(name) if !known.iter().any(|names| names.contains(&&*name.value)) => {
                    let names = known.iter().copied().flatten().copied();
                    unknown_key(&name, names, known.iter().map(|names| names[0]), findings);
                }
                _ => {}
            }
        }
        Some(Self { node, entries })
    }

    /// The value of a key that may be left out; null is the same as leaving it out.
    pub fn optional<T: Decode + Default>(&mut self, names: &[&str], findings: &mut Findings) -> Option<T> {
        match self.get(names, findings) {
            Some((_, node)) if !node.is_null() => T::decode(node, findings),
            _ => Some(T::default()),
        }
    }

    /// The value of a key that must be there and must not be null.
    pub fn required<T: Decode>(&mut self, names: &[&str], findings: &mut Findings) -> Option<T> {
        match self.get(names, findings) {
            None => {
                findings.error(self.node.span, format!("missing key `{}`", names[0]));
                None
            }
            Some((key, node)) if node.is_null() => {
                findings.error(key.span, format!("the key `{}` needs a value", names[0]));
                None
            }
            Some((_, node)) => T::decode(node, findings),
        }
    }

    /// The key in any of its spellings and its value; a second one beside it is an error, and the first stays.
    fn get(&self, names: &[&str], findings: &mut Findings) -> Option<(&'n Node, &'n Node)> {
        let mut given =
            self.entries.iter().filter(|(key, _)| key.text().is_some_and(|key| names.contains(&key)));
        let (key, value) = given.next()?;
        for (again, _) in given {
            let (first, again, at) =
                (key.text().unwrap_or_default(), again.text().unwrap_or_default(), again.span);
            findings
                .error(at, format!("`{again}` and `{first}` are the same key"))
                .help(format!("`{first}` is used: remove one of them"));
        }
        Some((key, value))
    }
}

/// Warns of a key that nothing reads. `names` are all spellings that would have been understood, `shown` those to
/// list when none of them is near.
fn unknown_key<'k>(
    key: &crate::Spanned<String>,
    names: impl Iterator<Item = &'k str>,
    shown: impl Iterator<Item = &'k str>,
    findings: &mut Findings,
) {
    let help = match suggest(key, names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            format!("known keys are {}", shown.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        }
    };
    findings.warn(key.span, format!("unknown key `{}`", excerpt(key))).rule(Rule::UnknownKey).help(help);
}

/// Declares a struct that is read from a YAML map.
///
/// Each field is a key; `as "key" | "other"` gives its spelling and the others that are accepted, and
/// `= required` makes it an error to leave it out; the others need a `Default`. If any field cannot be read, the
/// whole struct cannot. The doc comments become the reference of the language: see [`Record`].
///
/// ```
/// use cosette_schema::{Spanned, record};
///
/// record! {
///     /// One directory.
///     pub struct Directory {
///         /// Where it goes.
///         pub path: Spanned<String> = required,
///         /// `user:group`.
///         pub owner_string: Option<String> as "owner_string" | "ownerstring",
///     }
/// }
/// ```
#[macro_export]
macro_rules! record {
    (@names $field:ident) => { &[stringify!($field)] };
    (@names $field:ident $($name:literal)+) => { &[$($name),+] };
    (@read $fields:ident $findings:ident $names:expr) => { $fields.optional($names, $findings) };
    (@read $fields:ident $findings:ident $names:expr, required) => { $fields.required($names, $findings) };
    (@required) => { false };
    (@required required) => { true };
    (@docs doc = $docs:literal) => { concat!($docs, "\n") };
    (@docs $($other:tt)*) => { "" };
    (
        $(#[$($meta:tt)*])*
        $vis:vis struct $struct:ident {
            $(
                $(#[$($field_meta:tt)*])*
                $field_vis:vis $field:ident : $type:ty $(as $name:literal $(| $other:literal)*)? $(= $required:ident)?
            ),* $(,)?
        }
    ) => {
        $(#[$($meta)*])*
        $vis struct $struct { $( $(#[$($field_meta)*])* $field_vis $field: $type ),* }

        impl $crate::Record for $struct {
            const DOCS: &'static str = concat!($( $crate::record!(@docs $($meta)*) ),*);
            const FIELDS: &'static [$crate::Field] = &[$( $crate::Field {
                names: $crate::record!(@names $field $($name $($other)*)?),
                required: $crate::record!(@required $($required)?),
                docs: concat!($( $crate::record!(@docs $($field_meta)*) ),*),
                shape: <$type as $crate::Decode>::shape,
            } ),*];
        }

        impl $crate::Decode for $struct {
            fn decode(node: &$crate::yaml::Node, findings: &mut $crate::Findings) -> Option<Self> {
                const NAMES: &[&[&str]] = &[$( $crate::record!(@names $field $($name $($other)*)?) ),*];
                #[allow(unused_mut, unused_variables)]
                let mut fields = $crate::Fields::begin(node, NAMES, findings)?;
                $(
                    let $field: Option<$type> = $crate::record!(
                        @read fields findings $crate::record!(@names $field $($name $($other)*)?) $(, $required)?
                    );
                )*
                Some(Self { $( $field: $field? ),* })
            }

            fn shape() -> $crate::Shape {
                use $crate::Record;
                $crate::Shape::Record { docs: Self::DOCS, fields: Self::FIELDS }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Permissions;
    use crate::decode::tests::decode;

    record! {
        /// One file.
        ///
        /// With a second paragraph.
        #[derive(Debug, PartialEq)]
        struct File {
            /// Where it goes.
            path: String = required,
            /// Its mode.
            permissions: Option<Permissions>,
            /// Who owns it.
            owner_string: String as "owner_string" | "ownerstring",
            /// What it is.
            kind: u16 as "type",
        }
    }

    #[test]
    fn the_fields_of_a_record_describe_themselves() {
        assert_eq!(File::DOCS, " One file.\n\n With a second paragraph.\n");
        let fields: Vec<_> = File::FIELDS.iter().map(|f| (f.names, f.required, f.docs)).collect();
        assert_eq!(fields[0], (&["path"][..], true, " Where it goes.\n"));
        assert_eq!(fields[2], (&["owner_string", "ownerstring"][..], false, " Who owns it.\n"));
        assert_eq!(fields[3].0, ["type"]);
        let shapes: Vec<_> = File::FIELDS.iter().map(|f| (f.shape)()).collect();
        assert_eq!(shapes[..2], [Shape::TEXT, Shape::Mode.or_null()]);
        assert_eq!(shapes[3], Shape::Integer { min: 0, max: 65535 });
        let Shape::Record { docs, fields } = File::shape() else { panic!() };
        assert_eq!((docs, fields), (File::DOCS, File::FIELDS));
    }

    #[test]
    fn keys_are_read_by_any_of_their_spellings_and_may_be_left_out_unless_required() {
        let (file, findings) = decode::<File>("{path: /a, ownerstring: root, type: 3, permissions: 0600}");
        assert_eq!(findings, Vec::<String>::new());
        let owner_string = "root".to_owned();
        let permissions = Some(Permissions(0o600));
        assert_eq!(file, Some(File { path: "/a".into(), permissions, owner_string, kind: 3 }));
        let (file, findings) = decode::<File>("{path: /a, permissions: ~, type: ~}");
        assert_eq!(findings, Vec::<String>::new());
        assert_eq!(file.unwrap().kind, 0);
    }

    #[test]
    fn an_unknown_key_is_a_warning_with_the_nearest_key() {
        let (file, findings) = decode::<File>("path: /a\npermsisions: 0600\nOwnerString: x\nbanana: 1\n");
        assert!(file.is_some());
        assert_eq!(
            findings,
            [
                "warning 2:1 unknown key `permsisions`; did you mean `permissions`?",
                "warning 3:1 unknown key `OwnerString`; did you mean `owner_string`?",
                "warning 4:1 unknown key `banana`; known keys are `path`, `permissions`, `owner_string`, `type`",
            ]
        );
    }

    #[test]
    fn all_that_is_wrong_is_reported_at_once_and_the_record_is_left_out() {
        let (file, findings) = decode::<File>("permissions: [1]\ntype: x\n? {a: b}\n: c\n");
        assert_eq!(file, None);
        assert_eq!(
            findings,
            [
                "error 3:3 a key must be a text, found a map; put the key in quotes if its brackets belong to it",
                "error 1:1 missing key `path`",
                "error 1:14 expected a file mode such as `0644`, found a list",
                "error 2:7 expected a whole number, found `x`",
            ]
        );
        assert_eq!(decode::<File>("path:").1, ["error 1:1 the key `path` needs a value"]);
        assert_eq!(decode::<File>("~").1, ["error 1:1 missing key `path`"]);
        assert_eq!(
            decode::<File>("- /a").1,
            ["error 1:1 expected a map, found a list; write keys with values, such as `path: ...`"]
        );
    }

    #[test]
    fn two_spellings_of_one_key_are_an_error_and_the_first_stays() {
        let (file, findings) = decode::<File>("{path: /a, ownerstring: a, owner_string: b}");
        assert_eq!(file.unwrap().owner_string, "a");
        assert_eq!(
            findings,
            [
                "error 1:28 `owner_string` and `ownerstring` are the same key; `ownerstring` is used: remove one of them"
            ]
        );
    }

    #[test]
    fn a_list_of_records_loses_only_the_bad_ones() {
        let (files, findings) = decode::<Vec<File>>("- path: /a\n- permissions: 0600\n- path: /c\n");
        let paths: Vec<_> = files.unwrap().into_iter().map(|file| file.path).collect();
        assert_eq!(paths, ["/a", "/c"]);
        assert_eq!(findings, ["error 2:3 missing key `path`"]);
    }
}
