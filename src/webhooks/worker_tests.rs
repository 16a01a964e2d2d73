//! Tests deliveries over time: queues, retries, rotation, and what is logged about failures.

use std::time::Duration;

use super::address_pace::GAP;
use super::fixtures_tests::{Folder, Log, ScriptedHost, ScriptedReply, blocked, image, transition};
use super::queue::QUEUE_MAX;
use super::worker::TRIED_FOR;
use crate::host::{Clock, SystemClock};
use crate::status::{Transition, TransitionKind};

const CANARY: &str = "hunter2Canary";
const OK: ScriptedReply = ScriptedReply::Reply(200, "ok");

fn json(name: &str) -> String {
    format!("  - {{name: {name}, format: json, url: 'https://{name}.example/hook/{CANARY}'}}\n")
}

fn one() -> Folder {
    Folder::new(&format!("webhooks:\n{}", json("a")))
}

#[tokio::test(start_paused = true)]
async fn transitions_sent_together_or_meanwhile_are_one_message() {
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
    assert_eq!(sent.deadline, Duration::from_secs(30));
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
async fn nothing_is_sent_without_transitions_or_without_webhooks() {
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
async fn messages_to_one_address_are_spaced_in_time() {
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

/// Returns all ids that the documents list, and the sum of the transitions that they only count.
fn listed(host: &ScriptedHost) -> (Vec<String>, u64) {
    let (mut ids, mut more) = (Vec::new(), 0);
    for sent in host.sent.borrow().iter() {
        let document = sent.json();
        let listed = document["transitions"].as_array().expect("a list");
        assert!(listed.len() <= 100);
        more += document["more"].as_u64().expect("a number");
        let id = |item: &serde_json::Value| item["subject"]["image_id"].as_str().map(str::to_owned);
        ids.extend(listed.iter().filter_map(id));
    }
    (ids, more)
}

#[tokio::test(start_paused = true)]
async fn s21_a_full_queue_drops_the_oldest_and_reports_how_many() {
    let (sender, worker) = one().channel();
    let host = ScriptedHost::new(|_, _| OK);
    for number in 1..=QUEUE_MAX + 7 {
        sender.send(&[transition(image(number), TransitionKind::Blocked, "")]);
    }
    let stats = sender.stats().remove(0);
    assert_eq!((stats.queued, stats.dropped), (QUEUE_MAX, 7));
    host.run(worker, 600).await;
    let expected: Vec<_> = (8..=QUEUE_MAX + 7)
        .map(|number| format!("img-{number:04}"))
        .collect();
    let (ids, more) = listed(&host);
    assert_eq!(ids, expected, "the newest, each once, in order");
    assert_eq!(more, 7);
    assert_eq!(sender.stats()[0].queued, 0);
}

#[tokio::test(start_paused = true)]
async fn r9_a_full_queue_drops_the_least_important() {
    let (sender, worker) = one().channel();
    let host = ScriptedHost::new(|_, _| OK);
    let send = |number, kind| sender.send(&[transition(image(number), kind, "")]);
    send(1, TransitionKind::GuardTripped);
    send(2, TransitionKind::Recovered);
    send(3, TransitionKind::Blocked);
    for number in 10..QUEUE_MAX + 10 {
        send(number, TransitionKind::DriftAppeared);
    }
    // The queue holds nothing less important.
    send(4, TransitionKind::Unblocked);
    host.run(worker, 600).await;
    let (ids, more) = listed(&host);
    assert_eq!(more, 4);
    assert_eq!(ids.len(), QUEUE_MAX);
    for (id, is_listed) in [
        ("img-0001", true),
        ("img-0002", false),
        ("img-0003", true),
        ("img-0004", false),
        ("img-0010", false),
        ("img-0011", false),
        ("img-0012", true),
    ] {
        assert_eq!(ids.iter().any(|known| known == id), is_listed, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn r9_a_burst_reaches_programs_whole_and_chats_as_the_right_count() {
    let folder = Folder::new(&format!(
        "webhooks:\n{}  - {{name: chat, format: slack, url: 'http://localhost/'}}\n",
        json("a")
    ));
    let (sender, worker) = folder.channel();
    let host = ScriptedHost::new(|_, _| OK);
    let burst: Vec<_> = (1..=1500)
        .map(|number| transition(image(number), TransitionKind::DriftAppeared, "changed"))
        .collect();
    sender.send(&burst);
    host.run(worker, 600).await;
    let texts = host.bodies("http://localhost");
    assert_eq!(texts.len(), 1);
    assert!(
        texts[0].contains("1500 changed by somebody else"),
        "{}",
        texts[0]
    );
    assert!(texts[0].contains("… and 1480 more"), "{}", texts[0]);
    host.sent
        .borrow_mut()
        .retain(|sent| !sent.url.starts_with("http:"));
    let (ids, more) = listed(&host);
    assert_eq!((ids.len(), more), (1500, 0));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_hangs_delays_neither_the_sender_nor_the_others() {
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
async fn r4_a_message_is_tried_unchanged_for_ten_minutes_then_given_up() {
    let (log, _guard) = Log::start();
    let (sender, worker) = one().channel();
    let host = ScriptedHost::new(move |_, number| match number % 5 {
        1 | 4 => ScriptedReply::Reply(503, "busy"),
        2 => ScriptedReply::NotSent("connection refused".into()),
        3 => ScriptedReply::Lost("no reply within 10 s".into()),
        _ => ScriptedReply::Reply(429, ""),
    });
    sender.send(&blocked(1));
    host.run(worker, 1200).await;
    let times = host.times("");
    assert_eq!(times.last(), Some(&TRIED_FOR.as_secs_f64()));
    // Each pause but the last is between half of its step and the whole step.
    let steps = [10.0, 20.0, 40.0, 80.0, 160.0, 240.0, 240.0, 240.0];
    let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
    for (pause, step) in pauses.take(times.len() - 2).zip(steps) {
        assert!((step / 2.0..=step).contains(&pause), "{pause} of {step}");
    }
    let sent = host.sent.borrow();
    let id = sent[0].header("x-sharekeeper-delivery").expect("an id");
    assert!(
        id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
        "{id}"
    );
    for attempt in sent.iter() {
        assert_eq!(attempt.body, sent[0].body);
        assert_eq!(attempt.header("x-sharekeeper-delivery"), Some(id));
    }
    let stats = sender.stats().remove(0);
    assert_eq!((stats.sent, stats.failed, stats.dropped), (0, 1, 0));
    let warnings = log.lines_with("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for word in [
        "webhook=a",
        "host=a.example",
        "a notification was not delivered",
    ] {
        assert!(warnings[0].contains(word), "{word}: {}", warnings[0]);
    }
}

/// Delivers for 20 minutes, then sends one more event, and delivers for another 20 minutes.
async fn deliver_twice(host: &ScriptedHost, folder: &Folder, first: &[Transition]) {
    let (sender, worker) = folder.channel();
    sender.send(first);
    let later = async {
        tokio::time::timeout(Duration::from_secs(1200), std::future::pending::<()>())
            .await
            .ok();
        sender.send(&[transition(image(900), TransitionKind::Unblocked, "next")]);
        std::future::pending::<()>().await
    };
    tokio::select! {
        () = host.run(worker, 2400) => {}
        () = later => {}
    }
    assert_eq!(sender.stats()[0].queued, 0);
}

#[tokio::test(start_paused = true)]
async fn r4_transitions_of_a_failed_message_are_in_the_next_message() {
    let down = |host_is_up_after: f64| {
        let clock = SystemClock::start();
        ScriptedHost::new(move |_, _| {
            match clock.monotonic().since_start().as_secs_f64() < host_is_up_after {
                true => ScriptedReply::Reply(503, ""),
                false => OK,
            }
        })
    };
    // A restart, a chat's limit per minute and an outage of some minutes are survived.
    for seconds in [70.0, 120.0, 540.0] {
        let host = down(seconds);
        deliver_twice(&host, &one(), &blocked(3)).await;
        let bodies = host.bodies("");
        let [.., first, second] = bodies.as_slice() else {
            panic!("{} messages", bodies.len());
        };
        assert!(
            first.contains("img-0003") && second.contains("img-0900"),
            "{seconds}"
        );
        assert!(!second.contains("img-0003"), "{seconds}");
    }
    let host = down(900.0);
    deliver_twice(&host, &one(), &blocked(3)).await;
    let last = host.sent.borrow().last().expect("one").json();
    assert_eq!(last["transitions"].as_array().map(Vec::len), Some(4));
    assert_eq!(last["more"], 0);
    let slack = Folder::new("webhooks: [{name: a, format: slack, url: 'http://localhost/'}]");
    let host = down(900.0);
    deliver_twice(&host, &slack, &blocked(30)).await;
    let last = host.sent.borrow().last().expect("one").json();
    let text = last["text"].as_str().expect("a text");
    assert!(
        text.starts_with("🔴 sharekeeper: 30 blocked, 1 no longer blocked\n"),
        "{text}"
    );
    assert!(
        text.contains("img-0001 blocked (2026-01-02T03:04:01Z): servers use it"),
        "{text}"
    );
    assert!(
        text.ends_with("… and 11 more\n(30 of these events could not be delivered at the time)"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn r4_after_a_refusal_or_three_failures_they_are_only_counted() {
    let slack = Folder::new("webhooks: [{name: a, format: slack, url: 'http://localhost/'}]");
    let host = ScriptedHost::new(|_, number| match number {
        1 => ScriptedReply::Reply(400, "invalid_payload"),
        _ => OK,
    });
    deliver_twice(&host, &slack, &blocked(3)).await;
    let last = host.sent.borrow().last().expect("one").json();
    assert_eq!(
        last["text"],
        "🔴 sharekeeper: 3 blocked, 1 no longer blocked\n\
         • ✅ prod/ap-tokyo/img-0900 no longer blocked: next\n… and 3 more\n\
         (3 of these events could not be delivered at the time)"
    );
    // A receiver that fails at one event must not therefore fail at all later ones.
    let folder = one();
    let (sender, worker) = folder.channel();
    let again = sender.clone();
    let host = ScriptedHost::new(|_, _| ScriptedReply::Reply(500, ""));
    let later = async {
        for number in 1..=4 {
            again.send(&[transition(image(number), TransitionKind::Blocked, "")]);
            tokio::time::timeout(Duration::from_secs(1200), std::future::pending::<()>())
                .await
                .ok();
        }
        std::future::pending::<()>().await
    };
    tokio::select! {
        () = host.run(worker, 4800) => {}
        () = later => {}
    }
    let last = host.sent.borrow().last().expect("one").json();
    assert_eq!(last["transitions"].as_array().map(Vec::len), Some(3));
    assert_eq!(last["more"], 1);
}

#[tokio::test(start_paused = true)]
async fn g9_the_sender_knows_when_all_is_delivered_or_given_up() {
    for (is_up, is_idle_at_once) in [(true, true), (false, false)] {
        let (sender, worker) = one().channel();
        assert!(sender.is_idle());
        let host = ScriptedHost::new(move |_, _| match is_up {
            true => OK,
            false => ScriptedReply::Reply(503, ""),
        });
        sender.send(&blocked(1));
        assert!(!sender.is_idle());
        let idle = async {
            sender.idle().await;
            host.monotonic().since_start()
        };
        let idle_at = tokio::select! {
            () = host.run(worker, 1200) => panic!("never idle"),
            idle_at = idle => idle_at,
        };
        assert_eq!(
            idle_at < Duration::from_secs(1),
            is_idle_at_once,
            "{idle_at:?}"
        );
        assert!(sender.is_idle());
    }
}

#[tokio::test(start_paused = true)]
async fn r5_a_2xx_counts_as_delivered_whatever_happens_to_its_body() {
    let (log, _guard) = Log::start();
    for (format, warnings) in [
        ("slack", 0),
        ("json", 0),
        ("wecom", 1),
        ("feishu", 1),
        ("dingtalk", 1),
    ] {
        let settings =
            format!("webhooks: [{{name: {format}, format: {format}, url: 'http://localhost/'}}]");
        let (sender, worker) = Folder::new(&settings).channel();
        let again = sender.clone();
        let host = ScriptedHost::new(move |_, number| {
            if number < 3 {
                again.send(&blocked(1));
            }
            ScriptedReply::Cut(200, r#"{"errco"#)
        });
        sender.send(&blocked(1));
        host.run(worker, 600).await;
        assert_eq!(host.sent.borrow().len(), 3, "{format}: each once");
        let stats = sender.stats().remove(0);
        assert_eq!((stats.sent, stats.failed), (3, 0), "{format}");
        let logged = log.lines_with("did not arrive");
        let logged = logged
            .iter()
            .filter(|line| line.contains(&format!("webhook={format}")));
        assert_eq!(logged.count(), warnings, "{format}: once");
    }
    // A verdict counts as soon as it can be read, and only a 2xx status is a success.
    for reply in [
        ScriptedReply::Cut(200, r#"{"errcode":93000,"errmsg":"no"}"#),
        ScriptedReply::Cut(404, ""),
    ] {
        let folder = Folder::new("webhooks: [{name: a, format: wecom, url: 'http://localhost/'}]");
        let (sender, worker) = folder.channel();
        let reply = std::cell::RefCell::new(Some(reply));
        let host = ScriptedHost::new(move |_, _| reply.borrow_mut().take().unwrap_or(OK));
        sender.send(&blocked(1));
        host.run(worker, 600).await;
        assert_eq!(sender.stats()[0].failed, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn r7_nothing_is_posted_during_a_pause_that_a_receiver_asked_for() {
    for (status, retry_after, seconds) in [
        (429, "120", 120.0),
        (503, "120", 120.0),
        (429, "3000", 3000.0),
        (503, "86400", 3600.0),
        (429, "Fri, 02 Jan 2026 03:06:05 GMT", 120.0),
    ] {
        let (sender, worker) = one().channel();
        let again = sender.clone();
        let host = ScriptedHost::new(move |_, number| {
            again.send(&blocked(1));
            match number {
                1 => ScriptedReply::Banned(status, retry_after),
                2 => ScriptedReply::Reply(404, ""),
                _ => OK,
            }
        });
        sender.send(&blocked(1));
        host.run(worker, 4000).await;
        let times = host.times("");
        assert!(times[1] >= seconds, "{retry_after}: {times:?}");
        assert!(times[1] < seconds + 15.0, "{retry_after}: {times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r8_entries_that_share_an_address_share_its_pace_and_its_ban() {
    let folder = Folder::new(
        "webhooks:
  - {name: a, format: wecom, url: 'http://localhost/send?key=1'}
  - {name: b, format: slack, urlFile: url}
  - {name: c, format: json, url: 'http://LOCALHOST:80/send?key=1#c'}
  - {name: other, format: slack, url: 'http://localhost/send?key=2'}
",
    );
    folder.write("url", "http://localhost/send?key=1\n");
    let (sender, worker) = folder.channel();
    let again = sender.clone();
    let host = ScriptedHost::new(move |_, number| {
        again.send(&blocked(1));
        match number {
            40 => ScriptedReply::Banned(503, "300"),
            _ => ScriptedReply::Reply(200, r#"{"errcode":0}"#),
        }
    });
    sender.send(&blocked(1));
    host.run(worker, 600).await;
    let (shared, other) = (
        host.times("http://localhost/send?key=1"),
        host.times("http://localhost/send?key=2"),
    );
    assert!(
        shared.len() > 30 && other.len() > 70,
        "{} {}",
        shared.len(),
        other.len()
    );
    for times in [&shared, &other] {
        for pair in times.windows(2) {
            assert!(pair[1] - pair[0] >= GAP.as_secs_f64(), "{pair:?}");
        }
    }
    let banned = |times: &[f64]| times.windows(2).any(|pair| pair[1] - pair[0] >= 300.0);
    assert_ne!(banned(&shared), banned(&other), "one address is banned");
    let names = [0, 1, 2].map(|index| sender.stats()[index].sent);
    assert!(
        names.iter().all(|sent| *sent >= 10),
        "each address-sharing webhook sends: {names:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn r8_a_url_that_is_rotated_ends_the_wait_for_the_old_one() {
    let folder = Folder::new("webhooks: [{name: a, format: slack, urlFile: url}]");
    folder.write("url", "https://old.example/hook");
    let (sender, worker) = folder.channel();
    let path = folder.0.path().join("url");
    let host = ScriptedHost::new(move |url, _| match url.contains("old") {
        true => {
            std::fs::write(&path, "https://new.example/hook\n").expect("can be");
            ScriptedReply::Banned(429, "3600")
        }
        false => OK,
    });
    sender.send(&blocked(1));
    host.run(worker, 300).await;
    assert_eq!(host.bodies("https://new.example").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn signatures_contain_the_time_of_their_attempt() {
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
async fn a_chat_that_reports_an_error_inside_a_200_has_not_accepted_it() {
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
async fn o8_no_log_line_contains_part_of_the_url_or_the_secret() {
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
async fn o8_a_url_that_is_rotated_to_plain_http_is_not_called() {
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
    // With a valid URL the next message is delivered.
    let (sender, worker) = folder_after(&folder);
    sender.send(&blocked(1));
    host.run(worker, 600).await;
    assert_eq!(host.sent.borrow().len(), 1);
}

fn folder_after(folder: &Folder) -> (super::WebhookSender, super::DeliveryWorker) {
    folder.write("url", "https://old.example/hook");
    folder.channel()
}
