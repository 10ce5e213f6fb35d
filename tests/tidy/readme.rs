//! What the documents promise: every fault code is explained, every example in README is valid.

use windhover::base::fault::FaultCode;
use windhover::config::{Inputs, load};

use super::{assert_clean, tree};

/// Compares the codes of the daemon with the headings of faults.md: `## CAM-001: the camera is not there`.
fn fault_breaches(known: &[(&str, &str)], document: &str) -> Vec<String> {
    let headings: Vec<&str> = document.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let wanted: Vec<String> = known.iter().map(|(code, title)| format!("{code}: {title}")).collect();
    let mut found = Vec::new();
    for heading in &wanted {
        let copies = headings.iter().filter(|have| *have == heading).count();
        if copies != 1 {
            found.push(format!("`## {heading}` stands {copies} times, not once"));
        }
        let section = document.split(&format!("## {heading}\n")).nth(1).unwrap_or_default();
        let section = section.split("\n## ").next().unwrap_or_default();
        for part in ["Meaning:", "Cause:", "Cure:"] {
            if copies == 1 && !section.contains(part) {
                found.push(format!("`## {heading}` has no \"{part}\""));
            }
        }
    }
    let unknown = headings.iter().filter(|have| !wanted.iter().any(|heading| heading == *have));
    found.extend(unknown.map(|heading| format!("`## {heading}` is no fault code of the daemon, or has another title")));
    found
}

/// The fenced blocks of one language, with the line each begins at.
fn fenced(document: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut open: Option<&str> = None;
    for (number, line) in document.lines().enumerate() {
        match (line.trim().strip_prefix("```"), open) {
            (Some(name), None) => {
                open = Some(name);
                blocks.extend((name == language).then(|| (number + 1, String::new())));
            }
            (Some(_), Some(_)) => open = None,
            (None, Some(name)) if name == language => {
                let block = &mut blocks.last_mut().expect("the block was begun with its fence").1;
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

/// The one place that says whether an example is a valid configuration.
fn check_config_example(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("windhover.toml");
    std::fs::write(&file, text).expect("and a file in it");
    let (_, problems) = load(&Inputs { named: Some(file), ..Inputs::default() });
    if problems.is_empty() { Ok(()) } else { Err(problems.to_string()) }
}

fn example_breaches(document: &str) -> Vec<String> {
    let blocks = fenced(document, "toml").into_iter();
    blocks.filter_map(|(line, text)| check_config_example(&text).err().map(|e| format!("line {line}: {e}"))).collect()
}

fn document(path: &str) -> String {
    std::fs::read_to_string(tree::root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn every_fault_code_is_explained() {
    let known: Vec<(&str, &str)> = FaultCode::ALL.iter().map(|fault| (fault.code(), fault.title())).collect();
    assert_clean(
        "src/docs/faults.md explains the fault codes",
        &fault_breaches(&known, &document("src/docs/faults.md")),
    );
}

#[test]
fn examples_in_readme_are_valid() {
    let readme = document("README.md");
    assert!(!fenced(&readme, "toml").is_empty(), "README shows a configuration");
    assert_clean("README's configurations are valid", &example_breaches(&readme));
    for command in ["tools/run", "tools/test"] {
        assert!(readme.contains(command), "README shows {command}");
    }
}

#[test]
fn planted_faults_are_seen() {
    let known = [("CAM-001", "gone")];
    let good = "# Faults\n\n## CAM-001: gone\nMeaning: a\nCause: b\nCure: c\n";
    assert_eq!(fault_breaches(&known, good).len(), 0);
    assert_eq!(fault_breaches(&known, "").len(), 1, "missing");
    assert_eq!(fault_breaches(&known, &good.replace("gone", "away")).len(), 2, "another title");
    assert_eq!(fault_breaches(&known, &good.replace("Cure: c", "")).len(), 1, "no cure");
    assert_eq!(fault_breaches(&known, &format!("{good}## CAM-002: x\n")).len(), 1, "unknown");
    assert_eq!(example_breaches("```toml\nboard = \"sim\"\n```\n```sh\n= = =\n```\n").len(), 0);
    assert_eq!(example_breaches("```toml\nbord = \"sim\"\n```\n").len(), 1, "unknown key");
    assert_eq!(example_breaches("text\n```toml\na = = 1\n```\n").len(), 1);
}
