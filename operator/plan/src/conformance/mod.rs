//! GovStack's cross-functional requirements on a block, as far as its objects show them. Pure: the same checks look at what is
//! planned and at what runs. What is said is what was seen; levels are GovStack's to award.

mod checks;
mod requirements;

use std::collections::BTreeMap;

use plinth_api::v1alpha1::conformance::{ConformanceStatus, Outcome, RequirementStatus};
use plinth_api::v1alpha1::product::ConformanceException;
use serde_json::Value;

pub use self::requirements::{ALL, Requirement, SPECIFICATION, find};
use crate::exchange::compile::Where;
use crate::model::{BlockPlan, Observed, Plan};

/// A block as it is looked at.
pub struct Sight<'a> {
    /// Its objects, in the order of the plan.
    objects: Vec<&'a Value>,
    /// Product; what belongs to another is a backing service of the block's own.
    product: &'a str,
    /// Services of the exchange that it answers, and whether an OpenAPI document describes them.
    offers: BTreeMap<String, bool>,
    /// What the product is known not to hold.
    exceptions: &'a [ConformanceException],
}

impl<'a> Sight<'a> {
    /// A block as it runs; `None` for one that is not Plinth's to run, and before all of it is there.
    pub fn running(plan: &'a Plan, block: &'a BlockPlan, observed: &'a Observed) -> Option<Self> {
        let live = |key| observed.live.get(key).map(|live| &*live.body);
        Self::of(
            plan,
            block,
            block.units.iter().flat_map(|u| &u.objects).map(|o| live(&o.key)).collect::<Option<_>>()?,
        )
    }

    /// A block as it is planned; `None` for one that is not Plinth's to run.
    pub fn planned(plan: &'a Plan, block: &'a BlockPlan) -> Option<Self> {
        Self::of(plan, block, block.units.iter().flat_map(|u| &u.objects).map(|o| &o.body).collect())
    }

    fn of(plan: &'a Plan, block: &'a BlockPlan, objects: Vec<&'a Value>) -> Option<Self> {
        let product = block.product.as_deref()?;
        if objects.is_empty() || block.tenant.is_some() {
            return None;
        }
        let answers =
            |backend: &Where| matches!(backend, Where::Registry { block: of, .. } if *of == block.name);
        let offers = plan.exchange.services.iter().filter(|(_, offer)| answers(&offer.backend));
        let offers = offers.map(|(id, offer)| (id.to_string(), offer.described)).collect();
        Some(Self { objects, product, offers, exceptions: &block.exceptions })
    }

    /// What is seen of every requirement that something can be seen of.
    pub fn conformance(&self) -> ConformanceStatus {
        let requirements: Vec<RequirementStatus> =
            ALL.iter().filter_map(|one| self.requirement(one)).collect();
        let count = |result| requirements.iter().filter(|one| one.result == result).count();
        let looked_at = ALL.len() - requirements.len();
        ConformanceStatus {
            specification: SPECIFICATION.to_owned(),
            holds: count(Outcome::Holds),
            fails: count(Outcome::Fails),
            exceptions: count(Outcome::Exception),
            not_tested: count(Outcome::NotTested) + looked_at,
            requirements,
        }
    }

    /// An exception on record says more than any look: it is about what cannot be seen from outside as well.
    fn requirement(&self, requirement: &Requirement) -> Option<RequirementStatus> {
        let id = requirement.id();
        let exception = self.exceptions.iter().find(|exception| exception.requirement == id);
        let (result, evidence) = match (exception, requirement.check) {
            (Some(exception), _) => (Outcome::Exception, exception.reason.clone()),
            (None, Some(check)) => check(self),
            (None, None) => return None,
        };
        let Requirement { level, verification, mutability, .. } = *requirement;
        Some(RequirementStatus { id, level, verification, mutability, result, evidence })
    }
}
