//! The values of `users`, `user` and `groups`, in all the forms that cloud-init takes, and who the default user is.

use super::account::Account;
use crate::System;
use crate::accounts::Names;
use anyhow::Result;
use cosette_schema::yaml::{self, Node, Value};
use cosette_schema::{Decode, Findings, Origin, Shape, Span, Spanned};

/// Where cloud-init has the default user of an image: `system_info: default_user:`.
const CLOUD_CFG: &str = "/etc/cloud/cloud.cfg";

/// The value of `users`.
#[derive(Default)]
pub(super) struct Users(pub(super) Vec<Listed>);

/// One of `users`.
pub(super) enum Listed {
    /// `default`: the default user of the image.
    Default(Span),
    /// Any other.
    User(Box<Account>),
}

impl Decode for Users {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let mut users = Vec::new();
        match &node.value {
            Value::Map(entries) => {
                for (name, value) in entries {
                    users.extend(Listed::of(name, value, findings));
                }
            }
            _ => {
                for item in node.items() {
                    Listed::add(item, &mut users, findings);
                }
            }
        }
        Some(Self(users))
    }

    fn shape() -> Shape {
        let user = || Account::shape().with("name").or(Shape::text("name of a user, or `default`"));
        user().list().or(Account::shape().or_null().map()).or(Shape::text("names with commas between them"))
    }
}

impl Listed {
    fn add(item: &Node, users: &mut Vec<Self>, findings: &mut Findings) {
        match &item.value {
            Value::Map(_) => {
                let Some(account) = Account::decode(item, findings) else { return };
                match account.name {
                    Some(_) => users.push(Self::User(Box::new(account))),
                    // A user of whom snap tells the name.
                    None if account.warn_of_unsupported(findings) => {}
                    None => drop(findings.error(item.span, "missing key `name`")),
                }
            }
            // Names in a list of their own, as an old form of cloud-init has them.
            Value::List(names) if names.iter().all(|name| matches!(name.value, Value::Scalar(_))) => {
                names.iter().for_each(|name| Self::add(name, users, findings));
            }
            Value::List(_) => drop(findings.error(item.span, "expected a user, found a list")),
            Value::Scalar(scalar) => {
                for name in crate::accounts::field::names(&scalar.text) {
                    let mut scalar = scalar.clone();
                    scalar.text = name.into();
                    let name = Node { span: item.span, value: Value::Scalar(scalar) };
                    users.extend(Self::of(&name, &nothing(item.span), findings));
                }
            }
        }
    }

    /// The user of a name with this description; `true` and null say nothing more, `false` that there is none.
    fn of(name: &Node, value: &Node, findings: &mut Findings) -> Option<Self> {
        if name.text() == Some("default") {
            return Some(Self::Default(name.span));
        }
        if let Value::Scalar(_) = value.value {
            if matches!(value.text(), Some("false" | "no" | "off" | "0")) {
                return None;
            }
            return Account::named(name, findings).map(Box::new).map(Self::User);
        }
        let mut account = Account::decode(value, findings)?;
        account.name = Some(Spanned::decode(name, findings)?);
        Some(Self::User(Box::new(account)))
    }
}

fn nothing(span: Span) -> Node {
    let scalar = yaml::Scalar { text: "".into(), style: yaml::Style::Plain };
    Node { span, value: Value::Scalar(scalar) }
}

/// The value of `user`: the default user of this document.
#[derive(Default)]
pub(super) struct DefaultUser(pub(super) Option<Box<Account>>);

impl Decode for DefaultUser {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let account = match &node.value {
            Value::Scalar(_) => Account::named(node, findings)?,
            _ => Account::decode(node, findings)?,
        };
        if account.name.is_none() {
            findings
                .error(node.span, "missing key `name`")
                .help("there is no default user whose description this could change: give the name");
            return None;
        }
        Some(Self(Some(Box::new(account))))
    }

    fn shape() -> Shape {
        Account::shape().with("name").or(Shape::text("name of a user"))
    }
}

/// Those who get what a document gives without saying to whom.
pub(super) struct Recipients<'a> {
    /// The default user: that of `user`, or that of the image if `users` names it.
    pub(super) default: Option<String>,
    /// All users that the document lists, in its order.
    pub(super) listed: Vec<&'a Account>,
}

impl<'a> Recipients<'a> {
    /// Those of a document.
    pub(super) fn of(users: &'a Users, user: &'a DefaultUser, sys: &System) -> Result<Self> {
        let mut default = user.0.as_deref().and_then(Account::known_as).map(str::to_owned);
        let mut listed = Vec::new();
        for user in &users.0 {
            match user {
                Listed::User(account) => listed.push(&**account),
                Listed::Default(_) if default.is_none() => {
                    default = of_image(sys)?.as_ref().and_then(Account::known_as).map(str::to_owned);
                }
                Listed::Default(_) => {}
            }
        }
        Ok(Self { default, listed })
    }

    /// The default user, or else the first that is listed.
    pub(super) fn first(&self) -> Option<&str> {
        self.default.as_deref().or_else(|| self.names().next())
    }

    /// The names of those who are listed.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.listed.iter().filter_map(|account| account.known_as())
    }
}

/// The same as [`Recipients::first`] as far as the document tells; nothing where the image decides.
pub(super) fn first_described<'a>(users: &'a Users, user: &'a DefaultUser) -> Option<&'a str> {
    let default = user.0.as_deref().and_then(Account::known_as);
    let listed = || {
        let first = users.0.iter().map(|user| match user {
            Listed::User(account) => account.known_as(),
            Listed::Default(_) => None,
        });
        if users.0.iter().any(|user| matches!(user, Listed::Default(_))) {
            None
        } else {
            first.flatten().next()
        }
    };
    default.or_else(listed)
}

/// The default user that cloud-init would make on this image.
pub(super) fn of_image(sys: &System) -> Result<Option<Account>> {
    let Some(content) = sys.read(CLOUD_CFG)? else { return Ok(None) };
    let mut findings = Findings::new(Origin::new(CLOUD_CFG));
    let mut node = yaml::parse(&String::from_utf8_lossy(&content), &mut findings);
    for wanted in ["system_info", "default_user"] {
        let Some(Value::Map(entries)) = node.map(|node| node.value) else { return Ok(None) };
        node = entries.into_iter().find(|(key, _)| key.text() == Some(wanted)).map(|(_, value)| value);
    }
    let account = node.and_then(|node| Account::decode(&node, &mut findings));
    Ok(account.filter(|account| account.name.is_some()))
}

/// The value of `groups`: names, and the members that each shall have.
#[derive(Default)]
pub(super) struct Groups(pub(super) Vec<(Spanned<String>, Names)>);

impl Decode for Groups {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let mut groups = Vec::new();
        for item in node.items() {
            match &item.value {
                Value::Map(entries) => groups.extend(entries.iter().filter_map(|(name, members)| {
                    Some((Spanned::decode(name, findings)?, Names::decode(members, findings)?))
                })),
                _ => {
                    let Some(names) = Names::decode(item, findings) else { continue };
                    let of = |name: &str| Spanned { value: name.to_owned(), span: item.span };
                    groups.extend(names.iter().map(|name| (of(name), Names::default())));
                }
            }
        }
        Some(Self(groups))
    }

    fn shape() -> Shape {
        let group = || Names::shape().or_null().map();
        group()
            .or(Shape::text("name of a group"))
            .list()
            .or(group())
            .or(Shape::text("names with commas between them"))
    }
}
