//! Patterns as `.dockerignore` has them: relative to one folder, the last that matches decides,
//! `!` takes back, and what matches a folder matches everything below it.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

/// A list of patterns.
#[derive(Debug, Clone, Default)]
pub struct Patterns(Vec<Pattern>);

#[derive(Debug, Clone)]
struct Pattern {
    whole: GlobMatcher,
    /// Its components, to see what it could match below a folder; `None` is `**`.
    components: Vec<Option<GlobMatcher>>,
    negated: bool,
}

impl Patterns {
    /// Reads the lines of a `.dockerignore`.
    ///
    /// # Errors
    ///
    /// The line, and what is wrong with it.
    pub fn of_file(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self::new(text.lines().map(str::trim).filter(|line| !line.starts_with('#')))
    }

    /// Reads patterns; empty ones mean nothing.
    ///
    /// # Errors
    ///
    /// The pattern, and what is wrong with it.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let parsed = patterns.into_iter().filter_map(|text| Pattern::parse(text.trim()).transpose());
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// Tells whether a path, relative to the folder, is matched: itself or a folder it is in.
    pub fn matches(&self, path: &Path) -> bool {
        let mut matched = false;
        for pattern in &self.0 {
            // One that would change nothing need not be tried.
            if pattern.negated == matched && pattern.matches(path) {
                matched = !pattern.negated;
            }
        }
        matched
    }

    /// Tells whether nothing below a folder can be anything but matched.
    pub fn matches_all_below(&self, folder: &Path) -> bool {
        self.matches(folder) && !self.0.iter().any(|pattern| pattern.negated && pattern.may_match_below(folder))
    }

    /// Tells whether anything below a folder may be matched.
    pub fn may_match_below(&self, folder: &Path) -> bool {
        self.matches(folder) || self.0.iter().any(|pattern| !pattern.negated && pattern.may_match_below(folder))
    }

    /// Tells whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Option<Self>, String> {
        let (negated, pattern) = match text.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, text),
        };
        let mut parts: Vec<&str> = Vec::new();
        for part in pattern.split('/') {
            match part {
                "" | "." => {}
                // Nothing is above the folder that patterns are relative to.
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        if parts.is_empty() {
            return match (text, pattern) {
                ("!", _) => Err("a pattern is only `!`".to_owned()),
                (_, "") => Ok(None),
                // `.` and `/` are the folder itself: everything.
                _ => Self::parse(if negated { "!**" } else { "**" }),
            };
        }
        let glob = |pattern: &str| {
            GlobBuilder::new(&literal_braces(pattern))
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map(|glob| glob.compile_matcher())
                .map_err(|error| format!("{text:?} is no pattern: {}", error.kind()))
        };
        let components = parts.iter().map(|part| if *part == "**" { Ok(None) } else { glob(part).map(Some) });
        let components = components.collect::<Result<_, String>>()?;
        Ok(Some(Self { whole: glob(&parts.join("/"))?, components, negated }))
    }

    fn matches(&self, path: &Path) -> bool {
        path.ancestors().take_while(|part| !part.as_os_str().is_empty()).any(|part| self.whole.is_match(part))
    }

    fn may_match_below(&self, folder: &Path) -> bool {
        let mut components = self.components.iter();
        for name in folder.iter() {
            match components.next() {
                Some(Some(glob)) if glob.is_match(Path::new(name)) => {}
                Some(None) => return true,
                Some(Some(_)) | None => return false,
            }
        }
        components.next().is_some()
    }
}

/// Braces mean themselves, as in a `.dockerignore`; the globs of the crate read them as alternatives.
fn literal_braces(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    let mut escaped = false;
    for c in pattern.chars() {
        if matches!(c, '{' | '}') && !escaped {
            text.push('\\');
        }
        escaped = c == '\\' && !escaped;
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(patterns: &str, matched: &[&str], others: &[&str]) {
        let patterns = Patterns::of_file(patterns).unwrap();
        let wrong: Vec<&&str> = matched.iter().filter(|path| !patterns.matches(Path::new(path))).collect();
        assert!(wrong.is_empty(), "should be matched: {wrong:?}");
        let wrong: Vec<&&str> = others.iter().filter(|path| patterns.matches(Path::new(path))).collect();
        assert!(wrong.is_empty(), "should not be matched: {wrong:?}");
    }

    #[test]
    fn patterns_mean_what_they_mean_in_a_dockerignore() {
        check("node_modules", &["node_modules", "node_modules/a/b"], &["web/node_modules", "node_modules2"]);
        check("**/node_modules", &["node_modules", "web/node_modules/x"], &["node_modules2"]);
        check("*.log", &["a.log", ".log"], &["sub/a.log", "a.log2"]);
        check("*/*.log", &["sub/a.log"], &["a.log", "a/b/c.log"]);
        check("**/*.log", &["a.log", "a/b/c.log"], &["a.txt"]);
        check("/build/", &["build", "build/x"], &["web/build"]);
        check("./a/../b", &["b", "b/x"], &["a"]);
        check("docs/**", &["docs/a", "docs/a/b"], &["docs"]);
        check("file?", &["file1"], &["file", "file12"]);
        check("[ab].c", &["a.c", "b.c"], &["c.c"]);
        check("[^ab].c", &["c.c"], &["a.c"]);
        check("{a,b}", &["{a,b}"], &["a", "b"]);
        check("a\\*", &["a*"], &["ab"]);
        check(".", &["a", "a/b"], &[]);
        check("\u{feff}# a comment\n\n  a  \n", &["a"], &["# a comment"]);
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        check("*.md\n!README.md", &["a.md"], &["README.md"]);
        check("!README.md\n*.md", &["a.md", "README.md"], &[]);
        check("docs\n!docs/keep\ndocs/keep/not", &["docs/a", "docs/keep/not/b"], &["docs/keep", "docs/keep/a"]);
        check("*\n!src", &["a", "b/c"], &["src", "src/main.rs"]);
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        let error = |text: &str| Patterns::new([text]).unwrap_err();
        insta::assert_snapshot!(error("!"), @"a pattern is only `!`");
        insta::assert_snapshot!(error("a[b"), @r#""a[b" is no pattern: unclosed character class; missing ']'"#);
    }

    #[test]
    fn folders_that_are_matched_as_a_whole_need_not_be_looked_into() {
        let check = |patterns: &str, folder: &str, expected: bool| {
            let patterns = Patterns::of_file(patterns).unwrap();
            assert_eq!(patterns.matches_all_below(Path::new(folder)), expected, "{folder}");
        };
        check("node_modules", "node_modules", true);
        check("node_modules", "src", false);
        check("node_modules\n!README.md", "node_modules", true);
        check("node_modules\n!node_modules/mine", "node_modules", false);
        check("node_modules\n!node_modules/mine", "node_modules/other", true);
        check("node_modules\n!**/keep", "node_modules", false);
        check("*\n!a/b/*.c", "a", false);
        check("*\n!a/b/*.c", "c", true);
    }

    #[test]
    fn folders_that_may_hold_something_that_is_matched_are_looked_into() {
        let check = |patterns: &str, folder: &str, expected: bool| {
            let patterns = Patterns::of_file(patterns).unwrap();
            assert_eq!(patterns.may_match_below(Path::new(folder)), expected, "{folder}");
        };
        check("src/*.rs", "src", true);
        check("src/*.rs", "src/sub", false);
        check("src/*.rs", "docs", false);
        check("src", "src/sub", true);
        check("**/*.rs", "any/where", true);
        check("*.rs", "any", false);
    }
}
