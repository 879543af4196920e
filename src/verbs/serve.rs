//! `zam serve`: the forced command of a key (sshd(8), authorized_keys). Runs what the other machine asks for, if the key may
//! (`core/serve`), without a shell; logs what it may not.

use anyhow::{Result, anyhow};

use crate::core::printable::printable;
use crate::core::serve::{Key, token};
use crate::core::shell::told;
use crate::edge::outcome::Exit::Usage;
use crate::edge::outcome::Outcome;
use crate::edge::{command, journal, zfs};

/// `name` stands in the journal for the key.
///
/// # Errors
/// The key may not run what was asked for; or it failed, which says itself why.
pub fn run(key: &Key, name: &str) -> Result<Outcome> {
    let Some(asked) = std::env::var_os("SSH_ORIGINAL_COMMAND") else {
        let text = "this is the forced command of a key, and sshd says what it is asked for; see zam-serve in zam(8)";
        return Err(Usage(text.into()).into());
    };
    let asked = asked.to_string_lossy();
    match judge(key, &asked) {
        Ok(programs) => command::hand_over(&programs).map(|()| Outcome::Done),
        Err(why) => {
            log(name, &asked, &why);
            Err(anyhow!("zam serve refuses the key {name} this: {why}"))
        }
    }
}

fn judge(key: &Key, asked: &str) -> Result<Vec<Vec<String>>, String> {
    let programs = key.judge(asked)?;
    if let Some(token) = token(&programs) {
        let printed = zfs::resumed(token).map_err(|error| format!("{error:#}"))?;
        key.judge_resumed(&printed)?;
    }
    Ok(programs)
}

fn log(name: &str, asked: &str, why: &str) {
    let shown: String = told(asked).chars().take(1000).collect();
    let text = printable(&format!("refused the key {name}: {why}: {shown}")).into_owned();
    journal::connect();
    tracing::warn!(
        message_id = "7d7b6ac1f0f94a0f8a8f3c4a61d7a004",
        zam_key = name,
        "{text}"
    );
}
