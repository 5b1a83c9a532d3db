//! Which values are shown as `***`: what people put into variables and would not read out aloud.

use std::borrow::Cow;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "***";

/// Words that make a name a secret's.
const WORDS: [&str; 15] = [
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "secret",
    "secrets",
    "token",
    "tokens",
    "key",
    "keys",
    "apikey",
    "credential",
    "credentials",
    "salt",
];

/// Tells whether the name of a variable, label or option is a secret's: `DB_PASSWORD`, `apiKey`,
/// but not `KEYCLOAK_URL`, `PUBLIC_KEY` or `PASSWORD_FILE`.
pub fn is_secret(name: &str) -> bool {
    // The folder a shell is in.
    if matches!(name, "PWD" | "OLDPWD") {
        return false;
    }
    let words = words(name);
    let has = |word: &str| words.iter().any(|own| own == word);
    let told_elsewhere = has("public") || matches!(words.last().map(String::as_str), Some("file" | "path" | "dir"));
    !told_elsewhere
        && words
            .iter()
            .any(|word| WORDS.contains(&word.as_str()) || word.ends_with("password") || word.ends_with("secret"))
}

/// Returns a value as it may be shown: `***` where the name is a secret's, and the password of a
/// URL hidden in all others.
pub fn shown<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if is_secret(name) && !value.is_empty() { Cow::Borrowed(HIDDEN) } else { without_passwords(value) }
}

/// Returns text in which `scheme://user:password@host` has no password.
fn without_passwords(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(scheme) = rest.find("://") {
        let authority = &rest[scheme + 3..];
        let end = authority.find(['/', '?', '#', ' ', '"', '\'', ',']).unwrap_or(authority.len());
        let user = authority[..end].rfind('@').and_then(|at| Some((authority[..at].find(':')?, at)));
        let cut = scheme + 3;
        if let Some((colon, at)) = user {
            shown += &rest[..=cut + colon];
            shown += HIDDEN;
            shown += &rest[cut + at..cut + end];
        } else {
            shown += &rest[..cut + end];
        }
        rest = &rest[cut + end..];
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown += rest;
    Cow::Owned(shown)
}

/// Returns the words of a name in lower case: `dbPassword` and `DB_PASSWORD` have two.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = '_';
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in
            ["DB_PASSWORD", "MYSQL_ROOT_PASSWORD", "apiKey", "pgpassword", "secret", "GITHUB_TOKEN", "x-api-key"]
        {
            assert!(is_secret(name), "{name}");
        }
        for name in ["KEYCLOAK_URL", "PUBLIC_KEY", "POSTGRES_PASSWORD_FILE", "MONKEY", "USER", "TOKENIZER", "PWD", ""] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn values() {
        let check =
            |name: &str, value: &str, expected: &str| assert_eq!(shown(name, value), expected, "{name}={value}");
        check("A_TOKEN", "x", "***");
        check("A_TOKEN", "", "");
        check("URL", "postgres://me:pw@db:5432/x", "postgres://me:***@db:5432/x");
        check("URLS", "amqp://a:b@h, http://c:d@e/", "amqp://a:***@h, http://c:***@e/");
        check("URL", "http://h:80/a@b:c", "http://h:80/a@b:c");
        check("URL", "http://me@h", "http://me@h");
        check("A", "b", "b");
    }
}
