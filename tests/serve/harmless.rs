//! What a key of `zam serve` must never do, for the tests and for the fuzzer (fuzz/).

use zam::core::serve::Role;

/// Told in other words than in the program: which options there are, where names lie, and what each role destroys.
pub(crate) fn is_harmless(role: Role, programs: &[Vec<String>]) -> bool {
    let words: Vec<&str> = programs.iter().flatten().map(String::as_str).collect();
    if words.contains(&"zpool") {
        return words == ["zpool", "status", "nas"];
    }
    let is_within = |name: &str| {
        let dataset = name.split(['@', '#']).next().unwrap_or_default();
        let mut components = dataset.split('/');
        let root = (components.next(), components.next());
        let is_root = root == (Some("nas"), Some("zam")) || root == (Some("nas"), Some("by name"));
        is_root && components.all(|part| !["", ".", ".."].contains(&part))
    };
    let has_names_within = words
        .iter()
        .filter(|word| word.contains(['/', '@', '#']))
        .all(|name| is_within(name));
    let is_option = |word: &&&str| word.starts_with('-');
    let has_known_options = words.iter().filter(is_option).all(|option| {
        "-Hp -t -o -x -r -d -s -u -A -Lc -Lcw -LcnvP -LcwnvP -i -I -wt -qc -dqc"
            .split(' ')
            .any(|known| known == *option)
    });
    let grants = words.get(1) == Some(&"allow") && words.len() != 3;
    let destroys = words.get(1) == Some(&"destroy");
    let may_destroy = match role {
        Role::Push => words.last().is_some_and(|name| name.contains("@zam_")),
        Role::AppendOnly => false,
        Role::ReadOnly => words.last().is_some_and(|name| name.contains("#zam_")),
    };
    let is_read_only = !words.contains(&"receive") && !words.contains(&"create");
    has_names_within
        && has_known_options
        && !grants
        && (!destroys || may_destroy && words.len() == 3)
        && (role != Role::ReadOnly || is_read_only)
}
