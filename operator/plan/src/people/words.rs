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
    /// Names of the father, as his daughters have them; those of his sons are in the same order.
    #[serde(default)]
    pub middle_names_of_women: Vec<String>,
    #[serde(default)]
    pub middle_names_of_men: Vec<String>,
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
    fn every_list_is_read_and_brothers_and_sisters_have_one_fathers_name() {
        for country in PeopleOf::ALL {
            let words = words(country);
            let lists = [&words.women, &words.men, &words.family_names, &words.cities, &words.streets];
            assert!(lists.iter().all(|list| list.len() > 10), "{country:?}");
            assert_eq!(words.middle_names_of_women.len(), words.middle_names_of_men.len(), "{country:?}");
        }
    }
}
