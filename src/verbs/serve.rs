//! `zam serve`: the forced command of a key (sshd(8), authorized_keys). Runs what the other machine asks for, if the key may
//! (`core/serve`), without a shell; logs what it may not.

use anyhow::{Result, anyhow};
use serde::Serialize;

use crate::core::event;
use crate::core::name::Dataset;
use crate::core::printable::printable;
use crate::core::serve::{Key, Role, token};
use crate::core::shell::told;
use crate::edge::handover::hand_over;
use crate::edge::outcome::Exit::Usage;
use crate::edge::outcome::Outcome;
use crate::edge::{journal, zfs};
use crate::verbs::print_json;

/// What another machine asks to hear what its key may do.
const QUESTION: &str = "zam serve";

/// The answer, as JSON.
#[derive(Serialize)]
struct Answer<'k> {
    key: &'k str,
    role: Role,
    roots: &'k [Dataset],
    prefix: String,
    version: &'k str,
}

/// `name` stands in the journal for the key.
///
/// # Errors
/// The key may not run what was asked for; or it failed, which says itself why.
pub fn run(key: &Key, name: &str) -> Result<Outcome> {
    let Some(asked) = std::env::var_os("SSH_ORIGINAL_COMMAND") else {
        let text =
            "this is the forced command of a key, run by sshd; see zam(8), Keys of other machines";
        return Err(Usage(text.into()).into());
    };
    let asked = asked.to_string_lossy();
    if told(&asked) == QUESTION {
        return answer(key, name);
    }
    match judge(key, &asked) {
        Ok(programs) => hand_over(&programs).map(|()| Outcome::Done),
        Err(why) => {
            log(name, &asked, &why);
            Err(anyhow!(
                "zam serve refuses the key {name} this: {why}; if its jobs need it, bind it anew by zam setup --on"
            ))
        }
    }
}

fn answer(key: &Key, name: &str) -> Result<Outcome> {
    print_json(&Answer {
        key: name,
        role: key.role,
        roots: &key.roots,
        prefix: key.prefix.to_string(),
        version: env!("CARGO_PKG_VERSION"),
    })?;
    Ok(Outcome::Done)
}

fn judge(key: &Key, asked: &str) -> Result<Vec<Vec<String>>, String> {
    let programs = key.judge(asked)?;
    if let Some(to_resume) = token(&programs) {
        let printed = zfs::resumed(to_resume).map_err(|error| format!("{error:#}"))?;
        key.judge_resumed(&printed)?;
    }
    Ok(programs)
}

fn log(name: &str, asked: &str, why: &str) {
    let shown: String = told(asked).chars().take(1000).collect();
    let text = printable(&format!("refused the key {name}: {why}: {shown}")).into_owned();
    journal::connect();
    tracing::warn!(message_id = event::REFUSED, zam_key = name, "{text}");
}
