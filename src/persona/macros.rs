//! Macros in persona texts: `{{char}}` and `{{user}}`. Member text never comes here.

/// The names that macros stand for.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// The persona's own name.
    pub char: &'a str,
    /// The member's name.
    pub user: &'a str,
}

/// Replaces `{{char}}` and `{{user}}`, in whatever case and spacing. What was inserted is not looked at again, and
/// an unknown macro stays as it is written.
#[must_use]
pub fn expand(text: &str, names: Names<'_>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let after = &rest[start + 2..];
        let replacement = after.find("}}").and_then(|end| {
            let value = match after[..end].trim().to_ascii_lowercase().as_str() {
                "char" => names.char,
                "user" => names.user,
                _ => return None,
            };
            Some((value, end))
        });
        match replacement {
            Some((value, end)) => {
                expanded.push_str(&rest[..start]);
                expanded.push_str(value);
                rest = &after[end + 2..];
            }
            None => {
                expanded.push_str(&rest[..=start]);
                rest = &rest[start + 1..];
            }
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(expand(text, Names { char: "Hermes", user: "{{char}} Bob" }), expected);
    }

    #[test]
    fn names_are_inserted_whatever_the_case() {
        check("{{char}}, {{ CHAR }} and {{Char}}", "Hermes, Hermes and Hermes");
    }

    #[test]
    fn what_was_inserted_is_not_expanded_again() {
        check("{{user}}!", "{{char}} Bob!");
    }

    #[test]
    fn unknown_and_broken_macros_stay() {
        check("{{roll:d6}} {{char {{{char}}} }} {{", "{{roll:d6}} {{char {Hermes} }} {{");
    }
}
