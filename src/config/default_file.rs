//! The commented default file, generated from the schema: every key with its reference and its default.

use super::schema::Settings;
use super::section::{Key, Section, Shape};

/// The text of the file. Loading it gives exactly the built-in defaults.
pub fn text() -> String {
    let mut out = String::from(
        "# Windhover: every key with its meaning and its default. Leave out what you do not change.\n\
         # Layers: built-in < /usr/share/windhover/*.toml < /etc/windhover/windhover.toml < config.d/*.toml in the state\n\
         # directory (/var/lib/windhover) < environment (WINDHOVER_<SECTION>__<KEY>, such as WINDHOVER_RTSP__LISTEN).\n\
         # `windhover check` says what will run, `windhover check --sources` which layer set what.\n",
    );
    table(Settings::KEYS, "", &mut out);
    out
}

/// First the values of a table, then the tables in it: TOML allows no other order.
fn table(keys: &[Key], at: &str, out: &mut String) {
    for key in keys {
        if let Shape::Value { optional } = key.shape {
            out.push('\n');
            comment(key.docs, out);
            let line =
                if optional { format!("# {} =\n", key.name) } else { format!("{} = {}\n", key.name, key.default) };
            out.push_str(&line);
        }
    }
    for key in keys {
        let path = if at.is_empty() { key.name.to_owned() } else { format!("{at}.{}", key.name) };
        let (inner, head) = match key.shape {
            Shape::Value { .. } => continue,
            Shape::Table(inner) => (inner, format!("[{path}]")),
            Shape::Tables(inner) => (inner, format!("[[{path}]]")),
        };
        out.push('\n');
        comment(key.docs, out);
        out.push_str(&head);
        out.push('\n');
        table(inner, &path, out);
    }
}

fn comment(docs: &[&str], out: &mut String) {
    for line in docs {
        out.push('#');
        out.push_str(line);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, load};

    /// `WINDHOVER_BLESS=1 cargo test default_file` writes it anew.
    #[test]
    #[allow(clippy::disallowed_methods)]
    fn the_committed_file_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/windhover.toml");
        if std::env::var_os("WINDHOVER_BLESS").is_some() {
            std::fs::write(path, text()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == text(), "src/config/windhover.toml is not what the schema says: see this test's comment");
    }

    #[test]
    fn loading_it_gives_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("windhover.toml");
        std::fs::write(&path, text()).unwrap();
        let (config, problems) = load(&Inputs { named: Some(path), ..Inputs::default() });
        assert_eq!(problems.to_string(), "");
        assert_eq!(config.settings, Settings::default());
    }
}
