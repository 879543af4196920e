//! Notifications on the desktops of this machine (Desktop Notifications Specification 1.2), for each user whose graphical
//! session is active. The bus of a user takes nobody else's connection, not root's either, so busctl(1) is run as the user.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::geteuid;
use zbus::{Connection, OwnedObjectPath};

use crate::edge::bus::{UNSTOPPED, ask};
use crate::edge::{journal, notifier, program};

const PATIENCE: Duration = Duration::from_secs(15);
/// nogroup: the bus asks for the user alone.
const NOGROUP: u32 = 65534;

/// ID, user's ID and name, seat, and where its object is.
type Listed = (String, u32, String, String, OwnedObjectPath);

#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Sessions {
    fn list_sessions(&self) -> zbus::Result<Vec<Listed>>;
}

#[zbus::proxy(
    interface = "org.freedesktop.login1.Session",
    default_service = "org.freedesktop.login1"
)]
trait Session {
    #[zbus(property)]
    fn active(&self) -> zbus::Result<bool>;
    #[zbus(property, name = "Type")]
    fn kind(&self) -> zbus::Result<String>;
}

/// What a desktop shows.
pub struct Notification {
    pub summary: &'static str,
    /// One line.
    pub body: String,
    /// It stays until the user has closed it.
    pub is_urgent: bool,
}

impl Notification {
    /// Returns whether it is on a desktop. Most machines have none, and one that does not take it is worth a line alone.
    pub fn show(&self) -> bool {
        let mut is_shown = false;
        for user in users().unwrap_or_default() {
            match self.show_to(user) {
                Ok(()) => is_shown = true,
                Err(error) => journal::warn(format!("the desktop of user {user}: {error:#}")),
            }
        }
        is_shown
    }

    fn show_to(&self, user: u32) -> Result<()> {
        let mut command = program::new("busctl");
        if geteuid().is_root() {
            command.uid(user).gid(NOGROUP);
        }
        self.call(&mut command, user);
        notifier::end_in_time(&mut command)
    }

    /// Notify: who tells, what it replaces, icon, summary, body, actions, hints, and milliseconds until it goes (0: never;
    /// -1: as the desktop likes).
    fn call(&self, command: &mut Command, user: u32) {
        let (urgency, lasts) = if self.is_urgent {
            ("2", "0")
        } else {
            ("1", "-1")
        };
        let name = "org.freedesktop.Notifications";
        let path = "/org/freedesktop/Notifications";
        command
            .arg(format!("--address=unix:path=/run/user/{user}/bus"))
            .args(["--", "call", name, path, name, "Notify", "susssasa{sv}i"])
            .args([
                "zam",
                "0",
                "drive-harddisk",
                self.summary,
                &escaped(&self.body),
            ])
            .args(["0", "1", "urgency", "y", urgency, lasts]);
    }
}

/// A body may hold markup.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;")
}

/// The users who have a desktop before them; for a user other than root only this one.
fn users() -> Result<BTreeSet<u32>> {
    let question = async {
        let bus = Connection::system().await?;
        let mut users = BTreeSet::new();
        for (_, user, _, _, path) in SessionsProxy::new(&bus).await?.list_sessions().await? {
            let session = SessionProxy::builder(&bus).path(path).build().await?;
            // One that ended meanwhile has no desktop.
            let kind = session.kind().await.unwrap_or_default();
            let is_graphical = ["x11", "wayland", "mir"].contains(&kind.as_str());
            if is_graphical && session.active().await.unwrap_or_default() {
                users.insert(user);
            }
        }
        Ok(users)
    };
    let mut users = ask(PATIENCE, &UNSTOPPED, question).context("cannot ask logind who is here")?;
    let me = geteuid();
    users.retain(|user| me.is_root() || me.as_raw() == *user);
    Ok(users)
}
