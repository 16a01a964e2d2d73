/// The candidate that `typed` was probably meant to be, if one is near enough.
pub(super) fn nearest<'c>(
    typed: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let typed = typed.to_lowercase();
    let scored = candidates.into_iter().map(|candidate| {
        (
            strsim::damerau_levenshtein(&typed, &candidate.to_lowercase()),
            candidate,
        )
    });
    let (distance, candidate) = scored.min_by_key(|(distance, _)| *distance)?;
    // A third of the letters may be wrong, and in a short word one.
    (distance <= (candidate.chars().count() / 3).max(1)).then_some(candidate)
}

/// `did you mean …?`, if anything is near.
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
    }
}
