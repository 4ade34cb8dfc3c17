//! What a Job of onboarding does: the calls of one step, in order, each created or adopted, within one budget. Nothing that
//! it says holds a secret.

pub(crate) mod http;
mod mask;
mod seal;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use plinth_api::v1alpha1::onboarding::{Call, Request};
use plinth_plan::expr::as_text;
use plinth_plan::onboarding::{Answer, Document, Known, PORTION_VARIABLE, filled};
use plinth_plan::people::Portions;
use serde_json::{Map, Value};
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
    known.people = document.people.map(|portions| portion(&portions, &variable)).transpose()?;
    let deadline = Instant::now() + Duration::from_secs(document.budget_seconds.into());
    let trusted = document.trust.as_ref().and_then(|name| known.env.get(name)?.as_str());
    let mut step = Step { http: Http::new(trusted)?, known, mask, deadline, now };
    let (mut made, mut adopted) = (0, 0);
    for call in &document.calls {
        for settled in step.perform(call, &mut say).await? {
            made += usize::from(settled == Settled::Made);
            adopted += usize::from(settled == Settled::Adopted);
        }
    }
    let value = |name: &String| {
        let value = step.known.captured.get(name).with_context(|| format!("nothing captured {name}"))?;
        Ok((name.clone(), Zeroizing::new(as_text(value))))
    };
    let handed_over = document.hands_over.iter().map(value).collect::<Result<_>>()?;
    Ok(Outcome { said: format!("{}: {made} made, {adopted} adopted", document.name), handed_over })
}

/// The people that this pod loads: the portion that Kubernetes gave it.
fn portion(portions: &Portions, variable: impl Fn(&str) -> Option<String>) -> Result<Vec<Value>> {
    let index =
        variable(PORTION_VARIABLE).with_context(|| format!("variable {PORTION_VARIABLE} is not set"))?;
    let index =
        index.parse().with_context(|| format!("variable {PORTION_VARIABLE} is `{index}`, no number"))?;
    ensure!(index < portions.count(), "there is no portion {index} of {}", portions.count());
    Ok(portions.people(index))
}

struct Step<N> {
    http: Http,
    known: Known,
    mask: Mask,
    deadline: Instant,
    now: N,
}

impl<N: Fn() -> Timestamp> Step<N> {
    /// Makes a call, or each of those of a call with a list, and says how each went.
    async fn perform(&mut self, call: &Call, say: &mut impl FnMut(&str)) -> Result<Vec<Settled>> {
        let name = call.name.as_str();
        let Some(elements) = self.elements(call).map_err(|message| self.failed(name, &message))? else {
            say(&format!("{name}: {}", Settled::LeftOut.as_str()));
            return Ok(vec![Settled::LeftOut]);
        };
        let (mut all, mut captured) = (Vec::new(), Vec::new());
        for (i, element) in elements.into_iter().enumerate() {
            let name = if element.is_some() { format!("{name}[{i}]") } else { name.to_owned() };
            self.known.item = element;
            let settled = self.settle(call, &name, say).await;
            let (settled, values) = settled.map_err(|message| self.failed(&name, &message))?;
            say(&format!("{name}: {}", settled.as_str()));
            all.push(settled);
            captured.push(values);
        }
        self.known.item = None;
        self.known.captured.extend(match call.for_each {
            None => captured.pop().unwrap_or_default(),
            Some(_) => in_lists(call, &captured),
        });
        Ok(all)
    }

    /// What a call is made for: nothing in particular, or the elements of its list; `None` where it is not wanted at all.
    fn elements(&mut self, call: &Call) -> Result<Option<Vec<Option<Value>>>, String> {
        self.tell_time();
        if !self.known.scope().when(call.when.as_deref()).map_err(|message| format!("when: {message}"))? {
            return Ok(None);
        }
        let Some(source) = &call.for_each else { return Ok(Some(vec![None])) };
        let elements = self.known.elements(source).map_err(|message| format!("forEach: {message}"))?;
        Ok(Some(elements.into_iter().map(Some).collect()))
    }

    fn tell_time(&mut self) {
        self.known.now = (self.now)().strftime(MOMENT).to_string();
    }

    fn failed(&self, name: &str, message: &str) -> anyhow::Error {
        anyhow::anyhow!(self.mask.hide(&format!("{name}: failed: {message}")))
    }

    /// Tries a call until it is settled, cannot be, or the budget is spent.
    async fn settle(
        &mut self,
        call: &Call,
        name: &str,
        say: &mut impl FnMut(&str),
    ) -> Result<(Settled, Map<String, Value>), String> {
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
            say(&self.mask.hide(&format!("{name}: waits {} ms: {message}", wait.as_millis())));
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// One try: look, and act where nothing is there. A retry looks again, for a lost answer may hide a success. Returns
    /// what it captures as well.
    async fn attempt(&mut self, call: &Call) -> Result<(Settled, Map<String, Value>), Failed> {
        self.tell_time();
        if let Some(check) = &call.check {
            let (answer, said) = self.send(check).await?;
            if answer.may_pass() {
                return Err(Failed::Passing(said));
            }
            if answer.settles(call, &self.known).map_err(|e| Failed::Final(format!("{e}; {said}")))? {
                let settled = if call.act.is_some() { Settled::Adopted } else { Settled::Found };
                return Ok((settled, self.captured(call, &answer)?));
            }
            if call.act.is_none() {
                return Err(Failed::Passing(format!("{said}, which is not what is waited for")));
            }
        }
        let Some(act) = &call.act else { return Err(Failed::Final("says nothing to do".to_owned())) };
        let (answer, said) = self.send(act).await?;
        if answer.is_expected(call) {
            let settled = if call.check.is_some() { Settled::Made } else { Settled::Done };
            return Ok((settled, self.captured(call, &answer)?));
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
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        // Hidden before it is cut: half a secret is one too.
        let quoted = quote(&self.mask.hide(&body));
        let answered = format!("{what} answered {}", answer.status);
        let said = if quoted.is_empty() { answered } else { format!("{answered}: {quoted}") };
        Ok((answer, said))
    }

    fn captured(&mut self, call: &Call, answer: &Answer) -> Result<Map<String, Value>, Failed> {
        let captured = answer.captured(call, &self.known).map_err(Failed::Final)?;
        // An answer may give a token as well as a number; only what is long can be one.
        captured.values().filter_map(|value| value.as_str()).for_each(|text| self.mask.add_if_long(text));
        Ok(captured)
    }
}

/// What a call has captured of each element of its list, by name.
fn in_lists(call: &Call, captured: &[Map<String, Value>]) -> Map<String, Value> {
    let of_each = |name: &String| captured.iter().filter_map(|values| values.get(name)).cloned().collect();
    call.capture.keys().map(|name| (name.clone(), Value::Array(of_each(name)))).collect()
}

/// One line, cut.
fn quote(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
