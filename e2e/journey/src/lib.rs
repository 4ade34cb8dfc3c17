//! A citizen's way through the small country of `examples/journey`, whose parts run for real on one node: she signs in, agrees that her
//! record is read, signs, and is paid. `plinth demo` goes it once, from nothing; the tests go it again while things are killed
//! and rights are taken back.
//!
//! What people of the country do by hand is done here by hand as well: the Civil Registry enters her record, the Treasury her account and
//! its own money, the identity provider's staff her login. Everything else is Plinth's.

mod approvals;
mod browser;
mod citizen;
mod country;
mod example;
mod ledger;
mod people;
mod system;
mod wait;

pub use approvals::Waiting;
pub use browser::{Browser, missing as missing_for_browser};
pub use citizen::{Citizen, Page, Paid};
pub use country::{Answer, Country, DOMAIN, SERVICE, STACK, STACK_NAMESPACE, namespace_of};
pub use example::unpack;
pub use ledger::Ledger;
pub use people::{Person, kcadm};
pub use system::System;
pub use wait::within;
