//! `${VAR}` in text (spec rows `interp-*`): a pure function of the text and a look-up.

/// What a template wants to know and tell.
pub trait Variables {
    /// Returns the value of a variable, if it is set.
    fn value(&self, name: &str) -> Option<String>;
    /// Hears that an unset variable became an empty string.
    fn unset(&mut self, name: &str);
    /// Hears what became of a variable.
    fn used(&mut self, _name: &str, _outcome: Outcome) {}
}

/// What became of a variable in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its value was put in.
    Value,
    /// It is not set: an empty string.
    Empty,
    /// The default of `${NAME:-default}`.
    Default,
    /// The replacement of `${NAME:+replacement}`.
    Alternative,
    /// Nothing: `${NAME:+replacement}` without a value.
    Nothing,
}

/// Why a text could not be substituted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Not one of the forms.
    #[error("invalid interpolation format: {part:?}")]
    Invalid {
        /// The piece from `${` on.
        part: String,
    },
    /// What variables stand for is too long.
    #[error("what the variables stand for is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// `${VAR:?message}`.
    #[error("required variable {name} is missing a value{}{message}", if .message.is_empty() { "" } else { ": " })]
    Required {
        /// The variable.
        name: String,
        /// What the file says about it.
        message: String,
    },
}

/// Deepest nesting of `${A:-${B:-...}}`.
const MAX_DEPTH: usize = 40;
/// Longest text that substitution may make, in bytes.
const MAX_LENGTH: usize = 4 << 20;

/// Returns the text with its variables replaced and `$$` made one `$`.
pub fn substitute(text: &str, variables: &mut dyn Variables) -> Result<String, TemplateError> {
    expand(text, variables, 0)
}

/// A variable as a text mentions it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// Its name.
    pub name: String,
    /// It must be set: `${NAME?message}`.
    pub required: bool,
    /// What stands in for it, as written: `${NAME-default}`. Empty for nothing.
    pub default: String,
    /// What stands there instead where it is set, as written: `${NAME+alternate}`. Empty for nothing.
    pub alternate: String,
}

/// Returns every variable that a text mentions, also those in the defaults of others.
pub fn mentions(text: &str) -> Vec<Mention> {
    let mention = |name: &str| Mention {
        name: name.to_owned(),
        required: false,
        default: String::new(),
        alternate: String::new(),
    };
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix('{') {
            if let Some(end) = closing(tail)
                && let Some((name, operator, operand)) = braced(&tail[..end])
            {
                let operand_if = |sign| if operator.ends_with(sign) { operand.to_owned() } else { String::new() };
                found.push(Mention {
                    required: operator.ends_with('?'),
                    default: operand_if('-'),
                    alternate: operand_if('+'),
                    ..mention(name)
                });
                found.extend(mentions(operand));
                rest = &tail[end + 1..];
            }
        } else {
            let length = name_length(rest);
            if length > 0 {
                found.push(mention(&rest[..length]));
            }
            rest = &rest[length..];
        }
    }
    found
}

fn expand(text: &str, variables: &mut dyn Variables, depth: usize) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let part = &rest[at..];
        rest = &part[1..];
        if let Some(tail) = rest.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix('{') {
            let invalid =
                || TemplateError::Invalid { part: part.chars().take(60).take_while(|&c| c != '\n').collect() };
            // An expression ends on the line that it begins on.
            let whole = |end: &usize| depth < MAX_DEPTH && !tail[..*end].contains('\n');
            let end = closing(tail).filter(whole).ok_or_else(invalid)?;
            let (name, operator, operand) = braced(&tail[..end]).ok_or_else(invalid)?;
            out.push_str(&evaluate(name, operator, operand, variables, depth)?);
            rest = &tail[end + 1..];
        } else {
            let length = name_length(rest);
            if length == 0 {
                out.push('$');
            } else {
                let name = &rest[..length];
                out.push_str(&evaluate(name, "", "", variables, depth)?);
                rest = &rest[length..];
            }
        }
        if out.len() > MAX_LENGTH {
            return Err(TemplateError::TooLong);
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn evaluate(
    name: &str,
    operator: &str,
    operand: &str,
    variables: &mut dyn Variables,
    depth: usize,
) -> Result<String, TemplateError> {
    let value = variables.value(name);
    let filled = value.as_ref().is_some_and(|v| !v.is_empty());
    let present = if operator.starts_with(':') { filled } else { value.is_some() };
    match (operator.trim_start_matches(':'), present) {
        ("-", false) => {
            variables.used(name, Outcome::Default);
            expand(operand, variables, depth + 1)
        }
        ("+", true) => {
            variables.used(name, Outcome::Alternative);
            expand(operand, variables, depth + 1)
        }
        ("-" | "?", true) => {
            expand(operand, &mut Unused(variables), depth + 1)?;
            variables.used(name, Outcome::Value);
            Ok(value.unwrap_or_default())
        }
        ("+", false) => {
            expand(operand, &mut Unused(variables), depth + 1)?;
            variables.used(name, Outcome::Nothing);
            Ok(String::new())
        }
        ("?", false) => {
            let message = expand(operand, variables, depth + 1)?;
            Err(TemplateError::Required { name: name.to_owned(), message })
        }
        _ => {
            if value.is_none() {
                variables.unset(name);
            }
            variables.used(name, if value.is_some() { Outcome::Value } else { Outcome::Empty });
            Ok(value.unwrap_or_default())
        }
    }
}

/// The variables of what is not put in: it must be right, and what it requires must be there, but that some are not set
/// does not matter.
struct Unused<'a>(&'a mut dyn Variables);

