//! Writes the files that wait until users and packages are there.
//!
//! ```yaml
//! #cloud-config
//! write_files:
//! - path: /home/alice/.profile
//!   owner: alice:alice
//!   defer: true
//!   content: |
//!     export EDITOR=vi
//! ```
//!
//! ```text before
//! -- /etc/passwd
//! alice:x:1000:1000::/home/alice:/bin/sh
//! -- /etc/group
//! alice:x:1000:
//! -- /home/alice/ 0700 1000:1000
//! ```
//!
//! ```text after
//! -- /home/alice/.profile 0644 1000:1000
//! export EDITOR=vi
//! ```
//!
//! They are the files of `write_files` with `defer: true`, or with a `source` (`uri` and `headers`) that their content
//! is fetched from. Where that fails, `content` stands in, if there is any.

use super::write_files::Files;
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::{Findings, Span, record};

record! {
    /// Files that are written late.
    pub(crate) struct WriteFilesDeferred {
        /// The files.
        write_files: Files<true>,
    }
}

impl Plugin for WriteFilesDeferred {
    const KEY: &'static str = "write_files_deferred";

    fn check(&self, findings: &mut Findings) {
        self.write_files.check(findings);
    }

    fn replaces(&self) -> Vec<(&str, Span)> {
        self.write_files.replaces()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        self.write_files.write(cx, sys);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::system::Mode;
    use crate::testing::Machine;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    #[test]
    fn content_is_fetched_with_its_headers_and_what_is_written_stands_in() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nnew")
                .unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let machine = Machine::new("-- /etc/passwd\n");
        let file = |content: &str, query: &str| {
            format!(
                "#cloud-config\nwrite_files:\n- path: /f\n  content: {content}\n  source: {{uri: '{address}/x?{query}', \
                 headers: {{Authorization: CANARY}}}}\n"
            )
        };
        let outcome = machine.plan(&file("old", "a"));
        assert!(
            outcome.messages().contains("fetched when the step really runs") && outcome.effects.is_empty()
        );
        let outcome = machine.apply(&file("old", "a"));
        assert!(!outcome.messages().contains("Error"), "{}", outcome.messages());
        assert!(server.join().unwrap().to_lowercase().contains("authorization: canary"));
        machine.assert_tree("-- /f no-newline\nnew\n");
        // Nobody listens there any more.
        let outcome = machine.apply(&file("old", "CANARY"));
        assert!(outcome.messages().contains("/f gets the content of the document"), "{}", outcome.messages());
        assert!(!outcome.messages().contains("CANARY"), "{}", outcome.messages());
        assert_eq!(machine.system(Mode::Apply).read_text("/f").unwrap().as_deref(), Some("old"));
        assert!(machine.apply(&file("", "CANARY")).messages().starts_with("Error"));
    }
}
