//! What operators write: configuration files and environment variables.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::LazyLock;

use windhover::board::{Board, detect};
use windhover::config::problem::{Place, Problems};
use windhover::config::schema::BoardName;
use windhover::config::{Config, Environment, Inputs, load};
use windhover::plan;
use windhover::plan::inventory::Inventory;

const INVENTORIES: [&str; 3] = [
    include_str!("../../plan/inventories/laptop-uvc.json"),
    include_str!("../../plan/inventories/orin-nano.json"),
    include_str!("../../plan/inventories/sim-range.json"),
];

/// Reading every board's profile takes longer than all the rest: each inventory has its board once and for all.
static MACHINES: LazyLock<Vec<(Inventory, Board)>> = LazyLock::new(|| {
    let read = |text| serde_json::from_str::<Inventory>(text).expect("a golden inventory");
    let machines = INVENTORIES.map(read).into_iter();
    machines.map(|i| (i.clone(), detect(None, &i.compatible).expect("nobody names another"))).collect()
});

static DEFAULTS: LazyLock<Config> = LazyLock::new(|| load(&Inputs::default()).0);

/// Any file: a configuration, or problems with places in the file. Whatever it says, a Plan can be made.
pub fn config(data: &[u8]) {
    let (config, problems) = load_file(data, Environment::new());
    let text = std::str::from_utf8(data).ok();
    check_problems(&problems, text);
    check_secret(&problems, &String::from_utf8_lossy(data));
    // Keys are quoted whole, twice at most.
    let allowed = 3 * data.len() + 200 * 2000;
    assert!(problems.to_string().len() <= allowed, "{} bytes about {} bytes", problems.to_string().len(), data.len());
    check_plan(&config, data.len());
}

/// Lines `NAME=value`, over a file with every key.
pub fn environment(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let environment: Environment = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (config, problems) = load_file(b"[[stream]]\nid = \"live\"\n[[stream]]\nid = \"two\"\n", environment.clone());
    for problem in problems.iter() {
        match &problem.place {
            Place::Variable(name) => assert!(environment.contains_key(name), "{problem}"),
            place => assert!(!matches!(place, Place::File { line: 0, .. }), "{problem}"),
        }
    }
    check_problems(&problems, None);
    check_secret(&problems, &text);
    check_plan(&config, data.len());
}

/// Through the real door, a file; unlinked, so that a killed run leaves none behind.
fn load_file(data: &[u8], environment: Environment) -> (Config, Problems) {
    let mut file = tempfile::tempfile().expect("a temporary file can be made");
    file.write_all(data).expect("and written");
    let named = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let inputs = Inputs { named: Some(named), environment, ..Inputs::default() };
    let (config, problems) = load(&inputs);
    if data.len().is_multiple_of(8) {
        assert_eq!((&config, &problems), (&load(&inputs).0, &load(&inputs).1), "the same text means the same");
    }
    (config, problems)
}

fn check_problems(problems: &Problems, text: Option<&str>) {
    assert!(problems.len() <= 201);
    for problem in problems.iter() {
        assert!(!problem.message.is_empty());
        let printed = format!("{}{}{}", problem.key, problem.message, problem.advice);
        assert!(!printed.contains(char::is_control), "{printed:?}");
        match (&problem.place, text) {
            (Place::File { line: 0, .. }, Some(_)) => panic!("no place: {problem}"),
            (Place::File { line, column, .. }, Some(text)) => {
                let found = text.split('\n').nth(line - 1).unwrap_or_else(|| panic!("no such line: {problem}"));
                assert!((1..=found.chars().count() + 1).contains(column), "no such column: {problem}");
            }
            _ => {}
        }
    }
}

/// A password that stands in URLs only is not repeated.
fn check_secret(problems: &Problems, text: &str) {
    if text.matches("s3cret").count() == text.matches("://pilot:s3cret@").count() {
        assert!(!problems.to_string().contains("s3cret"), "{problems}");
    }
}

fn check_plan(config: &Config, choice: usize) {
    assert!((1..=16).contains(&config.settings.stream.len()));
    let (inventory, board) = &MACHINES[choice % MACHINES.len()];
    match config.settings.board {
        BoardName::Auto => make_plan(config, board, inventory),
        BoardName::Named(_) => make_plan(config, &plan::board(config, &inventory.compatible).0, inventory),
    }
}

/// A Plan, its text and its JSON.
fn make_plan(config: &Config, board: &Board, inventory: &Inventory) {
    let resolution = plan::resolve(config, board, inventory);
    assert_eq!(resolution.plan.streams.len(), config.settings.stream.len());
    assert!(resolution.problems.len() <= 201);
    assert!(!plan::text(&resolution.plan).is_empty());
    serde_json::to_string(&resolution.plan).expect("a Plan is plain data");
}

/// The Plan of nobody's configuration on a machine.
pub(super) fn plan_defaults(inventory: &Inventory) {
    make_plan(&DEFAULTS, &MACHINES[0].1, inventory);
}