impl Variables for Unused<'_> {
    fn value(&self, name: &str) -> Option<String> {
        self.0.value(name)
    }

    fn unset(&mut self, _name: &str) {}
}

/// Returns the place of the brace that closes one opened before the text.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut open = 1;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'$') => at += 1,
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                open += 1;
                at += 1;
            }
            b'{' => open += 1,
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Returns name, operator and operand of what stands between the braces.
fn braced(text: &str) -> Option<(&str, &str, &str)> {
    let length = name_length(text);
    if length == 0 {
        return None;
    }
    let (name, rest) = text.split_at(length);
    if rest.is_empty() {
        return Some((name, "", ""));
    }
    [":-", "-", ":?", "?", ":+", "+"]
        .into_iter()
        .find_map(|operator| rest.strip_prefix(operator).map(|operand| (name, operator, operand)))
}

fn name_length(text: &str) -> usize {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if !first {
        return 0;
    }
    text.bytes().position(|b| !(b.is_ascii_alphanumeric() || b == b'_')).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct World {
        unset: Vec<String>,
    }

    impl Variables for World {
        fn value(&self, name: &str) -> Option<String> {
            match name {
                "A" => Some("a".to_owned()),
                "B" => Some("b".to_owned()),
                "EMPTY" => Some(String::new()),
                _ => None,
            }
        }

        fn unset(&mut self, name: &str) {
            self.unset.push(name.to_owned());
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let result = substitute(text, &mut World::default());
        let got = result.unwrap_or_else(|error| format!("error: {error}"));
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn every_operator() {
        // interp-plain, interp-braced, interp-escape
        check("$A", "a");
        check("${A}", "a");
        check("x${A}y$B.z", "xayb.z");
        check("$A_B", "");
        check("$$A $${A} $$$A", "$A ${A} $a");
        check("${U}", "");
        // interp-default-*
        check("${A:-d}", "a");
        check("${U:-d}", "d");
        check("${EMPTY:-d}", "d");
        check("${EMPTY-d}", "");
        check("${U-d}", "d");
        check("${U:-}", "");
        check("${U:--}", "-");
        check("${U:-a:-b}", "a:-b");
        check("${U-a:?b}", "a:?b");
        // interp-required-*
        check("${A:?no}", "a");
        check("${EMPTY?no}", "");
        check("${EMPTY:?no}", "error: required variable EMPTY is missing a value: no");
        check("${U?}", "error: required variable U is missing a value");
        check("${U:?give ${A}}", "error: required variable U is missing a value: give a");
        // interp-alt-*
        check("${A:+r}", "r");
        check("${EMPTY:+r}", "");
        check("${EMPTY+r}", "r");
        check("${U+r}", "");
        // interp-nested
        check("${U:-${V:-c}}", "c");
        check("${U:-${A}-${V:-${B}}}", "a-b");
        check("${U:-{\"k\": \"$A\"}}", "{\"k\": \"a\"}");
        check("${U:-$$x}", "$x");
        check("${A}${B}", "ab");
    }

    #[test]
    fn what_is_no_variable() {
        // interp-invalid
        check("$1 5$ $", "$1 5$ $");
        check("${", "error: invalid interpolation format: \"${\"");
        check("${}", "error: invalid interpolation format: \"${}\"");
        check("${1}", "error: invalid interpolation format: \"${1}\"");
        check("${A/a/b}", "error: invalid interpolation format: \"${A/a/b}\"");
        check("${A", "error: invalid interpolation format: \"${A\"");
        check("${U:-${V}", "error: invalid interpolation format: \"${U:-${V}\"");
        check("ü${A}ü", "üaü");
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}x{}", "${U:-".repeat(5000), "}".repeat(5000));
        assert!(substitute(&deep, &mut World::default()).is_err());
    }

    #[test]
    fn unset_is_told() {
        let mut world = World::default();
        substitute("$X ${Y:-1} ${Z}", &mut world).unwrap();
        assert_eq!(world.unset, ["X", "Z"]);
    }

    #[test]
    fn a_text_mentions_variables() {
        let shown = |m: Mention| format!("{} {} [{}] [{}]", m.name, m.required, m.default, m.alternate);
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(mentions(text).into_iter().map(shown).collect::<Vec<_>>(), expected, "{text}");
        };
        check("$A $$D ${E?m} ${F:?}", &["A false [] []", "E true [] []", "F true [] []"]);
        check("${B:-$C}", &["B false [$C] []", "C false [] []"]);
        check("${B-x${C-y}z}", &["B false [x${C-y}z] []", "C false [y] []"]);
        check("${B:+b} ${C+c} ${", &["B false [] [b]", "C false [] [c]"]);
    }
}
