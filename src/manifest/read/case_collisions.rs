//! File names that only some file systems distinguish. If letter case or the form of accents does not count, as on
//! macOS and Windows, a checkout keeps only one of two such files, and the content of the other is lost without an
//! error.

use std::collections::BTreeMap;
use std::path::Path;

use icu_normalizer::DecomposingNormalizerBorrowed;

use super::reading::FoundFile;
use crate::manifest::diagnostic::Diagnostic;
use crate::words::safe;

/// The number of pairs that are reported. A tree that was copied under a name in capitals has one pair for every file.
const WARNINGS_MAX: usize = 20;

/// One warning for each file whose path differs from another one only by case or accents. Both files are read here, so
/// contradictions between them are errors already.
pub(in crate::manifest) fn warnings(files: &[FoundFile]) -> Vec<Diagnostic> {
    let mut first: BTreeMap<String, &Path> = BTreeMap::new();
    let mut warnings = Vec::new();
    for FoundFile { path, .. } in files {
        // A name that is not Unicode has no other form.
        let Some(text) = path.to_str() else {
            continue;
        };
        let other = *first.entry(folded(text)).or_insert(path);
        if other == path || warnings.len() == WARNINGS_MAX {
            continue;
        }
        warnings.push(Diagnostic::warning_of_path(
            text,
            format!(
                "only letter case or the form of accents distinguishes this name from {}: where neither counts (macOS, Windows), \
                 a checkout has only one of the two files",
                safe(&other.to_string_lossy())
            ),
            "give them names that differ in more than that",
        ));
    }
    warnings
}

/// The same text for all names that such file systems treat as equal. Upper case comes first, because some small
/// letters share an upper-case form.
pub(super) fn folded(text: &str) -> String {
    let normalizer = DecomposingNormalizerBorrowed::new_nfd();
    let capitals = normalizer.normalize(text).to_uppercase();
    normalizer.normalize(&capitals.to_lowercase()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::folded;

    #[test]
    fn m19_what_case_and_accents_alone_tell_apart_is_one_name() {
        for (one, other) in [
            ("Golden.yaml", "golden.yaml"),
            ("Team/a.yaml", "team/A.yaml"),
            ("caf\u{e9}.yaml", "cafe\u{301}.yaml"),
            ("CAF\u{c9}.yaml", "cafe\u{301}.yaml"),
            ("\u{212b}.yaml", "\u{e5}.yaml"),
            ("\u{3c3}\u{3c2}.yaml", "\u{3a3}\u{3a3}.yaml"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        for (one, other) in [
            ("golden.yaml", "golden.yml"),
            ("golden-1.yaml", "golden_1.yaml"),
            ("cafe.yaml", "caf\u{e9}.yaml"),
            ("team/a.yaml", "team-a.yaml"),
        ] {
            assert_ne!(folded(one), folded(other), "{one} {other}");
        }
    }
}
