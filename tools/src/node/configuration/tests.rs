use super::*;

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("there is a place for temporary files");
    std::fs::write(file.path(), text).expect("it can be written");
    file
}

fn storage(text: &str, line: &str) -> Result<StorageArgs, String> {
    let file = file(text);
    let mut all = words(line);
    all.push("-f".into());
    all.push(file.path().into());
    let path = file.path().display().to_string();
    configured(&all).map_err(|failure: Failure| failure.to_string().replace(&path, "FILE"))
}

#[test]
fn short_and_long_options() {
    let line = "-c site -m 127.0.0.1:1 -b 127.0.0.1:0 -A 2 -r 1 -p 24 -i -268435455 -l log";
    let short: MasterArgs = configured(&words(line)).unwrap();
    let line = "--cluster site --masters 127.0.0.1:1 --bind 127.0.0.1:0 --autostart 2 \
                --replicas 1 --partitions 24 --nid -268435455 --logfile log";
    let long: MasterArgs = configured(&words(line)).unwrap();
    assert_eq!(format!("{short:?}"), format!("{long:?}"));
    assert_eq!(long.nid.map(|nid| nid.to_string()).as_deref(), Some("M1"));
}

#[test]
fn a_file_and_the_command_line() {
    let text = "[DEFAULT]\ncluster = site\nmasters = 127.0.0.1:1 [::1]:2\nreplicas = 1\n\
                [storage]\nbind = 127.0.0.1:3\ndatabase = db\ndisable_pack = yes\n\
                disable-drop-partitions = off\n";
    let args = storage(text, "-c other").unwrap();
    assert_eq!(args.common.cluster.as_deref(), Some("other"));
    assert_eq!(args.common.masters.as_ref().map(|masters| masters.0.len()), Some(2));
    assert_eq!(args.common.bind.as_ref().map(|bind| bind.port), Some(Some(3)));
    assert_eq!((args.disable_pack, args.disable_drop_partitions), (true, false));
    assert!(storage(text, "-s elsewhere").unwrap_err().contains("no section [elsewhere]"));
}

#[test]
fn the_last_of_two_counts() {
    let args: StorageArgs = configured(&words("-c a -d x --cluster b -d y")).unwrap();
    assert_eq!(args.common.cluster.as_deref(), Some("b"));
    assert_eq!(args.database.as_deref(), Some(Path::new("y")));
}

#[test]
fn what_is_wrong_in_a_file_names_file_section_and_key() {
    let cases = [
        ("databse = x", "FILE: section [storage], key \"databse\": unknown key"),
        ("file = x", "FILE: section [storage], key \"file\": only the command line can say this"),
        (
            "reset = yes",
            "FILE: section [storage], key \"reset\": only the command line can say this",
        ),
        (
            "disable_pack = maybe",
            "FILE: section [storage], key \"disable_pack\": expected yes or no",
        ),
        (
            "cluster = %(x)s",
            "FILE: section [storage], key \"cluster\": there is no key \"x\" to refer to",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(storage(&format!("[storage]\n{line}\n"), "").unwrap_err(), expected);
    }
    let error = storage("[storage]\nbind = 1.2.3.4:99999\n", "").unwrap_err();
    assert!(error.starts_with("FILE: section [storage], key \"bind\": invalid value"), "{error}");
    // A key of another kind of node may be in a section that is shared.
    assert!(storage("[storage]\nautostart = 2\n", "").is_ok());
}
