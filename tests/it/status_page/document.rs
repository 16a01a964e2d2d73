//! The document `/status.json`, and what both page and document show of odd states.

use super::*;

#[test]
fn the_document_carries_what_the_board_has() {
    let document = document(&bad(), "");
    assert_eq!(document["format_version"], 1);
    assert_eq!(document["started"], "2026-03-01T12:00:00Z");
    assert_eq!(
        document["manifests"]["broken_since"],
        "2026-03-01T12:09:00Z"
    );
    assert_eq!(
        document["manifests"]["problems"].as_array().unwrap().len(),
        2
    );
    let summary = &document["summary"];
    for (count, expected) in [
        ("images", 526),
        ("in_sync", 465),
        ("pending", 2),
        ("blocked", 3),
        ("withheld", 43),
        ("waiting", 1),
        ("unknown", 12),
        ("stalled", 44),
    ] {
        assert_eq!(summary[count], expected, "{count}");
    }
    let scopes = document["scopes"].as_array().unwrap();
    let names: Vec<_> = scopes
        .iter()
        .map(|s| {
            format!(
                "{}/{}",
                s["account"].as_str().unwrap(),
                s["region"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(names.len(), 5);
    let mixed = &scopes[0];
    assert_eq!(mixed["activity"], "passing");
    assert_eq!(mixed["writes_answered"], 3);
    assert_eq!(mixed["unmanaged"]["foreign"], 1);
    assert_eq!(mixed["rate"]["per_second"], 19.0);
    let eta = mixed["eta_seconds"].as_f64().expect("a number");
    assert!((eta * 19.0 - 2.0).abs() < 1e-6, "two calls at 19 a second");
    let images = board::by_id(&mixed["images"]);
    let blocked = images["img-00000002"];
    assert_eq!(blocked["reason"], "NotEligible");
    assert_eq!(
        blocked["error_code"],
        "UnsupportedOperation.ImageUnableToShare"
    );
    assert_eq!(blocked["source"]["line"], 10);
    assert_eq!(blocked["conditions"][2]["type"], "Stalled");
    assert_eq!(blocked["conditions"][2]["status"], "True");
    assert_eq!(images["img-00000008"]["next_try"], "2026-03-01T12:11:00Z");
    assert_eq!(scopes[3]["view"]["state"], "unseen");
    assert_eq!(scopes[3]["view"]["error_code"], "InternalError");
    assert_eq!(scopes[4]["activity"], "held");
    assert_eq!(
        document["changes"][0]["result"], "unknown",
        "the newest first"
    );
    assert_eq!(document["transitions"][0]["kind"], "stalled");
}

#[test]
fn c13_t8_odd_states_and_strays_are_on_the_page_and_in_the_document() {
    let mut board = good();
    let clean = text(&shown(&board, ""));
    assert!(!clean.contains("BRAND"), "{clean}");
    let place = scope("default", "ap-singapore");
    let shared = (0..700).map(|n| (id(n), decision(Verdict::InSync)));
    let mut plan = plan(&place, shared);
    let odd = UndocumentedState {
        blueprint: "lhbp-1 is <b>BRAND_NEW</b>".into(),
        state: "BRAND_NEW".into(),
    };
    plan.undocumented_states.insert(id(1), odd);
    for n in 701..704 {
        let stray = Stray {
            blueprint: "lhbp-2".into(),
            ours: false,
        };
        plan.unmanaged.strays.insert(id(n), stray);
    }
    pass(&mut board, &plan, PassResult::Synced);
    let html = shown(&board, "");
    assert!(html.contains("is &lt;b&gt;BRAND_NEW"), "{html}");
    assert!(text(&html).contains(&place.to_string()));
    let document = document(&board, "");
    let warnings = &document["scopes"][0]["warnings"];
    assert_eq!(warnings.as_array().expect("a list").len(), 1);
    assert_eq!(document["scopes"][0]["strays"], 3);
    assert_eq!(document["scopes"][1]["warnings"], serde_json::json!([]));
}

#[test]
fn the_document_is_narrowed_by_its_query() {
    let board = bad();
    let wrong = document(&board, "only=wrong");
    let scopes = wrong["scopes"].as_array().unwrap();
    let images = scopes
        .iter()
        .flat_map(|scope| scope["images"].as_array().unwrap());
    assert!(images.clone().count() > 0);
    for image in images {
        assert_ne!(image["conditions"][0]["status"], "True");
    }
    let place = scope("default", "eu-frankfurt");
    let one = document(
        &board,
        "account=default&region=eu-frankfurt&image=img-00000007",
    );
    assert_eq!(one["scopes"].as_array().unwrap().len(), 1);
    assert_eq!(one["scopes"][0]["region"], place.region.as_str());
    assert_eq!(one["scopes"][0]["images"].as_array().unwrap().len(), 1);
    assert_eq!(one["expiring"].as_array().unwrap().len(), 1);
    assert_eq!(one["summary"]["images"], 400);
}
