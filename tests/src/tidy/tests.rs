//! Each rule can be broken, and what looks alike does not break it.

use std::collections::BTreeMap;

use super::{Tree, check};

/// The findings about some files, a line each.
fn check_files(files: &[(&str, &str)], ratchet: &str) -> String {
    let owned = |(path, text): &(&str, &str)| (String::from(*path), String::from(*text));
    let files: BTreeMap<_, _> = files.iter().map(owned).collect();
    let findings = check(&Tree { files, ratchet: ratchet.to_owned() });
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

/// Asserts that a file breaks a rule at the given lines, with a reason that has `reason` in it.
#[track_caller]
fn assert_broken(path: &str, text: &str, lines: &[usize], reason: &str) {
    let found = check_files(&[(path, text)], "");
    let places: Vec<_> = found.lines().map(|line| line.split(": ").next().unwrap()).collect();
    let expected: Vec<_> = lines.iter().map(|line| format!("{path}:{line}")).collect();
    assert_eq!(places, expected, "{found}");
    assert!(found.lines().all(|line| line.contains(reason)), "{found}");
}

#[track_caller]
fn assert_kept(path: &str, text: &str) {
    assert_eq!(check_files(&[(path, text)], ""), "", "{text}");
}

/// A function of so many lines, from `fn` to the last brace.
fn function(name: &str, lines: usize) -> String {
    format!("fn {name}() {{\n{}}}\n", "    call();\n".repeat(lines - 2))
}

fn manifest(rest: &str) -> String {
    format!("[package]\nname = \"example\"\n{rest}")
}

#[test]
fn manifests_keep_the_directions() {
    let broken = [
        ("model", "engine"),
        ("engine", "net"),
        ("engine", "tools"),
        ("net", "engine"),
        ("master", "client"),
        ("master", "storaged"),
        ("storaged", "master"),
        ("client", "storaged"),
        ("tools/xtask", "model"),
    ];
    for (source, target) in broken {
        let path = format!("{source}/Cargo.toml");
        let reason = format!("{source} may not depend on {target}");
        for section in ["dependencies", "dev-dependencies", "target.'cfg(unix)'.dependencies"] {
            let text = manifest(&format!("[{section}]\nneolith-{target}.workspace = true\n"));
            assert_broken(&path, &text, &[4], &reason);
        }
    }
    let kept =
        [("engine", "model"), ("storaged", "engine"), ("client", "net"), ("tools", "master")];
    for (source, target) in kept {
        let text = manifest(&format!("[dependencies]\nneolith-{target}.workspace = true\n"));
        assert_kept(&format!("{source}/Cargo.toml"), &text);
    }
    let renamed =
        manifest("[dependencies]\ndisk = { package = \"neolith-engine\", path = \"..\" }\n");
    assert_broken("net/Cargo.toml", &renamed, &[4], "net may not depend on engine");
}

#[test]
fn manifests_keep_mappings_and_sockets_where_they_belong() {
    let with = |name: &str| manifest(&format!("[dependencies]\n{name} = \"1\"\n"));
    assert_broken("tools/Cargo.toml", &with("memmap2"), &[4], "only engine depends on memmap2");
    assert_broken("net/Cargo.toml", &with("io-uring"), &[4], "only engine depends on io-uring");
    assert_broken("engine/Cargo.toml", &with("mio"), &[4], "only net depends on mio");
    assert_kept("engine/Cargo.toml", &with("memmap2"));
    assert_kept("net/Cargo.toml", &with("mio"));
}

#[test]
fn manifests_are_of_known_crates_and_can_be_read() {
    assert_broken("stuff/Cargo.toml", &manifest(""), &[1], "directions of dependencies");
    assert_broken("model/Cargo.toml", "[package", &[1], "does not parse");
    assert_kept("Cargo.toml", "[workspace]\nmembers = []\n");
}

#[test]
fn paths_keep_the_directions() {
    let path = "engine/src/log.rs";
    assert_broken(path, "use net::Codec;\n", &[1], "engine may not know net");
    assert_broken(path, "fn f() {\n    net::encode();\n}\n", &[2], "engine may not know net");
    assert_broken(path, "#[cfg(test)]\nmod tests {\n    use tools::x;\n}\n", &[3], "tools");
    assert_kept(path, "use model::Oid;\nuse engine::Engine;\nuse crate::net::x;\n");
    assert_kept(
        path,
        "mod net;\nuse net::Local;\n// use net::Codec;\nconst A: &str = \"net::x\";\n",
    );
    assert_broken("storaged/src/a.rs", "use master::Log;\n", &[1], "storaged may not know master");
    assert_broken("tools/xtask/src/main.rs", "use engine::Engine;\n", &[1], "tools/xtask");
    assert_kept("tools/src/main.rs", "use engine::Engine;\n");
}

#[test]
fn one_file_of_net_knows_mio() {
    let one = ("net/src/event_loop.rs", "use mio::Poll;\n");
    assert_eq!(check_files(&[one], ""), "");
    let two = ("net/src/connection.rs", "fn f(t: mio::Token) {}\n");
    let reason = "mio is used in one file of net only, not in 2 files";
    let expected =
        format!("net/src/connection.rs:1: {reason}\nnet/src/event_loop.rs:1: {reason}\n");
    assert_eq!(check_files(&[one, two], ""), expected);
    assert_broken("storaged/src/event_loop.rs", "use mio::Poll;\n", &[1], "one file of net");
}

#[test]
fn disk_access_is_in_one_folder() {
    let cases = [
        ("fn f() {\n    unsafe { g() }\n}\n", 2, "`unsafe`"),
        ("unsafe impl Send for A {}\n", 1, "`unsafe`"),
        ("macro_rules! m {\n    () => {\n        unsafe {}\n    };\n}\n", 3, "`unsafe`"),
        ("use memmap2::Mmap;\n", 1, "memmap2"),
        ("fn f(ring: &io_uring::IoUring) {}\n", 1, "io_uring"),
        ("use std::fs;\n", 1, "opens files"),
        ("use std::{fmt, fs::File};\n", 1, "opens files"),
        ("fn f() {\n    std::fs::remove_file(x);\n}\n", 2, "opens files"),
    ];
    for (text, line, reason) in cases {
        assert_broken("engine/src/log.rs", text, &[line], reason);
        assert_kept("engine/src/disk/real.rs", text);
    }
    assert_kept("engine/src/log.rs", "// unsafe\nconst A: &str = \"unsafe\";\n");
    assert_kept("engine/src/log.rs", "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n");
    assert_kept("tools/src/import.rs", "use std::fs;\n");
    assert_broken("tools/src/import.rs", "unsafe fn f() {}\n", &[1], "`unsafe`");
}

#[test]
fn files_are_short() {
    let path = "engine/src/log.rs";
    assert_kept(path, &"// A line.\n".repeat(500));
    assert_broken(path, &"// A line.\n".repeat(501), &[1], "501 lines, but the limit is 500");
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    // A line.\n".repeat(1000));
    assert_kept(path, &format!("{}{tests}", "// A line.\n".repeat(500)));
    assert_broken(path, &format!("{}{tests}", "// A line.\n".repeat(501)), &[1], "501 lines");
    for path in ["engine/src/log/tests.rs", "engine/tests/crash.rs", "tests/tests/tidy.rs"] {
        assert_kept(path, &"// A line.\n".repeat(501));
    }
    assert_broken("tests/src/a.rs", &"// A line.\n".repeat(501), &[1], "501 lines");
}

#[test]
fn functions_are_short() {
    let path = "engine/src/log.rs";
    assert_kept(path, &function("f", 70));
    assert_broken(path, &function("f", 71), &[1], "71 lines, but the limit is 70");
    let method = format!("impl A {{\n{}}}\n", function("f", 71));
    assert_broken(path, &method, &[2], "71 lines");
    let default = format!("trait A {{\n{}}}\n", function("f", 71));
    assert_broken(path, &default, &[2], "71 lines");
    let test = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function("f", 71));
    assert_broken(path, &test, &[3], "71 lines");
}

