use super::*;

fn parse(text: &str) -> Ini {
    Ini::parse(text).expect("it is well-formed")
}

fn values(ini: &Ini, section: &str) -> Vec<(String, String)> {
    let keys = ini.keys(section).expect("the section is there");
    keys.keys().map(|key| (key.to_string(), ini.value(section, key).unwrap())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

#[test]
fn a_file_of_neo() {
    let ini = parse(
        "# Common\n[DEFAULT]\n# The name\ncluster: test\n\nmasters: 127.0.0.1:10000\n;ca = x\n\
         \n[admin]\nbind: 127.0.0.1:9999\n;logfile: x\n\n[master]\nbind: 127.0.0.1:10000\n",
    );
    let expected =
        [("bind", "127.0.0.1:9999"), ("cluster", "test"), ("masters", "127.0.0.1:10000")];
    assert_eq!(values(&ini, "admin"), pairs(&expected));
    let keys = ini.keys("admin").unwrap();
    assert_eq!((keys["bind"], keys["cluster"]), (true, false));
    assert!(matches!(ini.keys("storage"), Err(IniError::MissingSection { .. })));
}

#[test]
fn keys_and_values_as_configparser_takes_them() {
    let ini = parse(
        "[a]\nKey = a = b : c\nother:=x\nempty =\nlong = first\n  second ; kept\n  # left out\n\n  \
         third\n\nnext = 1 # kept\n",
    );
    let expected = [
        ("empty", ""),
        ("key", "a = b : c"),
        ("long", "first\nsecond ; kept\n\nthird"),
        ("next", "1 # kept"),
        ("other", "=x"),
    ];
    assert_eq!(values(&ini, "a"), pairs(&expected));
}

#[test]
fn indented_keys_are_keys_unless_they_go_on() {
    let ini = parse("[a]\n  x = 1\n  y = 2\n    3\n");
    assert_eq!(values(&ini, "a"), pairs(&[("x", "1"), ("y", "2\n3")]));
}

#[test]
fn values_refer_to_others() {
    let ini = parse(
        "[DEFAULT]\nhost = h\nname = default\n[a]\nname = own\nbind = %(HOST)s:1\n\
         d = %(bind)s/%(name)s\np = 100%%\n",
    );
    assert_eq!(ini.value("a", "d").as_deref(), Ok("h:1/own"));
    assert_eq!(ini.value("a", "p").as_deref(), Ok("100%"));
}

#[test]
fn what_cannot_be_read_says_where() {
    let cases = [
        ("x = 1", "line 1: expected a section such as [DEFAULT] before the first key"),
        ("[a]\nx", "line 2: expected KEY = VALUE, [SECTION] or a comment"),
        ("[a]\n= 1", "line 2: expected KEY = VALUE, [SECTION] or a comment"),
        ("[a]\n[b]\n[a]", "line 3: section [a] is there already"),
        ("[a]\nx = 1\nX = 2", "line 3: section [a] has key \"x\" already"),
    ];
    for (text, expected) in cases {
        assert_eq!(Ini::parse(text).unwrap_err().to_string(), expected, "{text:?}");
    }
    let ini = parse("[a]\nx = %(x)s\ny = %(z)s\nz = 5%\nw = %(v)s\n");
    let cases = [
        ("x", "section [a], key \"x\": refers to too much, perhaps to itself"),
        ("y", "section [a], key \"y\": expected %% or %(key)s where there is a %"),
        ("z", "section [a], key \"z\": expected %% or %(key)s where there is a %"),
        ("w", "section [a], key \"w\": there is no key \"v\" to refer to"),
    ];
    for (key, expected) in cases {
        assert_eq!(ini.value("a", key).unwrap_err().to_string(), expected);
    }
}

#[test]
fn values_do_not_grow_without_end() {
    let mut text = String::from("[a]\nx0 = 0123456789abcdef0123456789abcdef0123456789abcdef\n");
    for level in 1..9 {
        let reference = format!("%(x{})s", level - 1);
        text.push_str(&format!("x{level} = {}\n", reference.repeat(30)));
    }
    let error = parse(&text).value("a", "x8").unwrap_err();
    assert!(matches!(error, IniError::Endless { .. }));
}
