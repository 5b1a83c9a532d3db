//! Files made to do harm: each costs little and ends in a message.

use std::time::{Duration, Instant};

use super::{line, load_files};

/// Returns the first error for a file's bytes; loading must be quick.
#[track_caller]
fn refuse(bytes: &[u8]) -> String {
    let start = Instant::now();
    let loaded = load_files(&[("stack.yml", bytes)], |_| {});
    assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
    assert!(loaded.tree.is_none() && loaded.project.is_none());
    line(&loaded.diagnostics[0])
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
fn depth_bombs() {
    let flow = format!("x-a: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refuse(flow.as_bytes()).contains("nested too deeply"));
    let mappings = format!("x-a: {}\n", "{a: ".repeat(100_000));
    assert!(refuse(mappings.as_bytes()).contains("nested too deeply"));
    let block: String = (0..2000).map(|depth| format!("{}x-a:\n", " ".repeat(depth))).collect();
    assert!(refuse(block.as_bytes()).contains("nested too deeply"));
    let template = format!("services: {{a: {{image: '{}x{}'}}}}\n", "${U:-".repeat(10_000), "}".repeat(10_000));
    assert!(refuse(template.as_bytes()).contains("invalid interpolation format"));
}

#[test]
fn bytes_that_are_no_text() {
    assert!(refuse(b"services: {a: {image: x\xff}}\n").contains("stack.yml:1:24"));
    assert!(refuse(b"services: {a: {image: x}}\n\0").contains("control character (0x00)"));
    assert!(refuse(b"services: {a: {image: \"x\x1b[2J\"}}\n").contains("control character (0x1b)"));
    assert!(refuse(&[0xff, 0xfe, b'a', 0]).contains("not UTF-8"));
    assert!(refuse(&vec![b'#'; 9 << 20]).contains("larger than"));
    assert!(refuse(b"").contains("is empty"));
}

#[test]
fn files_that_name_one_another() {
    let files: [(&str, &[u8]); 2] = [
        ("stack.yml", b"include: [b.yml]\nservices: {a: {image: x}}\n"),
        ("b.yml", b"include: [stack.yml]\nservices: {b: {image: x}}\n"),
    ];
    let loaded = load_files(&files, |_| {});
    assert!(line(&loaded.diagnostics[0]).contains("stack.yml -> b.yml -> stack.yml"));
    let files: [(&str, &[u8]); 2] = [
        ("stack.yml", b"services: {a: {extends: {file: b.yml, service: b}}}\n"),
        ("b.yml", b"services: {b: {extends: {file: stack.yml, service: a}}}\n"),
    ];
    let loaded = load_files(&files, |_| {});
    assert!(line(&loaded.diagnostics[0]).contains("a -> b -> a"), "{:?}", loaded.diagnostics);
}

#[test]
fn strange_but_harmless() {
    for text in
        ["services: {}", "services: {a: {image: x}}\n---\n---\n", "--- \n...\n", "a", "[]", "{}", "? a\n: b", "<<: 1"]
    {
        let loaded = load_files(&[("stack.yml", text.as_bytes())], |_| {});
        assert!(loaded.tree.is_some() || !loaded.diagnostics.is_empty(), "{text}");
    }
}
