//! Decides which ref of a repository a short name means. git itself prefers a tag to a branch, so anybody who may push
//! tags could decide what is applied. Here the branch comes first, and other refs with the same name are reported.

use super::GitRef;

/// The ref that a name meant at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResolvedRef {
    pub full: String,
    /// The full names of the other refs that the same name could mean.
    beside: Vec<String>,
}

/// The full names that a short name could mean. The first of them that exists is used.
pub(super) fn candidates(name: &GitRef) -> [String; 3] {
    ["refs/heads/", "refs/", "refs/tags/"].map(|prefix| format!("{prefix}{name}"))
}

impl ResolvedRef {
    /// Finds the ref that `name` means in the output of `git ls-remote`; returns `None` if there is no such ref.
    pub(super) fn of(name: &GitRef, listed: &[u8]) -> Option<Self> {
        let listed = String::from_utf8_lossy(listed);
        let refs: Vec<_> = listed
            .lines()
            .filter_map(|line| Some(line.split_once('\t')?.1))
            .collect();
        let mut there = candidates(name)
            .into_iter()
            .filter(|full| refs.contains(&full.as_str()));
        let full = there.next()?;
        Some(Self {
            full,
            beside: there.collect(),
        })
    }

    /// The notice to people about the ref, given what the name meant before; `None` if they already know it or if nothing
    /// about it is unusual.
    pub(super) fn notice(&self, name: &GitRef, before: Option<&Self>) -> Option<String> {
        if before == Some(self) {
            return None;
        }
        let full = &self.full;
        if !self.beside.is_empty() {
            let beside = self.beside.join(" and ");
            return Some(format!(
                "`{name}` is `{full}` and also {beside}: `{full}` is followed; give the full name to be independent of other refs called `{name}`"
            ));
        }
        if full.starts_with("refs/tags/") {
            return Some(format!(
                "`{name}` is not a branch, so the tag is followed; give `{full}`, because a branch of that name would replace it"
            ));
        }
        let before = before?;
        Some(format!(
            "`{name}` was `{}`{}, and is now `{full}` alone",
            before.full,
            match before.beside.as_slice() {
                [] => String::new(),
                beside => format!(" and also {}", beside.join(" and ")),
            }
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(name: &str, refs: &[&str]) -> Option<ResolvedRef> {
        let listed: String = refs
            .iter()
            .map(|name| format!("{}\t{name}\n", "a1".repeat(20)))
            .collect();
        ResolvedRef::of(&GitRef::new(name).expect("a ref"), listed.as_bytes())
    }

    #[test]
    fn g5_a_name_means_the_branch_whatever_else_has_that_name() {
        for (name, refs, full, beside) in [
            (
                "main",
                &["refs/heads/main"] as &[_],
                Some("refs/heads/main"),
                0,
            ),
            (
                "main",
                &["refs/heads/main", "refs/tags/main", "refs/tags/main^{}"],
                Some("refs/heads/main"),
                1,
            ),
            (
                "feature/x",
                &["refs/tags/feature/x", "refs/heads/feature/x"],
                Some("refs/heads/feature/x"),
                1,
            ),
            (
                "v1",
                &["refs/tags/v1", "refs/tags/v1^{}"],
                Some("refs/tags/v1"),
                0,
            ),
            // git resolves it in the same way.
            (
                "heads/main",
                &["refs/heads/main", "refs/tags/heads/main"],
                Some("refs/heads/main"),
                1,
            ),
            // `ls-remote` matches the ends of names.
            (
                "main",
                &["refs/remotes/x/refs/heads/main", "refs/heads/x/main"],
                None,
                0,
            ),
            ("main", &[], None, 0),
        ] {
            let resolved = resolved(name, refs);
            assert_eq!(
                resolved.as_ref().map(|it| it.full.as_str()),
                full,
                "{name} {refs:?}"
            );
            assert_eq!(
                resolved.map_or(0, |it| it.beside.len()),
                beside,
                "{name} {refs:?}"
            );
        }
    }

    #[test]
    fn g5_what_a_name_means_is_reported_at_first_and_when_it_changes() {
        let name = GitRef::new("main").expect("a ref");
        let of = |refs: &[&str]| resolved("main", refs).expect("is there");
        let branch = of(&["refs/heads/main"]);
        let tag = of(&["refs/tags/main"]);
        let both = of(&["refs/heads/main", "refs/tags/main"]);
        assert_eq!(branch.notice(&name, None), None);
        for (now, before, words) in [
            (&both, None, "`refs/heads/main` is followed"),
            (&both, Some(&branch), "also refs/tags/main"),
            (&branch, Some(&both), "is now `refs/heads/main` alone"),
            (&tag, None, "give `refs/tags/main`"),
            (&tag, Some(&branch), "the tag is followed"),
            (
                &branch,
                Some(&tag),
                "was `refs/tags/main`, and is now `refs/heads/main` alone",
            ),
        ] {
            let notice = now.notice(&name, before).expect("is news");
            assert!(notice.contains(words), "{notice}");
            assert_eq!(now.notice(&name, Some(now)), None);
        }
    }
}
