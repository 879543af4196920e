//! The house's rules, read from its sources: imports point down, in no circle; the core touches nothing outside; what
//! the generator reaches links nothing of D-Bus, logging or the command line; the map names what there is; and no variable
//! has the name of the function that fills it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex_lite::Regex;

/// The text of each module, without comments and unit tests, by a path such as `core::span`.
type Modules = BTreeMap<String, String>;
/// What each module imports, or names by its full path.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files_below = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        match entry.expect("an entry").path() {
            path if path.is_dir() => files_below.extend(files(&path)),
            path => files_below.push(path),
        }
    }
    files_below
}

fn modules() -> Modules {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let comment = Regex::new(r"//.*").expect("a pattern");
    let mut modules = Modules::new();
    let mut sources = [files(&root.join("src")), files(&root.join("generator"))].concat();
    sources.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    for file in sources {
        let text = fs::read_to_string(&file).expect("a source");
        let (code, _) = text.split_once("#[cfg(test)]\nmod ").unwrap_or((&text, ""));
        let path = file
            .strip_prefix(root)
            .expect("a path below the root")
            .with_extension("")
            .display()
            .to_string();
        let path = path
            .trim_start_matches("src/")
            .trim_end_matches("/mod")
            .replace('/', "::");
        modules.insert(path, comment.replace_all(code, "").into_owned());
    }
    modules
}

fn arrows(modules: &Modules) -> Arrows {
    let child = Regex::new(r"\buse (\w+)\b").expect("a pattern");
    let named = Regex::new(r"\b(crate|zam|super)::([\w:]*)(\{[^;]*\})?").expect("a pattern");
    let mut arrows = Arrows::new();
    for (module, text) in modules {
        let mut to = BTreeSet::new();
        for found in named.captures_iter(text) {
            let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
            let start = if &found[1] == "super" {
                format!("{parent}::{}", &found[2])
            } else {
                found[2].into()
            };
            let group = found.get(3).map_or("", |group| group.as_str());
            to.extend(
                leaves(&start, group)
                    .iter()
                    .filter_map(|path| module_of(path, modules)),
            );
        }
        let children = child
            .captures_iter(text)
            .map(|found| format!("{module}::{}", &found[1]));
        to.extend(children.filter(|child| modules.contains_key(child)));
        to.remove(module);
        arrows.insert(module.clone(), to);
    }
    arrows
}

/// The paths of an import: `a::` with `{b, c::{d, e}}` are a::b, a::c::d, a::c::e.
fn leaves(start: &str, group: &str) -> Vec<String> {
    let Some(inside) = group
        .strip_prefix('{')
        .and_then(|group| group.strip_suffix('}'))
    else {
        return vec![start.to_owned() + group];
    };
    let mut depth = 0;
    let mut items = vec![String::new()];
    for letter in inside.chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        match items.last_mut() {
            Some(item) if letter != ',' || depth > 0 => item.push(letter),
            _ => items.push(String::new()),
        }
    }
    let paths = items
        .iter()
        .map(|item| item.trim())
        .map(|item| item.split_at(item.find('{').unwrap_or(item.len())));
    paths
        .flat_map(|(path, group)| leaves(&format!("{start}{path}"), group))
        .collect()
}

/// The module in which the item with this path lies.
fn module_of(path: &str, modules: &Modules) -> Option<String> {
    let mut path = path.trim_start_matches("::").trim_end_matches("::");
    while !modules.contains_key(path) {
        path = path.rsplit_once("::")?.0;
    }
    Some(path.to_owned())
}

fn floor(module: &str) -> usize {
    let floors = ["core", "edge", "verbs"];
    floors
        .iter()
        .position(|floor| module.split("::").next() == Some(floor))
        .unwrap_or(floors.len())
}

fn upward(arrows: &Arrows) -> Vec<String> {
    let mut wrong = Vec::new();
    for (from, to) in arrows {
        wrong.extend(
            to.iter()
                .filter(|to| floor(to) > floor(from))
                .map(|to| format!("{from} imports {to}")),
        );
    }
    wrong
}

