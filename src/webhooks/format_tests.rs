//! Tests the bodies of each format, and that foreign text in them stays harmless.

use serde_json::json;

use std::rc::Rc;

use super::batch::{Batch, Entry, Omitted};
use super::fixtures_tests::{at, blocked, image, scope, transition};
use super::format::{Delivery, Format, dingtalk_sign, feishu_sign};
use super::url::WebhookUrl;
use crate::host::Request;
use crate::model::{Region, Secret, Selector};
use crate::status::{Extent, Subject, Transition, TransitionKind};

/// Foreign text with the markup of every chat.
const HOSTILE: &str = "<!channel> <@U1|x> @all <at user_id=\"all\">x</at> [a](https://evil.example) <font color=\"info\">ok</font> \
                       ``` **b** & </script>\n# ✅ sharekeeper: fine\r\n\u{202e}• 🔴\u{1b}[2J";

/// Makes a delivery. All of its omitted transitions are blocked images.
fn delivery(transitions: Vec<Transition>, omitted: u64) -> Delivery {
    let entry = |(number, transition)| Entry {
        number,
        transition: Rc::new(transition),
        failures: 0,
    };
    Delivery {
        id: "00ff00ff00ff00ff00ff00ff00ff00ff".into(),
        written_at: at(0),
        batch: Batch {
            entries: (0..).zip(transitions).map(entry).collect(),
            omitted: Omitted {
                by_kind: [(TransitionKind::Blocked, omitted)]
                    .into_iter()
                    .filter(|(_, count)| *count > 0)
                    .collect(),
                undelivered: 0,
            },
        },
    }
}

fn request(format: Format, delivery: &Delivery, secret: Option<&str>) -> Request {
    let url = WebhookUrl::new("https://example.com/hook?key=k").expect("a URL");
    let secret = secret.map(|secret| Secret::new(secret.into()));
    format.request(delivery, &url, secret.as_ref(), at(1))
}

fn body(format: Format, delivery: &Delivery, secret: Option<&str>) -> String {
    String::from_utf8(request(format, delivery, secret).body).expect("UTF-8")
}

/// Returns the text that a person reads.
fn text(format: Format, delivery: &Delivery) -> String {
    let body: serde_json::Value =
        serde_json::from_str(&body(format, delivery, None)).expect("JSON");
    let place = match format {
        Format::Json => unreachable!("nobody reads it"),
        Format::Slack => "/text",
        Format::Wecom => "/markdown/content",
        Format::Feishu => "/content/text",
        Format::Dingtalk => "/text/content",
    };
    body.pointer(place)
        .and_then(|text| text.as_str())
        .expect("a text")
        .to_owned()
}

fn chats() -> impl Iterator<Item = Format> {
    Format::ALL
        .into_iter()
        .filter(|format| *format != Format::Json)
}

fn mixed() -> Delivery {
    let transitions = vec![
        transition(image(1), TransitionKind::Unblocked, "it can be shared"),
        transition(
            image(2),
            TransitionKind::ExpiringSoon,
            "its share ends in 2 h",
        ),
        transition(
            Subject::Scope(scope()),
            TransitionKind::Stalled,
            "not seen for 3 passes",
        ),
        transition(
            image(3),
            TransitionKind::Blocked,
            "servers use it: try <later> & again",
        ),
        transition(image(4), TransitionKind::Blocked, "servers use it"),
        transition(
            Subject::Manifests,
            TransitionKind::Recovered,
            "they can be used",
        ),
    ];
    delivery(transitions, 3)
}

#[test]
fn slack_gets_text_with_entities_and_no_previews_of_links() {
    assert_eq!(
        body(Format::Slack, &mixed(), None),
        r#"{"link_names":false,"text":"🔴 sharekeeper: 1 stalled, 5 blocked, 1 expiring soon, 1 no longer blocked, 1 recovered\n• 🔴 prod/ap-tokyo stalled: not seen for 3 passes\n• 🔴 prod/ap-tokyo/img-0003 blocked: servers use it: try &lt;later&gt; &amp; again\n• 🔴 prod/ap-tokyo/img-0004 blocked: servers use it\n• 🟡 prod/ap-tokyo/img-0002 expiring soon: its share ends in 2 h\n• ✅ manifests recovered: they can be used\n• ✅ prod/ap-tokyo/img-0001 no longer blocked: it can be shared\n… and 3 more","unfurl_links":false,"unfurl_media":false}"#
    );
}

