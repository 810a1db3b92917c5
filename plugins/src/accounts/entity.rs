//! Entities: single entries of the account databases, as `ensure_entities` and `delete_entities` describe
//! them in YAML.

use super::field::check_value;
use super::ids::Id;
use super::kind::Kind;
use super::password::Password;
use crate::Context;
use anyhow::anyhow;
use cosette_schema::yaml::{self, Node, Value};
use cosette_schema::{Decode, Diagnostic, Findings, Origin, Severity, Shape, Spanned, Text, record};
use std::ops::Deref;

record! {
    /// An item of `ensure_entities` or `delete_entities`.
    pub struct Item {
        /// The database; `/etc/passwd`, `/etc/shadow`, `/etc/group` or `/etc/gshadow` when it is left out.
        pub path: Option<String>,
        /// The entry, as YAML within YAML.
        pub entity: EntityText = required,
    }
}

/// The YAML of an [`Entity`], perhaps a template.
pub struct EntityText(Text);

impl Deref for EntityText {
    type Target = Text;

    fn deref(&self) -> &Text {
        &self.0
    }
}

impl Decode for EntityText {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Text::decode(node, findings).map(Self)
    }

    fn shape() -> Shape {
        Shape::Yaml(Box::new(Entity::shape()))
    }
}

/// An entry of one of the databases.
pub enum Entity {
    /// Of passwd.
    User(UserEntity),
    /// Of shadow.
    Shadow(ShadowEntity),
    /// Of group.
    Group(GroupEntity),
    /// Of gshadow.
    Gshadow(GshadowEntity),
}

record! {
    /// With `kind: user` an entry of passwd. What is left out stays as it is in an entry that exists.
    pub struct UserEntity {
        /// The login name.
        pub username: Spanned<String> = required,
        /// `x`: the password is in shadow.
        pub password: Option<Password>,
        /// The number of the user; `-1`, or nothing, for a free one.
        pub uid: Id,
        /// The number of the primary group.
        pub gid: Id,
        /// The primary group by name, instead of `gid`.
        pub group: Option<String>,
        /// The full name and other remarks.
        pub info: Option<String>,
        /// The home directory.
        pub homedir: Option<String>,
        /// The login shell.
        pub shell: Option<String>,
    }
}

record! {
    /// With `kind: shadow` an entry of shadow. What is left out stays as it is in an entry that exists.
    pub struct ShadowEntity {
        /// The login name.
        pub username: Spanned<String> = required,
        /// A hash, plain text that is hashed, or `!` or `*` for nobody.
        pub password: Option<Password>,
        /// When the password was changed, in days since 1970; `now` for the day on which it is.
        pub last_changed: Option<String>,
        /// Days before it may be changed again.
        pub minimum_changed: Option<String>,
        /// Days after which it must be changed.
        pub maximum_changed: Option<String>,
        /// Days of warning before that.
        pub warn: Option<String>,
        /// Days after that until the account is disabled.
        pub inactive: Option<String>,
        /// When the account expires, in days since 1970.
        pub expire: Option<String>,
        /// Without meaning.
        pub reserved: Option<String>,
    }
}

record! {
    /// With `kind: group` an entry of group. What is left out stays as it is in an entry that exists.
    pub struct GroupEntity {
        /// The name of the group.
        pub group_name: Spanned<String> = required,
        /// `x`: the password is in gshadow.
        pub password: Option<Password>,
        /// Its number; `-1`, or nothing, for a free one.
        pub gid: Id,
        /// Members, separated by commas; they are added to those that are there.
        pub users: Option<String>,
    }
}

record! {
    /// With `kind: gshadow` an entry of gshadow. What is left out stays as it is in an entry that exists.
    pub struct GshadowEntity {
        /// The name of the group.
        pub name: Spanned<String> = required,
        /// A hash, or `!` or `*` for nobody.
        pub password: Option<Password>,
        /// Those who may change its members, separated by commas.
        pub administrators: Option<String>,
        /// Its members, separated by commas.
        pub members: Option<String>,
    }
}

impl Item {
    /// Where the database is, if not where it usually is.
    pub fn elsewhere(&self) -> Option<&str> {
        self.path.as_deref().filter(|path| !path.is_empty())
    }

    /// Reads the entity before anything is known of the machine. One that is a template cannot be read yet.
    pub fn check(&self, findings: &mut Findings) {
        if self.is_template() {
            return;
        }
        for finding in self.parse(self.entity.as_str(), findings.origin().clone()).1 {
            let span = self.place(&finding);
            let recorded = match finding.severity {
                Severity::Error => findings.error(span, finding.message),
                Severity::Warning | Severity::Note => findings.warn(span, finding.message),
            };
            if let Some(help) = finding.help {
                recorded.help(help);
            }
        }
    }

