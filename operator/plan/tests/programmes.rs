//! Programmes that pay people: what the payments block is told of them, what the service is told, and what keeps one out.

mod documents;

use documents::Example;
use plinth_api::{PublicService, Stack};
use plinth_plan::exchange::compile::What;
use plinth_plan::model::Plan;

/// The cash transfer, with its public services and the parameters of its payment hub as wanted.
fn planned(change: impl FnOnce(&mut Vec<PublicService>, &mut Stack)) -> Plan {
    let example =
        Example::all().into_iter().find(|example| example.name == "govstack-usct").expect("is there");
    let mut stack = example.of::<Stack>().remove(0);
    let mut inputs = example.inputs();
    change(&mut inputs.declared.services, &mut stack);
    plinth_plan::plan(&stack, &inputs).unwrap_or_else(|findings| panic!("{findings:?}"))
}

/// What the bulk processor reads about budget accounts.
fn accounts(plan: &Plan) -> Vec<String> {
    let maps = plan.objects().filter(|desired| desired.key.kind == "ConfigMap");
    let texts = maps.filter_map(|map| map.body["data"].as_object()).flat_map(|data| data.values());
    let lines = texts.filter_map(|text| text.as_str()).flat_map(str::lines);
    let own = lines.filter_map(|line| line.strip_prefix("budget-account.registeringInstitutions"));
    own.filter(|line| !line.contains("identifierType")).map(str::to_owned).collect()
}

fn programme(service: &mut PublicService) -> &mut plinth_api::v1alpha1::service::Programme {
    service.spec.uses.programme.as_mut().expect("has one")
}

/// What is wrong with a public service, and what its status says of the programme.
fn said(plan: &Plan, name: &str) -> (String, Option<String>) {
    let (_, standing) = plan.exchange.standing.iter().find(|(subject, _)| subject.name == name).expect(name);
    let What::PublicService { programme, .. } = &standing.what else { panic!("{name} is no public service") };
    (standing.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "), programme.clone())
}

#[test]
fn programmes_of_an_institution_stand_under_it_whoever_names_them() {
    let plan = planned(|services, stack| {
        let mut second = services[0].clone();
        second.metadata.name = Some("winter".to_owned());
        (programme(&mut second).code, programme(&mut second).account) =
            ("winter".into(), Some("100002".into()));
        services.push(second);
        let payments = stack.spec.blocks.iter_mut().find(|block| block.name == "payments").expect("is there");
        // One that no public service stands for, and one that is declared as well.
        let more = serde_json::json!([
            { "institution": "health", "name": "vouchers", "account": "200001" },
            { "institution": "gorilla", "name": "usct", "account": "100001" },
        ]);
        payments.parameters.insert("programmes".to_owned(), more);
    });
    let wanted = [
        "[0].id=health",
        "[0].programs[0].id=vouchers",
        "[0].programs[0].name=vouchers",
        "[0].programs[0].identifierValue=200001",
        "[1].id=gorilla",
        "[1].programs[0].id=usct",
        "[1].programs[0].name=usct",
        "[1].programs[0].identifierValue=100001",
        "[1].programs[1].id=winter",
        "[1].programs[1].name=winter",
        "[1].programs[1].identifierValue=100002",
    ];
    assert_eq!(accounts(&plan), wanted);
    let (wrong, says) = said(&plan, "winter");
    assert_eq!(wrong, "");
    let wanted = "payment-hub-ee is told: gorilla pays `winter` from account 100002 of `gorilla`";
    assert_eq!(says.as_deref(), Some(wanted));
}

#[test]
fn a_hub_that_registers_programmes_is_told_of_none_without_an_account() {
    let plan = planned(|services, _| programme(&mut services[0]).account = None);
    let (wrong, says) = said(&plan, "cash-transfer");
    assert_eq!(
        wrong,
        "spec.uses.programme.account: is missing: `payment-hub-ee` debits the account by its own identifier"
    );
    assert_eq!((accounts(&plan), says), (Vec::new(), None));
}

#[test]
fn a_programme_that_is_gone_is_gone_from_the_hub() {
    let plan = planned(|services, _| services[0].spec.uses.programme = None);
    assert_eq!((accounts(&plan), said(&plan, "cash-transfer").1), (Vec::new(), None));
}
