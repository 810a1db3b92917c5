//! Keys of a module that stand apart: what is wrong with one takes nothing from the others, and is told once.

use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape};
use std::ops::Deref;

/// The value of such a key; one that cannot be read counts as left out.
#[derive(Default)]
pub(super) struct Apart<T>(T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Decode + Default> Decode for Apart<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Some(Self(T::decode(node, findings).unwrap_or_default()))
    }

    fn shape() -> Shape {
        T::shape()
    }
}

/// The value of a key that another module reads, too, which reports what is wrong with it.
#[derive(Default)]
pub(super) struct Unreported<T>(T);

impl<T> Deref for Unreported<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Decode + Default> Decode for Unreported<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let mut unreported = Findings::new(findings.origin().clone());
        Some(Self(T::decode(node, &mut unreported).unwrap_or_default()))
    }

    fn shape() -> Shape {
        T::shape()
    }
}
