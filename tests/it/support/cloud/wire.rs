//! The way of a call to the small cloud and of its answer back: delays, faults, and writes that arrive although their
//! sender has ended.

use serde_json::{Value, json};
use sharekeeper::host::{Clock, Reply, Request, Transport, TransportError};
use sharekeeper::model::{Monotonic, Timestamp};

use super::behaviour::{Fault, Leaving};
use super::{Call, Cloud};

/// A write that was sent and has not arrived yet.
pub(super) struct Write {
    arrives: Monotonic,
    host: String,
    key: String,
    region: String,
    body: Value,
}

/// A guard for a write that is under way. The write still arrives if its sender ends.
struct OnItsWay<'a> {
    cloud: &'a Cloud,
    write: Option<Write>,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let Some(mut write) = self.write.take() {
            write.arrives = write.arrives + self.cloud.behaviour.borrow().straggling;
            self.cloud.stragglers.borrow_mut().push(write);
        }
    }
}

impl Transport for Cloud {
    /// The future is on the heap, because in an unoptimised build the futures of a run are nearly as large as the
    /// stack of a test.
    fn send(&self, request: Request) -> impl Future<Output = Result<Reply, TransportError>> {
        Box::pin(self.carry(request))
    }
}

impl Cloud {
    /// Applies every write that has arrived by now.
    pub(super) fn deliver(&self) {
        let now = self.clock.monotonic();
        let mut due: Vec<_> = self
            .stragglers
            .borrow_mut()
            .extract_if(.., |write| write.arrives <= now)
            .collect();
        due.sort_by_key(|write| write.arrives);
        for write in due {
            let Write {
                arrives,
                host,
                key,
                region,
                body,
            } = write;
            let answer = self.modify(&region, (&host, &key), &body, arrives, usize::MAX);
            self.calls.borrow_mut().push(Call {
                at: arrives,
                host,
                key,
                region,
                action: "ModifyImageSharePermission".into(),
                body,
                answer: answer.err().unwrap_or_else(|| "ok".into()),
            });
        }
    }

    /// The clock of the server behind a host, as the owner of a key sees it.
    pub(super) fn server_time(&self, host: &str, key: &str) -> Timestamp {
        let behaviour = self.behaviour.borrow();
        let other = (behaviour.other_clock)(host, key);
        self.now() + other.unwrap_or(behaviour.clock_offset)
    }

    async fn carry(&self, request: Request) -> Result<Reply, TransportError> {
        let header = |name| {
            request
                .headers
                .iter()
                .find(|h| h.name == name)
                .expect("is sent")
                .value
                .clone()
        };
        let (action, region, host) = (header("x-tc-action"), header("x-tc-region"), header("host"));
        let signed_at: i64 = header("x-tc-timestamp").parse().expect("seconds");
        let signed = header("authorization");
        let key = signed.split(['=', '/']).nth(1).unwrap_or_default();
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let leaving = Leaving {
            at: self.monotonic(),
            host: &host,
            key,
            region: &region,
            action: &action,
            body: &body,
        };
        let disruption = (self.behaviour.borrow().disruption)(&leaving);
        let hangs = |name: &String| host.contains(name.as_str());
        if disruption.hangs || self.behaviour.borrow().hung.iter().any(hangs) {
            let call = Call {
                at: self.monotonic(),
                key: key.to_owned(),
                host,
                region,
                action,
                body,
                answer: "hung".into(),
            };
            self.calls.borrow_mut().push(call);
            self.sleep_until(self.monotonic() + request.deadline).await;
            return Err(TransportError::Lost("no reply within 8 s".into()));
        }
        let fault = (self.behaviour.borrow().fault)(&action, &region, &mut self.rng.borrow_mut());
        let fault = fault.or(disruption.fault);
        let half = disruption
            .latency
            .unwrap_or(self.behaviour.borrow().latency)
            / 2;
        let at = self.monotonic() + half;
        let arrives_anyway = action == "ModifyImageSharePermission"
            && matches!(fault, None | Some(Fault::LostAfter | Fault::GarbageAfter));
        let mut on_its_way = OnItsWay {
            cloud: self,
            write: arrives_anyway.then(|| Write {
                arrives: at,
                host: host.clone(),
                key: key.to_owned(),
                region: region.clone(),
                body: body.clone(),
            }),
        };
        self.sleep_until(at).await;
        on_its_way.write = None;
        self.deliver();
        let log = |answer: String| {
            let call = Call {
                at,
                host: host.clone(),
                key: key.to_owned(),
                region: region.clone(),
                action: action.clone(),
                body: body.clone(),
                answer,
            };
            self.calls.borrow_mut().push(call);
        };
        if let Some(fault) = fault {
            if matches!(fault, Fault::LostAfter | Fault::GarbageAfter) {
                let _ = self.answer(&action, &region, (&host, key), signed_at, &body, disruption);
            }
            log(format!("{fault:?}"));
            let ok = |status, body: &str| {
                Ok(Reply {
                    status,
                    date: Some(date(self.server_time(&host, key))),
                    retry_after: None,
                    body: body.as_bytes().to_vec(),
                    is_whole: true,
                })
            };
            return match fault {
                Fault::NotSent => Err(TransportError::NotSent("connection refused".into())),
                Fault::LostBefore | Fault::LostAfter => {
                    self.sleep_until(self.monotonic() + request.deadline).await;
                    Err(TransportError::Lost("no reply within 8 s".into()))
                }
                Fault::GarbageAfter => ok(200, "}{"),
                Fault::Html503 => ok(503, "<html>busy</html>"),
                Fault::Redirect => ok(307, "<html>elsewhere</html>"),
                Fault::Shapeless => ok(200, r#"{"Response":{}}"#),
                Fault::Internal => ok(
                    200,
                    r#"{"Response":{"Error":{"Code":"InternalError","Message":"x"}}}"#,
                ),
            };
        }
        let mut answer = self.answer(&action, &region, (&host, key), signed_at, &body, disruption);
        if let (Ok(identity), "GetCallerIdentity") = (&mut answer, action.as_str())
            && let Some(uin) = self.behaviour.borrow().uins.get(key)
        {
            identity["AccountId"] = json!(uin);
        }
        log(answer
            .as_ref()
            .err()
            .cloned()
            .unwrap_or_else(|| "ok".into()));
        let sent = date(self.server_time(&host, key));
        self.sleep_until(self.monotonic() + half).await;
        let mut body = match answer {
            Ok(response) => json!({"Response": response}),
            Err(code) => {
                json!({"Response": {"Error": {"Code": code, "Message": "no"}, "RequestId": "r"}})
            }
        };
        (self.behaviour.borrow().reword)(&action, &region, &mut body);
        Ok(Reply {
            status: 200,
            date: Some(sent),
            retry_after: None,
            body: body.to_string().into_bytes(),
            is_whole: true,
        })
    }
}

fn date(server: Timestamp) -> String {
    server.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