#[test]
fn lines_are_short() {
    let line = |columns: usize| format!("// {}\n", "\u{e9}".repeat(columns - 3));
    assert_kept("model/src/a.rs", &line(100));
    assert_broken("model/src/a.rs", &line(101), &[1], "101 columns, but the limit is 100");
    assert_broken("tests/python/a.py", &line(101).replace("//", "##"), &[1], "101 columns");
    assert_kept("README.md", &line(300));
}

#[test]
fn the_ratchet_only_turns_one_way() {
    let path = "engine/src/log.rs";
    let long = "// A line.\n".repeat(510);
    let text = format!("{long}{}", function("f", 80));
    let check = |ratchet: &str| check_files(&[(path, &text)], ratchet);
    assert_eq!(check("# Comment.\n\n590 engine/src/log.rs\n80 engine/src/log.rs::f\n"), "");
    assert_eq!(
        check("589 engine/src/log.rs\n79 engine/src/log.rs::f\n"),
        "engine/src/log.rs:1: grew from 589 to 590 lines: the limit is 500\n\
         engine/src/log.rs:511: grew from 79 to 80 lines: the limit is 70\n"
    );
    assert_eq!(
        check("591 engine/src/log.rs\n81 engine/src/log.rs::f\n"),
        "tests/src/tidy/ratchet.txt:1: `engine/src/log.rs` shrank: lower 591 to 590\n\
         tests/src/tidy/ratchet.txt:2: `engine/src/log.rs::f` shrank: lower 81 to 80\n"
    );
    let short = function("f", 10);
    assert_eq!(
        check_files(&[(path, &short)], "600 engine/src/log.rs\n80 engine/src/log.rs::g\n"),
        "tests/src/tidy/ratchet.txt:1: `engine/src/log.rs` keeps the limit now: remove this line\n\
         tests/src/tidy/ratchet.txt:2: `engine/src/log.rs::g` does not exist: remove this line\n"
    );
    assert_eq!(
        check_files(&[(path, &text)], "590 engine/src/log.rs\n80 engine/src/log.rs::f\nmany a\n"),
        "tests/src/tidy/ratchet.txt:3: expected a size, a space and a path\n"
    );
    let twice = "590 engine/src/log.rs\n590 engine/src/log.rs\n80 engine/src/log.rs::f\n";
    assert_eq!(check(twice), "tests/src/tidy/ratchet.txt:2: `engine/src/log.rs` is listed twice\n");
}

