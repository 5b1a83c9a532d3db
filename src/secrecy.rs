//! Which values are shown as `***`: what people put into variables and would not read out aloud.

use std::borrow::Cow;
use std::ops::Range;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "***";

/// Words that make a name a secret's.
const WORDS: [&str; 24] = [
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
    "jwt",
    "psk",
    "cred",
    "creds",
    "authorization",
    "requirepass",
    "masterauth",
    "dbpass",
    "userpass",
];

/// Words that make a name a secret's where they are its last: `GITHUB_PAT`, `BASIC_AUTH`, but not `AUTH_URL`.
const LAST_WORDS: [&str; 5] = ["auth", "pat", "otp", "pin", "bearer"];

/// Last words of what is told about a secret, and is none: `JWT_ISSUER`, `TOKEN_EXPIRY`.
const ABOUT: [&str; 18] = [
    "file",
    "path",
    "dir",
    "issuer",
    "expiry",
    "expires",
    "ttl",
    "lifetime",
    "audience",
    "algorithm",
    "alg",
    "url",
    "uri",
    "length",
    "enabled",
    "header",
    "rotation",
    "policy",
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
    let told_elsewhere = has("public") || words.last().is_some_and(|last| ABOUT.contains(&last.as_str()));
    let secret =
        |word: &String| WORDS.contains(&word.as_str()) || word.ends_with("password") || word.ends_with("secret");
    let last = words.last().is_some_and(|last| LAST_WORDS.contains(&last.as_str()));
    !told_elsewhere && (last || words.iter().any(secret))
}

/// Tells whether a word of a command line is an option whose value is the next word: `--password`, `-requirepass`.
pub fn is_secret_option(word: &str) -> bool {
    word.len() > 2 && word.starts_with('-') && !word.contains(['=', ' ']) && is_secret(word)
}

/// Returns a value as it may be shown: `***` where the name is a secret's, and the password of a
/// URL hidden in all others.
pub fn shown<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if is_secret(name) && !value.is_empty() {
        return Cow::Borrowed(HIDDEN);
    }
    let mut shown = without_passwords(value);
    // Command lines, contents of files: what is a secret by its name within the text.
    let mut from = 0;
    while from < shown.len() {
        let end = shown[from..].find('\n').map_or(shown.len(), |end| from + end);
        let mut next = end + 1;
        for part in hidden_parts(&shown[from..end]).into_iter().rev() {
            let (start, stop) = (from + part.start, from + part.end);
            if &shown[start..stop] != HIDDEN {
                next = next + HIDDEN.len() - part.len();
                shown.to_mut().replace_range(start..stop, HIDDEN);
            }
        }
        from = next;
    }
    shown
}

/// Attributes of Compose files that are called like secrets, but hold names.
const NAMES_OF_SECRETS: [&str; 2] = ["secrets", "credential_spec"];

