//! The configuration from text: each tests/config/CASE.yaml gives the entries and faults in CASE.txt.
//! `BLESS=1 cargo test` rewrites them; read the difference.

use std::path::Path;

use zam::core::load::load;
use zam::core::yaml::Source;

fn outcome(path: &Path) -> String {
    let sources = [Source { path: "zam.yaml".into(), text: std::fs::read_to_string(path).expect("a case") }];
    let (config, faults) = match load(&sources) {
        Ok(loaded) => loaded,
        Err(fault) => return format!("not read at all:\n{}\n", fault.render(&sources)),
    };
    let jobs: Vec<String> = config.jobs().map(|job| format!("{} every {}\n", job.path(), job.period)).collect();
    let faults: Vec<String> = faults.iter().map(|fault| fault.render(&sources) + "\n").collect();
    format!("{}{}", jobs.concat(), faults.concat())
}

#[test]
fn every_case_reads_as_recorded() {
    let mut cases = 0;
    for file in std::fs::read_dir("tests/config").expect("the cases").map(|file| file.expect("a case").path()) {
        if file.extension().is_some_and(|e| e == "yaml") {
            let (expected, got) = (file.with_extension("txt"), outcome(&file));
            if std::env::var_os("BLESS").is_some() {
                std::fs::write(&expected, &got).expect("writing the case");
            }
            assert_eq!(std::fs::read_to_string(&expected).unwrap_or_default(), got, "{}", file.display());
            cases += 1;
        }
    }
    assert!(cases > 0);
}