#[test]
fn nothing_is_marked_as_unfinished() {
    for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")] {
        let text = format!("//! A file.\n// {mark}: more\n");
        assert_broken("model/src/a.rs", &text, &[2], mark);
        assert_broken("docs/format.md", &format!("({mark})\n"), &[1], mark);
        assert_kept("model/src/a.rs", &format!("const {mark}S: u8 = 1;\n"));
    }
    assert_broken("model/src/a.rs", "fn f() {\n    todo!()\n}\n", &[2], "`todo!`");
    assert_broken(
        "model/src/a.rs",
        "fn f() {\n    unimplemented!()\n}\n",
        &[2],
        "`unimplemented!`",
    );
    assert_kept("model/src/a.rs", "// todo!\nfn todo() {}\n");
}

#[test]
fn tests_neither_sleep_nor_are_ignored() {
    let sleeping = "fn f() {\n    std::thread::sleep(second);\n}\n";
    let in_module = format!("#[cfg(test)]\nmod tests {{\n{sleeping}}}\n");
    assert_broken("engine/src/log.rs", &in_module, &[4], "a test that sleeps");
    assert_broken("engine/tests/log.rs", sleeping, &[2], "a test that sleeps");
    assert_broken("tests/tests/process.rs", sleeping, &[2], "a test that sleeps");
    assert_kept("tools/src/bench.rs", sleeping);
    let ignored = "#[test]\n#[ignore]\nfn f() {}\n";
    assert_broken("engine/tests/log.rs", ignored, &[2], "ignored test");
    let ignored = "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n";
    assert_broken("engine/tests/log.rs", ignored, &[2], "ignored test");
}

#[test]
fn lints_are_expected_with_a_reason() {
    let path = "engine/src/log.rs";
    assert_broken(path, "#[allow(dead_code)]\nfn f() {}\n", &[1], "use `expect`");
    assert_broken(path, "#![allow(dead_code)]\n", &[1], "use `expect`");
    assert_broken(path, "#![cfg_attr(test, allow(dead_code))]\n", &[1], "use `expect`");
    assert_broken(path, "#[expect(dead_code)]\nfn f() {}\n", &[1], "needs a reason");
    assert_kept(path, "#[expect(dead_code, reason = \"for the example\")]\nfn f() {}\n");
    assert_kept(path, "fn allow(a: u8) {\n    let _ = [allow(a)];\n}\n");
}

#[test]
fn modules_are_named_for_what_is_in_them() {
    for name in ["util", "utils", "common", "helper", "helpers", "misc"] {
        assert_broken(&format!("engine/src/{name}.rs"), "//! A.\n", &[1], "says nothing");
        assert_broken(&format!("engine/src/{name}/log.rs"), "//! A.\n", &[1], "says nothing");
        assert_broken(&format!("{name}/a.md"), "A.\n", &[1], "says nothing");
        assert_broken("engine/src/a.rs", &format!("\nmod {name} {{}}\n"), &[2], "says nothing");
    }
    assert_kept("engine/src/commonplace.rs", "mod helpful;\n");
}

#[test]
fn library_roots_are_tables_of_contents() {
    let reason = "is a table of contents: move `f`";
    for path in ["engine/src/lib.rs", "engine/src/disk/mod.rs"] {
        assert_broken(path, "fn f() {}\n", &[1], reason);
        assert_broken(path, "impl A {\n    fn f() {}\n}\n", &[2], reason);
        assert_broken(path, "mod inner {\n    fn f() {}\n}\n", &[2], reason);
        assert_kept(path, "trait A {\n    fn f();\n    fn g() {}\n}\n");
        assert_kept(path, "impl A for B {\n    fn f() {}\n}\n");
        assert_kept(path, "mod a;\npub use a::A;\n#[cfg(test)]\nmod tests {\n    fn f() {}\n}\n");
    }
    assert_kept("engine/src/log.rs", "fn f() {}\n");
    assert_kept("engine/tests/model/mod.rs", "fn f() {}\n");
}

#[test]
fn what_does_not_parse_is_a_finding() {
    assert_broken("model/src/a.rs", "\nfn f() {\n", &[2], "does not parse");
    assert_broken("model/src/a.rs", "\nfn fn f() {}\n", &[2], "does not parse");
}