/// What is left when every module is taken away that imports none of those that are left: circles, and who leads there.
fn circles(arrows: &Arrows) -> BTreeSet<&String> {
    let mut left: BTreeSet<&String> = arrows.keys().collect();
    loop {
        let before = left.len();
        let is_in_the_way = left.clone();
        left.retain(|module| arrows[*module].iter().any(|to| is_in_the_way.contains(to)));
        if left.len() == before {
            return left;
        }
    }
}

#[test]
fn imports_point_down_and_in_no_circle() {
    let arrows = arrows(&modules());
    assert!(
        arrows.values().map(BTreeSet::len).sum::<usize>() > 200,
        "so few imports: are they all read?"
    );
    assert_eq!(upward(&arrows), Vec::<String>::new());
    assert_eq!(circles(&arrows), BTreeSet::new());
}

#[test]
fn the_core_touches_nothing_outside() {
    let outside =
        Regex::new(r"\bstd::(\{[^}]*\b)?(fs|env|process|net|thread)\b|\bInstant\b|\bSystemTime\b")
            .expect("a pattern");
    for (module, text) in modules().iter().filter(|(module, _)| floor(module) == 0) {
        let found = outside.find(text).map(|found| found.as_str());
        assert_eq!(found, None, "{module}");
    }
}

#[test]
fn the_generator_reaches_nothing_heavy() {
    let modules = modules();
    let heavy = Regex::new(r"\b(zbus|tracing\w*|clap|sd_notify)::").expect("a pattern");
    let arrows = arrows(&modules);
    let mut reached = BTreeSet::from(["generator::main".to_owned()]);
    loop {
        let more: BTreeSet<String> = reached
            .iter()
            .flat_map(|module| arrows[module].clone())
            .collect();
        if more.is_subset(&reached) {
            break;
        }
        reached.extend(more);
    }
    assert!(reached.contains("core::units"), "{reached:?}");
    for module in reached {
        let found = heavy.find(&modules[&module]).map(|found| found.as_str());
        assert_eq!(found, None, "{module}");
    }
}

#[test]
fn the_map_names_nothing_that_is_gone() {
    let named = Regex::new(r"`([\w./-]+(?:/|\.rs|\.sh|\.5))`").expect("a pattern");
    let map = fs::read_to_string("src/README.md").expect("the map");
    let mut there = Vec::new();
    for directory in ["src", "generator", "tests", "units", "man"] {
        there.extend(files(Path::new(directory)));
    }
    let names = named.captures_iter(&map).filter_map(|found| found.get(1));
    let names: Vec<&str> = names.map(|name| name.as_str()).collect();
    assert!(names.len() > 40, "so few names: {names:?}");
    for name in names {
        let is_there = there.iter().any(|path| path.ends_with(name))
            || Path::new(name).is_dir()
            || Path::new("src").join(name).is_dir();
        assert!(is_there, "src/README.md names `{name}`");
    }
}

#[test]
fn what_breaks_a_rule_is_found() {
    let text = |code: &str| code.to_owned();
    let modules = Modules::from([
        (
            "core::a".into(),
            text("use crate::{core::b::B, edge::{c, d::D}};"),
        ),
        ("core::b".into(), text("use super::a::A;")),
        ("edge::c".into(), text("fn f() { crate::verbs::e::run() }")),
        ("edge::d".into(), text("use std::fs;")),
        ("verbs::e".into(), text("use super::super::core;")),
    ]);
    let arrows = arrows(&modules);
    let wrong = [
        "core::a imports edge::c",
        "core::a imports edge::d",
        "edge::c imports verbs::e",
    ];
    assert_eq!(upward(&arrows), wrong);
    assert_eq!(
        circles(&arrows).into_iter().collect::<Vec<_>>(),
        ["core::a", "core::b"]
    );
}

#[test]
fn no_variable_has_the_name_of_the_function_that_fills_it() {
    let filled = Regex::new(r"\blet (?:\w+\()?(?:mut )?(\w+)\)? = (\w+)\(").expect("a pattern");
    for (module, text) in modules() {
        for found in filled.captures_iter(&text) {
            assert_ne!(found[1], found[2], "{module}");
        }
    }
}
