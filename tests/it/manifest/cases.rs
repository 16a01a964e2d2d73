//! What is read from good and bad text: golden cases, positions, and the samples that users copy.
//!
//! Each `tests/manifest_cases/*.yaml` has its expected output beside it; `UPDATE_GOLDEN=1` rewrites these
//! outputs.

use super::*;

#[test]
fn every_case_reads_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifest_cases");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut cases = 0;
    for entry in fs::read_dir(&folder).expect("the cases") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        cases += 1;
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(&path).expect("a case");
        let shown = shown(&parse(vec![SourceText::new(name.as_str(), text)]));
        let expected = path.with_extension("out");
        if update {
            fs::write(&expected, &shown).expect("can be written");
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(shown, expected, "{name}");
        assert!(
            !shown.contains("hunter2") && !shown.contains('\x1b'),
            "{name}"
        );
    }
    assert!(cases >= 17, "{cases}");
}

#[test]
fn json_positions_are_those_of_the_text() {
    let text = "apiVersion: sharekeeper.dev/v1\nkind: ImageShare\nmetadata: {name: ä, lable: x}\n";
    let Err(diagnostics) = parse_one(text) else {
        panic!("has errors")
    };
    let json = serde_json::to_value(diagnostics.errors()).expect("JSON");
    let label = json
        .as_array()
        .expect("a list")
        .iter()
        .find(|e| e["message"].as_str().is_some_and(|m| m.contains("lable")));
    assert_eq!(
        label.expect("reported")["column"],
        21,
        "columns count characters, not bytes"
    );
    assert_eq!(label.expect("reported")["line"], 3);
    assert_eq!(label.expect("reported")["help"], "did you mean `labels`?");
}

#[test]
fn the_samples_and_examples_are_valid() {
    for folder in [
        "manifests",
        "examples/minimal",
        "examples/multi-region",
        "examples/tenants",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let loaded = load(&[path]).unwrap_or_else(|broken| {
            panic!("{folder}: {}", broken.diagnostics().render(false));
        });
        assert!(
            loaded.warnings.is_empty() && loaded.desired.entries() > 0,
            "{folder}"
        );
    }
}

#[test]
fn m16_s15_moving_documents_between_files_changes_nothing() {
    let (a, b) = (good("a", "img-a"), good("b", "img-b"));
    let text = |name: &str, text: &str| SourceText::new(name, text.to_owned());
    let keys = |sources| {
        let loaded = parse(sources).expect("valid");
        loaded
            .desired
            .images
            .into_iter()
            .map(|(key, image)| (key, image.share))
            .collect::<Vec<_>>()
    };
    let together = keys(vec![text("all.yaml", &format!("{a}---\n{b}"))]);
    assert_eq!(together, keys(vec![text("1.yaml", &a), text("2.yaml", &b)]));
    assert_eq!(together, keys(vec![text("2.yaml", &a), text("1.yaml", &b)]));
}
