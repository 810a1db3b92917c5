//! A step of a stage: its conditions and plugins, decoded.

use crate::cloud_config::{self, Once, Recorded};
use crate::conditions::{Conditions, Verdict};
use crate::keys::PLUGINS;
use crate::plugin::Instance;
use crate::{Context, System};
use anyhow::Result;
use cosette_schema::cloud_config::Module;
use cosette_schema::yaml::Node;
use cosette_schema::{
    Decode, Diagnostic, Field, Findings, Origin, RawStep, Rule, Span, Spanned, record, suggest,
};
use std::rc::Rc;

/// A step, decoded.
pub struct Step {
    /// The `name:` of the step.
    pub name: Option<String>,
    /// Where it begins in its document.
    pub span: Span,
    /// The steps that it must run after, by the names of yip: `document.step`.
    pub after: Vec<Spanned<String>>,
    /// What was wrong with it. Each error has taken something out: an item of a key, a key, or, when a
    /// condition is not understood, everything.
    pub findings: Vec<Diagnostic>,
    conditions: Option<Conditions>,
    plugins: Vec<(Span, Box<dyn Instance>)>,
    fields: Vec<(Spanned<String>, Node)>,
    /// What is done once only, if it is.
    once: Option<Rc<Once>>,
}

record! {
    /// One entry of `after:`.
    struct After {
        /// The step to run after: `step`, `document.step` or `file.step`.
        name: Spanned<String> = required,
    }
}

impl Step {
    /// The keys of a step that are neither conditions nor plugins.
    pub const FIELDS: &[Field] = &[
        Field::optional::<Option<String>>(&["name"], " The name of the step, for reports and `after`.\n"),
        Field::optional::<Vec<After>>(&["after"], " Steps of the same stage that it runs after.\n"),
    ];

    /// Decodes a step of the document that came from `origin`.
    pub fn decode(raw: RawStep, origin: &Origin) -> Self {
        let mut findings = Findings::new(origin.clone());
        let RawStep { span, module, fields } = raw;
        if let Some(module) = module {
            return Self::of_module(module, span, fields, findings);
        }
        let (mut name, mut after, mut plugins) = (None, Vec::new(), Vec::new());
        for (key, value) in &fields {
            match key.as_str() {
                "name" => name = Decode::decode(value, &mut findings).unwrap_or_default(),
                "after" => {
                    let entries: Vec<After> = Decode::decode(value, &mut findings).unwrap_or_default();
                    after = entries.into_iter().map(|entry| entry.name).collect();
                }
                known if Conditions::has(known) => {}
                other if PLUGINS.iter().any(|plugin| plugin.key == other) => {}
                other => unknown_key(other, key.span, &mut findings),
            }
        }
        for plugin in PLUGINS {
            let Some((key, value)) = fields.iter().find(|(key, _)| key.value == plugin.key) else { continue };
            if let Some(instance) = (plugin.decode)(value, &mut findings) {
                plugins.push((key.span, instance));
            }
        }
        let conditions = Conditions::decode(&fields, &mut findings);
        let findings = findings.into_vec();
        Self { name, span, after, findings, conditions, plugins, fields, once: None }
    }

    /// The step that a module of cloud-init is: one plugin, no conditions.
    fn of_module(
        module: &'static Module,
        span: Span,
        fields: Vec<(Spanned<String>, Node)>,
        mut findings: Findings,
    ) -> Self {
        let once = fields.first().and_then(|(_, config)| Once::of(module, config, findings.origin()));
        let once = once.map(Rc::new);
        let decode = |(key, value): &(Spanned<String>, Node)| {
            let plugin = cloud_config::PLUGINS.iter().find(|plugin| plugin.key == module.name)?;
            let plugin = (plugin.decode)(value, &mut findings)?;
            Some((
                key.span,
                match &once {
                    Some(once) => Box::new(Recorded { once: once.clone(), plugin }),
                    None => plugin,
                },
            ))
        };
        let plugins = fields.iter().filter_map(decode).collect();
        let conditions = Conditions::decode(&[], &mut findings);
        let (name, findings) = (Some(module.name.to_owned()), findings.into_vec());
        let after = Vec::new();
        Self { name, span, after, findings, conditions, plugins, fields, once }
    }

    /// The files that it replaces whatever is in them, and where each is named.
    pub fn replaces(&self) -> impl Iterator<Item = (&str, Span)> {
        self.plugins.iter().flat_map(|(_, plugin)| plugin.replaces())
    }

    /// The users that it is about.
    pub fn accounts(&self) -> impl Iterator<Item = String> {
        self.plugins.iter().flat_map(|(_, plugin)| plugin.accounts())
    }

    /// The units that it is about.
    pub fn units(&self) -> impl Iterator<Item = String> {
        self.plugins.iter().flat_map(|(_, plugin)| plugin.units())
    }

    /// Why it runs on no machine, and where that stands; nothing if it may run on one.
    pub fn contradiction(&self) -> Option<(Span, String)> {
        self.conditions.as_ref().and_then(Conditions::contradiction)
    }

    /// Whether it surely runs where the other one runs: all of its conditions are among those of the other.
    pub fn runs_wherever_runs(&self, other: &Self) -> bool {
        let among_theirs = |(key, condition): &(Spanned<String>, Node)| {
            let mut theirs = other.fields.iter();
            theirs.any(|(name, value)| name.value == key.value && value.is_same(condition))
        };
        let mut own = self.fields.iter().filter(|(key, _)| Conditions::has(&key.value));
        self.conditions.is_some() && self.once.is_none() && own.all(among_theirs)
    }

    /// Whether the step runs. A step whose conditions were not understood does not.
    pub fn evaluate(&self, cx: &Context, sys: &System) -> Result<Verdict> {
        match (&self.conditions, &self.once) {
            (_, Some(once)) => once.evaluate(sys),
            (Some(conditions), None) => conditions.evaluate(cx, sys),
            (None, None) => Ok(Verdict::Skip("its conditions are not understood".to_owned())),
        }
    }

    /// The plugins of the step in the order of execution, each with the position of its key.
    pub fn plugins(&self) -> impl Iterator<Item = (Span, &dyn Instance)> {
        self.plugins.iter().map(|(span, instance)| (*span, &**instance))
    }

    /// The surroundings in which its plugins act.
    pub fn context<'a>(&'a self, origin: &Origin, facts: &'a crate::facts::Facts) -> Context<'a> {
        Context::new(origin, facts, &self.fields)
    }
}

fn unknown_key(key: &str, span: Span, findings: &mut Findings) {
    let known = Step::FIELDS.iter().chain(Conditions::FIELDS).map(|field| field.names[0]);
    let known = known.chain(PLUGINS.iter().map(|plugin| plugin.key));
    let finding = findings.warn(span, format!("unknown key `{key}`")).rule(Rule::UnknownKey);
    if let Some(near) = suggest(key, known) {
        finding.help(format!("did you mean `{near}`?"));
    }
}
