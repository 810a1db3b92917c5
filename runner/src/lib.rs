//! The stage runner: sources, planner, executor, reports.