#[test]
fn wecom_gets_markdown() {
    let good = delivery(
        vec![transition(image(1), TransitionKind::Recovered, "fine")],
        0,
    );
    assert_eq!(
        body(Format::Wecom, &good, None),
        r#"{"markdown":{"content":"✅ sharekeeper: 1 recovered\n• ✅ prod/ap-tokyo/img-0001 recovered: fine"},"msgtype":"markdown"}"#
    );
}

#[test]
fn feishu_gets_text_that_is_signed_if_there_is_a_secret() {
    let one = delivery(blocked(1), 0);
    assert_eq!(
        body(Format::Feishu, &one, None),
        r#"{"content":{"text":"🔴 sharekeeper: 1 blocked\n• 🔴 prod/ap-tokyo/img-0001 blocked: servers use it"},"msg_type":"text"}"#
    );
    let signed: serde_json::Value =
        serde_json::from_str(&body(Format::Feishu, &one, Some("demo"))).expect("JSON");
    assert_eq!(signed["timestamp"], "1767323046");
    let sign = feishu_sign("1767323046", &Secret::new("demo".into()));
    assert_eq!(signed["sign"], json!(sign));
    // Computed with Python's hmac from the sample timestamp in Feishu's documentation.
    assert_eq!(
        feishu_sign("1599360473", &Secret::new("demo".into())),
        "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="
    );
}

#[test]
fn dingtalk_gets_text_and_its_signature_in_the_url() {
    let one = delivery(blocked(1), 0);
    assert_eq!(
        body(Format::Dingtalk, &one, Some("SECdemo")),
        r#"{"msgtype":"text","text":{"content":"🔴 sharekeeper: 1 blocked\n• 🔴 prod/ap-tokyo/img-0001 blocked: servers use it"}}"#
    );
    let url = request(Format::Dingtalk, &one, Some("SECdemo")).url;
    let url = reqwest::Url::parse(&url).expect("a URL");
    let sign = dingtalk_sign("1767323046000", &Secret::new("SECdemo".into()));
    let query: Vec<_> = url.query_pairs().collect();
    assert_eq!(
        query,
        [
            ("key".into(), "k".into()),
            ("timestamp".into(), "1767323046000".into()),
            ("sign".into(), sign.into())
        ]
    );
    // Computed with Python's hmac.
    assert_eq!(
        dingtalk_sign("1577262236757", &Secret::new("SECdemo".into())),
        "sLRlUUvzoOXn5DR/+o+s6tOqX+bWe3JGaZ7JQ7844l8="
    );
}

#[test]
fn json_contains_everything_and_the_exact_bytes_are_signed() {
    let transitions = vec![
        transition(image(1), TransitionKind::Blocked, "servers use it"),
        transition(Subject::Scope(scope()), TransitionKind::Stalled, "not seen"),
        transition(
            Subject::Account(scope().account),
            TransitionKind::Stalled,
            "no key",
        ),
        transition(
            Subject::Manifests,
            TransitionKind::Recovered,
            "they can be used",
        ),
    ];
    let request = request(Format::Json, &delivery(transitions, 7), Some("key"));
    assert_eq!(
        String::from_utf8_lossy(&request.body),
        r#"{"format_version":1,"id":"00ff00ff00ff00ff00ff00ff00ff00ff","sent_at":"2026-01-02T03:04:05Z","transitions":[{"at":"2026-01-02T03:04:01Z","kind":"blocked","subject":{"type":"image","account":"prod","region":"ap-tokyo","image_id":"img-0001"},"reason":"ImageInUse","message":"servers use it"},{"at":"2026-01-02T03:04:01Z","kind":"stalled","subject":{"type":"scope","account":"prod","region":"ap-tokyo"},"reason":null,"message":"not seen"},{"at":"2026-01-02T03:04:01Z","kind":"stalled","subject":{"type":"account","account":"prod"},"reason":null,"message":"no key"},{"at":"2026-01-02T03:04:01Z","kind":"recovered","subject":{"type":"manifests"},"reason":null,"message":"they can be used"}],"more":7}"#
    );
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|header| (header.name, header.value.as_str()))
        .collect();
    // The signature as Python's hmac computes it over "1767323046." and the body above.
    assert_eq!(
        headers,
        [
            ("content-type", "application/json"),
            ("x-sharekeeper-delivery", "00ff00ff00ff00ff00ff00ff00ff00ff"),
            ("x-sharekeeper-timestamp", "1767323046"),
            (
                "x-sharekeeper-signature-256",
                "sha256=5f70cd716ba683cc464156d62be37cfa7a41024d8641dbf6dfcbc1bbcf46ab17"
            ),
        ]
    );
    let unsigned = self::request(Format::Json, &delivery(blocked(1), 0), None);
    assert!(
        unsigned
            .headers
            .iter()
            .all(|header| !header.name.contains("signature"))
    );
}