    /// Reads the entity, with its templates rendered. What is wrong with it is recorded, unless
    /// [`Item::check`] has done so.
    pub fn read(&self, cx: &Context) -> Option<Entity> {
        let text = cx.render(&self.entity);
        let (entity, findings) = self.parse(&text, Origin::new(""));
        for finding in findings.into_iter().filter(|_| self.is_template()) {
            let span = self.place(&finding);
            let message = match finding.help {
                Some(help) => format!("{}; {help}", finding.message),
                None => finding.message,
            };
            match finding.severity {
                Severity::Error => drop(cx.attempt::<()>(span, Err(anyhow!(message)))),
                Severity::Warning | Severity::Note => cx.warn(span, message),
            }
        }
        entity
    }

    /// The users that it is about: its own, or members of a group. Nothing is known of a template.
    pub fn accounts(&self) -> Vec<String> {
        if self.is_template() {
            return Vec::new();
        }
        let names = |lists: &[&Option<String>]| {
            let names = lists.iter().copied().flatten().flat_map(|list| list.split(','));
            names.map(|name| name.trim().to_owned()).collect()
        };
        match self.parse(self.entity.as_str(), Origin::new("")).0 {
            Some(Entity::User(user)) => vec![user.username.value],
            Some(Entity::Shadow(shadow)) => vec![shadow.username.value],
            Some(Entity::Group(group)) => names(&[&group.users]),
            Some(Entity::Gshadow(group)) => names(&[&group.administrators, &group.members]),
            None => Vec::new(),
        }
    }

    fn is_template(&self) -> bool {
        self.entity.as_str().contains("{{")
    }

    fn parse(&self, text: &str, origin: Origin) -> (Option<Entity>, Vec<Diagnostic>) {
        let mut findings = Findings::new(origin.clone());
        let node = yaml::parse(text, &mut findings);
        let mut syntax = findings.into_vec();
        // A password without quotes may be taken for something else, and quoted in the finding about it.
        for finding in syntax.iter_mut().filter(|finding| finding.message.contains('`')) {
            "this cannot be read as YAML".clone_into(&mut finding.message);
            finding.help = Some("put values that begin with a special character into quotes".to_owned());
        }
        let mut findings = Findings::new(origin);
        let entity = match node {
            Some(node) => Entity::decode(&node, &mut findings),
            None if syntax.iter().any(|finding| finding.severity == Severity::Error) => None,
            None => {
                findings.error(None, "the entity is empty").help("write `kind: user` and so on");
                None
            }
        };
        syntax.extend(findings.into_vec());
        (entity, syntax)
    }

    /// Where in the document a finding about the entity is. A template may have moved things.
    fn place(&self, finding: &Diagnostic) -> cosette_schema::Span {
        finding.span.map_or(self.entity.span(), |span| self.entity.locate(span.line, span.column))
    }
}

impl Entity {
    /// Its database.
    pub fn kind(&self) -> Kind {
        match self {
            Self::User(_) => Kind::User,
            Self::Shadow(_) => Kind::Shadow,
            Self::Group(_) => Kind::Group,
            Self::Gshadow(_) => Kind::Gshadow,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::User(user) => &user.username,
            Self::Shadow(shadow) => &shadow.username,
            Self::Group(group) => &group.group_name,
            Self::Gshadow(gshadow) => &gshadow.name,
        }
    }
}

impl Decode for Entity {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            findings.error(node.span, format!("expected an entity, which is a map, found {}", node.kind()));
            return None;
        };
        let is_kind = |key: &Node| matches!(&key.value, Value::Scalar(scalar) if &*scalar.text == "kind");
        let Some((_, kind)) = entries.iter().find(|(key, _)| is_kind(key)) else {
            findings.error(node.span, "missing key `kind`").help("`user`, `shadow`, `group` or `gshadow`");
            return None;
        };
        let rest = entries.iter().filter(|(key, _)| !is_kind(key)).cloned().collect();
        let rest = Node { value: Value::Map(rest), ..node.clone() };
        let kind = Spanned::<String>::decode(kind, findings)?;
        let entity = match kind.value.as_str() {
            "user" => Self::User(Decode::decode(&rest, findings)?),
            "shadow" => Self::Shadow(Decode::decode(&rest, findings)?),
            "group" => Self::Group(Decode::decode(&rest, findings)?),
            "gshadow" => Self::Gshadow(Decode::decode(&rest, findings)?),
            other => {
                findings
                    .error(kind.span, format!("unknown kind of entity {other:?}"))
                    .help("`user`, `shadow`, `group` or `gshadow`");
                return None;
            }
        };
        if entity.name().is_empty() || check_value("name", entity.name()).is_err() {
            findings.error(node.span, "the entity has no name that could stand in a database");
            return None;
        }
        Some(entity)
    }

    fn shape() -> Shape {
        Shape::Either(vec![
            UserEntity::shape(),
            ShadowEntity::shape(),
            GroupEntity::shape(),
            GshadowEntity::shape(),
        ])
    }
}
