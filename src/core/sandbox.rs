//! What keeps a job in its bounds that is not root's, as directives of systemd.exec(5).

use crate::core::config::ROOT;
use crate::core::host::Host;

/// For a job that is not root's. Private mounts, which the template must not have, do no harm here, because none but root
/// can mount or unmount.
const UNPRIVILEGED: &str = "\
CapabilityBoundingSet=
SystemCallFilter=~@privileged @resources @mount
RemoveIPC=yes
ProtectSystem=strict
ReadWritePaths=-/run/zam -/var/lib/zam/users
ProtectHome=yes
PrivateTmp=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
";
/// For one that needs no network besides.
const OFFLINE: &str = "\
RestrictAddressFamilies=
RestrictAddressFamilies=AF_UNIX
";
/// Holds for hooks, too, although they are root's (systemd.service(5), `+`).
const WITHOUT_NETWORK: &str = "\
PrivateNetwork=yes
IPAddressDeny=any
";

/// The directives for a job of a user. systemd hands it the keys of the hosts that it reaches, which it cannot read itself;
/// one that reaches none has no network, if it is `alone`: without a hook, which may need one.
pub(super) fn confine(user: &str, hosts: &[&Host], alone: bool) -> String {
    if user == ROOT {
        return String::new();
    }
    let mut text = UNPRIVILEGED.to_owned();
    if hosts.is_empty() {
        text += OFFLINE;
        if alone {
            text += WITHOUT_NETWORK;
        }
    }
    for host in hosts {
        if let Some(identity) = &host.identity {
            let word = format!("{}:{identity}", host.credential());
            text += &format!("LoadCredential={}\n", specifiers(&word));
        }
    }
    text
}

pub(super) fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}