#[test]
fn o1_o7_foreign_text_cannot_add_a_line_mention_anybody_or_link() {
    for format in chats() {
        let hostile = delivery(
            vec![transition(image(1), TransitionKind::Blocked, HOSTILE)],
            0,
        );
        let text = text(format, &hostile);
        assert_eq!(text.lines().count(), 2, "{text}");
        for barred in ["<", ">", "@", "```", "\u{1b}", "\u{202e}", "\r"] {
            assert!(!text.contains(barred), "{format:?}: {barred} in {text}");
        }
        if format == Format::Slack {
            // Only the three entities may begin with `&`.
            let entities = text.split('&').skip(1);
            let known = |rest: &str| {
                ["amp;", "lt;", "gt;"]
                    .iter()
                    .any(|known| rest.starts_with(known))
            };
            assert!(
                entities.clone().count() > 10 && entities.clone().all(known),
                "{text}"
            );
        } else {
            for barred in ["[", "]", "*", "&", "`", "~", "://", "evil.example"] {
                assert!(!text.contains(barred), "{format:?}: {barred} in {text}");
            }
        }
    }
    let body = body(
        Format::Json,
        &delivery(
            vec![transition(image(1), TransitionKind::Blocked, HOSTILE)],
            0,
        ),
        None,
    );
    assert!(!body.contains(['\n', '\u{1b}', '\u{202e}']), "{body}");
}

#[test]
fn s21_a_message_names_twenty_and_counts_the_rest() {
    for format in chats() {
        let text = text(format, &delivery(blocked(150), 50));
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("🔴 sharekeeper: 200 blocked"));
        assert_eq!(lines.next_back(), Some("… and 180 more"));
        assert_eq!(lines.count(), 20, "{format:?}");
    }
}

#[test]
fn s21_each_format_keeps_its_limit_in_whole_characters_and_counts_right() {
    // The characters that grow most: to four bytes in UTF-8, two in JSON, three as full width, five as an entity.
    for filler in ["😀", "\"", "<", "&", "\\", "é"] {
        let long: Vec<_> = (1..=30)
            .map(|number| transition(image(number), TransitionKind::Stalled, &filler.repeat(5000)))
            .collect();
        let delivery = delivery(long, 0);
        for (format, text_max, body_max) in [
            (Format::Slack, 40_000, usize::MAX),
            (Format::Wecom, 4096, usize::MAX),
            (Format::Feishu, usize::MAX, 20_000),
            (Format::Dingtalk, usize::MAX, 20_000),
        ] {
            let text = text(format, &delivery);
            assert!(text.len() <= text_max, "{format:?}: {}", text.len());
            let body = body(format, &delivery, Some("secret"));
            assert!(body.len() <= body_max, "{format:?}: {}", body.len());
            let named = text.lines().count() - 2;
            assert!(named >= 1, "{format:?} {filler}");
            let rest = format!("… and {} more", 30 - named);
            assert_eq!(text.lines().next_back(), Some(rest.as_str()));
        }
        let document = body(Format::Json, &delivery, None);
        let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
        let message = document["transitions"][29]["message"]
            .as_str()
            .expect("a text");
        assert_eq!(message.chars().count(), 2000);
    }
}

#[test]
fn o1_the_name_of_an_image_is_shown_beside_its_id() {
    let named = Transition {
        name: Some("golden-1\n# <!channel>".into()),
        ..transition(image(7), TransitionKind::Blocked, "servers use it")
    };
    let delivery = delivery(vec![named], 0);
    let seen = text(Format::Feishu, &delivery);
    assert!(seen.contains("img-0007 (golden-1 # "), "{seen}");
    let document = body(Format::Json, &delivery, None);
    let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    let subject = &document["transitions"][0]["subject"];
    assert_eq!(subject["image_name"], "golden-1 # <!channel>");
    for format in chats() {
        assert_eq!(text(format, &delivery).lines().count(), 2);
    }
}

