//! Every row has a case, and every case is of a row.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Tells which rows have no file, and which files no row.
pub(crate) fn check(folder: &Path) -> Result<(), String> {
    let rows = read(&folder.join("rows.tsv"))?;
    let files: BTreeSet<String> = super::row_files(folder).into_iter().map(|(row, _)| row).collect();
    let bare: Vec<&str> = rows.keys().map(String::as_str).filter(|id| !files.contains(*id)).collect();
    let strange: Vec<&str> = files.iter().filter(|id| !rows.contains_key(*id)).map(String::as_str).collect();
    let mut problems = String::new();
    if !bare.is_empty() {
        problems += &format!("{} rows have no case in tests/compose/rows:\n  {}\n", bare.len(), bare.join("\n  "));
    }
    if !strange.is_empty() {
        problems += &format!("these files are named after no row of rows.tsv:\n  {}\n", strange.join("\n  "));
    }
    // The list is a copy; where the checklist itself lies beside the project, they must agree.
    let checklist = folder.join("../../../shared/spec/attributes.tsv");
    if let Ok(text) = std::fs::read_to_string(checklist) {
        let told: BTreeMap<String, u8> = text
            .lines()
            .skip(1)
            .filter_map(|line| Some((line.split('\t').next()?.to_owned(), line.rsplit('\t').next()?.parse().ok()?)))
            .collect();
        if told != rows {
            problems += "rows.tsv differs from the checklist: write it anew\n";
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn read(path: &Path) -> Result<BTreeMap<String, u8>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    text.lines()
        .map(|line| {
            let (id, tier) = line.split_once('\t').ok_or_else(|| format!("not `row<tab>tier`: {line:?}"))?;
            Ok((id.to_owned(), tier.parse().map_err(|_| format!("no tier: {line:?}"))?))
        })
        .collect()
}
