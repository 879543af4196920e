//! Users of jobs who do not exist. systemd takes that for a skip of a job that has a condition, of which nobody is told.

use std::collections::BTreeSet;

use crate::core::config::{Config, ROOT};
use crate::core::trouble::Trouble;
use crate::edge::command::Machine;

pub(super) fn of_users(config: &Config) -> Vec<Trouble> {
    let users: BTreeSet<&str> = config.jobs().map(|job| config.user_of(&job)).collect();
    let mut troubles = Vec::new();
    for user in users.into_iter().filter(|user| *user != ROOT) {
        if Machine::default().run(&["id", "-u", "--", user]).is_err() {
            let why = "there is no such user, so that no job of this one runs; zam setup prints what makes it";
            troubles.push(Trouble::critical(format!("user {user}"), "missing", why));
        }
    }
    troubles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::load::config;

    #[test]
    fn a_user_who_does_not_exist_is_told_and_one_who_does_is_not() {
        for (user, expected) in [("nobody", 0), ("root", 0), ("zam-of-no-machine", 1)] {
            let text = format!(
                "user: {user}\nprune-user: root\ndatasets: {{tank: {{snapshot-period: 1h}}}}"
            );
            assert_eq!(of_users(&config(&text)).len(), expected, "{user}");
        }
    }
}
