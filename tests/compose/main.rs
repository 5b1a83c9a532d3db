//! A test per row of the Compose checklist: what `stack config` makes of the attribute.
//!
//! Each file of `rows/` is named after its row and holds one or more cases; `case.rs` tells the
//! form. `rows.tsv` lists all rows with their tiers, and the last test names those without a file.

mod case;
mod schema;
mod tidy;

use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose");
    let mut trials = Vec::new();
    for (row, path) in row_files(&folder) {
        match case::read(&path) {
            Ok(cases) => trials.extend(cases.into_iter().map(|case| {
                let name = if case.title.is_empty() { row.clone() } else { format!("{row}: {}", case.title) };
                Trial::test(name, move || Ok(case.check()?))
            })),
            Err(problem) => trials.push(Trial::test(row, move || Err(problem.into()))),
        }
    }
    trials.push(Trial::test("every row has a case", move || Ok(tidy::check(&folder)?)));
    libtest_mimic::run(&arguments, trials).exit();
}

/// Returns the names of the rows that have a file, and the files.
fn row_files(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder.join("rows")).expect("tests/compose/rows is there");
    let mut files: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path)))
        .collect();
    files.sort();
    files
}
