//! Files made to do harm: each costs little and ends in a message. What is bounded is the work
//! (bytes, values, levels, files; see `limits`), so most of these say which bound it was. The CPU
//! time only guards against a loop that has none.

mod files;

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

use super::{Loaded, line, load_files};

/// Returns the first diagnostic for files, of which `stack.yml` is loaded.
#[track_caller]
fn refuse_files(files: &[(&str, &[u8])]) -> String {
    let loaded = quickly(files);
    assert!(loaded.tree.is_none() && loaded.project.is_none());
    let first = &loaded.diagnostics[0];
    assert!(first.message.len() < 2100, "nobody reads {} bytes", first.message.len());
    line(first)
}

/// Returns what comes of files; the bound is generous even for a build for debugging.
#[track_caller]
fn quickly(files: &[(&str, &[u8])]) -> Loaded {
    let before = cpu_time();
    let loaded = load_files(files, |_| {});
    let took = cpu_time() - before;
    assert!(took < Duration::from_secs(10), "took {took:?}");
    loaded
}

/// Returns what this thread has used: how busy the machine is does not matter.
fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let time = usage.user_time();
    Duration::new(time.tv_sec().try_into().unwrap(), u32::try_from(time.tv_usec()).unwrap() * 1000)
}

/// Returns the first diagnostic for a file's bytes.
#[track_caller]
fn refuse(bytes: &[u8]) -> String {
    refuse_files(&[("stack.yml", bytes)])
}

#[track_caller]
fn accept(text: &str) -> Loaded {
    let loaded = quickly(&[("stack.yml", text.as_bytes())]);
    assert!(loaded.tree.is_some(), "{:?}", loaded.diagnostics.first().map(line));
    loaded
}

