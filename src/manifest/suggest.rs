//! Suggestions for misspelt words: the closest allowed word, for "did you mean …?".

/// The candidate that `typed` was probably meant to be, if one is similar enough.
pub(crate) fn nearest<'c>(
    typed: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let typed = typed.to_lowercase();
    let length = typed.chars().count();
    let scored = candidates.into_iter().filter_map(|candidate| {
        // A third of the letters may be wrong, but at least one. Texts of a very different length, which may be as long
        // as a file, are not compared.
        let letters = candidate.chars().count();
        let wrong = (letters / 3).max(1);
        if length.abs_diff(letters) > wrong {
            return None;
        }
        let distance = strsim::damerau_levenshtein(&typed, &candidate.to_lowercase());
        Some((distance, wrong, candidate))
    });
    let (distance, wrong, candidate) = scored.min_by_key(|(distance, ..)| *distance)?;
    (distance <= wrong).then_some(candidate)
}

/// The text `did you mean …?`, if a candidate is close enough.
pub(super) fn did_you_mean<'c>(
    typed: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    nearest(typed, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_find_their_word_and_strangers_do_not() {
        let fields = ["region", "regions", "account", "images"];
        assert_eq!(nearest("regoin", fields), Some("region"));
        assert_eq!(nearest("Regions", fields), Some("regions"));
        assert_eq!(nearest("banana", fields), None);
        assert_eq!(nearest("shard", ["shared", "unshared"]), Some("shared"));
        assert_eq!(
            nearest("ap-singapur", ["ap-seoul", "ap-singapore"]),
            Some("ap-singapore")
        );
        assert_eq!(nearest(&"region".repeat(1_000_000), fields), None);
    }
}
