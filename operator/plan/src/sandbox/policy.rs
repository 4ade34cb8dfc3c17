//! What a Sandbox may ask for: the SandboxPolicies of its namespace, and what holds where there is none.

use plinth_api::v1alpha1::sandbox::SandboxSpec;
use plinth_api::v1alpha1::sandbox_policy::{Prices, Webhook};
use plinth_api::v1alpha1::stack::{Images, Quota, Site};
use plinth_api::{SandboxPolicy, SandboxPolicySpec};

use super::cost::{Rates, keeps};
use super::life::Course;
use super::{MAX_NAME, schedule, span, template};
use crate::amount::{Amount, bytes, cpu};
use crate::expr::listed;
use crate::model::Finding;
use crate::resolve::finding;
use crate::windows::Windows;

/// What several policies allow together: each has to allow what is asked.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    policies: Vec<(String, SandboxPolicySpec)>,
}

impl Terms {
    /// Of the policies that are for a namespace, by name; what a policy that says nothing allows, where there is none.
    pub fn of<'a>(policies: impl IntoIterator<Item = &'a SandboxPolicy>, namespace: &str) -> Self {
        let is_for = |policy: &&SandboxPolicy| {
            policy.spec.namespaces.is_empty() || policy.spec.namespaces.iter().any(|name| name == namespace)
        };
        let named =
            |policy: &SandboxPolicy| (policy.metadata.name.clone().unwrap_or_default(), policy.spec.clone());
        let mut policies: Vec<_> = policies.into_iter().filter(is_for).map(named).collect();
        policies.sort_by(|a, b| a.0.cmp(&b.0));
        if policies.is_empty() {
            policies.push((DEFAULT.to_owned(), SandboxPolicySpec::default()));
        }
        Self { policies }
    }

    /// What things cost: by the first policy that says so.
    pub fn prices(&self) -> Option<&Prices> {
        self.policies.iter().find_map(|(_, policy)| policy.prices.as_ref())
    }

    /// What the site gives: by the first policy that says so.
    pub fn site(&self) -> Option<&Site> {
        self.policies.iter().find_map(|(_, policy)| policy.site.as_ref())
    }

    /// Whom to tell, and the policy that says so: the first that does.
    pub fn webhook(&self) -> Option<(&str, &Webhook)> {
        self.policies.iter().find_map(|(name, policy)| Some((name.as_str(), policy.webhook.as_ref()?)))
    }

    /// Where images come from: by the first policy that says so.
    pub fn images(&self) -> Option<&Images> {
        self.policies.iter().find_map(|(_, policy)| policy.images.as_ref())
    }

    /// The quota of a Sandbox: its own, or the smallest of the policies'.
    pub fn quota(&self, spec: &SandboxSpec) -> Quota {
        if let Some(own) = &spec.quota {
            return own.clone();
        }
        let all = || self.policies.iter().map(|(_, policy)| &policy.quota);
        let least = |of: fn(&Quota) -> &String, size: fn(&str) -> u64| {
            all().map(of).min_by_key(|text| size(text)).cloned().unwrap_or_default()
        };
        Quota {
            cpu: least(|quota| &quota.cpu, cpu),
            memory: least(|quota| &quota.memory, bytes),
            storage: least(|quota| &quota.storage, bytes),
            objects: all().map(|quota| quota.objects).min().unwrap_or_default(),
        }
    }

    /// What bounds the life of a Sandbox that is allowed.
    ///
    /// # Errors
    /// A span or a schedule is wrong: every field.
    pub fn course(&self, spec: &SandboxSpec, born: jiff::Timestamp) -> Result<Course, Vec<Finding>> {
        let schedule = spec.hibernation.as_ref().map(schedule::asleep).transpose()?.unwrap_or_default();
        let ttl = span::seconds(&spec.ttl).map_err(|why| vec![finding("spec.ttl", why)])?;
        Ok(Course {
            born,
            ttl,
            max_life: self.least(|policy| &policy.max_life),
            warn_before: self.least(|policy| &policy.warn_before),
            schedule,
        })
    }

    /// The same of a Sandbox whose schedule may be wrong: one cannot live on because nobody understands when it sleeps.
    pub fn course_at_least(&self, spec: &SandboxSpec, born: jiff::Timestamp) -> Course {
        let understood = SandboxSpec { hibernation: None, ..spec.clone() };
        let course = self.course(spec, born).or_else(|_| self.course(&understood, born));
        // The schema keeps out a span that is none; were there one, nothing is deleted for it.
        let endless = i64::MAX;
        course.unwrap_or_else(|_| Course {
            born,
            ttl: endless,
            max_life: endless,
            warn_before: 0,
            schedule: Windows::default(),
        })
    }

    /// The shortest of a span that each policy has. One that is none does not bound; the schema keeps such out.
    fn least(&self, of: fn(&SandboxPolicySpec) -> &String) -> i64 {
        self.policies
            .iter()
            .filter_map(|(_, policy)| span::seconds(of(policy)).ok())
            .min()
            .unwrap_or(i64::MAX)
    }

    /// Everything that is wrong with what a Sandbox asks for, without a look at what it would be made of. `others` counts the
    /// Sandboxes beside it whose time is not over.
    pub fn check(&self, name: &str, spec: &SandboxSpec, others: usize) -> Vec<Finding> {
        let mut findings = Vec::new();
        if name.len() > MAX_NAME {
            findings.push(finding(
                "metadata.name",
                format!("has {} characters; {MAX_NAME} are allowed", name.len()),
            ));
        }
        if spec.owner.groups.iter().all(|group| group.trim().is_empty()) {
            let why = "names no group: nobody could look into it; name the team's group, as the API server knows it";
            findings.push(finding("spec.owner.groups", why));
        }
        for group in spec.owner.groups.iter().filter(|group| is_everybody(group)) {
            let why =
                format!("`{group}` is everybody: a sandbox is its owner's alone; name the team's own group");
            findings.push(finding("spec.owner.groups", why));
        }
        if let Some(wrong) = spec.template.as_deref().and_then(|name| template::find(name).err()) {
            findings.push(wrong);
        }
        if let Some(Err(wrong)) = spec.hibernation.as_ref().map(schedule::asleep) {
            findings.extend(wrong);
        }
        match span::seconds(&spec.ttl) {
            Err(why) => findings.push(finding("spec.ttl", why)),
            Ok(ttl) => findings.extend(self.too_long(&spec.ttl, ttl)),
        }
        for (name, policy) in &self.policies {
            findings.extend(beyond(name, policy, spec, others));
        }
        if let (Some(_), None) = (&spec.budget, self.prices()) {
            let why = "cannot be kept: no SandboxPolicy of this namespace gives prices; leave it out, or have the cluster's owner give some";
            findings.push(finding("spec.budget", why));
        }
        findings
    }

    /// Whether a budget can be kept, once it is known what the sandbox asks for.
    pub fn check_budget(&self, spec: &SandboxSpec, steady: Amount) -> Vec<Finding> {
        let (Some(budget), Some(prices)) = (&spec.budget, self.prices()) else { return Vec::new() };
        let kept = Rates::of(prices, steady).and_then(|rates| keeps(budget, &rates));
        kept.err().map(|why| finding("spec.budget.monthly", why)).into_iter().collect()
    }

    fn too_long(&self, text: &str, ttl: i64) -> Vec<Finding> {
        let longer = |(name, policy): &(String, SandboxPolicySpec)| {
            let most = span::seconds(&policy.max_ttl).ok().filter(|most| ttl > *most)?;
            Some(finding(
                "spec.ttl",
                format!("`{text}` is longer than {name} allows: {}", span::spoken(most)),
            ))
        };
        self.policies.iter().filter_map(longer).collect()
    }
}

