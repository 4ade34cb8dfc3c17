//! What a Job of onboarding does: the calls of one step, in order, each created or adopted, within one budget. Nothing that
//! it says holds a secret.

mod http;
mod mask;
mod seal;

use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use plinth_api::v1alpha1::onboarding::{Call, Request};
use plinth_plan::expr::as_text;
use plinth_plan::onboarding::{Answer, Document, Known, filled};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use self::http::Http;
use self::mask::Mask;
pub use self::seal::{Values, opened, sealed};

/// Between the first try and the second; each further wait is twice as long, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// How `now` is written.
const MOMENT: &str = "%Y-%m-%dT%H:%M:%S%.3fZ";
/// Characters of an answer that a message quotes.
const LONGEST_QUOTE: usize = 300;

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    /// It was not there, and is now.
    Made,
    /// It was there.
    Adopted,
    /// What was only looked for is there.
    Found,
    /// What is done each time, a login for one, is done.
    Done,
    /// It is not wanted here.
    LeftOut,
}

impl Settled {
    fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Adopted => "adopted",
            Self::Found => "found",
            Self::Done => "done",
            Self::LeftOut => "left out",
        }
    }
}

/// Why a try failed.
enum Failed {
    /// Another try may succeed.
    Passing(String),
    /// None will.
    Final(String),
}

/// What a step came to.
#[derive(Debug)]
pub struct Outcome {
    /// One line for people, without secrets.
    pub said: String,
    /// What it hands over.
    pub handed_over: Values,
}

/// Takes one step. `variable` reads the environment, `now` the clock; `say` gets a line for each call, and one for each
/// wait.
///
/// # Errors
/// The call that failed (`say` has not heard of it), with method, address, status and the beginning of the answer; secrets are hidden.
pub async fn run(
    document: &Document,
    variable: impl Fn(&str) -> Option<String>,
    now: impl Fn() -> Timestamp,
    mut say: impl FnMut(&str),
) -> Result<Outcome> {
    let mut known = Known::default();
    let mut mask = Mask::default();
    for name in &document.variables {
        let value = variable(name).with_context(|| format!("variable {name} is not set"))?;
        if document.secrets.contains(name) {
            mask.add(&value);
        }
        known.env.insert(name.clone(), value.into());
    }
    let deadline = Instant::now() + Duration::from_secs(document.budget_seconds.into());
    let trusted = document.trust.as_ref().and_then(|name| known.env.get(name)?.as_str());
    let mut step = Step { http: Http::new(trusted)?, known, mask, deadline, now };
    let (mut made, mut adopted) = (0, 0);
    for call in &document.calls {
        match step.settle(call, &mut say).await {
            Ok(settled) => {
                made += usize::from(settled == Settled::Made);
                adopted += usize::from(settled == Settled::Adopted);
                say(&format!("{}: {}", call.name, settled.as_str()));
            }
            Err(message) => {
                anyhow::bail!(step.mask.hide(&format!("{}: failed: {message}", call.name)));
            }
        }
    }
    let value = |name: &String| {
        let value = step.known.captured.get(name).with_context(|| format!("nothing captured {name}"))?;
        Ok((name.clone(), Zeroizing::new(as_text(value))))
    };
    let handed_over = document.hands_over.iter().map(value).collect::<Result<_>>()?;
    Ok(Outcome { said: format!("{}: {made} made, {adopted} adopted", document.name), handed_over })
}

struct Step<N> {
    http: Http,
    known: Known,
    mask: Mask,
    deadline: Instant,
    now: N,
}

impl<N: Fn() -> Timestamp> Step<N> {
    /// Tries a call until it is settled, cannot be, or the budget is spent.
    async fn settle(&mut self, call: &Call, say: &mut impl FnMut(&str)) -> Result<Settled, String> {
        let mut wait = FIRST_WAIT;
        loop {
            let message = match self.attempt(call).await {
                Ok(settled) => return Ok(settled),
                Err(Failed::Final(message)) => return Err(message),
                Err(Failed::Passing(message)) => message,
            };
            if Instant::now() + wait > self.deadline {
                return Err(format!("{message}; the step's time is up"));
            }
            say(&self.mask.hide(&format!("{}: waits {} ms: {message}", call.name, wait.as_millis())));
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// One try: look, and act where nothing is there. A retry looks again, for a lost answer may hide a success.
    async fn attempt(&mut self, call: &Call) -> Result<Settled, Failed> {
        self.known.now = (self.now)().strftime(MOMENT).to_string();
        let wanted = self.known.scope().when(call.when.as_deref());
        if !wanted.map_err(|message| Failed::Final(format!("when: {message}")))? {
            return Ok(Settled::LeftOut);
        }
        if let Some(check) = &call.check {
            let (answer, said) = self.send(check).await?;
            if answer.may_pass() {
                return Err(Failed::Passing(said));
            }
            if answer.settles(call, &self.known).map_err(|e| Failed::Final(format!("{e}; {said}")))? {
                self.capture(call, &answer)?;
                return Ok(if call.act.is_some() { Settled::Adopted } else { Settled::Found });
            }
            if call.act.is_none() {
                return Err(Failed::Passing(format!("{said}, which is not what is waited for")));
            }
        }
        let Some(act) = &call.act else { return Err(Failed::Final("says nothing to do".to_owned())) };
        let (answer, said) = self.send(act).await?;
        if answer.is_expected(call) {
            self.capture(call, &answer)?;
            return Ok(if call.check.is_some() { Settled::Made } else { Settled::Done });
        }
        Err(if answer.may_pass() { Failed::Passing(said) } else { Failed::Final(said) })
    }

    /// Sends a request; with the answer comes what to say about it.
    async fn send(&mut self, request: &Request) -> Result<(Answer, String), Failed> {
        let request = filled(request, &self.known.scope()).map_err(Failed::Final)?;
        // What is secret in them may be written in another way than it came.
        let words = request.headers.values().flat_map(|header| header.split_whitespace());
        words.for_each(|word| self.mask.add_if_long(word));
        let what = format!("{} {}", request.method.as_str(), request.url);
        let answer = self.http.send(&request).await.map_err(|error| match error {
            http::Error::Request(message) => Failed::Final(format!("{what}: {message}")),
            http::Error::Connection(message) => Failed::Passing(format!("{what}: {message}")),
        })?;
        let body = match &answer.body {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        // Hidden before it is cut: half a secret is one too.
        let quoted = quote(&self.mask.hide(&body));
        let answered = format!("{what} answered {}", answer.status);
        let said = if quoted.is_empty() { answered } else { format!("{answered}: {quoted}") };
        Ok((answer, said))
    }

    fn capture(&mut self, call: &Call, answer: &Answer) -> Result<(), Failed> {
        let captured = answer.captured(call, &self.known).map_err(Failed::Final)?;
        // An answer may give a token as well as a number; only what is long can be one.
        captured.values().filter_map(|value| value.as_str()).for_each(|text| self.mask.add_if_long(text));
        self.known.captured.extend(captured);
        Ok(())
    }
}

/// One line, cut.
fn quote(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
