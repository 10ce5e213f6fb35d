//! Tables of layers, and what comes of them.

use super::*;
use crate::config::problem::Place;
use crate::config::schema::{self, SourceKind};
use crate::config::tests::{Files, env};
use crate::config::{Inputs, load};

#[test]
fn a_later_layer_wins_key_by_key() {
    let files = Files::new();
    let vendor = files.write("10-vendor.toml", "[limits]\nmax_viewers = 5\n[storage]\nimages = 7\n");
    let admin = files.write("admin.toml", "[limits]\nmax_viewers = 6\n");
    let layers = vec![Layer::File(vendor), Layer::File(files.dir.path().join("absent")), Layer::File(admin.clone())];
    let (config, problems) = load(&Inputs { layers, ..Inputs::default() });
    assert_eq!(problems.to_string(), "");
    assert_eq!((config.settings.limits.max_viewers, config.settings.storage.images), (6, 7));
    assert_eq!(config.origins.place("limits.max_viewers"), Place::File { path: admin, line: 2, column: 15 });
    assert_eq!(config.files.len(), 2);
}

/// Streams of two layers, as "id fps kind" of each, and the problems.
fn merged(low: &str, high: &str) -> (Vec<String>, String) {
    let files = Files::new();
    let (low, high) = (files.write("low.toml", low), files.write("high.toml", high));
    let inputs = Inputs { layers: vec![Layer::File(low), Layer::File(high.clone())], ..Inputs::default() };
    let (config, problems) = load(&inputs);
    let short = |s: &schema::Stream| format!("{} {} {:?}", s.id, s.fps, s.source.kind);
    let problems = problems.to_string().replace(&high.display().to_string(), "high");
    (config.settings.stream.iter().map(short).collect(), problems)
}

#[test]
fn streams_of_layers_are_merged_by_id() {
    let two = "[[stream]]\nid = \"a\"\nfps = 5\n[[stream]]\nid = \"b\"\nsource = { kind = \"test\" }\n";
    let table: [(&str, &str, &[&str], &str); 9] = [
        ("", two, &["a 5 Auto", "b 30 Test"], ""),
        (two, "", &["a 5 Auto", "b 30 Test"], ""),
        (two, "[[stream]]\nid = \"b\"\nfps = 9\n", &["a 5 Auto", "b 9 Test"], ""),
        (two, "[[stream]]\nid = \"b\"\nfps = 9\n[[stream]]\nid = \"a\"\nfps = 8\n", &["a 8 Auto", "b 9 Test"], ""),
        (
            two,
            "[[stream]]\nid = \"c\"\nsource = { kind = \"file\", path = \"/x\" }\n",
            &["a 5 Auto", "b 30 Test", "c 30 File"],
            "",
        ),
        // Without an id it is the default's, "live".
        ("[[stream]]\nfps = 4\n", "[[stream]]\nflip = \"none\"\n", &["live 4 Auto"], ""),
        (
            two,
            "[[stream]]\nsource.kind = \"test\"\n",
            &["a 5 Auto", "b 30 Test", "live 30 Test"],
            "high:1:1: stream[2]: only the first stream may be called \"live\": /live is always the first one\n    give it another id",
        ),
        (
            two,
            "[[stream]]\nid = \"b\"\nfps = 6\n[[stream]]\nid = \"b\"\nsource.kind = \"test\"\n",
            &["a 5 Auto", "b 6 Test", "b 30 Test"],
            "high:5:6: stream[2].id: the id \"b\" is taken by the stream at high:2:6\n    give it another id",
        ),
        (
            two,
            "[[stream]]\nid = \"b\"\nfps = 0\n",
            &["a 5 Auto", "b 30 Test"],
            "high:3:7: stream[1].fps: \"0\" is no frame rate: write it like 30 or \"30000/1001\", from 1 to 240",
        ),
    ];
    for (low, high, want, problems) in table {
        assert_eq!(merged(low, high), (want.iter().map(|s| (*s).to_owned()).collect(), problems.to_owned()), "{high}");
    }
    let many = |prefix: &str, n: u32| -> String {
        (0..n).map(|i| format!("[[stream]]\nid = \"{prefix}{i}\"\nsource.kind = \"test\"\n")).collect()
    };
    let (streams, problems) = merged(&many("a", 10), &many("b", 7));
    assert_eq!(
        (streams.len(), problems.as_str()),
        (16, "high:19:1: stream: more than 16 of [[stream]] in all layers together")
    );
}

#[test]
fn a_source_is_said_as_a_whole() {
    let low = "[[stream]]\nsource = { kind = \"v4l2\", device = \"/dev/video0\", format = \"raw\" }\n";
    assert_eq!(merged(low, "[[stream]]\nsource = { kind = \"test\" }\n"), (vec!["live 30 Test".into()], String::new()));
    let (config, problems) = load(&Inputs {
        layers: vec![Layer::File(Files::new().write("gone", ""))],
        environment: env(&[("CAMERA", "2")]),
        ..Inputs::default()
    });
    assert_eq!((problems.to_string(), config.settings.stream[0].source.kind), (String::new(), SourceKind::V4l2));
    // Without a kind, only what is said is changed.
    let (streams, problems) = merged(low, "[[stream]]\nsource = { device = \"/dev/video1\" }\n");
    assert_eq!((streams, problems), (vec!["live 30 V4l2".into()], String::new()));
}

#[test]
fn folders_are_read_in_the_order_of_names() {
    let files = Files::new();
    let state = files.dir.path().join("state");
    std::fs::create_dir_all(state.join("config.d/sub.toml")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(state.join("config.d").join(name), text).unwrap();
    write("20-b.toml", "[limits]\nmax_viewers = 8\n");
    write("10-a.toml", "[limits]\nmax_viewers = 7\n[storage]\nimages = 3\n");
    write(".30-c.toml", "= broken");
    write("40-d.toml.new", "= broken");
    let inputs = Inputs::system(None, env(&[("STATE_DIRECTORY", &state.display().to_string())]));
    assert!(inputs.is_service() && !Inputs::default().is_service());
    // Whatever this machine itself has is left out.
    let inputs = Inputs { layers: inputs.layers[2..].to_vec(), ..inputs };
    let (config, problems) = load(&inputs);
    assert_eq!((config.settings.limits.max_viewers, config.settings.storage.images), (8, 3));
    let names: Vec<_> = config.files.iter().map(|f| f.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["10-a.toml", "20-b.toml"]);
    assert!(
        problems.len() == 1 && problems.to_string().contains("sub.toml: cannot be read: it is no regular"),
        "{problems}"
    );
    std::fs::remove_dir(state.join("config.d/sub.toml")).unwrap();
    (0..70).for_each(|n| write(&format!("x{n}.toml"), ""));
    let (_, problems) = load(&inputs);
    assert!(problems.len() == 1 && problems.to_string().contains("72 files, of at most 64"), "{problems}");
    let (config, _) = load(&Inputs { named: Some(state.join("config.d/10-a.toml")), ..inputs });
    assert_eq!(config.settings.limits.max_viewers, 7, "a named file is read alone");
}
