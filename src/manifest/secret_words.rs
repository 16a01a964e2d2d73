//! Field names that would hold a secret. No manifest has such a field, and a file that contains one is never quoted.

/// Endings of field names, without `_` and `-`, that would hold a secret.
const SECRET_WORDS: [&str; 6] = [
    "secretid",
    "secretkey",
    "token",
    "password",
    "accesskey",
    "secret",
];

/// Whether a field of this name would hold a secret.
pub(super) fn is_secret_word(name: &str) -> bool {
    let name = name.trim().trim_matches(['"', '\'']);
    if name.len() > 40 {
        return false;
    }
    let squeezed = name.to_lowercase().replace(['_', '-'], "");
    SECRET_WORDS.iter().any(|word| squeezed.ends_with(word))
}