/// What bounds are called where no policy is there.
const DEFAULT: &str = "the default of SandboxPolicies (there is none for this namespace)";

/// Groups that everybody is in who gets in at all.
fn is_everybody(group: &str) -> bool {
    matches!(group, "system:authenticated" | "system:unauthenticated" | "system:serviceaccounts")
}

/// What one policy does not allow.
fn beyond(name: &str, policy: &SandboxPolicySpec, spec: &SandboxSpec, others: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |path: &str, why: String| findings.push(finding(path, why));
    if let Some(template) = &spec.template
        && !policy.templates.is_empty()
        && !policy.templates.contains(template)
    {
        say(
            "spec.template",
            format!("`{template}` is not among those that {name} allows: {}", listed(&policy.templates)),
        );
    }
    if spec.from_stack.is_some() && !policy.from_stack {
        say("spec.fromStack", format!("{name} lets no Stack be copied; take a template"));
    }
    if policy.require_budget && spec.budget.is_none() {
        say("spec.budget", format!("is missing; {name} asks for one"));
    }
    if others >= usize::try_from(policy.max_count).unwrap_or(usize::MAX) {
        say(
            "metadata.namespace",
            format!("has {others} Sandboxes, as many as {name} allows; delete one first"),
        );
    }
    if let Some(people) = spec.people.as_ref().filter(|people| people.amount > policy.max_people) {
        let why = format!("`{}` is more than {name} allows: {}", people.amount, policy.max_people);
        say("spec.people.amount", why);
    }
    let Some(asked) = &spec.quota else { return findings };
    let most = &policy.quota;
    let mut compare = |field: &str, asked: &str, most: &str, size: fn(&str) -> u64| {
        if size(asked) > size(most) {
            say(&format!("spec.quota.{field}"), format!("`{asked}` is more than {name} allows: {most}"));
        }
    };
    compare("cpu", &asked.cpu, &most.cpu, cpu);
    compare("memory", &asked.memory, &most.memory, bytes);
    compare("storage", &asked.storage, &most.storage, bytes);
    if asked.objects > most.objects {
        say(
            "spec.quota.objects",
            format!("`{}` is more than {name} allows: {}", asked.objects, most.objects),
        );
    }
    findings
}
