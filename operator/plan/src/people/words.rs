//! Names and places, as data beside the templates of sandboxes.

use std::sync::OnceLock;

use plinth_api::v1alpha1::people::PeopleOf;
use serde::Deserialize;

/// What people of a country and their places are called.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Words {
    pub women: Vec<String>,
    pub men: Vec<String>,
    pub family_names: Vec<String>,
    /// Names of the father, as his daughters have them; his own, and those of his sons, are in the same order.
    #[serde(default)]
    pub middle_names_of_women: Vec<String>,
    #[serde(default)]
    pub middle_names_of_men: Vec<String>,
    #[serde(default)]
    pub fathers: Vec<String>,
    pub cities: Vec<String>,
    pub streets: Vec<String>,
}

/// The words of a country.
pub fn words(country: PeopleOf) -> &'static Words {
    static ESTONIA: OnceLock<Words> = OnceLock::new();
    static PERU: OnceLock<Words> = OnceLock::new();
    static UKRAINE: OnceLock<Words> = OnceLock::new();
    let (once, text) = match country {
        PeopleOf::Estonia => (&ESTONIA, include_str!("../../../sandboxes/people/EE.yaml")),
        PeopleOf::Peru => (&PERU, include_str!("../../../sandboxes/people/PE.yaml")),
        PeopleOf::Ukraine => (&UKRAINE, include_str!("../../../sandboxes/people/UA.yaml")),
    };
    once.get_or_init(|| serde_yaml::from_str(text).expect("a test reads every list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_read_and_sons_and_daughters_have_their_fathers_name() {
        for country in PeopleOf::ALL {
            let words = words(country);
            let lists = [&words.women, &words.men, &words.family_names, &words.cities, &words.streets];
            assert!(lists.iter().all(|list| list.len() > 10), "{country:?}");
            let of_fathers = [&words.middle_names_of_women, &words.middle_names_of_men, &words.fathers];
            let [women, men, fathers] = of_fathers.map(Vec::len);
            assert!(women == men && men == fathers, "{country:?}: {women}, {men}, {fathers}");
            for (place, father) in words.fathers.iter().enumerate() {
                // What a father's name loses or changes is at its end.
                let stem: String = father.chars().take(2).collect();
                let children = [&words.middle_names_of_women[place], &words.middle_names_of_men[place]];
                assert!(children.iter().all(|name| name.starts_with(&stem)), "{father}: {children:?}");
                assert!(words.men.contains(father), "{father} is no man's name");
            }
        }
    }
}
