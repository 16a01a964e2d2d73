//! Tests the example deployments that start the daemon: Kubernetes manifests and systemd units.

use std::io::Write;
use std::process::Command;

use serde_json::Value;
use sharekeeper::manifest::{SourceText, parse};

use super::text;

fn documents(file: &str) -> Vec<Value> {
    let text = text(file);
    let documents = text.split("\n---\n");
    documents
        .map(|document| {
            serde_saphyr::from_str(document).unwrap_or_else(|error| panic!("{file}: {error}"))
        })
        .collect()
}

#[test]
fn the_kubernetes_example_runs_one_process_that_may_do_little() {
    let documents = documents("examples/kubernetes/sharekeeper.yaml");
    let kinds: Vec<_> = documents.iter().map(|document| &document["kind"]).collect();
    assert_eq!(kinds.len(), 8, "{kinds:?}");
    let deployment = documents
        .iter()
        .find(|document| document["kind"] == "Deployment");
    let deployment = &deployment.expect("a Deployment")["spec"];
    assert_eq!(deployment["replicas"], 1, "two would fight over the state");
    assert_eq!(deployment["strategy"]["type"], "Recreate");
    let pod = &deployment["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    // A volume mounted with `subPath` never receives an update of its ConfigMap.
    let mounts = container["volumeMounts"].as_array().expect("mounts");
    assert!(mounts.iter().all(|mount| mount["subPath"].is_null()));
}

#[test]
fn the_manifests_in_the_kubernetes_example_are_valid() {
    let documents = documents("examples/kubernetes/sharekeeper.yaml");
    let map = documents
        .iter()
        .find(|document| document["kind"] == "ConfigMap");
    let files = map.expect("a ConfigMap")["data"]
        .as_object()
        .expect("files");
    let files = files.iter().map(|(name, text)| {
        SourceText::new(name.as_str(), text.as_str().expect("text").to_owned())
    });
    let loaded = parse(files.collect()).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
    assert!(
        loaded.desired.scopes().next().is_some(),
        "it asks for something"
    );
}

#[test]
fn the_scrape_configuration_names_the_job_of_the_alerts() {
    let configuration = &documents("examples/monitoring/prometheus.yaml")[0];
    assert_eq!(
        configuration["scrape_configs"][0]["job_name"],
        "sharekeeper"
    );
    assert!(text("examples/monitoring/alerts.yaml").contains("up{job=\"sharekeeper\"}"));
}

#[test]
fn systemd_takes_the_unit() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        // If stderr is closed, nobody reads the message, so the error is ignored.
        let _ = writeln!(std::io::stderr(), "skipped: systemd-analyze is not found");
        return;
    }
    let folder = tempfile::tempdir().expect("a directory");
    // systemd checks that the binary exists, and it is not installed on this machine.
    let unit = text("examples/systemd/sharekeeper.service");
    let unit = unit.replace("/usr/local/bin/sharekeeper", "/bin/true");
    let path = folder.path().join("sharekeeper.service");
    std::fs::write(&path, unit).expect("can be written");
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&path)
        .output()
        .expect("it starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let about_it: Vec<_> = said
        .lines()
        .filter(|line| line.contains("sharekeeper"))
        .collect();
    assert!(output.status.success() && about_it.is_empty(), "{said}");
}
