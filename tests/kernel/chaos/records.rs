//! What the services wrote, and whether all that they were told is on the disk still is.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::Digest as _;

/// Returns the acknowledged records that are not in the data, and how many there are in all. A record is a line
/// that ends with the digest of what is before it; other lines are what a full disk or a death left, and nobody was
/// told that they are there. Pure.
fn lost<'a>(acknowledged: &'a str, data: &str) -> (Vec<&'a str>, usize) {
    let kept: HashSet<&str> = data.lines().collect();
    // The last line may be being written now.
    let whole = acknowledged.rfind('\n').map_or("", |end| &acknowledged[..end]);
    let lines: Vec<&str> = whole.lines().filter(|line| !line.is_empty()).collect();
    let count = lines.len();
    (lines.into_iter().filter(|line| !kept.contains(line)).collect(), count)
}

/// Compares all acknowledgements under `acks` with the volumes; returns how many records there are.
///
/// # Errors
///
/// The records that were acknowledged and are gone.
pub(super) fn check(acks: &Path, volumes: &dyn Fn(&str) -> PathBuf) -> Result<usize, String> {
    let mut count = 0;
    for entry in fs::read_dir(acks).expect("the folder of acknowledgements").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let service = name.split('.').next().unwrap_or_default();
        // First what was promised, then what there is: in the other order a new record would be missed.
        let acknowledged = fs::read_to_string(entry.path()).map_err(|error| format!("{name}: {error}"))?;
        let at = volumes(service).join(&name);
        let data = fs::read(&at).map_err(|error| format!("{}: {error}", at.display()))?;
        let data = String::from_utf8_lossy(&data);
        let (lost, all) = lost(&acknowledged, &data);
        if let Some(first) = lost.first() {
            return Err(format!("{} of {all} records of {name} are lost, first `{first}`", lost.len()));
        }
        count += all;
    }
    Ok(count)
}

/// Returns the lines whose digest is not theirs.
pub(super) fn damaged(acknowledged: &str) -> Vec<&str> {
    let fits = |line: &str| {
        let (text, sum) = line.rsplit_once(' ')?;
        (sum.len() == 64 && sum == hex(&sha2::Sha256::digest(format!("{text}\n")))).then_some(())
    };
    acknowledged.lines().filter(|line| fits(line).is_none()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_record_that_is_gone_or_cut_is_lost() {
    let check = |acknowledged: &str, data: &str, expected: &[&str]| {
        assert_eq!(lost(acknowledged, data).0, expected, "{acknowledged:?} {data:?}");
    };
    check("a 1\nb 2\n", "\na 1\n\nb 2\n\nnot acknow", &[]);
    check("a 1\nb 2\n", "\na 1\n\nb \n", &["b 2"]);
    check("a 1\nb 2\n", "", &["a 1", "b 2"]);
    check("a 1\nb ", "\na 1\n", &[]);
}

#[test]
fn a_record_whose_digest_is_not_its_own_is_damaged() {
    let whole = "x h 0.5 1 4a1f5e6b3d1b3f0b7d0c8f3e";
    assert_eq!(damaged(whole), [whole]);
    let digest = hex(&sha2::Sha256::digest("x h 0.5 1\n"));
    let line = format!("x h 0.5 1 {digest}");
    assert!(damaged(&line).is_empty());
}
