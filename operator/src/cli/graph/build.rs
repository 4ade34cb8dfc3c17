//! From what holds in a country to the graph that is drawn.

use std::collections::BTreeSet;

use plinth_api::v1alpha1::agreement::AgreementPhase;
use plinth_api::v1alpha1::exchange::Texts;
use plinth_api::v1alpha1::registry::Priority;
use plinth_api::v1alpha1::service::{Uses, WithoutIdentity};
use plinth_plan::exchange::Compiled;
use plinth_plan::exchange::compile::{Consumer, What, blocks_used};
use plinth_plan::exchange::id::{MemberId, ServiceId, SubsystemId};
use plinth_plan::exchange::texts::named;

use super::model::{Block, CHANNELS, Call, Client, Member, Model, Offer, PublicService, Registry, State};
use crate::cli::country::Country;
use crate::cli::page::{day, order};
use crate::cli::views::{registries_by_service, system_names};

/// The graph of a country, in one language.
pub fn model(country: &Country, language: &str) -> Model {
    let ties = ties(&country.compiled);
    let builder = Builder::new(country, language, &ties);
    let services = builder.services();
    Model {
        stack: country.stack.metadata.name.clone().unwrap_or_default(),
        instance: country.compiled.instance.clone(),
        at: day(&country.at.to_string()),
        language: language.to_owned(),
        exchange: builder.exchange().map(str::to_owned),
        blocks: builder.blocks(&services),
        members: builder.members(),
        services,
        clients: builder.clients(),
        offers: builder.offers(),
        registries: builder.registries(),
        calls: builder.calls(),
    }
}

/// What is said of a system and a service, and who says it.
struct Tie {
    client: SubsystemId,
    service: ServiceId,
    state: State,
    why: String,
}

/// Everything that agreements say, and what public services ask for beyond it.
fn ties(compiled: &Compiled) -> Vec<Tie> {
    let tie = |client: &SubsystemId, service: &ServiceId, state, why: &str| Tie {
        client: client.clone(),
        service: service.clone(),
        state,
        why: why.to_owned(),
    };
    let agreed = compiled.standing.iter().flat_map(|(subject, standing)| {
        let What::Agreement { phase, service: Some(service), consumers } = &standing.what else {
            return Vec::new();
        };
        let Some(state) = State::of(*phase) else { return Vec::new() };
        let why = format!("{}/{}", subject.namespace, subject.name);
        consumers.iter().map(|client| tie(client, service, state, &why)).collect()
    });
    let asked = compiled.consumers.iter().flat_map(|consumer| {
        let open = consumer.uses.iter().filter(|status| !status.granted);
        open.filter_map(move |status| {
            let text = &status.service;
            let service = ServiceId::asked(&compiled.instance, text)?;
            let why = format!("{}/{}", consumer.namespace, consumer.name);
            Some(tie(consumer.client.as_ref()?, &service, State::Asked, &why))
        })
    });
    agreed.chain(asked).collect()
}

/// A country, and the place of everything in its list.
struct Builder<'c> {
    country: &'c Country,
    compiled: &'c Compiled,
    language: &'c str,
    languages: Vec<String>,
    ties: &'c [Tie],
    members: Vec<&'c MemberId>,
    clients: Vec<&'c SubsystemId>,
    offers: Vec<&'c ServiceId>,
}

impl<'c> Builder<'c> {
    fn new(country: &'c Country, language: &'c str, ties: &'c [Tie]) -> Self {
        let compiled = &country.compiled;
        // Systems that call something, have called it, or would like to.
        let asking = ties.iter().map(|tie| &tie.client);
        let own = compiled.consumers.iter().filter_map(|consumer| consumer.client.as_ref());
        let clients: BTreeSet<&SubsystemId> = asking.chain(own).collect();
        Self {
            country,
            compiled,
            language,
            languages: country.languages(),
            ties,
            members: compiled.members.keys().collect(),
            clients: clients.into_iter().collect(),
            offers: compiled.services.keys().collect(),
        }
    }

    /// A name in the language of the graph, or the nearest; the code where nobody has written one.
    fn say(&self, texts: &Texts, code: &str) -> String {
        named(texts, &order(self.language, &self.languages), code)
    }

    fn member(&self, id: &MemberId) -> Option<usize> {
        self.members.iter().position(|known| *known == id)
    }

