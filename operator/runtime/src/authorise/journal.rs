//! One line a decision: who called what, and what was said. Never a path, a query, a body or a certificate: paths and
//! queries carry people's identifiers.

use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use jiff::Timestamp;
use plinth_plan::exchange::rights::Reason;
use serde::Serialize;

use super::Asked;
use super::answer::Verdict;

/// Lines that wait to be written: a second of them on a busy day. When there are more, calls are denied, for what is not
/// written down did not happen.
const WAITING: usize = 8192;

/// A decision, as it is written down.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    time: Timestamp,
    decision: &'static str,
    layer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agreement: Option<String>,
    x_road_id: String,
}

impl Line {
    /// The line of a decision.
    pub fn of(asked: &Asked, verdict: &Verdict, now: Timestamp) -> Self {
        Self {
            time: now,
            decision: verdict.outcome.word(),
            layer: verdict.layer,
            reason: verdict.reason,
            client: verdict.client.as_ref().map(ToString::to_string),
            service: verdict.service.as_ref().map(ToString::to_string),
            method: asked.method.clone(),
            path: verdict.path.clone(),
            agreement: verdict.agreement.clone(),
            x_road_id: asked.id.clone(),
        }
    }
}

/// There is no room for another line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Where decisions are written down. Cheap to clone; when the last one is dropped, what waits is written first.
#[derive(Clone)]
pub struct Journal(SyncSender<Line>);

impl Journal {
    /// Writes to `out`, in a thread of its own: whoever reads the log slowly holds up no call. The thread ends after the
    /// last line.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn new(out: impl Write + Send + 'static) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, lines) = sync_channel(WAITING);
        let writer =
            std::thread::Builder::new().name("journal".to_owned()).spawn(move || copy(&lines, out))?;
        Ok((Self(sender), writer))
    }

    /// Writes a line down.
    ///
    /// # Errors
    /// There is no room, or nobody writes any more.
    pub fn write(&self, line: Line) -> Result<(), Full> {
        self.0.try_send(line).map_err(|_| Full)
    }
}

/// Until nobody sends any more, or the log cannot be written: then every call is denied.
fn copy(lines: &Receiver<Line>, out: impl Write) {
    let mut out = std::io::BufWriter::new(out);
    while let Ok(first) = lines.recv() {
        // Whatever else waits is written with it, in one go.
        let mut next = Some(first);
        while let Some(line) = next {
            let written = serde_json::to_writer(&mut out, &line).map_err(std::io::Error::from);
            if let Err(error) = written.and_then(|()| out.write_all(b"\n")) {
                tracing::error!(%error, "decisions cannot be written down; calls are denied");
                return;
            }
            next = lines.try_recv().ok();
        }
        if let Err(error) = out.flush() {
            tracing::error!(%error, "decisions cannot be written down; calls are denied");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A log that somebody reads.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn line() -> Line {
        let asked = Asked {
            method: "GET".to_owned(),
            path: "/r1/UA/GOV/2/civil/births/records/38001085718?name=Olena".to_owned(),
            id: "m-1".to_owned(),
            ..Asked::default()
        };
        let endpoint = plinth_api::v1alpha1::exchange::Endpoint {
            method: "GET".to_owned(),
            path: "/records/*".to_owned(),
        };
        let (client, service) = ("UA/GOV/1/app".parse().unwrap(), "UA/GOV/2/civil/births".parse().unwrap());
        let verdict = Verdict::allowed(client, service, "civil/births", Some(&endpoint));
        Line::of(&asked, &verdict, "2026-06-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn every_line_is_there_when_the_last_writer_has_gone_and_no_person_is_in_it() {
        let log = Log::default();
        let (journal, writer) = Journal::new(log.clone()).unwrap();
        for _ in 0..100 {
            journal.write(line()).unwrap();
        }
        drop(journal);
        writer.join().unwrap();
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 100);
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let wanted = serde_json::json!({
            "time": "2026-06-01T00:00:00Z", "decision": "allow", "layer": "agreement", "client": "UA/GOV/1/app",
            "service": "UA/GOV/2/civil/births", "method": "GET", "path": "/records/*",
            "agreement": "civil/births", "xRoadId": "m-1",
        });
        assert_eq!(first, wanted);
    }

    #[test]
    fn a_log_that_nobody_reads_fills_up_and_says_so() {
        let held = Arc::new(Mutex::new(()));
        let guard = held.lock().unwrap();
        struct Held(Arc<Mutex<()>>);
        impl Write for Held {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let _held = self.0.lock().unwrap();
                Ok(bytes.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (journal, writer) = Journal::new(Held(held.clone())).unwrap();
        let full = (0..3 * WAITING).find_map(|_| journal.write(line()).err());
        assert_eq!(full, Some(Full));
        drop((guard, journal));
        writer.join().unwrap();
    }

    #[test]
    fn a_log_that_is_gone_is_full() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (journal, writer) = Journal::new(Gone).unwrap();
        journal.write(line()).unwrap();
        writer.join().unwrap();
        assert_eq!(journal.write(line()), Err(Full));
    }
}
