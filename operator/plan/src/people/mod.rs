//! Synthetic people: who they are follows from a seed, a country and a number alone, so that person 17 is the same among a hundred and
//! among ten thousand, whoever asks and in whatever order. Pure: no clock either, ages are those of [`household::AS_OF`].
//!
//! ```text
//! number -> household (who lives together) -> identifier (role, birth) -> names, address, account
//! ```
//!
//! A golden test holds the first of each country: what a seed gives does not change, for a sandbox is loaded a second time by it.

mod draw;
mod household;
mod identifier;
mod portion;
mod progress;
mod words;

use jiff::civil::Date;
use plinth_api::v1alpha1::people::PeopleOf;
use serde::Serialize;

use self::draw::{About, Draw};
use self::household::Household;
pub use self::household::Role;
use self::words::{Words, words};
pub use portion::Portions;
pub use progress::progress;

/// Domain of their addresses: reserved (RFC 2606), so that nobody is ever written to.
const MAIL: &str = "people.example";

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// National identifier, in the form of the country and with its check digit.
    pub id: String,
    /// Given name.
    pub given_name: String,
    /// Father's name, where the country has it in a person's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub middle_name: Option<String>,
    /// Family name; two of them in Peru.
    pub family_name: String,
    /// Sex, as identifiers have it.
    pub sex: Sex,
    /// Day of birth.
    pub born: Date,
    /// Identifier of the person that a household is led by: all who live together have the same.
    pub household: String,
    /// What the person is in the household.
    pub role: Role,
    /// Identifier of the husband or wife.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spouse: Option<String>,
    /// Identifier of a parent whom a child lives with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardian: Option<String>,
    /// Where the household lives.
    pub address: Address,
    /// Address for mail, which goes nowhere.
    pub email: String,
    /// Telephone number of a grown-up, which payments find the bank by. It begins with 0, as the code of no country does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// IBAN of a grown-up, at a bank that is none; nothing in countries that have no IBAN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// Where somebody lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// Street.
    pub street: String,
    /// Number of the house.
    pub number: u32,
    /// Town.
    pub city: String,
    /// Country, ISO 3166-1 alpha-2.
    pub country: &'static str,
}

/// Sex, as identifiers have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Sex {
    /// Woman.
    #[serde(rename = "F")]
    Female,
    /// Man.
    #[serde(rename = "M")]
    Male,
}

/// Person `number` of a country by a seed.
pub fn person(country: PeopleOf, seed: u32, number: u32) -> Person {
    World { country, seed, words: words(country) }.person(number)
}

/// All the people of a seed.
#[derive(Clone, Copy)]
struct World {
    country: PeopleOf,
    seed: u32,
    words: &'static Words,
}

impl World {
    fn draw(self, about: About, number: u32) -> Draw {
        Draw::of(self.seed, about, number)
    }

    fn person(self, number: u32) -> Person {
        let home = Household::of(self.seed, number);
        let (role, sex) = (home.role(number), home.sex(self.seed, number));
        let id = self.id(number);
        let others =
            |role: Role| home.members().filter(move |other| *other != number && home.role(*other) == role);
        let spouse = others(role).next().filter(|_| role != Role::Child);
        let guardian = others(Role::Parent).next().filter(|_| role == Role::Child);
        Person {
            given_name: self.given_name(number, home, sex),
            middle_name: self.middle_name(number, home, sex),
            family_name: self.family_name(home, role, sex),
            sex,
            born: self.born(number),
            household: self.id(home.first),
            role,
            spouse: spouse.map(|other| self.id(other)),
            guardian: guardian.map(|other| self.id(other)),
            address: self.address(home),
            email: format!("{}@{MAIL}", id.to_ascii_lowercase()),
            phone: (role != Role::Child).then(|| identifier::phone(&id)),
            account: (role != Role::Child)
                .then(|| identifier::account(self.country, self.seed, number))
                .flatten(),
            id,
        }
    }

    fn id(self, number: u32) -> String {
        let home = Household::of(self.seed, number);
        identifier::identifier(
            self.country,
            self.seed,
            number,
            home.role(number),
            home.sex(self.seed, number),
        )
    }

    fn born(self, number: u32) -> Date {
        identifier::birth(self.country, self.seed, number, Household::of(self.seed, number).role(number)).day
    }

    /// Where children have their father's name in their own, it is the name of the father whom they live with.
    fn given_name(self, number: u32, home: Household, sex: Sex) -> String {
        let fathers = &self.words.fathers;
        let (about, of, names) = match (sex, home.role(number)) {
            (Sex::Male, Role::Parent) if !fathers.is_empty() => {
                (About::ChildrensMiddleName, home.first, fathers)
            }
            (Sex::Male, _) => (About::GivenName, number, &self.words.men),
            (Sex::Female, _) => (About::GivenName, number, &self.words.women),
        };
        self.draw(about, of).one(names).clone()
    }

    /// Brothers and sisters have the same father.
    fn middle_name(self, number: u32, home: Household, sex: Sex) -> Option<String> {
        let names = match sex {
            Sex::Female => &self.words.middle_names_of_women,
            Sex::Male => &self.words.middle_names_of_men,
        };
        let mut draw = match home.role(number) {
            Role::Child => self.draw(About::ChildrensMiddleName, home.first),
            _ => self.draw(About::MiddleName, number),
        };
        (!names.is_empty()).then(|| draw.one(names).clone())
    }

    /// A family has one name. In Peru everybody keeps two: the father's first, then the mother's first.
    fn family_name(self, home: Household, role: Role, sex: Sex) -> String {
        let mut draw = self.draw(About::FamilyName, home.first);
        let [his, hers, his_second, her_second] = [(); 4].map(|()| draw.one(&self.words.family_names));
        match (self.country, role, sex) {
            (PeopleOf::Peru, Role::Child, _) => format!("{his} {hers}"),
            (PeopleOf::Peru, _, Sex::Male) => format!("{his} {his_second}"),
            (PeopleOf::Peru, _, Sex::Female) => format!("{hers} {her_second}"),
            _ => his.clone(),
        }
    }

    fn address(self, home: Household) -> Address {
        const LONGEST_STREET: u64 = 120;
        let mut draw = self.draw(About::Address, home.first);
        Address {
            street: draw.one(&self.words.streets).clone(),
            number: u32::try_from(draw.below(LONGEST_STREET)).unwrap_or_default() + 1,
            city: draw.one(&self.words.cities).clone(),
            country: self.country.code(),
        }
    }
}
