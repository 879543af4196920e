//! The configuration from text: each tests/config/**/CASE.yaml gives the jobs and faults in CASE.txt.
//! `BLESS=1 cargo test` rewrites them; read the difference.

use std::fs;
use std::path::{Path, PathBuf};

use zam::core::fault::Source;
use zam::core::load::load;

/// A directory called `several-files` is one case: its files are read together.
fn cases(directory: &Path) -> Vec<(PathBuf, Vec<PathBuf>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .expect("the cases")
        .map(|file| file.expect("a case").path())
        .collect();
    files.sort();
    let yaml = |path: &PathBuf| path.extension().is_some_and(|e| e == "yaml");
    if directory.ends_with("several-files") {
        return vec![(
            directory.with_extension("txt"),
            files.into_iter().filter(yaml).collect(),
        )];
    }
    let (directories, files): (Vec<PathBuf>, Vec<PathBuf>) =
        files.into_iter().partition(|path| path.is_dir());
    let here = files
        .into_iter()
        .filter(yaml)
        .map(|file| (file.with_extension("txt"), vec![file]));
    here.chain(directories.iter().flat_map(|directory| cases(directory)))
        .collect()
}

/// As edge::configuration reads it: what is no UTF-8 is the loader's to refuse.
fn source(path: &PathBuf) -> Source {
    let name = if path.parent().is_some_and(|p| p.ends_with("several-files")) {
        path.file_name()
    } else {
        None
    };
    let text = String::from_utf8_lossy(&fs::read(path).expect("a case")).into_owned();
    Source {
        path: name.map_or("zam.yaml".into(), |name| {
            name.to_string_lossy().into_owned()
        }),
        text,
    }
}

/// The jobs, and the faults as they are printed.
fn outcome(sources: &[Source]) -> (String, Vec<String>) {
    match load(sources) {
        Ok((config, faults)) => (
            config
                .jobs()
                .map(|job| format!("{} every {}\n", job.path(), job.period))
                .collect(),
            faults
                .iter()
                .map(|fault| fault.render(sources) + "\n")
                .collect(),
        ),
        Err(fault) => (
            "not read at all:\n".into(),
            vec![fault.render(sources) + "\n"],
        ),
    }
}

#[test]
fn every_case_reads_as_recorded() {
    for (expected, files) in cases(Path::new("tests/config")) {
        let (jobs, faults) = outcome(&files.iter().map(source).collect::<Vec<_>>());
        let got = jobs + &faults.concat();
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &got).expect("writing the case");
        }
        assert_eq!(
            fs::read_to_string(&expected).unwrap_or_default(),
            got,
            "{}",
            expected.display()
        );
    }
}

/// What an advice says, in one way or another; a fault without any is only a complaint.
const ADVICE: [&str; 27] = [
    "write",
    "did you mean",
    "there is",
    "there are",
    "needs",
    "is wanted",
    "name ",
    "use ",
    "say ",
    "give ",
    "exclude it",
    "must",
    "defines no",
    "allows",
    "the keys here",
    "neither",
    "from ",
    "leave",
    "choose",
    "put ",
    "close",
    "quote",
    "no place",
    "indent",
    "remove",
    "define",
    "begins with",
];

#[test]
fn every_fault_has_its_place_and_its_advice() {
    let faults = cases(Path::new("tests/config"))
        .iter()
        .flat_map(|(_, files)| outcome(&files.iter().map(source).collect::<Vec<_>>()).1)
        .collect::<Vec<_>>();
    for fault in &faults {
        let lines: Vec<&str> = fault.lines().collect();
        let [message, text, caret] = lines[..] else {
            panic!("not a message, a line and a caret: {fault}")
        };
        let (place, said) = message.split_once(": ").expect("a place");
        let numbers: Vec<usize> = place
            .split(':')
            .skip(1)
            .map(|n| n.parse().expect("a number"))
            .collect();
        assert!(place.contains(".yaml:") && numbers.len() == 2, "{fault}");
        let offset = caret.chars().count() - caret.find('|').expect("a margin") - 2;
        assert!(
            caret.ends_with('^') && text.starts_with(&format!(" {} |", numbers[0])),
            "{fault}"
        );
        assert_eq!(
            offset, numbers[1],
            "the caret stands below the column: {fault}"
        );
        assert!(
            ADVICE.iter().any(|advice| said.contains(advice)),
            "no advice: {fault}"
        );
    }
    assert!(faults.len() >= 60, "{} faults", faults.len());
}
