//! Single words of the configuration, each a type that parses it once: what is wrong with one would otherwise be said by
//! ssh or systemd, at night, and far from its line. Knows no YAML, and not where a word stands.

use std::str::FromStr;

/// An absolute path of a file.
pub struct AbsolutePath(pub String);

impl FromStr for AbsolutePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') || text.ends_with('/') {
            return Err(format!(
                "`{text}` is no file for a job: write its whole path, from / on"
            ));
        }
        Ok(AbsolutePath(text.into()))
    }
}

/// The name of a user, as systemd takes it.
pub struct User(pub String);

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if text.len() > 31
            || !text.chars().all(legal)
            || !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        {
            return Err(format!(
                "`{text}` is no user: use up to 31 letters, digits, _ and -, a letter first"
            ));
        }
        Ok(User(text.into()))
    }
}

/// A machine as ssh takes it: `user@machine`, or a name of ssh_config(5).
pub struct Ssh(pub String);

impl FromStr for Ssh {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // More colons are those of an IPv6 address.
        let has_port = text.matches(':').count() == 1 || text.starts_with("ssh://");
        if text.is_empty()
            || text.starts_with('-')
            || text.contains(char::is_whitespace)
            || has_port
        {
            return Err(format!(
                "`{text}` is no machine: write user@machine (its port is `port`, anything else `options`)"
            ));
        }
        Ok(Ssh(text.into()))
    }
}

/// A port of TCP. A zero in front would make it octal in YAML 1.1.
pub struct Port(pub u16);

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = text
            .parse()
            .ok()
            .filter(|_| text.starts_with(|c: char| ('1'..='9').contains(&c)));
        port.map(Port)
            .ok_or_else(|| format!("`{text}` is no port: write a number from 1 to {}", u16::MAX))
    }
}

/// An option of ssh_config(5): `Ciphers=aes128-ctr`.
pub struct SshOption(pub String);

impl FromStr for SshOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('-') || !text.contains(['=', ' ']) {
            return Err(format!(
                "`{text}` is no option of ssh_config(5): write it like Compression=yes"
            ));
        }
        Ok(SshOption(text.into()))
    }
}

/// Bytes a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(pub u64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const UNITS: [(&str, u64); 7] = [
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("kB", 1_000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("B", 1),
        ];
        let parse = || {
            let amount = text.strip_suffix("/s")?;
            let (unit, size) = UNITS.iter().find(|(unit, _)| amount.ends_with(unit))?;
            let number: f64 = amount.strip_suffix(unit)?.trim().parse().ok()?;
            let rate = number * *size as f64;
            (1.0..1e15).contains(&rate).then_some(Rate(rate as u64))
        };
        parse().ok_or_else(|| format!("`{text}` is no rate; write one like 50MiB/s (B, KiB, MiB, GiB, kB, MB or GB a second)"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Compression {
    Zstd,
}

impl Compression {
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
        (text == "zstd")
            .then_some(Compression::Zstd)
            .ok_or_else(|| format!("`{text}` is no compression that zam has; there is zstd"))
    }
}

/// Whether a job that found no idle moment runs at its window's last slot all the same.
#[derive(Clone, Copy, Debug)]
pub struct Otherwise(pub bool);

impl FromStr for Otherwise {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "run" => Ok(Otherwise(true)),
            "skip" => Ok(Otherwise(false)),
            _ => Err(format!(
                "`{text}`: say `skip`, or `run` (at the window's last slot)"
            )),
        }
    }
}

/// How many datasets go side by side.
#[derive(Clone, Copy, Debug)]
pub struct Parallel(pub u8);

impl FromStr for Parallel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|n| (1..=8).contains(n));
        number
            .map(Parallel)
            .ok_or_else(|| format!("`{text}`: from 1 to 8 datasets can go side by side"))
    }
}
