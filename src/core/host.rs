//! Another machine, as the configuration describes it.

use crate::core::name::Label;

/// Where ssh goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address<'h> {
    user_and_machine: &'h str,
    port: u16,
}

/// A machine reached over ssh.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    pub name: Label,
    /// As ssh takes it: `user@machine`.
    pub ssh: String,
    pub port: Option<u16>,
    pub identity: Option<String>,
    pub options: Vec<String>,
}

impl Host {
    /// The name under which systemd hands its key to a job (systemd.exec(5), LoadCredential=).
    pub fn credential(&self) -> String {
        format!("ssh-{}", self.name)
    }

    /// One machine may stand in the configuration under several names, with a key for each.
    pub fn address(&self) -> Address<'_> {
        Address {
            user_and_machine: &self.ssh,
            port: self.port.unwrap_or(22),
        }
    }
}