#[test]
fn r9_a_guard_is_listed_before_stalls_blocks_drift_and_good_news() {
    let mut transitions: Vec<_> = (1..=40)
        .map(|number| transition(image(number), TransitionKind::DriftAppeared, "changed"))
        .collect();
    let scope = || Subject::Scope(scope());
    transitions.extend([
        transition(image(50), TransitionKind::Unblocked, "fine"),
        transition(image(51), TransitionKind::ExpiringSoon, "soon"),
        transition(image(52), TransitionKind::Blocked, "servers use it"),
        transition(scope(), TransitionKind::GuardTripped, "too many at once"),
        transition(scope(), TransitionKind::Stalled, "not seen"),
        transition(Subject::State, TransitionKind::Stalled, "the disk is full"),
    ]);
    let delivery = delivery(transitions, 0);
    for format in chats() {
        let text = text(format, &delivery);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "🔴 sharekeeper: 1 held by a guard, 2 stalled, 1 blocked, 40 changed by somebody else, \
             1 expiring soon, 1 no longer blocked"
        );
        for (line, words) in [
            (1, "held by a guard: too many at once"),
            (2, "stalled: not seen"),
            (3, "stalled: the disk is full"),
            (4, "blocked: servers use it"),
            (5, "changed by somebody else"),
            (21, "… and 26 more"),
        ] {
            assert!(lines[line].contains(words), "{format:?} {line}: {text}");
        }
        assert_eq!(lines.len(), 22);
    }
}

#[test]
fn r11_a_value_of_a_manifest_has_no_link_and_no_style_in_any_chat() {
    let value = "`https://evil.example/login` is not a region: *b* _i_ ~s~ manifests/a_b.yaml:4";
    let transitions = vec![Transition {
        name: Some("www.evil.example\u{200b}".into()),
        ..transition(image(1), TransitionKind::Blocked, value)
    }];
    let delivery = delivery(transitions, 0);
    for format in chats() {
        assert_eq!(
            text(format, &delivery).lines().nth(1),
            Some(
                "• 🔴 prod/ap-tokyo/img-0001 (www［.］evil［.］example) blocked: \
                 'https：//evil［.］example/login' is not a region: ＊b＊ ＿i＿ ～s～ manifests/a_b.yaml:4"
            ),
            "{format:?}"
        );
    }
}

#[test]
fn n10_a_transition_of_several_images_says_how_many_where_and_which() {
    let several = Transition {
        extent: Some(Box::new(Extent {
            regions: ["ap-bangkok", "ap-tokyo"]
                .map(|name| Region::new(name).expect("a region"))
                .into(),
            images: 96,
            names: vec!["golden-1".into(), "img-2\n".into()],
        })),
        ..transition(
            Subject::Account(scope().account),
            TransitionKind::Blocked,
            "not allowed",
        )
    };
    let delivery = delivery(vec![several], 0);
    let seen = text(Format::Feishu, &delivery);
    assert!(
        seen.contains("account prod (ap-bangkok, ap-tokyo; 96 images) blocked: not allowed"),
        "{seen}"
    );
    let document = body(Format::Json, &delivery, None);
    let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    let transition = &document["transitions"][0];
    assert_eq!(
        transition["subject"],
        serde_json::json!({"type": "account", "account": "prod"})
    );
    assert_eq!(transition["count"], 96);
    assert_eq!(
        transition["regions"],
        serde_json::json!(["ap-bangkok", "ap-tokyo"])
    );
    assert_eq!(transition["images"][0], "golden-1");
    assert_eq!(transition["images"].as_array().map(Vec::len), Some(2));
    assert!(!transition["images"][1].to_string().contains("\\n"));
}

#[test]
fn n2_a_suspension_says_what_it_covers() {
    let selector = Selector {
        accounts: [scope().account].into(),
        ..Selector::default()
    };
    let suspended = transition(
        Subject::Selection(Box::new(selector)),
        TransitionKind::Suspended,
        "an incident; by ann",
    );
    let delivery = delivery(vec![suspended], 0);
    let seen = text(Format::Feishu, &delivery);
    assert!(
        seen.contains("account prod suspended: an incident; by ann"),
        "{seen}"
    );
    let document = body(Format::Json, &delivery, None);
    let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    assert_eq!(
        document["transitions"][0]["subject"],
        serde_json::json!({"type": "selection", "selector": {"accounts": ["prod"]}})
    );
}
