//! File names that are nearly those of manifests. Such a file is not read, although its author may think that it is: if
//! letter case does not count, as on macOS and Windows, `A.YAML` opens like any other.

use std::path::PathBuf;

use crate::manifest::diagnostic::Diagnostic;
use crate::manifest::paths::is_manifest_name;
use crate::manifest::read_options::ReadOptions;

/// Endings in lower case. Backups that editors leave next to a file (`.yaml~`, `.yaml.bak`) are not meant to be read.
const ENDINGS: [&str; 6] = [".yaml", ".yml", ".yaml.txt", ".yml.txt", ".ymal", ".yalm"];
/// The number of files that are reported; the others are only counted.
const WARNINGS_MAX: usize = 20;

/// Whether a file of this name is not read although it seems meant to be.
pub(super) fn is_near_miss(name: &str) -> bool {
    let small = name.trim_end().to_ascii_lowercase();
    !is_manifest_name(name) && ENDINGS.iter().any(|ending| small.ends_with(ending))
}

/// One warning for each file.
pub(in crate::manifest) fn warnings(files: &[PathBuf], options: &ReadOptions) -> Vec<Diagnostic> {
    let rest = files.len().saturating_sub(WARNINGS_MAX);
    let last = files.len().min(WARNINGS_MAX);
    let warning = |(index, path): (usize, &PathBuf)| {
        let more = match rest {
            rest if rest > 0 && index + 1 == last => format!(", and {rest} more like it"),
            _ => String::new(),
        };
        Diagnostic::warning_of_path(
            &options.name(path),
            format!("the file is not read: its name ends in neither `.yaml` nor `.yml`{more}"),
            "rename it to end in `.yaml`, in small letters; to have it ignored silently, begin its name with `_`",
        )
    };
    let listed = files.iter().take(WARNINGS_MAX).enumerate();
    listed.map(warning).collect()
}

/// The first remedy if such a file is the only one; empty if there is none.
pub(super) fn hint(files: &[PathBuf]) -> String {
    match files.first().and_then(|path| path.file_name()) {
        Some(name) => format!(
            "rename `{}` to end in `.yaml`, in small letters; ",
            crate::words::safe(&name.to_string_lossy())
        ),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g3_r9d_near_misses_are_told_from_manifests_and_from_backups() {
        for near in [
            "b.YAML",
            "b.YML",
            "b.Yaml",
            "b.yaml ",
            "b.yaml.txt",
            "b.ymal",
            "b.yalm",
        ] {
            assert!(is_near_miss(near), "{near:?}");
        }
        for other in [
            "b.yaml",
            "b.yml",
            "b.yaml~",
            "b.yaml.bak",
            "b.yaml.swp",
            "b.json",
            "b.xml",
            "yaml",
            "README.md",
        ] {
            assert!(!is_near_miss(other), "{other:?}");
        }
    }

    #[test]
    fn g3_r9d_many_near_misses_are_counted() {
        let files: Vec<_> = (0..25).map(|n| PathBuf::from(format!("{n}.YML"))).collect();
        let options = ReadOptions::new(crate::manifest::GitBusyPolicy::Read);
        let warnings = warnings(&files, &options);
        assert_eq!(warnings.len(), WARNINGS_MAX);
        let last = &warnings[WARNINGS_MAX - 1].message;
        assert!(last.ends_with(", and 5 more like it"), "{last}");
        assert_eq!(super::warnings(&files[..1], &options).len(), 1);
    }
}
