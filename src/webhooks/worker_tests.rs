//! Deliveries over time: queues, retries, rotation, and what is logged of failures.

use std::time::Duration;

use super::fixtures_tests::{Folder, Log, ScriptedHost, ScriptedReply, blocked, image, transition};
use super::queue::QUEUE_MAX;
use super::worker::{ATTEMPTS_MAX, GAP};
use crate::status::TransitionKind;

const CANARY: &str = "hunter2Canary";
const OK: ScriptedReply = ScriptedReply::Reply(200, "ok");

fn json(name: &str) -> String {
    format!("  - {{name: {name}, format: json, url: 'https://{name}.example/hook/{CANARY}'}}\n")
}

fn one() -> Folder {
    Folder::new(&format!("webhooks:\n{}", json("a")))
}

#[tokio::test(start_paused = true)]
async fn what_is_told_together_or_meanwhile_is_one_message() {
    let (sender, worker) = one().channel();
    let host = ScriptedHost::new(|_, _| OK);
    sender.send(&blocked(3));
    sender.send(&blocked(2));
    host.run(worker, 60).await;
    let sent = host.sent.borrow();
    let [sent] = sent.as_slice() else {
        panic!("{} messages", sent.len());
    };
    assert_eq!(sent.json()["transitions"].as_array().map(Vec::len), Some(5));
    assert_eq!(sent.deadline, Duration::from_secs(10));
    let stats = sender.stats().remove(0);
    assert_eq!(
        (
            stats.name.as_str(),
            stats.sent,
            stats.failed,
            stats.dropped,
            stats.queued
        ),
        ("a", 1, 0, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_where_nothing_happens_or_nobody_listens() {
    let (sender, worker) = one().channel();
    let host = ScriptedHost::new(|_, _| OK);
    sender.send(&[]);
    host.run(worker, 3600).await;
    assert!(host.sent.borrow().is_empty());
    let (sender, worker) = super::channel(super::Webhooks(Vec::new()));
    sender.send(&blocked(1));
    host.run(worker, 3600).await;
    assert!(host.sent.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn messages_keep_their_distance() {
    let (sender, worker) = one().channel();
    let again = sender.clone();
    let host = ScriptedHost::new(move |_, number| {
        // Something happens during each delivery.
        if number < 20 {
            again.send(&blocked(1));
        }
        OK
    });
    sender.send(&blocked(1));
    host.run(worker, 600).await;
    let sent = host.sent.borrow();
    assert_eq!(sent.len(), 20);
    for pair in sent.windows(2) {
        assert!(pair[1].at.since(pair[0].at) >= GAP);
    }
}

#[tokio::test(start_paused = true)]
async fn s21_a_full_queue_drops_the_oldest_and_says_how_many() {
    let (sender, worker) = one().channel();
    let host = ScriptedHost::new(|_, _| OK);
    for number in 1..=QUEUE_MAX + 7 {
        sender.send(&[transition(image(number), TransitionKind::Blocked, "")]);
    }
    let stats = sender.stats().remove(0);
    assert_eq!((stats.queued, stats.dropped), (QUEUE_MAX, 7));
    host.run(worker, 600).await;
    let sent = host.sent.borrow();
    let mut ids = Vec::new();
    let mut more = 0;
    for sent in sent.iter() {
        let document = sent.json();
        let listed = document["transitions"].as_array().expect("a list");
        assert!(listed.len() <= 100);
        more += document["more"].as_u64().expect("a number");
        ids.extend(
            listed
                .iter()
                .map(|item| item["subject"]["image_id"].to_string()),
        );
    }
    let expected: Vec<_> = (8..=QUEUE_MAX + 7)
        .map(|number| format!("\"img-{number:04}\""))
        .collect();
    assert_eq!(ids, expected, "the newest, each once, in order");
    assert_eq!(more, 7);
    assert_eq!(sender.stats()[0].queued, 0);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_hangs_delays_neither_the_teller_nor_the_others() {
    let folder = Folder::new(&format!("webhooks:\n{}{}", json("hangs"), json("works")));
    let (sender, worker) = folder.channel();
    let host = ScriptedHost::new(|url, _| match url.contains("hangs") {
        true => ScriptedReply::Never,
        false => OK,
    });
    sender.send(&blocked(1));
    let later = async {
        tokio::time::timeout(Duration::from_secs(30), std::future::pending::<()>())
            .await
            .ok();
        sender.send(&blocked(2));
        std::future::pending::<()>().await
    };
    tokio::select! {
        () = host.run(worker, 60) => {}
        () = later => {}
    }
    assert_eq!(host.bodies("https://hangs").len(), 1, "one in flight");
    assert_eq!(host.bodies("https://works").len(), 2);
    let stats = sender.stats();
    assert_eq!((stats[0].sent, stats[0].queued), (0, 2));
    assert_eq!((stats[1].sent, stats[1].queued), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_tried_six_times_the_same_and_then_given_up_with_one_warning() {
    let (log, _guard) = Log::start();
    let (sender, worker) = one().channel();
    let again = sender.clone();
    let host = ScriptedHost::new(move |_, number| {
        if number == 1 {
            again.send(&[transition(image(9), TransitionKind::Stalled, "next")]);
        }
        match number {
            1 | 4 => ScriptedReply::Reply(503, "busy"),
            2 => ScriptedReply::NotSent("connection refused".into()),
            3 => ScriptedReply::Lost("no reply within 10 s".into()),
            5 | 6 => ScriptedReply::Reply(429, ""),
            _ => OK,
        }
    });
    sender.send(&blocked(1));
    host.run(worker, 600).await;
    let sent = host.sent.borrow();
    assert_eq!(sent.len(), ATTEMPTS_MAX as usize + 1);
    let (first, next) = sent.split_at(ATTEMPTS_MAX as usize);
    let id = first[0].header("x-sharekeeper-delivery").expect("an id");
    assert!(
        id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
        "{id}"
    );
    for attempt in first {
        assert_eq!(attempt.body, first[0].body);
        assert_eq!(attempt.header("x-sharekeeper-delivery"), Some(id));
    }
    // Each step may take up to double the one before: 5, 10, 20, 40, 80 seconds.
    for (pair, most) in first.windows(2).zip([5, 10, 20, 40, 80]) {
        assert!(pair[1].at.since(pair[0].at) <= Duration::from_secs(most));
    }
    assert_ne!(next[0].header("x-sharekeeper-delivery"), Some(id));
    assert!(next[0].body.contains("img-0009") && !next[0].body.contains("img-0001"));
    let stats = sender.stats().remove(0);
    assert_eq!((stats.sent, stats.failed, stats.dropped), (1, 1, 0));
    let warnings = log.lines_with("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for word in ["webhook=a", "host=a.example", "it answered 429"] {
        assert!(warnings[0].contains(word), "{word}: {}", warnings[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn signatures_tell_the_time_of_their_attempt() {
    let folder = Folder::new(
        "webhooks: [{name: a, format: json, url: 'https://a.example/', secretFile: key}]",
    );
    folder.write("key", "k");
    let (sender, worker) = folder.channel();
    let host = ScriptedHost::new(|_, number| {
        if number < 3 {
            ScriptedReply::Reply(500, "")
        } else {
            OK
        }
    });
    sender.send(&blocked(1));
    host.run(worker, 600).await;
    let sent = host.sent.borrow();
    let stamp = |index: usize| {
        sent[index]
            .header("x-sharekeeper-timestamp")
            .expect("one")
            .to_owned()
    };
    let sign = |index: usize| {
        sent[index]
            .header("x-sharekeeper-signature-256")
            .expect("one")
            .to_owned()
    };
    assert!(stamp(2) > stamp(0));
    assert_ne!(sign(2), sign(0));
}

#[tokio::test(start_paused = true)]
async fn o8_refusals_and_redirects_are_final_and_nothing_is_followed() {
    for (status, word) in [
        (302, "redirects are not followed"),
        (308, "redirects are not followed"),
        (404, "no_service"),
        (410, "no_service"),
    ] {
        let (log, _guard) = Log::start();
        let (sender, worker) = one().channel();
        let host = ScriptedHost::new(move |_, _| ScriptedReply::Reply(status, "no_service"));
        sender.send(&blocked(1));
        host.run(worker, 600).await;
        assert_eq!(host.sent.borrow().len(), 1, "{status}");
        assert_eq!(sender.stats()[0].failed, 1);
        let warnings = log.lines_with("WARN");
        assert!(
            warnings.len() == 1 && warnings[0].contains(word),
            "{warnings:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_chat_that_says_no_inside_a_200_has_not_taken_it() {
    let folder = Folder::new("webhooks: [{name: a, format: wecom, urlFile: url}]");
    folder.write("url", "https://qyapi.example/cgi-bin/webhook/send?key=k-1");
    let host = ScriptedHost::new(|_, number| match number {
        1 => ScriptedReply::Reply(200, r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#),
        2 => ScriptedReply::Reply(200, r#"{"errcode":0,"errmsg":"ok"}"#),
        _ => ScriptedReply::Reply(200, r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#),
    });
    let (sender, worker) = folder.channel();
    sender.send(&blocked(1));
    host.run(worker, 600).await;
    assert_eq!((host.sent.borrow().len(), sender.stats()[0].sent), (2, 1));
    let (sender, worker) = folder.channel();
    sender.send(&blocked(1));
    host.run(worker, 600).await;
    assert_eq!((host.sent.borrow().len(), sender.stats()[0].failed), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn o8_no_log_line_holds_any_of_the_url_or_the_secret() {
    let (log, _guard) = Log::start();
    let folder = Folder::new(
        "webhooks:
  - {name: chat, format: feishu, urlFile: url, secretFile: key}
  - {name: program, format: json, url: 'https://p.example/hook/hunter2Canary?token=hunter2Canary'}
",
    );
    folder.write("url", &format!("https://open.example/bot/v2/hook/{CANARY}"));
    folder.write("key", &format!("{CANARY}-signs"));
    let (sender, worker) = folder.channel();
    let host = ScriptedHost::new(|url, number| match number % 5 {
        0 => ScriptedReply::NotSent(format!("error sending request for url ({url})")),
        1 => ScriptedReply::Lost(format!("cut off while reading {url}")),
        2 => ScriptedReply::NotSent(format!("bad key {CANARY}-signs")),
        3 => ScriptedReply::Reply(500, "no such hook hunter2Canary"),
        _ => ScriptedReply::Reply(503, ""),
    });
    sender.send(&blocked(2));
    host.run(worker, 900).await;
    let codes = ScriptedHost::new(|_, _| {
        ScriptedReply::Reply(
            200,
            r#"{"code":19001,"msg":"token hunter2Canary is not\nvalid"}"#,
        )
    });
    let (sender, worker) = folder.channel();
    sender.send(&blocked(2));
    codes.run(worker, 900).await;
    let text = log.text();
    assert!(
        text.contains("p.example") && text.contains("open.example"),
        "{text}"
    );
    assert!(text.contains("code 19001"), "{text}");
    assert_eq!(log.lines_with("WARN").len(), 3, "{text}");
    for secret in [CANARY, "/hook", "token="] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn o1_a_reply_cannot_add_a_line_to_the_log() {
    let (log, _guard) = Log::start();
    let (sender, worker) = one().channel();
    let host =
        ScriptedHost::new(|_, _| ScriptedReply::Lost("cut\n2026 WARN forged\u{1b}[2J".into()));
    sender.send(&blocked(1));
    host.run(worker, 900).await;
    let text = log.text();
    assert!(text.contains("no reply: cut 2026 WARN forged"), "{text}");
    assert!(
        text.lines().all(|line| !line.starts_with("2026 WARN")),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'));
}

#[tokio::test(start_paused = true)]
async fn url_and_secret_are_read_for_each_attempt() {
    let folder =
        Folder::new("webhooks: [{name: a, format: feishu, urlFile: url, secretFile: key}]");
    folder.write("url", "https://old.example/hook");
    folder.write("key", "old");
    let (sender, worker) = folder.channel();
    let path = folder.0.path().to_owned();
    let host = ScriptedHost::new(move |url, number| {
        if number == 1 {
            std::fs::write(path.join("url"), "https://new.example/hook\n").expect("can be");
            std::fs::write(path.join("key"), "new").expect("can be");
        }
        match url.contains("old") {
            true => ScriptedReply::Reply(500, ""),
            false => ScriptedReply::Reply(200, r#"{"code":0}"#),
        }
    });
    sender.send(&blocked(1));
    host.run(worker, 600).await;
    let sent = host.sent.borrow();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].url, "https://new.example/hook");
    let new = crate::model::Secret::new("new".into());
    let body = sent[1].json();
    let timestamp = body["timestamp"].as_str().expect("signed");
    assert_eq!(body["sign"], super::format::feishu_sign(timestamp, &new));
    assert_eq!(sender.stats()[0].sent, 1);
}

#[tokio::test(start_paused = true)]
async fn o8_a_rotated_url_that_leads_elsewhere_in_the_clear_is_not_called() {
    let (log, _guard) = Log::start();
    let folder = Folder::new("webhooks: [{name: a, format: slack, urlFile: url}]");
    folder.write("url", "https://old.example/hook");
    let (sender, worker) = folder.channel();
    let host = ScriptedHost::new(|_, _| OK);
    folder.write("url", &format!("http://new.example/{CANARY}"));
    sender.send(&blocked(1));
    host.run(worker, 600).await;
    assert!(host.sent.borrow().is_empty());
    assert_eq!(sender.stats()[0].failed, 1);
    let warnings = log.lines_with("WARN");
    assert!(
        warnings.len() == 1 && warnings[0].contains("plain http"),
        "{warnings:?}"
    );
    assert!(!log.text().contains(CANARY));
    // With a good URL the next message is delivered.
    let (sender, worker) = folder_after(&folder);
    sender.send(&blocked(1));
    host.run(worker, 600).await;
    assert_eq!(host.sent.borrow().len(), 1);
}

fn folder_after(folder: &Folder) -> (super::WebhookSender, super::DeliveryWorker) {
    folder.write("url", "https://old.example/hook");
    folder.channel()
}
