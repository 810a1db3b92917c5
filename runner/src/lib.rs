//! The stage runner: sources, planner, executor, reports.
//!
//! A stage runs as the story of `stage.rs` tells: sources become texts, texts documents, documents a plan, and
//! the plan a report.

pub mod boot;
pub mod builtin;
pub mod check;
pub mod command_line;
pub mod commands;
pub mod executor;
pub mod explain;
pub mod generator;
pub mod immutable_root;
pub mod init;
pub mod lifecycle;
pub mod planner;
pub mod report;
pub mod sandbox;
pub mod sentinels;
pub mod source;
pub mod stage;