/// Returns the parts of a line of a stack file or env file that are values of secrets, in bytes:
/// `x` of `DB_PASSWORD=x` and of `apiKey: x`. What only names a variable is none.
pub fn hidden_parts(line: &str) -> Vec<Range<usize>> {
    let bytes = line.as_bytes();
    let part = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b) || !b.is_ascii();
    let count = |from: usize, wanted: &dyn Fn(u8) -> bool| bytes[from..].iter().take_while(|b| wanted(**b)).count();
    let mut found = Vec::new();
    let (mut at, mut open) = (0, 0_usize);
    while at < bytes.len() {
        if !part(bytes[at]) {
            match bytes[at] {
                b'{' | b'[' => open += 1,
                b'}' | b']' => open = open.saturating_sub(1),
                _ => {}
            }
            at += 1;
            continue;
        }
        let end = at + count(at, &part);
        let name = &line[at..end];
        let before = at.checked_sub(1).map(|before| bytes[before]).filter(|b| matches!(b, b'"' | b'\''));
        at = end;
        let after = end + count(end, &|b| matches!(b, b'"' | b'\'' | b' '));
        let quoted = before.is_some() && bytes.get(end) == before.as_ref();
        let assigned = match bytes.get(after) {
            Some(b'=') => true,
            Some(b':') => {
                let spaced = bytes.get(after + 1).is_none_or(|b| b.is_ascii_whitespace());
                (spaced || quoted) && !NAMES_OF_SECRETS.contains(&name)
            }
            _ => false,
        };
        if !assigned && is_secret_option(name) {
            let start = end + count(end, &|b| matches!(b, b' ' | b',' | b'"' | b'\''));
            let rest = &line[start..];
            let length = rest.find([' ', ',', '"', '\'', ']', '}', ';', '|', '&', ')']).unwrap_or(rest.len());
            let value = &rest[..length];
            if start > end && !value.is_empty() && !value.starts_with(['-', '$', '#']) {
                found.push(start..start + length);
                at = start + length;
            }
            continue;
        }
        if !assigned || !is_secret(name) {
            continue;
        }
        let start = after + 1 + count(after + 1, &|b| matches!(b, b' ' | b'\t'));
        let rest = &line[start..];
        let length = match (rest.bytes().next(), before) {
            // The name and its value are one text.
            (_, Some(quote)) if !quoted => rest.find(quote as char).unwrap_or(rest.len()),
            (Some(quote @ (b'"' | b'\'')), _) => rest[1..].find(quote as char).map_or(rest.len(), |close| close + 2),
            _ if open > 0 => rest.find([',', '}', ']']).unwrap_or(rest.len()),
            _ => rest.trim_end().len(),
        };
        let value = &rest[..length];
        if !value.is_empty() && !value.starts_with('#') && !only_names_a_variable(value) {
            found.push(start..start + length);
            at = start + length;
        }
    }
    found
}

/// Returns true for `$NAME` and `${NAME}` alone, which give nothing away.
fn only_names_a_variable(text: &str) -> bool {
    let text = text.trim().trim_matches(['"', '\'']);
    let name = text.strip_prefix("${").and_then(|text| text.strip_suffix('}')).or_else(|| text.strip_prefix('$'));
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
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
        for name in [
            "DB_PASSWORD",
            "MYSQL_ROOT_PASSWORD",
            "apiKey",
            "pgpassword",
            "secret",
            "GITHUB_TOKEN",
            "x-api-key",
            "JWT",
            "NPM_AUTH",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "KEYCLOAK_URL",
            "PUBLIC_KEY",
            "POSTGRES_PASSWORD_FILE",
            "MONKEY",
            "USER",
            "TOKENIZER",
            "PWD",
            "",
            "AUTH_URL",
            "JWT_ISSUER",
            "PATH",
            "PATTERN",
            "AUTHOR",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn parts_of_lines() {
        let check = |line: &str, expected: &str| {
            let mut shown = line.to_owned();
            hidden_parts(line).into_iter().rev().for_each(|part| shown.replace_range(part, "***"));
            assert_eq!(shown, expected, "{line}");
        };
        check("DB_PASSWORD=hunter2 # x", "DB_PASSWORD=***");
        check("      apiKey: hunter2", "      apiKey: ***");
        check("- 'A_TOKEN=hunter2'", "- 'A_TOKEN=***'");
        check("a: {TOKEN: x, B: y, \"PASSWORD\":\"z, z\"}, c: d", "a: {TOKEN: ***, B: y, \"PASSWORD\":***}, c: d");
        check("[redis-server, --requirepass, hunter2, -x]", "[redis-server, --requirepass, ***, -x]");
        check("['--token', 'a b']", "['--token', '*** b']");
        check("[\"TOKEN=x\", \"PASS=y, z\", B=c]", "[\"TOKEN=***\", \"PASS=***\", B=c]");
        for harmless in
            ["secrets: [a]", "PASSWORD: ${PASSWORD}", "TOKEN:", "image: my/secret:1.0", "TOKEN: # none", "é=1"]
        {
            check(harmless, harmless);
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
        check("GITHUB_PAT", "x", "***");
        check("MY_JWT", "x", "***");
        check("BASIC_AUTH", "u:p", "***");
        check("command", "run --password hunter2 --user u", "run --password *** --user u");
        check("command", "A_TOKEN=abc run --api-key=b", "A_TOKEN=***");
        check(
            "content",
            "user: a\npassword: hunter2\ntoken: b\nport: 1\n",
            "user: a\npassword: ***\ntoken: ***\nport: 1\n",
        );
        check("command", "redis-server --requirepass $PASS", "redis-server --requirepass $PASS");
    }
}
