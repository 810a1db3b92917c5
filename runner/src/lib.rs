//! The stage runner: sources, planner, executor, reports.

pub mod sandbox;