#[test]
fn billion_laughs() {
    let mut text = "x-a0: &a0 [l, l, l, l, l, l, l, l, l, l]\n".to_owned();
    for level in 1..10 {
        let alias = format!("*a{}", level - 1);
        text += &format!("x-a{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(", "));
    }
    text += "services: {a: {image: x}}\n";
    assert!(refuse(text.as_bytes()).contains("the aliases of this file stand for more than 250000 values"));
}

#[test]
fn billion_laughs_by_merge_keys() {
    let keys: Vec<String> = (0..10).map(|key| format!("k{key}: v")).collect();
    let mut text = format!("x-a0: &a0 {{{}}}\n", keys.join(", "));
    for level in 1..10 {
        let inner: Vec<String> = (0..10).map(|key| format!("k{key}: {{<<: *a{}}}", level - 1)).collect();
        text += &format!("x-a{level}: &a{level} {{{}}}\n", inner.join(", "));
    }
    assert!(refuse(text.as_bytes()).contains("the aliases of this file stand for more than 250000 values"));
    // The same mapping merged again and again adds nothing, but was looked at each time.
    let again = format!("x-a: &a {{{}}}\nx-b: {{<<: [{}]}}\n", keys.join(", "), ["*a"; 30_000].join(", "));
    assert!(refuse(again.as_bytes()).contains("the aliases of this file stand for more than 250000 values"));
}

#[test]
fn chains_of_aliases() {
    // Each level is one deeper than what it refers to.
    let chain: String = (1..500).map(|level| format!("x-a{level}: &a{level} [*a{}]\n", level - 1)).collect();
    assert!(refuse(format!("x-a0: &a0 [l]\n{chain}").as_bytes()).contains("nested too deeply: more than 100 levels"));
    let flat: String = (1..5000).map(|level| format!("x-a{level}: &a{level} *a{}\n", level - 1)).collect();
    assert!(refuse(format!("x-a0: &a0 l\n{flat}").as_bytes()).contains("invalid YAML"));
    // An anchor that is defined again stands for the new value.
    let again = "x-a: &a one\nx-b: *a\nx-c: &a two\nx-d: *a\nservices: {}\n";
    let tree = accept(again).tree.unwrap();
    assert_eq!(crate::compose::config_json(&tree)["x-d"], "two");
    assert!(
        refuse(b"x-a: &a [*a]\n").contains("stack.yml:1:10 `*a` error: this alias refers to a value that contains it")
    );
    assert!(refuse(b"x-a: *b\n").contains("stack.yml:1:6"));
}

#[test]
fn depth_bombs() {
    let flow = format!("x-a: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refuse(flow.as_bytes()).contains("nested too deeply"));
    let mappings = format!("x-a: {}\n", "{a: ".repeat(100_000));
    assert!(refuse(mappings.as_bytes()).contains("nested too deeply"));
    let block: String = (0..2000).map(|depth| format!("{}x-a:\n", " ".repeat(depth))).collect();
    assert!(refuse(block.as_bytes()).contains("nested too deeply"));
    let dashes = format!("x-a:\n  {}x\n", "- ".repeat(100_000));
    assert!(refuse(dashes.as_bytes()).contains("nested too deeply"));
    let keys = "? ".repeat(100_000);
    assert!(refuse(keys.as_bytes()).contains("nested too deeply"));
    let template = format!("services: {{a: {{image: '{}x{}'}}}}\n", "${U:-".repeat(10_000), "}".repeat(10_000));
    assert!(refuse(template.as_bytes()).contains("invalid interpolation format"));
}

#[test]
fn variables_that_grow() {
    // Each is twice the one before.
    let mut env = "V0=xxxxxxxxxxxxxxxx\n".to_owned();
    for level in 1..30 {
        env += &format!("V{level}=$V{0}$V{0}\n", level - 1);
    }
    let message = refuse_files(&[("stack.yml", b"services: {}\n"), (".env", env.as_bytes())]);
    assert!(message.contains(".env:20:1") && message.contains("is longer than 4194304 bytes"), "{message}");
    // One long value, very often.
    let env = format!("V={}\n", "x".repeat(1 << 20));
    let text = format!("x-a: [{}]\nservices: {{}}\n", ["$V"; 10_000].join(", "));
    let message = refuse_files(&[("stack.yml", text.as_bytes()), (".env", env.as_bytes())]);
    assert!(message.contains("variables make more than 33554432 bytes of text"), "{message}");
    let lines: String = (0..10_000).map(|line| format!("L{line}=$V\n")).collect();
    let message = refuse_files(&[("stack.yml", b"services: {}\n"), (".env", (env + &lines).as_bytes())]);
    assert!(message.contains("the values of this file have more than 33554432 bytes"), "{message}");
}

#[test]
fn bytes_that_are_no_text() {
    assert!(refuse(b"services: {a: {image: x\xff}}\n").contains("stack.yml:1:24"));
    assert!(refuse(b"services: {a: {image: x}}\n\0").contains("control character (0x00)"));
    assert!(refuse(b"services: {a: {image: \"x\x1b[2J\"}}\n").contains("control character (0x1b)"));
    assert!(refuse(&[0xff, 0xfe, b'a']).contains("not UTF-8"));
    assert!(refuse(&[0xff, 0xfe, 0, 0xd8]).contains("not UTF-8"));
    assert!(refuse(&[0xff, 0xfe, 0, 0]).contains("control character (0x00)"));
    assert!(refuse(&vec![b'#'; 9 << 20]).contains("larger than"));
    assert!(refuse(b"").contains("is empty"));
}

#[test]
fn other_encodings() {
    let text = "services: {a: {image: 'é'}}\n";
    let units = || text.encode_utf16();
    let little: Vec<u8> = [0xfeff].into_iter().chain(units()).flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = [0xfeff].into_iter().chain(units()).flat_map(u16::to_be_bytes).collect();
    for bytes in [&little, &big, &format!("\u{feff}{text}").into_bytes()] {
        let loaded = quickly(&[("stack.yml", bytes)]);
        let tree = loaded.tree.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        assert_eq!(crate::compose::config_json(&tree)["services"]["a"]["image"], "é");
    }
    // Without the mark it is not known to be UTF-16.
    assert!(refuse(&little[2..]).contains("not UTF-8"));
}

#[test]
fn very_many_values() {
    let list = format!("x-a: [{}]\n", "a,".repeat(1_100_000));
    assert!(refuse(list.as_bytes()).contains("stands for more than 1000000 values"));
    let lines = "- a\n".repeat(1_100_000);
    assert!(refuse(format!("x-a:\n{lines}").as_bytes()).contains("stands for more than 1000000 values"));
    let ports: String =
        (0..20).map(|service| format!("  s{service}: {{image: x, ports: ['1-65535:1-65535']}}\n")).collect();
    let message = refuse(format!("services:\n{ports}").as_bytes());
    assert!(
        message.contains("stack.yml:5:26 `'1-65535:1-65535'` error: this project stands for more than"),
        "{message}"
    );
    // What extends what grows by one variable each time.
    let extends: String =
        (1..5000).map(|n| format!("  s{n}: {{extends: s{}, environment: {{V{n}: x}}}}\n", n - 1)).collect();
    let message = refuse(format!("services:\n  s0: {{image: x}}\n{extends}").as_bytes());
    assert!(message.contains("stands for more than 1000000 values"), "{message}");
}

#[test]
fn lines_too_far_to_the_left() {
    // Each is read again with blanks before it; one of them is very far to the right.
    let lists = "b: {\n  c: [\n1\n]}\n".repeat(1000).replace('b', "x-b");
    let far = format!("{}# far\n", " ".repeat(1 << 20));
    let quoted = format!("x-q:\n  - 'a{}'\n", "\nb".repeat(10_000));
    for text in [format!("{far}{lists}"), format!("{far}x-a:\n  b: [\n1\n]\n{quoted}"), lists] {
        quickly(&[("stack.yml", text.as_bytes())]);
    }
}

#[test]
fn very_many_mistakes() {
    let keys: String = (0..20_000).map(|key| format!("k{key}: 1\n")).collect();
    let loaded = quickly(&[("stack.yml", keys.as_bytes())]);
    assert_eq!(loaded.diagnostics.len(), 251);
    assert_eq!(line(&loaded.diagnostics[250]), "error: there are more mistakes: these are the first 250");
    let twice = "services: {}\n".repeat(20_000);
    assert_eq!(quickly(&[("stack.yml", twice.as_bytes())]).diagnostics.len(), 251);
    let names: String = (0..5_000).map(|n| format!("  s{n}: {{image: x, depends_on: [t{n}]}}\n")).collect();
    assert_eq!(quickly(&[("stack.yml", format!("services:\n{names}").as_bytes())]).diagnostics.len(), 251);
    // Warnings are dropped before errors, and never turn into one.
    let unset: String = (0..5_000).map(|n| format!("  V{n}: $V{n}\n")).collect();
    let loaded = quickly(&[("stack.yml", format!("services: {{}}\nx-a:\n{unset}").as_bytes())]);
    assert!(loaded.tree.is_some());
    assert!(loaded.diagnostics.len() <= 251, "{}", loaded.diagnostics.len());
    let loaded = quickly(&[("stack.yml", format!("x-a:\n{unset}servces: {{}}\n").as_bytes())]);
    assert!(loaded.diagnostics.iter().any(|d| d.message.contains("`servces`")));
}

#[test]
fn very_long_words() {
    let long = "k".repeat(2 << 20);
    assert!(refuse(format!("{long}: 1\n").as_bytes()).contains("invalid YAML"));
    assert!(refuse(format!("? {long}\n: 1\n").as_bytes()).contains("has no attribute `kkk"));
    assert!(
        refuse(format!("services: {{a: {{image: x, depends_on: [{long}]}}}}\n").as_bytes()).contains("not defined")
    );
    assert!(
        refuse(format!("services: {{a: {{image: x, restart: 1, user: [{long}]}}}}\n").as_bytes())
            .contains("`services.a.")
    );
    accept(&format!("services: {{a: {{image: x, environment: {{A: {long}}}}}}}\n"));
}

#[test]
fn very_many_services() {
    let services: String = (0..20_000).map(|n| format!("  s{n}: {{image: x}}\n")).collect();
    let loaded = accept(&format!("services:\n{services}"));
    assert_eq!(loaded.project.map(|project| project.services.len()), Some(20_000));
    let documents = "---\nx-a: 1\n".repeat(20_000);
    accept(&format!("services: {{a: {{image: x}}}}\n{documents}"));
}

#[test]
fn files_that_name_one_another() {
    let message = refuse_files(&[
        ("stack.yml", b"include: [b.yml]\nservices: {a: {image: x}}\n"),
        ("b.yml", b"include: [stack.yml]\nservices: {b: {image: x}}\n"),
    ]);
    assert!(message.contains("stack.yml -> b.yml -> stack.yml"), "{message}");
    let message = refuse_files(&[("stack.yml", b"include: [x/.././stack.yml]\n")]);
    assert!(message.contains("stack.yml -> stack.yml"), "{message}");
    let message = refuse_files(&[
        ("stack.yml", b"services: {a: {extends: {file: b.yml, service: b}}}\n"),
        ("b.yml", b"services: {b: {extends: {file: stack.yml, service: a}}}\n"),
    ]);
    assert!(message.contains("a (stack.yml) -> b (b.yml) -> a (stack.yml)"), "{message}");
    assert!(refuse(b"services: {a: {extends: a}}\n").contains("a -> a"));
    assert!(refuse(b"services: {a: {extends: {file: ./stack.yml, service: a}}}\n").contains("a -> a"));
}

#[test]
fn long_chains_of_extends() {
    let chain = |length: usize| {
        let links: String = (1..length).map(|n| format!("  s{}: {{extends: s{n}}}\n", n - 1)).collect();
        format!("services:\n{links}  s{}: {{image: end}}\n", length - 1)
    };
    let value = super::config(&chain(200));
    assert_eq!(value["services"]["s0"]["image"], "end");
    let message = refuse(chain(300).as_bytes());
    assert!(
        message.contains("more than 200 services extend one another: s0 -> s1 -> s2 -> ... -> s199 -> s200"),
        "{message}"
    );
    assert!(message.contains("let some of them extend the last one directly"), "{message}");
    // The same, each in a file of its own.
    let names: Vec<String> = (0..150).map(|n| format!("f{n}.yml")).collect();
    let text = |n: usize| format!("services: {{a: {{extends: {{file: f{}.yml, service: a}}}}}}\n", n + 1);
    let mut texts: Vec<String> = (0..150).map(text).collect();
    texts[149] = "services: {a: {image: end}}\n".to_owned();
    let mut files: Vec<(&str, &[u8])> =
        names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    files.push(("stack.yml", b"services: {a: {extends: {file: f0.yml, service: a}}}\n"));
    let loaded = super::load_files(&files, |_| {});
    assert_eq!(crate::compose::config_json(&loaded.tree.unwrap())["services"]["a"]["image"], "end");
}

#[test]
fn files_that_multiply() {
    // Every file includes the next one twice.
    let names: Vec<String> = (0..40).map(|n| format!("f{n}.yml")).collect();
    let texts: Vec<String> = (0..40).map(|n| format!("include: [f{0}.yml, ./f{0}.yml]\n", n + 1)).collect();
    let mut files: Vec<(&str, &[u8])> =
        names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    files.push(("stack.yml", b"include: [f0.yml]\nservices: {}\n"));
    files.push(("f40.yml", b"services: {a: {image: x}}\n"));
    let message = refuse_files(&files);
    assert!(message.contains("more than 2000 files"), "{message}");
    // A chain without a circle.
    let names: Vec<String> = (0..80).map(|n| format!("f{n}.yml")).collect();
    let texts: Vec<String> = (0..80).map(|n| format!("include: [f{}.yml]\n", n + 1)).collect();
    let mut files: Vec<(&str, &[u8])> =
        names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    files.push(("stack.yml", b"include: [f0.yml]\nservices: {}\n"));
    let message = refuse_files(&files);
    assert!(message.contains("more than 50 files include one another"), "{message}");
    // A file that many services extend is read once.
    let services: String =
        (0..3000).map(|n| format!("  s{n}: {{extends: {{file: base.yml, service: b}}}}\n")).collect();
    let loaded = quickly(&[
        ("stack.yml", format!("services:\n{services}").as_bytes()),
        ("base.yml", b"services: {b: {image: x}}\n"),
    ]);
    assert!(loaded.tree.is_some(), "{:?}", loaded.diagnostics.first().map(line));
    // The same large file is read for one service after the other.
    let env = format!("V={}\n", "x".repeat(1 << 20));
    let services: String = (0..100).map(|n| format!("  s{n}: {{image: x, env_file: big.env}}\n")).collect();
    let message =
        refuse_files(&[("stack.yml", format!("services:\n{services}").as_bytes()), ("big.env", env.as_bytes())]);
    assert!(message.contains("the files of this project have more than 67108864 bytes"), "{message}");
}

#[test]
fn tags_of_every_kind() {
    accept(
        "x-a: !!python/object:os.system {a: 1}\nx-b: !unknown [1]\nx-c: !!binary aGk=\nx-d: !!set {a: }\nservices: {}\n",
    );
    accept(
        "x-a: !!timestamp 2001-12-14t21:59:43.10-05:00\nx-b: 2001-12-14\nx-c: !!int '3'\nx-d: !!str 3\nservices: {}\n",
    );
    accept("x-a: !<tag:yaml.org,2002:str> 1\nx-b: ! 1\nservices: {}\n");
}

#[test]
fn keys_of_every_kind() {
    for key in ["~", "[a]", "{a: b}", "1", "1.5", "true", "? [a]\n", "? {a: 1}\n", "!!null ''"] {
        let message = refuse(format!("x-a:\n  {key}: v\nservices: {{}}\n").as_bytes());
        assert!(message.contains("a key must be a string") || message.contains("invalid YAML"), "{key}: {message}");
    }
    let tree =
        accept("x-a: {__proto__: {a: 1}, constructor: 2, toString: 3}\nservices: {__proto__: {image: x}}\n").tree;
    assert_eq!(crate::compose::config_json(&tree.unwrap())["services"]["__proto__"]["image"], "x");
}

#[test]
fn numbers_of_every_kind() {
    let numbers = ".nan .inf -.inf 99999999999999999999 -99999999999999999999 1e400 0x8000000000000000 \
        0xffffffffffffffffffff 18446744073709551615 -9223372036854775808 -9223372036854775809 1e-400 0o7777777777777777777777777";
    for number in numbers.split(' ') {
        let loaded = accept(&format!("x-a: {number}\nservices: {{}}\n"));
        let tree = loaded.tree.unwrap();
        let _ = crate::compose::config_json(&tree);
        let yaml = crate::compose::config_yaml(&tree);
        let again = accept(&yaml).tree.unwrap();
        assert_eq!(crate::compose::config_yaml(&again), yaml, "{number}");
        for attribute in
            ["scale", "mem_limit", "cpus", "pids_limit", "stop_grace_period", "privileged", "oom_score_adj"]
        {
            quickly(&[("stack.yml", format!("services: {{a: {{image: x, {attribute}: {number}}}}}\n").as_bytes())]);
        }
    }
}

#[test]
fn places_of_mistakes_are_between_characters() {
    for text in [
        "a: 'é\n",
        "é: [é",
        "a: b\n é: c\n",
        "x-a: \"\\é\"",
        "- é\né: a\n",
        "a:\n- b\né\nc: d",
        "%é\n---\n",
        "&é é: *ü",
    ] {
        for diagnostic in quickly(&[("stack.yml", text.as_bytes())]).diagnostics {
            let Some(span) = diagnostic.span else { continue };
            assert!(span.source.text.get(span.start..span.end).is_some(), "{text}: {}..{}", span.start, span.end);
        }
    }
}

#[test]
fn strange_but_harmless() {
    for text in
        ["services: {}", "services: {a: {image: x}}\n---\n---\n", "--- \n...\n", "a", "[]", "{}", "? a\n: b", "<<: 1"]
    {
        let loaded = quickly(&[("stack.yml", text.as_bytes())]);
        assert!(loaded.tree.is_some() || !loaded.diagnostics.is_empty(), "{text}");
    }
}
