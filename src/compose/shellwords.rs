//! Splitting of `command` and `entrypoint` strings (spec row `fmt-shell-words`): quotes and
//! backslashes as in a shell, but no shell runs it.

/// What a string was split into.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// The arguments.
    pub(crate) words: Vec<String>,
    /// What follows the first unquoted `;`, `&`, `|`, `<` or `>`. The reference drops it
    /// without a word, and so do we, with a warning.
    pub(crate) ignored: Option<String>,
}

/// Returns the arguments of a command line, or what is wrong with it.
pub(crate) fn split(text: &str) -> Result<Split, &'static str> {
    #[derive(PartialEq)]
    enum Quote {
        None,
        Single,
        Double,
        Backtick,
        Substitution,
    }
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = Quote::None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if quote != Quote::Single => {
                let (_, escaped) = chars.next().ok_or("a backslash at the end escapes nothing")?;
                let escaped = match escaped {
                    't' => '\t',
                    'n' => '\n',
                    other => other,
                };
                word.get_or_insert_default().push(escaped);
                continue;
            }
            ' ' | '\t' | '\r' | '\n' if quote == Quote::None => {
                words.extend(word.take());
                continue;
            }
            '"' if matches!(quote, Quote::None | Quote::Double) => {
                quote = if quote == Quote::Double { Quote::None } else { Quote::Double };
                word.get_or_insert_default();
                continue;
            }
            '\'' if matches!(quote, Quote::None | Quote::Single) => {
                quote = if quote == Quote::Single { Quote::None } else { Quote::Single };
                word.get_or_insert_default();
                continue;
            }
            '`' if matches!(quote, Quote::None | Quote::Backtick) => {
                quote = if quote == Quote::Backtick { Quote::None } else { Quote::Backtick };
            }
            '(' if quote == Quote::None && word.as_ref().is_some_and(|w| w.ends_with('$')) => {
                quote = Quote::Substitution;
            }
            '(' if matches!(quote, Quote::None | Quote::Substitution) => return Err("an unquoted `(`"),
            ')' if quote == Quote::Substitution => quote = Quote::None,
            ')' if quote == Quote::None => return Err("an unquoted `)`"),
            ';' | '&' | '|' | '<' | '>' if quote == Quote::None => {
                // `2>` belongs to what is dropped.
                let descriptor = c == '>' && word.as_ref().is_some_and(|w| w.starts_with(|c: char| c.is_ascii_digit()));
                words.extend(word.take().filter(|_| !descriptor));
                return Ok(Split { words, ignored: Some(text[at..].to_owned()) });
            }
            _ => {}
        }
        word.get_or_insert_default().push(c);
    }
    words.extend(word);
    match quote {
        Quote::None => Ok(Split { words, ignored: None }),
        Quote::Single | Quote::Double => Err("a quote is not closed"),
        Quote::Backtick => Err("a backtick is not closed"),
        Quote::Substitution => Err("`$(` is not closed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(split(text).unwrap().words, expected, "{text}");
    }

    #[test]
    fn words() {
        check("", &[]);
        check("  a  b\tc\nd ", &["a", "b", "c", "d"]);
        check("sh -c \"echo 'a b' c\\ d\"", &["sh", "-c", "echo 'a b' c d"]);
        check("a '' \"\" b", &["a", "", "", "b"]);
        check("--opt=\"x y\" $VAR", &["--opt=x y", "$VAR"]);
        check("echo 'it'\\''s'", &["echo", "it's"]);
        check("a'b c'd", &["ab cd"]);
        check("echo $(date +%s) x", &["echo", "$(date +%s)", "x"]);
        check("echo `date now` x", &["echo", "`date now`", "x"]);
        check("a\\ b", &["a b"]);
        check("'(' \")\"", &["(", ")"]);
    }

    #[test]
    fn what_needs_a_shell() {
        let split = split("echo a && echo b").unwrap();
        assert_eq!(split.words, ["echo", "a"]);
        assert_eq!(split.ignored.as_deref(), Some("&& echo b"));
        check("run 2>/dev/null", &["run"]);
        assert!(super::split("a (b)").is_err());
        assert!(super::split("a 'b").is_err());
        assert!(super::split("a \\").is_err());
    }
}
