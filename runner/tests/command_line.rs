//! The binary end to end: help texts, exit statuses, reports and JSON, as sessions in `tests/cmd`.
//!
//! A session is Markdown with ```` ```console ```` blocks; `TRYCMD=overwrite cargo test --test command_line` writes
//! what is printed into them, to be read before it is believed.

#[test]
fn the_sessions_print_what_they_show() {
    trycmd::TestCases::new().case("tests/cmd/*.md");
}
