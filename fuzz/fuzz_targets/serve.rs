//! `zam serve` is asked for anything: `cargo +nightly fuzz run serve -- -dict=serve.dict`. What it accepts must do no harm,
//! told in other words (tests/serve/harmless.rs).
#![no_main]

use libfuzzer_sys::fuzz_target;
use zam::core::serve::{Key, Role};
use zam::core::shell;

#[path = "../../tests/serve/harmless.rs"]
mod harmless;

fuzz_target!(|text: &str| {
    let before = shell::line(&[]).expect("a line");
    let lines = [text.to_owned(), format!("{before} {text}")];
    for role in [Role::Push, Role::AppendOnly, Role::ReadOnly] {
        let key = Key {
            roots: ["nas/zam", "nas/by name"].map(|root| root.parse().expect(root)).to_vec(),
            role,
            prefix: "zam".parse().expect("a prefix"),
        };
        for line in &lines {
            if let Ok(programs) = key.judge(line) {
                assert!(harmless::is_harmless(role, &programs), "{role:?}: {line:?}");
            }
        }
        let _ = key.judge_resumed(text);
    }
});