    fn exchange(&self) -> Option<&'c str> {
        self.compiled.server.as_ref().map(|server| server.block.as_str())
    }

    fn members(&self) -> Vec<Member> {
        let members = self.compiled.members.iter();
        members
            .map(|(id, m)| Member { id: id.to_string(), name: self.say(&m.spec.names, &m.object) })
            .collect()
    }

    fn clients(&self) -> Vec<Client> {
        let client = |id: &&SubsystemId| {
            let member = self.member(&id.member);
            let id_text = id.to_string();
            // A code says nothing of who is elsewhere.
            let code = if member.is_some() { &id.subsystem } else { &id_text };
            Client { name: self.say(&system_names(self.compiled, id), code), id: id_text, member }
        };
        self.clients.iter().map(client).collect()
    }

    fn offers(&self) -> Vec<Offer> {
        let behind = registries_by_service(self.compiled);
        let registry = |id: &ServiceId| {
            let code = &behind.get(id)?.spec.code;
            self.compiled.registries.iter().position(|registry| registry.spec.code == *code)
        };
        let offers = self.compiled.services.iter().filter_map(|(id, offer)| {
            Some(Offer {
                id: id.to_string(),
                name: self.say(&offer.names, &id.service),
                subsystem: self.say(&system_names(self.compiled, &id.subsystem), &id.subsystem.subsystem),
                member: self.member(&id.subsystem.member)?,
                registry: registry(id),
            })
        });
        offers.collect()
    }

    fn registries(&self) -> Vec<Registry> {
        let registries = self.compiled.registries.iter().filter_map(|r| {
            let namespace = r.metadata.namespace.as_deref().unwrap_or_default();
            let (owner, _) = self.compiled.member_of(namespace, &r.spec.owner)?;
            Some(Registry {
                code: r.spec.code.clone(),
                name: self.say(&r.spec.names, &r.spec.code),
                member: self.member(owner)?,
                classification: r.spec.classification,
                critical: r.spec.priority == Priority::Critical,
                external: r.spec.external.is_some(),
            })
        });
        registries.collect()
    }

    fn services(&self) -> Vec<PublicService> {
        let blocks: Vec<&str> = self.country.stack.spec.blocks.iter().map(|b| b.name.as_str()).collect();
        let place = |name: &str| blocks.iter().position(|block| *block == name);
        let service = |consumer: &Consumer| {
            let used = used(&consumer.spec.uses, self.exchange());
            let used: BTreeSet<usize> = used.into_iter().filter_map(place).collect();
            let client = consumer.client.as_ref();
            PublicService {
                id: format!("{}/{}", consumer.namespace, consumer.name),
                name: self.say(&consumer.spec.title, &consumer.name),
                member: self.compiled.offered_by(consumer).and_then(|id| self.member(id)),
                channels: CHANNELS.into_iter().filter(|c| consumer.spec.channels.contains(c)).collect(),
                anybody: consumer.spec.without_identity == WithoutIdentity::Anybody,
                client: client.and_then(|id| self.clients.iter().position(|known| *known == id)),
                blocks: used.into_iter().collect(),
            }
        };
        self.compiled.consumers.iter().map(service).collect()
    }

    fn blocks(&self, services: &[PublicService]) -> Vec<Block> {
        let blocks = self.country.stack.spec.blocks.iter().enumerate().map(|(nth, block)| {
            let registries = self.compiled.registries.iter();
            Block {
                name: block.name.clone(),
                product: block.product.clone().unwrap_or_else(|| "external".to_owned()),
                services: (0..services.len()).filter(|s| services[*s].blocks.contains(&nth)).collect(),
                registries: registries.filter(|r| r.spec.block.as_deref() == Some(&block.name)).count(),
            }
        });
        blocks.collect()
    }

    fn calls(&self) -> Vec<Call> {
        let call = |tie: &Tie| {
            Some(Call {
                client: self.clients.iter().position(|known| **known == tie.client)?,
                offer: self.offers.iter().position(|known| **known == tie.service)?,
                state: tie.state,
                why: vec![tie.why.clone()],
            })
        };
        Model::merged(self.ties.iter().filter_map(call))
    }
}

/// Blocks that a service uses beside the exchange, which the lines show.
fn used<'u>(uses: &'u Uses, exchange: Option<&str>) -> Vec<&'u str> {
    let blocks =
        blocks_used(uses).filter(|(path, block)| *path != "spec.uses.services" && Some(*block) != exchange);
    let mapper = uses.programme.iter().map(|programme| programme.account_mapper.as_str());
    blocks.map(|(_, block)| block).chain(mapper).collect()
}

impl State {
    /// What an agreement says of whom it names; nothing where it is refused.
    fn of(phase: AgreementPhase) -> Option<Self> {
        match phase {
            AgreementPhase::Active => Some(Self::InForce),
            AgreementPhase::Scheduled => Some(Self::Scheduled),
            AgreementPhase::Expired => Some(Self::Expired),
            AgreementPhase::Refused => None,
        }
    }
}
