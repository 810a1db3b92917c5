//! Debug messages on standard error, for `-vv`. What a run has to say to everybody is its report.

use tracing::Level;
use tracing_subscriber::fmt;

/// Shows debug messages from now on.
pub(crate) fn show_debug_messages() {
    let subscriber = fmt().with_max_level(Level::DEBUG).with_writer(std::io::stderr).with_target(false);
    // Fails only when it has been called before.
    let _ = subscriber.without_time().try_init();
}
