//! Where what is open and what is declared disagree.

use std::fmt;

use crate::analysis::Analysis;
use crate::declared::Expected;
use crate::world::{Port, World};

/// A path on which the policies say something else than what is declared, on one side or on both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Who calls.
    pub from: String,
    /// Who is called.
    pub to: String,
    /// On which port.
    pub port: Port,
    /// What the policies of the source do, where that differs.
    pub out: Option<Side>,
    /// What the policies of the target do, where that differs.
    pub into: Option<Side>,
    /// Where the path is declared; nowhere when it should be shut.
    pub declared: Vec<String>,
}

/// What one side's policies do, against what is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// They open what should be shut; or else they shut what should be open.
    pub opens: bool,
    /// Their names.
    pub policies: Vec<String>,
}

/// Every difference between what is open and what is declared.
pub fn differences(world: &World, expected: &Expected<'_>, analysis: &Analysis) -> Vec<Difference> {
    let side = |found: bool, wanted: bool, pod: usize| {
        (found != wanted).then(|| Side { opens: found, policies: world.policies_of(&world.pods[pod]) })
    };
    let verdicts = analysis.verdicts.iter().zip(&expected.verdicts);
    let differing = world.tries().zip(verdicts).filter(|(_, (found, wanted))| found != wanted);
    differing
        .map(|((from, to, port), (found, wanted))| Difference {
            from: world.pods[from].to_string(),
            to: world.pods[to].to_string(),
            port,
            out: side(found.0, wanted.0, from),
            into: side(found.1, wanted.1, to),
            declared: expected.why(from, to, port).into_iter().map(str::to_owned).collect(),
        })
        .collect()
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} {}:", self.from, self.to, self.port)?;
        for (name, side) in [("egress", &self.out), ("ingress", &self.into)] {
            let Some(Side { opens, policies }) = side else { continue };
            let verb = if *opens { "opens what nothing declares" } else { "shuts what is declared" };
            write!(f, " {name} {verb} ({})", policies.join(", "))?;
        }
        for why in &self.declared {
            write!(f, "; {why}")?;
        }
        Ok(())
    }
}
