//! Single words of the configuration. Each is parsed once, because ssh or systemd would otherwise complain of a wrong
//! word at night, and far from its line. Knows no YAML, and not to which key a word belongs.

use std::str::FromStr;

/// Any text. A program cannot be given a NUL.
pub fn text(text: &str) -> Result<String, String> {
    match text {
        "" => Err("a text is wanted here, not nothing".into()),
        _ if text.contains('\0') => Err("a program cannot be given a text with a NUL in it".into()),
        _ => Ok(text.into()),
    }
}

/// A value that YAML 1.1 and 1.2 call true or false.
pub fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Ok(true),
        "false" | "no" | "off" => Ok(false),
        _ => Err(format!(
            "`{text}` is neither true nor false; write one of them"
        )),
    }
}

/// The absolute path of a file.
pub fn file(text: &str) -> Result<String, String> {
    if !text.starts_with('/') || text.ends_with('/') || text.contains(char::is_control) {
        return Err(format!(
            "`{text}` is not the absolute path of a file: write its whole path, from / on"
        ));
    }
    Ok(text.into())
}

/// The name of a user, as systemd takes it.
pub fn user(text: &str) -> Result<String, String> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if text.len() > 31 || !starts_well || !text.chars().all(is_legal) {
        return Err(format!(
            "`{text}` is not a valid user name: use up to 31 letters, digits, _ and -, a letter first"
        ));
    }
    Ok(text.into())
}

/// A machine as ssh takes it: `user@machine`, or a name of ssh_config(5).
pub fn ssh(text: &str) -> Result<String, String> {
    // A single colon separates a port; an IPv6 address has more.
    let has_port = text.matches(':').count() == 1 || text.starts_with("ssh://");
    let has_space = text.contains(char::is_whitespace);
    if text.is_empty() || text.starts_with('-') || has_space || has_port {
        return Err(format!(
            "`{text}` is not a machine for ssh: write user@machine (its port is `port`, anything else `options`)"
        ));
    }
    Ok(text.into())
}

/// An option of ssh_config(5), such as `Ciphers=aes128-ctr`.
pub fn ssh_option(text: &str) -> Result<String, String> {
    if text.starts_with('-') || !text.contains(['=', ' ']) {
        return Err(format!(
            "`{text}` is not an option of ssh_config(5): write it like Compression=yes"
        ));
    }
    Ok(text.into())
}

/// A TCP port. It must not begin with a zero, which would make it octal in YAML 1.1.
pub fn port(text: &str) -> Result<u16, String> {
    let starts_well = text.starts_with(|c| ('1'..='9').contains(&c));
    let port = text.parse().ok().filter(|_| starts_well);
    port.ok_or_else(|| {
        format!(
            "`{text}` is not a port: write a number from 1 to {}",
            u16::MAX
        )
    })
}

/// How many datasets go side by side.
pub fn parallel(text: &str) -> Result<u8, String> {
    let number = text.parse().ok().filter(|n| (1..=8).contains(n));
    number.ok_or_else(|| format!("`{text}`: from 1 to 8 datasets can go side by side"))
}

/// Whether a job that found no idle moment runs all the same at the last slot of its window.
pub fn otherwise(text: &str) -> Result<bool, String> {
    match text {
        "run" => Ok(true),
        "skip" => Ok(false),
        _ => Err(format!(
            "`{text}`: say `skip`, or `run` (at the window's last slot)"
        )),
    }
}

/// Bytes a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(pub u64);

impl Rate {
    fn read(text: &str) -> Option<Rate> {
        const UNITS: [(&str, u64); 7] = [
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("kB", 1_000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("B", 1),
        ];
        let amount = text.strip_suffix("/s")?;
        let (unit, size) = UNITS.iter().find(|(unit, _)| amount.ends_with(unit))?;
        let number: f64 = amount.strip_suffix(unit)?.trim().parse().ok()?;
        let rate = number * *size as f64;
        (1.0..1e15).contains(&rate).then_some(Rate(rate as u64))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Rate::read(text).ok_or_else(|| {
            format!(
                "`{text}` is not a rate; write one like 50MiB/s (B, KiB, MiB, GiB, kB, MB or GB a second)"
            )
        })
    }
}

/// The program that packs a stream and unpacks it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Compression {
    Zstd,
}

impl Compression {
    pub const ALL: [Compression; 1] = [Compression::Zstd];

    /// Packs with `-c`, unpacks with `-dc`, from standard input to standard output.
    pub fn program(self) -> &'static str {
        match self {
            Compression::Zstd => "zstd",
        }
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "zstd" => Ok(Compression::Zstd),
            _ => Err(format!(
                "`{text}` is not a compression that zam has; there is zstd"
            )),
        }
    }
}
