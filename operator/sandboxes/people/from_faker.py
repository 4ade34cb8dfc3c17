"""Takes names and places over from Faker (https://github.com/joke2k/faker, MIT) into the lists beside this file.

    pip install Faker==40.63.0 && python3 from_faker.py

The lists are data of Plinth from then on: what a seed gives must not change with somebody else's release.
"""

import importlib
import pathlib

MOST = 200
HEAD = """\
# {what}
# Taken over by from_faker.py from Faker 40.63.0, locale {locale}: MIT, Copyright (c) 2012 Daniele Faraglia.
"""
# Faker has no places of these two: larger towns, and streets as any of them has.
PLACES = {
    "EE": {
        "cities": "Haapsalu Jõhvi Keila Kuressaare Maardu Narva Paide Põlva Pärnu Rakvere Rapla Tallinn Tartu Valga Viljandi Võru",
        "streets": "Aia Allika Jõe Järve Kalda Kase Kevade Kiriku Kooli Kuuse Lille Mere Metsa Männi Niidu Oja Pargi Pihlaka Põllu "
        "Päikese Sireli Sõpruse Tamme Turu Uus Vaarika Vahtra Välja Õuna",
    },
    "PE": {
        "cities": "Abancay Arequipa Ayacucho Cajamarca Chiclayo Chimbote Cusco Huancavelica Huancayo Huaraz Huánuco Ica Iquitos "
        "Juliaca Lima Moquegua Piura Pucallpa Puno Sullana Tacna Tarapoto Trujillo Tumbes",
        "streets": "Amazonas Azucenas Capulíes Cedros Claveles Comercio Eucaliptos Geranios Girasoles Jardines Jazmines Laureles "
        "Lirios Molino Naranjos Nogales Olivos Palmeras Pinos Progreso Rosales Sauces Sol Unión",
    },
}
PLACES = {country: {name: words.split() for name, words in lists.items()} for country, lists in PLACES.items()}


def provider(kind, locale):
    return importlib.import_module(f"faker.providers.{kind}.{locale}").Provider


def spread(words):
    """At most MOST of them, from all over the alphabet; single words, since a comma or a number makes an address odd."""
    words = sorted({word.strip() for word in words if word.strip().replace("-", "").isalpha()})
    return [words[i * len(words) // MOST] for i in range(MOST)] if len(words) > MOST else words


def section(name, words):
    lines, line = [f"{name}:"], "  ["
    for word in words:
        if len(line) + len(word) > 130:
            lines.append(line.rstrip())
            line = "   "
        line += f"{word}, "
    return "\n".join([*lines, line.rstrip(", ") + "]"])


def write(country, what, locale, sections):
    text = HEAD.format(what=what, locale=locale)
    text += "\n".join(section(name, words) for name, words in sections.items() if words) + "\n"
    (pathlib.Path(__file__).parent / f"{country}.yaml").write_text(text, encoding="utf-8")


def daughters(middle_name):
    """The middle name of a woman whose brother has this one."""
    return middle_name[:-5] + "ївна" if middle_name.endswith("йович") else middle_name[:-4] + "івна"


def father(middle_name):
    """The man whose son has this middle name: one that the list of men has. In two names the vowel changes."""
    stem = middle_name[:-5] + "й" if middle_name.endswith("йович") else middle_name[:-4]
    changed = {"Прохор": "Прохір", "Федор": "Федір"}.get(stem, stem)
    return next(name for name in (changed, stem + "о", stem + "а") if name in ua.first_names_male)


ua, places = provider("person", "uk_UA"), provider("address", "uk_UA")
of_fathers = [name for name in sorted(set(ua.middle_names_male)) if daughters(name) in ua.middle_names_female]
write("UA", "Names and places of Ukraine.", "uk_UA", {
    "women": spread(ua.first_names_female),
    "men": spread(ua.first_names_male),
    "familyNames": spread(ua.last_names_common),
    # The three lists go together: in the same place of each are a daughter's, a son's and the father's own name.
    "middleNamesOfWomen": [daughters(name) for name in of_fathers],
    "middleNamesOfMen": of_fathers,
    "fathers": [father(name) for name in of_fathers],
    "cities": spread(places.city_names),
    # Streets that are called after nobody.
    "streets": spread(title for title in places.street_titles if title.endswith(("на", "ова"))),
})

# Names of the Spanish-speaking Andes are Colombia's: Faker has no list of Peru's.
for country, what, locale in [
    ("EE", "Names and places of Estonia.", "et_EE"),
    ("PE", "Names of the Spanish-speaking Andes, and places of Peru.", "es_CO"),
]:
    names = provider("person", locale)
    write(country, what, locale, {
        "women": spread(names.first_names_female),
        "men": spread(names.first_names_male),
        "familyNames": spread(names.last_names),
        "middleNamesOfWomen": [],
        "middleNamesOfMen": [],
        **PLACES[country],
    })
