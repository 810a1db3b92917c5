//! The service manager that started this process, by its own protocol (sd_notify(3)): what it shows of a service that
//! is still at work, in `systemctl status` and on the console while a boot waits.

use anyhow::Result;
use std::ffi::OsStr;
use std::fmt;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// More of a line nobody shows, in bytes.
const LONGEST: usize = 500;

/// Whoever shows the state of this process.
pub struct ServiceManager {
    socket: UnixDatagram,
}

impl ServiceManager {
    /// The service manager that listens at `address`, the value of `NOTIFY_SOCKET`: a path or, after `@`, an abstract
    /// name.
    pub(crate) fn open(address: &OsStr) -> Result<Self> {
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        // It is not worth a wait: the next line makes up for one that is lost.
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Tells what is being done, in one line.
    pub fn status(&self, line: &str) {
        let line = &line[..line.floor_char_boundary(LONGEST)];
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = self.socket.send(format!("STATUS={line}").as_bytes());
    }
}

impl fmt::Debug for ServiceManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceManager").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 1000];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_status_is_one_line_to_a_path_or_to_an_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        ServiceManager::open(path.as_os_str()).unwrap().status("a step\nREADY=1");
        assert_eq!(received(&socket), "STATUS=a step READY=1");

        let name = path.display().to_string();
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        ServiceManager::open(OsStr::new(&format!("@{name}"))).unwrap().status(&"ö".repeat(1000));
        assert_eq!(received(&socket), format!("STATUS={}", "ö".repeat(250)));
    }

    #[test]
    fn nobody_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        assert!(ServiceManager::open(path.as_os_str()).is_err());
        let socket = UnixDatagram::bind(&path).unwrap();
        let manager = ServiceManager::open(path.as_os_str()).unwrap();
        // More than a socket holds that nobody reads.
        for _ in 0..1000 {
            manager.status("a step");
        }
        assert_eq!(received(&socket), "STATUS=a step");
        drop(socket);
        manager.status("a step");
    }
}
