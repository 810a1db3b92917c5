//! Environment blocks of GRUB: variables in a file of 1024 bytes, so that GRUB can write to it without a driver that
//! writes.

use anyhow::{Result, bail};

const SIGNATURE: &[u8] = b"# GRUB Environment Block\n";

/// The variables of an environment block, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    variables: Vec<(String, String)>,
}

impl Environment {
    /// The size of a block.
    pub const BYTES: usize = 1024;

    /// Reads a block.
    pub fn parse(content: &[u8]) -> Result<Self> {
        let Some(mut rest) = content.strip_prefix(SIGNATURE) else {
            bail!("it is no environment block of GRUB");
        };
        let mut variables = Vec::new();
        while !rest.is_empty() {
            let (line, behind) = line(rest);
            rest = behind;
            if line.starts_with(b"#") {
                continue;
            }
            if let Some((name, value)) = String::from_utf8_lossy(&line).split_once('=') {
                variables.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(Self { variables })
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// Sets a variable, which keeps its place.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.variables.iter_mut().find(|(other, _)| other == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.variables.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Removes a variable.
    pub fn unset(&mut self, name: &str) {
        self.variables.retain(|(other, _)| other != name);
    }

    /// The block.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = SIGNATURE.to_vec();
        for (name, value) in &self.variables {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(b'=');
            for byte in value.bytes() {
                if matches!(byte, b'\\' | b'\n') {
                    bytes.push(b'\\');
                }
                bytes.push(byte);
            }
            bytes.push(b'\n');
        }
        if bytes.len() > Self::BYTES {
            bail!("the variables do not fit the {} bytes of an environment block of GRUB", Self::BYTES);
        }
        bytes.resize(Self::BYTES, b'#');
        Ok(bytes)
    }
}

/// The first line, without its escapes, and what is behind it.
fn line(content: &[u8]) -> (Vec<u8>, &[u8]) {
    let (mut line, mut escaped) = (Vec::new(), false);
    for (at, byte) in content.iter().enumerate() {
        match byte {
            b'\\' if !escaped => escaped = true,
            b'\n' if !escaped => return (line, &content[at + 1..]),
            _ => {
                escaped = false;
                line.push(*byte);
            }
        }
    }
    (line, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_is_lost() {
        let mut block =
            b"# GRUB Environment Block\n# WARNING: a comment\nunknown=x=y\nnext_entry=\n".to_vec();
        block.extend_from_slice(b"text=a\\\\b\\\nc\n");
        block.resize(1024, b'#');
        let mut environment = Environment::parse(&block).unwrap();
        assert_eq!(environment.get("unknown"), Some("x=y"));
        assert_eq!(environment.get("next_entry"), Some(""));
        assert_eq!(environment.get("text"), Some("a\\b\nc"));
        environment.set("next_entry", "recovery");
        environment.set("new", "1");
        environment.unset("nothing");
        let bytes = environment.to_bytes().unwrap();
        assert_eq!(bytes.len(), 1024);
        assert_eq!(Environment::parse(&bytes).unwrap(), environment);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with(
            "# GRUB Environment Block\nunknown=x=y\nnext_entry=recovery\ntext=a\\\\b\\\nc\nnew=1\n###"
        ));
    }

    #[test]
    fn what_is_no_block_is_refused_and_what_is_odd_is_not() {
        for content in [&b""[..], b"next_entry=x\n", b"# GRUB Environment\n", &[0; 1024]] {
            assert!(Environment::parse(content).is_err());
        }
        let odd = b"# GRUB Environment Block\nno value\n=\na=1\na=2\nlast=\xff\\";
        let environment = Environment::parse(odd).unwrap();
        assert_eq!((environment.get("a"), environment.get("last")), (Some("1"), Some("\u{fffd}")));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut environment = Environment::default();
        environment.set("title", &"x".repeat(1000));
        assert!(environment.to_bytes().unwrap_err().to_string().contains("do not fit the 1024 bytes"));
    }
}
